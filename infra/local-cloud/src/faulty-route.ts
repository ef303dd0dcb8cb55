/**
 * A route that can fail on cue, the same for Fly, the voice provider and api.video. The work returns its reply as a value, so
 * that a fault can be laid around it: answered in its place, late, never, cut before the work or cut after it. Special faults
 * are the work's own business.
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
  /** The body this service sends with a status, for a `status` fault that names none. */
  bodyFor(status: number): unknown;
  /** How this service puts a reply on the wire. Default: as it is. */
  onWire?(reply: WireReply): WireReply;
}

/** Sends what `work` replies, or what a fault at this point makes of it. */
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
