import type { SharedLimit } from '../database/video-store.ts';

/**
 * How the rate limits of api.video are shared between purposes and tenants, for all orchestrators together.
 *
 * Per minute, api.video allows 200 writes and 500 reads in production, and 40 and 100 in the sandbox. We use at
 * most 90 % of that, with bursts of up to a tenth of each limit. One tenant's recordings get at most half.
 * Watching gets at most 40 % of the reads and one tenant's watching 20 %, so that viewers of one tenant delay
 * neither other tenants nor the recordings.
 */
export type Purpose = 'writes' | 'reads' | 'watching';

const totals = (url: string) =>
  new URL(url).hostname.startsWith('sandbox.') ? { writes: 36, reads: 90 } : { writes: 180, reads: 450 };

const limit = (scope: string, perMinute: number): SharedLimit => ({
  scope: `api.video:${scope}`,
  perMinute,
  burst: Math.ceil(perMinute / 10),
});

export interface VideoBudgets {
  /** The limits that a request counts against. @param tenantId undefined: only the limits that all tenants share */
  of(purpose: Purpose, tenantId?: string): SharedLimit[];
}

/** @param url base URL of api.video; the sandbox has lower limits */
export function createVideoBudgets(url: string): VideoBudgets {
  const { writes, reads } = totals(url);
  const shared = { writes: limit('writes', writes), reads: limit('reads', reads) };
  const watching = limit('watching', Math.floor((reads * 2) / 5));
  const ofTenant = {
    writes: Math.floor(writes / 2),
    reads: Math.floor(reads / 2),
    watching: Math.floor(reads / 5),
  };
  return {
    of: (purpose, tenantId) => [
      ...(tenantId === undefined ? [] : [limit(`${purpose}:${tenantId}`, ofTenant[purpose])]),
      ...(purpose === 'watching' ? [watching, shared.reads] : [shared[purpose]]),
    ],
  };
}
