import { startBudgetsMs } from '@greenroom/shared/protocol/operators.ts';
import type { Phases } from '../../database/phases-store.ts';
import { arrivalOf, callSegments, type Owner, type Segment, type StepName, startSegments } from './segments.ts';

/**
 * Says in one sentence why an interview began slowly. Pure: the same phases give the same sentence, in the API and in `greenroom`.
 *
 * - An interview is slow if it was ready later than its path allows, or if the first words came later than `wordsMs` after the
 *   candidate and the worker were there. The step with the most time beyond the usual gives the verdict.
 * - A late candidate is the verdict only if nothing else was slow.
 */
export const verdicts = [
  'in_time',
  'under_way',
  'create_limit',
  'admission_queue',
  'region_full',
  'hedged',
  'machine_lost',
  'no_standby',
  'slow_create',
  'slow_start',
  'slow_boot',
  'slow_worker',
  'slow_orchestrator',
  'slow_edge',
  'slow_provider',
  'slow_browser',
  'late_candidate',
  'never_ready',
] as const;
export type Verdict = (typeof verdicts)[number];

export interface Explanation {
  verdict: Verdict;
  /** By how much the interview began too late, ms. */
  over_ms: number;
  sentence: string;
  /** Who owned how much of the time until the first words, ms. */
  blame: Record<Owner, number>;
  segments: Segment[];
}

/** From the moment candidate and worker are there until the first words. */
export const wordsMs = 3_000;
/** A scheduled session that is ready this long after its time still counts as in time. */
const toleranceMs = 250;

const oneDecimal = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const ordinals = new Intl.PluralRules('en', { type: 'ordinal' });
const endings: Record<string, string> = { one: 'st', two: 'nd', few: 'rd', other: 'th' };
const ordinal = (n: number): string => `${n}${endings[ordinals.select(n)]}`;

/** A duration in words: `31.4 s`, `4 min 10 s`. */
export function duration(ms: number): string {
  if (ms < 120_000) return `${oneDecimal.format(ms / 1_000)} s`;
  const seconds = Math.round(ms / 1_000);
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600)];
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min ${seconds % 60} s`;
}

/** The time of day in UTC, such as 09:00. */
const timeOfDay = (at: number): string => new Date(at).toISOString().slice(11, 16);

const request = ({ fly_request_id: id }: Phases): string => (id === null ? '' : `, Fly's request ${id}`);
const isCold = ({ path }: Phases): boolean => path === 'cold';
const noStandby = (p: Phases): string =>
  isCold(p) && p.standby_kept !== null ? `no standby in ${p.wanted_region}` : '';

type Cause = [verdict: Verdict, words: string];

function ofLimit(p: Phases, { ms }: Segment): Cause {
  const place =
    p.slot_place !== null && p.slot_count !== null && p.due_at !== null
      ? `${ordinal(p.slot_place)} of ${p.slot_count} at ${timeOfDay(p.due_at)}`
      : '';
  const details = [place, isCold(p) ? `no standby in ${p.wanted_region}` : ''].filter((text) => text !== '');
  return ['create_limit', `waited ${duration(ms)} for Fly's create limit (${details.join(', ')})`];
}

function ofEarlier(p: Phases, { ms }: Segment): Cause {
  const last = p.earlier.at(-1);
  const took = duration(ms);
  const next = last?.region === p.region ? 'the next machine' : `the next machine, in ${p.region},`;
  if (last === undefined || last.reason === null || last.reason === 'superseded')
    return [
      'hedged',
      `the machine in ${last?.region ?? '?'} was late, so a second one was tried after ${took} in ${p.region}`,
    ];
  if (last.reason === 'create_failed' && /noCapacity|hostBusy|quota/.test(last.evidence ?? ''))
    return ['region_full', `${last.region} was full, and ${next} was asked for ${took} later`];
  const evidence = last.evidence === null ? '' : ` (${last.evidence})`;
  return [
    'machine_lost',
    `a machine in ${last.region} ended with ${last.reason}${evidence}, and ${next} was asked for ${took} later`,
  ];
}

/** The verdict and its words for each step. */
const causes: Record<StepName, (p: Phases, segment: Segment) => Cause> = {
  queue: (_p, { ms }) => ['admission_queue', `waited ${duration(ms)} in the tenant's queue for a free place`],
  plan: (_p, { ms }) => ['slow_orchestrator', `waited ${duration(ms)} until an orchestrator began to start it`],
  earlier: ofEarlier,
  limit: ofLimit,
  ask: (_p, { ms }) => ['slow_orchestrator', `waited ${duration(ms)} until an orchestrator asked Fly`],
  create: (p, { ms }) => ['slow_create', `Fly took ${duration(ms)} to create the machine in ${p.region}${request(p)}`],
  start: (p, { ms }) => ['slow_start', `Fly took ${duration(ms)} to accept the start in ${p.region}${request(p)}`],
  boot: (p, { ms }) => ['slow_boot', `the machine took ${duration(ms)} to boot in ${p.region}${request(p)}`],
  init: (p, { ms }) => ['slow_boot', `the VM took ${duration(ms)} from its boot to the worker's start in ${p.region}`],
  claim: (_p, { ms }) => ['slow_worker', `the worker took ${duration(ms)} from its start to its claim`],
  absent: (_p, { ms }) => ['late_candidate', `the candidate came ${duration(ms)} after the interview was ready`],
  socket: (_p, { ms }) => ['slow_edge', `the candidate's socket took ${duration(ms)} to reach the worker`],
  offer: (_p, { ms }) => ['slow_browser', `the candidate's browser took ${duration(ms)} to offer a call`],
  credential: (_p, { ms }) => ['slow_provider', `the voice provider took ${duration(ms)} to give a credential`],
  answer: (_p, { ms }) => ['slow_provider', `the voice provider took ${duration(ms)} to answer the call`],
  connect: (_p, { ms }) => ['slow_browser', `the candidate's browser took ${duration(ms)} to connect the call`],
  words: (_p, { ms }) => ['slow_provider', `the voice provider took ${duration(ms)} to speak`],
};

const sum = (segments: Segment[], of: (segment: Segment) => number): number =>
  segments.reduce((total, segment) => total + of(segment), 0);
const slowest = (segments: Segment[]): Segment | undefined =>
  segments.toSorted((a, b) => b.excessMs - a.excessMs || b.ms - a.ms)[0];
const isSlow = ({ step, excessMs }: Segment): boolean => step !== 'absent' && excessMs > 0;

/** What the tenant may expect: a standby start where it keeps a pool. */
function startBudget(p: Phases): number {
  if (p.scheduled) return startBudgetsMs.scheduled + toleranceMs;
  return startBudgetsMs[isCold(p) && p.standby_kept !== null ? 'standby' : (p.path ?? 'cold')];
}

/** The cause of a late start. A pool that was empty is the cause if no step by itself was. */
function startCause(p: Phases, segments: Segment[], overMs: number): { cause: Cause; weight: number } | undefined {
  const worst = slowest(segments);
  if (worst === undefined) return undefined;
  if (noStandby(p) !== '' && worst.excessMs < overMs / 2) {
    const took = duration(sum(segments, ({ ms }) => ms));
    return { cause: ['no_standby', `${noStandby(p)}, so a machine was created, which took ${took}`], weight: overMs };
  }
  return { cause: causes[worst.step](p, worst), weight: Math.max(worst.excessMs, 1) };
}

function whileUnderWay(
  p: Phases,
  segments: Segment[],
  nowMs: number,
): Pick<Explanation, 'verdict' | 'over_ms' | 'sentence'> {
  const dueMs = p.due_at ?? nowMs;
  const worst = slowest(segments.filter(isSlow));
  const because = worst === undefined ? '' : `; ${causes[worst.step](p, worst)[1]}`;
  if (p.completed_at !== null) {
    const over = Math.max(0, p.completed_at - dueMs);
    return {
      verdict: 'never_ready',
      over_ms: over,
      sentence: `Never ready: ended with ${p.reason} ${duration(over)} after it was due${because}.`,
    };
  }
  const over = Math.max(0, nowMs - dueMs - startBudget(p));
  const since = nowMs < dueMs ? `due in ${duration(dueMs - nowMs)}` : `due for ${duration(nowMs - dueMs)}`;
  return { verdict: 'under_way', over_ms: over, sentence: `Not ready yet: ${since}${because}.` };
}

/** @param nowMs Unix ms; only a session that is not ready yet depends on it */
export function explain(p: Phases, nowMs: number): Explanation {
  const start = startSegments(p);
  const call = callSegments(p);
  const segments = [...start, ...call];
  const blame: Explanation['blame'] = { us: 0, fly: 0, provider: 0, candidate: 0 };
  for (const { owner, ms } of segments) blame[owner] += ms;
  if (p.ready_at === null || p.due_at === null) return { ...whileUnderWay(p, start, nowMs), blame, segments };

  const startMs = Math.max(0, p.ready_at - p.due_at);
  const startOver = Math.max(0, startMs - startBudget(p));
  const inCall = call.filter(({ step }) => step !== 'absent');
  const callOver = Math.max(0, sum(inCall, ({ ms }) => ms) - wordsMs);
  const ofStart = startOver > 0 ? startCause(p, start, startOver) : undefined;
  const worstOfCall = callOver > 0 ? slowest(inCall) : undefined;
  const over_ms = startOver + callOver;
  const whole = { blame, segments, over_ms };
  if (worstOfCall !== undefined && worstOfCall.excessMs > (ofStart?.weight ?? 0)) {
    const [verdict, words] = causes[worstOfCall.step](p, worstOfCall);
    return { ...whole, verdict, sentence: `Slow by ${duration(over_ms)}: ${words}.` };
  }
  if (ofStart !== undefined) {
    const [verdict, words] = ofStart.cause;
    return { ...whole, verdict, sentence: `Slow by ${duration(over_ms)}: ${words}.` };
  }
  const ready = `ready ${duration(startMs)} after it was due (${p.path} path, ${p.region})`;
  const absent = call.find(({ step }) => step === 'absent');
  if (absent !== undefined && absent.excessMs > 0) {
    const sentence = `Late by ${duration(absent.ms)}: ${causes.absent(p, absent)[1]}; it was ${ready}.`;
    return { ...whole, verdict: 'late_candidate', over_ms: absent.ms, sentence };
  }
  const arrived = arrivalOf(p);
  const words =
    p.spoke_at === null || arrived === null
      ? ''
      : `, first words ${duration(Math.max(0, p.spoke_at - Math.max(arrived, p.ready_at)))} after the candidate came`;
  return { ...whole, verdict: 'in_time', sentence: `In time: ${ready}${words}.` };
}
