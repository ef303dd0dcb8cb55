import { dashboardViews } from '@greenroom/shared/protocol/operators.ts';
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

export function dashboardRoutes({ dashboardDir }: DashboardDeps): FastifyPluginAsyncZod {
  const sendFile = createStaticFiles(dashboardDir, {
    'content-security-policy': contentSecurityPolicy,
    'permissions-policy': 'microphone=(), camera=(), geolocation=()',
  });
  return async (app) => {
    // Each address of the dashboard is answered with the page, so that it can be reloaded.
    for (const url of ['/', ...dashboardViews.flatMap((view) => [`/${view}`, `/${view}/:id`])])
      app.get(url, async (request, reply) => sendFile(request, reply, 'index.html'));
    app.get('/assets/*', { schema: { params: assetPath } }, async (request, reply) =>
      sendFile(request, reply, `assets/${request.params['*']}`),
    );
  };
}
