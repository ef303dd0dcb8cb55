import { createHash } from 'node:crypto';
import type { ScriptedOffer } from '@greenroom/shared/protocol/scripted-call.ts';
import {
  type ClientMessage,
  closeCodes,
  type ServerMessage,
  serverMessage,
  subprotocol,
  tokenSubprotocolPrefix,
} from '@greenroom/shared/protocol/socket.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { WebSocket } from 'ws';
import type { Script } from './scripts.ts';

/**
 * One connection of a simulated candidate, as a browser would make it: through the public address, with a join token.
 *
 * - It remembers nothing of earlier connections. What was said before comes from the stored transcript, so another
 *   orchestrator can continue after a crash.
 * - The id of an answer is derived from its question, so an answer that is sent again is inserted once.
 */
export interface Line {
  ordinal: number;
  item_id: string;
  speaker: 'ai' | 'candidate';
}

export type ConnectionEnd =
  /** `session_ended` arrived, or the socket was closed because the session has ended. */
  | { kind: 'ended' }
  /** The script says so. */
  | { kind: 'leave' | 'cut' }
  /** Somebody else joined as this candidate. */
  | { kind: 'replaced' }
  /** The token or the session was refused. */
  | { kind: 'refused'; code: number }
  /** The connection was lost. `reached`: after `session_ready`. */
  | { kind: 'lost'; reached: boolean }
  | { kind: 'stopped' };

export interface ConnectionOptions {
  url: string;
  joinToken: string;
  script: Script;
  /** The stored transcript. */
  said: readonly Line[];
  /** The network was cut before. */
  wasCut: boolean;
  clock: Pick<Clock, 'setTimer'>;
  signal: AbortSignal;
}

/** How long the candidate thinks before an answer, ms. A worker takes one typed answer a second. */
const thinkMs = 400;
const againMs = 1_200;

const keyOf = ({ ordinal, item_id }: Line): string => `${ordinal}/${item_id}`;
const answerId = (question: Line): string =>
  createHash('sha256').update(keyOf(question)).digest('base64url').slice(0, 16);

const endOf = (code: number, reached: boolean): ConnectionEnd => {
  if (code === closeCodes.ended || code === closeCodes.normal) return { kind: 'ended' };
  if (code === closeCodes.replaced) return { kind: 'replaced' };
  if (code === closeCodes.token || code === closeCodes.unknown) return { kind: 'refused', code };
  return { kind: 'lost', reached };
};

export function connectCandidate(options: ConnectionOptions): Promise<ConnectionEnd> {
  const { script, clock, signal } = options;
  const { promise, resolve } = Promise.withResolvers<ConnectionEnd>();
  const lines = new Map(options.said.map((line) => [keyOf(line), line]));
  const socket = new WebSocket(options.url, [subprotocol, `${tokenSubprotocolPrefix}${options.joinToken}`], {
    followRedirects: false,
  });
  let timer: Timer | undefined;
  let reached = false;

  const send = (message: ClientMessage) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const finish = (end: ConnectionEnd, close: () => void) => {
    timer?.cancel();
    signal.removeEventListener('abort', stop);
    close();
    resolve(end);
  };
  const stop = () => finish({ kind: 'stopped' }, () => socket.terminate());
  const offer = (ordinal: number) => {
    const sdp: ScriptedOffer = { scripted: 1, tampers: script.tampers };
    send({ type: 'sdp_offer', v: 1, sdp: JSON.stringify(sdp), ordinal });
  };
  const answered = () => [...lines.values()].filter(({ speaker }) => speaker === 'candidate').length;
  /** Answers the last question if it has no answer yet, and again until the answer is in the transcript. */
  const answer = (waitMs: number) => {
    timer?.cancel();
    const last = [...lines.values()].at(-1);
    const text = script.answer(answered());
    if (last?.speaker !== 'ai' || text === undefined) return;
    timer = clock.setTimer(() => {
      send({ type: 'typed_answer', v: 1, id: answerId(last), text });
      answer(againMs);
    }, waitMs);
  };
  const actIfDue = (): boolean => {
    const { after } = script;
    if (!after || answered() < after.answers || (after.does === 'cut' && options.wasCut)) return false;
    finish({ kind: after.does }, () => (after.does === 'leave' ? socket.close(closeCodes.normal) : socket.terminate()));
    return true;
  };
  const hear = (message: ServerMessage) => {
    switch (message.type) {
      case 'session_ready':
        reached = true;
        if (!message.call_active) offer(message.ordinal);
        else if (message.ordinal > 0) send({ type: 'call_connected', v: 1, ordinal: message.ordinal });
        if (!actIfDue()) answer(thinkMs);
        return;
      case 'call_required':
        return offer(message.ordinal);
      case 'sdp_answer':
        return send({ type: 'call_connected', v: 1, ordinal: message.ordinal });
      case 'transcript_entry':
        if (!message.final) return;
        lines.set(keyOf(message.entry), message.entry);
        if (!actIfDue()) answer(thinkMs);
        return;
      case 'session_ended':
        return finish({ kind: 'ended' }, () => socket.close(closeCodes.normal));
      default:
        return;
    }
  };

  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  socket.on('open', () => send({ type: 'init_session', v: 1 }));
  socket.on('message', (data) => {
    const message = messageIn(String(data));
    if (message) hear(message);
  });
  socket.on('error', () => undefined);
  socket.on('close', (code) => finish(endOf(code, reached), () => undefined));
  return promise;
}

function messageIn(text: string): ServerMessage | undefined {
  try {
    return serverMessage.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
