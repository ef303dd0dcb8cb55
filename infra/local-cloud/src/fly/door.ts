/**
 * Handles every API call: first the rate limits, then injected faults, then the work.
 *
 * Fault kinds here: `status` answers instead of the work · `delay` waits before it · `hang` never answers ·
 * `drop_before` and `drop_after` cut the connection · special faults: a name of CAPACITY_ERRORS answers with
 * that refusal; `answer_after` does the work, then answers `value` ({ status, body }, default a 408); any
 * other is passed to the work.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FaultAction, Faults } from '../faults.ts';
import { createFaultyReply, type WireReply } from '../faulty-route.ts';
import { apiError, isApiError } from './api-error.ts';
import { CAPACITY_ERRORS, isCapacityRow } from './capacity.ts';
import type { Limits } from './limits.ts';

export type Special = Extract<FaultAction, { kind: 'special' }>;

/** A string `body` is sent as it is: it must be JSON. */
export type Answer = WireReply;

export interface Call {
  /** Name of the action, both as fault point and for the rate limit. */
  point: string;
  /** The rate limit counts by this; without it the call is not limited. */
  limitedBy?: string | undefined;
  attributes?: Record<string, string>;
}

export type Work = (special: Special | undefined) => Answer | Promise<Answer>;

export type Door = (request: FastifyRequest, reply: FastifyReply, call: Call, work: Work) => Promise<FastifyReply>;

const TIMED_OUT: Answer = { status: 408, body: { error: 'deadline_exceeded: request to the host timed out' } };

function asJson(answer: Answer): Answer {
  if (answer.body === undefined) return answer;
  const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
  return { ...answer, headers: { 'content-type': 'application/json; charset=utf-8', ...answer.headers }, body };
}

export function createDoor({ limits, faults, clock }: { limits: Limits; faults: Faults; clock: Clock }): Door {
  const { answered, send } = createFaultyReply({
    faults,
    clock,
    bodyFor: (status) => ({ error: `fault: ${status}` }),
    onWire: asJson,
  });

  async function attempt(work: () => Answer | Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!isApiError(error)) throw error;
      return { status: error.httpStatus, body: error.body };
    }
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
    return answered(reply, call.point, call.attributes ?? {}, (cue) =>
      cue?.kind === 'special' ? special(cue, call, work) : attempt(() => work(undefined)),
    );
  };
}
