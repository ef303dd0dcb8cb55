import type { Demand, PoolFacts, PoolOrder, TenantFacts } from '../database/pool-store.ts';

/**
 * How many standby machines each pool should have: pure, and the same code runs in the capacity simulation.
 *
 * N1  Unscheduled demand: what arrives while one machine is built must be there already, with room for chance; never
 *     below the pool's floor, never above its ceiling.
 * N2  Schedules come on top of that, and are not bounded by the ceiling: each of those machines has a session already.
 * N3  As late as the create limit allows: a machine is wanted now only if, begun later, some start time could not be met
 *     any more. The limit is the tenant's, whatever the region, so the earliest start times are served first.
 * N4  A pool that has a little too much keeps it: what is destroyed now would be built again with the next session.
 * N5  Machines of another image go one by one as new ones become ready, so that a deploy never empties a pool.
 */
export interface PlanOptions {
  /** From asking for a machine until it can be started, ms. */
  buildMs: number;
  /** Sessions begin this long before their time, ms. */
  leadMs: number;
  /** Regions that lately had no room: nothing is built there. Default none. */
  isClosed?: (region: string) => boolean;
}

/** Standard deviations above the mean: about one arrival in a hundred finds the pool empty. */
const safety = 2.33;
/** N3: the share of the create limit that schedules may count on, whatever else is going on. */
const leastShare = 0.5;

/** N1. */
export function unscheduledTarget(perSecond: number, buildMs: number, floor: number, ceiling: number): number {
  const mean = (perSecond * buildMs) / 1_000;
  // Less than one arrival in twenty builds is not demand.
  const wanted = mean < 0.05 ? 0 : Math.ceil(mean + safety * Math.sqrt(mean));
  return Math.min(ceiling, Math.max(floor, wanted));
}

type Due = TenantFacts['due'];

/** N3: how many of the sessions due, earliest first, need their machine to be begun by now. `due` is in order of time. */
export function neededNow(due: Due, createsPerSecond: number, { buildMs, leadMs }: PlanOptions): number {
  let sum = 0;
  let needed = 0;
  for (const { due_in_ms, sessions } of due) {
    sum += sessions;
    const leftS = Math.max(0, due_in_ms - buildMs - leadMs) / 1_000;
    // At least one slot early: a slot that is not used is lost.
    needed = Math.max(needed, Math.ceil(sum - createsPerSecond * leftS + 1));
  }
  return Math.max(0, Math.min(sum, needed));
}

/** N3: by region, the machines of the `count` earliest sessions. */
function earliestByRegion(due: Due, count: number): Map<string, number> {
  const byRegion = new Map<string, number>();
  let left = count;
  for (const { region, sessions } of due) {
    const taken = Math.min(left, sessions);
    if (taken > 0) byRegion.set(region, (byRegion.get(region) ?? 0) + taken);
    left -= taken;
  }
  return byRegion;
}

const slackOf = (target: number): number => Math.max(1, Math.ceil(target * 0.2));

function planTenant(tenant: TenantFacts, rateOf: (region: string) => number, options: PlanOptions): PoolOrder[] {
  const { buildMs, isClosed = () => false } = options;
  const coldPerSecond = tenant.pools.reduce((sum, { region }) => sum + rateOf(region), 0);
  const free = Math.max(tenant.creates_per_second * leastShare, tenant.creates_per_second - coldPerSecond);
  const scheduled = earliestByRegion(tenant.due, neededNow(tenant.due, free, options));
  const soonest = new Map(tenant.due.map(({ region, due_in_ms }) => [region, due_in_ms] as const).toReversed());
  const orders = tenant.pools.map((pool): PoolOrder => {
    const base = unscheduledTarget(rateOf(pool.region), buildMs, pool.floor, pool.ceiling);
    const wanted = base + (scheduled.get(pool.region) ?? 0);
    const have = pool.ready + pool.building;
    const keep = pool.ceiling === 0 && wanted === 0 ? 0 : wanted + slackOf(base); // N4
    return {
      tenant_id: tenant.tenant_id,
      region: pool.region,
      target: isClosed(pool.region) ? Math.min(wanted, have) : wanted,
      shrink: Math.min(pool.ready, Math.max(0, have - keep)),
      retire_stale: wanted === 0 ? pool.stale : Math.min(pool.stale, Math.max(0, pool.ready + pool.stale - wanted)), // N5
    };
  });
  const order = (region: string): number => soonest.get(region) ?? Number.POSITIVE_INFINITY;
  return orders.toSorted((a, b) => order(a.region) - order(b.region) || a.region.localeCompare(b.region));
}

/** The orders that change something; pools with the earliest start times first. */
export function planPools(facts: PoolFacts, demand: Demand, options: PlanOptions): PoolOrder[] {
  const rates = new Map(demand.map((d) => [`${d.tenant_id} ${d.region}`, d.per_second]));
  return facts.tenants.flatMap((tenant) => {
    const have = new Map(tenant.pools.map((pool) => [pool.region, pool.ready + pool.building]));
    return planTenant(tenant, (region) => rates.get(`${tenant.tenant_id} ${region}`) ?? 0, options).filter(
      ({ region, target, shrink, retire_stale }) => target > (have.get(region) ?? 0) || shrink > 0 || retire_stale > 0,
    );
  });
}
