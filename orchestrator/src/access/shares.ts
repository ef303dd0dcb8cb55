import { AppError } from '@greenroom/shared/errors/app-error.ts';

/**
 * How many reads of one tenant are under way at once in this process. The connections to the database are shared by all:
 * without a share, the slow reads of one tenant hold every connection and the others get 503.
 *
 * Z1  A read beyond the share waits for one of its own tenant's to end, in order; beyond `waiting` it is refused.
 */
export interface Shares {
  /** @returns a function that gives the place back, to be called once. Throws AppError rate_limited (Z1). */
  take(tenantId: string): Promise<() => void>;
  /** Of this tenant now. */
  underWay(tenantId: string): number;
}

export interface ShareLimits {
  /** Reads of one tenant under way. PostgREST's pool has 10 connections where nothing else is said. */
  atOnce: number;
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
      next(); // The place is handed on.
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
        throw new AppError('rate_limited', { detail: `${waiting} reads of this tenant wait already.`, retryAfterS: 1 });
      return new Promise((resolve) => share.queue.push(() => resolve(give(tenantId, share))));
    },
    underWay: (tenantId) => shares.get(tenantId)?.underWay ?? 0,
  };
}
