import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { bearerOf, type Cors, onlyPost, problem, readBody } from './http.ts';
import { isTokensFault } from './tokens.ts';

/**
 * `interview-start`: lets a platform's page start an interview without a backend of its own.
 *
 * - The caller is a user of the Supabase project. Issuer, audience, expiry, algorithm and role of the access
 *   token are checked here, so that other requests never reach the orchestrator. A tenant's API key is accepted
 *   too; the orchestrator checks it.
 * - The orchestrator alone decides what the caller may do. It receives the caller's credential; this function
 *   adds no rights.
 */
export interface StartDeps {
  orchestratorUrl: string;
  supabaseUrl: string;
  /** Public keys of the project's auth service. */
  keys: JWTVerifyGetKey;
  cors: Cors;
  send: (url: string, init: RequestInit) => Promise<Response>;
  /** How long the orchestrator may take, ms. */
  limitMs: number;
  /** The answer to GET. */
  health: () => Promise<Response>;
}

const bodyLimitBytes = 65_536;
const passedOn = ['authorization', 'content-type', 'idempotency-key', 'greenroom-tenant', 'prefer'];
const passedBack = [
  'content-type',
  'location',
  'retry-after',
  'idempotency-replayed',
  'preference-applied',
  'x-request-id',
];
const apiKeyForm = /^gr_(live|test)_[\w-]{20,200}$/;

const unavailable = (detail: string) => ({
  status: 503,
  code: 'shutting_down',
  detail,
  headers: { 'retry-after': '2' },
});

export function createStart(deps: StartDeps): (request: Request) => Promise<Response> {
  const { orchestratorUrl, supabaseUrl, keys, cors, send, limitMs, health } = deps;

  /** Whether the token is an API key or a valid access token. `unavailable`: the public keys cannot be read. */
  const isKnown = async (token: string): Promise<boolean | 'unavailable'> => {
    if (apiKeyForm.test(token)) return true;
    const options = {
      issuer: `${supabaseUrl}/auth/v1`,
      audience: 'authenticated',
      algorithms: ['ES256', 'RS256'],
      requiredClaims: ['exp', 'sub'],
    };
    return await jwtVerify(token, keys, options).then(
      ({ payload }) => payload.role === 'authenticated',
      (error: unknown) => (isTokensFault(error) ? false : 'unavailable'),
    );
  };

  const passOn = async (request: Request, body: Uint8Array<ArrayBuffer>): Promise<Response> => {
    const headers = Object.fromEntries(
      passedOn.flatMap((name) => {
        const value = request.headers.get(name);
        return value === null ? [] : [[name, value]];
      }),
    );
    const answer = await send(`${orchestratorUrl}/api/sessions`, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(limitMs),
    });
    const back = passedBack.flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value] as [string, string]];
    });
    return new Response(await answer.text(), {
      status: answer.status,
      headers: { 'cache-control': 'no-store', ...Object.fromEntries(back) },
    });
  };

  const serve = async (request: Request): Promise<Response> => {
    if (request.method === 'GET') return await health();
    if (request.method !== 'POST') return problem(onlyPost);
    const token = bearerOf(request);
    const known = token === undefined ? false : await isKnown(token);
    if (known === 'unavailable')
      return problem(unavailable('Your access token cannot be checked at the moment. Try again.'));
    if (!known) {
      const headers = { 'www-authenticate': 'Bearer' };
      return problem({ status: 401, code: 'unauthenticated', detail: 'Sign in first.', headers });
    }
    const body = await readBody(request, bodyLimitBytes);
    if (body === undefined) return problem({ status: 413, code: 'body_too_large', detail: 'Send at most 64 KiB.' });
    return await passOn(request, body).catch(() =>
      problem(unavailable('The orchestrator did not answer. Try again with the same Idempotency-Key.')),
    );
  };

  return async (request) => cors.preflight(request) ?? cors.open(request, await serve(request));
}
