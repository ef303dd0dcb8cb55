import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import type { Config } from '../../src/config.ts';
import { createDatabaseTokens } from '../../src/tokens/database-tokens.ts';
import { createKeyRing } from '../../src/tokens/keys.ts';
import { CliError } from '../console.ts';

/** Reads rows as role `orchestrator`, which may read every table. */
export interface Rows {
  /** @param query table and filters in PostgREST's form */
  count(query: string): Promise<number>;
  /** @returns the rows, at most 1,000 */
  read(query: string): Promise<unknown[]>;
}

export async function createRows({ keys, supabase, publicUrl, deadlines }: Config): Promise<Rows> {
  const ring = await createKeyRing([keys.db]);
  const tokens = createDatabaseTokens({ keys: ring, issuer: publicUrl, clock: systemClock, workerTokenMs: 60_000 });
  const ask = async (method: 'HEAD' | 'GET', query: string): Promise<Response> => {
    const headers = { apikey: supabase.publishableKey, authorization: `Bearer ${await tokens.own()}` };
    const answer = await fetch(`${supabase.url}/rest/v1/${query}`, {
      method,
      headers: method === 'HEAD' ? { ...headers, prefer: 'count=exact' } : headers,
      signal: AbortSignal.timeout(deadlines.databaseRequestMs),
    });
    if (answer.ok) return answer;
    throw new CliError('away', 'database_away', `Supabase answered ${answer.status} when rows were read.`);
  };
  return {
    count: async (query) => {
      const total = /\/(\d+)$/.exec((await ask('HEAD', query)).headers.get('content-range') ?? '')?.[1];
      if (total === undefined)
        throw new CliError('away', 'database_away', 'Supabase did not say how many rows there are.');
      return Number(total);
    },
    read: async (query) => (await (await ask('GET', query)).json()) as unknown[],
  };
}
