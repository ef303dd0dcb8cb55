import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

/**
 * How bodies are read: JSON is what this API speaks.
 *
 * B1  A request that says `content-type: application/json` and has no body has none: many clients set the header on every
 *     request. One script's DELETEs were refused for it, and its machines went on running. Only a route that needs a body
 *     says that it is missing.
 */
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
