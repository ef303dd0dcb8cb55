import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { send } from './http.ts';

/**
 * A streaming reverse proxy to one port on 127.0.0.1, with connections kept open.
 *
 * X1  Bodies are piped, never gathered: pressure from a slow reader reaches the database's answer.
 * X2  A client that goes away cancels the request upstream; an upstream that fails is a 502, or a cut connection when
 *     part of the answer was sent.
 * X3  An idle connection is given up sooner than PostgREST gives it up (30 s), so that none is used as it closes.
 */
export interface ReverseProxy {
  forward(request: IncomingMessage, response: ServerResponse, options: ForwardOptions): void;
  close(): void;
}

export interface ForwardOptions {
  path: string;
  headers: IncomingHttpHeaders;
  /** Let the work be done upstream, then cut the client's connection (a fault on cue). */
  loseReply?: boolean;
}

const idleMs = 20_000;
const unavailable = { status: 502, body: { message: 'An invalid response was received from the upstream server' } };
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
]);

export function withoutHopByHop(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {};
  for (const name in headers) if (!hopByHop.has(name)) kept[name] = headers[name];
  return kept;
}

function answer(upstream: IncomingMessage, response: ServerResponse): void {
  response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, withoutHopByHop(upstream.headers));
  upstream.once('error', () => response.destroy());
  upstream.pipe(response);
}

export function createProxy(port: number): ReverseProxy {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256, timeout: idleMs });
  return {
    forward: (request, response, { path, headers, loseReply = false }) => {
      const { method } = request;
      const upstream = http.request({ host: '127.0.0.1', port, agent, method, path, headers });
      upstream.once('error', () => send(response, unavailable));
      upstream.once('response', (reply) => {
        if (loseReply) reply.resume().once('close', () => response.destroy());
        else answer(reply, response);
      });
      response.once('close', () => response.writableFinished || upstream.destroy());
      const hasBody = request.headers['content-length'] ?? request.headers['transfer-encoding'];
      if (hasBody === undefined || hasBody === '0') upstream.end();
      else request.pipe(upstream);
    },
    close: () => agent.destroy(),
  };
}
