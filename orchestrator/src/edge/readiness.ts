import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { sessionRanks } from '@greenroom/shared/session/states.ts';
import { createBatcher } from '../database/batch.ts';
import type { Intent, RouteRow, SessionRow } from '../database/rows.ts';

/**
 * Finds the machine that serves a session, and waits until there is one.
 *
 * - One database read per poll answers all waiting requests of this process.
 * - A claim received by this process wakes the waiting requests at once. The poll finds claims received by
 *   others.
 * - A route to a worker that was heard is kept for a few seconds, so an edge decision about it needs no database. It may be
 *   out of date: the machine's worker then refuses the epoch, or the proxy cannot connect, and the route is read again.
 *   The route to a hot machine is kept from its assignment until its worker claims, but only for a second.
 */
export type Route =
  | { kind: 'unknown' }
  | { kind: 'ended'; row: RouteRow }
  | { kind: 'serving'; row: RouteRow; app: string; flyMachineId: string }
  | { kind: 'waiting'; row: RouteRow };

export interface Readiness {
  /** Reads the current route from the database. Throws DatabaseError. */
  resolve(sessionId: string): Promise<Route>;
  /**
   * Resolves when the session is served, ended or unknown, and after `limitMs` at the latest. Keeps trying
   * while the database is unreachable. Undefined if the last read failed. The route may be `knownMs` old.
   */
  wait(sessionId: string, limitMs: number, signal?: AbortSignal): Promise<Route | undefined>;
  /** Wakes the requests that wait for this session, because it may have changed, and forgets its route. */
  notify(sessionId: string): void;
  /** Keeps the route of a session whose worker has just been heard, or whose hot machine has just been assigned. */
  learn(row: RouteRow): void;
  /** How many requests are waiting. */
  readonly waiting: number;
}

export interface ReadinessDeps {
  routes: (sessionIds: string[]) => Promise<RouteRow[]>;
  clock: Clock;
  pollMs: number;
  logger: Logger;
}

/** How long a route to a worker is used without asking the database. */
const knownMs = 5_000;
/** The same for a hot machine that has not claimed yet. If it is gone, another orchestrator may have replaced it. */
const unconfirmedMs = 1_000;

/** The route to the hot machine that a new session has got. */
export const routeOfHot = (session: SessionRow, intent: Intent): RouteRow => ({
  session_id: session.session_id,
  tenant_id: session.tenant_id,
  status: session.status,
  state_rank: sessionRanks[session.status],
  epoch: session.epoch,
  machine_state: 'claimed',
  unconfirmed: true,
  silent: false,
  machine_id: intent.machine_id,
  app_name: intent.app_name,
  fly_machine_id: intent.fly_machine_id,
  traceparent: intent.traceparent,
});

export function routeOf(row: RouteRow | undefined): Route {
  if (row === undefined) return { kind: 'unknown' };
  if (row.state_rank >= sessionRanks.finalizing) return { kind: 'ended', row };
  const { app_name: app, fly_machine_id: flyMachineId, machine_state: state } = row;
  if (state === 'claimed' && app !== null && flyMachineId !== null) return { kind: 'serving', row, app, flyMachineId };
  return { kind: 'waiting', row };
}

export function createReadiness({ routes, clock, pollMs, logger }: ReadinessDeps): Readiness {
  const waiters = new Map<string, Set<() => void>>();
  const known = new Map<string, { route: Route; untilMs: number }>();
  let waiting = 0;
  let pollIsSet = false;

  const keep = (sessionId: string, route: Route): Route => {
    known.delete(sessionId);
    const nowMs = clock.monotonicMs();
    for (const [id, { untilMs }] of known) {
      if (untilMs > nowMs) break; // Most others were kept later.
      known.delete(id);
    }
    if (route.kind === 'serving' && !route.row.silent)
      known.set(sessionId, { route, untilMs: nowMs + (route.row.unconfirmed ? unconfirmedMs : knownMs) });
    return route;
  };

  const knownRoute = (sessionId: string): Route | undefined => {
    const kept = known.get(sessionId);
    return kept !== undefined && kept.untilMs > clock.monotonicMs() ? kept.route : undefined;
  };

  const read = createBatcher<string, Route>({
    maxBatch: 500,
    run: async (ids) => {
      const rows = new Map((await routes([...new Set(ids)])).map((row) => [row.session_id, row]));
      return ids.map((id) => keep(id, routeOf(rows.get(id))));
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
      return knownRoute(sessionId) ?? (await read(sessionId));
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
    notify: (sessionId) => {
      known.delete(sessionId);
      wake(sessionId);
    },
    learn: (row) => void keep(row.session_id, routeOf(row)),
    get waiting() {
      return waiting;
    },
  };
}
