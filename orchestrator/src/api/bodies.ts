import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

/**
 * Parses request bodies. The API accepts JSON only.
 *
 * A request with `content-type: application/json` and an empty body counts as a request without a body, because
 * many clients set the header on every request. (A script's DELETE requests were once refused for it, and its
 * machines kept running.) Only a route that requires a body reports that it is missing.
 */
/** The response schema of 204. */
export const noContent = z.void();

const takesNone = (schema: unknown): boolean =>
  schema === undefined || (schema instanceof z.ZodType && schema.safeParse(undefined).success);

export function registerBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '' && takesNone(request.routeOptions.schema?.body)) done(null, undefined);
    else parse(request, body as string, done);
  });
}
