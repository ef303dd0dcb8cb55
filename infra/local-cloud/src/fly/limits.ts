/**
 * The documented rate limits per action and identifier: 1 request a second with a burst of 3; for Get Machine
 * 5 with a burst of 10; for app deletions 100 a minute. A create has no machine yet, so its identifier is the
 * app.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

interface Rate {
  perSecond: number;
  burst: number;
}

const RATES: Readonly<Record<string, Rate>> = {
  'machines.get': { perSecond: 5, burst: 10 },
  'apps.delete': { perSecond: 100 / 60, burst: 100 },
};
const DEFAULT_RATE: Rate = { perSecond: 1, burst: 3 };

export interface Limits {
  /** Takes one request. False: answer 429. */
  take(action: string, identifier: string): boolean;
  enable(on: boolean): void;
  readonly enabled: boolean;
}

/** Above this number of buckets the full ones are dropped: they limit nothing. */
const BUCKETS_KEPT = 20_000;

export function createLimits(clock: Clock, enabled = true): Limits {
  const buckets = new Map<string, { tokens: number; atMs: number; rate: Rate }>();
  let on = enabled;

  const refill = (bucket: { tokens: number; atMs: number; rate: Rate }, nowMs: number) => {
    bucket.tokens = Math.min(
      bucket.rate.burst,
      bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * bucket.rate.perSecond,
    );
    bucket.atMs = nowMs;
  };
  const prune = (nowMs: number) => {
    for (const [key, bucket] of buckets) {
      refill(bucket, nowMs);
      if (bucket.tokens >= bucket.rate.burst) buckets.delete(key);
    }
  };

  return {
    get enabled() {
      return on;
    },
    enable: (value) => {
      on = value;
      buckets.clear();
    },
    take: (action, identifier) => {
      if (!on) return true;
      const nowMs = clock.monotonicMs();
      if (buckets.size > BUCKETS_KEPT) prune(nowMs);
      const key = `${action} ${identifier}`;
      const rate = RATES[action] ?? DEFAULT_RATE;
      const bucket = buckets.get(key) ?? { tokens: rate.burst, atMs: nowMs, rate };
      buckets.set(key, bucket);
      refill(bucket, nowMs);
      // Tolerance for rounding: ten times 0.1 s is slightly less than 1 s in binary.
      if (bucket.tokens < 1 - 1e-9) return false;
      bucket.tokens -= 1;
      return true;
    },
  };
}
