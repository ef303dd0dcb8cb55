/** The source of time: wall clock for timestamps, monotonic clock for durations, and timers that a test can control. */
export interface Clock {
  /** Wall-clock time, Unix milliseconds. */
  now(): number;
  /** Monotonic milliseconds. Only differences are meaningful. */
  monotonicMs(): number;
  setTimer(callback: () => void, delayMs: number): Timer;
  /** Resolves after `delayMs`, or rejects with the signal's reason. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Timer {
  cancel(): void;
}

/** A longer delay would overflow to 1 ms in Node. */
const longestDelayMs = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (callback, delayMs) => {
    const handle = setTimeout(callback, Math.min(delayMs, longestDelayMs));
    return { cancel: () => clearTimeout(handle) };
  },
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(handle);
        reject(signal?.reason);
      };
      const handle = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        Math.min(delayMs, longestDelayMs),
      );
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};
