import type { FastifyRequest } from 'fastify';

/** The edge region that took the request, as Fly's proxy names it. */
export const edgeRegionOf = ({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined =>
  [headers['fly-region'] ?? []].flat()[0];
