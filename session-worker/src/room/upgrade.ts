import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { maxFrameBytes, subprotocol } from '@greenroom/shared/protocol/socket.ts';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * Turns an upgrade request into a WebSocket. It always accepts, because a browser never sees the HTTP status
 * of a failed upgrade: a refusal is a close code. Only our own subprotocol is echoed, never the one that
 * carries the token.
 */
export type AcceptUpgrade = (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  accepted: (ws: WebSocket) => void,
) => void;

export function createUpgrade(): AcceptUpgrade {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
  return (request, socket, head, accepted) => server.handleUpgrade(request, socket, head, accepted);
}
