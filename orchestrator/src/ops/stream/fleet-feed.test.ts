import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import type { OpsEvent } from '../../database/operator-store.ts';
import { createFleetFeed, type FleetWatcher, fleetPollMs, mostMissed } from './fleet-feed.ts';

const at = '2026-11-27T09:00:00Z';
const eventOf = (id: number): OpsEvent => ({
  ...{
    id,
    session_id: `session ${id}`,
    tenant_id: 'tenant',
    tenant: 'acme',
    type: 'session.ready',
    data: {},
    created_at: at,
  },
});

function make() {
  const clock = createFakeClock();
  const log: OpsEvent[] = [];
  const reads = { news: 0, rows: 0, overview: 0 };
  const overview = { now: 0, sessions: 1 };
  const faults = { left: 0 };
  const after = (id: number, seen: number[], limit: number) =>
    log
      .filter((event) => event.id > id && !seen.includes(event.id))
      .toSorted((a, b) => a.id - b.id)
      .slice(0, limit);
  const feed = createFleetFeed({
    store: {
      newEvents: async (id, seen, limit) => {
        reads.news += 1;
        if (faults.left > 0) {
          faults.left -= 1;
          throw new Error('the database is away');
        }
        const newest = Math.max(0, ...log.map((event) => event.id));
        return { newest, rows: after(id, seen, limit).map((event) => ({ ...event, settled: false })) };
      },
      eventsAfter: async (_filter, id, limit) => ({ rows: after(id, [], limit), searched_to: null }),
      sessions: async (filter) => {
        reads.rows += 1;
        return (filter as { ids: string[] }).ids.map((session_id) => ({ session_id })) as never;
      },
      machines: async () => [],
    },
    readOverview: async () => {
      reads.overview += 1;
      return { ...overview, now: clock.now() };
    },
    ...{ clock, logger: silentLogger() },
  });
  const watch = (cursor?: number, wants: Partial<FleetWatcher['wants']> = {}) => {
    const got = { ids: [] as number[], cursor: cursor ?? 0, changed: [] as string[], overviews: 0, gaps: 0 };
    const stop = feed.watch(cursor, {
      wants: { overview: false, rows: false, ...wants },
      onEvents: (events, to) => {
        got.ids.push(...events.map(({ id }) => id));
        got.cursor = to;
      },
      onChanged: ({ sessions }) => void got.changed.push(...sessions.map(({ session_id }) => session_id)),
      onOverview: () => {
        got.overviews += 1;
      },
      onGap: (to) => {
        got.gaps += 1;
        got.cursor = to;
      },
    });
    return { got, stop };
  };
  return { clock, log, reads, overview, faults, feed, watch };
}

test('an event with a smaller id that is committed later is delivered too, and no event twice', async () => {
  const { clock, log, watch } = make();
  const { got } = watch();
  await clock.advance(fleetPollMs);
  log.push(eventOf(7));
  await clock.advance(fleetPollMs);
  log.push(eventOf(5));
  await clock.advance(fleetPollMs * 4);
  expect(got.ids).toEqual([7, 5]);
});

test('a watcher without a cursor gets only what happens from now on', async () => {
  const { clock, log, watch } = make();
  log.push(eventOf(1), eventOf(2));
  const { got } = watch();
  await clock.advance(fleetPollMs);
  log.push(eventOf(3));
  await clock.advance(fleetPollMs);
  expect(got.ids).toEqual([3]);
});

test('a watcher that continues from its cursor misses nothing, whatever was committed in between', async () => {
  const { clock, log, watch } = make();
  const seen = new Set<number>();
  let cursor = 0;
  for (let cut = 0; cut < 100; cut += 1) {
    const { got, stop } = watch(cursor);
    // Ids are given in pairs, and the greater one is committed first.
    log.push(eventOf(2 * cut + 2));
    await clock.advance(fleetPollMs);
    for (const id of got.ids) seen.add(id);
    cursor = got.cursor;
    stop();
    log.push(eventOf(2 * cut + 1));
    await clock.advance(fleetPollMs);
  }
  const { got } = watch(cursor);
  await clock.advance(fleetPollMs);
  for (const id of got.ids) seen.add(id);
  expect(seen.size).toBe(200);
});

test('a watcher that missed more than mostMissed events gets a gap instead of the events', async () => {
  const { clock, log, watch } = make();
  for (let id = 1; id <= 2 * mostMissed + 500; id += 1) log.push(eventOf(id));
  const late = watch(1);
  await clock.advance(fleetPollMs);
  expect(late.got).toMatchObject({ ids: [], gaps: 1 });
});

test('all watchers share one read, and without a watcher nothing is read', async () => {
  const { clock, reads, watch, feed } = make();
  const all = Array.from({ length: 10 }, () => watch(undefined, { overview: true, rows: true }));
  await clock.advance(fleetPollMs);
  const before = reads.news;
  await clock.advance(fleetPollMs);
  expect(reads.news - before).toBe(1);
  for (const { stop } of all) stop();
  await clock.advance(fleetPollMs * 2);
  const then = { ...reads };
  await clock.advance(60_000);
  expect({ ...reads, watchers: feed.watchers }).toEqual({ ...then, watchers: 0 });
});

test('rows are sent for sessions with new events, and the overview when its content changed', async () => {
  const { clock, log, overview, watch } = make();
  const { got } = watch(undefined, { overview: true, rows: true });
  await clock.advance(10_000);
  expect(got.overviews).toBe(1);
  overview.sessions = 2;
  log.push(eventOf(1));
  await clock.advance(5_000);
  expect(got).toMatchObject({ overviews: 2, changed: ['session 1'] });
});

test('a failed read is repeated, and nothing is lost', async () => {
  const { clock, log, faults, watch } = make();
  const { got } = watch();
  await clock.advance(fleetPollMs);
  faults.left = 2;
  log.push(eventOf(1));
  await clock.advance(fleetPollMs * 3);
  expect(got.ids).toEqual([1]);
});
