/**
 * The door that every API call passes: limits first, then faults on cue, then the work.
 *
 * What the fault kinds mean here: `status` instead of the work · `delay` before it · `hang` never answers ·
 * `drop_before` and `drop_after` cut the connection · specials: a row of CAPACITY_ERRORS refuses with that row;
 * `answer_after` works, then answers `value` ({ status, body }, default a 408); any other is handed to the work.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FaultAction, Faults } from '../faults.ts';
import { apiError, isApiError } from './api-error.ts';
import { CAPACITY_ERRORS, isCapacityRow } from './capacity.ts';
import type { Limits } from './limits.ts';

export type Special = Extract<FaultAction, { kind: 'special' }>;

export interface Answer {
  status: number;
  /** JSON text when a string. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Call {
  /** Name of the action: fault point and rate-limited action in one. */
  point: string;
  /** What the limit is counted by; without it the action is not limited. */
  limitedBy?: string | undefined;
  attributes?: Record<string, string>;
}

export type Work = (special: Special | undefined) => Answer | Promise<Answer>;

export type Door = (request: FastifyRequest, reply: FastifyReply, call: Call, work: Work) => Promise<FastifyReply>;

const TIMED_OUT: Answer = { status: 408, body: { error: 'deadline_exceeded: request to the host timed out' } };

export function createDoor({ limits, faults, clock }: { limits: Limits; faults: Faults; clock: Clock }): Door {
  async function attempt(work: () => Answer | Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!isApiError(error)) throw error;
      return { status: error.httpStatus, body: error.body };
    }
  }

  const cut = (reply: FastifyReply): FastifyReply => {
    reply.hijack();
    reply.raw.socket?.destroy();
    return reply;
  };

  function send(reply: FastifyReply, answer: Answer): FastifyReply {
    void reply.code(answer.status).headers(answer.headers ?? {});
    if (answer.body === undefined) return reply.send();
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
    return reply.type('application/json; charset=utf-8').send(text);
  }

  async function special(action: Special, call: Call, work: Work): Promise<Answer> {
    if (isCapacityRow(action.name)) {
      const row = CAPACITY_ERRORS[action.name];
      return attempt(() => Promise.reject(row(call.attributes?.region)));
    }
    if (action.name !== 'answer_after') return attempt(() => work(action));
    await attempt(() => work(undefined));
    return (action.value as Answer | undefined) ?? TIMED_OUT;
  }

  return async (_request, reply, call, work) => {
    if (call.limitedBy !== undefined && !limits.take(call.point, call.limitedBy)) {
      return send(reply, await attempt(() => Promise.reject(apiError(429, 'rate limit exceeded'))));
    }
    const action = faults.take(call.point, call.attributes);
    if (action?.kind === 'delay') await clock.sleep(action.delayMs);
    if (action?.kind === 'drop_before') return cut(reply);
    if (action?.kind === 'hang') return reply.hijack();
    if (action?.kind === 'status') {
      const body = action.body ?? { error: `fault: ${action.status}` };
      return send(reply, { status: action.status, body, headers: action.headers ?? {} });
    }
    if (action?.kind === 'special') return send(reply, await special(action, call, work));
    const answer = await attempt(() => work(undefined));
    return action?.kind === 'drop_after' ? cut(reply) : send(reply, answer);
  };
}
