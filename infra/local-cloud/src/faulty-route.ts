/**
 * A route that can fail on cue, used by the stand-ins for Fly, the voice provider and api.video. The work
 * returns its reply as a value, so that a fault can replace it, delay it, withhold it, or cut the connection
 * before or after the work. The work itself handles `special` faults.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FaultAction, Faults } from './faults.ts';

export interface WireReply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export type Work = (request: FastifyRequest, cue: FaultAction | undefined) => WireReply | Promise<WireReply>;

export interface FaultyRouteDeps {
  faults: Faults;
  clock: Clock;
  /** The body this service sends with a status, for a `status` fault without a body. */
  bodyFor(status: number): unknown;
  /** How this service changes a reply before it is sent. Default: not at all. */
  onWire?(reply: WireReply): WireReply;
}

/** Sends the reply of `work`, changed by the fault at this point, if any. */
export function createFaultyReply({ faults, clock, bodyFor, onWire = (reply) => reply }: FaultyRouteDeps) {
  const send = (reply: FastifyReply, answer: WireReply): FastifyReply => {
    const { status, headers = {}, body } = onWire(answer);
    void reply.status(status).headers(headers);
    return body === undefined ? reply.send() : reply.send(body);
  };
  const answered = async (
    reply: FastifyReply,
    point: string,
    attributes: Record<string, string>,
    work: (cue: FaultAction | undefined) => WireReply | Promise<WireReply>,
  ): Promise<FastifyReply> => {
    const action = faults.take(point, attributes);
    if (action?.kind === 'hang') return reply.hijack();
    if (action?.kind === 'drop_before') return cut(reply);
    if (action?.kind === 'status') return send(reply, { ...action, body: action.body ?? bodyFor(action.status) });
    if (action?.kind === 'delay') await clock.sleep(action.delayMs);
    const answer = await work(action);
    return action?.kind === 'drop_after' ? cut(reply) : send(reply, answer);
  };
  return { answered, send };
}

/** Makes fastify handlers; a fault rule's `match` is compared with the route's parameters. */
export function createFaultyRoute(deps: FaultyRouteDeps) {
  const { answered } = createFaultyReply(deps);
  return (point: string, work: Work) => (request: FastifyRequest, reply: FastifyReply) =>
    answered(reply, point, request.params as Record<string, string>, (cue) => work(request, cue));
}

function cut(reply: FastifyReply): FastifyReply {
  reply.hijack();
  reply.raw.destroy();
  return reply;
}
