import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes, subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket-values.ts';

/**
 * The socket of one session, from the first connection to its end.
 *
 * - The URL never changes; after the first `session_ready` the reconnect token takes the join token's place.
 * - Browsers cannot see WebSocket pings, so liveness is ours: a ping each `pingMs`. A ping that is unanswered for `quietMs`
 *   marks the socket quiet, one for `deadMs` drops it. A half-open socket looks open to the browser for minutes.
 * - Every close is followed by another try, with growing jittered waits, until `giveUpMs` after the last `session_ready`; a
 *   session that was never reached is tried for ever. Final close codes end it. A network or page that comes back, or a
 *   session that moved, is tried at once.
 * - A late event of an earlier socket changes nothing.
 */
export interface SessionSocket {
  connect(): void;
  /** False when the socket is not open: nothing was sent. */
  send(message: ClientMessage): boolean;
  /** Tries at once, if it waits. */
  hurry(): void;
  /** The network is gone: no need to wait for silence. */
  drop(): void;
  close(): void;
}

/** `opening`: never reached yet. `quiet`: open, but nothing comes. */
export type SocketState = 'opening' | 'ready' | 'quiet' | 'lost';

export interface SocketDeps {
  url: string;
  joinToken: string;
  Socket: typeof WebSocket;
  now(): number;
  /** 0–1. */
  random(): number;
  giveUpMs: number;
  onState(state: SocketState, code?: number): void;
  onMessage(message: ServerMessage): void;
  /** It will not come back. */
  onFinal(code: number | 'unreachable'): void;
}

const tickMs = 500;
const pingMs = 2_000;
const quietMs = 2_500;
const deadMs = 10_000;
/** A try that takes longer than this is given up: the edge waits 20 s for a machine. */
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

/** Undefined for what is no message of ours: it says nothing about the interview. */
function readMessage(data: unknown): ServerMessage | undefined {
  try {
    const message: unknown = JSON.parse(String(data));
    return typeof message === 'object' && message !== null ? (message as ServerMessage) : undefined;
  } catch {
    return undefined;
  }
}

export function createSocket(deps: SocketDeps): SessionSocket {
  const { url, Socket, now, random, giveUpMs, onState, onMessage, onFinal } = deps;
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

  /** The current socket is gone, or treated as gone. */
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
  };
  const onFrame = (data: unknown) => {
    const message = readMessage(data);
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
