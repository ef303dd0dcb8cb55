import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { currentRegion, type Region, regions } from './regions.ts';

/**
 * What this orchestrator has lately seen of each region: refusals for want of room, and how long creates took.
 *
 * H1  Everything decays: a region that nobody tries any more is as good as new after a few half-lives.
 * H2  A refusal closes a region for about a minute, several for longer; one success opens it again.
 * H3  It lives in the process: it only orders choices, and each orchestrator learns the same from Fly within a request.
 */
export interface RegionHealth {
  /** Fly had no room, or no quota, there. */
  refused(region: string): void;
  /** Fly made a machine there; `tookMs` from asking to its answer. */
  served(region: string, tookMs: number): void;
  isClosed(region: string): boolean;
  /** How much farther away the region should count because it is slow, km. */
  handicapKm(region: string): number;
  /** For operators: every region that is not as good as new. */
  snapshot(): RegionState[];
}

export interface RegionState {
  region: Region;
  closed: boolean;
  /** Decayed count of refusals. */
  refusals: number;
  /** Decayed mean of what creates took, ms; null when none was seen lately. */
  createMs: number | null;
}

interface Score {
  refusals: number;
  atMs: number;
  createMs: number;
  seenMs: number;
}

const refusalHalfLifeMs = 60_000;
/** One refusal reaches this after 60 s, two after 120 s. */
const closedAbove = 0.5;
const successKeeps = 0.25;
const latencyWeight = 0.2;
const latencyHalfLifeMs = 300_000;
/** Creates answer in a quarter of a second where nothing is wrong; a second more counts like this much way. */
const normalCreateMs = 1_000;
const kmPerSecond = 500;
const maxHandicapKm = 3_000;

const decayed = (value: number, ageMs: number, halfLifeMs: number): number => value * 0.5 ** (ageMs / halfLifeMs);

export function createRegionHealth(clock: Pick<Clock, 'monotonicMs'>): RegionHealth {
  const scores = new Map<Region, Score>();

  const scoreOf = (code: string): Score | undefined => {
    const region = currentRegion(code);
    if (region === undefined) return undefined;
    const score = scores.get(region) ?? { refusals: 0, atMs: 0, createMs: 0, seenMs: Number.NEGATIVE_INFINITY };
    scores.set(region, score);
    const nowMs = clock.monotonicMs();
    score.refusals = decayed(score.refusals, nowMs - score.atMs, refusalHalfLifeMs); // H1
    score.atMs = nowMs;
    return score;
  };

  const isClosed = (region: string): boolean => (scoreOf(region)?.refusals ?? 0) > closedAbove;

  const handicapKm = (region: string): number => {
    const score = scoreOf(region);
    if (score === undefined || score.createMs <= normalCreateMs) return 0;
    const km = Math.min(maxHandicapKm, ((score.createMs - normalCreateMs) / 1_000) * kmPerSecond);
    return decayed(km, score.atMs - score.seenMs, latencyHalfLifeMs);
  };

  return {
    isClosed,
    handicapKm,
    refused: (region) => {
      const score = scoreOf(region);
      if (score) score.refusals += 1;
    },
    served: (region, tookMs) => {
      const score = scoreOf(region);
      if (!score) return;
      score.refusals *= successKeeps; // H2
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
