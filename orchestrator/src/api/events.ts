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
 * `GET /api/sessions/{id}/events`: server-sent events. With `Last-Event-ID` a client continues where its
 * connection broke off. The stream stays open after the session has ended, because its result and late
 * transcript entries follow, until the client leaves. Machine events are for operators and are not sent
 * (docs/events.md).
 *
 * - The socket, and not the response, tells that a client has left: the socket may close before the stream
 *   begins, and the response to a pipelined request gets no event when it does.
 * - Nothing is written to a stream that is being ended.
 * - A stream ends within a second after its key is revoked, or after anything else because of which the request
 *   would now be refused.
 * - The streams of a process are limited per credential and per tenant, so that no tenant can use up all of
 *   them.
 */
export interface EventRoutesDeps {
  access: Pick<Access, 'stands'>;
  sessions: Pick<SessionStore, 'get'>;
  feed: EventFeed;
  clock: Clock;
}

/** Maximum number of streams in one process. */
export const mostStreams = { inAll: 4_000, tenant: 500, credential: 250 };
/** How often the credential of an open stream is checked again. */
const standingMs = 500;
const keepAliveMs = 15_000;
/** A client with more unread bytes is disconnected. It can reconnect with `Last-Event-ID`. */
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
  /** Id of the last event that the client received. */
  after: number;
}

/**
 * @returns a function that takes a place for a stream and returns one that frees it; it throws AppError
 *   rate_limited.
 */
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
      [actor, mostStreams.credential, 'This credential'],
      [`tenant:${tenantId}`, mostStreams.tenant, 'This tenant'],
      ['all', mostStreams.inAll, 'This orchestrator'],
    ];
    const full = shares.find(([name, limit]) => (taken.get(name) ?? 0) >= limit);
    if (full)
      throw new AppError('rate_limited', {
        detail: `${full[2]} already has ${full[1]} open event streams. Close one, or use webhooks.`,
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
      givePlace();
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
      leave();
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
        schema: { summary: 'Stream the events of a session (server-sent events)', params: sessionParams },
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
