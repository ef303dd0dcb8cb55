import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Judges how long a call may go without its sideband: without one there is no trusted transcript, and the interviewer can
 * neither begin nor end. A call that stays deaf for `lostMs` is given up for another, which may be heard again.
 *
 * W1  After `maxGivenUp` calls in a row were given up, no other is tried: the conversation goes on with the candidate's
 *     copies, which is better than being torn down again and again.
 */
export interface SidebandWatch {
  /** The sideband of the call under way is missing: not attached yet, or lost. */
  missing(): void;
  attached(): void;
  stop(): void;
}

export interface SidebandWatchDeps {
  clock: Clock;
  lostMs: number;
  /** Give this call up for another. */
  onLost(): void;
  /** W1. */
  onHopeless(): void;
}

const maxGivenUp = 2;

export function createSidebandWatch({ clock, lostMs, onLost, onHopeless }: SidebandWatchDeps): SidebandWatch {
  let timer: Timer | undefined;
  let givenUp = 0;
  const stop = () => {
    timer?.cancel();
    timer = undefined;
  };
  const fire = () => {
    timer = undefined;
    givenUp += 1;
    if (givenUp <= maxGivenUp) onLost();
    else if (givenUp === maxGivenUp + 1) onHopeless();
  };
  return {
    missing: () => {
      timer ??= clock.setTimer(fire, lostMs);
    },
    attached: () => {
      stop();
      givenUp = 0;
    },
    stop,
  };
}
