import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * The orchestrators' time. Tokens expire by it and the interview ends by it, because the wall clock of a VM may be wrong or
 * jump. Each claim and heartbeat sets it; in between the monotonic clock counts.
 */
export interface SharedTime {
  /** Unix ms. This VM's own time until an orchestrator has told its own. */
  now(): number;
  /** @param nowMs what an orchestrator has just answered; an older orchestrator does not */
  heard(nowMs: number | undefined): void;
}

export function createSharedTime(clock: Pick<Clock, 'now' | 'monotonicMs'>): SharedTime {
  let zeroMs: number | undefined;
  return {
    now: () => (zeroMs === undefined ? clock.now() : zeroMs + clock.monotonicMs()),
    heard: (nowMs) => {
      if (nowMs !== undefined) zeroMs = nowMs - clock.monotonicMs();
    },
  };
}
