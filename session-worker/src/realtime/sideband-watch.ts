import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Limits how long a call may go without its sideband: until it is back there is no trusted transcript, and
 * the interviewer can neither begin nor end. A call without a sideband for `lostMs` is replaced by a new one.
 *
 * After `maxGivenUp` replaced calls in a row no other is tried: the conversation continues with the browser's
 * copies, which is better than interrupting it again and again.
 */
export interface SidebandWatch {
  /** The current call has no sideband: it is not attached yet, or was lost. */
  missing(): void;
  attached(): void;
  stop(): void;
}

export interface SidebandWatchDeps {
  clock: Clock;
  lostMs: number;
  /** Replace this call. */
  onLost(): void;
  /** Another new call would not help. */
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
