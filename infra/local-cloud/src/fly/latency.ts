/**
 * How long the platform takes. Numbers are medians of published measurements (alpine, 256 MB: create → started
 * 2.8–4.2 s; start of a stopped machine about 1 s); each draw is spread around its median by a skewed factor.
 */
export type LatencyName = 'zero' | 'documented' | 'documented-slow-first-start';

export interface Latency {
  readonly name: LatencyName;
  /** Before the API answers a create. */
  createAnswerMs(): number;
  /** Reserve, pull and unpack, spent in `created`. */
  prepareMs(): number;
  /** `starting` → `started` after a create or of a machine that ran before. */
  bootMs(): number;
  /** `starting` → `started` of a machine created with `skip_launch` and never run. */
  firstStartMs(): number;
  /** Before any other mutating call answers. */
  answerMs(): number;
  /** After `stopped`, how long a start is answered "machine still active". */
  stillActiveMs(): number;
  /** `destroying` → `destroyed`, after the guest is gone. */
  destroyMs(): number;
  /** From `started` until the proxies route to it. No number is published: taken for a quarter of a second. */
  routeMs(): number;
}

/** Right-skewed factor, 0.9 … about 1.5, median 1: most are near the median and a few are much slower. */
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
