import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Whether the leases of workers may be judged at all.
 *
 * A worker's lease lapses when it is gone, and also when nobody was there to take its heartbeats: an orchestrator that
 * just came up, or that could not reach the database, knows nothing of any worker.
 *
 * L1  No lease is judged before this orchestrator has been able to take and store heartbeats for one full lease without a
 *     break. Every one it stores counts, and so does every other write that shows the database to be there.
 * L2  If the leases of all of several workers have lapsed, we are the ones who are cut off.
 */
export interface LeaseWatch {
  /** The database took what we wrote. */
  able(): void;
  /** It did not: the time begins anew. */
  unable(): void;
  /** L1. */
  hears(): boolean;
  /** L1, L2. @param lapsed of every serving machine, whether its lease has lapsed. */
  mayJudge(lapsed: readonly boolean[]): boolean;
}

export function createLeaseWatch({ clock, leaseMs }: { clock: Clock; leaseMs: number }): LeaseWatch {
  let sinceMs: number | undefined;
  let lastMs = 0;
  const hears = (): boolean => sinceMs !== undefined && clock.monotonicMs() - sinceMs >= leaseMs;
  return {
    able: () => {
      const nowMs = clock.monotonicMs();
      // A process that slept (a frozen host, a long stop) was not able either.
      if (sinceMs === undefined || nowMs - lastMs > leaseMs / 2) sinceMs = nowMs;
      lastMs = nowMs;
    },
    unable: () => {
      sinceMs = undefined;
    },
    hears, // L1
    mayJudge: (lapsed) => hears() && (lapsed.length < 2 || lapsed.includes(false)), // L2
  };
}
