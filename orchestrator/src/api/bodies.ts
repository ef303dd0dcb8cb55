import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

/**
 * Parses request bodies. The API accepts JSON only.
 *
 * - A request with `content-type: application/json` and an empty body counts as a request without a body, because
 *   many clients set the header on every request, also on DELETE. Only a route that requires a body reports that it is missing.
 * - A body that is not UTF-8 is refused. Otherwise the names in it would be stored with replacement characters.
 * - A body with a key twice in one object is refused: a proxy in front of us may read the first value, and we the last.
 */
/** The response schema of 204. */
export const noContent = z.void();

const takesNone = (schema: unknown): boolean =>
  schema === undefined || (schema instanceof z.ZodType && schema.safeParse(undefined).success);

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch (error) {
    throw new AppError('invalid_json', { detail: 'The body is not UTF-8.', cause: error });
  }
}

/** How many colons stand outside of strings: in JSON, one after each key. */
function colonsOf(json: string): number {
  let count = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const letter = json[at];
    if (letter === '"') inString = !inString;
    else if (inString && letter === '\\') at += 1;
    else if (!inString && letter === ':') count += 1;
  }
  return count;
}

function keysOf(value: unknown): number {
  const open: unknown[] = [value];
  let count = 0;
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one !== 'object' || one === null) continue;
    const inner = Object.values(one);
    if (!Array.isArray(one)) count += inner.length;
    for (const each of inner) open.push(each);
  }
  return count;
}

/** @param value what `json` was parsed to */
export const hasDoubleKeys = (json: string, value: unknown): boolean => colonsOf(json) !== keysOf(value);

export function registerBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const json = decode(body as Buffer);
      if (json === '' && takesNone(request.routeOptions.schema?.body)) return done(null, undefined);
      parse(request, json, (error, value) => {
        if (error === null && hasDoubleKeys(json, value))
          done(new AppError('invalid_json', { detail: 'A key stands twice in one object of the body.' }));
        else done(error, value);
      });
    } catch (error) {
      done(error as Error);
    }
  });
}
