import { expect, test } from 'vitest';
import type { OpsOverview } from '../../database/operator-store.ts';
import { attentionOf } from './attention.ts';
import { forecastOf, lateness } from './forecast.ts';
import { hourlyUsd } from './rates.ts';

/** A fleet in which nothing needs an operator. */
const calm = {
  ...{ brake_holds: [], unwanted: 0, duties_without_holder: 0, ended: [], starts: [], create_backlog_s: 0 },
  ...{ work: [], pools: [], unsaved_entries: 0, webhooks_failing: 0, drains: [], orchestrators: 2 },
} as unknown as OpsOverview;
const codes = (more: Partial<OpsOverview>): string[] => attentionOf({ ...calm, ...more }).map(({ code }) => code);

test('a fleet without problems gives no items', () => {
  expect(attentionOf(calm)).toEqual([]);
});

test.each<[string, object]>([
  ['brake_holds', { brake_holds: [{ ends: 3 }] }],
  ['unwanted', { unwanted: 1 }],
  ['duties', { duties_without_holder: 1 }],
  ['failed', { ended: [{ reason: 'boot_timeout', count: 1 }] }],
  ['slow_starts', { starts: [{ path: 'hot', starts: 5, p95_ms: 101 }] }],
  ['create_backlog', { create_backlog_s: 11 }],
  ['unsaved', { unsaved_entries: 201 }],
  ['pool', { pools: [{ region: 'fra', floor: 2, ready: 1 }] }],
  ['dead_work', { work: [{ kind: 'result', pending: 0, dead: 1 }] }],
  ['webhooks', { webhooks_failing: 1 }],
  ['drained', { drains: [{ region: 'fra', why: 'maintenance' }] }],
  ['orchestrators', { orchestrators: 1 }],
])('a fleet whose only problem is %s gives that item alone', (code, more) => {
  expect(codes(more)).toEqual([code]);
});

test('urgent items come first, and neither an end by an operator nor few slow starts give an item', () => {
  expect(codes({ orchestrators: 1, unwanted: 1 })).toEqual(['unwanted', 'orchestrators']);
  expect(codes({ ended: [{ reason: 'operator_stopped', count: 9 }] })).toEqual([]);
  expect(
    codes({ starts: [{ path: 'hot', starts: 4, slow: 4, p50_ms: 1, p95_ms: 9_000, p99_ms: 1, max_ms: 1 }] }),
  ).toEqual([]);
});

const due = (...sessions: number[]) =>
  sessions.map((count, minute) => ({ due_in_ms: minute * 60_000, sessions: count })) as never;

test('sessions are late if no prepared machine is left and theirs cannot be built in time', () => {
  expect(lateness(due(10), 10, 1, 5_000)).toEqual({ late: 0, worstS: 0, missing: 0 });
  expect(lateness(due(10), 4, 1, 5_000)).toEqual({ late: 6, worstS: 11, missing: 6 });
  // Within a minute, less 5 s for building, 55 machines are created.
  expect(lateness(due(0, 60), 0, 1, 5_000)).toMatchObject({ late: 5, missing: 5 });
  expect(lateness(due(1), 0, 0, 5_000).worstS).toBe(Number.POSITIVE_INFINITY);
});

test('a forecast names the region whose pool to raise, and knows when no machine can be created at all', () => {
  const pool = (region: string, ready: number) => ({ region, hot: false, floor: 0, ceiling: 9, ready, building: 0 });
  const facts = (perSecond: number) => ({
    image: 'i',
    tenants: [
      {
        ...{ tenant_id: 't', creates_per_second: perSecond, pools: [pool('iad', 2), pool('fra', 1)] },
        due: [{ region: 'fra', due_in_ms: 1_000, sessions: 10 }],
      },
    ],
  });
  const of = (perSecond: number) => forecastOf([], facts(perSecond) as never, { buildMs: 5_000 }).tenants[0];
  expect(of(1)).toMatchObject({ late: 7, worst_s: 11, advice_region: 'fra' });
  expect(of(1)?.advice).toContain('in fra to 8 now');
  expect(of(0)).toMatchObject({ late: 7, worst_s: null });
  const [none] = forecastOf([], { image: 'i', tenants: [{ ...facts(1).tenants[0], due: [] }] } as never, {
    buildMs: 5_000,
  }).tenants;
  expect(none).toBeUndefined();
});

test('a drained region is named by itself, not only in the sentence', () => {
  const drains = [
    { region: 'fra', why: 'a' },
    { region: 'fra2', why: 'b' },
  ] as never;
  expect(attentionOf({ ...calm, drains }).map(({ region }) => region)).toEqual(['fra', 'fra2']);
});

test('the cost of serving, standby and hot machines is given separately', () => {
  const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 } as const;
  const of = (hot: boolean, serving: boolean) => [{ region: 'fra', hot, serving, count: 2 }];
  const { serving } = hourlyUsd(of(false, true), { guest });
  expect(serving).toBeGreaterThan(0);
  expect(hourlyUsd(of(true, false), { guest })).toEqual({ serving: 0, standby: 0, hot: serving });
  const { standby, hot } = hourlyUsd(of(false, false), { guest });
  expect([standby > 0, standby < serving, hot]).toEqual([true, true, 0]);
});
