import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Limits the concurrent requests of each tenant in this process: its reads and its writes each. All tenants share the
 * database connections. Without a limit, one tenant's slow requests would occupy every connection, and the other
 * tenants would get 503.
 *
 * - A request above `atOnce` waits in a queue of its share. A request above `waiting` is refused.
 * - While other tenants send requests too, a place of a tenant with more than `crowd` waiting requests rests after each
 *   request, for `restFactor` times as long as that took. So a tenant that asks without a pause uses a part of the processor's
 *   and the database's time, not all that the others leave.
 */
export interface Shares {
  /**
   * @returns a function that frees the place; call it once. Throws AppError rate_limited when the queue is
   *   full.
   */
  take(tenantId: string, kind?: RequestKind): Promise<() => void>;
  /** The number of requests of this share in progress, or resting. */
  underWay(tenantId: string, kind?: RequestKind): number;
}

/** Each has a share of its own. */
export type RequestKind = 'reads' | 'writes';

export interface ShareLimits {
  /** Concurrent requests of one share. PostgREST's pool has 10 connections by default. */
  atOnce: number;
  /** Requests of one share that may wait. */
  waiting: number;
  /** More waiting requests than this are a crowd. */
  crowd: number;
  restFactor: number;
}

interface Share {
  underWay: number;
  queue: Array<() => void>;
}

export const tenantShare: ShareLimits = { atOnce: 2, waiting: 100, crowd: 8, restFactor: 5 };
/** A tenant that sent a request within this time counts as active, ms. */
const activeMs = 1_000;
/** The longest rest of a place, ms. */
const maxRestMs = 2_000;

export function createShares(
  clock: Pick<Clock, 'monotonicMs' | 'setTimer'>,
  { atOnce, waiting, crowd, restFactor }: ShareLimits = tenantShare,
): Shares {
  const shares = new Map<string, Share>();
  /** When each active tenant sent its last request; the one that has been silent longest comes first. */
  const lastSeen = new Map<string, number>();
  const keyOf = (tenantId: string, kind: RequestKind): string => `${tenantId} ${kind}`;

  const see = (tenantId: string): void => {
    lastSeen.delete(tenantId);
    lastSeen.set(tenantId, clock.monotonicMs());
  };
  const hasOthers = (tenantId: string): boolean => {
    for (const [silent, atMs] of lastSeen) {
      if (clock.monotonicMs() - atMs <= activeMs) break;
      lastSeen.delete(silent);
    }
    return lastSeen.size > (lastSeen.has(tenantId) ? 1 : 0);
  };

  const handOn = (key: string, share: Share): void => {
    const next = share.queue.shift();
    if (next) {
      next(); // The next request gets this place, so the count stays.
      return;
    }
    share.underWay -= 1;
    if (share.underWay === 0) shares.delete(key);
  };

  /** Begins now. */
  const begin = (tenantId: string, key: string, share: Share): (() => void) => {
    const startedMs = clock.monotonicMs();
    return () => {
      const restMs = Math.min(maxRestMs, (clock.monotonicMs() - startedMs) * restFactor);
      if (share.queue.length > crowd && hasOthers(tenantId)) clock.setTimer(() => handOn(key, share), restMs);
      else handOn(key, share);
    };
  };

  return {
    take: (tenantId, kind = 'reads') => {
      see(tenantId);
      const key = keyOf(tenantId, kind);
      const share = shares.get(key) ?? { underWay: 0, queue: [] };
      shares.set(key, share);
      if (share.underWay < atOnce) {
        share.underWay += 1;
        return Promise.resolve(begin(tenantId, key, share));
      }
      if (share.queue.length >= waiting)
        throw new AppError('rate_limited', {
          detail: `The tenant already has ${waiting} requests waiting.`,
          retryAfterS: 1,
        });
      return new Promise((resolve) => share.queue.push(() => resolve(begin(tenantId, key, share))));
    },
    underWay: (tenantId, kind = 'reads') => shares.get(keyOf(tenantId, kind))?.underWay ?? 0,
  };
}
