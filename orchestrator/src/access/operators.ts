import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  findOperator,
  hashOfToken,
  type Operator,
  type OperatorRole,
  type OperatorToken,
  operatorOfHash,
  operatorTokenForm,
  roleIncludes,
} from '../tokens/operator-tokens.ts';
import type { Vault } from '../tokens/vault.ts';
import { bearerOf } from './bearer.ts';
import { readPending, readSignedOn, type SignOn } from './operator-sign-on.ts';
import type { RateLimits } from './rate-limits.ts';
import type { NoteRefusal } from './refusals.ts';
import { addressBlockOf, remoteAddressOf } from './remote-address.ts';

/**
 * Who may call the operators' API.
 *
 * - Each route under `/ops/api` declares the lowest role that may call it. If a route declares none, the process does not
 *   start.
 * - The command sends the token with every request. The dashboard exchanges it once for a cookie, which holds the token's
 *   hash, encrypted, for 12 hours. The role is read from OPERATOR_TOKENS at each request: when a token is removed there, the
 *   cookies made with it are refused too.
 * - Where a sign-in provider is configured, the dashboard's cookie may hold a sign-in of it instead (operator-sign-on.ts).
 * - A request that changes something and is authenticated by the cookie must carry a header that a form of another site
 *   cannot send.
 * - An address that sends more than 10 refused credentials a minute is answered with rate_limited.
 */
export interface OperatorAccess {
  /** The operator of a request that was admitted. */
  of(request: FastifyRequest): Operator;
  /** Whether the credential of an admitted request would still be admitted with the same role or more. */
  stands(request: FastifyRequest): Promise<boolean>;
  /** The value of the Set-Cookie header for this token. Throws AppError unauthenticated, rate_limited. */
  signIn(request: FastifyRequest, token: string): { cookie: string; operator: Operator };
  /** Null: no sign-in provider is configured. */
  signOn: {
    /** Where to send the browser, and the Set-Cookie header that it must bring back. Throws AppError overloaded. */
    begin(): Promise<{ location: string; cookie: string }>;
    /** The Set-Cookie headers of the operator who comes back. Throws AppError unauthenticated, forbidden, rate_limited. */
    complete(request: FastifyRequest): Promise<string[]>;
  } | null;
  /** The value of the Set-Cookie header that signs out. */
  signOut: string;
  /** Register before the routes. */
  register(app: FastifyInstance): void;
}

export interface OperatorAccessDeps {
  operators: readonly OperatorToken[];
  vault: Pick<Vault, 'seal' | 'open'>;
  limits: Pick<RateLimits, 'draw'>;
  noteRefusal: NoteRefusal;
  signOn: SignOn | null;
  clock: Pick<Clock, 'now'>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    operator?: OperatorRole | 'anybody';
  }
}

/** Route configurations. */
export const forViewers = { operator: 'viewer' } as const;
export const forOperators = { operator: 'operator' } as const;
export const forAdmins = { operator: 'admin' } as const;
/** The route checks a credential of its own. */
export const forAnybody = { operator: 'anybody' } as const;

/** Sent with every request of the dashboard. */
export const dashboardHeader = 'greenroom-dashboard';

const cookieName = '__Host-greenroom-operator';
const cookieMs = 12 * 3_600_000;
const sealContext = 'operator:cookie';
/** Refused credentials per address and minute. Further ones are answered with `rate_limited`. */
const perMinute = 10;

/** Between leaving for the sign-in provider and coming back from it. */
const pendingName = '__Host-greenroom-sign-in';
const pendingS = 600;
const pendingContext = 'operator:sign-in';
/** Browsers drop a cookie that is longer. */
const longestCookie = 4_000;

const cookieOf = (value: string, maxAgeS: number): string =>
  `${cookieName}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; Secure; SameSite=Strict`;
/** Not Strict: the browser sends it when it comes back from another site. */
const pendingCookieOf = (value: string, maxAgeS: number): string =>
  `${pendingName}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; Secure; SameSite=Lax`;

const cookieIn = ({ headers }: FastifyRequest, name = cookieName): string | undefined =>
  headers.cookie
    ?.split('; ')
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);

type Holder = Operator | { refused: string };

const isSafe = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

export function createOperatorAccess(deps: OperatorAccessDeps): OperatorAccess {
  const { operators, vault, limits, noteRefusal, signOn, clock } = deps;
  const admitted = new WeakMap<FastifyRequest, Operator>();

  const refuse = (request: FastifyRequest, actor: string, code: 'unauthenticated' | 'forbidden', detail: string) => {
    noteRefusal({
      ...{ actor, action: 'ops.access', target: `${request.method} ${request.routeOptions?.url ?? ''}` },
      ...{ remote_address: remoteAddressOf(request), request_id: request.id, details: { code, why: detail } },
    });
    if (code === 'forbidden') return new AppError(code, { detail });
    const drawn = limits.draw([
      { scope: `ops-refused:${addressBlockOf(request)}`, perMinute, burst: perMinute, shared: false },
    ]);
    if (drawn.allowed) return new AppError(code, { detail });
    return new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(drawn.retryAfterMs / 1_000)) });
  };

  const unseal = (sealed: string, context: string): unknown => {
    try {
      return JSON.parse(vault.open(sealed, context));
    } catch {
      return undefined;
    }
  };
  const openCookie = async (sealed: string): Promise<Holder> => {
    const content = unseal(sealed, sealContext) as { hash?: string; until?: number } | undefined;
    const signedOn = readSignedOn(content);
    const until = Number(content?.hash === undefined ? signedOn?.until : content.until);
    if (Number.isNaN(until)) return { refused: 'This sign-in is not valid here. Sign in again.' };
    if (until <= clock.now()) return { refused: 'Your sign-in has expired. Sign in again.' };
    if (content?.hash !== undefined)
      return (
        operatorOfHash(operators, Buffer.from(content.hash, 'hex')) ?? {
          refused: 'Your operator token was removed. Ask an admin for another one.',
        }
      );
    const role = signedOn && (await signOn?.roleOf(signedOn));
    if (signedOn && role) return { actor: `operator:${signedOn.name}`, role };
    return { refused: 'Your organisation no longer gives you a role here. Sign in again, or ask an admin.' };
  };

  /** Returns the operator whose credential the request has, or the reason why there is none. */
  const holderOf = async (request: FastifyRequest): Promise<Holder> => {
    const token = bearerOf(request);
    if (token !== undefined)
      return (
        (operatorTokenForm.test(token) ? findOperator(operators, token) : undefined) ?? {
          refused: 'This is not the token of an operator.',
        }
      );
    const cookie = cookieIn(request);
    if (cookie !== undefined) return openCookie(cookie);
    if (request.headers[dashboardHeader] !== undefined) return { refused: 'You are not signed in.' };
    return { refused: "Sign in, or send an operator's token: Authorization: Bearer …." };
  };

  const identify = async (request: FastifyRequest): Promise<Operator> => {
    const operator = await holderOf(request);
    if ('refused' in operator) {
      if (bearerOf(request) === undefined) throw new AppError('unauthenticated', { detail: operator.refused });
      throw refuse(request, 'unknown', 'unauthenticated', operator.refused);
    }
    if (bearerOf(request) !== undefined) return operator;
    if (!isSafe(request) && request.headers[dashboardHeader] === undefined)
      throw refuse(
        request,
        operator.actor,
        'forbidden',
        `A request that changes something needs the header ${dashboardHeader}.`,
      );
    return operator;
  };

  const admit = async (request: FastifyRequest, wanted: OperatorRole): Promise<void> => {
    const operator = await identify(request);
    if (!roleIncludes(operator.role, wanted))
      throw refuse(
        ...([request, operator.actor, 'forbidden'] as const),
        `This needs the role ${wanted}; yours is ${operator.role}.`,
      );
    admitted.set(request, operator);
  };

  return {
    of: (request) => {
      const operator = admitted.get(request);
      if (!operator) throw new Error(`${request.routeOptions.url} does not declare who may call it`);
      return operator;
    },
    stands: async (request) => {
      const [then, now] = [admitted.get(request), await holderOf(request)];
      if (then === undefined || 'refused' in now) return false;
      return now.actor === then.actor && roleIncludes(now.role, then.role);
    },
    signIn: (request, token) => {
      const operator = operatorTokenForm.test(token) ? findOperator(operators, token) : undefined;
      if (!operator) throw refuse(request, 'unknown', 'unauthenticated', 'This is not the token of an operator.');
      const content = { hash: hashOfToken(token).toString('hex'), until: clock.now() + cookieMs };
      return { cookie: cookieOf(vault.seal(JSON.stringify(content), sealContext), cookieMs / 1_000), operator };
    },
    signOn: signOn && {
      begin: async () => {
        const { location, pending } = await signOn.begin();
        return { location, cookie: pendingCookieOf(vault.seal(JSON.stringify(pending), pendingContext), pendingS) };
      },
      complete: async (request) => {
        const pending = readPending(unseal(cookieIn(request, pendingName) ?? '', pendingContext));
        try {
          if (!pending)
            throw new AppError('unauthenticated', {
              detail: 'The sign-in took too long, or was begun in another browser. Sign in again.',
            });
          const signedOn = await signOn.complete(request.query as Record<string, unknown>, pending);
          const sealed = vault.seal(JSON.stringify(signedOn), sealContext);
          if (sealed.length > longestCookie)
            throw new AppError('forbidden', { detail: "The provider's access token does not fit into a cookie." });
          const seconds = Math.floor((signedOn.until - clock.now()) / 1_000);
          return [pendingCookieOf('', 0), cookieOf(sealed, seconds)];
        } catch (error) {
          if (!(error instanceof AppError) || (error.code !== 'unauthenticated' && error.code !== 'forbidden'))
            throw error;
          throw refuse(request, 'unknown', error.code, error.detail);
        }
      },
    },
    signOut: cookieOf('', 0),
    register: (app) => {
      app.addHook('onRoute', ({ url, method, config }) => {
        if (url.startsWith('/ops/api/') && config?.operator === undefined)
          throw new Error(`${[method].flat().join(', ')} ${url} must declare who may call it (access/operators.ts)`);
      });
      app.addHook('onRequest', async (request) => {
        const wanted = request.routeOptions.config?.operator;
        if (wanted !== undefined && wanted !== 'anybody') await admit(request, wanted);
      });
    },
  };
}
