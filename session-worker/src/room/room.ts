import type { ClientMessage, CloseCode, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket.ts';
import { countedCloseCodes, type WorkerCounts } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Presence } from '@greenroom/shared/session/states.ts';
import type { WebSocket } from 'ws';
import { type Connection, createConnection } from './connection.ts';

/**
 * The room: at most one WebSocket of the candidate, and the candidate's presence.
 *
 * - A newer socket replaces the older one (4412) with its `init_session`, not when it opens: a reloaded page does not
 *   compete with its own old connection, and a connection whose browser is gone, which may arrive late, replaces
 *   nothing.
 * - Before `init_session` only `ping` is accepted, and `session_ready` is the first message sent. Messages
 *   that arrive while it is being prepared wait in order; the connection's rate limit bounds their number.
 * - Once closed, the room stays closed.
 */
export interface Room {
  enter(socket: WebSocket): void;
  /**
   * Sends to the candidate if the browser is initialised, else drops the message. Important ones are repeated
   * on resume.
   */
  send(message: ServerMessage): void;
  readonly presence: Presence;
  /** Sockets that entered, messages that arrived and sockets that closed so far. */
  readonly counts: Pick<WorkerCounts, 'sockets' | 'messages' | 'candidate_socket_ms' | 'candidate_socket_closes'>;
  /** Sends `last`, closes with the code, and resolves when the socket is closed. */
  close(code: CloseCode, reason: string, last?: ServerMessage): Promise<void>;
}

export interface RoomDeps {
  clock: Clock;
  log: Logger;
  pingMs: number;
  /** The first socket, or the first one after a loss. */
  onPresent(): void;
  onLost(): void;
  /** Prepares and sends `session_ready`. */
  onInit(connection: Connection, fresh: boolean): Promise<void>;
  onMessage(message: Exclude<ClientMessage, { type: 'init_session' | 'ping' }>, connection: Connection): void;
  sessionId: string;
}

export function createRoom(deps: RoomDeps): Room {
  const { clock, log } = deps;
  let current: Connection | undefined;
  /** The newest socket that is open beside the current one and has not sent `init_session`. */
  let arriving: Connection | undefined;
  let ready: Connection | undefined;
  let preparing: { connection: Connection; waiting: ClientMessage[] } | undefined;
  let presence: Presence = 'absent';
  let closed: { code: CloseCode; reason: string } | undefined;
  let emptied = () => {};
  const closes: NonNullable<WorkerCounts['candidate_socket_closes']> = {};
  const counts = { sockets: 0, messages: 0, candidate_socket_ms: 0, candidate_socket_closes: closes };
  const countClose = (code: number, openMs: number) => {
    const counted = countedCloseCodes.find((one) => one === String(code)) ?? 'other';
    closes[counted] = (closes[counted] ?? 0) + 1;
    counts.candidate_socket_ms += Math.round(openMs);
  };

  const gone = (connection: Connection, code: number) => {
    if (ready === connection) ready = undefined;
    if (arriving === connection) arriving = undefined;
    if (current !== connection) return;
    current = arriving;
    arriving = undefined;
    if (current) return;
    presence = 'lost';
    log.info({ close_code: code }, 'candidate socket closed');
    if (closed) emptied();
    else deps.onLost();
  };
  const init = async (
    connection: Connection,
    { session_id: sessionId, fresh = false }: Extract<ClientMessage, { type: 'init_session' }>,
  ) => {
    if (sessionId !== undefined && sessionId !== deps.sessionId) {
      const fields = [{ field: 'session_id', message: 'is not the session of this socket' }];
      return connection.error('invalid_message', 'Invalid: session_id.', fields);
    }
    const mine = { connection, waiting: [] as ClientMessage[] };
    preparing = mine;
    await deps.onInit(connection, fresh);
    if (preparing === mine) preparing = undefined;
    if (current !== connection) return;
    ready = connection;
    for (const message of mine.waiting) hear(message, connection);
  };
  const replaceCurrent = (connection: Connection) => {
    arriving = undefined;
    const older = current;
    current = connection;
    older?.close(closeCodes.replaced, 'the interview was opened elsewhere');
  };
  const hear = (message: ClientMessage, connection: Connection) => {
    if (arriving === connection && message.type === 'init_session') replaceCurrent(connection);
    if (arriving === connection && message.type !== 'ping') return connection.error('not_initialized');
    if (current !== connection) return;
    if (preparing?.connection === connection) return void preparing.waiting.push(message);
    if (message.type === 'init_session') return void init(connection, message);
    if (message.type === 'ping') return;
    if (ready !== connection) return connection.error('not_initialized');
    deps.onMessage(message, connection);
  };

  return {
    counts,
    enter: (socket) => {
      if (closed) return socket.close(closed.code, closed.reason);
      counts.sockets += 1;
      const openedMs = clock.monotonicMs();
      const connection: Connection = createConnection({
        socket,
        clock,
        pingMs: deps.pingMs,
        onMessage: (message) => {
          counts.messages += 1;
          hear(message, connection);
        },
        onClose: (code) => {
          countClose(code, clock.monotonicMs() - openedMs);
          gone(connection, code);
        },
      });
      if (current) {
        arriving?.close(closeCodes.replaced, 'the interview was opened elsewhere');
        arriving = connection;
        return;
      }
      current = connection;
      if (presence === 'present') return;
      presence = 'present';
      log.info({}, 'candidate socket open');
      deps.onPresent();
    },
    send: (message) => ready?.send(message),
    get presence() {
      return presence;
    },
    close: async (code, reason, last) => {
      closed = { code, reason };
      arriving?.close(code, reason);
      arriving = undefined;
      if (!current) return;
      const empty = new Promise<void>((resolve) => {
        emptied = resolve;
      });
      if (last) current.send(last);
      current.close(code, reason);
      await empty;
    },
  };
}
