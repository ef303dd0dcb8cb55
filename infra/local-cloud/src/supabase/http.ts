import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultAction } from '../faults.ts';

/** What the gateway and the auth service answer to a request. */
export interface Answer {
  status: number;
  body?: unknown;
  headers?: OutgoingHttpHeaders;
}

const longestBodyBytes = 1_048_576;

export function send(response: ServerResponse, { status, body, headers }: Answer): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, {
    'access-control-allow-origin': '*',
    ...(text ? { 'content-type': 'application/json; charset=utf-8' } : {}),
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** The body as an object; an empty one is `{}`. Throws SyntaxError for anything else, RangeError above 1 MiB. */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > longestBodyBytes) throw new RangeError('the body is too large');
    chunks.push(chunk);
  }
  const parsed: unknown = bytes === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new SyntaxError('not an object');
  return parsed as Record<string, unknown>;
}

/** What hosted projects answer to a browser's preflight. */
export function sendPreflight(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '*',
    'access-control-max-age': '3600',
    'content-length': '0',
  });
  response.end();
}

/**
 * Applies an injected fault before a request is handled. Returns `done` when the request was answered or cut, `work` when it
 * should be handled normally, and `lose_reply` when it should be handled and the connection cut afterwards.
 */
export async function suffer(
  action: FaultAction | undefined,
  response: ServerResponse,
): Promise<'work' | 'done' | 'lose_reply'> {
  switch (action?.kind) {
    case 'status':
      send(response, { status: action.status, body: action.body, headers: action.headers ?? {} });
      return 'done';
    case 'delay':
      await sleep(action.delayMs);
      return response.destroyed ? 'done' : 'work';
    case 'hang':
      return 'done';
    case 'drop_before':
      response.destroy();
      return 'done';
    case 'drop_after':
      return 'lose_reply';
    default:
      return 'work';
  }
}
