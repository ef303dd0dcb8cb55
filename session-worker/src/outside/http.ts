import * as plain from 'node:http';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * The only client for outgoing HTTP. It limits time and size, and never puts headers or bodies into an error.
 *
 * - Every answer is returned, whatever its status; only the lack of an answer is thrown. The caller decides
 *   about retries.
 * - An error contains no header and no body, so neither can reach a log.
 * - It is Node's own client, whose parser the listener has loaded already (docs/adr/0009). `https` is loaded
 *   with the first request that needs it, so that it does not delay listening.
 * - Every request settles, whatever the other side does.
 */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'PATCH';
  url: string;
  headers?: Record<string, string>;
  body?: string;
  /** Limit of the whole exchange, ms. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** The largest answer, bytes. Default 1 MiB. */
  maxBytes?: number;
}

export interface HttpAnswer {
  status: number;
  /** Lower-case names; the first value of a repeated header. */
  headers: Record<string, string>;
  body: string;
}

export interface Http {
  /** Throws HttpError when there was no (whole) answer. */
  (request: HttpRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

/** There was no usable answer: a network failure, the time limit, or an answer that is too large. */
export class HttpError extends Error {
  constructor(url: string, why: string) {
    super(`${new URL(url).host}: ${why}`);
    this.name = 'HttpError';
  }
}

const maxAnswerBytes = 1_048_576;
/**
 * How long an idle connection is kept: shorter than the idle limits of the servers, longer than the heartbeat
 * interval.
 */
const restMs = 20_000;

type Protocol = Pick<typeof plain, 'request' | 'Agent'>;

/** @param socketPath a unix socket to use instead of the URL's host. */
export function createHttp({ clock, socketPath }: { clock: Clock; socketPath?: string }): Http {
  const agents = new Map<Protocol, plain.Agent>();
  const agentOf = (protocol: Protocol): plain.Agent => {
    const agent = agents.get(protocol) ?? new protocol.Agent({ keepAlive: true, maxSockets: 8, timeout: restMs });
    agents.set(protocol, agent);
    return agent;
  };
  const exchange = async (request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> => {
    const { method, url, headers = {}, body } = request;
    const protocol = await protocolOf(url);
    const options = { method, headers, signal, agent: agentOf(protocol), ...(socketPath ? { socketPath } : {}) };
    const answer = await answerTo(protocol.request(url, options), body);
    return {
      status: answer.statusCode ?? 0,
      headers: firstValues(answer.headersDistinct),
      body: await readBounded(answer, request.maxBytes),
    };
  };

  const send = async (request: HttpRequest): Promise<HttpAnswer> => {
    const limit = new AbortController();
    const timer = clock.setTimer(
      () => limit.abort(new HttpError(request.url, `no answer within ${request.timeoutMs} ms`)),
      request.timeoutMs,
    );
    try {
      return await exchange(request, request.signal ? AbortSignal.any([request.signal, limit.signal]) : limit.signal);
    } catch (error) {
      if (limit.signal.aborted) throw limit.signal.reason;
      throw new HttpError(request.url, codeOf(error));
    } finally {
      timer.cancel();
    }
  };

  return Object.assign(send, {
    close: async () => {
      for (const agent of agents.values()) agent.destroy();
    },
  });
}

const protocolOf = async (url: string): Promise<Protocol> =>
  url.startsWith('https:') ? (await import('node:https')).default : plain;

const answerTo = (request: plain.ClientRequest, body: string | undefined): Promise<plain.IncomingMessage> =>
  new Promise((resolve, reject) => {
    request.once('response', resolve);
    // This listener must stay: a request may emit `error` more than once.
    request.on('error', reject);
    // A 101 answer emits no `response`, and Node closes the connection without an error: reject here so that
    // the request settles.
    request.once('close', () => reject(Object.assign(new Error('closed'), { code: 'CLOSED_WITHOUT_ANSWER' })));
    request.end(body);
  });

const firstValues = (headers: NodeJS.Dict<string[]>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, values]) => (values?.[0] === undefined ? [] : [[name, values[0]]])),
  );

async function readBounded(answer: plain.IncomingMessage, maxBytes = maxAnswerBytes): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw Object.assign(new Error('too large'), { code: 'ANSWER_TOO_LARGE' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const codeOf = (error: unknown): string => {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' && code ? code : String(name ?? 'failed');
};
