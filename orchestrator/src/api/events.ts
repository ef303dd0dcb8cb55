import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { EventRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { EventFeed } from './event-feed.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/**
 * `GET /api/sessions/{id}/events`: server-sent events. `Last-Event-ID` continues where a connection broke off.
 * The stream stays open after the session's end (its machine's end and late entries follow) until the reader leaves.
 *
 * V1  Who has left is known by the socket: it may have closed before there was a stream, and the response of a request
 *     that was pipelined behind another is never told.
 * V2  A stream that is being ended is written to no more.
 */
export interface EventRoutesDeps {
  sessions: Pick<SessionStore, 'get'>;
  feed: EventFeed;
  clock: Clock;
}

const maxStreams = 2_000;
const keepAliveMs = 15_000;
/** A reader that is this far behind is cut off; it comes back with Last-Event-ID. */
const maxBufferedBytes = 1_048_576;

export const formatEvent = ({ id, type, data, created_at }: EventRow): string =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ ...data, at: created_at })}\n\n`;

const lastEventId = (header: string | string[] | undefined): number => {
  const value = Number([header ?? '0'].flat()[0]);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
};

export function eventRoutes({ sessions, feed, clock }: EventRoutesDeps): FastifyPluginAsyncZod {
  const streams = new Set<() => void>();

  const stream = (reply: FastifyReply, sessionId: string, after: number): void => {
    const response = reply.raw;
    const { socket } = reply.request.raw;
    if (socket.destroyed) return; // V1
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-request-id': reply.request.id,
    });
    response.write('retry: 1000\n\n');
    const write = (text: string) => {
      response.write(text);
      if (response.writableLength > maxBufferedBytes) response.destroy();
    };
    const unwatch = feed.watch(sessionId, after, (event) => write(formatEvent(event)));
    const beat = () => {
      write(': here\n\n');
      timer = clock.setTimer(beat, keepAliveMs);
    };
    let timer = clock.setTimer(beat, keepAliveMs);
    const leave = () => {
      unwatch();
      timer.cancel();
      streams.delete(end);
    };
    const end = () => {
      leave(); // V2
      response.end();
    };
    streams.add(end);
    socket.once('close', leave);
  };

  return async (app) => {
    app.addHook('preClose', async () => {
      for (const end of [...streams]) end();
    });
    app.get(
      '/sessions/:id/events',
      {
        exposeHeadRoute: false,
        config: callersWith('sessions:read'),
        schema: { summary: 'Events of a session, as server-sent events', params: sessionParams },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        if (streams.size >= maxStreams) throw new AppError('rate_limited', { retryAfterS: 5 });
        if (!(await sessions.get(request.params.id, tenantId))) throw sessionNotFound();
        reply.hijack();
        stream(reply, request.params.id, lastEventId(request.headers['last-event-id']));
      },
    );
  };
}
