import { defaultDeadlines as d } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import { flyId, makeAlive } from '../testing.ts';
import { type Court, judge, judgeAbsent, judgeFound, type Listed } from './judge.ts';

const listed = (state = 'started', hostStatus = 'ok'): FlyMachine => ({
  id: flyId,
  name: 'gr-x',
  state,
  region: 'fra',
  hostStatus,
  metadata: {},
});

const court: Court = { deadlines: d, leasesCount: true, hears: true };

/** What is known of a machine, and what should be done about it. */
const cases: Array<[string, Partial<AliveRow>, Listed, object]> = [
  ['a healthy live interview', {}, listed(), { kind: 'leave' }],
  ['a live interview while the list failed', {}, 'unknown', { kind: 'leave' }],
  ['a live interview missing from a list', {}, 'missing', { kind: 'probe', reason: 'worker_lost' }],
  ['a live interview listed as stopped', {}, listed('stopped'), { kind: 'probe' }],
  ['a live interview whose lease lapsed', { lease_lapsed: true }, listed(), { kind: 'probe' }],
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
    { kind: 'destroy', braked: false },
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
    { kind: 'destroy', reason: 'boot_timeout' },
  ],
  ['one whose boot failed', { state: 'created', session_rank: 30 }, listed('failed'), { kind: 'probe' }],
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

describe('a machine that Fly does not find', () => {
  const suspicion = 'worker_lost';
  const missing = { absent_ms: d.absenceGraceMs };
  const silent = { ...missing, lease_lapsed: true };
  const booting = { state: 'created', epoch: null, session_rank: 30 } as const;
  const standby = { ...booting, session_id: null, session_rank: null } as const;

  test('is only noted the first time, whatever Fly says', () => {
    expect(judgeAbsent(makeAlive(), 'destroyed', suspicion, court)).toMatchObject({ kind: 'noteAbsent' });
    expect(judgeAbsent(makeAlive({ absent_ms: d.absenceGraceMs - 1 }), '404', suspicion, court)).toMatchObject({
      kind: 'noteAbsent',
    });
  });

  test('is gone when Fly calls it destroyed a grace later: certain, whatever the brake says', () => {
    expect(judgeAbsent(makeAlive(missing), 'destroyed', suspicion, court)).toMatchObject({
      kind: 'gone',
      braked: false,
    });
  });

  test('lives on while its worker is heard, however often Fly answers 404', () => {
    expect(judgeAbsent(makeAlive({ absent_ms: 600_000 }), '404', suspicion, court)).toEqual({ kind: 'leave' });
  });

  test('is gone by a 404 when its worker is silent for a lease too, and the brake may hold that', () => {
    expect(judgeAbsent(makeAlive(silent), '404', suspicion, court)).toMatchObject({ kind: 'gone', braked: true });
    const deaf = { ...court, hears: false };
    expect(judgeAbsent(makeAlive(silent), '404', suspicion, deaf)).toEqual({ kind: 'leave' });
  });

  test('while it boots, gets a second attempt beside it: a 404 right after a create is ordinary', () => {
    expect(judgeAbsent(makeAlive({ ...booting, ...missing }), '404', suspicion, court)).toMatchObject({
      kind: 'hedge',
    });
  });

  test('standing by, is given up when the 404 has lasted as long as a boot may take', () => {
    const bootMs = d.createMs + d.claimMs;
    expect(judgeAbsent(makeAlive({ ...standby, absent_ms: bootMs - 1 }), '404', suspicion, court)).toEqual({
      kind: 'leave',
    });
    expect(judgeAbsent(makeAlive({ ...standby, absent_ms: bootMs }), '404', suspicion, court)).toMatchObject({
      kind: 'gone',
      braked: true,
    });
  });

  test.each(['draining', 'destroying'] as const)('and is %s anyway, is gone by a 404', (state) => {
    expect(judgeAbsent(makeAlive({ state, ...missing }), '404', suspicion, court)).toMatchObject({
      kind: 'gone',
      braked: false,
    });
  });
});

describe('a machine that was made ahead', () => {
  const standby = { state: 'created', epoch: null, session_id: null, session_rank: null } as const;
  const assigned = { ...standby, session_id: makeAlive().session_id, session_rank: 30 } as const;

  test.each(['created', 'stopped'])('rests in %s: left alone, in a pool and when a session has it', (state) => {
    expect(judge(makeAlive(standby), listed(state), court)).toEqual({ kind: 'leave' });
    expect(judge(makeAlive(assigned), listed(state), court)).toEqual({ kind: 'leave' });
    expect(judgeFound(makeAlive(standby), listed(state), 'start_failed', court)).toEqual({ kind: 'leave' });
  });

  test('that failed is destroyed', () => {
    expect(judge(makeAlive(standby), listed('failed'), court)).toMatchObject({ kind: 'probe' });
    expect(judgeFound(makeAlive(standby), listed('failed'), 'start_failed', court)).toMatchObject({ kind: 'destroy' });
  });
});
