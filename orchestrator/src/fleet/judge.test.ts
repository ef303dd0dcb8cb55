import { defaultDeadlines as d } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import { flyId, makeAlive } from '../testing.ts';
import { brakeLimit, type Court, judge, judgeFound, type Listed } from './judge.ts';

const listed = (state = 'started', hostStatus = 'ok'): FlyMachine => ({
  id: flyId,
  name: 'gr-x',
  state,
  region: 'fra',
  hostStatus,
  metadata: {},
});

const court: Court = { deadlines: d, leasesCount: true };

/** What is known of a machine, and what should be done about it. */
const cases: Array<[string, Partial<AliveRow>, Listed, object]> = [
  ['a healthy live interview', {}, listed(), { kind: 'leave' }],
  ['a live interview while the list failed', {}, 'unknown', { kind: 'leave' }],
  ['a live interview missing from a list', {}, 'missing', { kind: 'probe', reason: 'worker_lost' }],
  ['a live interview listed as stopped', {}, listed('stopped'), { kind: 'probe' }],
  [
    'a live interview whose lease lapsed',
    { lease_lapsed: true },
    listed(),
    { kind: 'probe', sessionReason: 'worker_lost' },
  ],
  ['a lapsed lease while the list failed', { lease_lapsed: true }, 'unknown', { kind: 'probe' }],
  ['a live interview on a host that is not ok', {}, listed('started', 'unreachable'), { kind: 'probe' }],
  [
    'a machine past its hard deadline',
    { past_deadline: true },
    listed(),
    { kind: 'destroy', reason: 'hard_deadline', braked: false },
  ],
  [
    'a worker that outstays its session',
    { session_over_ms: d.stopTimeoutMs + 1 },
    listed(),
    { kind: 'destroy', reason: 'session_gone' },
  ],
  ['a worker in its teardown', { session_over_ms: 2_000 }, listed(), { kind: 'leave' }],
  [
    'a machine that just said goodbye',
    { state: 'draining', state_ms: 100, reason: 'session_ended' },
    listed(),
    { kind: 'probe', reason: 'session_ended' },
  ],
  [
    'one that does not leave',
    { state: 'draining', state_ms: d.drainingMs + 1, reason: 'handed_over' },
    listed(),
    { kind: 'destroy', reason: 'handed_over' },
  ],
  [
    'one being destroyed',
    { state: 'destroying', reason: 'boot_timeout' },
    'missing',
    { kind: 'destroy', sessionReason: 'boot_timeout', braked: false },
  ],
  ['a machine that is booting', { state: 'created', state_ms: 20_000, session_rank: 30 }, listed(), { kind: 'leave' }],
  [
    'one that is late',
    { state: 'created', state_ms: d.createMs + 1, session_rank: 30 },
    listed('starting'),
    { kind: 'hedge' },
  ],
  [
    'a standby machine that rests for long',
    { state: 'created', state_ms: d.createMs + 1, session_id: null, session_rank: null },
    listed('created'),
    { kind: 'leave' },
  ],
  ['a machine whose host is well again', { host_bad_ms: 4_000 }, listed(), { kind: 'noteHost', ok: true }],
  [
    'one that was never claimed',
    { state: 'created', state_ms: d.createMs + d.claimMs + 1, session_rank: 30 },
    listed(),
    { kind: 'destroy', reason: 'boot_timeout', sessionReason: 'boot_timeout' },
  ],
  [
    'one whose boot failed',
    { state: 'created', session_rank: 30 },
    listed('failed'),
    { kind: 'probe', sessionReason: 'boot_timeout' },
  ],
  [
    'one whose session ended before it booted',
    { state: 'created', session_rank: 90 },
    listed(),
    { kind: 'destroy', reason: 'session_gone' },
  ],
  [
    'an intent that waits for its slot',
    { state: 'reserved', fly_machine_id: null, state_ms: -5_000, session_rank: 30 },
    'missing',
    { kind: 'leave' },
  ],
  [
    'an intent that could never be executed',
    { state: 'reserved', fly_machine_id: null, state_ms: 80_000, session_rank: 30 },
    'missing',
    { kind: 'destroy', reason: 'boot_timeout' },
  ],
];

describe('the verdict about', () => {
  test.each(cases)('%s', (_what, row, fly, expected) => {
    expect(judge(makeAlive(row), fly, court)).toMatchObject(expected);
  });
});

test('no lease is looked at while leases may not be judged', () => {
  const row = makeAlive({ lease_lapsed: true });
  expect(judge(row, listed(), { ...court, leasesCount: false })).toEqual({ kind: 'leave' });
});

describe('a probe that finds the machine', () => {
  test('running: a lapsed lease is no evidence, nothing is done', () => {
    expect(judgeFound(makeAlive({ lease_lapsed: true }), listed(), 'worker_lost', court)).toEqual({ kind: 'leave' });
  });

  test.each(['stopped', 'failed'])('%s: nothing starts it again, it is destroyed', (state) => {
    expect(judgeFound(makeAlive(), listed(state), 'worker_lost', court)).toMatchObject({
      kind: 'destroy',
      sessionReason: 'worker_lost',
    });
  });

  const lost = listed('started', 'unreachable');
  const silent = { lease_lapsed: true, host_bad_ms: d.hostGraceMs };

  test('on an unreachable host: first noted, then left alone while its worker is heard', () => {
    expect(judgeFound(makeAlive(), lost, 'worker_lost', court)).toEqual({ kind: 'noteHost', ok: false });
    expect(judgeFound(makeAlive({ ...silent, lease_lapsed: false }), lost, 'worker_lost', court)).toEqual({
      kind: 'leave',
    });
  });

  test('on a host that is unreachable for a grace, and silent: lost, and the brake counts it', () => {
    expect(judgeFound(makeAlive({ ...silent, host_bad_ms: d.hostGraceMs - 1 }), lost, 'worker_lost', court)).toEqual({
      kind: 'leave',
    });
    expect(judgeFound(makeAlive(silent), lost, 'worker_lost', court)).toMatchObject({
      reason: 'host_lost',
      braked: true,
    });
  });

  test('on an unreachable host while leases may not be judged: left alone', () => {
    const blind = { ...court, leasesCount: false };
    expect(judgeFound(makeAlive(silent), lost, 'worker_lost', blind)).toEqual({ kind: 'leave' });
  });
});

test('the brake allows five, or one in twenty', () => {
  expect([0, 5, 100, 101, 1_000].map(brakeLimit)).toEqual([5, 5, 5, 5, 50]);
});
