import helmet from '@fastify/helmet';
import { tenantHeader } from '@greenroom/shared/protocol/access.ts';
import type { FastifyInstance } from 'fastify';
import type { Origins } from '../access/origins.ts';

/**
 * Headers that browsers obey.
 *
 * H1  What is not a page of ours may load nothing and be framed by nobody; pages set policies of their own.
 * H2  Across origins the API answers only pages that some tenant allows; for which tenant is decided when the caller is
 *     known (authenticate.ts), because a preflight carries no credential. No cookie is used, so none is allowed.
 * H3  `/api/join…` is open to every page and says so itself.
 */
export interface HardeningDeps {
  publicUrl: string;
  origins: Pick<Origins, 'knows'>;
}

const yearS = 31_536_000;
const exposed =
  'etag, idempotency-replayed, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id';
const preflightHeaders = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': `authorization, content-type, idempotency-key, last-event-id, prefer, ${tenantHeader}`,
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
