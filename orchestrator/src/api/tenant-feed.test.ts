import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import type { TenantEventRow } from '../database/rows.ts';
import { createTenantFeed, tenantEventsPerRead } from './tenant-feed.ts';

const tenantId = '11111111-1111-4111-8111-111111111111';
const event = (id: number, settled = false): TenantEventRow => ({
  ...{ id, settled, session_id: null, type: 'quota.reached', data: {}, created_at: 'now' },
});

function make() {
  const clock = createFakeClock();
  const log: TenantEventRow[] = [];
  const reads: Array<{ after: number; seen: number[] }> = [];
  const faults = { left: 0 };
  const feed = createTenantFeed({
    start: async (_tenant, after) =>
      after === undefined ? { after: 0, seen: log.map(({ id }) => id) } : { after, seen: [] },
    events: async (_tenant, after, seen, limit) => {
      reads.push({ after, seen });
      if (faults.left > 0) {
        faults.left -= 1;
        throw new Error('the database is away');
      }
      const rows = log.filter(({ id }) => id > after && !seen.includes(id));
      return rows.toSorted((a, b) => a.id - b.id).slice(0, limit);
    },
    ...{ clock, pollMs: 300, logger: silentLogger() },
  });
  return { clock, log, reads, feed, faults };
}

test('an event with a smaller id that is committed later is delivered too, and none is delivered twice', async () => {
  const { clock, log, feed } = make();
  const seen: number[] = [];
  feed.watch(tenantId, 0, ({ id }) => seen.push(id));
  log.push(event(7));
  await clock.advance(300);
  log.push(event(5));
  await clock.advance(600);
  expect(seen).toEqual([7, 5]);
});

test('a watcher that does not say where to begin gets new events only', async () => {
  const { clock, log, feed } = make();
  log.push(event(1, true), event(2));
  const seen: number[] = [];
  feed.watch(tenantId, undefined, ({ id }) => seen.push(id));
  await clock.advance(300);
  log.push(event(3));
  await clock.advance(300);
  expect(seen).toEqual([3]);
});

test('what a watcher remembers is forgotten once it is settled, and a full page is followed by the next at once', async () => {
  const { clock, log, reads, feed } = make();
  for (let id = 1; id <= tenantEventsPerRead + 1; id += 1) log.push(event(id, id <= tenantEventsPerRead));
  const seen: number[] = [];
  feed.watch(tenantId, 0, ({ id }) => seen.push(id));
  await clock.advance(0);
  await clock.advance(0);
  expect(seen).toHaveLength(tenantEventsPerRead + 1);
  expect(reads.at(-1)).toEqual({ after: tenantEventsPerRead, seen: [] });
  await clock.advance(300);
  expect(reads.at(-1)).toEqual({ after: tenantEventsPerRead, seen: [tenantEventsPerRead + 1] });
  await clock.advance(10_500);
  expect(reads.at(-1)).toEqual({ after: tenantEventsPerRead + 1, seen: [] });
});

test('a failed read loses nothing, and a stopped watcher reads no more', async () => {
  const { clock, log, reads, feed, faults } = make();
  const seen: number[] = [];
  const stop = feed.watch(tenantId, 0, ({ id }) => seen.push(id));
  faults.left = 2;
  log.push(event(1));
  await clock.advance(1_200);
  expect(seen).toEqual([1]);
  stop();
  const count = reads.length;
  await clock.advance(3_000);
  expect(reads.length).toBeLessThanOrEqual(count + 1);
});
