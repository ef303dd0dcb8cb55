import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { machineReasonNames } from '@greenroom/shared/session/reasons.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import type { LaunchParameters } from './launch.ts';
import { type Intent, intentRow } from './rows.ts';

/** Standby machines, and sessions that wait for their start time, for admission or for their candidate. Throws DatabaseError. */

const poolFacts = z.object({
  /** The image of new standby machines. Null until an orchestrator has announced one. */
  image: z.string().nullable(),
  tenants: z.array(
    z.object({
      tenant_id: z.string(),
      creates_per_second: z.number(),
      pools: z.array(
        z.object({
          region: z.string(),
          /** Hot machines; otherwise standby machines. */
          hot: z.boolean(),
          floor: z.number(),
          ceiling: z.number(),
          ready: z.number(),
          building: z.number(),
          /** Of another image, or hot and too old. */
          stale: z.number(),
        }),
      ),
      due: z.array(z.object({ region: z.string(), due_in_ms: z.number(), sessions: z.number() })),
    }),
  ),
});
export type PoolFacts = z.output<typeof poolFacts>;
export type TenantFacts = PoolFacts['tenants'][number];

const demand = z.array(z.object({ tenant_id: z.string(), region: z.string(), per_second: z.number() }));
export type Demand = z.output<typeof demand>;

/** One pool's part of a plan. */
export interface PoolOrder {
  tenant_id: string;
  region: string;
  hot: boolean;
  /** Machines that are not stale, ready or being created. */
  target: number;
  /** Number of them to destroy. */
  shrink: number;
  /** Number of stale machines to destroy. */
  retire_stale: number;
}

const applied = z.object({
  intents: z.array(intentRow),
  retired: z.array(
    z.object({
      machine_id: z.string(),
      app_name: z.string(),
      fly_machine_id: z.string().nullable(),
      reason: z.enum(machineReasonNames),
    }),
  ),
});

const begun = z.array(
  z.object({
    kind: z.enum(['launched', 'waits', 'queued', 'expired', 'no_app']),
    session_id: z.string(),
    intent: intentRow.optional(),
  }),
);
export type Begun = z.output<typeof begun>;

const startFailed = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('next'), intent: intentRow }),
  z.object({ kind: z.enum(['ended', 'session_over', 'stale', 'unknown']) }),
]);

const arrived = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('launched'), intent: intentRow }),
  z.object({ kind: z.enum(['no_app', 'not_waiting']) }),
]);

export const poolView = z.object({
  region: z.string(),
  floor: z.number(),
  ceiling: z.number(),
  ready: z.number(),
  building: z.number(),
  scheduled: z.number(),
  hot: z.object({ floor: z.number(), ceiling: z.number(), ready: z.number(), building: z.number() }),
});

/** A start that Fly accepted, with the times of the request on this process's monotonic clock. */
export interface AcceptedStart {
  machineId: string;
  /** Fly's id of the request. */
  requestId: string | undefined;
  askedAtMs: number;
  answeredAtMs: number;
}

export interface PoolStoreOptions {
  launch: LaunchParameters;
  /** A scheduled session's machine is started this long before the start time. */
  leadMs: number;
  queueMs: number;
  /** A hot machine of this age is stale. */
  hotLifeMs: number;
  /** A machine that has not started this long after the request is late. */
  lateMs: number;
  clock: Pick<Clock, 'sleep' | 'monotonicMs'>;
}

export type PoolStore = ReturnType<typeof createPoolStore>;

const batchLimit = 50;
const recordPauseMs = 100;

export function createPoolStore(database: Database, options: PoolStoreOptions) {
  const { launch, leadMs, queueMs, hotLifeMs, lateMs, clock } = options;
  const call = callerOf(database);

  const recordStart = createBatcher<AcceptedStart, void>({
    maxBatch: 500,
    run: async (starts) => {
      const nowMs = clock.monotonicMs();
      const p_starts = starts.map(({ machineId, requestId, askedAtMs, answeredAtMs }) => ({
        machine_id: machineId,
        fly_request_id: requestId ?? null,
        asked_ms: nowMs - askedAtMs,
        answered_ms: nowMs - answeredAtMs,
      }));
      // No caller waits for this record: one rpc at a time with a pause, so that batches are large under load.
      const recorded = call('record_starts', { p_starts }, z.number());
      await Promise.all([recorded, clock.sleep(recordPauseMs)]);
      return starts.map(() => undefined);
    },
  });

  return {
    /** Starts scheduled sessions whose start time is near. */
    startScheduled: (): Promise<Begun> =>
      call('start_scheduled', { p_launch: launch, p_lead_ms: leadMs, p_queue_ms: queueMs, p_limit: batchLimit }, begun),
    /** Admits queued sessions to free places, and ends those past their deadline. */
    admitQueued: (): Promise<Begun> => call('admit_queued', { p_launch: launch, p_limit: batchLimit }, begun),
    /** Starts a session with placement `on_join` whose candidate has arrived. Regions in order; null: place unknown. */
    beginOnJoin: (sessionId: string, regions: string[] | null, reason: string) =>
      call(
        'begin_on_join',
        { p_session_id: sessionId, p_regions: regions ?? [], p_region_reason: reason, p_launch: launch },
        arrived,
      ),
    /** Takes assigned machines that no orchestrator is starting, and late ones. */
    takeStarts: (): Promise<Intent[]> =>
      call(
        'take_starts',
        {
          p_orchestrator_id: launch.orchestrator_id,
          p_taken_ms: launch.taken_ms,
          p_late_ms: lateMs,
          p_limit: batchLimit,
        },
        z.array(intentRow),
      ),
    /** It is ours while we wait for that long before the next try: nobody else may try sooner. False: another has it. */
    holdStart: (machineId: string, waitMs: number): Promise<boolean> =>
      call(
        'keep_intent',
        {
          p_machine_id: machineId,
          p_orchestrator_id: launch.orchestrator_id,
          p_taken_ms: launch.taken_ms + Math.ceil(waitMs),
        },
        z.boolean(),
      ),
    /** Records that Fly accepted the start. Batched. */
    recordStart,
    recordStarted: (machineId: string) => call('record_machine_started', { p_machine_id: machineId }, z.boolean()),
    /** Records that the machine did not start. Its session gets the next machine or ends. */
    recordStartFailed: (machineId: string) =>
      call('record_start_failed', { p_machine_id: machineId, p_launch: launch }, startFailed),
    /** False when this orchestrator is not registered yet. */
    announceImage: (): Promise<boolean> =>
      call('announce_image', { p_orchestrator_id: launch.orchestrator_id, p_image: launch.image }, z.boolean()),
    facts: (horizonMs: number): Promise<PoolFacts> =>
      call('pool_facts', { p_horizon_ms: horizonMs, p_hot_life_ms: hotLifeMs }, poolFacts),
    demand: (windowMs: number): Promise<Demand> => call('pool_demand', { p_window_ms: windowMs }, demand),
    apply: (orders: PoolOrder[], image: string) =>
      call(
        'apply_pool_plan',
        {
          p_plan: orders,
          p_image: image,
          p_orchestrator_id: launch.orchestrator_id,
          p_taken_ms: launch.taken_ms,
          p_hot_life_ms: hotLifeMs,
        },
        applied,
      ),
    ofTenant: (tenantId: string) => call('pool_of_tenant', { p_tenant_id: tenantId }, z.array(poolView)),
  };
}
