/**
 * The documented requests per minute and kind, counted in fixed windows. Every answer contains the remaining
 * number.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

export type RequestKind = 'uploads' | 'writes' | 'reads';
export type RateLimits = Record<RequestKind, number>;

export const productionLimits: RateLimits = { uploads: 100, writes: 200, reads: 500 };

const windowMs = 60_000;

export interface RateVerdict {
  allowed: boolean;
  headers: Record<string, string>;
}

export function createRateLimiter(limits: RateLimits, clock: Clock): (kind: RequestKind) => RateVerdict {
  const windows = new Map<RequestKind, { startMs: number; used: number }>();
  return (kind) => {
    const nowMs = clock.now();
    const known = windows.get(kind);
    const window = known && nowMs - known.startMs < windowMs ? known : { startMs: nowMs, used: 0 };
    windows.set(kind, window);
    window.used += 1;
    const retryAfter = String(Math.ceil((window.startMs + windowMs - nowMs) / 1000));
    const remaining = Math.max(0, limits[kind] - window.used);
    return {
      allowed: window.used <= limits[kind],
      headers: {
        'x-ratelimit-limit': String(limits[kind]),
        'x-ratelimit-remaining': String(remaining),
        'x-ratelimit-retry-after': retryAfter,
      },
    };
  };
}
