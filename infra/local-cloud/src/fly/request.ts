/** Reads requests as the platform's Go server does, with its error texts. */
import type { FastifyRequest } from 'fastify';
import { apiError } from './api-error.ts';

export const paramOf = (request: FastifyRequest, name: string): string =>
  (request.params as Record<string, string | undefined>)[name] ?? '';

export const queryOf = (request: FastifyRequest): Record<string, string | string[] | undefined> =>
  request.query as Record<string, string | string[] | undefined>;

/** A query flag: `?force=true`, `?force=1` or a bare `?force`. */
export const flag = (value: unknown): boolean => value === 'true' || value === '1' || value === '';

/** The first value of a header or query parameter. */
export const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/** The body as an object; an absent one counts as `{}`. Throws the API's 400 for anything else. */
export function bodyOf(request: FastifyRequest, goType: string): Record<string, unknown> {
  const body = request.body ?? {};
  if (typeof body === 'object' && !Array.isArray(body)) return body as Record<string, unknown>;
  const kind = Array.isArray(body) ? 'array' : typeof body;
  throw apiError(400, `json: cannot unmarshal ${kind} into Go value of type ${goType}`);
}
