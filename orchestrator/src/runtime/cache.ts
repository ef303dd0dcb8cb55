import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/** Caches found values for a short time, so that a busy caller does not need a read per request. Missing values are not cached. */
export interface Cache<T> {
  get(key: string): Promise<T | undefined>;
  /** Removes matching entries, so that a change made by this process takes effect at once. */
  forget(matches: (value: T) => boolean): void;
}

const maxEntries = 10_000;

/** @param keepMs lifetime of a cached value. */
export function createCache<T>(find: (key: string) => Promise<T | undefined>, keepMs: number, clock: Clock): Cache<T> {
  const known = new Map<string, { value: T; untilMs: number }>();
  let generation = 0;
  return {
    get: async (key) => {
      const entry = known.get(key);
      if (entry && clock.monotonicMs() < entry.untilMs) return entry.value;
      known.delete(key);
      const askedIn = generation;
      const value = await find(key);
      if (known.size >= maxEntries) known.clear();
      // Do not cache a value that was read before a removal: it may be the changed one.
      if (value !== undefined && askedIn === generation)
        known.set(key, { value, untilMs: clock.monotonicMs() + keepMs });
      return value;
    },
    forget: (matches) => {
      generation += 1;
      for (const [key, { value }] of known) if (matches(value)) known.delete(key);
    },
  };
}
