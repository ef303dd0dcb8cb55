import type { FastifyRequest } from 'fastify';

/** The token of `Authorization: Bearer …`, or undefined. */
export const bearerOf = ({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined =>
  /^Bearer +([\w~+/.=-]+) *$/i.exec(headers.authorization ?? '')?.[1];
