import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { Agent, request } from 'undici';
import { createFlyApps } from './apps.ts';
import {
  type CreateOutcome,
  classifyCreate,
  classifyGet,
  classifyRefusal,
  type FlyMachine,
  type FlyRefusal,
  type Presence,
  parseMachine,
  type Raw,
} from './classify.ts';

/**
 * The one door to Fly's Machines API.
 *
 * Y1  It never retries: who asks knows whether a repetition is safe.
 * Y2  Fly answers an app's calls consistently only on one node, named by a cookie: it is kept per app.
 * Y3  Every answer that is not a success is logged with Fly's request id, and never with a header or a body.
 */
export interface FlyClientOptions {
  apiUrl: string;
  token: string;
  /** Limit of one request, ms. */
  requestMs: number;
  logger: Logger;
}

export type ListOutcome = { kind: 'listed'; machines: FlyMachine[] } | FlyRefusal;
export type CommandOutcome = { kind: 'done' } | FlyRefusal;

export type FlyClient = ReturnType<typeof createFlyClient>;

export type Send = (call: Call) => Promise<Raw>;

interface Call {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  app?: string;
  body?: object;
  signal?: AbortSignal | undefined;
}

/** Macaroons have a scheme of their own (fly-go, tokens.go); a token that already names its scheme keeps it. */
export const authorizationOf = (token: string): string =>
  /^(FlyV1|Bearer) /.test(token) ? token : `${/^fm[12][a-z]?_/.test(token) ? 'FlyV1' : 'Bearer'} ${token}`;

const parseBody = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 1_000);
  }
};

const seconds = (header: string | string[] | undefined): number | undefined => {
  const value = Number(header);
  return header !== undefined && Number.isFinite(value) ? value * 1_000 : undefined;
};

/** Y2. */
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

export function createFlyClient({ apiUrl, token, requestMs, logger }: FlyClientOptions) {
  const dispatcher = new Agent({ connections: 64, keepAliveTimeout: 30_000 });
  const authorization = authorizationOf(token);
  const affinity = createAffinity();

  const exchange = async ({ method, path, app, body, signal }: Call): Promise<Raw> => {
    const limit = AbortSignal.timeout(requestMs);
    const answer = await request(`${apiUrl}/v1${path}`, {
      method,
      dispatcher,
      headers: { authorization, ...affinity.of(app), ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : null,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    affinity.keep(app, answer.headers['set-cookie']);
    return {
      status: answer.statusCode,
      body: parseBody(await answer.body.text()),
      requestId: [answer.headers['fly-request-id'] ?? []].flat()[0],
      retryAfterMs: seconds(answer.headers['retry-after']),
    };
  };

  const send = async (call: Call): Promise<Raw> => {
    const raw: Raw = await exchange(call).catch((error: unknown) => ({ status: 0, error }));
    if (raw.status === 0 || raw.status >= 400) report(call, raw);
    return raw;
  };

  const report = ({ method, path }: Call, raw: Raw) => {
    const { kind } = classifyRefusal(raw);
    const context = 'error' in raw ? { error: raw.error } : { fly_request_id: raw.requestId, status_code: raw.status };
    const level = raw.status === 404 || raw.status === 409 ? 'debug' : 'warn';
    logger[level]({ method, path, kind, ...context }, 'Fly did not do what was asked');
  };

  const command = async (call: Call): Promise<CommandOutcome> => {
    const raw = await send(call);
    return raw.status >= 200 && raw.status < 300 ? { kind: 'done' } : classifyRefusal(raw);
  };

  const machines = (app: string) => `/apps/${encodeURIComponent(app)}/machines`;
  const machine = (app: string, id: string) => `${machines(app)}/${encodeURIComponent(id)}`;

  const list = async (app: string, query = ''): Promise<ListOutcome> => {
    const raw = await send({ method: 'GET', path: `${machines(app)}${query}`, app });
    if (raw.status !== 200 || 'error' in raw || !Array.isArray(raw.body))
      return classifyRefusal(raw.status === 200 ? { status: 0, error: undefined } : raw);
    return { kind: 'listed', machines: raw.body.map(parseMachine).filter((m): m is FlyMachine => m !== undefined) };
  };

  return {
    create: async (app: string, body: object, signal?: AbortSignal): Promise<CreateOutcome> =>
      classifyCreate(await send({ method: 'POST', path: machines(app), app, body, signal })),
    get: async (app: string, id: string): Promise<Presence> =>
      classifyGet(await send({ method: 'GET', path: machine(app, id), app })),
    /** All machines of an app. An empty or failed list is no evidence of anything. */
    list: (app: string) => list(app),
    /** Machines of an app whose metadata has this value. */
    findByMetadata: (app: string, key: string, value: string) =>
      list(app, `?metadata.${key}=${encodeURIComponent(value)}`),
    stop: (app: string, id: string, signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL', timeout: string) =>
      command({ method: 'POST', path: `${machine(app, id)}/stop`, app, body: { signal, timeout } }),
    /** Idempotent: a machine that runs is left as it is. */
    start: (app: string, id: string) => command({ method: 'POST', path: `${machine(app, id)}/start`, app, body: {} }),
    destroy: (app: string, id: string) => command({ method: 'DELETE', path: `${machine(app, id)}?force=true`, app }),
    apps: createFlyApps(send),
    /** Whether Fly answers at all. */
    reachable: async (): Promise<boolean> => {
      const raw = await send({ method: 'GET', path: '/platform/regions' });
      return raw.status === 200;
    },
    close: () => dispatcher.close(),
  };
}
