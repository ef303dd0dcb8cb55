import type { OpsSchedule } from '../../database/operator-store.ts';
import type { PoolFacts } from '../../database/pool-store.ts';

/**
 * Says which scheduled sessions will be late, and what to do about it. Pure.
 *
 * Each tenant prepares machines at its apps' create rate; machines that are ready already count. A session is late if its
 * machine cannot be built by its start. The advice is the number of standby machines that would be needed now.
 */
export interface ForecastOptions {
  /** Time from requesting a machine until it can be started, ms. */
  buildMs: number;
}

export interface ForecastTenant {
  tenant_id: string;
  tenant: string;
  creates_per_second: number;
  /** Standby machines that are ready or being built. */
  prepared: number;
  due: number;
  late: number;
  /** By how much the latest session would be late, s. Null if nothing creates a machine for it. */
  worst_s: number | null;
  advice: string | null;
  /** The region whose pool the advice names. */
  advice_region: string | null;
}

export interface Forecast {
  /** Sessions by minute. */
  minutes: Array<{ minute: string; sessions: number }>;
  tenants: ForecastTenant[];
}

type TenantFacts = PoolFacts['tenants'][number];

interface Lateness {
  late: number;
  worstS: number;
  missing: number;
}

/** @param due in order of time */
export function lateness(due: TenantFacts['due'], prepared: number, perSecond: number, buildMs: number): Lateness {
  let sum = 0;
  let late = 0;
  let worstS = 0;
  let missing = 0;
  for (const { due_in_ms, sessions } of due) {
    sum += sessions;
    const toBuild = Math.max(0, sum - prepared);
    if (toBuild === 0) continue;
    const buildableMs = Math.max(0, due_in_ms - buildMs);
    const built = Math.floor((buildableMs / 1_000) * perSecond);
    const short = Math.min(sessions, toBuild - built);
    if (short <= 0) continue;
    late += short;
    missing = Math.max(missing, toBuild - built);
    worstS = Math.max(worstS, perSecond > 0 ? toBuild / perSecond + buildMs / 1_000 - due_in_ms / 1_000 : Infinity);
  }
  return { late, worstS, missing };
}

const preparedOf = (pools: TenantFacts['pools']): number =>
  pools.reduce((sum, { ready, building }) => sum + ready + building, 0);

function forecastTenant(facts: TenantFacts, tenant: string, { buildMs }: ForecastOptions): ForecastTenant {
  const standby = facts.pools.filter(({ hot }) => !hot);
  const prepared = preparedOf(standby);
  const { late, worstS, missing } = lateness(facts.due, prepared, facts.creates_per_second, buildMs);
  const region = late === 0 ? undefined : facts.due[0]?.region;
  const there = preparedOf(standby.filter((pool) => pool.region === region));
  const advice =
    region === undefined
      ? null
      : `Raise the floor of ${tenant}'s pool in ${region} to ${there + missing} now, or give it another Fly app.`;
  return {
    ...{ tenant_id: facts.tenant_id, tenant, creates_per_second: facts.creates_per_second, prepared },
    due: facts.due.reduce((sum, { sessions }) => sum + sessions, 0),
    ...{ late, worst_s: Number.isFinite(worstS) ? Math.round(worstS) : null },
    ...{ advice, advice_region: region ?? null },
  };
}

export function forecastOf(schedule: OpsSchedule, facts: PoolFacts, options: ForecastOptions): Forecast {
  const perMinute = new Map<string, number>();
  for (const { minute, sessions } of schedule) perMinute.set(minute, (perMinute.get(minute) ?? 0) + sessions);
  const names = new Map(schedule.map(({ tenant_id, tenant }) => [tenant_id, tenant]));
  const tenants = facts.tenants
    .filter(({ due }) => due.length > 0)
    .map((one) => forecastTenant(one, names.get(one.tenant_id) ?? one.tenant_id, options))
    .toSorted((a, b) => b.late - a.late || a.tenant.localeCompare(b.tenant));
  return { minutes: [...perMinute].map(([minute, sessions]) => ({ minute, sessions })), tenants };
}
