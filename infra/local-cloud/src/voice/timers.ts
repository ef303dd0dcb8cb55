import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/** Timers that belong together and can be cancelled together. */
export interface Timers {
  after(delayMs: number, work: () => void): Timer;
  cancelAll(): void;
}

export function createTimers(clock: Clock): Timers {
  const timers = new Set<Timer>();
  return {
    after: (delayMs, work) => {
      const timer = clock.setTimer(() => {
        timers.delete(timer);
        work();
      }, delayMs);
      timers.add(timer);
      return timer;
    },
    cancelAll: () => {
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
