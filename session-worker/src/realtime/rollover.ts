import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * The provider ends every call at 60 minutes. Before that, at a turn boundary (the interviewer has just been heard to its
 * end), the browser is asked for another call; when no boundary comes for `patienceMs`, without one.
 */
export interface Rollover {
  /** A call has begun: its age counts from now. */
  callUp(): void;
  /** The interviewer has been heard to the end of its turn. */
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
