import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { registerPressure } from './access/pressure.ts';
import { registerRouteAccess } from './access/route-access.ts';
import { registerAccept } from './api/accept.ts';
import { apiKeyRoutes } from './api/api-keys.ts';
import { auditLogRoutes } from './api/audit-log.ts';
import { registerBodies } from './api/bodies.ts';
import { candidateRoutes } from './api/candidates.ts';
import { capacityRoutes } from './api/capacity.ts';
import { registerConditional } from './api/conditional.ts';
import { docsRoutes, registerOpenApi } from './api/docs.ts';
import { eventRoutes } from './api/events.ts';
import { registerHardening } from './api/hardening.ts';
import { invitationRoutes } from './api/invitations.ts';
import { joinRoutes } from './api/join.ts';
import { answerMalformed, registerMalformed } from './api/malformed.ts';
import { meRoutes } from './api/me.ts';
import { positionRoutes } from './api/positions.ts';
import { registerErrors, sendProblem, validatorCompiler } from './api/problems.ts';
import { providerCredentialRoutes } from './api/provider-credentials.ts';
import { recordingRoutes } from './api/recordings.ts';
import { requestRoutes } from './api/requests.ts';
import { resultRoutes } from './api/results.ts';
import { roomRoutes } from './api/room.ts';
import { sessionListRoutes } from './api/session-list.ts';
import { sessionRoutes } from './api/sessions.ts';
import { tenantRoutes } from './api/tenants.ts';
import { testModeRoutes } from './api/test-mode.ts';
import { transcriptRoutes } from './api/transcripts.ts';
import { registerUnknownRoutes } from './api/unknown-routes.ts';
import { registerVersions } from './api/versions.ts';
import { webhookRoutes } from './api/webhooks.ts';
import { withdrawalRoutes } from './api/withdrawals.ts';
import type { Deps } from './deps.ts';
import { parseQuery } from './http/queries.ts';
import { healthRoutes } from './ops/health.ts';
import { workerRoutes } from './workers/routes.ts';

/**
 * The HTTP application. It does not listen and does not read the environment.
 *
 * - Only WebSocket upgrades for a candidate's socket are accepted. Any other request with an `Upgrade` header
 *   is served as an ordinary request, as HTTP allows.
 * - Responses are serialised without validation. Types, and tests against the published schemas, check their
 *   shape.
 */
const bodyLimitBytes = 262_144;
/**
 * Time limit for receiving a whole request. Without it, a client that sends one byte a second would keep a
 * connection.
 */
const receiveMs = 30_000;
const safeRequestId = /^[\w.:-]{8,128}$/;

const requestIdOf = (given: string | string[] | undefined): string => {
  const id = [given ?? []].flat()[0];
  return id !== undefined && safeRequestId.test(id) ? id : newId();
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Status of the answer that workers get all the time: it is logged at debug. */
    routine?: number;
  }
}

type Route = FastifyRequest['routeOptions'];

function levelOf({ logLevel, config }: Route, { statusCode }: FastifyReply): 'trace' | 'debug' | 'info' {
  if (logLevel === 'silent') return 'trace';
  return config?.routine === statusCode ? 'debug' : 'info';
}

function registerLogging(app: FastifyInstance, { logger, metrics, requestTracing }: Deps): void {
  app.addHook('onResponse', async (request, reply) => {
    // A getter that makes a new object each time.
    const { routeOptions } = request;
    const { method, url: route = 'unknown' } = routeOptions;
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    metrics.http.observe({ method: [method].flat()[0] ?? 'unknown', route, status }, reply.elapsedTime / 1_000);
    const level = levelOf(routeOptions, reply);
    logger[level](
      {
        request_id: request.id,
        ...requestTracing.fields(request),
        method: request.method,
        path: routeOptions.url,
        status_code: reply.statusCode,
        took_ms: Math.round(reply.elapsedTime),
      },
      'request answered',
    );
  });
}

/** The log that tenants read. */
function registerRequestLog(app: FastifyInstance, { door, requestLog }: Deps): void {
  app.addHook('onResponse', async (request, reply) => {
    const asker = door.access.askerOf(request);
    if (asker) requestLog.note(asker, request, reply);
  });
}

/** The caller's remaining limit (draft-ietf-httpapi-ratelimit-headers). `RateLimit-Reset` is in seconds. */
function registerRateLimitHeaders(app: FastifyInstance, { door }: Deps): void {
  app.addHook('onSend', async (request, reply) => {
    const drawn = door.access.drawnBy(request);
    if (!drawn) return;
    reply.headers({
      'ratelimit-limit': String(drawn.limit),
      'ratelimit-remaining': String(drawn.remaining),
      'ratelimit-reset': String(Math.ceil(drawn.resetMs / 1_000)),
    });
  });
}

function registerHeaders(app: FastifyInstance, { isStopping }: Deps): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (isStopping()) reply.header('connection', 'close');
    if (['/api/', '/worker/'].some((prefix) => request.url.startsWith(prefix)))
      reply.header('cache-control', 'no-store');
  });
}

async function registerRoutes(app: FastifyInstance, deps: Deps): Promise<void> {
  const { config, browserTokens } = deps;
  await app.register(healthRoutes(deps));
  for (const routes of [sessionRoutes, sessionListRoutes, meRoutes, auditLogRoutes, requestRoutes])
    await app.register(routes(deps.api), { prefix: '/api' });
  await app.register(transcriptRoutes(deps.api), { prefix: '/api' });
  await app.register(resultRoutes(deps.api), { prefix: '/api' });
  await app.register(recordingRoutes(deps.api), { prefix: '/api' });
  await app.register(eventRoutes(deps.api), { prefix: '/api' });
  await app.register(joinRoutes(deps.api), { prefix: '/api' });
  for (const routes of [
    candidateRoutes,
    positionRoutes,
    invitationRoutes,
    tenantRoutes,
    capacityRoutes,
    apiKeyRoutes,
    testModeRoutes,
  ])
    await app.register(routes(deps.api), { prefix: '/api' });
  await app.register(withdrawalRoutes(deps.api), { prefix: '/api' });
  await app.register(providerCredentialRoutes(deps.api), { prefix: '/api' });
  await app.register(webhookRoutes(deps.api), { prefix: '/api' });
  await app.register(workerRoutes(deps.workerApi), { prefix: '/worker/v1' });
  if (deps.video?.webhookRoutes) await app.register(deps.video.webhookRoutes, { prefix: '/hooks' });
  await app.register(roomRoutes(config));
  await app.register(deps.sockets.register);
  app.get('/.well-known/jwks.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=300').send(browserTokens.keys.jwks),
  );
  await docsRoutes(app);
}

/** Builds the application. The caller must listen and close it. */
export async function buildApp(deps: Deps): Promise<FastifyInstance> {
  const app = Fastify({
    http: {
      shouldUpgradeCallback: deps.sockets.shouldUpgrade,
      headersTimeout: receiveMs,
      connectionsCheckingInterval: 5_000,
      requireHostHeader: false,
    },
    requestTimeout: receiveMs,
    bodyLimit: bodyLimitBytes,
    genReqId: ({ headers }) => requestIdOf(headers['fly-request-id'] ?? headers['x-request-id']),
    logger: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: answerMalformed,
    frameworkErrors: (_error, _request, reply) =>
      void sendProblem(
        reply as unknown as FastifyReply,
        new AppError('not_found', { detail: 'The path is malformed.' }),
      ),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 500, querystringParser: parseQuery },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (body: unknown) => JSON.stringify(body));
  registerBodies(app);
  registerErrors(app, deps.logger);
  registerMalformed(app);
  registerUnknownRoutes(app);
  await registerHardening(app, { publicUrl: deps.config.publicUrl, origins: deps.door.origins });
  deps.requestTracing.register(app);
  registerHeaders(app, deps);
  registerRateLimitHeaders(app, deps);
  registerLogging(app, deps);
  registerRequestLog(app, deps);
  await registerPressure(app, deps.config.maxEventLoopDelayMs);
  registerRouteAccess(app, deps.door.access, deps.door.shares);
  registerAccept(app);
  registerConditional(app);
  registerVersions(app, deps.pastVersions);
  deps.idempotency.register(app);
  await registerOpenApi(app, deps.config.publicUrl);
  await registerRoutes(app, deps);
  await app.ready();
  return app;
}
