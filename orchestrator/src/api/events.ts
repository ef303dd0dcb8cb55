import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { isTenantEvent } from '@greenroom/shared/session/events.ts';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Access, sha256 } from '../access/authenticate.ts';
import { bearerOf } from '../access/bearer.ts';
import type { Caller } from '../access/caller.ts';
import { createEventStreams, eventText, startOf } from '../access/event-streams.ts';
import { callerOf, streamersWith } from '../access/route-access.ts';
import type { EventRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { EventFeed } from './event-feed.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';
import type { TenantFeed } from './tenant-feed.ts';

/**
 * `GET /api/sessions/{id}/events` and `GET /api/events`: server-sent events of one session, and of all sessions of the
 * tenant with those of the tenant itself. With `Last-Event-ID` or `after` a client continues where its connection broke
 * off. A session's stream stays open after the session has ended, because its result and late transcript entries
 * follow, until the client leaves. Machine events are for operators and are not sent (docs/events.md).
 *
 * - The streams of a process are limited per credential and per tenant, so that no tenant can use up all of
 *   them.
 */
export interface EventRoutesDeps {
  access: Pick<Access, 'stands'>;
  sessions: Pick<SessionStore, 'get'>;
  feed: EventFeed;
  tenantFeed: TenantFeed;
  clock: Clock;
}

/** Maximum number of streams in one process. */
export const mostStreams = {
  inAll: 4_000,
  tenant: 500,
  credential: 250,
  /** Of all of a tenant's sessions; each reads the database on its own. */
  tenantWide: 10,
};
const retryMs = 1_000;
const keepAliveMs = 15_000;
const maxUnreadBytes = 1_048_576;

type Shown = Pick<EventRow, 'id' | 'type' | 'data' | 'created_at'>;
const textOf = ({ id, type, data, created_at }: Shown): string => eventText(type, { ...data, at: created_at }, id);

const eventsQuery = z.strictObject({
  /** Id of the last event that the client knows. `Last-Event-ID`, which browsers send on reconnecting, goes before it. */
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});

/** Starts sending events to a stream; returns a function that stops it. */
type Begin = (write: (event: Shown) => void) => () => void;

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
  return ({ tenantId, actor }: Caller, wide: boolean): (() => void) => {
    const shares: Array<[name: string, most: number, of: string]> = [
      ...(wide ? [[`wide:${tenantId}`, mostStreams.tenantWide, 'This tenant'] as [string, number, string]] : []),
      [actor, mostStreams.credential, 'This credential'],
      [`tenant:${tenantId}`, mostStreams.tenant, 'This tenant'],
      ['all', mostStreams.inAll, 'This orchestrator'],
    ];
    const full = shares.find(([name, limit]) => (taken.get(name) ?? 0) >= limit);
    if (full)
      throw new AppError('rate_limited', {
        detail: `${full[2]} already has ${full[1]} open event streams${full[0].startsWith('wide:') ? ' of all its sessions' : ''}. Close one, or use webhooks.`,
        retryAfterS: 5,
      });
    const names = shares.map(([name]) => name);
    change(names, 1);
    return () => change(names, -1);
  };
}

export function eventRoutes({ access, sessions, feed, tenantFeed, clock }: EventRoutesDeps): FastifyPluginAsyncZod {
  const streams = createEventStreams({ clock, retryMs, keepAliveMs, maxUnreadBytes });
  const takePlace = createPlaces();

  const stream = (reply: FastifyReply, begin: Begin, givePlace: () => void): void => {
    const { request } = reply;
    const caller = callerOf(request);
    streams.open(reply, {
      credential: sha256(bearerOf(request) ?? ''),
      stands: () => access.stands(request, caller, 'sessions:read'),
      begin: (send) =>
        begin((event) => {
          if (isTenantEvent(event.type)) send(textOf(event));
        }),
      onEnd: givePlace,
    });
  };

  return async (app) => {
    app.addHook('preClose', async () => {
      streams.endAll('shutting_down');
    });
    app.get(
      '/sessions/:id/events',
      {
        exposeHeadRoute: false,
        config: streamersWith('sessions:read'),
        schema: {
          summary: 'Stream the events of a session (server-sent events)',
          params: sessionParams,
          querystring: eventsQuery,
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const givePlace = takePlace(caller, false);
        try {
          if (!(await sessions.get(request.params.id, caller.tenantId))) throw sessionNotFound();
        } catch (error) {
          givePlace();
          throw error;
        }
        const after = startOf(request, request.query.after) ?? 0;
        stream(reply, (write) => feed.watch(request.params.id, after, write), givePlace);
      },
    );
    app.get(
      '/events',
      {
        exposeHeadRoute: false,
        config: streamersWith('sessions:read'),
        schema: {
          summary: 'Stream the events of all sessions of the tenant (server-sent events)',
          querystring: eventsQuery,
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const givePlace = takePlace(caller, true);
        const begin: Begin = (write) =>
          tenantFeed.watch(caller.tenantId, startOf(request, request.query.after), ({ session_id, data, ...event }) =>
            write({ ...event, data: session_id === null ? data : { ...data, session_id } }),
          );
        stream(reply, begin, givePlace);
      },
    );
  };
}
