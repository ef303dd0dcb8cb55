import { callFunction, type Database, DatabaseError } from '@greenroom/shared/database/client.ts';
import type { Directive, FinishRequest } from '@greenroom/shared/protocol/worker-api.ts';
import type { MachineReason, SessionReason } from '@greenroom/shared/session/reasons.ts';
import { machineStates } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';
import { type AliveRow, aliveRow, type ClaimRow, claimRow, directiveRow, type Intent, intentRow } from './rows.ts';

/** Machines: the intents to make them, their claims and heartbeats, and their ends. Throws DatabaseError. */
export interface Beat {
  machine_id: string;
  presence: string;
  unsaved_entries: number;
  rss_bytes?: number | undefined;
}

export interface Claim {
  machineName: string;
  appName: string;
  flyMachineId: string;
  bootNonce: string;
  imageDigest: string | undefined;
}

const failedResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('next'), intent: intentRow }),
  z.object({ kind: z.enum(['ended', 'stale', 'session_over', 'unknown']) }),
]);

const finishResult = z.object({
  kind: z.enum(['ended', 'draining', 'fenced', 'unknown']),
  app_name: z.string().nullish(),
  fly_machine_id: z.string().nullish(),
});
export type FinishResult = z.output<typeof finishResult>;

const goneResult = z.object({
  kind: z.enum(['recorded', 'unknown']),
  session_ended: z.boolean().optional(),
  session_id: z.string().nullish(),
});

export interface MachineStoreOptions {
  orchestratorId: string;
  intentTakenMs: number;
  leaseMs: number;
  /** A machine's life from its claim, beyond its session's maximum duration. */
  machineLifeMs: number;
}

export type MachineStore = ReturnType<typeof createMachineStore>;

export function createMachineStore(database: Database, options: MachineStoreOptions) {
  const { orchestratorId, intentTakenMs, leaseMs, machineLifeMs } = options;
  const call = <T extends z.ZodType>(name: string, parameters: object, result: T) =>
    callFunction(database, name, { ...parameters }, result);
  const taker = { p_orchestrator_id: orchestratorId, p_taken_ms: intentTakenMs };
  const nothing = z.unknown();

  return {
    /** Due intents that nobody is executing. */
    takeIntents: (limit: number): Promise<Intent[]> =>
      call('take_intents', { ...taker, p_limit: limit }, z.array(intentRow)),
    /** Just before the call to Fly: false means another has it, or it is not wanted any more. */
    keepIntent: (machineId: string): Promise<boolean> =>
      call('keep_intent', { p_machine_id: machineId, ...taker }, z.boolean()),
    /** Answers the state of its row: `destroying` and later mean it is not wanted any more. */
    recordCreated: (machineId: string, flyMachineId: string, region: string) =>
      call(
        'record_machine_created',
        { p_machine_id: machineId, p_fly_machine_id: flyMachineId, p_region: region },
        z.enum([...machineStates, 'unknown']),
      ),
    /** Fly surely did not make it. With `next` the next attempt is reserved and taken, else the session ends. */
    recordCreateFailed: (machineId: string, reason: SessionReason, next?: { machineId: string; region: string }) =>
      call(
        'record_create_failed',
        {
          p_machine_id: machineId,
          p_reason: reason,
          p_next_machine_id: next?.machineId ?? null,
          p_next_region: next?.region ?? null,
          ...taker,
        },
        failedResult,
      ),
    claim: (claim: Claim): Promise<ClaimRow> =>
      call(
        'claim_session',
        {
          p_machine_name: claim.machineName,
          p_app_name: claim.appName,
          p_fly_machine_id: claim.flyMachineId,
          p_boot_nonce: claim.bootNonce,
          p_lease_ms: leaseMs,
          p_life_ms: machineLifeMs,
          p_image_digest: claim.imageDigest ?? null,
        },
        claimRow,
      ),
    /** Renews leases in one batch; answers each machine's directive. A machine that is not there has none. */
    recordHeartbeats: async (beats: Beat[]): Promise<Map<string, Directive>> => {
      const rows = await call('record_heartbeats', { p_beats: beats, p_lease_ms: leaseMs }, z.array(directiveRow));
      return new Map(rows.map((row) => [row.machine_id, row.directive]));
    },
    finish: (machineId: string, epoch: number, request: FinishRequest): Promise<FinishResult> =>
      call(
        'finish_session',
        {
          p_machine_id: machineId,
          p_epoch: epoch,
          p_kind: request.kind,
          ...(request.kind === 'ended'
            ? {
                p_outcome: request.outcome,
                p_reason: request.reason,
                p_transcript_complete: request.transcript_complete,
              }
            : {}),
        },
        finishResult,
      ),
    /** Committed before any DELETE. Null when there is no such row. */
    recordDestroying: (machineId: string, reason: MachineReason) =>
      call(
        'record_machine_destroying',
        { p_machine_id: machineId, p_reason: reason },
        z.enum(machineStates).nullable(),
      ),
    /** Fly's evidence that it is gone. Ends the session that only it served, with `sessionReason` when none is decided. */
    recordGone: (machineId: string, reason: MachineReason, sessionReason?: SessionReason) =>
      call(
        'record_machine_gone',
        { p_machine_id: machineId, p_machine_reason: reason, p_session_reason: sessionReason ?? null },
        goneResult,
      ),
    alive: (): Promise<AliveRow[]> => call('machines_alive', {}, z.array(aliveRow)),
    recordAbsent: (machineId: string) => call('record_machine_absent', { p_machine_id: machineId }, nothing),
    /** Names of our Fly apps that may have machines. */
    apps: async (): Promise<string[]> => {
      const { data, error, status } = await database
        .from('tenant_apps')
        .select('name')
        .in('status', ['ready', 'removing'])
        .order('name');
      if (error) throw new DatabaseError(error, status, 'tenant_apps');
      return z
        .array(z.object({ name: z.string() }))
        .parse(data)
        .map((app) => app.name);
    },
    /** This orchestrator is there. */
    register: (url: string, version: string) =>
      call('register_orchestrator', { p_id: orchestratorId, p_url: url, p_version: version }, nothing),
  };
}
