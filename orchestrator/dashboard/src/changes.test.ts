import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { expect, test } from 'vitest';
import type { OpsEvent, SessionRow } from './answers.ts';
import { againMs, createChanges } from './changes.ts';
import { createRedraws } from './redraws.ts';

/** What the page does with messages of the fleet's stream. */
const at = '2026-11-27T09:00:00Z';
const eventOf = (id: number, more: Partial<OpsEvent> = {}): OpsEvent => ({
  ...{ id, session_id: 'one', tenant_id: 'acme-id', tenant: 'acme', type: 'session.ready', data: {}, created_at: at },
  ...more,
});
const message = (name: string, data: object) => ({ name, id: undefined, data: JSON.stringify(data) });
const rowOf = (session_id: string, status: string) => ({ session_id, status }) as SessionRow;

function make() {
  const clock = createFakeClock();
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY } } });
  const changes = createChanges(client, clock, createRedraws(clock));
  const list = (root: string, query: string, rows: object[], pages = 1) =>
    client.setQueryData([root, query], {
      pages: Array.from({ length: pages }, () => ({ data: rows })),
      pageParams: [],
    });
  const rows = (root: string, query: string) =>
    (client.getQueryData([root, query]) as { pages: Array<{ data: object[] }> }).pages[0]?.data;
  /** Shows a query, as a view does. @returns how often it was read since */
  const show = (...queryKey: string[]) => {
    const count = { reads: 0 };
    const queryFn = async () => {
      count.reads += 1;
      return client.getQueryData(queryKey) ?? {};
    };
    if (client.getQueryData(queryKey) === undefined) client.setQueryData(queryKey, {});
    new QueryObserver(client, { queryKey, queryFn }).subscribe(() => undefined);
    return count;
  };
  return { clock, client, changes, list, rows, show };
}

test('many changes of a session become one write of its last row, in every list that has it', async () => {
  const { clock, client, changes, list, rows } = make();
  list('sessions', 'limit=100', [rowOf('one', 'pending'), rowOf('two', 'pending')]);
  list('sessions', 'limit=100&live=true', [rowOf('two', 'pending')]);
  changes.take(message('changed', { sessions: [rowOf('two', 'ready')], machines: [] }));
  await clock.advance(0);
  let writes = 0;
  client.getQueryCache().subscribe(({ type }) => {
    if (type === 'updated') writes += 1;
  });
  for (let count = 0; count < 50; count += 1) {
    changes.take(message('changed', { sessions: [rowOf('one', `status ${count}`)], machines: [] }));
    await clock.advance(5);
  }
  expect(rows('sessions', 'limit=100')).toEqual([rowOf('one', 'status 49'), rowOf('two', 'ready')]);
  expect(rows('sessions', 'limit=100&live=true')).toEqual([rowOf('two', 'ready')]);
  // 250 ms passed: one write when they were over, each of one list.
  expect(writes).toBeLessThanOrEqual(2);
});

test('an event is put on top of the lists whose filters select it, once', async () => {
  const { clock, changes, list, rows } = make();
  list('events', 'limit=100', [eventOf(1)]);
  list('events', 'limit=100&type=session.ended', [eventOf(1, { type: 'session.ended' })]);
  list('events', 'limit=100&tenant=other', []);
  for (const id of [3, 2, 3]) changes.take(message('event', eventOf(id)));
  await clock.advance(1_000);
  changes.take(message('event', eventOf(3)));
  await clock.advance(1_000);
  const ids = (query: string) => (rows('events', query) as OpsEvent[]).map(({ id }) => id);
  expect([ids('limit=100'), ids('limit=100&type=session.ended'), ids('limit=100&tenant=other')]).toEqual([
    [3, 2, 1],
    [1],
    [],
  ]);
});

test('a list whose rows changed is read again at most every few seconds, a long one never', async () => {
  const { clock, changes, list, show } = make();
  list('sessions', 'short', [rowOf('one', 'pending')]);
  list('sessions', 'long', [rowOf('one', 'pending')], 4);
  const [short, long] = [show('sessions', 'short'), show('sessions', 'long')];
  for (let count = 0; count < 100; count += 1) {
    changes.take(message('changed', { sessions: [rowOf('new', 'pending')], machines: [] }));
    await clock.advance((2 * againMs) / 100);
  }
  expect(short.reads).toBeGreaterThanOrEqual(2);
  expect(short.reads).toBeLessThanOrEqual(3);
  expect(long.reads).toBe(0);
});

test('an event of a session reads the page of that session again, and no other page', async () => {
  const { clock, changes, show } = make();
  const [one, its, other] = [show('sessions/one'), show('events?session=one&limit=200'), show('sessions/two')];
  changes.take(message('event', eventOf(1)));
  await clock.advance(againMs);
  expect([one.reads, its.reads, other.reads]).toEqual([1, 1, 0]);
});

test('an overview is shown as it was sent, and every other view but the own name is read again', async () => {
  const { clock, client, changes, show } = make();
  const [overview, pools, me] = [show('overview'), show('pools?region='), show('me')];
  changes.take(message('overview', { present: 7 }));
  await clock.advance(againMs);
  expect(client.getQueryData(['overview'])).toEqual({ present: 7 });
  expect([overview.reads, pools.reads, me.reads]).toEqual([0, 1, 0]);
});

test.each(['hello', 'gap'])('after %s everything that is shown is read again', async (name) => {
  const { clock, changes, show } = make();
  const all = [show('overview'), show('sessions', 'limit=100'), show('machines/one')];
  changes.take(message(name, {}));
  await clock.advance(2_000);
  expect(all.map(({ reads }) => reads)).toEqual([1, 1, 1]);
});

test.each(['{"sessions": [', 'null', '7', ''])(
  'after the message %j, which is not as it was sent, everything is read again',
  async (data) => {
    const { clock, client, changes, show } = make();
    const [overview, machine] = [show('overview'), show('machines/one')];
    changes.take(message('overview', { present: 7 }));
    await clock.advance(againMs);
    const before = [overview.reads, machine.reads];
    for (const name of ['overview', 'changed', 'event']) changes.take({ name, id: undefined, data });
    await clock.advance(againMs);
    expect([overview.reads, machine.reads]).toEqual(before.map((reads) => reads + 1));
    expect(client.getQueryData(['overview'])).toEqual({ present: 7 });
  },
);

test('nothing is written or read after the stop', async () => {
  const { clock, client, changes, show } = make();
  const pools = show('pools');
  changes.take(message('overview', { present: 7 }));
  changes.take(message('hello', {}));
  changes.stop();
  await clock.advance(60_000);
  expect([client.getQueryData(['overview']), pools.reads]).toEqual([undefined, 0]);
});
