import type { Scope } from '@greenroom/shared/protocol/access.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Access, Actor } from './authenticate.ts';
import type { Caller } from './caller.ts';
import type { Shares } from './shares.ts';

/**
 * Who may call a route is part of the route, and is judged before anything the caller says is read.
 *
 * W1  Authentication and its limits run in `onRequest`: nobody's body is received, parsed or validated before its sender
 *     is known. One body without a credential once held an orchestrator for hours.
 * W3  Reads of a tenant keep to its share (shares.ts), from here to the end of their answer; streams have places of their own.
 * W2  A route under `/api` that does not say who may call it stops the process at its start.
 */
export type RouteAccess =
  | { kind: 'caller'; scope: Scope; stream?: boolean }
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

/** Keys and users of a tenant with this scope. In the handler: `callerOf`. */
export const callersWith = (scope: Scope): RouteConfig => ({ access: { kind: 'caller', scope } });
/** The same for an answer that goes on for long. */
export const streamersWith = (scope: Scope): RouteConfig => ({ access: { kind: 'caller', scope, stream: true } });
/** For `/tenants/:id…`: keys and users of that tenant with this scope, and operators. In the handler: `actorOf`. */
export const tenantsOwnWith = (scope: Scope): RouteConfig => ({ access: { kind: 'named_tenant', scope } });
/** Platform operators alone. In the handler: `actorOf`. */
export const operatorsOnly: RouteConfig = { access: { kind: 'operator' } };
/** Everybody: the route has a credential of its own, or needs none. */
export const everybody: RouteConfig = { access: { kind: 'public' } };

const callers = new WeakMap<FastifyRequest, Caller>();
const actors = new WeakMap<FastifyRequest, Actor>();

function demand<T>(known: WeakMap<FastifyRequest, T>, request: FastifyRequest): T {
  const found = known.get(request);
  if (found === undefined) throw new Error(`${request.routeOptions.url} does not say who may call it`);
  return found;
}

/** Who calls a route of `callersWith`. */
export const callerOf = (request: FastifyRequest): Caller => demand(callers, request);
/** Who acts on a route of `tenantsOwnWith` or `operatorsOnly`. */
export const actorOf = (request: FastifyRequest): Actor => demand(actors, request);

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
      return void actors.set(request, { kind: 'operator', ...(await access.operator(request)) });
    case 'public':
  }
}

/** The tenant whose share a request draws on; undefined for what is no read of a tenant. */
function readerOf(request: FastifyRequest, wanted: RouteAccess): string | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  if (wanted.kind === 'caller') return wanted.stream ? undefined : callerOf(request).tenantId;
  const actor = actors.get(request);
  return actor?.kind === 'tenant' ? actor.caller.tenantId : undefined;
}

/** W3. */
async function takeShare(shares: Shares, tenantId: string, reply: FastifyReply): Promise<void> {
  let gone = false;
  let give: (() => void) | undefined;
  reply.raw.once('close', () => {
    gone = true;
    give?.();
  });
  give = await shares.take(tenantId);
  if (gone) give();
}

/** Register before the routes. */
export function registerRouteAccess(app: FastifyInstance, access: Access, shares: Shares): void {
  app.addHook('onRoute', ({ url, method, config }) => {
    if (url.startsWith('/api/') && config?.access === undefined)
      throw new Error(`${[method].flat().join(', ')} ${url} must say who may call it: config of route-access.ts`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const wanted = request.routeOptions.config?.access;
    if (wanted === undefined) return;
    await judge(access, wanted, request);
    const reader = readerOf(request, wanted);
    if (reader !== undefined) await takeShare(shares, reader, reply);
  });
}
