import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createDatabaseTokens } from '../../orchestrator/src/tokens/database-tokens.ts';
import { createKeyRing } from '../../orchestrator/src/tokens/keys.ts';
import { supabaseClientCases } from './clients/supabase.ts';
import { expectStatus, expectThat, type Said, type Say, type Suite } from './suite.ts';

export interface SupabaseTarget {
  url: string;
  publishableKey: string;
  /** DB_SIGNING_KEY: a private JWK. */
  signingKey: string;
  publicUrl: string;
  /** Adds the case about users, which the product itself never administers. */
  secretKey: string | undefined;
}

/** A project with our migrations. Nothing is written but one user, who is removed. */
export function supabaseSuite(
  { url, publishableKey, signingKey, publicUrl, secretKey }: SupabaseTarget,
  say: Say,
): Suite {
  const token = async (): Promise<string> => {
    const keys = await createKeyRing([JSON.parse(signingKey)]);
    return createDatabaseTokens({ keys, issuer: publicUrl, clock: systemClock, workerTokenMs: 60_000 }).own();
  };
  const ask = async (path: string, more: Record<string, string> = {}, body?: object): Promise<Said> =>
    say(`${url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { apikey: publishableKey, 'content-type': 'application/json', ...more },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  const asOrchestrator = async () => ({ authorization: `Bearer ${await token()}` });
  const codeOf = ({ body }: Said): unknown => (body as { code?: unknown } | undefined)?.code;

  const clients = supabaseClientCases({ url, publishableKey, secretKey, token });
  return {
    cost: 'nothing',
    names: {},
    cleanUp: clients.cleanUp,
    cases: [
      {
        title: 'the key set is public and contains our key, or our tokens are accepted by third-party auth',
        row: 'A key that is imported is a standby key',
        run: async () => {
          expectStatus('GET jwks.json', await say(`${url}/auth/v1/.well-known/jwks.json`), 200);
          expectStatus(
            'rpc',
            await ask('/rest/v1/rpc/session_routes', await asOrchestrator(), { p_session_ids: [] }),
            200,
          );
        },
      },
      {
        title: 'a role of our own in a token is obeyed: it may call its function, and anon may not',
        row: 'PostgREST accepts a role of our own',
        run: async () => {
          const body = { p_session_ids: [] };
          expectStatus('as orchestrator', await ask('/rest/v1/rpc/session_routes', await asOrchestrator(), body), 200);
          expectStatus('as anon', await ask('/rest/v1/rpc/session_routes', {}, body), 401, 403, 404);
        },
      },
      {
        title: 'errors carry a SQLSTATE, and an unknown function answers 404 with JSON',
        row: 'PostgREST 12 and 14 answer alike',
        run: async () => {
          const refused = await ask('/rest/v1/provider_credentials?select=ciphertext', {});
          expectStatus('a table as anon', refused, 401, 403);
          expectThat('SQLSTATE 42501', codeOf(refused) === '42501');
          const unknown = await ask('/rest/v1/rpc/no_such_function', await asOrchestrator(), {});
          expectStatus('an unknown function', unknown, 404);
          expectThat('a JSON error', typeof codeOf(unknown) === 'string');
        },
      },
      {
        title: 'HEAD counts rows exactly',
        row: 'PostgREST 12 and 14 answer alike',
        run: async () => {
          const headers = { apikey: publishableKey, prefer: 'count=exact', ...(await asOrchestrator()) };
          const answer = await say(`${url}/rest/v1/tenants`, { method: 'HEAD', headers });
          expectStatus('HEAD', answer, 200, 206);
          expectThat('content-range', /\/\d+$/.test(answer.headers.get('content-range') ?? ''));
        },
      },
      {
        title: 'a broken token is refused with 401',
        run: async () => {
          const headers = { authorization: `Bearer ${(await token()).slice(0, -8)}AAAAAAAA` };
          expectStatus('rpc', await ask('/rest/v1/rpc/session_routes', headers, { p_session_ids: [] }), 401);
        },
      },
      {
        title: 'a wrong API key is refused with 401',
        run: async () => expectStatus('rest', await ask('/rest/v1/tenants', { apikey: 'sb_publishable_wrong' }), 401),
      },
      {
        title: 'nobody signs up by themselves',
        run: async () => {
          const someone = { email: 'nobody@example.com', password: 'correct horse battery' };
          expectStatus('POST signup', await ask('/auth/v1/signup', {}, someone), 422);
        },
      },
      ...clients.cases.map((one) => ({ ...one, live: true as const })),
    ],
  };
}
