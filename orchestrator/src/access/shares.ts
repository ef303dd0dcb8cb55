import { AppError } from '@greenroom/shared/errors/app-error.ts';

/**
 * Limits the concurrent requests of each tenant in this process: its reads and its writes each. All tenants share the
 * database connections. Without a limit, one tenant's slow requests would occupy every connection, and the other
 * tenants would get 503.
 *
 * A request above `atOnce` waits in a queue of its share. A request above `waiting` is refused.
 */
export interface Shares {
  /**
   * @param name the share: a tenant and a kind of request
   * @returns a function that frees the place; call it once. Throws AppError rate_limited when the queue is
   *   full.
   */
  take(name: string): Promise<() => void>;
  /** The number of requests of this share in progress. */
  underWay(name: string): number;
}

export interface ShareLimits {
  /** Concurrent requests of one share. PostgREST's pool has 10 connections by default. */
  atOnce: number;
  /** Reads of one tenant that may wait. */
  waiting: number;
}

interface Share {
  underWay: number;
  queue: Array<() => void>;
}

export const tenantShare: ShareLimits = { atOnce: 2, waiting: 100 };

export function createShares({ atOnce, waiting }: ShareLimits = tenantShare): Shares {
  const shares = new Map<string, Share>();

  const give = (name: string, share: Share) => (): void => {
    const next = share.queue.shift();
    if (next) {
      next(); // The next read gets this place, so the count stays.
      return;
    }
    share.underWay -= 1;
    if (share.underWay === 0) shares.delete(name);
  };

  return {
    take: (name) => {
      const share = shares.get(name) ?? { underWay: 0, queue: [] };
      shares.set(name, share);
      if (share.underWay < atOnce) {
        share.underWay += 1;
        return Promise.resolve(give(name, share));
      }
      if (share.queue.length >= waiting)
        throw new AppError('rate_limited', {
          detail: `The tenant already has ${waiting} requests waiting.`,
          retryAfterS: 1,
        });
      return new Promise((resolve) => share.queue.push(() => resolve(give(name, share))));
    },
    underWay: (name) => shares.get(name)?.underWay ?? 0,
  };
}
