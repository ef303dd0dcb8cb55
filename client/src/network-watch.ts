import type { Measurements, MeasurementsDeps } from './measurements.ts';
import type { CallPeer } from './types.ts';

/** Measures the call that is up every two seconds. What follows from it is loaded with the first measurement. */
export interface NetworkWatch {
  start(): void;
  /** The provider notices the candidate's speech. */
  heard(): void;
  stop(): void;
}

export interface NetworkWatchDeps extends MeasurementsDeps {
  /** The peer of the call that is up. */
  peer(): CallPeer | undefined;
}

const measureMs = 2_000;

export function createNetworkWatch(deps: NetworkWatchDeps): NetworkWatch {
  const { peer } = deps;
  let measurements: Measurements | undefined;
  let isHeard = false;
  let timer: ReturnType<typeof setInterval> | undefined;

  const once = async () => {
    const of = peer();
    if (!of) return;
    const [stats, { createMeasurements }] = await Promise.all([of.stats?.(), import('./measurements.ts')]);
    if (!stats || of !== peer()) return;
    measurements ??= createMeasurements(deps);
    measurements.take(of, stats, isHeard);
    isHeard = false;
  };
  return {
    start: () => {
      timer = setInterval(() => void once().catch(() => undefined), measureMs);
    },
    heard: () => {
      isHeard = true;
    },
    stop: () => {
      clearInterval(timer);
      measurements?.stop();
    },
  };
}
