import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';

/**
 * Stops a wrong view of the world from ending many machines at once.
 *
 * Z1  Everything that ends a machine in use counts, whoever does it: destroying it, recording that Fly has it no more, and
 *     giving it up because no browser reaches it. Ends that were decided before do not count (judge.ts, J4).
 * Z2  When more would be ended within one window than the limit, none of those is, an alarm is raised, and the next tick
 *     looks again. What Fly itself calls destroyed is counted and recorded all the same: keeping the row would not bring
 *     the machine back.
 */
export interface Brake {
  /** How many machines there are, as of the last look at the rows. */
  know(machines: number): void;
  /**
   * Counts `certain` ends, which happen anyway, and admits or refuses `doubtful` ones, all of them or none. Those that are
   * admitted are counted.
   */
  admits(doubtful: number, certain?: number): boolean;
  /** Whether not even one more doubtful end would be admitted now. */
  readonly holds: boolean;
}

export interface BrakeDeps {
  clock: Pick<Clock, 'monotonicMs'>;
  /** Ends this far apart do not count together, ms: one reconcile tick. */
  windowMs: number;
  logger: Logger;
}

/** The most machines that may be ended within one window. */
export const brakeLimit = (machines: number): number => Math.max(5, Math.floor(machines * 0.05));

export function createBrake({ clock, windowMs, logger }: BrakeDeps): Brake {
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
    get holds() {
      return recent() >= brakeLimit(known);
    },
    admits: (doubtful, certain = 0) => {
      const count = recent() + doubtful + certain;
      const ceiling = brakeLimit(known);
      const admitted = doubtful === 0 || count <= ceiling;
      note(certain + (admitted ? doubtful : 0));
      if (!admitted) logger.error({ count, ceiling }, 'the destruction brake holds: an operator must look'); // Z2
      return admitted;
    },
  };
}
