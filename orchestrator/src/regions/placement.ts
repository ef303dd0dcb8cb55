import { countryCoordinates } from './countries.ts';
import type { RegionHealth } from './health.ts';
import { byDistance, type Coordinates, currentRegion, type Region } from './regions.ts';

/**
 * Where a session's machine should run: the regions in the order in which they are tried, and why the first is the first.
 *
 * L1  The order is: what was wished, nearest first; then everything else by distance from it. A tenant's own list of
 *     regions is never left.
 * L2  A region that lately had no room comes last, a slow one counts as farther away; none is left out, because what is
 *     known of a region may be old.
 * L3  Codes that Fly has removed stand for the region that replaced them.
 */
export type Wish =
  /** In order of preference. */
  | { kind: 'regions'; codes: readonly string[] }
  | { kind: 'coordinates'; at: Coordinates }
  /** ISO 3166-1 alpha-2, upper case. */
  | { kind: 'country'; code: string }
  /** Nothing was said: the edge region that took the request decides, as Fly's proxy names it. */
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
 * Why a session runs where it runs. `requested`, `coordinates`, `country`: nearest to what was asked for; `edge`: nearest
 * to where the request came in; `default`: nothing was known; `health`: nearer ones lately had no room or were slow;
 * `standby`: a standby machine was ready there and none nearer; `capacity`: nearer ones refused this very session.
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
  /** In the order in which they should be tried. Empty when the tenant may use no region that exists. */
  regions: Region[];
  reason: RegionReason;
  /** Every one of them lately had no room: only a standby machine can be hoped for. */
  allClosed: boolean;
}

const healthy: Pick<RegionHealth, 'isClosed' | 'handicapKm'> = { isClosed: () => false, handicapKm: () => 0 };

const known = (codes: readonly string[]): Region[] => [
  ...new Set(codes.map(currentRegion).filter((region): region is Region => region !== undefined)), // L3
];

/** Where distance is measured from, what goes before distance, and the word for it. */
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
  const within = (region: Region): boolean => permitted === undefined || permitted.has(region); // L1
  const wanted = [...new Set([...first, ...byDistance(from)])].filter(within);
  const ordered = [...new Set([...first, ...byDistance(from, health.handicapKm)])].filter(within);
  const open = ordered.filter((region) => !health.isClosed(region));
  const regions = [...open, ...ordered.filter((region) => !open.includes(region))]; // L2
  return { regions, reason: regions[0] === wanted[0] ? reason : 'health', allClosed: open.length === 0 };
}

/** Regions in the order in which they should be tried: the wanted ones, then all others by distance from the first. */
export const orderedRegions = (wanted: readonly string[], allowed: readonly string[] | null): string[] =>
  known(wanted).length === 0
    ? []
    : placeSession({ wish: { kind: 'regions', codes: wanted }, defaultRegion: 'iad', allowed }).regions;

/** The next region to try after these, or undefined when all have been. */
export const nextRegion = (
  wanted: readonly string[],
  tried: readonly string[],
  allowed: readonly string[] | null,
): string | undefined => orderedRegions(wanted, allowed).find((region) => !tried.includes(region));
