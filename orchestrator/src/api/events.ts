import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { isTenantEvent } from '@greenroom/shared/session/events.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { type Access, sha256 } from '../access/authenticate.ts';
import { bearerOf } from '../access/bearer.ts';
import type { Caller } from '../access/caller.ts';
import { callerOf, streamersWith } from '../access/route-access.ts';
import { createStandingWatch } from '../access/standing-watch.ts';
import type { EventRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { EventFeed } from './event-feed.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/**
 * `GET /api/sessions/{id}/events`: server-sent events. `Last-Event-ID` continues where a connection broke off.
 * The stream stays open after the session's end (its result and late entries follow) until the reader leaves. Events of
 * machines are for operators: they are not shown (docs/events.md).
 *
 * V1  Who has left is known by the socket: it may have closed before there was a stream, and the response of a request
 *     that was pipelined behind another is never told.
 * V2  A stream that is being ended is written to no more.
 * V3  A stream ends within a second of its key's revocation, or of anything else that would refuse its request today.
 * V4  A credential and a tenant have shares of the streams of a process: no tenant takes those of the others.
 */
export interface EventRoutesDeps {
  access: Pick<Access, 'stands'>;
  sessions: Pick<SessionStore, 'get'>;
  feed: EventFeed;
  clock: Clock;
}

/** V4: streams of one process. */
const most = { inAll: 4_000, tenant: 500, credential: 250 };
/** V3. */
const standingMs = 500;
const keepAliveMs = 15_000;
/** A reader that is this far behind is cut off; it comes back with Last-Event-ID. */
const maxBufferedBytes = 1_048_576;

export const formatEvent = ({ id, type, data, created_at }: EventRow): string =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ ...data, at: created_at })}\n\n`;

const lastEventId = (header: string | string[] | undefined): number => {
  const value = Number([header ?? '0'].flat()[0]);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
};

interface Reader {
  caller: Caller;
  request: FastifyRequest;
  sessionId: string;
  /** Id of the last event that was read. */
  after: number;
}

/** V4. @returns a function that gives the place back. Throws AppError rate_limited. */
function createPlaces() {
  const taken = new Map<string, number>();
  const change = (names: string[], by: number): void => {
    for (const name of names) {
      const now = (taken.get(name) ?? 0) + by;
      if (now > 0) taken.set(name, now);
      else taken.delete(name);
    }
  };
  return ({ tenantId, actor }: Caller): (() => void) => {
    const shares: Array<[name: string, most: number, of: string]> = [
      [actor, most.credential, 'This credential'],
      [`tenant:${tenantId}`, most.tenant, 'This tenant'],
      ['all', most.inAll, 'This orchestrator'],
    ];
    const full = shares.find(([name, limit]) => (taken.get(name) ?? 0) >= limit);
    if (full)
      throw new AppError('rate_limited', {
        detail: `${full[2]} holds ${full[1]} streams of events already: close one, or watch by webhooks.`,
        retryAfterS: 5,
      });
    const names = shares.map(([name]) => name);
    change(names, 1);
    return () => change(names, -1);
  };
}

export function eventRoutes({ access, sessions, feed, clock }: EventRoutesDeps): FastifyPluginAsyncZod {
  const streams = new Set<() => void>();
  const takePlace = createPlaces();
  const standing = createStandingWatch(clock, standingMs);

  const stream = (reply: FastifyReply, { caller, request, sessionId, after }: Reader, givePlace: () => void): void => {
    const response = reply.raw;
    const { socket } = reply.request.raw;
    if (socket.destroyed) {
      givePlace(); // V1
      return;
    }
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
    const unwatch = feed.watch(sessionId, after, (event) => {
      if (isTenantEvent(event.type)) write(formatEvent(event));
    });
    const beat = () => {
      write(': here\n\n');
      timer = clock.setTimer(beat, keepAliveMs);
    };
    let timer = clock.setTimer(beat, keepAliveMs);
    const leave = () => {
      if (!streams.delete(end)) return;
      unwatch();
      stopJudging();
      timer.cancel();
      givePlace();
    };
    const end = () => {
      leave(); // V2
      response.end();
    };
    const stopJudging = standing.watch(
      sha256(bearerOf(request) ?? ''),
      () => access.stands(request, caller, 'sessions:read'),
      end,
    );
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
        config: streamersWith('sessions:read'),
        schema: { summary: 'Events of a session, as server-sent events', params: sessionParams },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const givePlace = takePlace(caller);
        try {
          if (!(await sessions.get(request.params.id, caller.tenantId))) throw sessionNotFound();
        } catch (error) {
          givePlace();
          throw error;
        }
        reply.hijack();
        const after = lastEventId(request.headers['last-event-id']);
        stream(reply, { caller, request, sessionId: request.params.id, after }, givePlace);
      },
    );
  };
}
