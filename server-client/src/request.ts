import { ApiError, ConnectionError, type Problem } from './errors.ts';
import { limit, sleep } from './limit.ts';
import type { RequestOptions } from './types.ts';

/**
 * Settings of the client. Each request is sent again until the API has answered it, or until `retries` is used up.
 *
 * - All attempts have the same `Idempotency-Key`, so the request takes effect once, even if an answer was lost.
 * - A request is sent again after no answer, a part of one, an answer that is not from the API, 429, 5xx or
 *   `idempotency_in_progress`. A change with `If-Match` is not sent again when there was no whole answer: if the change was made,
 *   its etag no longer matches.
 * - `retry-after` is followed up to `longestPauseMs`. When the API asks for more, the caller gets the error at once.
 */
export interface GreenroomOptions {
  /** Where the API is, for example `https://interviews.example.com`. */
  url: string;
  /** `gr_live_…`, `gr_test_…`, a user's access token or an operator's token. A function is called before each attempt. */
  apiKey: string | (() => string | Promise<string>);
  /** How many times a request is sent again at most. Default 4. */
  retries?: number;
  /** Each attempt may take this long, ms. Default 30,000. */
  timeoutMs?: number;
  /** `greenroom-version` of each request. Default: the version of the key. */
  version?: string;
  /** Default: the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export interface Request {
  method: string;
  /** Path of the operation with its parameters filled in, for example `/api/sessions/s1`. It is appended to `url`. */
  path: string;
  query?: object | undefined;
  body?: unknown;
}

export interface Received {
  status: number;
  headers: Headers;
  /** Parsed if it is JSON, else the text. Undefined if there is none. */
  body: unknown;
}

const longestPauseMs = 30_000;
const firstPauseMs = 250;
const passing = new Set([429, 500, 502, 503, 504]);

/** The pause before attempt `n` (2, 3, …). The longest pause doubles each time; the pause is a random 50 to 100 % of it. */
export const pauseMs = (n: number): number =>
  Math.min(longestPauseMs, firstPauseMs * 2 ** (n - 2)) * (0.5 + Math.random() / 2);

/** Whether the same request may succeed later. */
export const canPass = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  (error instanceof ApiError && (passing.has(error.status) || error.code === 'idempotency_in_progress'));

export function urlOf(base: string, path: string, query: object = {}): string {
  const url = new URL(base.replace(/\/$/, '') + path);
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    if (typeof value === 'object' && !Array.isArray(value))
      for (const [key, one] of Object.entries(value)) url.searchParams.append(`${name}[${key}]`, String(one));
    else for (const one of [value].flat()) url.searchParams.append(name, String(one));
  }
  return url.href;
}

export async function authorizationOf({ apiKey }: GreenroomOptions): Promise<string> {
  return `Bearer ${typeof apiKey === 'function' ? await apiKey() : apiKey}`;
}

export async function send(
  client: GreenroomOptions,
  request: Request,
  options: RequestOptions = {},
): Promise<Received> {
  const { retries = 4 } = client;
  const { method } = request;
  const headers: Record<string, string> = {
    accept: 'application/json, application/problem+json',
    ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(method === 'POST' ? { 'idempotency-key': options.idempotencyKey ?? crypto.randomUUID() } : {}),
    ...(options.ifMatch === undefined ? {} : { 'if-match': options.ifMatch }),
    ...(options.waitS === undefined ? {} : { prefer: `wait=${options.waitS}` }),
    ...(options.requestId === undefined ? {} : { 'x-request-id': options.requestId }),
    ...(client.version === undefined ? {} : { 'greenroom-version': client.version }),
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await sendOnce(client, request, headers, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Whether the change took effect is known only if the server itself put it off: sent again, it could be refused as outdated.
      const isPutOff = error instanceof ApiError && [429, 503].includes(error.status);
      const isLost = options.ifMatch !== undefined && !isPutOff;
      const askedMs = (error instanceof ApiError ? error.retryAfterMs : undefined) ?? 0;
      if (attempt > retries || !canPass(error) || isLost || askedMs > longestPauseMs) throw error;
      await sleep(Math.max(askedMs, pauseMs(attempt + 1)), options.signal);
    }
  }
}

async function sendOnce(
  client: GreenroomOptions,
  { method, path, query, body }: Request,
  headers: Record<string, string>,
  { timeoutMs = client.timeoutMs ?? 30_000, waitS = 0, signal }: RequestOptions,
): Promise<Received> {
  const url = urlOf(client.url, path, query);
  const authorization = await authorizationOf(client);
  const attempt = limit(timeoutMs + waitS * 1_000, signal);
  try {
    const answer = await (client.fetch ?? fetch)(url, {
      method,
      headers: { ...headers, authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // Redirections are not followed: the key must not be sent to another server.
      redirect: 'manual',
      signal: attempt.signal,
    });
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, answer.headers, problemIn(text));
    return { status: answer.status, headers: answer.headers, body: bodyOf(answer, text) };
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ConnectionError(`${method} ${path} has no whole answer: ${(error as Error).message}`, { cause: error });
  } finally {
    attempt.end();
  }
}

function bodyOf({ headers }: Response, text: string): unknown {
  if (text === '') return undefined;
  const type = headers.get('content-type') ?? '';
  if (/^application\/(problem\+)?json\b/.test(type)) return JSON.parse(text);
  if (/^text\/(plain|vtt)\b/.test(type)) return text;
  throw new Error(`the answer is of the type ${type || '(none)'}`);
}

export function problemIn(text: string): Problem | undefined {
  try {
    const found = JSON.parse(text);
    return typeof found?.code === 'string' ? found : undefined;
  } catch {
    return undefined;
  }
}
