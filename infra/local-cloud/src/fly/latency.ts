/**
 * The platform's latencies. The numbers are medians of published measurements (alpine, 256 MB: create →
 * started 2.8–4.2 s; start of a stopped machine about 1 s), multiplied by a skewed random factor.
 */
export type LatencyName = 'zero' | 'documented' | 'documented-slow-first-start';

export interface Latency {
  readonly name: LatencyName;
  /** Until the API answers a create. */
  createAnswerMs(): number;
  /** Reserving, pulling and unpacking: the time in `created`. */
  prepareMs(): number;
  /** `starting` → `started` after a create, or of a machine that has run before. */
  bootMs(): number;
  /** `starting` → `started` of a machine that was created with `skip_launch` and has never run. */
  firstStartMs(): number;
  /** Until any other mutating call is answered. */
  answerMs(): number;
  /** How long after `stopped` a start is refused with "machine still active". */
  stillActiveMs(): number;
  /** `destroying` → `destroyed`, after the guest has ended. */
  destroyMs(): number;
  /**
   * From `started` until the proxies route to the machine. No number is published; a quarter of a second is
   * assumed.
   */
  routeMs(): number;
}

/**
 * A right-skewed factor between 0.9 and about 1.5 with median 1: most values are near it, a few are much
 * larger.
 */
const skewed = (random: () => number) => 0.9 + 0.1 * (random() * 2) ** 2.6;

export function createLatency(name: LatencyName, random: () => number = Math.random): Latency {
  if (name === 'zero') {
    const none = () => 0;
    return {
      name,
      createAnswerMs: none,
      prepareMs: none,
      bootMs: none,
      firstStartMs: none,
      answerMs: none,
      stillActiveMs: none,
      destroyMs: none,
      routeMs: none,
    };
  }
  const about = (medianMs: number) => () => Math.round(medianMs * skewed(random));
  return {
    name,
    createAnswerMs: about(250),
    prepareMs: about(1_750),
    bootMs: about(1_000),
    firstStartMs: about(name === 'documented-slow-first-start' ? 2_750 : 1_000),
    answerMs: about(40),
    stillActiveMs: about(400),
    destroyMs: about(300),
    routeMs: about(250),
  };
}
