import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type CloseCode, closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import type { Origins } from '../access/origins.ts';
import type { NoteRefusal } from '../access/refusals.ts';
import { remoteAddressOf } from '../access/remote-address.ts';
import type { RouteRow } from '../database/rows.ts';
import type { Arrivals } from '../sessions/arrivals.ts';
import type { BrowserTokens, SessionClaims } from '../tokens/browser-tokens.ts';
import type { Readiness, Route } from './readiness.ts';
import { answerPlain, chooseProtocol, isEdgeUpgrade, readEdgeRequest, replayHeader } from './upgrade.ts';

/**
 * The candidate's way in: verifies the token, waits for the worker, and has Fly's proxy connect the browser to it.
 *
 * G1  The token is verified, for this very session, before anything else is looked up: no VM, no row is touched for a
 *     stranger.
 * G2  A browser never sees an HTTP status of a failed upgrade: every refusal accepts the upgrade and closes with a code.
 * G3  The upgrade is answered plainly with `fly-replay`; from then on this process is out of the data path.
 * G4  A request that the proxy gives back (`fly-replay-failed`) cannot be replayed again: it is looked up once more, so
 *     that the close code says whether to come back, and closed. That the machine could not be reached is reported: it is
 *     evidence of its own. A browser could forge it, but only against its own session, and no more often than a session
 *     has attempts.
 * G5  While the database does not answer, a reconnect token's own route counts: the browser of a live interview comes back
 *     to its machine through any orchestrator. A machine that serves no more closes the socket, as it always does.
 */
export interface Edge {
  /** For `http.createServer`: which upgrades to take (others are served as plain requests). */
  shouldUpgrade(request: IncomingMessage): boolean;
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Closes everything that waits with 4503 and resolves when nothing is left. */
  close(): Promise<void>;
}

export interface EdgeDeps {
  tokens: Pick<BrowserTokens, 'verify' | 'mintReplay'>;
  readiness: Pick<Readiness, 'resolve' | 'wait'>;
  arrivals: Arrivals;
  /** The machine that serves a session could not be reached (G4). True when it is being replaced. */
  unreachable: (row: RouteRow) => Promise<boolean>;
  /** Origins that the tenant allows. Default: any. */
  origins?: Pick<Origins, 'admitsSocket'>;
  /** Notes refused tokens. Default: nowhere. */
  noteRefusal?: NoteRefusal;
  clock: Clock;
  logger: Logger;
  deadlines: Pick<Deadlines, 'edgeWaitMs' | 'replayTimeoutMs'>;
}

type Answer =
  | { kind: 'replay'; app: string; flyMachineId: string; state: string }
  | { kind: 'refuse'; code: CloseCode; why: string };

/** Upgrades of one session that may wait at once: a candidate has one browser, perhaps two tabs. */
const waitersPerSession = 8;
const closingMs = 2_000;
/** G5: the database is given this long. */
const databasePatienceMs = 2_000;
const isId = (id: string): boolean => z.guid().safeParse(id).success;
const refuse = (code: CloseCode, why: string): Answer => ({ kind: 'refuse', code, why });

/**
 * Notices that a browser leaves while it waits. The socket must flow for that, and a client has nothing to say before its
 * upgrade is answered, so what flows is dropped.
 */
function watchForLeaving(socket: Duplex): { gone: AbortSignal; release(): void } {
  const gone = new AbortController();
  const leave = () => socket.destroy();
  socket.on('error', leave);
  socket.once('end', leave);
  socket.once('close', () => gone.abort());
  socket.resume();
  return { gone: gone.signal, release: () => void socket.off('end', leave) };
}

export function createEdge({
  tokens,
  readiness,
  arrivals,
  unreachable,
  clock,
  logger,
  deadlines,
  ...doors
}: EdgeDeps): Edge {
  const { origins = { admitsSocket: () => true }, noteRefusal = () => undefined } = doors;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 4_096,
    handleProtocols: chooseProtocol,
    perMessageDeflate: false,
  });
  const perSession = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();

  const answerOf = async (route: Route | undefined, claims: SessionClaims): Promise<Answer> => {
    if (route === undefined) return refuse(closeCodes.notReady, 'not known');
    if (route.kind === 'unknown') return refuse(closeCodes.unknown, 'no such session');
    if (route.row.tenant_id !== claims.tenant_id) return refuse(closeCodes.token, 'token of another tenant');
    if (route.kind === 'ended') return refuse(closeCodes.ended, `the session is ${route.row.status}`);
    if (route.kind === 'waiting') return refuse(closeCodes.notReady, 'not ready in time');
    const state = await tokens.mintReplay(claims, route.row.epoch);
    return { kind: 'replay', app: route.app, flyMachineId: route.flyMachineId, state };
  };

  /** G5. */
  const byToken = async (
    claims: SessionClaims,
    { app, instance, epoch }: NonNullable<SessionClaims['route']>,
  ): Promise<Answer> => ({
    kind: 'replay',
    app,
    flyMachineId: instance,
    state: await tokens.mintReplay(claims, epoch),
  });

  /** G4. */
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

  const decide = async (request: IncomingMessage, signal: AbortSignal): Promise<Answer & { sessionId: string }> => {
    const { sessionId, token, replayFailed, edgeRegion } = readEdgeRequest(request);
    const done = (answer: Answer) => ({ ...answer, sessionId });
    if (!isId(sessionId)) return done(refuse(closeCodes.unknown, 'malformed id'));
    if (token === undefined) return done(refuse(closeCodes.token, 'no token'));
    const verified = await tokens.verify(token); // G1
    if (verified.kind === 'bad') return done(refuse(closeCodes.token, verified.why));
    const { claims } = verified;
    if (claims.session_id !== sessionId) return done(refuse(closeCodes.token, 'token of another session'));
    if (!origins.admitsSocket(claims.tenant_id, request.headers.origin))
      return done(refuse(closeCodes.token, 'an origin that is not allowed'));
    const work = async () => {
      if (replayFailed !== undefined) return afterFailure(sessionId, claims, replayFailed);
      const route = await served(sessionId, edgeRegion, signal, claims.route === undefined);
      return route === undefined && claims.route ? byToken(claims, claims.route) : answerOf(route, claims);
    };
    return done(await admitted(sessionId, work));
  };

  /** G2. Resolves when the socket is closed. */
  const close = (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    code: CloseCode,
    reason: string,
  ): Promise<void> =>
    new Promise((resolve) => {
      socket.once('close', () => resolve());
      if (socket.destroyed) return resolve();
      sockets.handleUpgrade(request, socket, head, (client) => {
        client.on('error', () => client.terminate());
        client.close(code, reason);
        const timer = clock.setTimer(() => client.terminate(), closingMs);
        client.once('close', () => timer.cancel());
      });
    });

  const noteRefused = (request: IncomingMessage, socket: Duplex, answer: { sessionId: string; why: string }): void =>
    noteRefusal({
      actor: 'candidate',
      action: 'socket.open',
      target: answer.sessionId.slice(0, 100),
      remote_address: remoteAddressOf({ headers: request.headers, ip: (socket as Socket).remoteAddress ?? '' }),
      request_id: [request.headers['fly-request-id'] ?? []].flat()[0],
      details: { why: answer.why },
    });

  const serve = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const startedMs = clock.monotonicMs();
    const { gone, release } = watchForLeaving(socket);
    const signal = AbortSignal.any([gone, stopping.signal]);
    const answer = await decide(request, signal).catch((error: unknown) => {
      logger.error({ error }, 'the edge could not decide');
      return { ...refuse(closeCodes.notReady, 'failed'), sessionId: '' };
    });
    release();
    const fields = { session_id: answer.sessionId, took_ms: Math.round(clock.monotonicMs() - startedMs) };
    if (answer.kind === 'refuse') {
      logger.info({ ...fields, close_code: answer.code, reason: answer.why }, 'socket refused');
      if (answer.code === closeCodes.token) noteRefused(request, socket, answer);
      return close(request, socket, head, answer.code, answer.code === closeCodes.token ? 'token' : answer.why);
    }
    logger.info({ ...fields, app_name: answer.app, fly_machine_id: answer.flyMachineId }, 'socket replayed');
    answerPlain(socket, {
      'fly-replay': replayHeader(answer.app, answer.flyMachineId, answer.state, deadlines.replayTimeoutMs),
    }); // G3
    // A peer that never closes its side would hold the socket for ever.
    const timer = clock.setTimer(() => socket.destroy(), closingMs);
    socket.once('close', () => timer.cancel());
  };

  return {
    shouldUpgrade: isEdgeUpgrade,
    handle: (request, socket, head) => {
      const task = serve(request, socket, head).finally(() => underWay.delete(task));
      underWay.add(task);
    },
    close: async () => {
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}
