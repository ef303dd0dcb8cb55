import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { MachineReason } from '@greenroom/shared/session/reasons.ts';
import { machineRanks } from '@greenroom/shared/session/states.ts';
import type { GoneOptions, MachineStore } from '../database/machine-store.ts';
import type { FlyClient } from '../fly/client.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createTasks } from '../runtime/tasks.ts';
import type { Brake } from './brake.ts';

/**
 * Watches a machine that is leaving until Fly reports that it is gone, and records that promptly.
 *
 * - A leaving machine is gone when Fly shows it as `destroyed`, or when two GETs answered 404 with the grace
 *   period between them. One 404 is never enough, because Fly's reads may lag.
 * - A machine in use (`confirm`) is gone when Fly shows it as `destroyed` twice, with the grace period and no
 *   heartbeat between them. A 404 about it is only recorded; the reconciler decides (`judgeMissing` in
 *   judge.ts).
 * - The watch only makes things faster. If it times out or this process dies, the reconciler does the same.
 * - A DELETE is sent only after the row's change to `destroying` has been committed.
 * - Every destruction, and every machine recorded as gone, is logged with its evidence.
 * - An end that was not decided before counts for the brake.
 */
export interface LeavingMachine {
  machine_id: string;
  app_name: string;
  fly_machine_id: string;
}

export interface Endings {
  /** Watches a machine that leaves by itself. */
  watch(machine: LeavingMachine, reason: MachineReason): void;
  /** Checks a machine that may be gone: asks Fly twice, and records it as gone if both answers are `destroyed`. */
  confirm(machine: LeavingMachine, reason: MachineReason): void;
  /** Destroys a machine and watches it. `evidence` states in words why this is right; it is logged and kept with the machine. */
  destroy(machine: LeavingMachine, reason: MachineReason, evidence: string): void;
  stop(): Promise<void>;
}

export interface EndingsDeps {
  machines: Pick<MachineStore, 'recordGone' | 'recordAbsent' | 'recordDestroying'>;
  fly: Pick<FlyClient, 'get' | 'destroy'>;
  brake: Pick<Brake, 'admits'>;
  clock: Clock;
  logger: Logger;
  absenceGraceMs: number;
  /** How long a machine is watched. */
  watchMs: number;
  /** Called after a machine has been recorded as gone. */
  onGone: (sessionId: string | undefined) => void;
}

// Fly allows 5 GETs a second per machine, 10 in a burst.
const pollsMs = [40, 60, 100, 200, 250, 250, 300, 500, 1_000];

export function createEndings(deps: EndingsDeps): Endings {
  const { machines, fly, brake, clock, logger, absenceGraceMs, watchMs, onGone } = deps;
  const tasks = createTasks('the watch over leaving machines');

  /** The evidence that a leaving machine is gone, or undefined. */
  const isGone = async ({ machine_id, app_name, fly_machine_id }: LeavingMachine): Promise<string | undefined> => {
    const first = await fly.get(app_name, fly_machine_id);
    if (first.kind !== 'gone') return undefined;
    if (first.evidence === 'destroyed') return first.evidence;
    await machines.recordAbsent(machine_id);
    await clock.sleep(absenceGraceMs, tasks.signal);
    const second = await fly.get(app_name, fly_machine_id);
    return second.kind === 'gone' ? `${first.evidence} twice` : undefined;
  };

  const recordGone = async (
    machine: LeavingMachine,
    reason: MachineReason,
    evidence: string,
    options: GoneOptions = {},
  ) => {
    crashPoint('ending.seen');
    const result = await machines.recordGone(machine.machine_id, reason, { ...options, evidence });
    crashPoint('ending.recorded');
    if (result.kind === 'alive') return;
    logger.info({ ...machine, reason, evidence, session_id: result.session_id }, 'machine gone');
    onGone(result.session_id ?? undefined);
  };

  const confirmNow = async (machine: LeavingMachine, reason: MachineReason) => {
    const first = await fly.get(machine.app_name, machine.fly_machine_id);
    if (first.kind !== 'gone') return;
    await machines.recordAbsent(machine.machine_id);
    if (first.evidence !== 'destroyed') return;
    await clock.sleep(absenceGraceMs, tasks.signal);
    const second = await fly.get(machine.app_name, machine.fly_machine_id);
    if (second.kind !== 'gone' || second.evidence !== 'destroyed') return;
    brake.admits(0, 1);
    await recordGone(machine, reason, 'destroyed twice', { absentMs: absenceGraceMs });
  };

  const follow = async (machine: LeavingMachine, reason: MachineReason) => {
    const untilMs = clock.monotonicMs() + watchMs;
    for (let poll = 0; clock.monotonicMs() < untilMs; poll += 1) {
      await clock.sleep(pollsMs[Math.min(poll, pollsMs.length - 1)] as number, tasks.signal);
      const evidence = await isGone(machine);
      if (evidence === undefined) continue;
      return recordGone(machine, reason, evidence);
    }
  };

  const destroyNow = async (machine: LeavingMachine, reason: MachineReason, evidence: string) => {
    const state = await machines.recordDestroying(machine.machine_id, reason, { evidence });
    if (state !== null && machineRanks[state] < machineRanks.destroying) return;
    crashPoint('ending.committed');
    const { kind } = await fly.destroy(machine.app_name, machine.fly_machine_id);
    logger.info({ ...machine, reason, evidence, kind }, 'machine destroyed');
    await follow(machine, reason);
  };

  const start = (machine: LeavingMachine, work: () => Promise<void>): void =>
    tasks.start(machine.machine_id, work, (error) =>
      logger.warn({ ...machine, error }, 'could not watch a leaving machine; the reconciler will'),
    );

  return {
    watch: (machine, reason) => start(machine, () => follow(machine, reason)),
    confirm: (machine, reason) => start(machine, () => confirmNow(machine, reason)),
    destroy: (machine, reason, evidence) => start(machine, () => destroyNow(machine, reason, evidence)),
    stop: tasks.stop,
  };
}
