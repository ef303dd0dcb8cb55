import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import type { Directive, FinishRequest, WorkerCounts, WorkerPhases } from '@greenroom/shared/protocol/worker-api.ts';
import type { MachineReason, SessionReason } from '@greenroom/shared/session/reasons.ts';
import { machineStates } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import { wasRolledBack } from './connection.ts';
import type { LaunchParameters } from './launch.ts';
import { type AliveRow, aliveRow, type ClaimRow, claimRow, directiveRow, type Intent, intentRow } from './rows.ts';

/** Machines: intents, claims, heartbeats and endings. Throws DatabaseError. */
export interface Beat {
  machine_id: string;
  epoch: number;
  presence: string;
  unsaved_entries: number;
  rss_bytes?: number | undefined;
  counts?: WorkerCounts | undefined;
  phases?: WorkerPhases | undefined;
}

/** The epoch distinguishes two boots of one machine. */
export const beatKey = ({ machine_id, epoch }: Pick<Beat, 'machine_id' | 'epoch'>): string => `${machine_id}:${epoch}`;

export interface Claim {
  machineName: string;
  appName: string;
  flyMachineId: string;
  bootNonce: string;
  imageDigest: string | undefined;
  /** For how long the VM and the worker's process have run, ms. Default: unknown. */
  vmMs?: number | undefined;
  processMs?: number | undefined;
}

/** Evidence of a request to Fly. */
export interface FlyAnswer {
  /** Fly's id of the request, if an answer came. */
  requestId: string | undefined;
  /** How long ago the first such request began, ms. */
  askedMs: number;
}

const failedResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('next'), intent: intentRow }),
  z.object({ kind: z.enum(['ended', 'stale', 'session_over', 'unknown']) }),
]);

const finishResult = z.object({
  kind: z.enum(['ended', 'draining', 'fenced', 'unknown']),
  app_name: z.string().nullish(),
  fly_machine_id: z.string().nullish(),
  next: intentRow.nullish(),
});
export type FinishResult = z.output<typeof finishResult>;

const goneResult = z.object({
  kind: z.enum(['recorded', 'alive', 'unknown', 'off_duty']),
  session_ended: z.boolean().optional(),
  session_id: z.string().nullish(),
  next: intentRow.nullish(),
});

const destroyingResult = z.object({
  kind: z.enum(['done', 'stale', 'off_duty', 'unknown']),
  state: z.enum(machineStates).nullable(),
  next: intentRow.nullish(),
});

const unreachableResult = z.object({
  kind: z.enum(['ignored', 'noted', 'replaced']),
  app_name: z.string().nullish(),
  fly_machine_id: z.string().nullish(),
  next: intentRow.nullish(),
});

const replacedRow = z.object({
  machine_id: z.string(),
  app_name: z.string(),
  fly_machine_id: z.string().nullable(),
  session_id: z.string(),
  next: intentRow.nullish(),
});
export type ReplacedRow = z.output<typeof replacedRow>;

const settledRow = z.object({ session_id: z.string(), kind: z.enum(['next', 'ended']), intent: intentRow.nullish() });
const ourApp = z
  .object({ name: z.string(), tenant_id: z.string() })
  .transform(({ name, tenant_id: tenantId }) => ({ name, tenantId }));
export type OurApp = z.output<typeof ourApp>;
const dutyRow = z.object({ name: z.string(), fence: z.number() });

/** The duty under which a change is made. With an outdated fencing number nothing is changed. */
/** Periodic work that one orchestrator does for all, with the fencing number of its holder. */
export interface Duty {
  name: string;
  fence: number;
}

export interface OnDuty {
  duty?: Duty | undefined;
}

export interface DestroyingOptions extends OnDuty {
  /** Why this is right, in words. Kept with the machine. */
  evidence?: string;
  /** The epoch at which the machine was judged (null: unclaimed). A claim since then makes the judgement stale. */
  judgedEpoch?: number | null;
  /** Reserve the session's next attempt at once, in this region. Undefined: in the same region. */
  replaceIn?: { region: string | undefined };
}

export interface GoneOptions extends OnDuty {
  /** What showed that it is gone, in words. Kept with the machine if nothing is kept yet. */
  evidence?: string;
  region?: string | undefined;
  /** Only if it has been absent this long without a sign of life. Default: no condition. */
  absentMs?: number;
  /** Not while its worker's lease is valid. Default false. */
  silent?: boolean;
}

export interface MachineStoreOptions {
  /** With what a session is given its next machine. */
  launch: LaunchParameters;
  leaseMs: number;
  /** A machine's allowed life from its claim on, without its session's maximum duration. */
  claimedLifeMs: number;
  publicUrl: string;
  version: string;
  /** Called when an attempt was reserved for this orchestrator, to execute it. Otherwise any orchestrator's scan finds it. */
  onAttempt(intent: Intent): void;
}

export type MachineStore = ReturnType<typeof createMachineStore>;

export function createMachineStore(database: Database, options: MachineStoreOptions) {
  const { launch, leaseMs, claimedLifeMs, onAttempt } = options;
  const { orchestrator_id: orchestratorId, taken_ms: intentTakenMs } = launch;
  const call = callerOf(database);
  const taker = { p_orchestrator_id: orchestratorId, p_taken_ms: intentTakenMs };
  const nothing = z.undefined();
  /** @param region where the next machine is wanted. Default: where the last one was. */
  const nextOf = (region?: string) => (region === undefined ? launch : { ...launch, region });
  const onDuty = ({ duty }: OnDuty) => ({ p_duty: duty?.name ?? null, p_fence: duty?.fence ?? null });
  const executing = <T extends { next?: Intent | null | undefined }>(result: T): T => {
    if (result.next) onAttempt(result.next);
    return result;
  };
  /** Claims of machines that boot at the same time are answered together: claims of one burst would use every connection. */
  const claim = createBatcher<Claim, ClaimRow>({
    run: (claims) =>
      call(
        'claim_sessions',
        {
          p_claims: claims.map((one) => ({
            machine_name: one.machineName,
            app_name: one.appName,
            fly_machine_id: one.flyMachineId,
            boot_nonce: one.bootNonce,
            image_digest: one.imageDigest ?? null,
            vm_ms: one.vmMs ?? null,
            process_ms: one.processMs ?? null,
          })),
          p_lease_ms: leaseMs,
          p_life_ms: claimedLifeMs,
        },
        z.array(claimRow),
      ),
    maxBatch: 25,
    concurrency: 2,
    isolate: wasRolledBack,
  });

  return {
    /** Takes due intents that no orchestrator holds. */
    takeIntents: (limit: number): Promise<Intent[]> =>
      call('take_intents', { ...taker, p_limit: limit }, z.array(intentRow)),
    /** Called just before the request to Fly. False: another orchestrator holds the intent, or it is no longer wanted. */
    keepIntent: (machineId: string): Promise<boolean> =>
      call('keep_intent', { p_machine_id: machineId, ...taker }, z.boolean()),
    /** Keeps the intent while this orchestrator waits for the next try. False: another orchestrator holds it. */
    holdIntent: (machineId: string, waitMs: number): Promise<boolean> =>
      call(
        'keep_intent',
        { p_machine_id: machineId, ...taker, p_taken_ms: intentTakenMs + Math.ceil(waitMs) },
        z.boolean(),
      ),
    /** Returns the state of the row. `destroying` or later: the machine is no longer wanted. */
    recordCreated: (machineId: string, flyMachineId: string, region: string, { requestId, askedMs }: FlyAnswer) =>
      call(
        'record_machine_created',
        {
          p_machine_id: machineId,
          p_fly_machine_id: flyMachineId,
          p_region: region,
          p_fly_request_id: requestId ?? null,
          p_asked_ms: askedMs,
        },
        z.enum([...machineStates, 'unknown']),
      ),
    /**
     * Records that Fly certainly created no machine. Its session gets its next machine, where `region` says, or ends for this reason.
     * @param evidence what Fly answered, in words
     * @param region where to try next. Default: nowhere
     */
    recordCreateFailed: async (
      machineId: string,
      reason: SessionReason,
      { evidence, answer, region }: { evidence: string; answer: FlyAnswer; region?: string | undefined },
    ) => {
      const parameters = {
        p_machine_id: machineId,
        p_reason: reason,
        p_launch: nextOf(region),
        p_evidence: evidence,
        p_fly_request_id: answer.requestId ?? null,
        p_asked_ms: answer.askedMs,
      };
      const result = await call('record_create_failed', parameters, failedResult);
      if (result.kind === 'next') onAttempt(result.intent);
      return result.kind;
    },
    claim,
    /** A waiting hot worker's connection closed. False: its machine has a session, or it has claimed since. */
    recordHotLeft: (machineId: string, heardAt: string): Promise<boolean> =>
      call('record_hot_left', { p_machine_id: machineId, p_heard_at: heardAt }, z.boolean()),
    /** Ids of assigned hot machines whose workers have not claimed yet. */
    unconfirmed: (): Promise<string[]> => call('unconfirmed_machines', {}, z.array(z.string())),
    /** Gives up hot machines that were assigned `lateMs` ago and have not claimed, and `machineId` whatever its time. */
    replaceUnconfirmed: async (lateMs: number, machineId?: string): Promise<ReplacedRow[]> => {
      const parameters = { p_launch: nextOf(), p_late_ms: lateMs, p_machine_id: machineId ?? null };
      const replaced = await call('replace_unconfirmed', parameters, z.array(replacedRow));
      return replaced.map(executing);
    },
    /** Renews leases in one batch. Returns directives by `beatKey`; an unknown machine has none. */
    recordHeartbeats: async (beats: Beat[]): Promise<Map<string, Directive>> => {
      const rows = await call('record_heartbeats', { p_beats: beats, p_lease_ms: leaseMs }, z.array(directiveRow));
      return new Map(rows.map((row) => [beatKey(row), row.directive]));
    },
    /** Records a worker's final report. A hand-over reserves the next attempt. */
    finish: async (machineId: string, epoch: number, request: FinishRequest): Promise<FinishResult> => {
      const result = await call(
        'finish_session',
        {
          p_machine_id: machineId,
          p_epoch: epoch,
          p_kind: request.kind,
          p_next: nextOf(),
          p_counts: request.counts ?? null,
          p_phases: request.phases ?? null,
          ...(request.kind === 'ended'
            ? {
                p_outcome: request.outcome,
                p_reason: request.reason,
                p_transcript_complete: request.transcript_complete,
              }
            : {}),
        },
        finishResult,
      );
      return executing(result);
    },
    /** Committed before any DELETE. Null if the row does not exist or this orchestrator no longer holds the duty. */
    recordDestroying: async (machineId: string, reason: MachineReason, options: DestroyingOptions = {}) => {
      const { judgedEpoch, replaceIn } = options;
      const result = await call(
        'record_machine_destroying',
        {
          p_machine_id: machineId,
          p_reason: reason,
          p_epoch: judgedEpoch ?? null,
          p_judged: judgedEpoch !== undefined,
          p_next: replaceIn === undefined ? null : nextOf(replaceIn.region),
          p_evidence: options.evidence ?? null,
          ...onDuty(options),
        },
        destroyingResult,
      );
      return executing(result).state;
    },
    /** Records that Fly reports the machine gone. Its session gets the next attempt or ends: see `record_machine_gone`. */
    recordGone: async (machineId: string, reason: MachineReason, options: GoneOptions = {}) =>
      executing(
        await call(
          'record_machine_gone',
          {
            p_machine_id: machineId,
            p_machine_reason: reason,
            p_next: nextOf(options.region),
            ...onDuty(options),
            p_absent_ms: options.absentMs ?? null,
            p_silent: options.silent ?? false,
            p_evidence: options.evidence ?? null,
          },
          goneResult,
        ),
      ),
    /**
     * Records that a returning browser could not be connected to the machine of its session.
     * @param silent the browser asks for a machine whose worker has let its lease expire
     */
    recordUnreachable: async (machineId: string, epoch: number, gapMs: number, windowMs: number, silent: boolean) =>
      executing(
        await call(
          'record_unreachable',
          {
            ...{ p_machine_id: machineId, p_epoch: epoch, p_gap_ms: gapMs, p_window_ms: windowMs },
            ...{ p_next: nextOf(), p_silent: silent },
          },
          unreachableResult,
        ),
      ),
    /** Reserves a second attempt beside a late machine, unless there is one. True if it did. */
    hedge: async (machineId: string, region: string | undefined, options: OnDuty): Promise<boolean> => {
      const parameters = { p_machine_id: machineId, p_next: nextOf(region), ...onDuty(options) };
      const next = await call('hedge_machine', parameters, intentRow.nullable());
      executing({ next });
      return next !== null;
    },
    /** Gives sessions that a crash left without a machine a new one. Returns their ids. */
    settle: async (options: OnDuty): Promise<string[]> => {
      const parameters = { p_next: nextOf(), ...onDuty(options) };
      const settled = await call('settle_sessions', parameters, z.array(settledRow));
      for (const { intent } of settled) executing({ next: intent });
      return settled.map(({ session_id }) => session_id);
    },
    /** A machine with the data needed to choose the next region. */
    intent: (machineId: string): Promise<Intent | null> =>
      call('machine_intent', { p_machine_id: machineId }, intentRow.nullable()),
    recordHost: (machineId: string, ok: boolean) => call('record_host', { p_machine_id: machineId, p_ok: ok }, nothing),
    /** @param apps default: all. */
    alive: (apps?: string[]): Promise<AliveRow[]> =>
      call('machines_alive', { p_apps: apps ?? null }, z.array(aliveRow)),
    keepDuties: (names: string[], dutyLeaseMs: number, draining: boolean): Promise<Duty[]> =>
      call(
        'keep_duties',
        {
          p_orchestrator_id: orchestratorId,
          p_url: options.publicUrl,
          p_version: options.version,
          p_names: names,
          p_lease_ms: dutyLeaseMs,
          p_draining: draining,
        },
        z.array(dutyRow),
      ),
    /** @param absent default true. False: Fly shows the machine again. */
    recordAbsent: (machineId: string, absent = true) =>
      call('record_machine_absent', { p_machine_id: machineId, p_absent: absent }, nothing),
    /** Our Fly apps that may have machines. */
    apps: (): Promise<OurApp[]> => call('apps_with_machines', {}, z.array(ourApp)),
    /** Registers this orchestrator. */
    register: (url: string, version: string) =>
      call('register_orchestrator', { p_id: orchestratorId, p_url: url, p_version: version }, nothing),
  };
}
