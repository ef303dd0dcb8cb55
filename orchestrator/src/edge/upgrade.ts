import type { IncomingMessage } from 'node:http';
import { subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';

/** Reads a candidate's upgrade request. Pure functions. */
export interface EdgeRequest {
  /** As in the path. It may be malformed. */
  sessionId: string;
  token: string | undefined;
  /** `fly-replay-failed`: Fly's proxy could not reach the machine and returned the request. */
  replayFailed: string | undefined;
  /** Fly's edge region where the request arrived (`fly-region`). */
  edgeRegion: string | undefined;
  origin: string | undefined;
}

const edgePath = /^\/ws\/sessions\/([\w.~-]{1,100})\/?(?:\?|$)/;

/** Whether this is a WebSocket upgrade for a candidate's socket. */
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

/** Chooses one of the offered subprotocols. A browser that offered some closes the socket if none is chosen. */
export const chooseProtocol = (protocols: Set<string>): string | false =>
  protocols.has(subprotocol) ? subprotocol : ([...protocols][0] ?? false);

/**
 * The value of `fly-replay`: replay to this machine with our signed state; return the request to us if that
 * fails.
 */
export const replayHeader = (app: string, flyMachineId: string, state: string, timeoutMs: number): string =>
  `app=${app};instance=${flyMachineId};state=${state};timeout=${Math.ceil(timeoutMs / 1_000)}s;fallback=force_self`;
