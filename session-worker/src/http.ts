import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Agent } from 'undici';

/**
 * The one door for outgoing HTTP: bounded in time and size, and silent about what it carries.
 *
 * H1  An answer is returned whatever its status; only a failure to get one is thrown. Who asks also decides about retries.
 * H2  No error of this door holds a header or a body, so none can reach a log.
 * H3  undici is loaded with the first request, not at boot: listening comes first.
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

/** No answer: the network, the time limit, or an answer beyond all measure (H2). */
export class HttpError extends Error {
  constructor(url: string, why: string) {
    super(`${new URL(url).host}: ${why}`);
    this.name = 'HttpError';
  }
}

const maxAnswerBytes = 1_048_576;

/** @param socketPath a unix socket to use instead of the URL's host. */
export function createHttp({ clock, socketPath }: { clock: Clock; socketPath?: string }): Http {
  let agent: Promise<Agent> | undefined;
  const open = () => {
    agent ??= import('undici').then(
      ({ Agent }) => new Agent({ connections: 8, pipelining: 1, ...(socketPath ? { connect: { socketPath } } : {}) }),
    );
    return agent;
  };

  const send = async (request: HttpRequest): Promise<HttpAnswer> => {
    const limit = new AbortController();
    const timer = clock.setTimer(
      () => limit.abort(new HttpError(request.url, `no answer within ${request.timeoutMs} ms`)),
      request.timeoutMs,
    );
    const signal = request.signal ? AbortSignal.any([request.signal, limit.signal]) : limit.signal;
    try {
      const { method, headers = {}, body = null } = request;
      const answer = await (await open()).request({ ...split(request.url), method, headers, body, signal });
      return {
        status: answer.statusCode,
        headers: firstValues(answer.headers),
        body: await readBounded(answer.body, request.maxBytes),
      };
    } catch (error) {
      if (error instanceof HttpError) throw error;
      if (limit.signal.aborted) throw limit.signal.reason;
      throw new HttpError(request.url, codeOf(error));
    } finally {
      timer.cancel();
    }
  };

  return Object.assign(send, {
    close: async () => {
      if (agent) await (await agent).destroy();
    },
  });
}

function split(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url);
  return { origin, path: pathname + search };
}

const firstValues = (headers: Record<string, string | string[] | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => {
      const first = Array.isArray(value) ? value[0] : value;
      return first === undefined ? [] : [[name.toLowerCase(), first]];
    }),
  );

async function readBounded(body: AsyncIterable<Buffer>, maxBytes = maxAnswerBytes): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
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
