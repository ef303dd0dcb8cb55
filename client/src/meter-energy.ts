/**
 * The energy of the candidate's sound from the level meter, for browsers whose statistics do not contain it (Firefox and
 * Safari). The meter shows moments, so it is read ten times a second. A page in the background is woken less often: then each
 * reading counts for at most a second.
 */
export interface MeterEnergy {
  /** Sum since the first reading, in the unit of the statistic `totalAudioEnergy`. */
  readonly total: number;
  stop(): void;
}

const readMs = 100;
const longestS = 1;

/** @param level root mean square of the sound now, 0–1 */
export function createMeterEnergy(level: () => number, now: () => number): MeterEnergy {
  let total = 0;
  let lastMs = now();
  const timer = setInterval(() => {
    const ms = now();
    total += level() ** 2 * Math.min(longestS, (ms - lastMs) / 1_000);
    lastMs = ms;
  }, readMs);
  return {
    get total() {
      return total;
    },
    stop: () => clearInterval(timer),
  };
}
