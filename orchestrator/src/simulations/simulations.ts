import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { isEnded } from '@greenroom/shared/session/states.ts';
import type { ResultStore } from '../database/result-store.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { SimulationStore, TakenSimulation } from '../database/simulation-store.ts';
import type { Job } from '../runtime/ticker.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';
import { type ConnectionEnd, connectCandidate } from './candidate.ts';
import { scripts } from './scripts.ts';

/**
 * Runs the simulated candidates of test sessions.
 *
 * - The database stores the simulations. An orchestrator takes one by lease. If that orchestrator dies, another one takes the
 *   simulation after `takenMs` and joins again, like a candidate whose browser crashed. The interview continues if the lease
 *   is shorter than the session's grace period.
 * - A candidate whose take is stale disconnects at once. Of two that are connected, the worker keeps the newer one.
 * - A session without its candidate ends as any other: after the grace period, or at its time limit.
 */
export interface Simulations {
  store: SimulationStore;
  jobs: Job[];
  /** Disconnects the candidates of this process and gives them back. */
  stop(): Promise<void>;
}

export interface SimulationsDeps {
  store: SimulationStore;
  sessions: Pick<SessionStore, 'get'>;
  results: Pick<ResultStore, 'transcript'>;
  browserTokens: Pick<BrowserTokens, 'mintJoin'>;
  /** The URL of a session's socket. */
  socketUrl: (sessionId: string) => string;
  clock: Clock;
  logger: Logger;
}

const tickMs = 1_000;
const takenMs = 6_000;
const keepMs = 2_000;
/** Candidates in this process. */
const mostRunning = 50;
/** How long a lost network stays lost, ms. */
const cutMs = 2_000;
/** Refused or unreachable connections in a row before a simulation fails. */
const mostTries = 60;
const pauses = { baseMs: 250, maxMs: 5_000 };

export function createSimulations(deps: SimulationsDeps): Simulations {
  const { store, sessions, results, browserTokens, socketUrl, clock, logger } = deps;
  const running = new Map<string, { stopping: AbortController; done: Promise<void> }>();
  let stopped = false;

  const connect = async (taken: TakenSimulation, wasCut: boolean, signal: AbortSignal): Promise<ConnectionEnd> => {
    const { session_id, tenant_id } = taken;
    const session = await sessions.get(session_id, tenant_id);
    if (!session || isEnded(session.status)) return { kind: 'ended' };
    const [said, joinToken] = await Promise.all([
      results.transcript(session_id),
      browserTokens.mintJoin({ session_id, tenant_id }),
    ]);
    const script = scripts[taken.script];
    return connectCandidate({ url: socketUrl(session_id), joinToken, script, said, wasCut, clock, signal });
  };

  /** Connects until the script is over. Returns why it failed, or undefined. */
  const play = async (taken: TakenSimulation, signal: AbortSignal): Promise<string | undefined> => {
    let wasCut = taken.was_cut;
    for (let tries = 0; tries < mostTries; ) {
      const end = await connect(taken, wasCut, signal);
      signal.throwIfAborted();
      if (end.kind === 'ended' || end.kind === 'leave') return undefined;
      if (end.kind === 'replaced') return 'Somebody else joined as this candidate.';
      if (end.kind === 'refused') return `The session's socket refused the candidate with the code ${end.code}.`;
      if (end.kind === 'cut') {
        wasCut = true;
        await store.keep(taken, takenMs, true);
        await clock.sleep(cutMs, signal);
        continue;
      }
      tries = end.kind === 'lost' && end.reached ? 0 : tries + 1;
      await clock.sleep(100 + backoffMs(tries, pauses), signal);
    }
    return 'The session could not be reached.';
  };

  const run = async (taken: TakenSimulation, stopping: AbortController): Promise<void> => {
    const fields = { session_id: taken.session_id, kind: taken.script };
    const keeping = setInterval(() => {
      store.keep(taken, takenMs).then(
        (mine) => mine || stopping.abort(new Error('the take is stale')),
        (error: unknown) => logger.warn({ ...fields, error }, 'could not renew the lease of a simulation'),
      );
    }, keepMs);
    logger.info(fields, 'a simulated candidate joins');
    try {
      const failure = await play(taken, stopping.signal);
      await store.end(taken, failure);
      logger.info({ ...fields, outcome: failure === undefined ? 'done' : 'failed' }, 'a simulated candidate is done');
    } catch (error) {
      // The simulation is given back: the next tick here, or another orchestrator, takes it again.
      if (!stopping.signal.aborted) logger.warn({ ...fields, error }, 'a simulated candidate failed; will retry');
      await store.keep(taken, 0).catch(() => undefined);
    } finally {
      clearInterval(keeping);
    }
  };

  const start = (taken: TakenSimulation): void => {
    // The lease expired while the candidate still ran here, and this process took it again: stop the older run.
    running.get(taken.session_id)?.stopping.abort(new Error('taken again'));
    const stopping = new AbortController();
    const one = {
      stopping,
      done: run(taken, stopping).finally(() => {
        if (running.get(taken.session_id) === one) running.delete(taken.session_id);
      }),
    };
    running.set(taken.session_id, one);
  };

  return {
    store,
    jobs: [
      {
        name: 'simulations',
        everyMs: tickMs,
        run: async () => {
          if (stopped || running.size >= mostRunning) return;
          for (const taken of await store.take(takenMs, mostRunning - running.size)) start(taken);
        },
      },
    ],
    stop: async () => {
      stopped = true;
      for (const { stopping } of running.values()) stopping.abort(new Error('shutting down'));
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}
