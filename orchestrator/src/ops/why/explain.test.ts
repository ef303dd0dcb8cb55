import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Phases } from '../../database/phases-store.ts';
import { duration, explain, verdicts } from './explain.ts';

const nine = Date.parse('2026-11-27T09:00:00Z');
const at = (seconds: number): number => nine + seconds * 1_000;

/** A cold start of 2.4 s in fra, with a candidate who comes 5 s later and first words 1.5 s after that. */
const cold: Phases = {
  status: 'in_progress',
  ...{ path: 'cold', attempts: 1, earlier: [], wanted_region: 'fra', region: 'fra', standby_kept: null },
  ...{ slot_place: null, slot_count: null, fly_request_id: '01JFLY', scheduled: false, queued: false, reason: null },
  ...{ due_at: at(0), begun_at: at(0), reserved_at: at(0), slot_at: at(0), asked_at: at(0.1), answered_at: at(1.2) },
  ...{ started_at: at(1.5), booted_at: at(1.7), ready_at: at(2.4), completed_at: null },
  ...{ looked_at: at(3), joined_at: at(7.4), edge_wait_ms: 0, socket_at: at(7.6), offered_at: at(8) },
  ...{ credential_at: at(8.2), call_answered_at: at(8.5), connected_at: at(8.6), spoke_at: at(8.9) },
};
/** Moves every step from `reserved_at` or a later one on. */
const later = (phases: Phases, from: keyof Phases, seconds: number): Phases => {
  const order = Object.keys(cold) as Array<keyof Phases>;
  const moved = order.slice(order.indexOf(from)).filter((key) => /_at$/.test(key) && phases[key] !== null);
  return { ...phases, ...Object.fromEntries(moved.map((key) => [key, (phases[key] as number) + seconds * 1_000])) };
};
const earlier = (reason: string | null, evidence: string | null, seconds: number) => [
  { region: 'fra', reason, evidence, from: at(0), until: reason === null ? null : at(seconds) },
];

test.each<[what: string, phases: Phases, verdict: string, overS: number, sentence: string]>([
  [
    'a start within the budget of its path',
    cold,
    'in_time',
    0,
    'In time: ready 2.4 s after it was due (cold path, fra), first words 1.5 s after the candidate came.',
  ],
  [
    'a scheduled start that waited for the create limit',
    { ...later(cold, 'slot_at', 29), scheduled: true, slot_place: 30, slot_count: 100 },
    'create_limit',
    31.15,
    "Slow by 31.2 s: waited 29.0 s for Fly's create limit (30th of 100 at 09:00, no standby in fra).",
  ],
  [
    'a full region',
    {
      ...later(cold, 'reserved_at', 9),
      earlier: earlier('create_failed', 'noCapacity', 9),
      region: 'ams',
      attempts: 2,
    },
    'region_full',
    5.4,
    'Slow by 5.4 s: fra was full, and the next machine, in ams, was asked for 9.0 s later.',
  ],
  [
    'a machine that ended before its claim',
    { ...later(cold, 'reserved_at', 60), earlier: earlier('boot_timeout', 'no claim for 30 s', 60), attempts: 2 },
    'machine_lost',
    56.4,
    'Slow by 56.4 s: a machine in fra ended with boot_timeout (no claim for 30 s), and the next machine was asked for 60.0 s later.',
  ],
  [
    'a hedge that was faster',
    { ...later(cold, 'reserved_at', 45), earlier: earlier(null, null, 45), region: 'ams', attempts: 2 },
    'hedged',
    41.4,
    'Slow by 41.4 s: the machine in fra was late, so a second one was tried after 45.0 s in ams.',
  ],
  [
    'a cold start although the tenant keeps a pool',
    { ...later(cold, 'answered_at', 1.5), standby_kept: 10 },
    'no_standby',
    1.9,
    'Slow by 1.9 s: no standby in fra, so a machine was created, which took 3.9 s.',
  ],
  [
    'a slow create',
    later(cold, 'answered_at', 10),
    'slow_create',
    6.4,
    "Slow by 6.4 s: Fly took 11.1 s to create the machine in fra, Fly's request 01JFLY.",
  ],
  [
    'a slow start of a standby machine',
    { ...later(cold, 'answered_at', 4), path: 'standby', slot_at: null },
    'slow_start',
    4.4,
    "Slow by 4.4 s: Fly took 5.1 s to accept the start in fra, Fly's request 01JFLY.",
  ],
  [
    'a slow boot',
    later(cold, 'started_at', 20),
    'slow_boot',
    16.4,
    "Slow by 16.4 s: the machine took 20.3 s to boot in fra, Fly's request 01JFLY.",
  ],
  [
    'a worker that was slow to claim',
    later(cold, 'ready_at', 9),
    'slow_worker',
    5.4,
    'Slow by 5.4 s: the worker took 9.7 s from its start to its claim.',
  ],
  [
    'an orchestrator that was slow to ask Fly',
    later(cold, 'asked_at', 9),
    'slow_orchestrator',
    5.4,
    'Slow by 5.4 s: waited 9.1 s until an orchestrator asked Fly.',
  ],
  [
    'a queued session',
    { ...later(cold, 'begun_at', 40), queued: true },
    'admission_queue',
    36.4,
    "Slow by 36.4 s: waited 40.0 s in the tenant's queue for a free place.",
  ],
  [
    'a slow provider',
    later(cold, 'call_answered_at', 6),
    'slow_provider',
    4.5,
    'Slow by 4.5 s: the voice provider took 6.3 s to answer the call.',
  ],
  [
    "a slow candidate's browser",
    later(cold, 'offered_at', 6),
    'slow_browser',
    4.5,
    "Slow by 4.5 s: the candidate's browser took 6.4 s to offer a call.",
  ],
  [
    'a socket that was slow to arrive',
    later(cold, 'socket_at', 6),
    'slow_edge',
    4.5,
    "Slow by 4.5 s: the candidate's socket took 6.2 s to reach the worker.",
  ],
  [
    'a late candidate',
    later(cold, 'joined_at', 300),
    'late_candidate',
    305,
    'Late by 5 min 5 s: the candidate came 5 min 5 s after the interview was ready; it was ready 2.4 s after it was due (cold path, fra).',
  ],
  [
    'a session that is not ready yet',
    { ...later(cold, 'slot_at', 29), answered_at: null, started_at: null, booted_at: null, ready_at: null },
    'under_way',
    34,
    "Not ready yet: due for 40.0 s; waited 29.0 s for Fly's create limit (no standby in fra).",
  ],
  [
    'a session that ended before it was ready',
    {
      ...{ ...cold, answered_at: null, started_at: null, booted_at: null, ready_at: null },
      ...{ completed_at: at(75), reason: 'boot_timeout' },
    },
    'never_ready',
    75,
    'Never ready: ended with boot_timeout 75.0 s after it was due.',
  ],
])('%s: the verdict and its sentence', (_what, phases, verdict, overS, sentence) => {
  const found = explain(phases, at(40));
  expect(found).toMatchObject({ verdict, sentence });
  expect(found.over_ms / 1_000).toBeCloseTo(overS, 2);
  covered.add(verdict);
});
const covered = new Set<string>();

test('every verdict of the list has a case in the table', () => {
  expect([...covered].toSorted()).toEqual([...verdicts].toSorted());
});

test('docs/operate.md explains every verdict and no other', () => {
  const text = readFileSync(new URL('../../../../docs/operate.md', import.meta.url), 'utf8');
  const [, section = ''] = text.split('## Why did this interview start slowly?');
  const explained = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, verdict]) => verdict);
  expect(explained).toEqual([...verdicts]);
});

test('every second until the first words has exactly one owner', () => {
  const { blame, segments } = explain(later(later(cold, 'slot_at', 29), 'call_answered_at', 6), at(0));
  const total = Object.values(blame).reduce((sum, ms) => sum + ms, 0);
  expect(total).toBe(at(8.9 + 29 + 6) - at(0));
  for (const [index, segment] of segments.entries()) expect(segment.from).toBe(segments[index - 1]?.until ?? at(0));
});

test('a candidate who waits for the worker is not late, and the wait counts once', () => {
  const phases = { ...later(cold, 'slot_at', 29), joined_at: at(1), edge_wait_ms: 20_000, socket_at: at(31.6) };
  const { blame, verdict } = explain(phases, at(0));
  expect(verdict).toBe('create_limit');
  expect(blame.candidate).toBeLessThan(7_000);
});

test('the record of Fly’s answer may come after the claim', () => {
  const { segments } = explain({ ...cold, answered_at: at(2.5) }, at(0));
  expect(segments.map(({ step }) => step)).toContain('create');
  expect(Math.min(...segments.map(({ ms }) => ms))).toBeGreaterThan(0);
});

test('durations read well at every size', () => {
  expect([0, 31_400, 119_949, 250_000, 7_260_000].map(duration)).toEqual([
    '0.0 s',
    '31.4 s',
    '119.9 s',
    '4 min 10 s',
    '2 h 1 min',
  ]);
});
