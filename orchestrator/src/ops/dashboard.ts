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

/** The dashboard's own addresses (orchestrator/dashboard/src/router.tsx). Each of them is answered with the page, so that it can be reloaded. */
const views = [...['sessions', 'machines', 'next-hour', 'pools', 'regions', 'tenants'], ...['work', 'events', 'audit']];

export function dashboardRoutes({ dashboardDir }: DashboardDeps): FastifyPluginAsyncZod {
  const sendFile = createStaticFiles(dashboardDir, {
    'content-security-policy': contentSecurityPolicy,
    'permissions-policy': 'microphone=(), camera=(), geolocation=()',
  });
  return async (app) => {
    for (const url of ['/', ...views.flatMap((view) => [`/${view}`, `/${view}/:id`])])
      app.get(url, async (request, reply) => sendFile(request, reply, 'index.html'));
    app.get('/assets/*', { schema: { params: assetPath } }, async (request, reply) =>
      sendFile(request, reply, `assets/${request.params['*']}`),
    );
  };
}
