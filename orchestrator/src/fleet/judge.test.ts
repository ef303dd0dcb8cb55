import { defaultDeadlines as d } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import { flyId, makeAlive } from '../testing.ts';
import { type JudgeContext, judge, judgeAbsent, judgeFound, type Listed } from './judge.ts';

const listed = (state = 'started', hostStatus = 'ok'): FlyMachine => ({
  id: flyId,
  name: 'gr-x',
  state,
  region: 'fra',
  hostStatus,
  metadata: {},
});

const context: JudgeContext = { deadlines: d, leasesCount: true, receivesHeartbeats: true };

/** Name, changes to the row, Fly's list, and the expected verdict. */
const cases: Array<[string, Partial<AliveRow>, Listed, object]> = [
  ['a healthy live interview', {}, listed(), { kind: 'leave' }],
  ['a live interview when the list failed', {}, 'unknown', { kind: 'leave' }],
  ['a live interview missing from a list', {}, 'missing', { kind: 'probe', reason: 'worker_lost' }],
  ['a live interview listed as stopped', {}, listed('stopped'), { kind: 'probe' }],
  ['a live interview whose lease expired', { lease_lapsed: true }, listed(), { kind: 'probe' }],
  ['an expired lease when the list failed', { lease_lapsed: true }, 'unknown', { kind: 'probe' }],
  ['a live interview on a host that is not ok', {}, listed('started', 'unreachable'), { kind: 'probe' }],
  [
    'a machine past its hard deadline',
    { past_deadline: true },
    listed(),
    { kind: 'destroy', reason: 'hard_deadline', braked: false },
  ],
  [
    'a worker that still runs long after its session ended',
    { session_over_ms: d.stopTimeoutMs + 1 },
    listed(),
    { kind: 'destroy', reason: 'session_gone' },
  ],
  ['a worker that is tearing down its session', { session_over_ms: 2_000 }, listed(), { kind: 'leave' }],
  [
    'a machine whose worker has just reported that it is leaving',
    { state: 'draining', state_ms: 100, reason: 'session_ended' },
    listed(),
    { kind: 'probe', reason: 'session_ended' },
  ],
  [
    'a machine that is draining for too long',
    { state: 'draining', state_ms: d.drainingMs + 1, reason: 'handed_over' },
    listed(),
    { kind: 'destroy', reason: 'handed_over' },
  ],
  [
    'a machine that is being destroyed',
    { state: 'destroying', reason: 'boot_timeout' },
    'missing',
    { kind: 'destroy', braked: false },
  ],
  ['a machine that is booting', { state: 'created', state_ms: 20_000, session_rank: 30 }, listed(), { kind: 'leave' }],
  [
    'a machine that is late to be claimed',
    { state: 'created', state_ms: d.createMs + 1, session_rank: 30 },
    listed('starting'),
    { kind: 'hedge' },
  ],
  [
    'a standby machine that has waited for a long time',
    { state: 'created', state_ms: d.createMs + 1, session_id: null, session_rank: null },
    listed('created'),
    { kind: 'leave' },
  ],
  ['a machine whose host is ok again', { host_bad_ms: 4_000 }, listed(), { kind: 'noteHost', ok: true }],
  [
    'a machine that was never claimed',
    { state: 'created', state_ms: d.createMs + d.claimMs + 1, session_rank: 30 },
    listed(),
    { kind: 'destroy', reason: 'boot_timeout' },
  ],
  ['a machine whose boot failed', { state: 'created', session_rank: 30 }, listed('failed'), { kind: 'probe' }],
  [
    'a machine whose session ended before it booted',
    { state: 'created', session_rank: 90 },
    listed(),
    { kind: 'destroy', reason: 'session_gone' },
  ],
  [
    'an intent whose rate-limit slot has not come',
    { state: 'reserved', fly_machine_id: null, state_ms: -5_000, session_rank: 30 },
    'missing',
    { kind: 'leave' },
  ],
  [
    'an intent that was not executed in time',
    { state: 'reserved', fly_machine_id: null, state_ms: 80_000, session_rank: 30 },
    'missing',
    { kind: 'destroy', reason: 'boot_timeout' },
  ],
];

const waiting: Partial<AliveRow> = { hot: true, session_id: null, session_rank: null, serves: null, epoch: null };
const hotCases: typeof cases = [
  ['a hot machine that has waited for an hour', { state: 'started', state_ms: 3_600_000 }, listed(), { kind: 'leave' }],
  ['a hot machine that Fly stopped', { state: 'started' }, listed('stopped'), { kind: 'probe', reason: 'worker_lost' }],
  [
    'a hot machine whose worker is not heard',
    { state: 'started', lease_lapsed: true },
    listed(),
    { kind: 'destroy', reason: 'worker_lost', braked: true },
  ],
  ['a hot machine that boots', { state: 'created', state_ms: 1_000 }, listed('starting'), { kind: 'leave' }],
  [
    'a hot machine that never registers',
    { state: 'created', state_ms: d.createMs + d.claimMs + 1 },
    listed(),
    { kind: 'destroy', reason: 'boot_timeout' },
  ],
];

test.each(hotCases)('the verdict is right for %s', (_what, row, fly, expected) => {
  expect(judge(makeAlive({ ...waiting, lease_lapsed: false, ...row }), fly, context)).toMatchObject(expected);
});

test('no hot machine is destroyed for its lease while leases may not be judged', () => {
  const row = makeAlive({ ...waiting, state: 'started', lease_lapsed: true });
  expect(judge(row, listed(), { ...context, leasesCount: false })).toEqual({ kind: 'leave' });
});

describe('the verdict from row and list', () => {
  test.each(cases)('the verdict is right for %s', (_what, row, fly, expected) => {
    expect(judge(makeAlive(row), fly, context)).toMatchObject(expected);
  });
});

test('an expired lease is ignored while leases may not be judged', () => {
  const row = makeAlive({ lease_lapsed: true });
  expect(judge(row, listed(), { ...context, leasesCount: false })).toEqual({ kind: 'leave' });
});

describe('a probe that finds the machine', () => {
  test('a running machine with an expired lease is left alone', () => {
    expect(judgeFound(makeAlive({ lease_lapsed: true }), listed(), 'worker_lost', context)).toEqual({ kind: 'leave' });
  });

  test.each(['stopped', 'failed'])(
    'a claimed machine found %s is destroyed, because nothing starts it again',
    (state) => {
      expect(judgeFound(makeAlive(), listed(state), 'worker_lost', context)).toMatchObject({
        kind: 'destroy',
      });
    },
  );

  const lost = listed('started', 'unreachable');
  const silent = { lease_lapsed: true, host_bad_ms: d.hostGraceMs };

  test('an unreachable host is first recorded, and has no effect while the worker sends heartbeats', () => {
    expect(judgeFound(makeAlive(), lost, 'worker_lost', context)).toEqual({ kind: 'noteHost', ok: false });
    expect(judgeFound(makeAlive({ ...silent, lease_lapsed: false }), lost, 'worker_lost', context)).toEqual({
      kind: 'leave',
    });
  });

  test('a host that stays unreachable with no heartbeat is lost after the grace period; the brake counts it', () => {
    expect(judgeFound(makeAlive({ ...silent, host_bad_ms: d.hostGraceMs - 1 }), lost, 'worker_lost', context)).toEqual({
      kind: 'leave',
    });
    expect(judgeFound(makeAlive(silent), lost, 'worker_lost', context)).toMatchObject({
      reason: 'host_lost',
      braked: true,
    });
  });

  test('a machine on an unreachable host is left alone while leases may not be judged', () => {
    const blind = { ...context, leasesCount: false };
    expect(judgeFound(makeAlive(silent), lost, 'worker_lost', blind)).toEqual({ kind: 'leave' });
  });
});

describe('a machine that Fly does not find', () => {
  const suspicion = 'worker_lost';
  const missing = { absent_ms: d.absenceGraceMs };
  const silent = { ...missing, lease_lapsed: true };
  const booting = { state: 'created', epoch: null, session_rank: 30 } as const;
  const standby = { ...booting, session_id: null, session_rank: null } as const;

  test('the absence is only recorded until it has lasted for the grace period', () => {
    expect(judgeAbsent(makeAlive(), 'destroyed', suspicion, context)).toMatchObject({ kind: 'noteAbsent' });
    expect(judgeAbsent(makeAlive({ absent_ms: d.absenceGraceMs - 1 }), '404', suspicion, context)).toMatchObject({
      kind: 'noteAbsent',
    });
  });

  test('a machine that Fly reports destroyed after the grace period is gone; the brake cannot hold that', () => {
    expect(judgeAbsent(makeAlive(missing), 'destroyed', suspicion, context)).toMatchObject({
      kind: 'gone',
      braked: false,
    });
  });

  test('a machine whose worker sends heartbeats is left alone, however long Fly answers 404', () => {
    expect(judgeAbsent(makeAlive({ absent_ms: 600_000 }), '404', suspicion, context)).toEqual({ kind: 'leave' });
  });

  test('a 404 ends a claimed machine if its lease expired too and heartbeats were received; the brake may hold it', () => {
    expect(judgeAbsent(makeAlive(silent), '404', suspicion, context)).toMatchObject({ kind: 'gone', braked: true });
    const deaf = { ...context, receivesHeartbeats: false };
    expect(judgeAbsent(makeAlive(silent), '404', suspicion, deaf)).toEqual({ kind: 'leave' });
  });

  test('a booting machine with a 404 gets a hedge, because a 404 soon after a create is ordinary', () => {
    expect(judgeAbsent(makeAlive({ ...booting, ...missing }), '404', suspicion, context)).toMatchObject({
      kind: 'hedge',
    });
  });

  test('a standby machine is given up when the 404 has lasted as long as a boot may take', () => {
    const bootMs = d.createMs + d.claimMs;
    expect(judgeAbsent(makeAlive({ ...standby, absent_ms: bootMs - 1 }), '404', suspicion, context)).toEqual({
      kind: 'leave',
    });
    expect(judgeAbsent(makeAlive({ ...standby, absent_ms: bootMs }), '404', suspicion, context)).toMatchObject({
      kind: 'gone',
      braked: true,
    });
  });

  test.each(['draining', 'destroying'] as const)('a 404 is enough for a machine that is %s', (state) => {
    expect(judgeAbsent(makeAlive({ state, ...missing }), '404', suspicion, context)).toMatchObject({
      kind: 'gone',
      braked: false,
    });
  });
});

describe('a standby machine', () => {
  const standby = { state: 'created', epoch: null, session_id: null, session_rank: null } as const;
  const assigned = { ...standby, session_id: makeAlive().session_id, session_rank: 30 } as const;

  test.each(['created', 'stopped'])(
    'a standby machine is left alone in state %s, with or without a session',
    (state) => {
      expect(judge(makeAlive(standby), listed(state), context)).toEqual({ kind: 'leave' });
      expect(judge(makeAlive(assigned), listed(state), context)).toEqual({ kind: 'leave' });
      expect(judgeFound(makeAlive(standby), listed(state), 'start_failed', context)).toEqual({ kind: 'leave' });
    },
  );

  test('a standby machine is destroyed if a probe finds that it failed', () => {
    expect(judge(makeAlive(standby), listed('failed'), context)).toMatchObject({ kind: 'probe' });
    expect(judgeFound(makeAlive(standby), listed('failed'), 'start_failed', context)).toMatchObject({
      kind: 'destroy',
    });
  });
});
