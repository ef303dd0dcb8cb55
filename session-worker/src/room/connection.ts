import type { FieldError } from '@greenroom/shared/errors/app-error.ts';
import { type ErrorCode, errorCodes } from '@greenroom/shared/errors/codes.ts';
import {
  type ClientMessage,
  type CloseCode,
  closeCodes,
  maxMessagesPerSecond,
  type ServerMessage,
} from '@greenroom/shared/protocol/socket.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { WebSocket } from 'ws';
import { createRateLimit } from './rate-limit.ts';
import { readMessage } from './read-message.ts';

/**
 * One WebSocket of the candidate: checks frames, sends messages and detects a dead connection.
 *
 * - An invalid message is answered with `error` and the socket stays open. A flood closes it with 4429; ws
 *   itself closes a frame larger than `maxFrameBytes` with 1009.
 * - Two pings without any frame in return end the socket, so that a lost network is noticed.
 * - Buffered output is limited: above `shedBytes` partial entries are not sent, above `maxBufferedBytes` the
 *   socket is cut. The client reconnects and is told what is stored.
 */
export interface Connection {
  send(message: ServerMessage): void;
  error(code: ErrorCode, detail?: string, fields?: FieldError[]): void;
  close(code: CloseCode, reason: string): void;
  /** Ends the connection without a close frame. */
  cut(): void;
  readonly open: boolean;
}

export interface ConnectionDeps {
  socket: WebSocket;
  clock: Clock;
  pingMs: number;
  onMessage(message: ClientMessage): void;
  /** Called once, however the socket ended. */
  onClose(code: number): void;
}

const shedBytes = 262_144;
const maxBufferedBytes = 4_194_304;
const closeWaitMs = 2_000;

export function createConnection({ socket, clock, pingMs, onMessage, onClose }: ConnectionDeps): Connection {
  const rate = createRateLimit({
    perSecond: maxMessagesPerSecond,
    burst: maxMessagesPerSecond * 2,
    nowMs: () => clock.monotonicMs(),
  });
  let missed = 0;
  let closing = false;
  let ping: Timer | undefined;
  let cutting: Timer | undefined;

  const transmit = (message: ServerMessage) => {
    if (closing || socket.readyState !== socket.OPEN) return;
    const spare = message.type === 'transcript_entry' && !message.final;
    if (spare && socket.bufferedAmount > shedBytes) return;
    if (socket.bufferedAmount > maxBufferedBytes) return void socket.terminate();
    socket.send(JSON.stringify(message));
  };
  const connection: Connection = {
    send: transmit,
    error: (code, detail, fields) => {
      const { title, retryable } = errorCodes[code];
      transmit({ type: 'error', code, message: detail ?? `${title}.`, retryable, ...(fields ? { fields } : {}) });
    },
    close: (code, reason) => {
      if (closing) return;
      closing = true;
      socket.close(code, reason);
      cutting = clock.setTimer(() => socket.terminate(), closeWaitMs);
    },
    cut: () => socket.terminate(),
    get open() {
      return !closing && socket.readyState === socket.OPEN;
    },
  };

  const keepAlive = () => {
    if (missed >= 2) return void socket.terminate();
    missed += 1;
    if (socket.readyState === socket.OPEN) socket.ping();
    ping = clock.setTimer(keepAlive, pingMs);
  };
  ping = clock.setTimer(keepAlive, pingMs);

  socket.on('pong', () => {
    missed = 0;
  });
  socket.on('message', (data, binary) => {
    missed = 0;
    if (closing) return;
    if (!rate.take()) return connection.close(closeCodes.tooMany, 'too many messages');
    if (binary) return connection.error('invalid_json', 'Messages are text frames of JSON.');
    const read = readMessage(String(data));
    if (read.kind === 'wrong') return connection.error(read.code, read.detail, read.fields);
    if (read.message.type === 'ping') return connection.send(pong(read.message.id));
    onMessage(read.message);
  });
  // ws closes the socket itself after an error (1009, 1007, 1002).
  socket.on('error', () => undefined);
  socket.on('close', (code) => {
    closing = true;
    ping?.cancel();
    cutting?.cancel();
    onClose(code);
  });
  return connection;
}

const pong = (id: string | undefined): ServerMessage => ({ type: 'pong', ...(id === undefined ? {} : { id }) });
