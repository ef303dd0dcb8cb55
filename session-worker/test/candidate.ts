import { subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';
import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import { WebSocket } from 'ws';
import type { Peers } from './peers.ts';

/** A candidate's socket, driven by a test. */
export interface Candidate {
  readonly socket: WebSocket;
  readonly heard: Array<Record<string, unknown>>;
  say(message: unknown): void;
  /** Waits for the first message (from `after` on) that matches. */
  receives(type: string, matching?: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  readonly closed: Promise<{ code: number; reason: string }>;
}

export interface CandidateOptions {
  headers?: Record<string, string>;
  token?: string;
  path?: string;
}

export async function connectCandidate(port: number, peers: Peers, options: CandidateOptions = {}): Promise<Candidate> {
  const token = options.token ?? (await peers.token(audiences.join));
  const headers = options.headers ?? (await peers.admission());
  const url = `ws://127.0.0.1:${port}${options.path ?? `/ws/sessions/${peers.session.id}`}`;
  const socket = new WebSocket(url, [subprotocol, `${tokenSubprotocolPrefix}${token}`], { headers });
  const heard: Array<Record<string, unknown>> = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data) => {
    heard.push(JSON.parse(String(data)) as Record<string, unknown>);
    for (const look of [...waiting]) look();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  socket.on('error', () => undefined);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return {
    socket,
    heard,
    closed,
    say: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    receives: (type, matching = () => true) =>
      new Promise((resolve) => {
        const look = () => {
          const found = heard.find((message) => message.type === type && matching(message));
          if (!found) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}
