/**
 * The simulation's assumptions and their sources. Times in seconds.
 *
 * Fly: the Machines API documentation (limits), published measurements of a 256 MB machine (create → started
 * 2.8–4.2 s, start of a stopped machine about 1 s), reports of rare machines that stay in `created`. Ours:
 * `bench worker`.
 */
export const assumptions = {
  /** Fly's documented create limit per app: requests per second, and burst. */
  createsPerSecond: 1,
  createBurst: 3,
  /** Time until the POST is answered, a standby machine assigned and its start requested. */
  acceptS: 0.03,
  createAnswerS: 0.25,
  /** Time to reserve a host, pull the image and unpack it. */
  prepareS: 1.75,
  bootS: 1,
  /** First start of a machine created with skip_launch. Not confirmed on real Fly, so there is a pessimistic figure too. */
  firstStartS: 1,
  slowFirstStartS: 2.75,
  /** Time from the start of the worker's process to its claim. */
  workerS: 0.35,
  /** Share of creates on a host without the image, and the median time that this adds. */
  coldHostShare: 0.05,
  coldHostS: 8,
  /** Share of creates that stay in `created`. A hedge starts after 45 s. */
  stuckShare: 0.0002,
  hedgeAfterS: 45,
  /** Share of creates and starts that are refused because the host or region is full: in tight regions and in others. */
  refusedTight: 0.01,
  refused: 0.001,
  tightRegions: ['sjc', 'gru', 'bom'],
  /** Time that a refusal costs before the next try. */
  refusalS: 0.3,
  /** Running time of an interview's machine. */
  interviewS: 1_800,
} as const;

/** A right-skewed factor with a median of about 1: most values are near 1, a few are much larger. */
export const skewed = (random: () => number): number => 0.9 + 0.1 * (random() * 2) ** 2.6;

/** mulberry32: the same seed gives the same day. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Number of arrivals of a Poisson process. */
export function poisson(mean: number, random: () => number): number {
  if (mean > 50)
    return Math.max(
      0,
      Math.round(
        mean + Math.sqrt(mean) * Math.sqrt(-2 * Math.log(random() || 1e-12)) * Math.cos(2 * Math.PI * random()),
      ),
    );
  const limit = Math.exp(-mean);
  let product = random();
  let count = 0;
  for (; product > limit; count += 1) product *= random();
  return count;
}
