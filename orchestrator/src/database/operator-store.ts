import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { machineStates } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { phasesRow } from './phases-store.ts';

/** What operators read of all tenants, and their acts. Throws DatabaseError. Times are texts in ISO 8601. */
const time = z.string();

const sessionRow = z.looseObject({
  session_id: z.string(),
  tenant: z.string().nullable(),
  status: z.string(),
  reason: z.string().nullable(),
  presence: z.string(),
  region: z.string().nullable(),
  path: z.string().nullable(),
  start_ms: z.number().nullable(),
  created_at: time,
  completed_at: time.nullable(),
  phases: phasesRow.nullable(),
});
export type OpsSessionRow = z.output<typeof sessionRow>;

const machineRow = z.looseObject({
  machine_id: z.string(),
  fly_machine_id: z.string().nullable(),
  app_name: z.string(),
  tenant: z.string().nullable(),
  region: z.string(),
  state: z.enum(machineStates),
  reason: z.string().nullable(),
  kind: z.enum(['session', 'standby', 'hot']),
  reserved_at: time,
  session: z
    .object({ session_id: z.string(), status: z.string(), presence: z.string(), served_by_this: z.boolean() })
    .nullable(),
});
export type OpsMachineRow = z.output<typeof machineRow>;

const sessionDocument = sessionRow.extend({ machines: z.array(machineRow) });
const eventRow = z.looseObject({
  id: z.number(),
  session_id: z.string().nullable(),
  tenant_id: z.string(),
  type: z.string(),
  created_at: time,
});
const newEvents = z.object({ newest: z.number(), rows: z.array(eventRow.extend({ settled: z.boolean() })) });

/** A page of a log: with `searched_to` the search goes on before that id. */
const logPage = <Row extends z.ZodType>(row: Row) =>
  z.object({ rows: z.array(row), searched_to: z.number().nullable() });
const auditRow = z.looseObject({ id: z.number() });
const tenantRow = z.looseObject({ tenant_id: z.string(), slug: z.string() });
const workRow = z.looseObject({ kind: z.string(), id: z.string(), key: z.string(), due_at: time });
const deliveryRow = z.looseObject({ id: z.string(), status: z.string(), created_at: time });
const count = z.number();

const overview = z.looseObject({
  now: time,
  sessions: z.array(z.object({ tenant: z.string(), status: z.string(), region: z.string(), count })),
  present: count,
  queued: z.array(z.object({ tenant: z.string(), count })),
  machines: z.array(z.object({ state: z.string(), region: z.string(), count })),
  work: z.array(z.object({ kind: z.string(), pending: count, dead: count })),
  unwanted: count,
  unsaved_entries: count,
  create_backlog_s: count,
  creates_per_second: count,
  duties_without_holder: count,
  orchestrators: count,
  webhooks_failing: count,
  starts: z.array(
    z.object({ path: z.string(), starts: count, p50_ms: count, p95_ms: count, p99_ms: count, max_ms: count }),
  ),
  ended: z.array(z.object({ reason: z.string(), count })),
  pools: z.array(
    z.object({ region: z.string(), floor: count, ceiling: count, hot_floor: count, ready: count, hot_ready: count }),
  ),
  prepared: z.array(z.object({ region: z.string(), hot: z.boolean(), serving: z.boolean(), count })),
  spend: z.object({ today_usd: count, today_prepared_usd: count }),
  drains: z.array(z.looseObject({ region: z.string(), why: z.string(), drained_by: z.string(), drained_at: time })),
  brake_holds: z.array(z.looseObject({ hold_id: z.string(), app_name: z.string(), ends: count, held_at: time })),
});
export type OpsOverview = z.output<typeof overview>;

const pool = z.looseObject({
  ...{ tenant_id: z.string(), tenant: z.string(), region: z.string(), floor: count, ceiling: count, ready: count },
  hot: z.object({ floor: count, ceiling: count, ready: count, building: count }),
});

const schedule = z.array(
  z.object({ minute: time, tenant_id: z.string(), tenant: z.string(), region: z.string(), sessions: count }),
);
export type OpsSchedule = z.output<typeof schedule>;

const region = z.looseObject({ region: z.string(), sessions: count, standby: count, hot: count, drain: z.unknown() });

const hold = z.looseObject({ hold_id: z.string(), app_name: z.string(), ends: z.array(z.unknown()) });

/** Who acts, and why. */
export interface ActWhy extends ActBy {
  why: string;
}

const already = z.looseObject({ kind: z.literal('already'), at: time.nullish(), by: z.string().nullish() });
const toStop = z.array(
  z.object({
    ...{ machine_id: z.string(), app_name: z.string(), fly_machine_id: z.string().nullable() },
    state: z.enum(machineStates),
  }),
);
const machineWhere = { machine_id: z.string(), app_name: z.string(), fly_machine_id: z.string().nullable() };
const ended = z.union([
  already,
  z.object({ kind: z.literal('done'), status: z.string(), machines: toStop }),
  z.object({ kind: z.literal('not_found') }),
]);
const stopped = z.union([
  already,
  z.object({ kind: z.enum(['replacing', 'stopped']), ...machineWhere }),
  z.object({ kind: z.literal('session_ended'), machines: toStop }),
  z.object({ kind: z.literal('serves_nothing'), state: z.string() }),
  z.object({ kind: z.literal('not_found') }),
]);
const simple = <Kind extends string>(...kinds: [Kind, ...Kind[]]) =>
  z.union([already, z.looseObject({ kind: z.enum(kinds) })]);

export type OperatorStore = ReturnType<typeof createOperatorStore>;

type Place = object | undefined;

/** What operators read. */
const readerOf = (call: ReturnType<typeof callerOf>) => ({
  sessions: (filter: object, sort: string, after: Place, limit: number) =>
    call(
      'ops_sessions',
      { p_filter: filter, p_sort: sort, p_after: after ?? null, p_limit: limit },
      z.array(sessionRow),
    ),
  session: (id: string) => call('ops_session', { p_id: id }, sessionDocument.nullable()),
  machines: (filter: object, after: Place, limit: number) =>
    call('ops_machines', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(machineRow)),
  machine: (id: string) => call('ops_machine', { p_id: id }, machineRow.nullable()),
  events: (filter: object, before: number | undefined, limit: number) =>
    call(
      'ops_events',
      { p_filter: filter, p_before: before ?? null, p_after: null, p_limit: limit },
      logPage(eventRow),
    ),
  eventsAfter: (filter: object, after: number, limit: number) =>
    call('ops_events', { p_filter: filter, p_before: null, p_after: after, p_limit: limit }, logPage(eventRow)),
  newEvents: (after: number, seen: number[], limit: number) =>
    call('ops_new_events', { p_after: after, p_seen: seen, p_limit: limit }, newEvents),
  audit: (filter: object, before: number | undefined, limit: number) =>
    call('ops_audit', { p_filter: filter, p_before: before ?? null, p_limit: limit }, logPage(auditRow)),
  tenants: (filter: object, after: string | undefined, limit: number) =>
    call('ops_tenants', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(tenantRow)),
  tenant: (id: string) => call('ops_tenant', { p_id: id }, tenantRow.nullable()),
  pools: (filter: object) => call('ops_pools', { p_filter: filter }, z.array(pool)),
  regions: () => call('ops_regions', {}, z.array(region)),
  work: (filter: object, after: Place, limit: number) =>
    call('ops_work', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(workRow)),
  deliveries: (filter: object, after: Place, limit: number) =>
    call('ops_deliveries', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(deliveryRow)),
  delivery: (id: string) => call('ops_delivery', { p_id: id }, deliveryRow.nullable()),
  overview: () => call('ops_overview', {}, overview),
  costs: (days: number) => call('ops_costs', { p_days: days }, z.looseObject({ days: z.array(z.unknown()) })),
  schedule: (minutes: number) => call('ops_schedule', { p_minutes: minutes }, schedule),
  find: (text: string) =>
    call('ops_find', { p_text: text }, z.array(z.looseObject({ kind: z.string(), id: z.string() }))),
  brake: () => call('ops_brake', {}, z.array(hold)),
  transcript: (sessionId: string, limit: number) =>
    call('transcript_page', { p_session_id: sessionId, p_limit: limit, p_after: null }, z.array(z.unknown())),
});

/** What operators do. Each act and its audit entry are one transaction. */
const actorOf = (call: ReturnType<typeof callerOf>) => ({
  endSession: (id: string, ending: { outcome: string; reason: string }, by: ActWhy) =>
    call('ops_end_session', { p_session_id: id, p_outcome: ending.outcome, p_reason: ending.reason, p_by: by }, ended),
  stopMachine: (id: string, replace: boolean, ending: { outcome: string; reason: string }, by: ActWhy) =>
    call(
      'ops_stop_machine',
      { p_machine_id: id, p_replace: replace, p_outcome: ending.outcome, p_reason: ending.reason, p_by: by },
      stopped,
    ),
  drainRegion: (code: string, until: string | undefined, by: ActWhy) =>
    call('ops_drain_region', { p_region: code, p_until: until ?? null, p_by: by }, simple('done')),
  openRegion: (code: string, by: ActWhy) => call('ops_open_region', { p_region: code, p_by: by }, simple('done')),
  putPool: (tenantId: string, code: string, wanted: object, by: ActWhy) =>
    call(
      'ops_put_pool',
      { p_tenant_id: tenantId, p_region: code, p_pool: wanted, p_by: by },
      simple('updated', 'limit_exceeded', 'not_found'),
    ),
  releaseBrake: (holdId: string, by: ActWhy) =>
    call('ops_release_brake', { p_hold_id: holdId, p_by: by }, simple('done', 'not_found')),
  retryWork: (kind: string, id: string, by: ActWhy) =>
    call('ops_retry_work', { p_kind: kind, p_id: id, p_by: by }, simple('done', 'withdrawn', 'nothing', 'not_found')),
  replayDelivery: (id: string, by: ActWhy) =>
    call('ops_replay_delivery', { p_id: id, p_by: by }, simple('queued', 'erased', 'not_found')),
});

export function createOperatorStore(database: Database) {
  const call = callerOf(database);
  return { ...readerOf(call), ...actorOf(call) };
}

/** Codes of the regions in which no new machine may be created. */
export const createReadDrains = (database: Database) => (): Promise<string[]> =>
  callerOf(database)('drained_regions', {}, z.array(z.string()));

/** A machine that the brake did not end. */
export interface HeldEnd {
  machine_id: string | null;
  fly_machine_id: string | null;
  session_id: string | null;
  /** What would have been done, in words. */
  what: string;
}

/** Stores what the brake holds. Resolves with true if an operator released these ends. */
export const createRecordHold =
  (database: Database, orchestratorId: string) =>
  (appName: string, ends: HeldEnd[], ceiling: number): Promise<boolean> =>
    callerOf(database)(
      'record_brake_hold',
      { p_app_name: appName, p_orchestrator_id: orchestratorId, p_ends: ends, p_ceiling: ceiling },
      z.boolean(),
    );
