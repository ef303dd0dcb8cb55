/**
 * What the simulation takes for granted, each with where it comes from. Times in seconds.
 *
 * Fly: the Machines API documentation (limits), published measurements of a 256 MB machine (create → started 2.8–4.2 s,
 * start of a stopped machine about 1 s), reports of rare machines that stay in `created`. Ours: `bench worker`.
 */
export const assumptions = {
  /** Creates a second and app, and how many at once. Documented. */
  createsPerSecond: 1,
  createBurst: 3,
  /** POST answered, standby machine assigned, start asked for. */
  acceptS: 0.03,
  createAnswerS: 0.25,
  /** Reserve, pull, unpack. */
  prepareS: 1.75,
  bootS: 1,
  /** First start of a machine created with skip_launch: unconfirmed, so the simulation can take the slow figure too. */
  firstStartS: 1,
  slowFirstStartS: 2.75,
  /** The worker, from its process' start to its claim. */
  workerS: 0.35,
  /** Share of creates that land on a host without the image, and what that adds at the median. */
  coldHostShare: 0.05,
  coldHostS: 8,
  /** Share of creates that stay in `created`; a hedge is made after 45 s. */
  stuckShare: 0.0002,
  hedgeAfterS: 45,
  /** Share of creates and starts refused for want of room, in regions said to be tight and in others. */
  refusedTight: 0.01,
  refused: 0.001,
  tightRegions: ['sjc', 'gru', 'bom'],
  /** What a refusal costs before the next try. */
  refusalS: 0.3,
  /** An interview's machine runs this long. */
  interviewS: 1_800,
} as const;

/** Right-skewed factor with median about 1: most are near it, a few are much slower. */
export const skewed = (random: () => number): number => 0.9 + 0.1 * (random() * 2) ** 2.6;

/** mulberry32: the same seed, the same day. */
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

/** How many of a Poisson process arrive. */
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
