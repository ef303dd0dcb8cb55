import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { machineReasonNames } from '@greenroom/shared/session/reasons.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import { type Intent, intentRow } from './rows.ts';

/** Standby machines, and sessions that wait for their time, their place or their candidate. Throws DatabaseError. */

/** What a machine is made with, when a session that waited gets one; durations in ms. */
export interface LaunchParameters {
  orchestrator_id: string;
  image: string;
  taken_ms: number;
  /** Life of a machine without the interview's own maximum duration. */
  life_ms: number;
  default_region: string;
}

const poolFacts = z.object({
  /** The image pools are filled with; null until an orchestrator has announced one. */
  image: z.string().nullable(),
  tenants: z.array(
    z.object({
      tenant_id: z.string(),
      creates_per_second: z.number(),
      pools: z.array(
        z.object({
          region: z.string(),
          floor: z.number(),
          ceiling: z.number(),
          ready: z.number(),
          building: z.number(),
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
  /** Standby machines of the current image, ready or under way. */
  target: number;
  /** How many of them to give up. */
  shrink: number;
  /** How many of other images to give up. */
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

export const poolView = z.array(
  z.object({
    region: z.string(),
    floor: z.number(),
    ceiling: z.number(),
    ready: z.number(),
    building: z.number(),
    scheduled: z.number(),
  }),
);

export interface PoolStoreOptions {
  launch: LaunchParameters;
  /** A scheduled session begins this long before its time. */
  leadMs: number;
  queueMs: number;
  /** A machine asked to start this long ago and not heard of is late. */
  lateMs: number;
  maxAttempts: number;
  clock: Pick<Clock, 'sleep'>;
}

export type PoolStore = ReturnType<typeof createPoolStore>;

const batchLimit = 50;
const recordPauseMs = 100;

export function createPoolStore(database: Database, options: PoolStoreOptions) {
  const { launch, leadMs, queueMs, lateMs, maxAttempts, clock } = options;
  const call = callerOf(database);

  const recordStart = createBatcher<string, void>({
    maxBatch: 500,
    run: async (ids) => {
      // Nobody waits for this note: one rpc at a time and not too often, so that under load many travel together.
      const recorded = call('record_starts', { p_machine_ids: ids }, z.number());
      await Promise.all([recorded, clock.sleep(recordPauseMs)]);
      return ids.map(() => undefined);
    },
  });

  return {
    /** Scheduled sessions whose time is near begin. */
    startScheduled: (): Promise<Begun> =>
      call('start_scheduled', { p_launch: launch, p_lead_ms: leadMs, p_queue_ms: queueMs, p_limit: batchLimit }, begun),
    /** Queued sessions take the places that became free; those past their deadline end. */
    admitQueued: (): Promise<Begun> => call('admit_queued', { p_launch: launch, p_limit: batchLimit }, begun),
    /** The candidate of a session with placement `on_join` is there. Regions in order; null: nobody knows where. */
    beginOnJoin: (sessionId: string, regions: string[] | null, reason: string) =>
      call(
        'begin_on_join',
        { p_session_id: sessionId, p_regions: regions ?? [], p_region_reason: reason, p_launch: launch },
        arrived,
      ),
    /** Assigned machines that nobody is starting, and those that are late. */
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
    /** Fly accepted the start; batched. */
    recordStart,
    recordStarted: (machineId: string) => call('record_machine_started', { p_machine_id: machineId }, z.boolean()),
    /** It would not start: its session gets the next machine, or ends. */
    recordStartFailed: (machineId: string) =>
      call(
        'record_start_failed',
        { p_machine_id: machineId, p_launch: launch, p_max_attempts: maxAttempts },
        startFailed,
      ),
    /** False when this orchestrator is not registered yet. */
    announceImage: (): Promise<boolean> =>
      call('announce_image', { p_orchestrator_id: launch.orchestrator_id, p_image: launch.image }, z.boolean()),
    facts: (horizonMs: number): Promise<PoolFacts> => call('pool_facts', { p_horizon_ms: horizonMs }, poolFacts),
    demand: (windowMs: number): Promise<Demand> => call('pool_demand', { p_window_ms: windowMs }, demand),
    apply: (orders: PoolOrder[], image: string) =>
      call(
        'apply_pool_plan',
        {
          p_plan: orders,
          p_image: image,
          p_orchestrator_id: launch.orchestrator_id,
          p_taken_ms: launch.taken_ms,
        },
        applied,
      ),
    ofTenant: (tenantId: string) => call('pool_of_tenant', { p_tenant_id: tenantId }, poolView),
  };
}
