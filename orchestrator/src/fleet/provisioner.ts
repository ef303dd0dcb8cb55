import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import { machineRanks } from '@greenroom/shared/session/states.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { Intent } from '../database/rows.ts';
import type { CreateOutcome, FlyRefusal } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { nextRegion } from '../regions/placement.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Endings } from './ending.ts';
import { createBody, type MachineTemplate } from './machine-config.ts';

/**
 * Executes intents: rows that ask for a machine.
 *
 * P1  The row is there before the call, and its name is the machine's name: whatever is lost or repeated, Fly holds at
 *     most one machine for a row.
 * P2  `keep_intent` (compare-and-set) stands right before every create: an intent that another orchestrator has taken,
 *     or that is not wanted any more, is left alone. The one that has just come from the database, and waits for no slot,
 *     was taken in that very answer: it is created at once, a round trip sooner.
 * P3  While it is unsure whether a machine exists, nothing is created under another name.
 * P4  Whoever gives up leaves the row as it is: any orchestrator's scan takes it again, and the reaper bounds how long.
 * P5  Who waits between two tries holds the intent for that long: another orchestrator that took it meanwhile would ask
 *     sooner than Fly's Retry-After allows.
 */
export interface Provisioner {
  /** Executes an intent in the background. One that is being executed here already is not started twice. */
  execute(intent: Intent): void;
  /** Takes due intents that nobody is executing. */
  scan(): Promise<void>;
  /** Stops after the request under way. */
  stop(): Promise<void>;
}

export interface ProvisionerDeps {
  machines: Pick<MachineStore, 'keepIntent' | 'holdIntent' | 'recordCreated' | 'recordCreateFailed' | 'takeIntents'>;
  fly: Pick<FlyClient, 'create' | 'get' | 'findByMetadata'>;
  endings: Pick<Endings, 'destroy'>;
  template: MachineTemplate;
  clock: Clock;
  logger: Logger;
  /** The session's state changed by what happened here. */
  onChange: (sessionId: string) => void;
}

/** An intent in our hands no longer than this is as it was when it was taken: a small part of `intentTakenMs`. */
const freshMs = 100;
const triesPerRun = 10;
const patientTries = 3;
const scanLimit = 20;

/** What comes after an answer of Fly. */
type Step = { kind: 'over' } | { kind: 'again'; delayMs: number };

const reasonOf = (kind: FlyRefusal['kind']): SessionReason => {
  if (kind === 'noCapacity' || kind === 'hostBusy') return 'no_capacity';
  return kind === 'quota' ? 'quota_exceeded' : 'fly_refused';
};

export function createProvisioner(deps: ProvisionerDeps): Provisioner {
  const { machines, fly, endings, template, clock, logger, onChange } = deps;
  const tasks = createTasks('the provisioner');
  const over: Step = { kind: 'over' };

  const adopt = async (intent: Intent, flyMachineId: string, region: string): Promise<Step> => {
    crashPoint('create.answered');
    const state = await machines.recordCreated(intent.machine_id, flyMachineId, region);
    crashPoint('create.recorded');
    const wanted = state !== 'unknown' && machineRanks[state] < machineRanks.draining;
    const ids = { machine_id: intent.machine_id, fly_machine_id: flyMachineId, app_name: intent.app_name };
    logger.info({ ...ids, session_id: intent.session_id, region, state }, 'machine created');
    if (!wanted) endings.destroy(ids, 'session_gone', `its row was ${state} when Fly had made it`);
    return over;
  };

  /** Its name is taken by itself: an earlier create whose answer was lost (P1). */
  const adoptHolder = async (intent: Intent, flyMachineId: string): Promise<Step> => {
    const found = await fly.get(intent.app_name, flyMachineId);
    return adopt(intent, flyMachineId, found.kind === 'there' ? found.machine.region : intent.region);
  };

  const lookThenRetry = async (intent: Intent, tries: number): Promise<Step> => {
    crashPoint('create.unclear');
    const found = await fly.findByMetadata(intent.app_name, 'machine_id', intent.machine_id);
    const machine = found.kind === 'listed' ? found.machines.find((m) => m.state !== 'destroyed') : undefined;
    if (machine) return adopt(intent, machine.id, machine.region);
    return { kind: 'again', delayMs: backoffMs(tries, { baseMs: 300, maxMs: 5_000 }) };
  };

  /** Fly surely did not make it: its session gets the next machine in another region (`onAttempt`), or ends. */
  const giveUp = async (intent: Intent, refusal: FlyRefusal): Promise<Step> => {
    const elsewhere = ['noCapacity', 'hostBusy', 'quota'].includes(refusal.kind);
    const wanted = intent.regions.length > 0 ? intent.regions : [intent.region];
    const region = elsewhere ? nextRegion(wanted, intent.tried_regions, intent.allowed_regions) : undefined;
    crashPoint('create.refused');
    const state = await machines.recordCreateFailed(intent.machine_id, reasonOf(refusal.kind), region);
    crashPoint('create.refusal_recorded');
    const ids = { machine_id: intent.machine_id, session_id: intent.session_id, region: intent.region };
    logger.warn({ ...ids, kind: refusal.kind, state, target: region }, 'machine could not be created');
    if (intent.session_id !== null) onChange(intent.session_id);
    return over;
  };

  const patiently = (intent: Intent, refusal: FlyRefusal, tries: number): Promise<Step> | Step =>
    tries < patientTries
      ? { kind: 'again', delayMs: 200 + backoffMs(tries, { baseMs: 500, maxMs: 4_000 }) }
      : giveUp(intent, refusal);

  const conclude = (intent: Intent, outcome: CreateOutcome, tries: number): Promise<Step> | Step => {
    switch (outcome.kind) {
      case 'created':
      case 'started':
        return adopt(intent, outcome.machine.id, outcome.machine.region || intent.region);
      case 'nameTaken':
        return adoptHolder(intent, outcome.machineId);
      case 'ambiguous':
        return lookThenRetry(intent, tries);
      case 'rateLimited':
        return {
          kind: 'again',
          delayMs: outcome.retryAfterMs ?? 500 + backoffMs(tries, { baseMs: 500, maxMs: 8_000 }),
        };
      case 'hostBusy':
      case 'precondition':
      case 'notFound':
        return patiently(intent, outcome, tries);
      case 'noCapacity':
      case 'quota':
      case 'unauthorized':
      case 'fatal':
        return giveUp(intent, outcome);
    }
  };

  /** One intent, from its slot to its machine or its end. */
  const run = async (intent: Intent): Promise<void> => {
    const heldSinceMs = clock.monotonicMs();
    await clock.sleep(intent.wait_ms, tasks.signal);
    for (let tries = 0; tries < triesPerRun; tries += 1) {
      const isFresh = tries === 0 && clock.monotonicMs() - heldSinceMs <= freshMs;
      if (!isFresh && !(await machines.keepIntent(intent.machine_id))) return; // P2
      crashPoint('create.kept');
      const outcome = await fly.create(intent.app_name, createBody(intent, template));
      const step = await conclude(intent, outcome, tries);
      if (step.kind === 'over') return;
      if (!(await machines.holdIntent(intent.machine_id, step.delayMs))) return; // P5
      await clock.sleep(step.delayMs, tasks.signal);
    }
  };

  const execute = (intent: Intent): void => {
    const { machine_id, session_id } = intent;
    const onError = (error: unknown) => logger.error({ machine_id, session_id, error }, 'intent not executed'); // P4
    tasks.start(machine_id, () => run(intent), onError);
  };

  return {
    execute,
    scan: async () => {
      for (const intent of await machines.takeIntents(scanLimit)) execute(intent);
    },
    stop: tasks.stop,
  };
}
