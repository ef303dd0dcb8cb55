import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { createEventStreams, eventText, startOf } from '../../access/event-streams.ts';
import { forViewers, type OperatorAccess } from '../../access/operators.ts';
import type { OpsEvent, OpsSessionRow } from '../../database/operator-store.ts';
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
const keepAliveMs = 10_000;
const maxUnreadBytes = 262_144;
const retryMs = 2_000;
/** Further events of the same second are left out and reported as a `gap`. */
const eventsPerSecond = 100;

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
type Wants = (topic: (typeof topics)[number]) => boolean;
type Concerns = (row: { tenant_id?: unknown; session_id?: unknown }) => boolean;

/** @returns a function that computes what `make` returns once for each object */
function once<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new WeakMap<Key, Value>();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key) as Value;
  };
}

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
  const streams = createEventStreams({
    ...{ clock, retryMs, keepAliveMs, maxUnreadBytes },
    goodbye: (why) => eventText('bye', { why, retry_ms: retryMs }),
  });
  stopping.addEventListener('abort', () => streams.endAll('shutting_down'));

  const shown = once((row: OpsSessionRow) => showSession(row, clock.now()));
  const changedOf = ({ sessions, machines, more }: Changed, wants: Wants, concerns: Concerns) => ({
    sessions: wants('sessions') ? sessions.filter(concerns).map(shown) : [],
    machines: wants('machines')
      ? machines.filter(({ session, ...row }) => concerns({ ...row, session_id: session?.session_id }))
      : [],
    more,
  });
  /** What streams without a filter are sent, by their topics. */
  const shared = once((_changed: Changed) => new Map<string, ReturnType<typeof changedOf>>());

  const watch = (send: (text: string) => void, wanted: Query, after: number | undefined): (() => void) => {
    const wants: Wants = (topic) => wanted.topics.includes(topic);
    const concerns: Concerns = (row) =>
      (wanted.tenant === undefined || row.tenant_id === wanted.tenant) &&
      (wanted.session === undefined || row.session_id === wanted.session);
    const admit = createRate(clock);
    const mineOf = (changed: Changed) => {
      if (wanted.tenant !== undefined || wanted.session !== undefined) return changedOf(changed, wants, concerns);
      const key = topics.filter(wants).join();
      const mine = shared(changed).get(key) ?? changedOf(changed, wants, concerns);
      shared(changed).set(key, mine);
      return mine;
    };
    return feed.watch(after, {
      wants: { events: wants('events'), overview: wants('overview'), rows: wants('sessions') || wants('machines') },
      session: wanted.session,
      onEvents: (events, cursor) => {
        if (!wants('events')) return;
        const mine = events.filter(concerns);
        const admitted = admit(mine);
        for (const event of admitted) send(eventText('event', event, cursor));
        if (admitted.length < mine.length) send(eventText('gap', { missed: mine.length - admitted.length }, cursor));
      },
      onChanged: (changed) => {
        const mine = mineOf(changed);
        if (mine.more || mine.sessions.length + mine.machines.length > 0) send(eventText('changed', mine));
      },
      onOverview: (overview) => send(eventText('overview', overview)),
      onGap: (cursor) => send(eventText('gap', { missed: null }, cursor)),
    });
  };

  return async (app) => {
    app.get(
      '/stream',
      { exposeHeadRoute: false, config: forViewers, schema: { querystring: query } },
      async (request, reply) => {
        if (streams.count() >= mostStreams)
          throw new AppError('rate_limited', {
            detail: `This orchestrator already has ${mostStreams} open streams of operators. Close a dashboard.`,
            retryAfterS: 5,
          });
        const { actor, role } = access.of(request);
        streams.open(reply, {
          credential: `${actor} ${request.id}`,
          stands: async () => access.stands(request),
          hello: eventText('hello', { now: new Date(clock.now()), role, ...deployment }),
          begin: (send) => watch(send, request.query, startOf(request, request.query.after)),
        });
      },
    );
  };
}
