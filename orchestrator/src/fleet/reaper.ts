import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { MachineReason, SessionReason } from '@greenroom/shared/session/reasons.ts';
import { machineRanks } from '@greenroom/shared/session/states.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { judgeFound, type Verdict } from './judge.ts';

/**
 * Carries out what was judged about one machine.
 *
 * R1  A DELETE only after the committed transition of its row to `destroying`.
 * R2  Absence is two findings a grace apart; the first is written on the row, so that any orchestrator may make the second.
 * R3  Every end logs its evidence.
 */
export interface Reaper {
  /** Asks Fly whether it is gone, and records it when it is. Answers what else should be done. */
  probe(row: AliveRow, reason: MachineReason, sessionReason: SessionReason): Promise<Verdict>;
  destroy(row: AliveRow, verdict: Extract<Verdict, { kind: 'destroy' }>): Promise<void>;
  /** A machine of ours at Fly that no row wants. */
  destroyOrphan(app: string, machine: FlyMachine): Promise<void>;
}

export interface ReaperDeps {
  machines: Pick<MachineStore, 'recordGone' | 'recordAbsent' | 'recordDestroying'>;
  fly: Pick<FlyClient, 'get' | 'destroy' | 'findByMetadata'>;
  clock: Clock;
  logger: Logger;
  absenceGraceMs: number;
  onGone: (sessionId: string | undefined) => void;
}

type Finding = { kind: 'there'; machine: FlyMachine } | { kind: 'absent'; evidence: string } | { kind: 'unclear' };

export function createReaper({ machines, fly, logger, absenceGraceMs, onGone }: ReaperDeps): Reaper {
  /** A machine whose id we never learnt is looked for by its metadata. */
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

  /** R2. */
  const noteAbsence = async (row: AliveRow, evidence: string, reason: MachineReason, sessionReason: SessionReason) => {
    if (row.absent_ms === null || row.absent_ms < absenceGraceMs) {
      await machines.recordAbsent(row.machine_id);
      return;
    }
    const result = await machines.recordGone(row.machine_id, reason, sessionReason);
    logger.info({ ...idsOf(row), reason, evidence, last_seen: row.last_heartbeat_at }, 'machine gone'); // R3
    onGone(result.session_id ?? undefined);
  };

  const probe: Reaper['probe'] = async (row, reason, sessionReason) => {
    const finding = await find(row);
    if (finding.kind === 'absent') await noteAbsence(row, finding.evidence, reason, sessionReason);
    return finding.kind === 'there' ? judgeFound(row, finding.machine, reason) : { kind: 'leave' };
  };

  const destroy: Reaper['destroy'] = async (row, { reason, sessionReason, evidence }) => {
    const state = await machines.recordDestroying(row.machine_id, reason); // R1
    if (state === null || machineRanks[state] !== machineRanks.destroying) return;
    const finding = await find(row);
    if (finding.kind === 'absent') return noteAbsence(row, finding.evidence, reason, sessionReason);
    const id = finding.kind === 'there' ? finding.machine.id : row.fly_machine_id;
    if (id === null) return;
    const { kind } = await fly.destroy(row.app_name, id);
    const seen = { last_seen: row.last_heartbeat_at, deadline: row.hard_deadline_at };
    logger.info({ ...idsOf(row), fly_machine_id: id, reason, evidence, kind, ...seen }, 'machine destroyed'); // R3
  };

  return {
    probe,
    destroy,
    destroyOrphan: async (app, machine) => {
      const id = machine.metadata.machine_id;
      if (id !== undefined && /^[0-9a-f-]{36}$/.test(id)) await machines.recordDestroying(id, 'orphan'); // R1
      const { kind } = await fly.destroy(app, machine.id);
      const ids = { fly_machine_id: machine.id, app_name: app, machine_name: machine.name };
      logger.warn(
        { ...ids, state: machine.state, reason: 'orphan', evidence: 'no row wants it', kind },
        'machine destroyed',
      );
    },
  };
}
