import { countryCoordinates } from './countries.ts';
import type { RegionHealth } from './health.ts';
import { byDistance, type Coordinates, currentRegion, type Region } from './regions.ts';

/**
 * Chooses the regions for a session's machine, in the order in which they are tried, and the reason for the first.
 *
 * - Requested regions come first, then all others by distance. Regions outside the tenant's list are never used.
 * - A region that was recently full comes last, and a slow one counts as farther away. None is left out, because the knowledge
 *   about a region may be outdated.
 * - A code that Fly has removed stands for the region that replaced it.
 */
export type Wish =
  /** In order of preference. */
  | { kind: 'regions'; codes: readonly string[] }
  | { kind: 'coordinates'; at: Coordinates }
  /** ISO 3166-1 alpha-2, upper case. */
  | { kind: 'country'; code: string }
  /** The edge region that received the request, as Fly's proxy names it. Used if no place was requested. */
  | { kind: 'none'; edgeRegion: string | undefined };

export const regionReasons = [
  'requested',
  'coordinates',
  'country',
  'edge',
  'default',
  'health',
  'standby',
  'capacity',
] as const;
/**
 * Why a session runs in its region. `requested`, `coordinates`, `country`: nearest to the requested place. `edge`: nearest to the
 * edge region of the request. `default`: no place was known. `health`: nearer regions were recently full or slow. `standby`:
 * nearest region with a standby machine. `capacity`: nearer regions refused this session.
 */
export type RegionReason = (typeof regionReasons)[number];

export interface PlacementRequest {
  wish: Wish;
  defaultRegion: string;
  /** Regions the tenant may use; null: any. */
  allowed: readonly string[] | null;
  health?: Pick<RegionHealth, 'isClosed' | 'handicapKm'>;
}

export interface Placement {
  /** In the order in which they are tried. Empty if none of the tenant's regions exists. */
  regions: Region[];
  reason: RegionReason;
  /** All of them were recently full: only a standby machine can serve the session. */
  allClosed: boolean;
}

const healthy: Pick<RegionHealth, 'isClosed' | 'handicapKm'> = { isClosed: () => false, handicapKm: () => 0 };

const known = (codes: readonly string[]): Region[] => [
  ...new Set(codes.map(currentRegion).filter((region): region is Region => region !== undefined)),
];

/** The place from which distance is measured, the regions that come before all others, and the reason. */
interface Centre {
  first: Region[];
  from: Region | Coordinates;
  reason: RegionReason;
}

function centreOf(wish: Wish, defaultRegion: string): Centre {
  const fallback: Centre = { first: [], from: currentRegion(defaultRegion) ?? 'iad', reason: 'default' };
  switch (wish.kind) {
    case 'regions': {
      const first = known(wish.codes);
      return first[0] === undefined ? fallback : { first, from: first[0], reason: 'requested' };
    }
    case 'coordinates':
      return { first: [], from: wish.at, reason: 'coordinates' };
    case 'country': {
      const at = countryCoordinates(wish.code);
      return at === undefined ? fallback : { first: [], from: at, reason: 'country' };
    }
    case 'none': {
      const edge = wish.edgeRegion === undefined ? undefined : currentRegion(wish.edgeRegion);
      return edge === undefined ? fallback : { first: [], from: edge, reason: 'edge' };
    }
  }
}

/** Pure. */
export function placeSession({ wish, defaultRegion, allowed, health = healthy }: PlacementRequest): Placement {
  const { first, from, reason } = centreOf(wish, defaultRegion);
  const permitted = allowed === null ? undefined : new Set(known(allowed));
  const within = (region: Region): boolean => permitted === undefined || permitted.has(region);
  const wanted = [...new Set([...first, ...byDistance(from)])].filter(within);
  const ordered = [...new Set([...first, ...byDistance(from, health.handicapKm)])].filter(within);
  const open = ordered.filter((region) => !health.isClosed(region));
  const regions = [...open, ...ordered.filter((region) => !open.includes(region))];
  return { regions, reason: regions[0] === wanted[0] ? reason : 'health', allClosed: open.length === 0 };
}

/** Regions in the order in which they are tried: the wanted ones, then all others by distance from the first. */
export const orderedRegions = (wanted: readonly string[], allowed: readonly string[] | null): string[] =>
  known(wanted).length === 0
    ? []
    : placeSession({ wish: { kind: 'regions', codes: wanted }, defaultRegion: 'iad', allowed }).regions;

/** The next region to try after these; undefined if all were tried. */
export const nextRegion = (
  wanted: readonly string[],
  tried: readonly string[],
  allowed: readonly string[] | null,
): string | undefined => orderedRegions(wanted, allowed).find((region) => !tried.includes(region));
