/**
 * One hop of the proxy: sends a request to one address and returns either a response or an open tunnel.
 *
 * If no connection can be made, the result is `refused` and the proxy tries another target. If the connection
 * breaks after the request was sent, the result is `broken`: the target may have seen the request, so it is
 * not repeated.
 */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';

export interface HopRequest {
  host: string;
  port: number;
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  upgrade: boolean;
  body: { head: Buffer; rest: Readable | undefined };
  connectTimeoutMs: number;
}

export type HopResult =
  | { kind: 'refused' }
  | { kind: 'broken' }
  | { kind: 'response'; response: IncomingMessage }
  | { kind: 'tunnel'; response: IncomingMessage; socket: Duplex; head: Buffer };

const HOP_BY_HOP = new Set([
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
]);

/** The headers to pass on: without those of one connection. An upgrade keeps `connection` and `upgrade`. */
export function passableHeaders(headers: IncomingHttpHeaders, upgrade: boolean): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([name, value]) => {
    if (value === undefined || HOP_BY_HOP.has(name)) return false;
    return upgrade || (name !== 'connection' && name !== 'upgrade');
  });
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}

/** Headers that delimit the body on this hop, independent of how the client sent it. */
function framing({ upgrade, body, headers }: HopRequest): Record<string, string> {
  if (upgrade) return {};
  if (body.rest)
    return { connection: 'close', ...(headers['content-length'] ? {} : { 'transfer-encoding': 'chunked' }) };
  const length = String(body.head.length);
  return {
    connection: 'close',
    ...(body.head.length > 0 || headers['content-length'] ? { 'content-length': length } : {}),
  };
}

/** An open connection, or undefined when none could be made in time. */
function open(host: string, port: number, timeoutMs: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('connect timeout')), timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.on('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}

/** @param abandoned aborts when the client has disconnected; the hop is then cut. */
export async function hop(target: HopRequest, abandoned: AbortSignal): Promise<HopResult> {
  const socket = await open(target.host, target.port, target.connectTimeoutMs);
  if (!socket) return { kind: 'refused' };
  if (abandoned.aborted) {
    socket.destroy();
    return { kind: 'broken' };
  }
  return new Promise((resolve) => {
    const { method, path } = target;
    const headers = { ...target.headers, ...framing(target) };
    const outgoing = httpRequest({ method, path, headers, createConnection: () => socket, setDefaultHeaders: false });
    const onAbandoned = () => socket.destroy();
    abandoned.addEventListener('abort', onAbandoned, { once: true });
    socket.once('close', () => abandoned.removeEventListener('abort', onAbandoned));
    outgoing.once('error', () => resolve({ kind: 'broken' }));
    outgoing.once('response', (response) => resolve({ kind: 'response', response }));
    outgoing.once('upgrade', (response, tunnel, head) => {
      // From here on the tunnel's two connections end each other.
      abandoned.removeEventListener('abort', onAbandoned);
      resolve({ kind: 'tunnel', response, socket: tunnel, head });
    });
    if (target.body.head.length > 0) outgoing.write(target.body.head);
    if (target.body.rest) target.body.rest.pipe(outgoing);
    else outgoing.end();
  });
}

/** Joins two byte streams. Backpressure and half-close pass through; a failure of one side ends the other. */
export function splice(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      // `pipe` has passed on an orderly end. After anything else the other side must be ended here.
      if (!from.readableEnded) to.destroy();
    });
  }
}
