import type { Clock } from './clock.ts';

/** A clock for tests. Time passes only in `advance`; timers fire in the order of their due times. */
export interface FakeClock extends Clock {
  /** Advances by `byMs`, fires due timers, and lets promise callbacks run between two timers. */
  advance(byMs: number): Promise<void>;
  /** Number of timers that have not fired yet. */
  readonly pending: number;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let elapsedMs = 0;
  let timers: Array<{ dueMs: number; callback: () => void }> = [];
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const clock: FakeClock = {
    now: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    get pending() {
      return timers.length;
    },
    setTimer: (callback, delayMs) => {
      const timer = { dueMs: elapsedMs + delayMs, callback };
      timers.push(timer);
      return {
        cancel: () => {
          timers = timers.filter((other) => other !== timer);
        },
      };
    },
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const timer = clock.setTimer(resolve, delayMs);
        signal?.addEventListener(
          'abort',
          () => {
            timer.cancel();
            reject(signal.reason);
          },
          { once: true },
        );
      }),
    advance: async (byMs) => {
      const untilMs = elapsedMs + byMs;
      await settle();
      for (;;) {
        const next = timers.filter((t) => t.dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
        if (!next) break;
        timers = timers.filter((t) => t !== next);
        elapsedMs = Math.max(elapsedMs, next.dueMs);
        next.callback();
        await settle();
      }
      elapsedMs = untilMs;
      await settle();
    },
  };
  return clock;
}
