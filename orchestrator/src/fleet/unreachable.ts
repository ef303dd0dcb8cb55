import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { RouteRow } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Brake } from './brake.ts';
import type { Endings } from './ending.ts';

/**
 * A returning browser could not be connected to the machine that serves its session.
 *
 * U1  Once is a reason to ask Fly whether the machine is still there, at once: mostly it is not, and that is evidence.
 * U2  Twice, a while apart, is evidence by itself: a machine to which no browser can be connected is of no use, whatever
 *     it says of itself. It is given up, and its session gets the next attempt.
 * U3  That counts for the brake, and while the brake holds nothing is given up: when many machines cannot be reached at once
 *     it is more likely the proxy that is ill.
 */
export interface UnreachableDeps {
  machines: Pick<MachineStore, 'recordUnreachable'>;
  endings: Pick<Endings, 'confirm' | 'destroy'>;
  brake: Pick<Brake, 'admits' | 'holds'>;
  deadlines: Pick<Deadlines, 'unreachableGapMs' | 'unreachableWindowMs'>;
  logger: Logger;
  onChange: (sessionId: string) => void;
}

/** @returns what the edge reports to; true when the machine is being replaced. */
export function createUnreachable({ machines, endings, brake, deadlines, logger, onChange }: UnreachableDeps) {
  return async (row: RouteRow): Promise<boolean> => {
    if (row.machine_id === null || brake.holds) return false; // U3
    const { unreachableGapMs, unreachableWindowMs } = deadlines;
    const { kind, app_name, fly_machine_id } = await machines.recordUnreachable(
      row.machine_id,
      row.epoch,
      unreachableGapMs,
      unreachableWindowMs,
    );
    crashPoint('unreachable.recorded');
    const ids = { machine_id: row.machine_id, session_id: row.session_id, epoch: row.epoch };
    logger.warn({ ...ids, kind, evidence: 'fly-replay-failed' }, 'a browser could not be connected to its machine');
    if (kind === 'ignored' || !app_name || !fly_machine_id) return false;
    const machine = { machine_id: row.machine_id, app_name, fly_machine_id };
    if (kind === 'noted')
      endings.confirm(machine, 'worker_lost'); // U1
    else {
      brake.admits(0, 1);
      endings.destroy(machine, 'unreachable', 'two replays failed, a while apart'); // U2
    }
    onChange(row.session_id);
    return kind === 'replaced';
  };
}
