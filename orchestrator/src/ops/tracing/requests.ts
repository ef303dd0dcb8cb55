import type { LogFields } from '@greenroom/shared/runtime/logger.ts';
import { newTraceContext, parseTraceparent } from '@greenroom/shared/runtime/trace-context.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { tenantIdOf } from '../../access/route-access.ts';
import type { OpenSpan, Recorder } from '../../tracing/recorder.ts';
import { fieldsOf, type Scope, type ScopeIds, type Scopes } from '../../tracing/scopes.ts';

/**
 * Gives each request of the platform and of workers its scope, and a span if spans are recorded.
 *
 * - A `traceparent` header is honoured, a malformed one ignored: the request is then the first of a new trace. Other routes
 *   (pages, sockets, health) are asked by browsers and monitors, whose header is not read.
 * - A span names the route's template, never the path, and carries no header and no part of a body or query.
 * - The routes that workers call all the time have no span. The claim's is recorded when it is known for which session it is.
 */
export interface RequestTracing {
  register(app: FastifyInstance): void;
  /** For the line about the answer. */
  fields(request: FastifyRequest): LogFields;
}

interface Known {
  scope: Scope;
  span: OpenSpan | undefined;
}

/** A property of the request: a `WeakMap` costs each request 1.5 µs, most of it in the garbage collector. */
const known = Symbol('scope');
declare module 'fastify' {
  interface FastifyRequest {
    [known]: Known | undefined;
  }
}

const withoutSpan = new Set(['/worker/v1/claim', '/worker/v1/heartbeat', '/worker/v1/traces']);
const isOurs = (route: string): boolean => route.startsWith('/api/') || route.startsWith('/worker/v1/');
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The ids that a request names itself. */
function idsOf({ id: request_id, params }: FastifyRequest, route: string): ScopeIds {
  if (!route.startsWith('/api/sessions/:id')) return { request_id };
  const { id } = params as { id?: unknown };
  return typeof id === 'string' && uuid.test(id) ? { request_id, session_id: id.toLowerCase() } : { request_id };
}

const headerOf = ({ traceparent }: FastifyRequest['headers']): string | undefined =>
  typeof traceparent === 'string' ? traceparent : traceparent?.[0];

export function createRequestTracing(scopes: Scopes, recorder: Recorder | undefined): RequestTracing {
  const open = (request: FastifyRequest): Known => {
    const { url: route = 'unknown', method } = request.routeOptions;
    const given = isOurs(route) ? parseTraceparent(headerOf(request.headers)) : undefined;
    const ids = idsOf(request, route);
    const span =
      recorder && isOurs(route) && !withoutSpan.has(route)
        ? recorder.start(`${[method].flat()[0]} ${route}`, {
            ...{ kind: 'server', parent: given },
            fields: { method: request.method, path: route },
          })
        : undefined;
    return { scope: { ids, trace: span?.context ?? given ?? newTraceContext() }, span };
  };

  return {
    fields: (request) => {
      const found = request[known];
      return found ? fieldsOf(found.scope) : {};
    },
    register: (app) => {
      app.decorateRequest(known, undefined);
      app.addHook('onRequest', (request, reply, done) => {
        const opened = open(request);
        const { scope, span } = opened;
        request[known] = opened;
        if (span)
          reply.raw.once('close', () => {
            const { statusCode, writableFinished } = reply.raw;
            span.set({ ...scope.ids, tenant_id: scope.ids.tenant_id ?? tenantIdOf(request), status_code: statusCode });
            if (statusCode >= 500) span.fail(String(statusCode));
            else if (!writableFinished) span.fail('connection closed');
            span.end();
          });
        scopes.run(scope, done);
      });
      // The body is read by the connection's own events, which know nothing of the scope.
      app.addHook('preValidation', (request, _reply, done) => {
        const scope = request[known]?.scope;
        if (!scope) return done();
        const tenantId = tenantIdOf(request);
        if (tenantId !== undefined) scope.ids.tenant_id = tenantId;
        if (scopes.current === scope) done();
        else scopes.run(scope, done);
      });
    },
  };
}
