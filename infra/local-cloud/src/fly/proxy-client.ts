/**
 * The client's side of the proxy, for a plain request and for an upgrade (whose answer is written by hand).
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { KeptBody } from './body.ts';
import { passableHeaders, splice } from './hop.ts';

export interface ProxyClient {
  readonly request: IncomingMessage;
  readonly upgrade: boolean;
  /** The edge region that accepted the connection. */
  readonly region: string;
  /** Aborts when the client has disconnected. */
  readonly gone: AbortSignal;
  body: KeptBody;
  /** Streams a response to the client. */
  respond(response: IncomingMessage): void;
  /** Answers with the proxy's own error. */
  fail(status: number, code: string, message: string): void;
  /** Sends a 101 to the client and joins the two connections. */
  tunnel(response: IncomingMessage, socket: Duplex, head: Buffer, onClose: () => void): void;
  drop(): void;
}

type Io = { response: ServerResponse } | { socket: Duplex; head: Buffer };

const headLines = (response: IncomingMessage, skip: ReadonlySet<string>) => {
  const lines: string[] = [];
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    const name = response.rawHeaders[i]!;
    if (!skip.has(name.toLowerCase())) lines.push(`${name}: ${response.rawHeaders[i + 1]}`);
  }
  return lines;
};

const statusLine = (status: number, text?: string) => `HTTP/1.1 ${status} ${text ?? STATUS_CODES[status] ?? ''}`;
const NONE: ReadonlySet<string> = new Set();
const CONNECTION: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding']);

export function clientOf(request: IncomingMessage, io: Io, region: string, requestId: string): ProxyClient {
  const gone = new AbortController();
  const socket: Duplex = 'socket' in io ? io.socket : request.socket;
  // With a reason: otherwise each closed connection makes an error with a stack.
  const onClose = () => gone.abort('the client has disconnected');
  if ('response' in io) io.response.once('close', onClose);
  // The HTTP server no longer listens for the errors of an upgraded socket.
  else socket.on('error', () => undefined).once('close', onClose);

  const write = (lines: string[]) => void socket.write(`${[...lines, '', ''].join('\r\n')}`);
  const identity = [`Fly-Request-Id: ${requestId}`, 'Server: Fly/local', 'Via: 1.1 fly.io'];

  function respond(response: IncomingMessage): void {
    response.on('error', () => socket.destroy());
    if ('response' in io) {
      const headers = { ...passableHeaders(response.headers, false), 'fly-request-id': requestId, via: '1.1 fly.io' };
      io.response.writeHead(response.statusCode ?? 502, response.statusMessage, headers);
      io.response.flushHeaders();
      response.on('aborted', () => socket.destroy());
      response.pipe(io.response);
      return;
    }
    write([
      statusLine(response.statusCode ?? 502, response.statusMessage),
      ...headLines(response, CONNECTION),
      ...identity,
      'Connection: close',
    ]);
    response.pipe(socket);
  }

  function fail(status: number, code: string, message: string): void {
    if (gone.signal.aborted) {
      socket.destroy();
      return;
    }
    const text = `[${code}] ${message}\n`;
    const headers = {
      'content-type': 'text/plain',
      'content-length': String(Buffer.byteLength(text)),
      'fly-request-id': requestId,
      'fly-error': code,
    };
    if ('response' in io) return void io.response.writeHead(status, headers).end(text);
    write([statusLine(status), ...Object.entries(headers).map(([k, v]) => `${k}: ${v}`), 'Connection: close']);
    socket.end(text);
  }

  function tunnel(response: IncomingMessage, other: Duplex, head: Buffer, closed: () => void): void {
    (socket as Socket).setNoDelay?.(true);
    (socket as Socket).setTimeout?.(0);
    if (gone.signal.aborted) {
      other.destroy();
      closed();
      return;
    }
    socket.once('close', closed);
    write([statusLine(101, response.statusMessage), ...headLines(response, NONE), ...identity]);
    if (head.length > 0) socket.write(head);
    if ('head' in io && io.head.length > 0) other.write(io.head);
    splice(socket, other);
  }

  return {
    request,
    upgrade: 'socket' in io,
    region,
    gone: gone.signal,
    body: { head: Buffer.alloc(0), rest: undefined },
    respond,
    fail,
    tunnel,
    drop: () => void socket.destroy(),
  };
}
