import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';
import type { FlyClient } from '../fly/client.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Endings } from './ending.ts';

/**
 * Starts assigned standby machines.
 *
 * B1  A start is idempotent at Fly: who is unsure asks again, and two orchestrators that start one machine do no harm.
 * B2  412 means not yet (the image is still on its way) and is polled until the deadline; a full or lost host passes the
 *     session on to its next machine, standby or new, in one transaction with giving this one up.
 * B4  Who waits between two tries holds the machine for that long: another orchestrator that took it meanwhile would ask
 *     sooner than Fly's Retry-After allows.
 * B3  Fly's yes is not the end: a machine that was not heard of afterwards comes back as late, and is looked at.
 */
export interface Starter {
  /** Starts a machine in the background. One that is being started here already is not started twice. */
  execute(intent: Intent): void;
  /** Takes machines that nobody is starting, and late ones. */
  scan(): Promise<void>;
  /** Stops after the request under way. */
  stop(): Promise<void>;
}

export interface StarterDeps {
  pool: Pick<PoolStore, 'takeStarts' | 'holdStart' | 'recordStart' | 'recordStarted' | 'recordStartFailed'>;
  fly: Pick<FlyClient, 'start' | 'get'>;
  endings: Pick<Endings, 'destroy'>;
  /** Executes the intent for a session's next machine. */
  execute: (intent: Intent) => void;
  clock: Clock;
  logger: Logger;
  /** A machine that cannot be started for this long is given up, ms. */
  standbyStartMs: number;
  /** The session's state changed by what happened here. */
  onChange: (sessionId: string) => void;
}

// Fly allows one start a second and machine, three in a burst.
const pollsMs = [250, 500, 1_000];
const unsureMs = 300;

type Try = { kind: 'started' } | { kind: 'again'; delayMs: number } | { kind: 'never'; why: string };

export function createStarter(deps: StarterDeps): Starter {
  const { pool, fly, endings, clock, logger, standbyStartMs, onChange } = deps;
  const tasks = createTasks('the starter');

  const idsOf = (intent: Intent) => ({
    machine_id: intent.machine_id,
    app_name: intent.app_name,
    fly_machine_id: intent.fly_machine_id as string,
  });

  const tryOnce = async (intent: Intent, tries: number): Promise<Try> => {
    crashPoint('start.asked');
    const outcome = await fly.start(intent.app_name, intent.fly_machine_id as string);
    crashPoint('start.answered');
    switch (outcome.kind) {
      case 'done':
        return { kind: 'started' };
      case 'precondition':
        return { kind: 'again', delayMs: pollsMs[Math.min(tries, pollsMs.length - 1)] as number };
      case 'rateLimited':
        return { kind: 'again', delayMs: outcome.retryAfterMs ?? 1_000 };
      case 'ambiguous':
        return { kind: 'again', delayMs: unsureMs };
      default:
        return { kind: 'never', why: outcome.kind };
    }
  };

  /** B2. */
  const passOn = async (intent: Intent, why: string): Promise<void> => {
    const result = await pool.recordStartFailed(intent.machine_id);
    crashPoint('start.failure_recorded');
    const ids = { ...idsOf(intent), session_id: intent.session_id, region: intent.region };
    logger.warn({ ...ids, kind: why, state: result.kind }, 'standby machine could not be started');
    if (result.kind !== 'stale' && result.kind !== 'unknown')
      endings.destroy(idsOf(intent), 'start_failed', `not started: ${why}`);
    if (result.kind === 'next') deps.execute(result.intent);
    if (intent.session_id !== null) onChange(intent.session_id);
  };

  /** B3. */
  const lookAt = async (intent: Intent): Promise<void> => {
    const found = await fly.get(intent.app_name, intent.fly_machine_id as string);
    if (found.kind === 'unclear') return;
    if (found.kind === 'there' && found.machine.state === 'started') {
      await pool.recordStarted(intent.machine_id);
      return;
    }
    await passOn(intent, found.kind === 'there' ? found.machine.state : found.evidence);
  };

  const run = async (intent: Intent): Promise<void> => {
    if (intent.late) return lookAt(intent);
    const untilMs = clock.monotonicMs() + standbyStartMs;
    for (let tries = 0; ; tries += 1) {
      const result = await tryOnce(intent, tries);
      if (result.kind === 'started') return pool.recordStart(intent.machine_id);
      if (result.kind === 'never') return passOn(intent, result.why);
      if (clock.monotonicMs() + result.delayMs > untilMs) return passOn(intent, 'not in time');
      if (!(await pool.holdStart(intent.machine_id, result.delayMs))) return; // B4
      await clock.sleep(result.delayMs, tasks.signal);
    }
  };

  const execute = (intent: Intent): void => {
    if (intent.fly_machine_id === null) return;
    // The row stays as it is: its taker's time runs out, and any orchestrator takes it again.
    const onError = (error: unknown) =>
      logger.error({ ...idsOf(intent), session_id: intent.session_id, error }, 'start not executed');
    tasks.start(intent.machine_id, () => run(intent), onError);
  };

  return {
    execute,
    scan: async () => {
      for (const intent of await pool.takeStarts()) execute(intent);
    },
    stop: tasks.stop,
  };
}
