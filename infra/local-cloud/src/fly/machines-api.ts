/**
 * The Machines API over HTTP: one server for `/v1`, the identity provider's documents and the local controls.
 *
 * Every answer has `fly-request-id`; every refusal has the platform's `{ "error": … }` body.
 */
import { randomBytes } from 'node:crypto';
import { type FastifyInstance, fastify } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { apiError, isApiError } from './api-error.ts';
import { newRequestId } from './ids.ts';
import { paramOf } from './request.ts';
import { registerAppRoutes } from './routes-apps.ts';
import { registerMachineDataRoutes } from './routes-machine-data.ts';
import { registerMachineRoutes } from './routes-machines.ts';
import { registerPlatformRoutes } from './routes-platform.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;
const isPublic = (path: string) => !path.startsWith('/v1/') || path.startsWith('/v1/platform/regions');

/** Parses JSON whatever the content type; an empty body counts as absent, as Go's decoder is lenient here. */
function parseJson(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => {
    if (text === '') return done(null, undefined);
    try {
      done(null, JSON.parse(text as string));
    } catch (error) {
      done(apiError(400, `invalid JSON: ${(error as Error).message}`), undefined);
    }
  });
}

export function createMachinesApi(deps: ApiDeps): FastifyInstance {
  const server = fastify({ bodyLimit: BODY_LIMIT_BYTES, forceCloseConnections: true, exposeHeadRoutes: false });
  parseJson(server);

  server.addHook('onRequest', async (request, reply) => {
    void reply.header('fly-request-id', newRequestId(deps.clock.now(), deps.homeRegion));
    void reply.header('fly-trace-id', randomBytes(16).toString('hex'));
    void reply.header('fly-span-id', randomBytes(8).toString('hex'));
    if (isPublic(request.url)) return;
    const refused = deps.tokens.refuse(request.headers.authorization, paramOf(request, 'app') || undefined);
    // Every valid token may look at itself.
    if (refused === 403 && request.url.startsWith('/v1/tokens/')) return;
    if (refused === 401) throw apiError(401, 'Authenticate: token validation error');
    if (refused === 403) throw apiError(403, 'Authorize: token is not authorized for this app');
  });
  server.setErrorHandler((error, _request, reply) => {
    if (isApiError(error)) return reply.code(error.httpStatus).send(error.body);
    const { statusCode = 500, message } = error as { statusCode?: number; message?: string };
    return reply.code(statusCode).send({ error: message ?? 'unknown' });
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('404 page not found\n'));

  registerAppRoutes(server, deps);
  registerMachineRoutes(server, deps);
  registerMachineDataRoutes(server, deps);
  registerPlatformRoutes(server, deps);
  return server;
}
