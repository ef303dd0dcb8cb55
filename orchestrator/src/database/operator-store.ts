import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { startBudgetsMs } from '@greenroom/shared/protocol/operators.ts';
import { machineStates } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { phasesRow } from './phases-store.ts';

/** What operators read of all tenants, and their acts. Throws DatabaseError. Times are ISO 8601 strings. */
const time = z.string();
const timeOrNull = time.nullable();
const textOrNull = z.string().nullable();
const numberOrNull = z.number().nullable();

const sessionRow = z.looseObject({
  session_id: z.string(),
  tenant: z.string().nullable(),
  status: z.string(),
  reason: z.string().nullable(),
  presence: z.string(),
  region: z.string().nullable(),
  ...{ queued: z.boolean(), simulated: z.boolean(), epoch: z.number(), attempts: z.number() },
  path: z.string().nullable(),
  ...{ start_ms: numberOrNull, voice_ms: numberOrNull, cost_usd: numberOrNull },
  result: textOrNull,
  created_at: time,
  ...{ scheduled_at: timeOrNull, started_at: timeOrNull, completed_at: timeOrNull, end_requested_at: timeOrNull },
  phases: phasesRow.nullable(),
});
export type OpsSessionRow = z.output<typeof sessionRow>;

const machineRow = z.looseObject({
  machine_id: z.string(),
  fly_machine_id: z.string().nullable(),
  app_name: z.string(),
  tenant_id: z.string(),
  tenant: z.string().nullable(),
  region: z.string(),
  state: z.enum(machineStates),
  kind: z.enum(['session', 'standby', 'hot']),
  ...{ reason: textOrNull, evidence: textOrNull, unwanted: z.boolean(), epoch: numberOrNull, cost_usd: numberOrNull },
  ...{ rss_bytes: numberOrNull, unsaved_entries: numberOrNull },
  ...{ reserved_at: time, destroyed_at: timeOrNull, last_heartbeat_at: timeOrNull },
  session: z
    .object({ session_id: z.string(), status: z.string(), presence: z.string(), served_by_this: z.boolean() })
    .nullable(),
});
export type OpsMachineRow = z.output<typeof machineRow>;
/** What only the documents of a machine and of its session contain. */
const wholeMachine = machineRow.extend({
  ...{ name: z.string(), fly_request_id: textOrNull, image: textOrNull, attempt: numberOrNull },
  ...{ not_before: timeOrNull, asked_at: timeOrNull, answered_at: timeOrNull, created_at: timeOrNull },
  ...{ started_at: timeOrNull, assigned_at: timeOrNull, booted_at: timeOrNull, claimed_at: timeOrNull },
  ...{ draining_at: timeOrNull, destroying_at: timeOrNull, lease_expires_at: timeOrNull },
  ...{ hard_deadline_at: timeOrNull, first_absent_at: timeOrNull, host_bad_since: timeOrNull },
  unreachable_since: timeOrNull,
});

const callRow = z.looseObject({
  ...{ ordinal: z.number(), epoch: z.number(), provider: z.string(), call_id: textOrNull },
  ...{ opened_at: time, answered_at: timeOrNull, hung_up_at: timeOrNull },
});
const delivery = z.looseObject({
  ...{ id: z.string(), webhook_id: z.string(), session_id: textOrNull, type: z.string(), status: z.string() },
  ...{ attempts: z.number(), last_status: numberOrNull, last_error: textOrNull, created_at: time },
});
const sessionDocument = sessionRow.extend({
  machines: z.array(wholeMachine),
  calls: z.array(callRow),
  transcript: z
    .object({ entries: z.number(), unverified: z.number(), complete: z.boolean().nullable(), erased_at: timeOrNull })
    .loose(),
  evaluation: z.looseObject({ status: z.string(), attempts: z.number(), last_error: textOrNull }).nullable(),
  recordings: z.array(z.looseObject({ ordinal: z.number(), state: z.string(), failure: textOrNull })),
  deliveries: z.array(delivery),
  ...{ external_id: textOrNull, region_reason: textOrNull, integrity: z.unknown() },
});
export type OpsSession = z.output<typeof sessionDocument>;
const machineDocument = wholeMachine.extend({
  taken_by: textOrNull,
  events: z.array(z.looseObject({ id: z.number(), type: z.string(), data: z.unknown(), created_at: time })),
});
export type OpsMachine = z.output<typeof machineDocument>;
const eventRow = z.looseObject({
  id: z.number(),
  session_id: z.string().nullable(),
  tenant_id: z.string(),
  tenant: textOrNull,
  type: z.string(),
  data: z.unknown(),
  created_at: time,
});
export type OpsEvent = z.output<typeof eventRow>;
const newEvents = z.object({ newest: z.number(), rows: z.array(eventRow.extend({ settled: z.boolean() })) });

/** A page of a list. `searched_to`: the rows up to this place were searched; the next page begins after it. */
const listPage = <Row extends z.ZodType>(row: Row) =>
  z.object({ rows: z.array(row), searched_to: z.record(z.string(), z.union([z.string(), z.number()])).nullable() });
/** A page of a log. `searched_to`: only rows from this id on were searched; the next page begins before it. */
const logPage = <Row extends z.ZodType>(row: Row) =>
  z.object({ rows: z.array(row), searched_to: z.number().nullable() });
const hit = z.looseObject({
  ...{ kind: z.string(), id: z.string(), by: z.string(), tenant: textOrNull, label: textOrNull },
});
export type OpsHit = z.output<typeof hit>;
const auditRow = z.looseObject({
  ...{ id: z.number(), tenant: textOrNull, actor: z.string(), action: z.string(), target: textOrNull },
  ...{ outcome: z.string(), remote_address: textOrNull, request_id: textOrNull, created_at: time },
  details: z.record(z.string(), z.unknown()),
});
export type OpsAuditEntry = z.output<typeof auditRow>;
const tenantRow = z.looseObject({
  ...{ tenant_id: z.string(), slug: z.string(), name: z.string(), status: z.string() },
  ...{ live_sessions: z.number(), max_live_sessions: z.number(), starts_per_minute: numberOrNull, queued: z.number() },
  ...{ standby: z.number(), hot: z.number(), max_standby: z.number(), creates_per_second: z.number() },
  ...{ keys: z.number(), webhooks: z.number(), webhooks_failing: z.number() },
  apps: z.array(z.object({ name: z.string(), status: z.string() })),
});
export type OpsTenantRow = z.output<typeof tenantRow>;
const tenantDocument = tenantRow.extend({
  api_keys: z.array(
    z.looseObject({
      ...{ key_id: z.string(), name: z.string(), prefix: z.string(), scopes: z.array(z.string()) },
      ...{ created_at: time, expires_at: timeOrNull, revoked_at: timeOrNull },
    }),
  ),
  endpoints: z.array(
    z.looseObject({
      ...{ webhook_id: z.string(), url: z.string(), enabled: z.boolean(), failures: z.number() },
      ...{ failing_since: timeOrNull, disabled_reason: textOrNull },
    }),
  ),
  usage_30_days: z.looseObject({ machines: z.number(), sessions: z.number(), cost_usd: z.number() }),
});
export type OpsTenant = z.output<typeof tenantDocument>;
const workRow = z.looseObject({
  ...{ kind: z.string(), id: z.string(), key: z.string(), state: z.string(), attempts: z.number(), due_at: time },
  ...{ tenant: textOrNull, session_id: textOrNull, last_error: textOrNull, since: timeOrNull },
});
export type OpsWork = z.output<typeof workRow>;
const deliveryDocument = delivery.extend({ erased: z.boolean() });
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
    z.object({
      path: z.string(),
      starts: count,
      slow: count,
      p50_ms: count,
      p95_ms: count,
      p99_ms: count,
      max_ms: count,
    }),
  ),
  ended: z.array(z.object({ reason: z.string(), count })),
  pools: z.array(
    z.object({ region: z.string(), floor: count, ceiling: count, hot_floor: count, ready: count, hot_ready: count }),
  ),
  prepared: z.array(z.object({ region: z.string(), hot: z.boolean(), serving: z.boolean(), count })),
  spend: z.object({ today_usd: count, today_prepared_usd: count }),
  duties: z.array(z.object({ name: z.string(), holder: textOrNull, held: z.boolean().nullable() })),
  orchestrator_list: z.array(
    z.looseObject({
      ...{ orchestrator_id: z.string(), url: textOrNull, version: textOrNull, draining: z.boolean() },
      ...{ started_at: time, last_seen_at: time },
    }),
  ),
  drains: z.array(z.looseObject({ region: z.string(), why: z.string(), drained_by: z.string(), drained_at: time })),
  brake_holds: z.array(z.looseObject({ hold_id: z.string(), app_name: z.string(), ends: count, held_at: time })),
});
export type OpsOverview = z.output<typeof overview>;

const pool = z.looseObject({
  ...{ tenant_id: z.string(), tenant: z.string(), region: z.string(), floor: count, ceiling: count, ready: count },
  ...{ building: count, scheduled: count },
  hot: z.object({ floor: count, ceiling: count, ready: count, building: count }),
});

const schedule = z.array(
  z.object({ minute: time, tenant_id: z.string(), tenant: z.string(), region: z.string(), sessions: count }),
);
export type OpsPool = z.output<typeof pool>;
export type OpsSchedule = z.output<typeof schedule>;

const region = z.looseObject({
  ...{ region: z.string(), sessions: count, present: count, serving: count, standby: count, hot: count },
  ...{ tries_hour: count, failures_hour: count, create_ms: numberOrNull, last_created_at: timeOrNull },
  drain: z.looseObject({ why: z.string(), drained_by: z.string(), drained_at: time, until: timeOrNull }).nullable(),
});
export type OpsRegion = z.output<typeof region>;

/** A machine that the brake did not end. */
const heldEnd = z.object({
  machine_id: textOrNull,
  fly_machine_id: textOrNull,
  session_id: textOrNull,
  /** What the reconciler would have done: the kind of its verdict, or `orphan`. */
  what: z.string(),
});
export type HeldEnd = z.output<typeof heldEnd>;
const hold = z.looseObject({
  ...{ hold_id: z.string(), app_name: z.string(), tenant: textOrNull, ends: z.array(heldEnd), ceiling: count },
  ...{ held_at: time, seen_at: time, released_at: timeOrNull, released_by: textOrNull },
});
export type OpsHold = z.output<typeof hold>;

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
export type OperatorActs = ReturnType<typeof actorOf>;

type Place = object | undefined;

/** What operators read. */
const readerOf = (call: ReturnType<typeof callerOf>) => ({
  sessions: (filter: object, sort: string, after: Place, limit: number) =>
    call(
      'ops_sessions',
      { p_filter: filter, p_sort: sort, p_after: after ?? null, p_limit: limit },
      listPage(sessionRow),
    ),
  session: (id: string) => call('ops_session', { p_id: id }, sessionDocument.nullable()),
  machines: (filter: object, after: Place, limit: number) =>
    call('ops_machines', { p_filter: filter, p_after: after ?? null, p_limit: limit }, listPage(machineRow)),
  machine: (id: string) => call('ops_machine', { p_id: id }, machineDocument.nullable()),
  events: (filter: object, before: number | undefined, limit: number) =>
    call(
      'ops_events',
      { p_filter: filter, p_before: before ?? null, p_after: null, p_limit: limit },
      logPage(eventRow),
    ),
  eventsAfter: (filter: object, after: number, limit: number) =>
    call('ops_events', { p_filter: filter, p_before: null, p_after: after, p_limit: limit }, logPage(eventRow)),
  newEvents: (after: number, missing: number[], limit: number) =>
    call('ops_new_events', { p_after: after, p_missing: missing, p_limit: limit }, newEvents),
  audit: (filter: object, before: number | undefined, limit: number) =>
    call('ops_audit', { p_filter: filter, p_before: before ?? null, p_limit: limit }, logPage(auditRow)),
  tenants: (filter: object, after: string | undefined, limit: number) =>
    call('ops_tenants', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(tenantRow)),
  tenant: (id: string) => call('ops_tenant', { p_id: id }, tenantDocument.nullable()),
  pools: (filter: object) => call('ops_pools', { p_filter: filter }, z.array(pool)),
  regions: () => call('ops_regions', {}, z.array(region)),
  work: (filter: object, after: Place, limit: number) =>
    call('ops_work', { p_filter: filter, p_after: after ?? null, p_limit: limit }, z.array(workRow)),
  deliveries: (filter: object, after: Place, limit: number) =>
    call('ops_deliveries', { p_filter: filter, p_after: after ?? null, p_limit: limit }, listPage(delivery)),
  delivery: (id: string) => call('ops_delivery', { p_id: id }, deliveryDocument.nullable()),
  overview: () => call('ops_overview', { p_budgets_ms: startBudgetsMs }, overview),
  costs: (days: number) => call('ops_costs', { p_days: days }, z.looseObject({ days: z.array(z.unknown()) })),
  schedule: (minutes: number) => call('ops_schedule', { p_minutes: minutes }, schedule),
  find: (text: string) => call('ops_find', { p_text: text }, z.array(hit)),
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
      simple('updated', 'limit_exceeded', 'floor_above_ceiling', 'not_found'),
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

/** Stores what the brake holds. Resolves with true if an operator released these ends. */
export const createRecordHold =
  (database: Database, orchestratorId: string) =>
  (appName: string, ends: HeldEnd[], ceiling: number): Promise<boolean> =>
    callerOf(database)(
      'record_brake_hold',
      { p_app_name: appName, p_orchestrator_id: orchestratorId, p_ends: ends, p_ceiling: ceiling },
      z.boolean(),
    );
