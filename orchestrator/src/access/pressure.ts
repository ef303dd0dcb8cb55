import underPressure from '@fastify/under-pressure';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/**
 * An orchestrator whose event loop falls behind sheds what can wait, so that it keeps what cannot: a heartbeat that is
 * answered late loses a lease, and with it a live interview.
 *
 * P1  Shed: platform API, documents, pages. Always served (`vital`): the worker API, the candidate's socket and the probes of
 *     this process.
 * P2  Judged is the mean delay of the last second: a short burst is not shed.
 */
declare module 'fastify' {
  interface FastifyContextConfig {
    vital?: boolean;
  }
}

/** P1: for the config of a route. */
export const vital = { vital: true } as const;
const retryAfterS = 2;

const isVital = (request: FastifyRequest): boolean => request.routeOptions.config?.vital === true;

/** @param maxDelayMs P2 */
export async function registerPressure(app: FastifyInstance, maxDelayMs: number): Promise<void> {
  await app.register(underPressure, {
    maxEventLoopDelay: maxDelayMs,
    // Async: what it throws becomes a problem document like every other.
    pressureHandler: async (request) => {
      if (!isVital(request)) throw new AppError('overloaded', { retryAfterS });
    },
  });
}
