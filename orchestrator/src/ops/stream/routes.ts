import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { forViewers, type OperatorAccess } from '../../access/operators.ts';
import { createStandingWatch } from '../../access/standing-watch.ts';
import type { OpsEvent } from '../../database/operator-store.ts';
import { several } from '../../http/queries.ts';
import { showSession } from '../reading/lists.ts';
import type { Changed, FleetFeed } from './fleet-feed.ts';

/**
 * `GET /ops/api/stream`: server-sent events of the fleet, for the dashboard and `greenroom events --follow`.
 *
 * - Messages: `hello` is the first. `event`, `changed` and `overview` follow, as `topics` asks. `gap` means that events were
 *   left out, so the client must read again what it shows. `bye` is the last, with the reason.
 * - A client continues after the `id` of any message (`Last-Event-ID` or `after`). It may then receive the events of the last
 *   seconds twice, and recognises them by the `id` in their data.
 * - A stream ends within a second after its operator was signed out or lost the role.
 * - A client that does not read is disconnected; it never fills the memory.
 */
export interface StreamDeps {
  access: Pick<OperatorAccess, 'of' | 'stands'>;
  feed: FleetFeed;
  clock: Clock;
  deployment: { version: string };
  /** Aborted when the process stops. */
  stopping: AbortSignal;
}

const mostStreams = 200;
const standingMs = 500;
const keepAliveMs = 10_000;
/** A client with more unread bytes is disconnected. */
const maxUnreadBytes = 262_144;
/** Time for a client to receive `bye` before its connection is cut. */
const byeMs = 2_000;
const retryMs = 2_000;
/** Further events of the same second are left out and reported as a `gap`. */
const eventsPerSecond = 100;

type Why = 'signed_out' | 'shutting_down' | 'too_slow';

const topics = ['overview', 'sessions', 'machines', 'events'] as const;
const query = z.strictObject({
  topics: z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',') : given),
    several(z.enum(topics)).default([...topics]),
  ),
  tenant: uuid.optional(),
  session: uuid.optional(),
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});
type Query = z.output<typeof query>;

/** A header that is not a number is ignored. */
function cursorOf(request: FastifyRequest, after: number | undefined): number | undefined {
  const header = [request.headers['last-event-id'] ?? []].flat()[0];
  const value = Number(header);
  return header !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : after;
}

const message = (name: string, data: object, id?: number): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** @returns a function that admits at most `eventsPerSecond` events and returns them */
function createRate(clock: Clock): (events: OpsEvent[]) => OpsEvent[] {
  let since = clock.monotonicMs();
  let count = 0;
  return (events) => {
    if (clock.monotonicMs() - since >= 1_000) [since, count] = [clock.monotonicMs(), 0];
    const admitted = events.slice(0, Math.max(0, eventsPerSecond - count));
    count += events.length;
    return admitted;
  };
}

export function streamRoutes({ access, feed, clock, deployment, stopping }: StreamDeps): FastifyPluginAsyncZod {
  const standing = createStandingWatch(clock, standingMs);
  const streams = new Set<(why: Why) => void>();
  stopping.addEventListener('abort', () => {
    for (const end of [...streams]) end('shutting_down');
  });

  const watch = (send: (text: string) => void, wanted: Query, after: number | undefined): (() => void) => {
    const wants = (topic: (typeof topics)[number]): boolean => wanted.topics.includes(topic);
    const concerns = (row: { tenant_id?: unknown; session_id?: unknown }): boolean =>
      (wanted.tenant === undefined || row.tenant_id === wanted.tenant) &&
      (wanted.session === undefined || row.session_id === wanted.session);
    const admit = createRate(clock);
    const changedOf = ({ sessions, machines, more }: Changed) => ({
      sessions: wants('sessions') ? sessions.filter(concerns).map((row) => showSession(row, clock.now())) : [],
      machines: wants('machines')
        ? machines.filter(({ session, ...row }) => concerns({ ...row, session_id: session?.session_id }))
        : [],
      more,
    });
    return feed.watch(after, {
      wants: { overview: wants('overview'), rows: wants('sessions') || wants('machines') },
      onEvents: (events, cursor) => {
        if (!wants('events')) return;
        const mine = events.filter(concerns);
        const admitted = admit(mine);
        for (const event of admitted) send(message('event', event, cursor));
        if (admitted.length < mine.length) send(message('gap', { missed: mine.length - admitted.length }, cursor));
      },
      onChanged: (changed) => {
        const mine = changedOf(changed);
        if (mine.more || mine.sessions.length + mine.machines.length > 0) send(message('changed', mine));
      },
      onOverview: (overview) => send(message('overview', overview)),
      onGap: (cursor) => send(message('gap', { missed: null }, cursor)),
    });
  };

  const stream = (reply: FastifyReply, wanted: Query, after: number | undefined): void => {
    const { request, raw: response } = reply;
    const { socket } = request.raw;
    if (socket.destroyed) return;
    const { actor, role } = access.of(request);
    response.writeHead(200, {
      ...{ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
      ...{ 'x-accel-buffering': 'no', 'x-request-id': request.id },
    });
    // Writing after the end would be an uncaught error: one batch of events may still send after `too_slow`.
    const send = (text: string): void => {
      if (!streams.has(end)) return;
      response.write(text);
      if (response.writableLength > maxUnreadBytes) end('too_slow');
    };
    response.write(`retry: ${retryMs}\n${message('hello', { now: new Date(clock.now()), role, ...deployment })}`);
    let timer: Timer;
    const beat = (): void => {
      timer = clock.setTimer(beat, keepAliveMs);
      send(': here\n\n');
    };
    timer = clock.setTimer(beat, keepAliveMs);
    const leave = (): boolean => {
      if (!streams.delete(end)) return false;
      unwatch();
      stopJudging();
      timer.cancel();
      return true;
    };
    const end = (why: Why): void => {
      if (!leave()) return;
      response.end(message('bye', { why, retry_ms: retryMs }));
      const cut = clock.setTimer(() => socket.destroy(), byeMs);
      socket.once('close', cut.cancel);
    };
    streams.add(end);
    const stopJudging = standing.watch(
      `${actor} ${request.id}`,
      async () => access.stands(request),
      () => end('signed_out'),
    );
    const unwatch = watch(send, wanted, after);
    socket.once('close', leave);
  };

  return async (app) => {
    app.get(
      '/stream',
      { exposeHeadRoute: false, config: forViewers, schema: { querystring: query } },
      async (request, reply) => {
        if (streams.size >= mostStreams)
          throw new AppError('rate_limited', {
            detail: `This orchestrator already has ${mostStreams} open streams of operators. Close a dashboard.`,
            retryAfterS: 5,
          });
        reply.hijack();
        stream(reply, request.query, cursorOf(request, request.query.after));
      },
    );
  };
}
