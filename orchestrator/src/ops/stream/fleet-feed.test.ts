import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import type { OpsEvent } from '../../database/operator-store.ts';
import { createFleetFeed, type FleetWatcher, fleetPollMs, mostMissed, mostRead } from './fleet-feed.ts';

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
  const inOrder = () => log.toSorted((a, b) => a.id - b.id);
  const after = (id: number, limit: number) =>
    inOrder()
      .filter((event) => event.id > id)
      .slice(0, limit);
  const feed = createFleetFeed({
    store: {
      newEvents: async (id, missing, limit) => {
        reads.news += 1;
        if (faults.left > 0) {
          faults.left -= 1;
          throw new Error('the database is away');
        }
        const newest = Math.max(0, ...log.map((event) => event.id));
        const found = inOrder().filter((event) => event.id <= id && missing.includes(event.id));
        return { newest, rows: [...found, ...after(id, limit)].map((event) => ({ ...event, settled: false })) };
      },
      eventsAfter: async (filter, id, limit) => {
        const { session } = filter as { session?: string };
        const rows = after(id, Number.POSITIVE_INFINITY).filter(
          (event) => (session ?? event.session_id) === event.session_id,
        );
        return { rows: rows.slice(0, limit), searched_to: null };
      },
      sessions: async (filter) => {
        reads.rows += 1;
        const rows = (filter as { ids: string[] }).ids.map((session_id) => ({ session_id })) as never;
        return { rows, searched_to: null };
      },
      machines: async () => ({ rows: [], searched_to: null }),
    },
    readOverview: async () => {
      reads.overview += 1;
      return { ...overview, now: clock.now() };
    },
    ...{ clock, logger: silentLogger() },
  });
  const watch = (cursor?: number, wants: Partial<FleetWatcher['wants']> = {}, session?: string) => {
    const got = { ids: [] as number[], cursor: cursor ?? 0, changed: [] as string[], overviews: 0, gaps: 0 };
    const stop = feed.watch(cursor, {
      wants: { events: true, overview: false, rows: false, ...wants },
      session,
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

test('more events than one reading takes are left out with a gap, but not those of a session that is watched', async () => {
  const { clock, log, watch } = make();
  const all = watch();
  const one = watch(undefined, {}, 'session 777');
  await clock.advance(fleetPollMs);
  for (let id = 1; id <= mostRead * 5; id += 1)
    log.push({ ...eventOf(id), session_id: id % 100 === 0 ? 'session 777' : 'x' });
  await clock.advance(fleetPollMs);
  log.push(eventOf(mostRead * 5 + 1));
  await clock.advance(fleetPollMs * 4);
  expect(all.got).toMatchObject({ gaps: 1, cursor: mostRead * 5 + 1 });
  expect(all.got.ids).toEqual([...Array.from({ length: mostRead }, (_, n) => n + 1), mostRead * 5 + 1]);
  expect(one.got).toMatchObject({ gaps: 0 });
  expect(one.got.ids.filter((id) => id % 100 === 0)).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
});

test('an id that never appears is given up, and the cursor moves on', async () => {
  const { clock, log, watch } = make();
  const { got } = watch();
  await clock.advance(fleetPollMs);
  log.push(eventOf(1), eventOf(3));
  await clock.advance(fleetPollMs);
  expect(got).toMatchObject({ ids: [1, 3], cursor: 1 });
  await clock.advance(11_000);
  log.push(eventOf(4));
  await clock.advance(fleetPollMs);
  expect(got).toMatchObject({ ids: [1, 3, 4], cursor: 4 });
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
