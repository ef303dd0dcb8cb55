import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Booking } from '../database/access-store.ts';

/**
 * Rate limits, for example of an API key or a tenant. Algorithm: GCRA with `perMinute` as the rate and `burst`
 * as the bucket size.
 *
 * - This process decides on its own, so no request waits for the database because of a limit.
 * - Once a second, the number of requests served is added up in Postgres for all orchestrators. If a scope is
 *   over its limit there, this process refuses it for the time that Postgres returns. Several orchestrators
 *   together can exceed a limit by no more than what they serve in one second.
 * - A scope whose limit is full again is removed from memory.
 */
export interface Limit {
  scope: string;
  perMinute: number;
  burst: number;
  /** Whether the limit holds for all orchestrators together. False: for this process only. @default true */
  shared?: boolean;
}

export interface Drawn {
  allowed: boolean;
  /** The burst size of the limit that has the least left. */
  limit: number;
  remaining: number;
  /** Time until the limit is full again. */
  resetMs: number;
  /** Time until the next request is allowed. 0 if this one is. */
  retryAfterMs: number;
}

export interface RateLimits {
  /** Counts one request against all of the limits, or against none if one of them is used up. */
  draw(limits: readonly Limit[]): Drawn;
  /** Reports the requests served to Postgres. Run it every second. */
  book(): Promise<void>;
}

export interface RateLimitDeps {
  clock: Clock;
  /** Adds up requests in the database. Returns how long each scope must be refused. */
  spend: (bookings: Booking[]) => Promise<Array<{ scope: string; wait_ms: number }>>;
}

const maxScopes = 50_000;
const stepOf = ({ perMinute }: Limit): number => 60_000 / perMinute;

export function createRateLimits({ clock, spend }: RateLimitDeps): RateLimits {
  /** When the limit of each scope is full again, monotonic ms. */
  const wholeAt = new Map<string, number>();
  const restUntil = new Map<string, number>();
  const served = new Map<string, Booking>();

  const aheadMs = ({ scope }: Limit, now: number): number => Math.max(0, (wholeAt.get(scope) ?? 0) - now);
  const waitMs = (limit: Limit, now: number): number =>
    Math.max(0, aheadMs(limit, now) - (limit.burst - 1) * stepOf(limit), (restUntil.get(limit.scope) ?? 0) - now);

  const spendOne = (limit: Limit, now: number): void => {
    wholeAt.set(limit.scope, now + aheadMs(limit, now) + stepOf(limit));
    if (limit.shared === false) return;
    const booking = served.get(limit.scope);
    if (booking) booking.cost += 1;
    else served.set(limit.scope, { scope: limit.scope, cost: 1, per_minute: limit.perMinute, burst: limit.burst });
  };

  const forget = (now: number): void => {
    for (const [scope, at] of wholeAt) if (at <= now) wholeAt.delete(scope);
    for (const [scope, at] of restUntil) if (at <= now) restUntil.delete(scope);
    if (wholeAt.size > maxScopes) wholeAt.clear();
  };

  return {
    draw: (limits) => {
      const now = clock.monotonicMs();
      const retryAfterMs = Math.max(0, ...limits.map((limit) => waitMs(limit, now)));
      if (retryAfterMs === 0) for (const limit of limits) spendOne(limit, now);
      const left = limits.map((limit) => ({
        limit: limit.burst,
        remaining:
          retryAfterMs > 0 ? 0 : Math.max(0, Math.floor(limit.burst - aheadMs(limit, now) / stepOf(limit) + 1e-6)),
        resetMs: Math.max(aheadMs(limit, now), retryAfterMs),
      }));
      const least = left.toSorted((a, b) => a.remaining - b.remaining)[0] as (typeof left)[number];
      return { allowed: retryAfterMs === 0, ...least, retryAfterMs };
    },
    book: async () => {
      forget(clock.monotonicMs());
      const bookings = [...served.values()];
      served.clear();
      if (bookings.length === 0) return;
      for (const { scope, wait_ms } of await spend(bookings))
        if (wait_ms > 0) restUntil.set(scope, clock.monotonicMs() + wait_ms);
    },
  };
}
