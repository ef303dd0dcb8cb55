import { SessionOverError, WaitTimeoutError } from './errors.ts';
import { type StreamOptions, streamOf } from './events.ts';
import { limit, sleep } from './limit.ts';
import { type Operations, operationTable } from './operations.ts';
import { type Page, pagesOf } from './pages.ts';
import { type GreenroomOptions, send } from './request.ts';
import type { GreenroomEvent, RequestOptions, Result, Session, Transcript } from './types.ts';

export interface WaitOptions {
  /** How long to wait in all, ms. Default: 2 minutes for `waitForReady`, 10 minutes for `waitForResult`. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** One method for each operation of the API, named by its operation id, and methods that send several requests. */
export interface Greenroom extends Operations {
  /** The events of one session, from its beginning; also after its end, because the result follows. */
  streamSessionEvents(id: string, options?: StreamOptions): AsyncGenerator<GreenroomEvent, void, undefined>;
  /** The events of all sessions of the tenant, from now on. At most ten such streams for a tenant. */
  streamEvents(options?: StreamOptions): AsyncGenerator<GreenroomEvent, void, undefined>;
  /** The whole transcript. */
  getTranscript(id: string, options?: RequestOptions): Promise<Transcript>;
  /** The whole transcript as plain text, or as WebVTT. */
  getTranscriptText(id: string, format?: 'text' | 'vtt', options?: RequestOptions): Promise<string>;
  /** The session as soon as the candidate can connect. Throws SessionOverError if it ends before that. */
  waitForReady(id: string, options?: WaitOptions): Promise<Session>;
  /** The result as soon as it is final: `done`, `empty` or `dead`. Throws SessionOverError if there will be none. In production webhooks are better: `result.done`. */
  waitForResult(id: string, options?: WaitOptions): Promise<Result>;
}

export interface Meta {
  status: number;
  /** For `ifMatch`. Take it from a read without `expand`. */
  etag: string | undefined;
  requestId: string | undefined;
  /** True: this is the stored answer to an earlier request with the same idempotency key. */
  replayed: boolean;
}

const metas = new WeakMap<object, Meta>();
/** Status and headers of an answer. @param answer the object that a method returned */
export const metaOf = (answer: object): Meta | undefined => metas.get(answer);

const joinable = new Set<Session['status']>(['ready', 'connecting', 'in_progress']);
const before = new Set<Session['status']>(['scheduled', 'pending', 'provisioning']);
const ended = new Set<Session['status']>(['completed', 'disconnected', 'failed', 'expired', 'cancelled']);
const mostWaitS = 30;
const pollMs = 500;

/** Fills in the parameters of a path. A value that would change the path is refused. */
function filled(path: string, values: readonly unknown[]): string {
  let next = 0;
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[next];
    next += 1;
    if (typeof value !== 'string' || /^\.{0,2}$/.test(value)) throw new TypeError(`${name} of ${path} is no id`);
    return encodeURIComponent(value);
  });
}

export function createGreenroom(client: GreenroomOptions): Greenroom {
  const call = async (
    method: string,
    path: string,
    input: { query?: object | undefined; body?: unknown },
    options?: RequestOptions,
  ): Promise<unknown> => {
    const { status, headers, body } = await send(client, { method, path, ...input }, options);
    if (typeof body === 'object' && body !== null)
      metas.set(body, {
        status,
        etag: headers.get('etag') ?? undefined,
        requestId: headers.get('x-request-id') ?? undefined,
        replayed: headers.get('idempotency-replayed') === 'true',
      });
    return body;
  };

  const operations = Object.fromEntries(
    Object.entries(operationTable).map(([name, { method, path, input, isList }]) => [
      name,
      (...given: unknown[]) => {
        const parameters = path.match(/\{/g)?.length ?? 0;
        const at = filled(path, given);
        const [first, second] = given.slice(parameters);
        const options = (input === undefined ? first : second) as RequestOptions | undefined;
        if (input === 'body') return call(method, at, { body: first }, options);
        const query = input === 'query' ? (first as object | undefined) : undefined;
        if (!isList) return call(method, at, { query }, options);
        return pagesOf(
          (cursor) =>
            call(method, at, { query: cursor === undefined ? query : { ...query, cursor } }, options) as Promise<
              Page<unknown>
            >,
        );
      },
    ]),
  ) as unknown as Operations;

  const transcriptPath = (id: string) => filled('/api/sessions/{id}/transcript', [id]);
  /** Reads all pages. Undefined if the transcript changed between two pages. */
  const readTranscript = async (id: string, options?: RequestOptions): Promise<Transcript | undefined> => {
    const read = (cursor: string | null) =>
      call('GET', transcriptPath(id), { query: { limit: 1_000, cursor } }, options) as Promise<Transcript>;
    const whole = await read(null);
    for (let cursor = whole.next_cursor; cursor !== null; ) {
      const page = await read(cursor);
      if (page.revision !== whole.revision) return undefined;
      whole.entries.push(...page.entries);
      cursor = page.next_cursor;
    }
    return { ...whole, has_more: false, next_cursor: null };
  };

  /** Runs `work` until it returns, or until the time is up. */
  const within = async <T>(
    what: string,
    timeoutMs: number,
    outer: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const time = limit(timeoutMs, outer);
    try {
      return await work(time.signal);
    } catch (error) {
      if (time.isOver) throw new WaitTimeoutError(`${what}: not after ${timeoutMs} ms`, { cause: error });
      throw error;
    } finally {
      time.end();
    }
  };

  const greenroom: Greenroom = {
    ...operations,
    streamSessionEvents: (id, options = {}) => streamOf(client, filled('/api/sessions/{id}/events', [id]), options, id),
    streamEvents: (options = {}) => streamOf(client, '/api/events', options),
    getTranscript: async (id, options) => {
      for (;;) {
        const whole = await readTranscript(id, options);
        if (whole) return whole;
      }
    },
    getTranscriptText: (id, format = 'text', options) =>
      call('GET', transcriptPath(id), { query: { format } }, options) as Promise<string>,
    waitForReady: (id, { timeoutMs = 120_000, signal: outer } = {}) =>
      within(`session ${id} is ready`, timeoutMs, outer, async (signal) => {
        for (;;) {
          const session = await greenroom.getSession(id, {}, { waitS: mostWaitS, signal });
          if (joinable.has(session.status)) return session;
          if (!before.has(session.status)) throw new SessionOverError(session, 'nobody can connect');
          await sleep(pollMs, signal);
        }
      }),
    waitForResult: (id, { timeoutMs = 600_000, signal: outer } = {}) =>
      within(`session ${id} has a result`, timeoutMs, outer, async (signal) => {
        const look = async (): Promise<Result | undefined> => {
          const session = await greenroom.getSession(id, { expand: ['result'] }, { signal });
          const { result } = session;
          if (result && result.status !== 'pending' && result.status !== 'running') return result;
          if (!result && ended.has(session.status)) throw new SessionOverError(session, 'there will be no result');
          return undefined;
        };
        const already = await look();
        if (already) return already;
        for await (const { type } of greenroom.streamSessionEvents(id, { signal })) {
          const isEnd = type.startsWith('session.') && ended.has(type.slice('session.'.length) as Session['status']);
          const result = isEnd || type.startsWith('result.') ? await look() : undefined;
          if (result) return result;
        }
        throw signal.reason;
      }),
  };
  return greenroom;
}
