import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { sessionRanks } from '@greenroom/shared/session/states.ts';
import { createBatcher } from '../database/batch.ts';
import type { RouteRow } from '../database/rows.ts';

/**
 * Finds the machine that serves a session, and waits until there is one.
 *
 * - One database read per poll answers all waiting requests of this process.
 * - A claim received by this process wakes the waiting requests at once. The poll finds claims received by
 *   others.
 */
export type Route =
  | { kind: 'unknown' }
  | { kind: 'ended'; row: RouteRow }
  | { kind: 'serving'; row: RouteRow; app: string; flyMachineId: string }
  | { kind: 'waiting'; row: RouteRow };

export interface Readiness {
  /** Reads the current route. Throws DatabaseError. */
  resolve(sessionId: string): Promise<Route>;
  /**
   * Resolves when the session is served, ended or unknown, and after `limitMs` at the latest. Keeps trying
   * while the database is unreachable. Undefined if the last read failed.
   */
  wait(sessionId: string, limitMs: number, signal?: AbortSignal): Promise<Route | undefined>;
  /** Wakes the requests that wait for this session, because it may have changed. */
  notify(sessionId: string): void;
  /** How many requests are waiting. */
  readonly waiting: number;
}

export interface ReadinessDeps {
  routes: (sessionIds: string[]) => Promise<RouteRow[]>;
  clock: Clock;
  pollMs: number;
  logger: Logger;
}

export function routeOf(row: RouteRow | undefined): Route {
  if (row === undefined) return { kind: 'unknown' };
  if (row.state_rank >= sessionRanks.finalizing) return { kind: 'ended', row };
  const { app_name: app, fly_machine_id: flyMachineId, machine_state: state } = row;
  if (state === 'claimed' && app !== null && flyMachineId !== null) return { kind: 'serving', row, app, flyMachineId };
  return { kind: 'waiting', row };
}

export function createReadiness({ routes, clock, pollMs, logger }: ReadinessDeps): Readiness {
  const waiters = new Map<string, Set<() => void>>();
  let waiting = 0;
  let pollIsSet = false;

  const read = createBatcher<string, Route>({
    maxBatch: 500,
    run: async (ids) => {
      const rows = new Map((await routes([...new Set(ids)])).map((row) => [row.session_id, row]));
      return ids.map((id) => routeOf(rows.get(id)));
    },
  });

  const wake = (sessionId: string): void => {
    const woken = waiters.get(sessionId);
    waiters.delete(sessionId);
    for (const resume of woken ?? []) resume();
  };

  const poll = (): void => {
    pollIsSet = false;
    for (const sessionId of [...waiters.keys()]) wake(sessionId);
  };

  /** Resolves at the next poll, at a notification of the session, after `limitMs` or when the signal aborts. */
  const nextLook = (sessionId: string, limitMs: number, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const limit = clock.setTimer(done, limitMs);
      const others = waiters.get(sessionId) ?? new Set();
      waiters.set(sessionId, others.add(done));
      signal?.addEventListener('abort', done, { once: true });
      if (!pollIsSet) clock.setTimer(poll, pollMs);
      pollIsSet = true;
      function done(): void {
        limit.cancel();
        others.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      }
    });

  const look = async (sessionId: string): Promise<Route | undefined> => {
    try {
      return await read(sessionId);
    } catch (error) {
      logger.warn({ session_id: sessionId, error }, 'could not read whether the session is ready; will retry');
      return undefined;
    }
  };

  const waitFor = async (sessionId: string, limitMs: number, signal?: AbortSignal): Promise<Route | undefined> => {
    const untilMs = clock.monotonicMs() + limitMs;
    for (;;) {
      const route = await look(sessionId);
      const leftMs = untilMs - clock.monotonicMs();
      if ((route && route.kind !== 'waiting') || leftMs <= 0 || signal?.aborted) return route;
      await nextLook(sessionId, leftMs, signal);
    }
  };

  return {
    resolve: read,
    wait: async (sessionId, limitMs, signal) => {
      waiting += 1;
      try {
        return await waitFor(sessionId, limitMs, signal);
      } finally {
        waiting -= 1;
      }
    },
    notify: wake,
    get waiting() {
      return waiting;
    },
  };
}
