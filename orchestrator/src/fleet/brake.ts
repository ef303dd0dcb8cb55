import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';

/**
 * Prevents wrong data (a wrong list, a false 404) from ending many machines at once.
 *
 * - Every end of a machine in use counts, whichever component decides it: destroying it, recording that Fly no
 *   longer has it, and giving it up because no browser reaches it. Ends that were already decided do not count
 *   (see `braked` in judge.ts).
 * - If more doubtful ends than the limit fall into one window, none of them happens, an alarm is raised, and
 *   the next tick judges again. A machine that Fly reports as `destroyed` is counted but always recorded:
 *   keeping its row would not bring it back.
 */
export interface Brake {
  /** Sets the number of machines, as read from the rows last. */
  know(machines: number): void;
  /**
   * Counts `certain` ends, which happen in any case, and admits either all `doubtful` ends or none. Admitted
   * ends are counted.
   */
  admits(doubtful: number, certain?: number): boolean;
  /** The most ends that it admits within one window. */
  readonly ceiling: number;
  /** True if not even one more doubtful end would be admitted now. */
  readonly holds: boolean;
}

export interface BrakeDeps {
  clock: Pick<Clock, 'monotonicMs'>;
  /** Ends within this time are counted together, ms: one reconcile tick. */
  windowMs: number;
  logger: Logger;
  /** Called each time ends are refused. @default none */
  onHeld?: () => void;
}

/** The most machines that may be ended within one window. */
export const brakeLimit = (machines: number): number => Math.max(5, Math.floor(machines * 0.05));

export function createBrake({ clock, windowMs, logger, onHeld = () => undefined }: BrakeDeps): Brake {
  let known = 0;
  let ends: Array<{ atMs: number; count: number }> = [];

  const recent = (): number => {
    const sinceMs = clock.monotonicMs() - windowMs;
    ends = ends.filter(({ atMs }) => atMs > sinceMs);
    return ends.reduce((sum, { count }) => sum + count, 0);
  };
  const note = (count: number): void => {
    if (count > 0) ends.push({ atMs: clock.monotonicMs(), count });
  };

  return {
    know: (machines) => {
      known = machines;
    },
    get ceiling() {
      return brakeLimit(known);
    },
    get holds() {
      return recent() >= brakeLimit(known);
    },
    admits: (doubtful, certain = 0) => {
      const count = recent() + doubtful + certain;
      const ceiling = brakeLimit(known);
      const admitted = doubtful === 0 || count <= ceiling;
      note(certain + (admitted ? doubtful : 0));
      if (!admitted) {
        onHeld();
        logger.error({ count, ceiling }, 'the destruction brake holds: an operator must look');
      }
      return admitted;
    },
  };
}
