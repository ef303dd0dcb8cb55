import { type CloseCode, closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import { z } from 'zod';
import type { Origins } from '../access/origins.ts';
import type { RouteRow } from '../database/rows.ts';
import type { Arrivals } from '../sessions/arrivals.ts';
import type { Creations } from '../sessions/creations.ts';
import type { BrowserTokens, SessionClaims } from '../tokens/browser-tokens.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Readiness, Route } from './readiness.ts';
import type { EdgeRequest } from './upgrade.ts';

/**
 * Decides about a candidate's WebSocket request: verifies the token, waits for the worker, and answers with a
 * replay to the machine or a refusal.
 *
 * - The token is verified for this session before anything else, so a request without a valid token never
 *   causes a database read or a machine.
 * - A request that Fly's proxy returns (`fly-replay-failed`) cannot be replayed again. The session is read once
 *   more, so that the close code tells the browser whether to reconnect, and the socket is closed. The
 *   unreachable machine is reported as evidence for a fail-over. A browser could forge the header, but only for
 *   its own session, and a session has a limited number of attempts.
 * - A hot machine listens already, so the proxy tries only briefly to connect to one whose worker has not claimed yet.
 *   The failure is evidence that the machine is gone. Its candidate connects right after the session was created, and waits
 *   for the other sessions that are being created (sessions/creations.ts).
 * - A worker whose lease has expired may still serve, so its browser is sent there all the same; but that it asks is
 *   reported. When it asks again, the worker does not serve it (fleet/unreachable.ts).
 * - While the database does not answer, the route in a reconnect token is used, so the browser of a live
 *   interview can return to its machine through any orchestrator. A machine that no longer serves the session
 *   closes the socket.
 */
export type Answer =
  /** `timeoutMs`: how long the proxy may try to connect to the machine. */
  | { kind: 'replay'; app: string; flyMachineId: string; state: string; timeoutMs: number }
  | { kind: 'refuse'; code: CloseCode; why: string };

export interface Edge {
  /**
   * Never rejects.
   * @param signal ends the wait when the browser has left or this process is stopping
   */
  decide(request: EdgeRequest, signal: AbortSignal): Promise<Answer>;
}

export interface EdgeDeps {
  tokens: Pick<BrowserTokens, 'verify' | 'mintReplay'>;
  readiness: Pick<Readiness, 'resolve' | 'wait'>;
  arrivals: Arrivals;
  /**
   * Reports that a browser does not reach the machine of its session. Returns true if the machine is being replaced.
   */
  unreachable: (row: RouteRow, evidence: 'fly-replay-failed' | 'silent') => Promise<boolean>;
  creations: Pick<Creations, 'over'>;
  /** Origins that the tenant allows. @default any */
  origins?: Pick<Origins, 'admitsSocket'>;
  clock: Clock;
  logger: Logger;
  deadlines: Pick<Deadlines, 'edgeWaitMs' | 'replayTimeoutMs' | 'hotReplayMs'>;
  tracing: Pick<Tracing, 'know'>;
}

/** Requests of one session that may wait at once. A candidate has one browser with one or two tabs. */
const waitersPerSession = 8;
/** If the database does not answer within this time, the route in a reconnect token is used. */
const databasePatienceMs = 2_000;
const isId = (id: string): boolean => z.guid().safeParse(id).success;
const refuse = (code: CloseCode, why: string): Answer => ({ kind: 'refuse', code, why });

export function createEdge(deps: EdgeDeps): Edge {
  const { tokens, readiness, arrivals, unreachable, creations, clock, logger, deadlines, tracing } = deps;
  const { origins = { admitsSocket: () => true } } = deps;
  const perSession = new Map<string, number>();

  /** Once the session is known, and the token is its tenant's, the request belongs to the session's trace. */
  const follow = (route: Route | undefined, { tenant_id }: SessionClaims): void => {
    if (route === undefined || route.kind === 'unknown' || route.row.tenant_id !== tenant_id) return;
    const { session_id, machine_id, traceparent } = route.row;
    tracing.know({ session_id, tenant_id, ...(machine_id === null ? {} : { machine_id }) }, traceparent);
  };

  const answerOf = async (route: Route | undefined, claims: SessionClaims, sinceMs: number): Promise<Answer> => {
    if (route === undefined) return refuse(closeCodes.notReady, 'the database does not answer');
    if (route.kind === 'unknown') return refuse(closeCodes.unknown, 'no such session');
    if (route.row.tenant_id !== claims.tenant_id) return refuse(closeCodes.token, 'token of another tenant');
    if (route.kind === 'ended') return refuse(closeCodes.ended, `the session is ${route.row.status}`);
    if (route.kind === 'waiting') return refuse(closeCodes.notReady, 'not ready in time');
    const state = await tokens.mintReplay(claims, route.row.epoch, clock.monotonicMs() - sinceMs);
    const timeoutMs = route.row.unconfirmed ? deadlines.hotReplayMs : deadlines.replayTimeoutMs;
    return { kind: 'replay', app: route.app, flyMachineId: route.flyMachineId, state, timeoutMs };
  };

  /** The answer when the database does not respond: the route in the reconnect token. */
  const byToken = async (
    claims: SessionClaims,
    { app, instance, epoch }: NonNullable<SessionClaims['route']>,
  ): Promise<Answer> => ({
    kind: 'replay',
    app,
    flyMachineId: instance,
    state: await tokens.mintReplay(claims, epoch),
    timeoutMs: deadlines.replayTimeoutMs,
  });

  const afterFailure = async (sessionId: string, claims: SessionClaims, failed: string): Promise<Answer> => {
    const sinceMs = clock.monotonicMs();
    const route = await readiness.resolve(sessionId);
    follow(route, claims);
    const answer = await answerOf(route, claims, sinceMs);
    if (answer.kind === 'refuse' || route.kind !== 'serving') return answer;
    if (!failed.includes(`instance=${answer.flyMachineId}`))
      return refuse(closeCodes.moved, 'another machine serves the session now');
    return (await unreachable(route.row, 'fly-replay-failed'))
      ? refuse(closeCodes.moved, 'another machine is taking over')
      : refuse(closeCodes.notReady, 'the machine could not be reached');
  };

  /** The current route. Undefined if the database does not answer in time. */
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
   * Waits until a machine serves the session, and returns the route. If the session is pending until its
   * candidate comes, this request starts it.
   * @param waits whether to keep waiting while the database does not answer
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
    if (waiting >= waitersPerSession) return refuse(closeCodes.tooMany, 'too many connections are waiting');
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
    const verified = await tokens.verify(token);
    if (verified.kind === 'bad') return refuse(closeCodes.token, verified.why);
    const { claims } = verified;
    if (claims.session_id !== sessionId) return refuse(closeCodes.token, 'token of another session');
    if (!origins.admitsSocket(claims.tenant_id, origin)) return refuse(closeCodes.token, 'origin not allowed');
    const sinceMs = clock.monotonicMs();
    return admitted(sessionId, async () => {
      if (replayFailed !== undefined) return afterFailure(sessionId, claims, replayFailed);
      const route = await served(sessionId, edgeRegion, signal, claims.route === undefined);
      follow(route, claims);
      if (route?.kind === 'serving' && route.row.tenant_id === claims.tenant_id && route.row.silent)
        if (await unreachable(route.row, 'silent')) return refuse(closeCodes.moved, 'another machine is taking over');
      if (route?.kind === 'serving' && route.row.unconfirmed) await creations.over();
      return route === undefined && claims.route ? byToken(claims, claims.route) : answerOf(route, claims, sinceMs);
    });
  };

  return {
    decide: (request, signal) =>
      decide(request, signal).catch((error: unknown) => {
        logger.error({ session_id: request.sessionId.slice(0, 100), error }, 'could not answer a socket request');
        return refuse(closeCodes.notReady, 'internal error');
      }),
  };
}
