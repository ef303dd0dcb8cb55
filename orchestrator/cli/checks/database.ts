import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createDatabaseTokens } from '../../src/tokens/database-tokens.ts';
import { createKeyRing } from '../../src/tokens/keys.ts';
import { type Answer, ask, type Context } from './check.ts';

/** Requests of the checks to the database, as the two roles of the product. */
const nobody = '00000000-0000-4000-8000-000000000000';

async function tokensOf({ config }: Context) {
  const keys = await createKeyRing([config.keys.db]);
  return createDatabaseTokens({ keys, issuer: config.publicUrl, clock: systemClock, workerTokenMs: 60_000 });
}

/** The token of an orchestrator. */
export const orchestratorToken = async (context: Context): Promise<string> => (await tokensOf(context)).own();

/** The token of a worker for a session that does not exist. */
export async function workerToken(context: Context): Promise<string> {
  const claims = {
    role: 'session_worker',
    session_id: nobody,
    tenant_id: nobody,
    machine_id: nobody,
    epoch: 1,
  } as const;
  return (await (await tokensOf(context)).mintWorker(claims)).token;
}

/** Asks the data API. @param token null: with the publishable key alone */
export function askDatabase({ config }: Context, token: string | null, path: string, body?: object): Promise<Answer> {
  const headers: Record<string, string> = {
    apikey: config.supabase.publishableKey,
    'content-type': 'application/json',
  };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) };
  return ask(`${config.supabase.url}/rest/v1/${path}`, init);
}

/** Rows of a table or view as role orchestrator. Throws if they cannot be read. */
export async function readRows<T>(context: Context, query: string, parse: (row: unknown) => T): Promise<T[]> {
  const answer = await askDatabase(context, await orchestratorToken(context), query);
  if (answer.status !== 200 || !Array.isArray(answer.body))
    throw new Error(`The database cannot be read (status ${answer.status}).`);
  return answer.body.map(parse);
}
