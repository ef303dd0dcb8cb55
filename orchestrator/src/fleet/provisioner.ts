import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import { machineRanks } from '@greenroom/shared/session/states.ts';
import type { FlyAnswer, MachineStore } from '../database/machine-store.ts';
import type { Intent } from '../database/rows.ts';
import type { CreateOutcome, FlyRefusal } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { nextRegion } from '../regions/placement.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Endings } from './ending.ts';
import { createBody, type MachineTemplate } from './machine-config.ts';

/**
 * Executes intents: rows that request a machine.
 *
 * - The row exists before the request to Fly, and the machine's name derives from the row. So whatever is lost
 *   or repeated, Fly has at most one machine for a row.
 * - Directly before every create, `keep_intent` (compare-and-set) checks that no other orchestrator has taken
 *   the intent and that it is still wanted. A fresh intent that need not wait for a slot was just taken in the
 *   same answer, so the check is skipped, which saves a round trip.
 * - While it is unclear whether a machine exists, nothing is created under another name.
 * - If executing an intent fails, the row stays as it is: the scan of any orchestrator takes it again, and the
 *   reconciler ends it when it is too old.
 * - While waiting between two tries the intent is held, because another orchestrator that took it would ask
 *   sooner than Fly's Retry-After allows.
 */
export interface Provisioner {
  /** Executes an intent in the background. Does nothing if this intent is already being executed here. */
  execute(intent: Intent): void;
  /** Takes due intents that no orchestrator is executing. */
  scan(): Promise<void>;
  /** Stops after the running request. */
  stop(): Promise<void>;
}

export interface ProvisionerDeps {
  machines: Pick<MachineStore, 'keepIntent' | 'holdIntent' | 'recordCreated' | 'recordCreateFailed' | 'takeIntents'>;
  fly: Pick<FlyClient, 'create' | 'get' | 'findByMetadata'>;
  endings: Pick<Endings, 'destroy'>;
  template: MachineTemplate;
  clock: Clock;
  logger: Logger;
  /** Called when the session's state has changed. */
  onChange: (sessionId: string) => void;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

/** For this long after it was taken an intent cannot have been taken by others: a small part of `intentTakenMs`. */
const freshMs = 100;
const triesPerRun = 10;
const patientTries = 3;
const scanLimit = 20;

/** What to do after Fly's answer. */
type Step = { kind: 'over' } | { kind: 'again'; delayMs: number };

const reasonOf = (kind: FlyRefusal['kind']): SessionReason => {
  if (kind === 'noCapacity' || kind === 'hostBusy') return 'no_capacity';
  return kind === 'quota' ? 'quota_exceeded' : 'fly_refused';
};

export function createProvisioner(deps: ProvisionerDeps): Provisioner {
  const { machines, fly, endings, template, clock, logger, onChange, tracing } = deps;
  const tasks = createTasks('the provisioner');
  const over: Step = { kind: 'over' };

  const adopt = async (intent: Intent, answer: FlyAnswer, flyMachineId: string, region: string): Promise<Step> => {
    crashPoint('create.answered');
    const state = await machines.recordCreated(intent.machine_id, flyMachineId, region, answer);
    crashPoint('create.recorded');
    const wanted = state !== 'unknown' && machineRanks[state] < machineRanks.draining;
    const ids = { machine_id: intent.machine_id, fly_machine_id: flyMachineId, app_name: intent.app_name };
    logger.info({ ...ids, session_id: intent.session_id, region, state }, 'machine created');
    if (!wanted) endings.destroy(ids, 'session_gone', `its row was ${state} when the machine had been created`);
    return over;
  };

  /** The name is taken by the machine of an earlier create whose answer was lost. */
  const adoptHolder = async (intent: Intent, answer: FlyAnswer, flyMachineId: string): Promise<Step> => {
    const found = await fly.get(intent.app_name, flyMachineId);
    return adopt(intent, answer, flyMachineId, found.kind === 'there' ? found.machine.region : intent.region);
  };

  const lookThenRetry = async (intent: Intent, answer: FlyAnswer, tries: number): Promise<Step> => {
    crashPoint('create.unclear');
    const found = await fly.findByMetadata(intent.app_name, 'machine_id', intent.machine_id);
    const machine = found.kind === 'listed' ? found.machines.find((m) => m.state !== 'destroyed') : undefined;
    if (machine) return adopt(intent, answer, machine.id, machine.region);
    return { kind: 'again', delayMs: backoffMs(tries, { baseMs: 300, maxMs: 5_000 }) };
  };

  /** Fly certainly created no machine. The session gets its next attempt in another region, or ends. */
  const giveUp = async (intent: Intent, answer: FlyAnswer, refusal: FlyRefusal): Promise<Step> => {
    const elsewhere = ['noCapacity', 'hostBusy', 'quota'].includes(refusal.kind);
    const wanted = intent.regions.length > 0 ? intent.regions : [intent.region];
    const region = elsewhere ? nextRegion(wanted, intent.tried_regions, intent.allowed_regions) : undefined;
    crashPoint('create.refused');
    const evidence = `Fly's answer to the create: ${refusal.kind}`;
    const reason = reasonOf(refusal.kind);
    const state = await machines.recordCreateFailed(intent.machine_id, reason, { evidence, answer, region });
    crashPoint('create.refusal_recorded');
    const ids = { machine_id: intent.machine_id, session_id: intent.session_id, region: intent.region };
    logger.warn({ ...ids, kind: refusal.kind, state, target: region }, 'could not create a machine');
    if (intent.session_id !== null) onChange(intent.session_id);
    return over;
  };

  const patiently = (intent: Intent, answer: FlyAnswer, refusal: FlyRefusal, tries: number): Promise<Step> | Step =>
    tries < patientTries
      ? { kind: 'again', delayMs: 200 + backoffMs(tries, { baseMs: 500, maxMs: 4_000 }) }
      : giveUp(intent, answer, refusal);

  const conclude = (intent: Intent, outcome: CreateOutcome, askedMs: number, tries: number): Promise<Step> | Step => {
    const answer = { requestId: outcome.requestId, askedMs };
    switch (outcome.kind) {
      case 'created':
      case 'started':
        return adopt(intent, answer, outcome.machine.id, outcome.machine.region || intent.region);
      case 'nameTaken':
        return adoptHolder(intent, answer, outcome.machineId);
      case 'ambiguous':
        return lookThenRetry(intent, answer, tries);
      case 'rateLimited':
        return {
          kind: 'again',
          delayMs: outcome.retryAfterMs ?? 500 + backoffMs(tries, { baseMs: 500, maxMs: 8_000 }),
        };
      case 'hostBusy':
      case 'precondition':
      case 'notFound':
        return patiently(intent, answer, outcome, tries);
      case 'noCapacity':
      case 'quota':
      case 'unauthorized':
      case 'fatal':
        return giveUp(intent, answer, outcome);
    }
  };

  /** Executes one intent until it has its machine or is given up. */
  const run = async (intent: Intent): Promise<void> => {
    const heldSinceMs = clock.monotonicMs();
    await clock.sleep(intent.wait_ms, tasks.signal);
    const askedAtMs = clock.monotonicMs();
    for (let tries = 0; tries < triesPerRun; tries += 1) {
      const isFresh = tries === 0 && clock.monotonicMs() - heldSinceMs <= freshMs;
      if (!isFresh && !(await machines.keepIntent(intent.machine_id))) return;
      crashPoint('create.kept');
      const outcome = await fly.create(intent.app_name, createBody(intent, template));
      const step = await conclude(intent, outcome, clock.monotonicMs() - askedAtMs, tries);
      if (step.kind === 'over') return;
      if (!(await machines.holdIntent(intent.machine_id, step.delayMs))) return;
      await clock.sleep(step.delayMs, tasks.signal);
    }
  };

  const execute = (intent: Intent): void => {
    const { machine_id, session_id } = intent;
    const onError = (error: unknown) => logger.error({ machine_id, session_id, error }, 'could not execute an intent');
    const { attempt, region, app_name, hot } = intent;
    const fields = { attempt, region, app_name, kind: hot ? 'hot' : session_id === null ? 'standby' : 'cold' };
    tracing.forSession(intent, () =>
      tasks.start(machine_id, () => tracing.span('create machine', { fields }, () => run(intent)), onError),
    );
  };

  return {
    execute,
    scan: async () => {
      for (const intent of await machines.takeIntents(scanLimit)) execute(intent);
    },
    stop: tasks.stop,
  };
}
