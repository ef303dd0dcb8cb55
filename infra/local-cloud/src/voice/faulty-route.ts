/**
 * A route that can fail on cue. The work returns its reply as a value, so that a fault can be laid around it: answered
 * in its place, late, never, cut before the work or cut after it. Special faults are the work's own business.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FaultAction, Faults } from '../faults.ts';

export interface WireReply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export type Work = (request: FastifyRequest, cue: FaultAction | undefined) => WireReply | Promise<WireReply>;

export interface FaultyRouteDeps {
  faults: Faults;
  clock: Clock;
  /** The body this provider sends with a status, for a `status` fault that names none. */
  bodyFor(status: number): unknown;
}

/** Makes fastify handlers; `attributes` are what a fault rule's `match` is compared with. */
export function createFaultyRoute({ faults, clock, bodyFor }: FaultyRouteDeps) {
  const attributesOf = (request: FastifyRequest) => ({ ...(request.params as Record<string, string>) });
  return (point: string, work: Work) => async (request: FastifyRequest, reply: FastifyReply) => {
    const action = faults.take(point, attributesOf(request));
    if (action?.kind === 'hang') return reply.hijack();
    if (action?.kind === 'drop_before') return cut(reply);
    if (action?.kind === 'status') {
      return send(reply, { ...action, body: action.body ?? bodyFor(action.status) });
    }
    if (action?.kind === 'delay') await clock.sleep(action.delayMs);
    const answer = await work(request, action);
    return action?.kind === 'drop_after' ? cut(reply) : send(reply, answer);
  };
}

function cut(reply: FastifyReply): FastifyReply {
  reply.hijack();
  reply.raw.destroy();
  return reply;
}

function send(reply: FastifyReply, { status, headers = {}, body }: WireReply): FastifyReply {
  reply.status(status).headers(headers);
  return body === undefined ? reply.send() : reply.send(body);
}
