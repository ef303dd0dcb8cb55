import { byDistance, currentRegion, isRegion, type Region } from './regions.ts';

/** Where a session's machine should run, and why there. */
export interface Placement {
  region: string;
  reason: 'requested' | 'edge' | 'default';
}

export interface PlacementRequest {
  /** Regions the platform asked for, in order. */
  requested: readonly string[];
  /** The edge region that accepted the request, as Fly's proxy names it. */
  edgeRegion: string | undefined;
  defaultRegion: string;
  /** Regions the tenant may use; null: any. */
  allowed: readonly string[] | null;
}

/** Regions in the order in which they should be tried: the wanted ones, then all others by distance from the first. */
export function orderedRegions(wanted: readonly string[], allowed: readonly string[] | null): string[] {
  const known = wanted.map(currentRegion).filter((region): region is Region => region !== undefined);
  const first = known[0];
  const all = first === undefined ? [] : [...new Set([...known, ...byDistance(first)])];
  return all.filter((region) => allowed === null || allowed.includes(region));
}

/** The first region to try. Falls back to an allowed one when nothing wanted is allowed. */
export function placeSession({ requested, edgeRegion, defaultRegion, allowed }: PlacementRequest): Placement {
  const edge = edgeRegion === undefined ? undefined : currentRegion(edgeRegion);
  const wanted = requested.length > 0 ? requested : [edge ?? defaultRegion];
  const region = orderedRegions(wanted, allowed)[0] ?? allowed?.find(isRegion) ?? defaultRegion;
  if (requested.includes(region)) return { region, reason: 'requested' };
  return { region, reason: requested.length === 0 && edge !== undefined ? 'edge' : 'default' };
}

/** The next region to try after these, or undefined when all have been. */
export const nextRegion = (
  wanted: readonly string[],
  tried: readonly string[],
  allowed: readonly string[] | null,
): string | undefined => orderedRegions(wanted, allowed).find((region) => !tried.includes(region));
