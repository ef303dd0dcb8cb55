import helmet from '@fastify/helmet';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { registerBodies } from './api/bodies.ts';
import { registerErrors, sendProblem, validatorCompiler } from './api/problems.ts';
import { type AnswerUnknown, registerUnknownRoutes } from './api/unknown-routes.ts';
import type { Deps } from './deps.ts';
import { parseQuery } from './http/queries.ts';
import { actRoutes } from './ops/acts/routes.ts';
import { createDashboard, isOpenedByPerson } from './ops/dashboard.ts';
import { documentRoutes } from './ops/reading/documents.ts';
import { listRoutes } from './ops/reading/lists.ts';
import { signInRoutes } from './ops/sign-in.ts';
import { streamRoutes } from './ops/stream/routes.ts';

/**
 * The operators' HTTP application: their API and the dashboard. It shares its listener (OPS_HOST, OPS_PORT) with `/metrics`.
 * It cannot be reached through the public address.
 */
const bodyLimitBytes = 65_536;

/** Builds the application. The caller must pass it requests (`app.routing`). */
export async function buildOpsApp({ operatorApi, logger }: Deps): Promise<FastifyInstance> {
  const dashboard = createDashboard(operatorApi);
  const answerUnknown: AnswerUnknown = async (request, reply, error) => {
    if (!isOpenedByPerson(request)) return sendProblem(reply, error);
    return dashboard.sendNoPage(request, reply).catch(() => sendProblem(reply, error));
  };
  const app = Fastify({
    ...{ bodyLimit: bodyLimitBytes, logger: false, genReqId: () => newId() },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 500, querystringParser: parseQuery },
    frameworkErrors: (_error, request, reply) =>
      void answerUnknown(
        request as unknown as FastifyRequest,
        reply as unknown as FastifyReply,
        new AppError('not_found', { detail: 'The path is malformed.' }),
      ),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (body: unknown) => JSON.stringify(body));
  registerBodies(app);
  registerErrors(app, logger);
  registerUnknownRoutes(app, answerUnknown);
  await app.register(helmet, {
    strictTransportSecurity: false,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"], 'base-uri': ["'none'"] },
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store' });
  });
  operatorApi.access.register(app);
  const prefix = '/ops/api';
  await app.register(signInRoutes(operatorApi.access), { prefix });
  await app.register(documentRoutes(operatorApi), { prefix });
  await app.register(listRoutes(operatorApi), { prefix });
  await app.register(actRoutes(operatorApi), { prefix });
  await app.register(streamRoutes(operatorApi), { prefix });
  await app.register(dashboard.routes);
  await app.ready();
  return app;
}
