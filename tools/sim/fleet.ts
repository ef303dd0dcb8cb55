import type { TenantFacts } from '@greenroom/orchestrator/database/pool-store.ts';
import { planPools } from '@greenroom/orchestrator/fleet/pool-plan.ts';
import { orderedRegions } from '@greenroom/orchestrator/regions/placement.ts';
import { runningPerSecond, standbyPerSecond } from '@greenroom/orchestrator/regions/prices.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { assumptions as a, skewed } from './assumptions.ts';
import { type Arrival, dayS, stepS, type Tenant } from './day.ts';

/**
 * Simulates one tenant's machines for a day under one policy.
 *
 * - The pool plan and the order of regions are the product's own functions.
 * - The create limit is computed as in the database (GCRA): a session may use the burst, a pool may not.
 * - Under `hot`, a pool also has hot machines for unscheduled sessions, planned by the same function.
 * - The waiting time of a scheduled session counts from its start time. A session that is ready earlier did not
 *   wait.
 * - The run begins a few hours before midnight with the previous day's demand, so that machines for sessions
 *   just after midnight can be prepared. Those hours are not counted.
 */
export type PolicyName = 'hot' | 'pool' | 'on-demand' | 'fixed';
export type Path = 'hot' | 'standby' | 'scheduled' | 'cold';

export interface Policy {
  name: PolicyName;
  /** Standby machines of a pool under `fixed`. */
  fixedSize?: (tenant: Tenant, pool: number) => number;
  firstStartS: number;
}

export interface Outcome {
  path: Path;
  atS: number;
  /** From the request, or from the due time, until ready. */
  waitS: number;
}

export interface Sink {
  outcome(outcome: Outcome): void;
  /** Standby and hot machines of the tenant at this step. */
  prepared(step: number, standby: number, hot: number): void;
}

interface PoolState {
  /** When each standby machine can be started. */
  standby: number[];
  /** When the worker of each hot machine waits. */
  hot: number[];
  /** Decaying mean of unscheduled arrivals. */
  perSecond: number;
}

const { standbyBuildMs, scheduleLeadMs, scheduleHorizonMs, demandWindowMs } = defaultDeadlines;
const leadS = scheduleLeadMs / 1_000;
const ceiling = 1_000;
const warmUpS = scheduleHorizonMs / 1_000;

/** Scheduled sessions of one pool with the same start time. */
interface Appointments extends Arrival {
  sessions: number;
}

/** @param arrivals in order of time */
function together(arrivals: Arrival[]): Appointments[] {
  const groups: Appointments[] = [];
  for (const { atS, pool } of arrivals) {
    const last = groups.at(-1);
    if (last?.atS === atS && last.pool === pool) last.sessions += 1;
    else groups.push({ atS, pool, sessions: 1 });
  }
  return groups;
}

export function runTenant(tenant: Tenant, policy: Policy, random: () => number, sink: Sink): void {
  const rate = tenant.apps * a.createsPerSecond;
  const burst = tenant.apps * a.createBurst;
  const pools: PoolState[] = tenant.regions.map((_, pool) => ({
    standby: Array<number>(policy.fixedSize?.(tenant, pool) ?? 0).fill(-dayS),
    hot: [],
    perSecond: 0,
  }));
  const kinds: Array<'standby' | 'hot'> = policy.name === 'hot' ? ['standby', 'hot'] : ['standby'];
  const orders = tenant.regions.map((region) =>
    orderedRegions([region], tenant.regions).map((code) =>
      tenant.regions.indexOf(code as (typeof tenant.regions)[number]),
    ),
  );
  // The hours before midnight: the same demand, a day earlier.
  const appointments = together([
    ...tenant.scheduled.filter(({ atS }) => atS >= dayS - warmUpS).map(({ atS, pool }) => ({ atS: atS - dayS, pool })),
    ...tenant.scheduled,
  ]);
  let tatS = Number.NEGATIVE_INFINITY;
  let nextDue = 0;

  const roll = (medianS: number): number => medianS * skewed(random);
  const refusals = (pool: number): number => {
    const chance = a.tightRegions.some((region) => region === tenant.regions[pool]) ? a.refusedTight : a.refused;
    return random() < chance ? a.refusalS : 0;
  };
  /** Reserves a create slot for a session, which may use the burst. */
  const candidateSlot = (nowS: number): number => {
    const from = Math.max(tatS, nowS);
    tatS = from + 1 / rate;
    return Math.max(nowS, from - (burst - 1) / rate);
  };
  const prepared = (): number =>
    roll(a.createAnswerS) + roll(a.prepareS) + (random() < a.coldHostShare ? roll(a.coldHostS) : 0);
  const build = (slotS: number): number => slotS + prepared() + (random() < a.stuckShare ? a.hedgeAfterS : 0);

  /** Takes a ready machine of this kind, in the nearest region that has one. */
  const take = (kind: 'standby' | 'hot', pool: number, nowS: number): boolean => {
    for (const other of orders[pool] as number[]) {
      const { [kind]: machines } = pools[other] as PoolState;
      const found = machines.findIndex((readyS) => readyS <= nowS);
      if (found >= 0) {
        machines.splice(found, 1);
        return true;
      }
    }
    return false;
  };

  const serve = ({ atS, pool }: Arrival, beginS: number, byAppointment: boolean): void => {
    const hot = policy.name === 'hot' && !byAppointment && take('hot', pool, beginS);
    const standby = !hot && policy.name !== 'on-demand' && take('standby', pool, beginS);
    const launched = () =>
      standby
        ? beginS + a.acceptS + refusals(pool) + roll(policy.firstStartS) + roll(a.workerS)
        : build(candidateSlot(beginS)) + a.acceptS + refusals(pool) + roll(a.bootS) + roll(a.workerS);
    const readyS = hot ? beginS + roll(a.acceptS) : launched();
    // Sessions of the hours before midnight are not counted.
    if (atS < 0) return;
    sink.outcome({
      path: byAppointment ? 'scheduled' : hot ? 'hot' : standby ? 'standby' : 'cold',
      atS,
      waitS: Math.max(0, readyS - atS),
    });
  };

  /** Creates machines for a pool in the free slots of this step: only while no session waits. */
  const fill = (kind: 'standby' | 'hot', pool: number, wanted: number, nowS: number): void => {
    const { [kind]: machines } = pools[pool] as PoolState;
    while (machines.length < wanted && Math.max(tatS, nowS) < nowS + stepS) {
      const slotS = Math.max(tatS, nowS);
      tatS = slotS + 1 / rate;
      machines.push(build(slotS) + (kind === 'hot' ? roll(a.bootS) + roll(a.workerS) : 0));
    }
  };

  const factsOf = (nowS: number): TenantFacts => {
    const due: TenantFacts['due'] = [];
    for (let n = nextDue; n < appointments.length; n += 1) {
      const { atS, pool, sessions } = appointments[n] as Appointments;
      if ((atS - nowS) * 1_000 > scheduleHorizonMs) break;
      due.push({ region: tenant.regions[pool] as string, due_in_ms: Math.max(0, atS - nowS) * 1_000, sessions });
    }
    return {
      tenant_id: tenant.id,
      creates_per_second: rate,
      due,
      pools: tenant.regions.flatMap((region, pool) =>
        kinds.map((kind) => {
          const { [kind]: machines } = pools[pool] as PoolState;
          const ready = machines.filter((readyS) => readyS <= nowS).length;
          return { region, hot: kind === 'hot', floor: 0, ceiling, ready, building: machines.length - ready, stale: 0 };
        }),
      ),
    };
  };

  /** Plans the pools with the product's own function. */
  const plan = (nowS: number): void => {
    const demand = tenant.regions.map((region, pool) => ({
      tenant_id: tenant.id,
      region,
      per_second: (pools[pool] as PoolState).perSecond,
    }));
    const options = { buildMs: standbyBuildMs, leadMs: scheduleLeadMs };
    for (const order of planPools({ image: 'x', tenants: [factsOf(nowS)] }, demand, options)) {
      const pool = tenant.regions.indexOf(order.region as (typeof tenant.regions)[number]);
      const kind = order.hot ? 'hot' : 'standby';
      if (order.shrink > 0) (pools[pool] as PoolState)[kind].splice(0, order.shrink);
      fill(kind, pool, order.target, nowS);
    }
  };

  const fade = Math.exp((-stepS * 1_000) / demandWindowMs);
  for (let step = -warmUpS / stepS; step * stepS < dayS; step += 1) {
    const nowS = step * stepS;
    if (policy.name === 'pool' || policy.name === 'hot') plan(nowS);
    if (policy.name === 'fixed')
      for (const pool of pools.keys()) fill('standby', pool, policy.fixedSize?.(tenant, pool) ?? 0, nowS);
    for (; nextDue < appointments.length; nextDue += 1) {
      const { atS, pool, sessions } = appointments[nextDue] as Appointments;
      if (atS - leadS >= nowS + stepS) break;
      for (let n = 0; n < sessions; n += 1) serve({ atS, pool }, Math.max(nowS, atS - leadS), true);
    }
    for (const state of pools) state.perSecond *= fade;
    const yesterdayS = step < 0 ? dayS : 0;
    for (const { atS, pool } of tenant.unscheduled.get(step + yesterdayS / stepS) ?? []) {
      (pools[pool] as PoolState).perSecond += 1_000 / demandWindowMs;
      serve({ atS: atS - yesterdayS, pool }, atS - yesterdayS, false);
    }
    if (step >= 0)
      sink.prepared(
        step,
        pools.reduce((sum, { standby }) => sum + standby.length, 0),
        pools.reduce((sum, { hot }) => sum + hot.length, 0),
      );
  }
}

/** The same size and region as the figures of docs/capacity.md. */
const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 512 };

export const runningCostUsd = (machineSeconds: number): number => machineSeconds * runningPerSecond(guest, 'iad');
export const standbyCostUsd = (machineSeconds: number): number => machineSeconds * standbyPerSecond();
