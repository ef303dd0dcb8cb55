import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Decides whether the leases of workers may be judged at all.
 *
 * A worker's lease expires when the worker is gone, and also when no orchestrator could store its heartbeats.
 * An orchestrator that has just started, or that could not reach the database, cannot tell the two apart.
 *
 * - No lease is judged before this orchestrator has been able to store heartbeats for one full lease without a
 *   break. Every stored heartbeat shows that, and so does every other successful write to the database.
 * - If there are several workers and all their leases have expired, this orchestrator is the one that is cut
 *   off.
 */
export interface LeaseWatch {
  /** Reports a successful write to the database. */
  able(): void;
  /** Reports a failed write: the time starts again. */
  unable(): void;
  /** Whether writes have succeeded for one full lease without a break. */
  receivesHeartbeats(): boolean;
  /** Whether leases may be judged. @param workers that send heartbeats: all, and those whose lease has expired */
  mayJudge(workers: { heard: number; lapsed: number }): boolean;
}

export function createLeaseWatch({ clock, leaseMs }: { clock: Clock; leaseMs: number }): LeaseWatch {
  let sinceMs: number | undefined;
  let lastMs = 0;
  const receivesHeartbeats = (): boolean => sinceMs !== undefined && clock.monotonicMs() - sinceMs >= leaseMs;
  return {
    able: () => {
      const nowMs = clock.monotonicMs();
      // A process that was frozen could not store heartbeats either.
      if (sinceMs === undefined || nowMs - lastMs > leaseMs / 2) sinceMs = nowMs;
      lastMs = nowMs;
    },
    unable: () => {
      sinceMs = undefined;
    },
    receivesHeartbeats,
    mayJudge: ({ heard, lapsed }) => receivesHeartbeats() && (heard < 2 || lapsed < heard),
  };
}
