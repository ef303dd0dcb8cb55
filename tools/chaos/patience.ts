/**
 * Ends a campaign by its progress, not by the clock: a busy machine needs longer and is still right. Everybody waits until
 * nothing has happened anywhere for `limitMs`.
 */
export interface Patience {
  /** Something happened. */
  touch(): void;
  /** Nothing has happened for the limit, or the campaign has lasted its maximum. */
  readonly over: boolean;
}

/** @param maxMs the longest that a campaign may last, however much happens */
export function createPatience(
  limitMs: number,
  maxMs: number,
  nowMs: () => number = () => performance.now(),
): Patience {
  const startedMs = nowMs();
  let touchedMs = startedMs;
  return {
    touch: () => {
      touchedMs = nowMs();
    },
    get over() {
      return nowMs() - touchedMs > limitMs || nowMs() - startedMs > maxMs;
    },
  };
}
