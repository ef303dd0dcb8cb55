import { AppError } from '@greenroom/shared/errors/app-error.ts';

/**
 * Limits the concurrent reads of each tenant in this process. All tenants share the database connections.
 * Without a limit, one tenant's slow reads would occupy every connection, and the other tenants would get 503.
 *
 * A read above `atOnce` waits in a queue of its tenant. A read above `waiting` is refused.
 */
export interface Shares {
  /**
   * @returns a function that frees the place; call it once. Throws AppError rate_limited when the queue is
   *   full.
   */
  take(tenantId: string): Promise<() => void>;
  /** The number of reads that this tenant has in progress. */
  underWay(tenantId: string): number;
}

export interface ShareLimits {
  /** Concurrent reads of one tenant. PostgREST's pool has 10 connections by default. */
  atOnce: number;
  /** Reads of one tenant that may wait. */
  waiting: number;
}

interface Share {
  underWay: number;
  queue: Array<() => void>;
}

export const readShare: ShareLimits = { atOnce: 2, waiting: 100 };

export function createShares({ atOnce, waiting }: ShareLimits = readShare): Shares {
  const shares = new Map<string, Share>();

  const give = (tenantId: string, share: Share) => (): void => {
    const next = share.queue.shift();
    if (next) {
      next(); // The next read gets this place, so the count stays.
      return;
    }
    share.underWay -= 1;
    if (share.underWay === 0) shares.delete(tenantId);
  };

  return {
    take: (tenantId) => {
      const share = shares.get(tenantId) ?? { underWay: 0, queue: [] };
      shares.set(tenantId, share);
      if (share.underWay < atOnce) {
        share.underWay += 1;
        return Promise.resolve(give(tenantId, share));
      }
      if (share.queue.length >= waiting)
        throw new AppError('rate_limited', {
          detail: `The tenant already has ${waiting} read requests waiting.`,
          retryAfterS: 1,
        });
      return new Promise((resolve) => share.queue.push(() => resolve(give(tenantId, share))));
    },
    underWay: (tenantId) => shares.get(tenantId)?.underWay ?? 0,
  };
}
