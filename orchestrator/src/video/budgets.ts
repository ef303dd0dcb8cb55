import type { SharedLimit } from '../database/video-store.ts';

/**
 * Who may spend how much of api.video's rate limits, all orchestrators together.
 *
 * api.video allows, a minute, 200 writes and 500 reads in production, 40 and 100 in the sandbox. Nine tenths of that are spent
 * at most, of which a tenth may come at once. One tenant's recordings spend at most half of it. Watching spends at most two
 * fifths of the reads, one tenant's watching a fifth: so no tenant's readers hold up another's, or the recording itself.
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
  /** The limits that a request is drawn from. @param tenantId undefined: for nobody in particular */
  of(purpose: Purpose, tenantId?: string): SharedLimit[];
}

/** @param url api.video's: the sandbox allows less. */
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
