/**
 * Measures, for tests, how the time of some work grows with the size of its input.
 *
 * The result is the smallest of five runs, and for each run the smaller of elapsed time and CPU time, so that
 * other load on the machine does not count.
 */
export interface GrowthOptions {
  /** The first size to measure. Default 512. */
  from?: number;
  /** The largest size. The size is doubled until it exceeds this. */
  to: number;
  /** How many times longer the work may take for twice the input. Default 2.5. */
  maxRatio?: number;
}

const runs = 5;
/** Below this time a ratio is not meaningful, ms. */
const floorMs = 5;
const tooLongMs = 1_000;
const retries = 8;

function leastMs(work: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs && least > 0; run += 1) {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, performance.now() - startedMs, (user + system) / 1_000);
    if (least > tooLongMs) break;
  }
  return least;
}

/**
 * The first doubling that took too long, as a sentence; undefined when there is none. The doubling before it must have been
 * steep too, taken together: when a text outgrows a cache of the processor, a single doubling is steep although the
 * work is linear.
 * @param prepare makes the input of a size; its time does not count. @returns the work to measure, which can be repeated
 */
export function firstSteepDoubling(
  prepare: (size: number) => () => unknown,
  { from = 512, to, maxRatio = 2.5 }: GrowthOptions,
): string | undefined {
  const grew = (size: number, left: number): string | undefined => {
    const [half, whole] = [leastMs(prepare(size / 2)), leastMs(prepare(size))];
    if (whole <= floorMs || whole <= half * maxRatio) return undefined;
    if (whole <= leastMs(prepare(size / 4)) * maxRatio ** 2) return undefined;
    if (left > 0 && whole < tooLongMs) return grew(size, left - 1);
    return `${size / 2} → ${size}: ${half.toFixed(1)} → ${whole.toFixed(1)} ms`;
  };
  for (let size = from; size <= to; size *= 2) {
    const found = grew(size, retries);
    if (found !== undefined) return found;
  }
  return undefined;
}
