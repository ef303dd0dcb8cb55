import { type CloseCode, closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import { z } from 'zod';
import type { Origins } from '../access/origins.ts';
import type { RouteRow } from '../database/rows.ts';
import type { Arrivals } from '../sessions/arrivals.ts';
import type { BrowserTokens, SessionClaims } from '../tokens/browser-tokens.ts';
import type { Readiness, Route } from './readiness.ts';
import type { EdgeRequest } from './upgrade.ts';

/**
 * Decides what becomes of a candidate's request for a socket: verifies the token and waits for the worker.
 *
 * G1  The token is verified, for this very session, before anything else is looked up: no VM, no row is touched for a
 *     stranger.
 * G2  A request that the proxy gives back (`fly-replay-failed`) cannot be replayed again: it is looked up once more, so
 *     that the close code says whether to come back, and closed. That the machine could not be reached is reported: it is
 *     evidence of its own. A browser could forge it, but only against its own session, and no more often than a session
 *     has attempts.
 * G3  While the database does not answer, a reconnect token's own route counts: the browser of a live interview comes back
 *     to its machine through any orchestrator. A machine that serves no more closes the socket, as it always does.
 */
export type Answer =
  | { kind: 'replay'; app: string; flyMachineId: string; state: string }
  | { kind: 'refuse'; code: CloseCode; why: string };

export interface Edge {
  /** @param signal ends the waiting: the browser has left, or this process stops. Never rejects. */
  decide(request: EdgeRequest, signal: AbortSignal): Promise<Answer>;
}

export interface EdgeDeps {
  tokens: Pick<BrowserTokens, 'verify' | 'mintReplay'>;
  readiness: Pick<Readiness, 'resolve' | 'wait'>;
  arrivals: Arrivals;
  /** The machine that serves a session could not be reached (G2). True when it is being replaced. */
  unreachable: (row: RouteRow) => Promise<boolean>;
  /** Origins that the tenant allows. Default: any. */
  origins?: Pick<Origins, 'admitsSocket'>;
  clock: Clock;
  logger: Logger;
  deadlines: Pick<Deadlines, 'edgeWaitMs'>;
}

/** Upgrades of one session that may wait at once: a candidate has one browser, perhaps two tabs. */
const waitersPerSession = 8;
/** G3: the database is given this long. */
const databasePatienceMs = 2_000;
const isId = (id: string): boolean => z.guid().safeParse(id).success;
const refuse = (code: CloseCode, why: string): Answer => ({ kind: 'refuse', code, why });

export function createEdge(deps: EdgeDeps): Edge {
  const { tokens, readiness, arrivals, unreachable, clock, logger, deadlines } = deps;
  const { origins = { admitsSocket: () => true } } = deps;
  const perSession = new Map<string, number>();

  const answerOf = async (route: Route | undefined, claims: SessionClaims): Promise<Answer> => {
    if (route === undefined) return refuse(closeCodes.notReady, 'not known');
    if (route.kind === 'unknown') return refuse(closeCodes.unknown, 'no such session');
    if (route.row.tenant_id !== claims.tenant_id) return refuse(closeCodes.token, 'token of another tenant');
    if (route.kind === 'ended') return refuse(closeCodes.ended, `the session is ${route.row.status}`);
    if (route.kind === 'waiting') return refuse(closeCodes.notReady, 'not ready in time');
    const state = await tokens.mintReplay(claims, route.row.epoch);
    return { kind: 'replay', app: route.app, flyMachineId: route.flyMachineId, state };
  };

  /** G3. */
  const byToken = async (
    claims: SessionClaims,
    { app, instance, epoch }: NonNullable<SessionClaims['route']>,
  ): Promise<Answer> => ({
    kind: 'replay',
    app,
    flyMachineId: instance,
    state: await tokens.mintReplay(claims, epoch),
  });

  /** G2. */
  const afterFailure = async (sessionId: string, claims: SessionClaims, failed: string): Promise<Answer> => {
    const route = await readiness.resolve(sessionId);
    const answer = await answerOf(route, claims);
    if (answer.kind === 'refuse' || route.kind !== 'serving') return answer;
    if (!failed.includes(`instance=${answer.flyMachineId}`))
      return refuse(closeCodes.moved, 'served by another machine now');
    return (await unreachable(route.row))
      ? refuse(closeCodes.moved, 'another machine takes over')
      : refuse(closeCodes.notReady, 'the machine could not be reached');
  };

  /** Undefined when the database does not say. */
  const firstLook = async (sessionId: string, signal: AbortSignal): Promise<Route | undefined> => {
    const look = new AbortController();
    const patience = clock.setTimer(() => look.abort(), databasePatienceMs);
    const tired = new Promise<undefined>((resolve) => {
      look.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    const route = await Promise.race([readiness.wait(sessionId, 0, signal), tired]);
    patience.cancel();
    return route;
  };

  /**
   * The route once the session is served. The arrival of a candidate who is waited for begins it.
   * @param waits whether to go on when the database does not say.
   */
  const served = async (
    sessionId: string,
    edgeRegion: string | undefined,
    signal: AbortSignal,
    waits: boolean,
  ): Promise<Route | undefined> => {
    const untilMs = clock.monotonicMs() + deadlines.edgeWaitMs;
    const first = await firstLook(sessionId, signal);
    if (first === undefined && !waits) return undefined;
    if (first !== undefined && first.kind !== 'waiting') return first;
    if (first?.row.status === 'pending') await arrivals.arrive(sessionId, edgeRegion);
    return readiness.wait(sessionId, Math.max(0, untilMs - clock.monotonicMs()), signal);
  };

  const admitted = async (sessionId: string, work: () => Promise<Answer>): Promise<Answer> => {
    const waiting = perSession.get(sessionId) ?? 0;
    if (waiting >= waitersPerSession) return refuse(closeCodes.tooMany, 'too many connections wait');
    perSession.set(sessionId, waiting + 1);
    try {
      return await work();
    } finally {
      const left = (perSession.get(sessionId) ?? 1) - 1;
      if (left > 0) perSession.set(sessionId, left);
      else perSession.delete(sessionId);
    }
  };

  const decide = async (request: EdgeRequest, signal: AbortSignal): Promise<Answer> => {
    const { sessionId, token, origin, replayFailed, edgeRegion } = request;
    if (!isId(sessionId)) return refuse(closeCodes.unknown, 'malformed id');
    if (token === undefined) return refuse(closeCodes.token, 'no token');
    const verified = await tokens.verify(token); // G1
    if (verified.kind === 'bad') return refuse(closeCodes.token, verified.why);
    const { claims } = verified;
    if (claims.session_id !== sessionId) return refuse(closeCodes.token, 'token of another session');
    if (!origins.admitsSocket(claims.tenant_id, origin))
      return refuse(closeCodes.token, 'an origin that is not allowed');
    return admitted(sessionId, async () => {
      if (replayFailed !== undefined) return afterFailure(sessionId, claims, replayFailed);
      const route = await served(sessionId, edgeRegion, signal, claims.route === undefined);
      return route === undefined && claims.route ? byToken(claims, claims.route) : answerOf(route, claims);
    });
  };

  return {
    decide: (request, signal) =>
      decide(request, signal).catch((error: unknown) => {
        logger.error({ session_id: request.sessionId.slice(0, 100), error }, 'the edge could not decide');
        return refuse(closeCodes.notReady, 'failed');
      }),
  };
}
