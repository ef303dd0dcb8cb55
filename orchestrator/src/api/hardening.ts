import helmet from '@fastify/helmet';
import { tenantHeader } from '@greenroom/shared/protocol/access.ts';
import type { FastifyInstance } from 'fastify';
import type { Origins } from '../access/origins.ts';

/**
 * Security headers and CORS.
 *
 * - By default a response may not load anything and may not be shown in a frame. Our pages set their own
 *   policies.
 * - Pages of other origins may call the API if any tenant allows their origin. Whether the caller's tenant does
 *   is checked after authentication (access/authenticate.ts), because a preflight has no credential. The API
 *   uses no cookies, so credentials mode is not enabled.
 * - `/api/join…` allows every origin and sets its own headers (join.ts).
 */
export interface HardeningDeps {
  publicUrl: string;
  origins: Pick<Origins, 'knows'>;
}

const yearS = 31_536_000;
const exposed =
  'deprecation, etag, greenroom-version, idempotency-replayed, link, sunset, preference-applied, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id';
const preflightHeaders = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': `authorization, content-type, greenroom-version, idempotency-key, if-match, if-none-match, last-event-id, prefer, ${tenantHeader}`,
  'access-control-max-age': '600',
};

const isCrossOriginApi = (url: string): boolean => url.startsWith('/api/') && !/^\/api\/join(?:[/?]|$)/.test(url);

export async function registerHardening(app: FastifyInstance, { publicUrl, origins }: HardeningDeps): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'base-uri': ["'none'"],
        'form-action': ["'none'"],
        'frame-ancestors': ["'none'"],
      },
    },
    strictTransportSecurity: publicUrl.startsWith('https:') ? { maxAge: yearS, includeSubDomains: false } : false,
  });

  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined || !isCrossOriginApi(request.url)) return;
    reply.header('vary', 'origin');
    const known = origins.knows(origin);
    if (known) reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed });
    const isPreflight = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
    if (isPreflight)
      return reply
        .headers(known ? preflightHeaders : {})
        .code(204)
        .send();
  });
}
