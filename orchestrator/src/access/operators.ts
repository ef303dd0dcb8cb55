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
 * - A request that changes something and is authenticated by the cookie must carry a header that a form of another site
 *   cannot send.
 * - An address that sends more than 10 refused credentials a minute is answered with rate_limited.
 */
export interface OperatorAccess {
  /** The operator of a request that was admitted. */
  of(request: FastifyRequest): Operator;
  /** Whether the credential of an admitted request would still be admitted with the same role or more. */
  stands(request: FastifyRequest): boolean;
  /** The value of the Set-Cookie header for this token. Throws AppError unauthenticated, rate_limited. */
  signIn(request: FastifyRequest, token: string): { cookie: string; operator: Operator };
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

const cookieOf = (value: string, maxAgeS: number): string =>
  `${cookieName}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; Secure; SameSite=Strict`;

const cookieIn = ({ headers }: FastifyRequest): string | undefined =>
  headers.cookie
    ?.split('; ')
    .find((pair) => pair.startsWith(`${cookieName}=`))
    ?.slice(cookieName.length + 1);

const isSafe = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

export function createOperatorAccess(deps: OperatorAccessDeps): OperatorAccess {
  const { operators, vault, limits, noteRefusal, clock } = deps;
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

  const openCookie = (sealed: string): Operator | undefined => {
    try {
      const { hash, until } = JSON.parse(vault.open(sealed, sealContext)) as { hash: string; until: number };
      return until > clock.now() ? operatorOfHash(operators, Buffer.from(hash, 'hex')) : undefined;
    } catch {
      return undefined;
    }
  };

  /** The operator to whom the request's credential belongs. Undefined if it has none, or one that is not valid. */
  const holderOf = (request: FastifyRequest): Operator | undefined => {
    const token = bearerOf(request);
    if (token !== undefined) return operatorTokenForm.test(token) ? findOperator(operators, token) : undefined;
    const cookie = cookieIn(request);
    return cookie === undefined ? undefined : openCookie(cookie);
  };

  const identify = (request: FastifyRequest): Operator => {
    const operator = holderOf(request);
    if (bearerOf(request) !== undefined) {
      if (operator) return operator;
      throw refuse(request, 'unknown', 'unauthenticated', 'This is not the token of an operator.');
    }
    if (cookieIn(request) === undefined)
      throw new AppError('unauthenticated', {
        detail: "Sign in, or send an operator's token: Authorization: Bearer ….",
      });
    if (!operator) throw new AppError('unauthenticated', { detail: 'You were signed out. Sign in again.' });
    if (!isSafe(request) && request.headers[dashboardHeader] === undefined)
      throw refuse(
        request,
        operator.actor,
        'forbidden',
        `A request that changes something needs the header ${dashboardHeader}.`,
      );
    return operator;
  };

  const admit = (request: FastifyRequest, wanted: OperatorRole): void => {
    const operator = identify(request);
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
    stands: (request) => {
      const [then, now] = [admitted.get(request), holderOf(request)];
      return then !== undefined && now !== undefined && now.actor === then.actor && roleIncludes(now.role, then.role);
    },
    signIn: (request, token) => {
      const operator = operatorTokenForm.test(token) ? findOperator(operators, token) : undefined;
      if (!operator) throw refuse(request, 'unknown', 'unauthenticated', 'This is not the token of an operator.');
      const content = { hash: hashOfToken(token).toString('hex'), until: clock.now() + cookieMs };
      return { cookie: cookieOf(vault.seal(JSON.stringify(content), sealContext), cookieMs / 1_000), operator };
    },
    signOut: cookieOf('', 0),
    register: (app) => {
      app.addHook('onRoute', ({ url, method, config }) => {
        if (url.startsWith('/ops/api/') && config?.operator === undefined)
          throw new Error(`${[method].flat().join(', ')} ${url} must declare who may call it (access/operators.ts)`);
      });
      app.addHook('onRequest', async (request) => {
        const wanted = request.routeOptions.config?.operator;
        if (wanted !== undefined && wanted !== 'anybody') admit(request, wanted);
      });
    },
  };
}
