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
 * - The measure is the mean delay of the event loop over the last second, so a short burst causes no refusals. A second
 *   in which the loop did not come round twice has no measure; the delay is then at least a second.
 * - In the first two seconds after the app is ready nothing is refused: building the app holds the loop, and is measured.
 */
declare module 'fastify' {
  interface FastifyContextConfig {
    vital?: boolean;
  }
}

/** Route config: the route is served under load, too. */
export const vital = { vital: true } as const;
const retryAfterS = 2;
const sampleMs = 1_000;

const isVital = (request: FastifyRequest): boolean => request.routeOptions.config?.vital === true;

/** @param maxDelayMs mean event loop delay above which requests are refused */
export async function registerPressure(app: FastifyInstance, maxDelayMs: number): Promise<void> {
  let readyMs = Number.POSITIVE_INFINITY;
  app.addHook('onReady', async () => {
    readyMs = performance.now();
  });
  await app.register(underPressure, {
    maxEventLoopDelay: maxDelayMs,
    sampleInterval: sampleMs,
    // Async, so that the thrown error becomes a problem document like every other error.
    pressureHandler: async (request, _reply, _type, delayMs) => {
      // The library passes Infinity when it measured nothing in the last second.
      if (delayMs === Number.POSITIVE_INFINITY && maxDelayMs > sampleMs) return;
      // Each measure is of one second and stays in use for the next one. So the one in use may have begun two seconds ago.
      if (performance.now() - readyMs < 2 * sampleMs) return;
      if (!isVital(request)) throw new AppError('overloaded', { retryAfterS });
    },
  });
}
