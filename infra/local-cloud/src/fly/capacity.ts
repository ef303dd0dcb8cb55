/**
 * Capacity per region, and the platform's refusals when there is none.
 *
 * A fault can select one of these refusals by name: `{ kind: 'special', name: 'host_memory' }`.
 */
import { type ApiError, apiError } from './api-error.ts';

export const CAPACITY_ERRORS = {
  /** Create: no host in the region. */
  no_host: () => apiError(422, 'could not find a candidate host', 'insufficient_capacity'),
  /** Create or update. */
  no_capacity: () => apiError(409, 'aborted: no capacity'),
  /** Create: the host filled up between choice and reservation; the same request may succeed later. */
  host_race: () =>
    apiError(
      409,
      'aborted: insufficient resources available to fulfill request: insufficient memory available to fulfill request',
    ),
  /** Start or update of a machine on a full host. */
  host_cpus: () =>
    apiError(
      409,
      'aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request on the current host',
    ),
  host_memory: () =>
    apiError(
      409,
      'aborted: could not reserve resource for machine: insufficient memory available to fulfill request on the current host',
    ),
  host_ips: () => apiError(409, 'aborted: insufficient IPs available to fulfill request'),
  volume: () =>
    apiError(
      412,
      "insufficient resources to create new machine with existing volume id 'vol_local'",
      'volume_placement_capacity',
    ),
  org_quota: (region = 'unknown', org = 'local') =>
    apiError(
      403,
      `organization "${org}" is using 1970176 MB of memory in ${region} which is over the allowed quota. please consider other regions`,
    ),
  host_maintenance: () => apiError(503, 'unavailable: deploys to this host are temporarily disabled'),
} satisfies Record<string, (region?: string, org?: string) => ApiError>;

export type CapacityRow = keyof typeof CAPACITY_ERRORS;

export const isCapacityRow = (name: string): name is CapacityRow => Object.hasOwn(CAPACITY_ERRORS, name);

export interface Capacity {
  /**
   * @param limit live machines allowed in the region; `none` is 0. @param row the refusal to answer, default
   * `no_host`.
   */
  set(region: string, limit: number | 'none' | 'unlimited', row?: CapacityRow): void;
  /** How many more machines fit into the region. */
  left(region: string): number;
  /** The first of `regions` with capacity, or the refusal of the last one. */
  choose(regions: readonly string[]): { region: string } | { refused: ApiError };
}

/** @param inUse live machines in a region now. */
export function createCapacity(inUse: (region: string) => number, org: string): Capacity {
  const limits = new Map<string, { limit: number; row: CapacityRow }>();
  const left = (region: string) => Math.max(0, (limits.get(region)?.limit ?? Infinity) - inUse(region));
  return {
    left,
    set: (region, limit, row = 'no_host') => {
      if (limit === 'unlimited') limits.delete(region);
      else limits.set(region, { limit: limit === 'none' ? 0 : limit, row });
    },
    choose: (regions) => {
      const region = regions.find((code) => left(code) > 0);
      if (region !== undefined) return { region };
      const last = regions.at(-1) ?? 'iad';
      return { refused: CAPACITY_ERRORS[limits.get(last)?.row ?? 'no_host'](last, org) };
    },
  };
}
