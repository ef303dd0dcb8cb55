import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { MachineReason } from '@greenroom/shared/session/reasons.ts';
import { machineRanks } from '@greenroom/shared/session/states.ts';
import type { Duty, MachineStore } from '../database/machine-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { nextRegion } from '../regions/placement.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { LeavingMachine } from './ending.ts';
import { type Absence, isReplaced, type JudgeContext, judgeAbsent, judgeFound, type Verdict } from './judge.ts';

/**
 * Carries out the verdict about one machine (judge.ts).
 *
 * - A DELETE is sent only after the row's change to `destroying` has been committed.
 * - A machine is absent when two probes, with the grace period and no heartbeat between them, do not find it.
 *   The time of the first is stored in the row, where a heartbeat clears it, so any orchestrator can make the
 *   second.
 * - Every end is logged with its evidence.
 * - A machine is destroyed only if its epoch is still the one judged and we still hold the duty under which we
 *   judged.
 * - A machine that fails before its claim is replaced in the next region. One that is lost during an interview
 *   is replaced in its own region.
 */
export interface Reaper {
  /** Asks Fly about the machine and records a change. Returns the verdict. */
  probe(row: AliveRow, suspicion: Suspicion, context: JudgeContext): Promise<Verdict>;
  /** Records that Fly no longer has the machine. Its session continues on another machine or ends. */
  recordGone(row: AliveRow, verdict: Extract<Verdict, { kind: 'gone' }>, duty?: Duty): Promise<void>;
  destroy(
    row: AliveRow,
    verdict: Extract<Verdict, { kind: 'destroy' }>,
    context: JudgeContext,
    duty?: Duty,
  ): Promise<void>;
  /** Makes a second attempt for the session of a late machine and keeps that machine. */
  hedge(row: AliveRow, evidence: string, duty?: Duty): Promise<void>;
  noteHost(row: AliveRow, ok: boolean): Promise<void>;
  /** Destroys a machine of this deployment at Fly that no row wants. */
  destroyOrphan(app: string, machine: FlyMachine, duty?: Duty): Promise<void>;
}

type Suspicion = Pick<Extract<Verdict, { kind: 'probe' }>, 'reason'>;

export interface ReaperDeps {
  machines: Pick<MachineStore, 'recordGone' | 'recordAbsent' | 'recordDestroying' | 'hedge' | 'recordHost' | 'intent'>;
  fly: Pick<FlyClient, 'get' | 'destroy' | 'findByMetadata'>;
  logger: Logger;
  absenceGraceMs: number;
  /** Called when Fly first reports a machine as destroyed. It must be checked again after the grace period. */
  onAbsent: (machine: LeavingMachine, suspicion: Suspicion) => void;
  onGone: (sessionId: string | undefined) => void;
  /** Called when a machine without a row is destroyed. @default none */
  onOrphan?: () => void;
}

type Finding = { kind: 'there'; machine: FlyMachine } | { kind: 'absent'; evidence: Absence } | { kind: 'unclear' };

export function createReaper(deps: ReaperDeps): Reaper {
  const { machines, fly, logger, absenceGraceMs, onAbsent, onGone, onOrphan = () => undefined } = deps;
  /** Looks for the machine at Fly, by its metadata if its id is unknown. */
  const find = async (row: AliveRow): Promise<Finding> => {
    if (row.fly_machine_id === null) {
      const list = await fly.findByMetadata(row.app_name, 'machine_id', row.machine_id);
      if (list.kind !== 'listed') return { kind: 'unclear' };
      const machine = list.machines.find((m) => m.state !== 'destroyed');
      return machine ? { kind: 'there', machine } : { kind: 'absent', evidence: 'not found by metadata' };
    }
    const found = await fly.get(row.app_name, row.fly_machine_id);
    if (found.kind === 'there') return found;
    return found.kind === 'gone' ? { kind: 'absent', evidence: found.evidence } : { kind: 'unclear' };
  };

  const idsOf = (row: AliveRow) => ({
    machine_id: row.machine_id,
    app_name: row.app_name,
    fly_machine_id: row.fly_machine_id,
    session_id: row.session_id,
    state: row.state,
  });

  /** The region for the next attempt. Undefined: the machine's own region, or no replacement. */
  const regionAfter = async (row: AliveRow): Promise<string | undefined> => {
    if (row.session_id === null || row.state === 'claimed') return undefined;
    const intent = await machines.intent(row.machine_id);
    if (intent === null) return undefined;
    const wanted = intent.regions.length > 0 ? intent.regions : [intent.region];
    return nextRegion(wanted, intent.tried_regions, intent.allowed_regions);
  };

  /** Records the absence. `destroyed` is checked again right after the grace period; a 404 at the next tick. */
  const noteAbsence = async (row: AliveRow, evidence: Absence, suspicion: Suspicion) => {
    await machines.recordAbsent(row.machine_id);
    crashPoint('absence.noted');
    const { machine_id, app_name, fly_machine_id } = row;
    if (fly_machine_id !== null && evidence === 'destroyed')
      onAbsent({ machine_id, app_name, fly_machine_id }, suspicion);
  };

  const recordGone: Reaper['recordGone'] = async (row, { reason, evidence, braked }, duty) => {
    const region = isReplaced(reason) ? await regionAfter(row) : undefined;
    crashPoint('absence.certain');
    const proof = { absentMs: absenceGraceMs, silent: braked };
    const result = await machines.recordGone(row.machine_id, reason, { duty, region, evidence, ...proof });
    crashPoint('absence.recorded');
    if (result.kind === 'alive') return;
    const lastSeen = { last_seen: row.last_heartbeat_at };
    logger.info({ ...idsOf(row), reason, evidence, ...lastSeen }, 'machine gone');
    onGone(result.session_id ?? undefined);
  };

  const probe: Reaper['probe'] = async (row, suspicion, context) => {
    const finding = await find(row);
    if (finding.kind === 'unclear') return { kind: 'leave' };
    if (finding.kind === 'there') {
      if (row.absent_ms !== null) await machines.recordAbsent(row.machine_id, false);
      return judgeFound(row, finding.machine, suspicion.reason, context);
    }
    const verdict = judgeAbsent(row, finding.evidence, suspicion.reason, context);
    if (verdict.kind === 'noteAbsent') await noteAbsence(row, finding.evidence, suspicion);
    return verdict;
  };

  /** Changes the row to `destroying`. False if the machine must not be destroyed after all. */
  const commit = async (
    row: AliveRow,
    { reason, evidence }: { reason: MachineReason; evidence: string },
    duty: Duty | undefined,
  ): Promise<boolean> => {
    const replaceIn =
      isReplaced(reason) && row.state !== 'destroying' ? { replaceIn: { region: await regionAfter(row) } } : {};
    const judged = row.state === 'destroying' ? {} : { judgedEpoch: row.epoch };
    const options = { ...judged, ...replaceIn, duty, evidence };
    const state = await machines.recordDestroying(row.machine_id, reason, options);
    return state !== null && machineRanks[state] === machineRanks.destroying;
  };

  const destroy: Reaper['destroy'] = async (row, { reason, evidence }, context, duty) => {
    if (!(await commit(row, { reason, evidence }, duty))) return;
    crashPoint('reap.committed');
    const finding = await find(row);
    if (finding.kind === 'absent') {
      const gone = judgeAbsent({ ...row, state: 'destroying' }, finding.evidence, reason, context);
      if (gone.kind === 'gone') return recordGone(row, gone, duty);
      await noteAbsence(row, finding.evidence, { reason });
    }
    // Sent even for a machine that a GET did not find, because that answer may be false.
    const id = finding.kind === 'there' ? finding.machine.id : row.fly_machine_id;
    if (id === null) return;
    const { kind } = await fly.destroy(row.app_name, id);
    crashPoint('reap.destroyed');
    const seen = { last_seen: row.last_heartbeat_at, deadline: row.hard_deadline_at };
    logger.info({ ...idsOf(row), fly_machine_id: id, reason, evidence, kind, ...seen }, 'machine destroyed');
  };

  return {
    probe,
    recordGone,
    destroy,
    hedge: async (row, evidence, duty) => {
      const region = await regionAfter(row);
      if (!(await machines.hedge(row.machine_id, region, { duty }))) return;
      crashPoint('hedge.reserved');
      logger.warn({ ...idsOf(row), evidence, target: region }, 'machine is late; started a second attempt');
    },
    noteHost: async (row, ok) => {
      await machines.recordHost(row.machine_id, ok);
      logger.warn(
        { ...idsOf(row), outcome: ok ? 'ok' : 'not ok', last_seen: row.last_heartbeat_at },
        'host status changed',
      );
    },
    destroyOrphan: async (app, machine, duty) => {
      const id = machine.metadata.machine_id;
      const evidence = 'no row wants it';
      if (id !== undefined && /^[0-9a-f-]{36}$/.test(id))
        await machines.recordDestroying(id, 'orphan', { duty, evidence });
      crashPoint('orphan.found');
      const { kind } = await fly.destroy(app, machine.id);
      onOrphan();
      const ids = { fly_machine_id: machine.id, app_name: app, machine_name: machine.name };
      logger.warn({ ...ids, state: machine.state, reason: 'orphan', evidence, kind }, 'machine destroyed');
    },
  };
}
