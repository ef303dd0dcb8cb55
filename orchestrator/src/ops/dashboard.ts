import { dashboardViews } from '@greenroom/shared/protocol/operators.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { assetPath, createStaticFiles } from '../http/static-files.ts';

/** Serves the operators' dashboard: static files. Their content security policy lets the page send requests only to this address. */
export interface DashboardDeps {
  dashboardDir: string;
}

const contentSecurityPolicy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');

export interface Dashboard {
  routes: FastifyPluginAsyncZod;
  /** Answers with the page, which says that there is nothing at this address. Throws AppError not_found. */
  sendNoPage(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
}

/** Whether a person opened an address in a browser that is not one of the API or of a file. */
export const isOpenedByPerson = ({ method, url, headers }: FastifyRequest): boolean =>
  method === 'GET' && !/^\/(?:ops|assets)\//.test(url) && headers.accept?.includes('text/html') === true;

export function createDashboard({ dashboardDir }: DashboardDeps): Dashboard {
  const sendFile = createStaticFiles(dashboardDir, {
    'content-security-policy': contentSecurityPolicy,
    'permissions-policy': 'microphone=(), camera=(), geolocation=()',
  });
  return {
    routes: async (app) => {
      // Each address of the dashboard is answered with the page, so that it can be reloaded.
      for (const url of ['/', ...dashboardViews.flatMap((view) => [`/${view}`, `/${view}/:id`])])
        app.get(url, async (request, reply) => sendFile(request, reply, 'index.html'));
      app.get('/assets/*', { schema: { params: assetPath } }, async (request, reply) =>
        sendFile(request, reply, `assets/${request.params['*']}`),
      );
    },
    sendNoPage: async (request, reply) => sendFile(request, reply.code(404), 'index.html'),
  };
}
