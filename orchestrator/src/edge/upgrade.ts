import type { IncomingMessage } from 'node:http';
import { subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';

/** Reading a candidate's upgrade request. Pure. */
export interface EdgeRequest {
  /** As given; may be malformed. */
  sessionId: string;
  token: string | undefined;
  /** Fly's proxy could not reach the machine it was sent to, and gives the request back. */
  replayFailed: string | undefined;
  /** Where the request came in, as Fly's proxy names it. */
  edgeRegion: string | undefined;
  origin: string | undefined;
}

const edgePath = /^\/ws\/sessions\/([\w.~-]{1,100})\/?(?:\?|$)/;

/** Whether this is a WebSocket upgrade for the edge; others are answered as plain requests. */
export const isEdgeUpgrade = (request: IncomingMessage): boolean =>
  request.headers.upgrade?.toLowerCase() === 'websocket' && edgePath.test(request.url ?? '');

const offered = (request: IncomingMessage): string[] =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());

export function readEdgeRequest(request: IncomingMessage): EdgeRequest {
  const url = request.url ?? '';
  const fromProtocol = offered(request).find((name) => name.startsWith(tokenSubprotocolPrefix));
  const fromQuery = new URLSearchParams(url.split('?')[1] ?? '').get('token');
  return {
    sessionId: (edgePath.exec(url)?.[1] ?? '').toLowerCase(),
    token: fromProtocol?.slice(tokenSubprotocolPrefix.length) ?? fromQuery ?? undefined,
    edgeRegion: [request.headers['fly-region'] ?? []].flat()[0],
    origin: request.headers.origin,
    replayFailed: [request.headers['fly-replay-failed'] ?? []].flat()[0],
  };
}

/** A browser that offered protocols fails unless one of them is chosen. */
export const chooseProtocol = (protocols: Set<string>): string | false =>
  protocols.has(subprotocol) ? subprotocol : ([...protocols][0] ?? false);

/** The value of `fly-replay`: this machine, with our signed state; back to us when it cannot be reached. */
export const replayHeader = (app: string, flyMachineId: string, state: string, timeoutMs: number): string =>
  `app=${app};instance=${flyMachineId};state=${state};timeout=${Math.ceil(timeoutMs / 1_000)}s;fallback=force_self`;
