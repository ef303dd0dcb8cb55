import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Faults } from '../faults.ts';
import type { AuthService } from './auth.ts';
import { send, sendPreflight, suffer } from './http.ts';
import { renamedStatuses, withNewerCode } from './newer-postgrest.ts';
import { createProxy, type ReverseProxy, withoutHopByHop } from './proxy.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { TokenCache } from './token-cache.ts';
import type { Tokens } from './tokens.ts';

/**
 * The gateway in front of a project, as on hosted projects: it takes API keys and passes JWTs on.
 *
 * - `apikey` (header or query parameter) must be the publishable or the secret key. Only the key set needs none.
 * - API keys are not tokens. A request without Authorization, or with the API key in it, gets a short-lived JWT of role anon
 *   or service_role instead. PostgREST checks every other token (`token-cache.ts`).
 * - The secret key is refused when a browser sends it.
 * - Errors of PostgREST carry the codes of the version that hosted projects run (`newer-postgrest.ts`).
 * - A function is reached by its name. With `verify_jwt` it is called only with a valid user token of the project.
 *
 * Fault points: `supabase.rest`, `supabase.auth`, `supabase.functions`; attributes `method`, `path` (below the prefix).
 */
export interface GatewayOptions {
  publishableKey: string;
  secretKey: string;
  /** For the Management API. */
  accessToken: string;
  keys: SigningKeys;
  tokens: Tokens;
  tokenCache: TokenCache;
  auth: AuthService;
  postgrestPort: number;
  faults: Faults;
}

export interface Gateway {
  listen(port: number): Promise<void>;
  /** Sends `/functions/v1/<name>` to a port on 127.0.0.1. Until then such requests get 404. */
  routeFunction(name: string, route: FunctionRoute): void;
  /** Stops listening and cuts open connections. */
  close(): Promise<void>;
}

export interface FunctionRoute {
  port: number;
  /** `verify_jwt` of config.toml. Default true, as on hosted projects. */
  verifyJwt?: boolean;
}

const noFunction = { code: 'NOT_FOUND', message: 'Requested function was not found' };
const noAuthorization = { code: 401, message: 'Missing authorization header' };
const invalidJwt = { code: 401, message: 'Invalid JWT' };

type Key = 'publishable' | 'secret';
type Service = 'rest' | 'auth' | 'functions';

const noKey = {
  message: 'No API key found in request',
  hint: 'No `apikey` request header or url param was found.',
};
const wrongKey = { message: 'Invalid API key', hint: 'Double check your Supabase API key.' };
const keyInBrowser = {
  message: 'Forbidden use of secret API key in browser',
  hint: 'Secret API keys can only be used in a protected environment and should never be used in a browser.',
};
const refusals = { statuses: renamedStatuses, change: withNewerCode };
const noRoute = { message: 'no Route matched with those values' };
const keyTokenS = 300;

/** The JWT that replaces an API key. A new one is minted when half of its lifetime is over. */
function createKeyTokens(tokens: Tokens): (key: Key) => Promise<string> {
  const cache = new Map<Key, { token: Promise<string>; mintedMs: number }>();
  return (key) => {
    const now = performance.now();
    let entry = cache.get(key);
    if (!entry || now - entry.mintedMs > keyTokenS * 500) {
      const role = key === 'secret' ? 'service_role' : 'anon';
      entry = { token: tokens.mint({ role }, { expiresInS: keyTokenS }), mintedMs: now };
      cache.set(key, entry);
    }
    return entry.token;
  };
}

/** The path below `/<service>/v1`, with its query but without an API key in it. */
function split(url: string): { service: Service; path: string; query: URLSearchParams | undefined } | undefined {
  const match = /^\/(rest|auth|functions)\/v1(\/[^?]*)?(?:\?(.*))?$/.exec(url);
  if (!match) return undefined;
  const query = match[3]?.includes('apikey=') ? new URLSearchParams(match[3]) : undefined;
  const path = match[2] ?? '/';
  if (query) return { service: match[1] as Service, path, query };
  return { service: match[1] as Service, path: match[3] === undefined ? path : `${path}?${match[3]}`, query };
}

export function createGateway(options: GatewayOptions): Gateway {
  const { publishableKey, secretKey, tokens, tokenCache, auth, faults } = options;
  const keyToken = createKeyTokens(tokens);
  const rest = createProxy(options.postgrestPort);
  const functions = new Map<string, { proxy: ReverseProxy; verifyJwt: boolean }>();

  /** Which API key the request carries, or the body of the 401 that it gets. */
  const judgeKey = (value: string | undefined, request: IncomingMessage): Key | object => {
    if (value === undefined) return noKey;
    if (value === publishableKey) return 'publishable';
    if (value !== secretKey) return wrongKey;
    return /^Mozilla\//.test(request.headers['user-agent'] ?? '') ? keyInBrowser : 'secret';
  };

  const forwardRest = async (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    key: Key,
    lose: boolean,
  ) => {
    const headers = withoutHopByHop(request.headers);
    const { authorization } = headers;
    if (authorization === undefined || authorization === `Bearer ${request.headers.apikey}`) {
      headers.authorization = `Bearer ${await tokenCache.exchange(await keyToken(key))}`;
    } else if (authorization.startsWith('Bearer ')) {
      headers.authorization = `Bearer ${await tokenCache.exchange(authorization.slice(7))}`;
    }
    delete headers.apikey;
    rest.forward(request, response, { path, headers, refusals, loseReply: lose });
  };

  /** What the runtime answers in place of a function with `verify_jwt`; undefined: it may be called. */
  const refusedToken = async (authorization: string | undefined): Promise<object | undefined> => {
    if (authorization === undefined) return noAuthorization;
    const token = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? '';
    return tokens.verify(token).then(
      () => undefined,
      () => invalidJwt,
    );
  };

  const forwardFunction = async (request: IncomingMessage, response: ServerResponse, path: string, lose: boolean) => {
    const called = functions.get(/^\/([^/?]+)/.exec(path)?.[1] ?? '');
    if (!called) return send(response, { status: 404, body: noFunction });
    const refused = called.verifyJwt ? await refusedToken(request.headers.authorization) : undefined;
    if (refused) return send(response, { status: 401, body: refused });
    called.proxy.forward(request, response, { path, headers: withoutHopByHop(request.headers), loseReply: lose });
  };

  const serveAuth = async (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    key: Key,
    lose: boolean,
  ) => {
    const answer = await auth.handle(request, path, key === 'secret');
    if (lose) response.destroy();
    else send(response, answer);
  };

  /** The Management API's one list. Hosted, it is at api.supabase.com and takes personal access tokens only. */
  const serveSigningKeys = (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== `Bearer ${options.accessToken}`)
      return send(response, { status: 401, body: { message: 'Unauthorized' } });
    return send(response, { status: 200, body: { keys: options.keys.list() } });
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/v1/projects/local/config/auth/signing-keys') return serveSigningKeys(request, response);
    if (request.method === 'OPTIONS') return sendPreflight(request, response);
    const target = split(request.url ?? '/');
    if (!target) return send(response, { status: 404, body: noRoute });
    const { service, query } = target;
    const apiKey = (request.headers.apikey as string | undefined) ?? query?.get('apikey') ?? undefined;
    query?.delete('apikey');
    const path = query && query.size > 0 ? `${target.path}?${query}` : target.path;
    const key = judgeKey(apiKey, request);
    const open = service === 'functions' || (service === 'auth' && path === '/.well-known/jwks.json');
    if (typeof key === 'object' && !open) return send(response, { status: 401, body: key });
    const attributes = { method: request.method ?? 'GET', path: path.split('?')[0]! };
    const fate = await suffer(faults.take(`supabase.${service}`, attributes), response);
    if (fate === 'done') return;
    const lose = fate === 'lose_reply';
    if (service === 'rest') return forwardRest(request, response, path, key as Key, lose);
    if (service === 'functions') return forwardFunction(request, response, path, lose);
    return serveAuth(request, response, path, key as Key, lose);
  };

  const server = http.createServer({ keepAliveTimeout: 65_000, noDelay: true }, (request, response) => {
    handle(request, response).catch(() => send(response, { status: 500, body: { message: 'gateway error' } }));
  });

  return {
    listen: (port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject).listen({ port, host: '127.0.0.1' }, () => resolve());
      }),
    routeFunction: (name, { port, verifyJwt = true }) => {
      functions.get(name)?.proxy.close();
      functions.set(name, { proxy: createProxy(port), verifyJwt });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        rest.close();
        for (const { proxy } of functions.values()) proxy.close();
      }),
  };
}
