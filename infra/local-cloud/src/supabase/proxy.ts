import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { send } from './http.ts';

/**
 * A streaming reverse proxy to one port on 127.0.0.1, with keep-alive connections.
 *
 * - Bodies are piped and not buffered, so a slow reader slows the upstream down. Only refusals can be changed on their way.
 * - A client that disconnects cancels the upstream request. A failing upstream results in 502, or in a cut connection if part
 *   of the answer was already sent.
 * - Idle connections are closed before PostgREST closes them (30 s), so that no request is sent on a closing connection.
 */
export interface ReverseProxy {
  forward(request: IncomingMessage, response: ServerResponse, options: ForwardOptions): void;
  close(): void;
}

export interface ForwardOptions {
  path: string;
  headers: IncomingHttpHeaders;
  /** Changes the body of a refusal. Only answers with these statuses are read as a whole. */
  refusals?: { statuses: ReadonlySet<number>; change(status: number, body: string): string };
  /** Injected fault: the upstream handles the request, then the client's connection is cut. */
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

async function answerChanged(
  upstream: IncomingMessage,
  response: ServerResponse,
  { change }: NonNullable<ForwardOptions['refusals']>,
): Promise<void> {
  const { statusCode = 502, headers } = upstream;
  const body = Buffer.from(change(statusCode, await text(upstream)));
  response.writeHead(statusCode, { ...withoutHopByHop(headers), 'content-length': body.length });
  response.end(body);
}

function answer(upstream: IncomingMessage, response: ServerResponse): void {
  response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, withoutHopByHop(upstream.headers));
  upstream.once('error', () => response.destroy());
  upstream.pipe(response);
}

export function createProxy(port: number): ReverseProxy {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256, timeout: idleMs });
  return {
    forward: (request, response, { path, headers, refusals, loseReply = false }) => {
      const { method } = request;
      const upstream = http.request({ host: '127.0.0.1', port, agent, method, path, headers });
      upstream.once('error', () => send(response, unavailable));
      upstream.once('response', (reply) => {
        if (loseReply) reply.resume().once('close', () => response.destroy());
        else if (refusals?.statuses.has(reply.statusCode ?? 0) && method !== 'HEAD')
          answerChanged(reply, response, refusals).catch(() => response.destroy());
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
