import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Booking } from '../database/access-store.ts';

/**
 * How often a key and a tenant may call. GCRA: `perMinute` in the long run, `burst` at once.
 *
 * L1  This process decides by itself, at once: no request waits for the database because of a limit.
 * L2  What was served is booked in Postgres for all processes together, in one rpc a second; a scope that is over its
 *     limit there rests here. So several orchestrators overshoot by at most what they serve in a second.
 * L3  A scope at rest says nothing and is forgotten.
 */
export interface Limit {
  scope: string;
  perMinute: number;
  burst: number;
  /** False: of this process alone (L2). Default true. */
  shared?: boolean;
}

export interface Drawn {
  allowed: boolean;
  /** Of the limit that leaves least. */
  limit: number;
  remaining: number;
  /** Until the limit is whole again. */
  resetMs: number;
  /** Until the next request may come; 0 when this one may. */
  retryAfterMs: number;
}

export interface RateLimits {
  /** Draws from all of the limits, or from none when one is used up. */
  draw(limits: readonly Limit[]): Drawn;
  /** L2; run it every second. */
  book(): Promise<void>;
}

export interface RateLimitDeps {
  clock: Clock;
  /** Books in the database; answers how long each scope must rest. */
  spend: (bookings: Booking[]) => Promise<Array<{ scope: string; wait_ms: number }>>;
}

const maxScopes = 50_000;
const stepOf = ({ perMinute }: Limit): number => 60_000 / perMinute;

export function createRateLimits({ clock, spend }: RateLimitDeps): RateLimits {
  /** When each scope is whole again, monotonic ms. */
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

  /** L3. */
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
