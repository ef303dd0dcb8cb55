import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { RouteRow } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Brake } from './brake.ts';
import type { Endings } from './ending.ts';
import type { LeaseWatch } from './lease-watch.ts';

/**
 * Handles a browser that could not be connected to the machine serving its session.
 *
 * - After the first failure Fly is asked at once whether the machine still exists. Mostly it does not, and that
 *   answer is the evidence.
 * - A second failure, some time later, is evidence by itself: a machine that no browser can reach is of no use,
 *   even if it sends heartbeats. It is destroyed, and its session gets the next attempt.
 * - A frozen worker is harder to see: Fly shows its machine as started, and the proxy connects to it and waits. So a
 *   browser that asks for a machine whose lease has expired is a report too, while leases may be judged. A lease
 *   alone ends nothing, and neither does one such browser.
 * - These ends count for the brake, and while the brake holds no machine is given up: if many machines are
 *   unreachable at once, the proxy is the more likely cause.
 */
export interface UnreachableDeps {
  machines: Pick<MachineStore, 'recordUnreachable'>;
  endings: Pick<Endings, 'confirm' | 'destroy'>;
  brake: Pick<Brake, 'admits' | 'holds'>;
  leases: Pick<LeaseWatch, 'receivesHeartbeats'>;
  deadlines: Pick<Deadlines, 'unreachableGapMs' | 'unreachableWindowMs'>;
  logger: Logger;
  onChange: (sessionId: string) => void;
}

/** What a browser's request shows: the proxy could not connect it, or it asks for a worker that is not heard any more. */
export type Evidence = 'fly-replay-failed' | 'silent';

const whatFailed: Record<Evidence, string> = {
  'fly-replay-failed': 'two replays to the machine failed',
  silent: 'a browser asked twice for a machine whose lease had expired',
};

/** @returns a function to be called with such evidence. It resolves to true if the machine is being replaced. */
export function createUnreachable(deps: UnreachableDeps) {
  const { machines, endings, brake, leases, deadlines, logger, onChange } = deps;
  return async (row: RouteRow, evidence: Evidence): Promise<boolean> => {
    const silent = evidence === 'silent';
    if (row.machine_id === null || brake.holds || (silent && !leases.receivesHeartbeats())) return false;
    const { unreachableGapMs, unreachableWindowMs } = deadlines;
    const { kind, app_name, fly_machine_id } = await machines.recordUnreachable(
      row.machine_id,
      row.epoch,
      unreachableGapMs,
      unreachableWindowMs,
      silent,
    );
    crashPoint('unreachable.recorded');
    const ids = { machine_id: row.machine_id, session_id: row.session_id, epoch: row.epoch };
    logger.warn({ ...ids, kind, evidence }, 'a browser does not reach the machine of its session');
    if (kind === 'ignored' || !app_name || !fly_machine_id) return false;
    const machine = { machine_id: row.machine_id, app_name, fly_machine_id };
    if (kind === 'noted') endings.confirm(machine, 'worker_lost');
    else {
      brake.admits(0, 1);
      endings.destroy(machine, 'unreachable', whatFailed[evidence]);
    }
    onChange(row.session_id);
    return kind === 'replaced';
  };
}
