import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineStore, ReplacedRow } from '../database/machine-store.ts';
import type { Intent } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Creations } from '../sessions/creations.ts';
import type { Endings } from './ending.ts';

/**
 * The workers of hot machines, from their registration until they claim their session (docs/adr/0017).
 *
 * - A hot worker waits with a held claim. When its machine is assigned, the held claim is answered, and the worker
 *   claims again. This orchestrator wakes a worker that waits here as soon as no session is being created. A poll finds
 *   assignments that another orchestrator made.
 * - A held claim whose connection closes shows that its worker is gone: no session gets the machine any more, and a
 *   session that has just got it gets its next machine after a short grace, in which the worker may claim again.
 * - A hot machine that does not claim within `hotClaimMs` is replaced, by whichever orchestrator looks first. Its worker
 *   has received no credential, so nothing has to be fenced.
 */
export interface HotWorkers {
  /**
   * Holds a claim until the machine has a session, until `hotHoldMs` have passed or until this process stops. Never
   * rejects.
   * @param closed aborts when the worker's connection closes
   */
  hold(worker: WaitingWorker, closed: AbortSignal): Promise<void>;
  /** Wakes the worker of an assigned hot machine if it waits here, after the sessions that are being created. */
  execute(intent: Pick<Intent, 'machine_id'>): void;
  /** Wakes the workers that wait here and whose machines were assigned by another orchestrator. */
  look(): Promise<void>;
  /** Replaces hot machines that have not claimed in time. */
  replaceLate(): Promise<void>;
  /** Answers all held claims: the workers go on waiting at another orchestrator. */
  stop(): Promise<void>;
}

export interface WaitingWorker {
  machine_id: string;
  /** When the database recorded its claim. */
  heard_at: string;
}

export interface HotWorkersDeps {
  machines: Pick<MachineStore, 'recordHotLeft' | 'unconfirmed' | 'replaceUnconfirmed'>;
  endings: Pick<Endings, 'destroy'>;
  clock: Clock;
  deadlines: Pick<Deadlines, 'hotHoldMs' | 'hotClaimMs'>;
  logger: Logger;
  creations: Pick<Creations, 'over'>;
  /** Called when the session's state has changed. */
  onChange: (sessionId: string) => void;
}

/** Time in which a worker whose connection closed may claim again. */
const leftGraceMs = 300;

export function createHotWorkers(deps: HotWorkersDeps): HotWorkers {
  const { machines, endings, clock, deadlines, logger, creations, onChange } = deps;
  const tasks = createTasks('hot workers');
  const held = new Map<string, () => void>();
  const wake = (machineId: string): void => held.get(machineId)?.();

  const giveUp = ({ session_id, fly_machine_id, machine_id, app_name }: ReplacedRow, evidence: string): void => {
    logger.warn({ machine_id, fly_machine_id, session_id, evidence }, 'hot machine replaced before its claim');
    if (fly_machine_id !== null) endings.destroy({ machine_id, app_name, fly_machine_id }, 'boot_timeout', evidence);
    onChange(session_id);
  };

  const replace = async (evidence: string, machineId?: string): Promise<void> => {
    const replaced = await machines.replaceUnconfirmed(deadlines.hotClaimMs, machineId);
    if (replaced.length > 0) crashPoint('hot.replaced');
    for (const row of replaced) giveUp(row, evidence);
  };

  const leave = async ({ machine_id, heard_at }: WaitingWorker): Promise<void> => {
    if (await machines.recordHotLeft(machine_id, heard_at)) {
      logger.info({ machine_id }, 'hot worker left');
      return;
    }
    await clock.sleep(leftGraceMs, tasks.signal);
    await replace('its held claim was closed', machine_id);
  };

  const left = (worker: WaitingWorker): void =>
    tasks.start(
      worker.machine_id,
      () => leave(worker),
      (error) => logger.warn({ machine_id: worker.machine_id, error }, 'could not record that a hot worker left'),
    );

  return {
    hold: (worker, closed) =>
      new Promise((resolve) => {
        if (tasks.signal.aborted) return resolve();
        const timer = clock.setTimer(done, deadlines.hotHoldMs);
        const onClosed = () => {
          done();
          left(worker);
        };
        closed.addEventListener('abort', onClosed, { once: true });
        held.set(worker.machine_id, done);
        function done(): void {
          timer.cancel();
          closed.removeEventListener('abort', onClosed);
          if (held.get(worker.machine_id) === done) held.delete(worker.machine_id);
          resolve();
        }
      }),
    execute: ({ machine_id }) => void creations.over().then(() => wake(machine_id)),
    look: async () => {
      if (held.size === 0) return;
      await creations.over();
      for (const machineId of await machines.unconfirmed()) wake(machineId);
    },
    replaceLate: () => replace(`no claim within ${deadlines.hotClaimMs} ms`),
    stop: async () => {
      const stopping = tasks.stop();
      for (const done of [...held.values()]) done();
      await stopping;
    },
  };
}
