import type { Scope } from '@greenroom/shared/protocol/access.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Access, Actor } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { preferredWaitS } from './held.ts';
import type { RequestKind, Shares } from './shares.ts';

/**
 * Each route declares who may call it. The check runs before the body is read.
 *
 * - Authentication and rate limits run in `onRequest`, so a body is received, parsed and validated only after
 *   its sender is known. One body without a credential once blocked an orchestrator for hours.
 * - A route under `/api` without a declaration stops the process at start-up.
 * - Requests of a tenant count against its shares (shares.ts): a read until its response has ended, a write from
 *   when its body has arrived, so that a slow sender holds no place. Streams and held responses have limits of their own.
 */
export type RouteAccess =
  | { kind: 'caller'; scope: Scope | null; stream?: boolean; held?: boolean }
  | { kind: 'named_tenant'; scope: Scope }
  | { kind: 'operator' }
  | { kind: 'public' };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
}

interface RouteConfig {
  access: RouteAccess;
}

/** API keys and users with this scope. The handler gets the caller from `callerOf`. */
export const callersWith = (scope: Scope): RouteConfig => ({ access: { kind: 'caller', scope } });
/** API keys and users, whatever their scopes. */
export const anyCaller: RouteConfig = { access: { kind: 'caller', scope: null } };
/** The same as `callersWith` for a response that may last long. It does not count against the tenant's shares. */
export const streamersWith = (scope: Scope): RouteConfig => ({ access: { kind: 'caller', scope, stream: true } });
/** The same as `callersWith` for a read that may be held by `Prefer: wait`. A held one does not count against the shares. */
export const holdersWith = (scope: Scope): RouteConfig => ({ access: { kind: 'caller', scope, held: true } });
/** For `/tenants/:id…`: operators, and API keys and users of that tenant with this scope. See `actorOf`. */
export const tenantsOwnWith = (scope: Scope): RouteConfig => ({ access: { kind: 'named_tenant', scope } });
/** Platform operators only. The handler gets the operator from `actorOf`. */
export const operatorsOnly: RouteConfig = { access: { kind: 'operator' } };
/** Everybody: the route checks a credential of its own or needs none. */
export const everybody: RouteConfig = { access: { kind: 'public' } };

const callers = new WeakMap<FastifyRequest, Caller>();
const actors = new WeakMap<FastifyRequest, Actor>();

function demand<T>(known: WeakMap<FastifyRequest, T>, request: FastifyRequest): T {
  const found = known.get(request);
  if (found === undefined) throw new Error(`${request.routeOptions.url} does not declare who may call it`);
  return found;
}

/** The caller of a route that is declared with `callersWith` or `streamersWith`. */
export const callerOf = (request: FastifyRequest): Caller => demand(callers, request);
/** The actor on a route that is declared with `tenantsOwnWith` or `operatorsOnly`. */
export const actorOf = (request: FastifyRequest): Actor => demand(actors, request);

/** The tenant of the caller, once the caller is known. */
export const tenantIdOf = (request: FastifyRequest): string | undefined => {
  const actor = actors.get(request);
  return callers.get(request)?.tenantId ?? (actor?.kind === 'tenant' ? actor.caller.tenantId : undefined);
};

const namedTenant = (request: FastifyRequest): string => {
  const { id } = request.params as { id?: unknown };
  return typeof id === 'string' ? id.toLowerCase() : '';
};

async function judge(access: Access, wanted: RouteAccess, request: FastifyRequest): Promise<void> {
  switch (wanted.kind) {
    case 'caller':
      return void callers.set(request, await access.authenticate(request, wanted.scope));
    case 'named_tenant':
      return void actors.set(request, await access.forTenant(request, wanted.scope, namedTenant(request)));
    case 'operator':
      return void actors.set(request, { kind: 'operator', actor: (await access.operator(request)).actor });
    case 'public':
  }
}

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

/** The tenant whose share this request uses. Undefined if it uses none. */
function tenantOf(request: FastifyRequest, wanted: RouteAccess): string | undefined {
  if (wanted.kind === 'caller') {
    const lasts = wanted.stream || (wanted.held && preferredWaitS(request.headers.prefer) > 0);
    return lasts ? undefined : callerOf(request).tenantId;
  }
  const actor = actors.get(request);
  return actor?.kind === 'tenant' ? actor.caller.tenantId : undefined;
}

async function takeShare(shares: Shares, tenantId: string, kind: RequestKind, reply: FastifyReply): Promise<void> {
  let gone = false;
  let give: (() => void) | undefined;
  reply.raw.once('close', () => {
    gone = true;
    give?.();
  });
  give = await shares.take(tenantId, kind);
  if (gone) give();
}

/** Register before the routes. */
export function registerRouteAccess(app: FastifyInstance, access: Access, shares: Shares): void {
  app.addHook('onRoute', ({ url, method, config }) => {
    if (url.startsWith('/api/') && config?.access === undefined)
      throw new Error(`${[method].flat().join(', ')} ${url} must declare who may call it (access/route-access.ts)`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const wanted = request.routeOptions.config?.access;
    if (wanted === undefined) return;
    await judge(access, wanted, request);
    const tenant = isRead(request) ? tenantOf(request, wanted) : undefined;
    if (tenant !== undefined) await takeShare(shares, tenant, 'reads', reply);
  });
  app.addHook('preHandler', async (request, reply) => {
    const wanted = request.routeOptions.config?.access;
    const tenant = wanted === undefined || isRead(request) ? undefined : tenantOf(request, wanted);
    if (tenant !== undefined) await takeShare(shares, tenant, 'writes', reply);
  });
}
