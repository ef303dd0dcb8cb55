import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import { Agent, type Dispatcher, request } from 'undici';

/**
 * Requests with JSON bodies to the services that we use: Fly, the voice provider, api.video.
 *
 * It never retries and does not interpret statuses: the caller knows whether a retry is safe. It never logs bodies or headers.
 */
export interface JsonCall {
  method: 'GET' | 'POST' | 'DELETE';
  url: string;
  headers?: Record<string, string>;
  body?: object | undefined;
  signal?: AbortSignal | undefined;
}

export interface JsonAnswer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  /** The parsed JSON, or the beginning of a body that is not JSON. */
  body: unknown;
  /** The wait that `Retry-After` asks for. */
  retryAfterMs: number | undefined;
}

export interface JsonClient {
  /** Rejects if no complete answer came in time. The request may or may not have taken effect. */
  ask(call: JsonCall): Promise<JsonAnswer>;
  close(): Promise<void>;
}

export interface JsonClientOptions {
  /** Maximum number of open connections. */
  connections: number;
  /** Limit of one request, ms. */
  requestMs: number;
  /** The largest body of an answer, bytes; a larger one is no answer. Default 4 MiB. */
  maxAnswerBytes?: number;
}

const keptText = 1_000;
const defaultAnswerBytes = 4_194_304;

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, keptText);
  }
};

export function createJsonClient({
  connections,
  requestMs,
  maxAnswerBytes = defaultAnswerBytes,
}: JsonClientOptions): JsonClient {
  const dispatcher = new Agent({ connections, keepAliveTimeout: 30_000, maxResponseSize: maxAnswerBytes });
  return {
    ask: async ({ method, url, headers = {}, body, signal }) => {
      const limit = AbortSignal.timeout(requestMs);
      const answer = await request(url, {
        method,
        dispatcher,
        headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body ? JSON.stringify(body) : null,
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      return {
        status: answer.statusCode,
        headers: answer.headers,
        body: parse(await answer.body.text()),
        retryAfterMs: readRetryAfter(answer.headers['retry-after']),
      };
    },
    close: () => dispatcher.close(),
  };
}
