import type { Demand, PoolFacts, PoolOrder, TenantFacts } from '../database/pool-store.ts';

/**
 * Plans how many standby and hot machines each pool should have. Pure; the capacity simulation runs the same code.
 *
 * - Unscheduled sessions: the pool holds as many machines as sessions arrive while one machine is built, plus a
 *   safety margin, between the pool's floor and ceiling.
 * - Hot machines are planned in the same way, between their own floor and ceiling, beside the standby machines to
 *   which a session falls back. They are created ahead of them.
 * - Scheduled sessions need standby machines only. They come on top and may exceed the ceiling, because each of those machines already has a
 *   session.
 * - Machines for scheduled sessions are built as late as the create limit allows: one is ordered only if a
 *   start time would be missed otherwise. The limit is per tenant, not per region, so the earliest start times
 *   come first.
 * - A small surplus is kept, because a machine destroyed now would be built again for the next session.
 * - Machines with an old image, and hot machines that are too old, are retired one by one as new ones become
 *   ready, so that a deploy never empties a pool.
 */
export interface PlanOptions {
  /** Time from requesting a machine until it can be started, ms. */
  buildMs: number;
  /** How long before its start time a scheduled session gets its machine, ms. */
  leadMs: number;
  /** Whether a region recently had no capacity. Nothing is built there. Default: none. */
  isClosed?: (region: string) => boolean;
}

/** Standard deviations above the mean. About one arrival in a hundred finds the pool empty. */
const safety = 2.33;
/** The share of the create limit that scheduled sessions always get. */
const leastShare = 0.5;

/** Number of machines that a pool holds for unscheduled sessions. */
export function unscheduledTarget(perSecond: number, buildMs: number, floor: number, ceiling: number): number {
  const mean = (perSecond * buildMs) / 1_000;
  // Fewer than one arrival in twenty build times does not justify a standby machine.
  const wanted = mean < 0.05 ? 0 : Math.ceil(mean + safety * Math.sqrt(mean));
  return Math.min(ceiling, Math.max(floor, wanted));
}

type Due = TenantFacts['due'];

/**
 * How many of the scheduled sessions, earliest first, need their machine to be ordered by now.
 * @param due in order of time
 */
export function neededNow(due: Due, createsPerSecond: number, { buildMs, leadMs }: PlanOptions): number {
  let sum = 0;
  let needed = 0;
  for (const { due_in_ms, sessions } of due) {
    sum += sessions;
    const leftS = Math.max(0, due_in_ms - buildMs - leadMs) / 1_000;
    // One create early, because a slot of the create limit that is not used is lost.
    needed = Math.max(needed, Math.ceil(sum - createsPerSecond * leftS + 1));
  }
  return Math.max(0, Math.min(sum, needed));
}

/** How many of the `count` earliest sessions are in each region. */
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

const keyOf = ({ region, hot }: Pick<PoolOrder, 'region' | 'hot'>): string => `${region} ${hot ? 'hot' : 'standby'}`;

const slackOf = (target: number): number => Math.max(1, Math.ceil(target * 0.2));

function planTenant(tenant: TenantFacts, rateOf: (region: string) => number, options: PlanOptions): PoolOrder[] {
  const { buildMs, isClosed = () => false } = options;
  const coldPerSecond = tenant.pools.reduce((sum, { region, hot }) => sum + (hot ? 0 : rateOf(region)), 0);
  const free = Math.max(tenant.creates_per_second * leastShare, tenant.creates_per_second - coldPerSecond);
  const scheduled = earliestByRegion(tenant.due, neededNow(tenant.due, free, options));
  const soonest = new Map(tenant.due.map(({ region, due_in_ms }) => [region, due_in_ms] as const).toReversed());
  const orders = tenant.pools.map((pool): PoolOrder => {
    const base = unscheduledTarget(rateOf(pool.region), buildMs, pool.floor, pool.ceiling);
    const wanted = base + (pool.hot ? 0 : (scheduled.get(pool.region) ?? 0));
    const have = pool.ready + pool.building;
    const keep = pool.ceiling === 0 && wanted === 0 ? 0 : wanted + slackOf(base);
    return {
      tenant_id: tenant.tenant_id,
      region: pool.region,
      hot: pool.hot,
      target: isClosed(pool.region) ? Math.min(wanted, have) : wanted,
      shrink: Math.min(pool.ready, Math.max(0, have - keep)),
      retire_stale: wanted === 0 ? pool.stale : Math.min(pool.stale, Math.max(0, pool.ready + pool.stale - wanted)),
    };
  });
  const order = ({ region, hot }: PoolOrder): number => (hot ? undefined : soonest.get(region)) ?? Number.MAX_VALUE;
  return orders.toSorted(
    (a, b) => order(a) - order(b) || Number(b.hot) - Number(a.hot) || a.region.localeCompare(b.region),
  );
}

/** What a region's pools of one kind have and should have, all tenants together. */
export interface PoolLevel {
  region: string;
  hot: boolean;
  ready: number;
  building: number;
  target: number;
}

const rateReader = (demand: Demand) => {
  const rates = new Map(demand.map((d) => [`${d.tenant_id} ${d.region}`, d.per_second]));
  return (tenantId: string) => (region: string) => rates.get(`${tenantId} ${region}`) ?? 0;
};

/** The level of each region, for the metrics. */
export function poolLevels(facts: PoolFacts, demand: Demand, options: PlanOptions): PoolLevel[] {
  const rateOf = rateReader(demand);
  const levels = new Map<string, PoolLevel>();
  for (const tenant of facts.tenants) {
    const targets = new Map(
      planTenant(tenant, rateOf(tenant.tenant_id), options).map((order) => [keyOf(order), order.target]),
    );
    for (const { region, hot, ready, building } of tenant.pools) {
      const key = keyOf({ region, hot });
      const level = levels.get(key) ?? { region, hot, ready: 0, building: 0, target: 0 };
      level.ready += ready;
      level.building += building;
      level.target += targets.get(key) ?? 0;
      levels.set(key, level);
    }
  }
  return [...levels.values()];
}

/** Only the orders that change something; pools with the earliest start times first. */
export function planPools(facts: PoolFacts, demand: Demand, options: PlanOptions): PoolOrder[] {
  const rateOf = rateReader(demand);
  return facts.tenants.flatMap((tenant) => {
    const have = new Map(tenant.pools.map((pool) => [keyOf(pool), pool.ready + pool.building]));
    return planTenant(tenant, rateOf(tenant.tenant_id), options).filter(
      ({ target, shrink, retire_stale, ...order }) =>
        target > (have.get(keyOf(order)) ?? 0) || shrink > 0 || retire_stale > 0,
    );
  });
}
