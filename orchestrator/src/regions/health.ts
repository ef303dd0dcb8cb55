import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { currentRegion, type Region, regions } from './regions.ts';

/**
 * Recent experience of this orchestrator with each region: capacity refusals, and the duration of creates.
 *
 * - Values decay: a region that is no longer tried counts as healthy after a few half-lives.
 * - A refusal closes a region for about a minute, several refusals for longer. One success opens it again.
 * - It is kept in memory. It only orders choices, and each orchestrator learns the same from Fly with its next request.
 */
export interface RegionHealth {
  /** Fly had no capacity or no quota there. */
  refused(region: string): void;
  /** Fly created a machine there. `tookMs`: from the request to the answer. */
  served(region: string, tookMs: number): void;
  isClosed(region: string): boolean;
  /** Replaces the regions that operators drained. They count as closed. */
  drain(regions: readonly string[]): void;
  /** Distance that is added to the region because it is slow, km. */
  handicapKm(region: string): number;
  /** For operators: every region with recent refusals or slow creates. */
  snapshot(): RegionState[];
}

export interface RegionState {
  region: Region;
  closed: boolean;
  /** Decayed count of refusals. */
  refusals: number;
  /** Decaying average of the duration of creates, ms. Null if there was none recently. */
  createMs: number | null;
}

interface Score {
  refusals: number;
  atMs: number;
  createMs: number;
  seenMs: number;
}

const refusalHalfLifeMs = 60_000;
/** A region is open below this value. One refusal decays to it in 60 s, two in 120 s. */
const closedAbove = 0.5;
const successKeeps = 0.25;
const latencyWeight = 0.2;
const latencyHalfLifeMs = 300_000;
/** A healthy create is answered in 0.25 s. Each additional second counts like this distance. */
const normalCreateMs = 1_000;
const kmPerSecond = 500;
const maxHandicapKm = 3_000;

const decayed = (value: number, ageMs: number, halfLifeMs: number): number => value * 0.5 ** (ageMs / halfLifeMs);

export function createRegionHealth(clock: Pick<Clock, 'monotonicMs'>): RegionHealth {
  const scores = new Map<Region, Score>();
  let drained: ReadonlySet<string> = new Set();

  const scoreOf = (code: string): Score | undefined => {
    const region = currentRegion(code);
    if (region === undefined) return undefined;
    const score = scores.get(region) ?? { refusals: 0, atMs: 0, createMs: 0, seenMs: Number.NEGATIVE_INFINITY };
    scores.set(region, score);
    const nowMs = clock.monotonicMs();
    score.refusals = decayed(score.refusals, nowMs - score.atMs, refusalHalfLifeMs);
    score.atMs = nowMs;
    return score;
  };

  const isClosed = (region: string): boolean => drained.has(region) || (scoreOf(region)?.refusals ?? 0) > closedAbove;

  const handicapKm = (region: string): number => {
    const score = scoreOf(region);
    if (score === undefined || score.createMs <= normalCreateMs) return 0;
    const km = Math.min(maxHandicapKm, ((score.createMs - normalCreateMs) / 1_000) * kmPerSecond);
    return decayed(km, score.atMs - score.seenMs, latencyHalfLifeMs);
  };

  return {
    isClosed,
    drain: (regions) => {
      drained = new Set(regions);
    },
    handicapKm,
    refused: (region) => {
      const score = scoreOf(region);
      if (score) score.refusals += 1;
    },
    served: (region, tookMs) => {
      const score = scoreOf(region);
      if (!score) return;
      score.refusals *= successKeeps;
      const fresh = score.atMs - score.seenMs < 4 * latencyHalfLifeMs;
      score.createMs = fresh ? score.createMs + latencyWeight * (tookMs - score.createMs) : tookMs;
      score.seenMs = score.atMs;
    },
    snapshot: () =>
      regions.flatMap((region) => {
        if (!scores.has(region)) return [];
        const { refusals, createMs, seenMs } = scoreOf(region) as Score;
        return [
          {
            region,
            closed: isClosed(region),
            refusals,
            createMs: Number.isFinite(seenMs) ? Math.round(createMs) : null,
          },
        ];
      }),
  };
}
