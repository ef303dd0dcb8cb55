import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/** Remembers what was found for a moment, so that a busy caller does not pay a read per request. What was not found is asked again. */
export interface Cache<T> {
  get(key: string): Promise<T | undefined>;
  /** Forgets every entry that matches: it was changed here, and the change holds at once. */
  forget(matches: (value: T) => boolean): void;
}

const maxEntries = 10_000;

/** @param keepMs how long a found value is believed. */
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
      // What was read before something was forgotten may be the very thing that changed.
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
