import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { RouteRow } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Brake } from './brake.ts';
import type { Endings } from './ending.ts';

/**
 * Handles a browser that could not be connected to the machine serving its session.
 *
 * - After the first failure Fly is asked at once whether the machine still exists. Mostly it does not, and that
 *   answer is the evidence.
 * - A second failure, some time later, is evidence by itself: a machine that no browser can reach is of no use,
 *   even if it sends heartbeats. It is destroyed, and its session gets the next attempt.
 * - These ends count for the brake, and while the brake holds no machine is given up: if many machines are
 *   unreachable at once, the proxy is the more likely cause.
 */
export interface UnreachableDeps {
  machines: Pick<MachineStore, 'recordUnreachable'>;
  endings: Pick<Endings, 'confirm' | 'destroy'>;
  brake: Pick<Brake, 'admits' | 'holds'>;
  deadlines: Pick<Deadlines, 'unreachableGapMs' | 'unreachableWindowMs'>;
  logger: Logger;
  onChange: (sessionId: string) => void;
}

/** @returns a function to be called after a failed replay. It resolves to true if the machine is being replaced. */
export function createUnreachable({ machines, endings, brake, deadlines, logger, onChange }: UnreachableDeps) {
  return async (row: RouteRow): Promise<boolean> => {
    if (row.machine_id === null || brake.holds) return false;
    const { unreachableGapMs, unreachableWindowMs } = deadlines;
    const { kind, app_name, fly_machine_id } = await machines.recordUnreachable(
      row.machine_id,
      row.epoch,
      unreachableGapMs,
      unreachableWindowMs,
    );
    crashPoint('unreachable.recorded');
    const ids = { machine_id: row.machine_id, session_id: row.session_id, epoch: row.epoch };
    logger.warn({ ...ids, kind, evidence: 'fly-replay-failed' }, 'could not connect a browser to its machine');
    if (kind === 'ignored' || !app_name || !fly_machine_id) return false;
    const machine = { machine_id: row.machine_id, app_name, fly_machine_id };
    if (kind === 'noted') endings.confirm(machine, 'worker_lost');
    else {
      brake.admits(0, 1);
      endings.destroy(machine, 'unreachable', 'two replays to the machine failed');
    }
    onChange(row.session_id);
    return kind === 'replaced';
  };
}
