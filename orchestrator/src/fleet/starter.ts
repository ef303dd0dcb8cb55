import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';
import type { FlyClient } from '../fly/client.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Endings } from './ending.ts';

/**
 * Starts assigned standby machines.
 *
 * - A start is idempotent at Fly: a start without an answer is repeated, and two orchestrators that start the
 *   same machine do no harm.
 * - 412 means not yet (the image is still being pulled); the start is repeated until the deadline. If the host
 *   is full or lost, one transaction gives this machine up and gives the session its next machine, standby or
 *   new.
 * - While waiting between two tries the machine is held, because another orchestrator that took it would ask
 *   sooner than Fly's Retry-After allows.
 * - A machine whose start Fly accepted, but which has not started in time, is returned by `takeStarts` as late and
 *   is then checked at Fly.
 */
export interface Starter {
  /** Starts a machine in the background. Does nothing if this machine is already being started here. */
  execute(intent: Intent): void;
  /** Takes machines that no orchestrator is starting, and late ones. */
  scan(): Promise<void>;
  /** Stops after the running request. */
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
  /** A machine that could not be started within this time is given up, ms. */
  standbyStartMs: number;
  /** Called when the session's state has changed. */
  onChange: (sessionId: string) => void;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

// Fly allows one start a second per machine, three in a burst.
const pollsMs = [250, 500, 1_000];
const unsureMs = 300;

type Try =
  | { kind: 'started'; requestId: string | undefined }
  | { kind: 'again'; delayMs: number }
  | { kind: 'never'; why: string };

export function createStarter(deps: StarterDeps): Starter {
  const { pool, fly, endings, clock, logger, standbyStartMs, onChange, tracing } = deps;
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
        return { kind: 'started', requestId: outcome.requestId };
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

  /** Gives the machine up and the session its next machine. */
  const passOn = async (intent: Intent, why: string): Promise<void> => {
    const result = await pool.recordStartFailed(intent.machine_id);
    crashPoint('start.failure_recorded');
    const ids = { ...idsOf(intent), session_id: intent.session_id, region: intent.region };
    logger.warn({ ...ids, kind: why, state: result.kind }, 'could not start a standby machine');
    if (result.kind !== 'stale' && result.kind !== 'unknown')
      endings.destroy(idsOf(intent), 'start_failed', `not started: ${why}`);
    if (result.kind === 'next') deps.execute(result.intent);
    if (intent.session_id !== null) onChange(intent.session_id);
  };

  /** Checks a late machine at Fly. */
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
    const askedAtMs = clock.monotonicMs();
    const untilMs = askedAtMs + standbyStartMs;
    for (let tries = 0; ; tries += 1) {
      const result = await tryOnce(intent, tries);
      if (result.kind === 'started') {
        const { requestId } = result;
        return pool.recordStart({
          ...{ machineId: intent.machine_id, requestId, askedAtMs, answeredAtMs: clock.monotonicMs() },
        });
      }
      if (result.kind === 'never') return passOn(intent, result.why);
      if (clock.monotonicMs() + result.delayMs > untilMs) return passOn(intent, 'not in time');
      if (!(await pool.holdStart(intent.machine_id, result.delayMs))) return;
      await clock.sleep(result.delayMs, tasks.signal);
    }
  };

  const execute = (intent: Intent): void => {
    if (intent.fly_machine_id === null) return;
    // The row stays as it is. When our lease on it has expired, any orchestrator takes it again.
    const onError = (error: unknown) =>
      logger.error({ ...idsOf(intent), session_id: intent.session_id, error }, 'could not execute a start');
    const { attempt, region, app_name } = intent;
    const fields = { attempt, region, app_name };
    tracing.forSession(intent, () =>
      tasks.start(intent.machine_id, () => tracing.span('start machine', { fields }, () => run(intent)), onError),
    );
  };

  return {
    execute,
    scan: async () => {
      for (const intent of await pool.takeStarts()) execute(intent);
    },
    stop: tasks.stop,
  };
}
