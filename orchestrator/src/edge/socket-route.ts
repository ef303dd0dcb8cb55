import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import websocket from '@fastify/websocket';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { vital } from '../access/pressure.ts';
import type { NoteRefusal } from '../access/refusals.ts';
import { remoteAddressOf } from '../access/remote-address.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Answer, Edge } from './edge.ts';
import { chooseProtocol, isEdgeUpgrade, readEdgeRequest, replayHeader } from './upgrade.ts';

/**
 * The route of the candidate's socket. An `onRequest` hook asks the edge and, if a machine serves the session,
 * answers the upgrade request with `fly-replay` in an ordinary HTTP response. From then on this process is out
 * of the data path.
 *
 * - Browsers do not show scripts the HTTP status of a failed upgrade. Therefore a refusal accepts the upgrade
 *   and closes the socket with a code. Only a path that cannot name a session gets an HTTP status.
 * - If the browser leaves while it waits, the wait ends.
 */
export interface SocketRoute {
  /** For `http.createServer`: whether to accept an upgrade. Other requests are served as plain requests. */
  shouldUpgrade(request: IncomingMessage): boolean;
  register(app: FastifyInstance): Promise<void>;
  /** Closes all waiting sockets with 4503. Resolves when they are closed. */
  close(): Promise<void>;
}

export interface SocketRouteDeps {
  edge: Edge;
  /** Records refused tokens. @default none */
  noteRefusal?: NoteRefusal;
  clock: Clock;
  logger: Logger;
  /** Called when a socket begins to wait. The function it returns is called with the answer. @default none */
  onWait?: () => (outcome: Answer['kind'], tookMs: number) => void;
  tracing: Pick<Tracing, 'record'>;
}

type Refusal = Extract<Answer, { kind: 'refuse' }>;

const url = '/ws/sessions/:id';

const fieldsOf = (answer: Answer) =>
  answer.kind === 'refuse'
    ? { close_code: answer.code, reason: answer.why }
    : { app_name: answer.app, fly_machine_id: answer.flyMachineId };

/** After this time the socket is terminated, even if the peer has not closed its side. */
const closingMs = 2_000;

/**
 * Notices when the browser leaves. For that, the socket must be read. A client sends nothing before its upgrade
 * is answered, so any data is dropped.
 */
function watchForLeaving(socket: Duplex): { gone: AbortSignal; release(): void } {
  const gone = new AbortController();
  const leave = () => socket.destroy();
  socket.once('end', leave);
  // With a reason: otherwise each closed connection makes an error with a stack.
  socket.once('close', () => gone.abort('the browser has left'));
  socket.resume();
  return { gone: gone.signal, release: () => void socket.off('end', leave) };
}

export function createSocketRoute(deps: SocketRouteDeps): SocketRoute {
  const { edge, noteRefusal = () => undefined, clock, logger, tracing } = deps;
  const { onWait = () => () => undefined } = deps;
  const refusals = new WeakMap<IncomingMessage, Refusal>();
  const open = new Set<Duplex>();
  const stopping = new AbortController();

  const decide = async (request: Pick<FastifyRequest, 'raw'>, sessionId: string): Promise<Answer> => {
    const startMs = clock.now();
    const startedMs = clock.monotonicMs();
    const { socket } = request.raw;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const { gone, release } = watchForLeaving(socket);
    const answered = onWait();
    const answer = await edge.decide(readEdgeRequest(request.raw), AbortSignal.any([gone, stopping.signal]));
    const tookMs = clock.monotonicMs() - startedMs;
    answered(answer.kind, tookMs);
    release();
    const ids = { session_id: sessionId, took_ms: Math.round(tookMs) };
    const fields = fieldsOf(answer);
    if (answer.kind === 'refuse') logger.info({ ...ids, ...fields }, 'socket refused');
    else logger.info({ ...ids, ...fields }, 'socket replayed');
    const failure = answer.kind === 'refuse' && answer.code === closeCodes.notReady ? String(answer.code) : undefined;
    tracing.record(`GET ${url}`, { startMs, fields: { method: 'GET', path: url, ...fields }, failure });
    return answer;
  };

  const noteRefused = ({ id, raw }: Pick<FastifyRequest, 'id' | 'raw'>, sessionId: string, why: string): void =>
    noteRefusal({
      actor: 'candidate',
      action: 'socket.open',
      target: sessionId,
      remote_address: remoteAddressOf({ headers: raw.headers, ip: raw.socket.remoteAddress ?? '' }),
      request_id: id,
      details: { why },
    });

  const close = (client: WebSocket, { raw }: Pick<FastifyRequest, 'raw'>): void => {
    const { code, why } = refusals.get(raw) as Refusal;
    client.close(code, code === closeCodes.token ? 'token' : why);
    const timer = clock.setTimer(() => client.terminate(), closingMs);
    client.once('close', () => timer.cancel());
  };

  const register = async (app: FastifyInstance): Promise<void> => {
    await app.register(websocket, {
      options: { maxPayload: 4_096, handleProtocols: chooseProtocol, perMessageDeflate: false, clientTracking: false },
      errorHandler: (_error, client) => client.terminate(),
    });
    app.route<{ Params: { id: string } }>({
      ...{ method: 'GET', url },
      websocket: true,
      config: vital, // Otherwise an overloaded process would answer with an HTTP status.
      logLevel: 'silent', // `decide` logs the request together with its session.
      schema: { hide: true },
      onRequest: async (request, reply) => {
        if (!request.ws) throw new AppError('not_found', { detail: 'This path accepts WebSocket connections only.' });
        const sessionId = request.params.id.toLowerCase();
        const answer = await decide(request, sessionId);
        if (answer.kind === 'replay') {
          const { app: name, flyMachineId, state, timeoutMs } = answer;
          const replay = replayHeader(name, flyMachineId, state, timeoutMs);
          return reply.code(307).headers({ 'fly-replay': replay, connection: 'close' }).send();
        }
        refusals.set(request.raw, answer);
        if (answer.code === closeCodes.token) noteRefused(request, sessionId, answer.why);
      },
      handler: close,
    });
  };

  return {
    shouldUpgrade: isEdgeUpgrade,
    register,
    close: async () => {
      stopping.abort();
      await Promise.all([...open].map((socket) => once(socket, 'close')));
    },
  };
}
