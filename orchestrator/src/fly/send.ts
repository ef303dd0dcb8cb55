import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createJsonClient } from '../net/json-client.ts';
import { createLanes } from '../runtime/lanes.ts';
import { classifyRefusal, type FlyRefusal, type Raw, requestIdOf } from './classify.ts';

/**
 * Sends every request to Fly's Machines API.
 *
 * - It never retries: only the caller knows whether a repetition is safe.
 * - Fly's answers about an app are consistent only if they come from one node. Fly names the node in a cookie,
 *   which is kept per app.
 * - Every error is logged with Fly's request id, and never with headers or bodies.
 * - One app uses at most a quarter of the connections, so that hanging requests of one app do not delay other
 *   apps.
 */
export interface SendOptions {
  apiUrl: string;
  token: string;
  /** Limit of one request, ms. */
  requestMs: number;
  logger: Logger;
  /** Observes each request. Default: nothing. */
  observe?: (call: Call, exchange: () => Promise<Raw>) => Promise<Raw>;
}

/** Concurrent requests: in total and per app. */
export const flyRequests = { total: 128, perLane: 32 };
/** The list of an app with ten thousand machines. */
const maxAnswerBytes = 67_108_864;

export interface Call {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  app?: string;
  body?: object;
  signal?: AbortSignal | undefined;
}

/** Sends a call. Never throws: a network failure is returned with `status: 0`. */
export type Send = (call: Call) => Promise<Raw>;

/** The result of a call whose answer has no content that matters. A text body is a proxy's page, so it is ambiguous. */
export type CommandOutcome = { kind: 'done'; requestId?: string | undefined } | FlyRefusal;
export const commandOutcome = (raw: Raw): CommandOutcome => {
  if (raw.status < 200 || raw.status >= 300) return classifyRefusal(raw);
  const isPage = 'body' in raw && typeof raw.body === 'string' && raw.body !== '';
  return isPage ? { kind: 'ambiguous' } : { kind: 'done', requestId: requestIdOf(raw) };
};

/** Macaroons use the scheme `FlyV1` (fly-go, tokens.go). A token that already names its scheme keeps it. */
export const authorizationOf = (token: string): string =>
  /^(FlyV1|Bearer) /.test(token) ? token : `${/^fm[12][a-z]?_/.test(token) ? 'FlyV1' : 'Bearer'} ${token}`;

/** Keeps Fly's affinity cookie per app. */
function createAffinity() {
  const cookies = new Map<string, string>();
  return {
    of: (app: string | undefined): Record<string, string> => {
      const cookie = app === undefined ? undefined : cookies.get(app);
      return cookie === undefined ? {} : { cookie };
    },
    keep: (app: string | undefined, header: string | string[] | undefined) => {
      const cookie = [header ?? []].flat().find((line) => line.startsWith('fly_flaps_affinity='));
      if (app !== undefined && cookie !== undefined) cookies.set(app, cookie.split(';')[0] as string);
    },
  };
}

const unobserved: NonNullable<SendOptions['observe']> = (_call, exchange) => exchange();

export function createSend({ apiUrl, token, requestMs, logger, observe = unobserved }: SendOptions): {
  send: Send;
  close(): Promise<void>;
} {
  const connections = flyRequests.total;
  const client = createJsonClient({ connections, requestMs, maxAnswerBytes });
  const lanes = createLanes(flyRequests);
  const authorization = authorizationOf(token);
  const affinity = createAffinity();

  const exchange = async ({ method, path, app, body, signal }: Call): Promise<Raw> => {
    const headers = { authorization, ...affinity.of(app) };
    const answer = await lanes.add(app ?? '', () =>
      client.ask({ method, url: `${apiUrl}/v1${path}`, headers, body, signal }),
    );
    affinity.keep(app, answer.headers['set-cookie']);
    return {
      status: answer.status,
      body: answer.body,
      requestId: [answer.headers['fly-request-id'] ?? []].flat()[0],
      retryAfterMs: answer.retryAfterMs,
    };
  };

  const send: Send = async (call) => {
    const answered = (): Promise<Raw> => exchange(call).catch((error: unknown) => ({ status: 0, error }));
    const raw = await observe(call, answered);
    if (raw.status === 0 || raw.status >= 400) report(call, raw);
    return raw;
  };

  const report = ({ method, path, body }: Call, raw: Raw) => {
    const { kind } = classifyRefusal(raw);
    const context = 'error' in raw ? { error: raw.error } : { fly_request_id: raw.requestId, status_code: raw.status };
    // The path of a create does not name the machine; its body does.
    const named = body !== undefined && 'name' in body ? { machine_name: String(body.name) } : {};
    const level = raw.status === 404 || raw.status === 409 ? 'info' : 'warn';
    logger[level]({ method, path, kind, ...named, ...context }, 'Fly refused the request or did not answer');
  };

  return { send, close: client.close };
}
