import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Replaces a call before the provider ends it at 60 minutes. The browser is asked for a new call when the
 * interviewer has finished a turn, or after `patienceMs` without such a moment.
 */
export interface Rollover {
  /** A call has begun: its age is counted from now. */
  callUp(): void;
  /** The interviewer's turn was played to its end. */
  turnOver(): void;
  stop(): void;
}

const patienceMs = 120_000;

export function createRollover({ clock, ageMs, onDue }: { clock: Clock; ageMs: number; onDue(): void }): Rollover {
  let timer: Timer | undefined;
  let due = false;
  const stop = () => {
    timer?.cancel();
    due = false;
  };
  const fire = () => {
    stop();
    onDue();
  };
  return {
    callUp: () => {
      stop();
      timer = clock.setTimer(() => {
        due = true;
        timer = clock.setTimer(fire, patienceMs);
      }, ageMs);
    },
    turnOver: () => {
      if (due) fire();
    },
    stop,
  };
}
