import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes, subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket-values.ts';
import { objectIn } from './object-in.ts';

/**
 * The socket of one session, from the first connection to its end.
 *
 * - The URL never changes. After the first `session_ready` the reconnect token is used instead of the join
 *   token.
 * - A half-open socket looks open to the browser for minutes, and pages cannot see WebSocket pings. So we send
 *   our own ping every `pingMs`. After `quietMs` without an answer the socket counts as quiet, after `deadMs`
 *   it is replaced.
 * - After every close the socket is opened again, with growing random waits, until it has been lost for
 *   `giveUpMs`. A session that was never reached is tried without limit. Final close codes end it. When the
 *   network or the page comes back, or the session has moved, the next try is immediate.
 * - Late events of an earlier socket are ignored.
 */
export interface SessionSocket {
  connect(): void;
  /** Sends a message. False if the socket is not open. */
  send(message: ClientMessage): boolean;
  /** If it is waiting for the next try, tries at once. */
  hurry(): void;
  /** Replaces the socket at once, because the network is known to be lost. */
  drop(): void;
  close(): void;
}

/** `opening`: the session was never reached. `quiet`: open, but pings are not answered. */
export type SocketState = 'opening' | 'ready' | 'quiet' | 'lost';

export interface SocketDeps {
  url: string;
  joinToken: string;
  Socket: typeof WebSocket;
  now(): number;
  /** Returns numbers in [0, 1). */
  random(): number;
  giveUpMs: number;
  onState(state: SocketState, code?: number): void;
  /** Called when the socket is open, right after `init_session`. */
  onOpened(): void;
  onMessage(message: ServerMessage): void;
  /** Called when the socket is closed for good. */
  onFinal(code: number | 'unreachable'): void;
}

const tickMs = 250;
const pingMs = 1_500;
const quietMs = 2_500;
const deadMs = 10_000;
/** Limit of one try, ms. The edge waits up to 20 s for a machine. */
const openMs = 30_000;
const firstWaitMs = 250;
const longestWaitMs = 5_000;

const finalCodes: readonly number[] = [
  closeCodes.normal,
  closeCodes.token,
  closeCodes.unknown,
  closeCodes.ended,
  closeCodes.replaced,
];

export function createSocket(deps: SocketDeps): SessionSocket {
  const { url, Socket, now, random, giveUpMs, onState, onOpened, onMessage, onFinal } = deps;
  let token = deps.joinToken;
  let current: WebSocket | undefined;
  let reached = false;
  let over = false;
  let tries = 0;
  let lastPingAt = 0;
  let unansweredSince: number | undefined;
  let ticking: ReturnType<typeof setInterval> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let opening: ReturnType<typeof setTimeout> | undefined;
  let giveUp: ReturnType<typeof setTimeout> | undefined;

  const send = (message: ClientMessage): boolean => {
    if (current?.readyState !== Socket.OPEN) return false;
    current.send(JSON.stringify(message));
    return true;
  };
  const stopTimers = () => {
    clearInterval(ticking);
    clearTimeout(opening);
    clearTimeout(retry);
    retry = undefined;
  };
  const close = () => {
    over = true;
    stopTimers();
    clearTimeout(giveUp);
    const last = current;
    current = undefined;
    last?.close(closeCodes.normal);
  };
  const end = (code: number | 'unreachable') => {
    close();
    onFinal(code);
  };
  const isNowOver = () => over;

  /** Handles the loss of the current socket. */
  const lost = (code: number | undefined) => {
    stopTimers();
    const last = current;
    current = undefined;
    last?.close();
    if (code !== undefined && finalCodes.includes(code)) return end(code);
    if (reached) giveUp ??= setTimeout(() => end('unreachable'), giveUpMs);
    const ceiling = Math.min(longestWaitMs, firstWaitMs * 2 ** tries);
    tries += 1;
    retry = setTimeout(connect, code === closeCodes.moved ? 0 : Math.round(random() * ceiling));
    onState(reached ? 'lost' : 'opening', code);
  };

  const tick = () => {
    const silentMs = unansweredSince === undefined ? 0 : now() - unansweredSince;
    if (silentMs >= deadMs) return lost(undefined);
    if (silentMs >= quietMs) onState('quiet');
    if (now() - lastPingAt < pingMs) return;
    lastPingAt = now();
    if (send({ type: 'ping' })) unansweredSince ??= now();
  };
  const onOpen = () => {
    lastPingAt = now();
    unansweredSince = now();
    ticking = setInterval(tick, tickMs);
    send({ type: 'init_session', ...(reached ? {} : { fresh: true }) });
    onOpened();
  };
  const onFrame = (data: unknown) => {
    const message = objectIn(data) as ServerMessage | undefined;
    if (!message) return;
    unansweredSince = undefined;
    if (message.type === 'session_ready') {
      token = message.reconnect_token;
      reached = true;
      tries = 0;
      clearTimeout(opening);
      clearTimeout(giveUp);
      giveUp = undefined;
    }
    if (reached) onState('ready');
    if (!isNowOver()) onMessage(message);
  };
  function connect() {
    stopTimers();
    if (over) return;
    const mine = new Socket(url, [subprotocol, `${tokenSubprotocolPrefix}${token}`]);
    current = mine;
    unansweredSince = undefined;
    const ifCurrent = (work: () => void) => {
      if (current === mine) work();
    };
    opening = setTimeout(() => ifCurrent(() => lost(undefined)), openMs);
    mine.addEventListener('open', () => ifCurrent(onOpen));
    mine.addEventListener('message', ({ data }) => ifCurrent(() => onFrame(data)));
    mine.addEventListener('close', ({ code }) => ifCurrent(() => lost(code)));
  }

  return {
    connect,
    send,
    hurry: () => {
      if (retry !== undefined) connect();
    },
    drop: () => {
      if (current) lost(undefined);
    },
    close,
  };
}
