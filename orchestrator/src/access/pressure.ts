import underPressure from '@fastify/under-pressure';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/**
 * Load shedding. When the event loop falls behind, requests that can wait are refused with 503, so that
 * heartbeats are still answered in time. A late answer to a heartbeat can cost a worker its lease, and the
 * candidate the interview.
 *
 * - Refused under load: the platform API, the API documents and the pages. Always served (`vital`): the worker
 *   API, the candidate's socket and the health probes.
 * - The measure is the mean delay of the event loop over the last second, so a short burst causes no refusals.
 */
declare module 'fastify' {
  interface FastifyContextConfig {
    vital?: boolean;
  }
}

/** Route config: the route is served under load, too. */
export const vital = { vital: true } as const;
const retryAfterS = 2;

const isVital = (request: FastifyRequest): boolean => request.routeOptions.config?.vital === true;

/** @param maxDelayMs mean event loop delay above which requests are refused */
export async function registerPressure(app: FastifyInstance, maxDelayMs: number): Promise<void> {
  await app.register(underPressure, {
    maxEventLoopDelay: maxDelayMs,
    // Async, so that the thrown error becomes a problem document like every other error.
    pressureHandler: async (request) => {
      if (!isVital(request)) throw new AppError('overloaded', { retryAfterS });
    },
  });
}
