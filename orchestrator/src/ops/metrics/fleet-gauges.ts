import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FleetGauges, FleetTotals } from '../../database/gauge-store.ts';
import type { Duties } from '../../fleet/duties.ts';
import type { PoolLevel } from '../../fleet/pool-plan.ts';
import type { Metrics } from './metrics.ts';

/**
 * Reads the gauges of the whole fleet. Only the orchestrator that holds the duty `housekeeping` reads and exports
 * them, so a sum over all orchestrators counts nothing twice. When it loses the duty, its gauges disappear.
 *
 * Every reading replaces the previous one as a whole: a series whose tenant, region or state is gone disappears.
 */
export interface FleetGaugesDeps {
  duties: Pick<Duties, 'held'>;
  read: () => Promise<FleetGauges>;
  readTotals: () => Promise<FleetTotals>;
  levels: () => PoolLevel[];
  metrics: Metrics;
  clock: Pick<Clock, 'now'>;
}

/** Tenants with a series of their own. The others are added up as `other`. */
export const namedTenants = 50;

/** Replaces tenants that are not among the largest ones by `other`. */
function withOthers<T extends { tenant: string; count: number }>(rows: T[], largest: Set<string>): T[] {
  return rows.map((row) => (largest.has(row.tenant) ? row : { ...row, tenant: 'other' }));
}

function largestTenants(rows: FleetGauges['sessions']): Set<string> {
  const sums = new Map<string, number>();
  for (const { tenant, count } of rows) sums.set(tenant, (sums.get(tenant) ?? 0) + count);
  const order = [...sums].toSorted(([a, x], [b, y]) => y - x || a.localeCompare(b));
  return new Set(order.slice(0, namedTenants).map(([tenant]) => tenant));
}

function fill({ fleet }: Metrics, read: FleetGauges, levels: PoolLevel[]): void {
  const largest = largestTenants(read.sessions);
  for (const { count, ...labels } of withOthers(read.sessions, largest)) fleet.sessions.inc(labels, count);
  for (const { count, ...labels } of withOthers(read.queued, largest)) fleet.queued.inc(labels, count);
  for (const { count, ...labels } of read.machines) fleet.machines.inc(labels, count);
  for (const { kind, pending, dead } of read.work) {
    fleet.pending.set({ kind }, pending);
    fleet.dead.set({ kind }, dead);
  }
  for (const { region, hot, ready, building, target } of levels) {
    const prepared = hot ? fleet.hot : fleet.standby;
    prepared.inc({ region, state: 'ready' }, ready);
    prepared.inc({ region, state: 'building' }, building);
    (hot ? fleet.hotTarget : fleet.target).inc({ region }, target);
  }
  for (const { region, count } of read.due) fleet.due.set({ region }, count);
  fleet.present.set(read.present);
  fleet.createsPerSecond.set(read.creates_per_second);
  fleet.createBacklog.set(read.create_backlog_s);
  fleet.replaced.set(read.replaced);
  fleet.vacant.set(read.duties_without_holder);
  fleet.orchestrators.set(read.orchestrators);
  fleet.unsaved.set(read.unsaved_entries);
  fleet.workerMemory.set(read.worker_memory_bytes);
  fleet.unwanted.set(read.unwanted);
}

/** Removes every series. `reset` of a gauge without labels would leave a zero, which would look like a reading. */
function clear({ fleet, totals }: Metrics): void {
  totals.set(undefined);
  for (const gauge of Object.values(fleet)) gauge.reset();
  const { replaced, vacant, orchestrators, unsaved, workerMemory, unwanted, readAt } = fleet;
  const { present, createsPerSecond, createBacklog } = fleet;
  const ofTheFleet = [replaced, vacant, orchestrators, unsaved, workerMemory, unwanted, readAt];
  for (const gauge of [...ofTheFleet, present, createsPerSecond, createBacklog]) gauge.remove();
}

export interface FleetReadings {
  /** Reads the gauges once. */
  run(): Promise<void>;
  /** Called before a scrape: drops gauges that belong to another orchestrator by now. */
  dropOutdated(): void;
}

export function createFleetGauges({
  duties,
  read,
  readTotals,
  levels,
  metrics,
  clock,
}: FleetGaugesDeps): FleetReadings {
  const mine = () => duties.held('housekeeping').length > 0;
  return {
    run: async () => {
      const figures = mine() ? await Promise.all([read(), readTotals()]) : undefined;
      clear(metrics);
      if (figures === undefined || !mine()) return;
      const [gauges, totals] = figures;
      fill(metrics, gauges, levels());
      metrics.totals.set(totals);
      metrics.fleet.readAt.set(clock.now() / 1_000);
    },
    dropOutdated: () => {
      if (!mine()) clear(metrics);
    },
  };
}
