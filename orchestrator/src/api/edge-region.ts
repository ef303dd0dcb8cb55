import type { FastifyRequest } from 'fastify';

/** Fly's edge region where the request arrived, from the header that Fly's proxy sets. */
export const edgeRegionOf = ({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined =>
  [headers['fly-region'] ?? []].flat()[0];
