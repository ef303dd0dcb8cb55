import type { Phases } from '../../database/phases-store.ts';

/**
 * Cuts the time from the moment a session was due until the interviewer's first words into segments. Each second belongs to one
 * segment, and each segment to whoever caused it.
 *
 * - A step whose time is unknown has no segment of its own: its time belongs to the next known step.
 * - Reports may arrive out of order by some ms (Fly's answer after the claim). A step never ends after the next one.
 */
export type Owner = 'us' | 'fly' | 'provider' | 'candidate';

/** `usualMs`: how long the step usually takes at most. Only what is longer counts as slow. */
const steps = {
  queue: { owner: 'us', usualMs: 0 },
  plan: { owner: 'us', usualMs: 1_000 },
  earlier: { owner: 'fly', usualMs: 0 },
  limit: { owner: 'fly', usualMs: 0 },
  ask: { owner: 'us', usualMs: 500 },
  create: { owner: 'fly', usualMs: 3_000 },
  start: { owner: 'fly', usualMs: 1_000 },
  boot: { owner: 'fly', usualMs: 2_000 },
  init: { owner: 'fly', usualMs: 500 },
  claim: { owner: 'us', usualMs: 1_000 },
  absent: { owner: 'candidate', usualMs: 60_000 },
  socket: { owner: 'us', usualMs: 300 },
  offer: { owner: 'candidate', usualMs: 1_000 },
  credential: { owner: 'provider', usualMs: 400 },
  answer: { owner: 'provider', usualMs: 800 },
  connect: { owner: 'candidate', usualMs: 800 },
  words: { owner: 'provider', usualMs: 1_000 },
} as const satisfies Record<string, { owner: Owner; usualMs: number }>;

export type StepName = keyof typeof steps;

export interface Segment {
  step: StepName;
  owner: Owner;
  /** Unix ms. */
  from: number;
  until: number;
  ms: number;
  /** By how much it was longer than usual, ms. */
  excessMs: number;
}

type Point = [step: StepName, at: number | null];

/** The segments between `from` and the last known point. */
function cut(from: number, points: Point[]): Segment[] {
  const known = points.filter((point): point is [StepName, number] => point[1] !== null);
  let latest = Number.POSITIVE_INFINITY;
  const ordered = known.toReversed().map(([step, at]): [StepName, number] => {
    latest = Math.min(latest, at);
    return [step, latest];
  });
  let since = from;
  return ordered.toReversed().flatMap(([step, at]) => {
    const until = Math.max(since, at);
    const ms = until - since;
    const { owner, usualMs } = steps[step];
    const segment = { step, owner, from: since, until, ms, excessMs: Math.max(0, ms - usualMs) };
    since = until;
    return ms > 0 ? [segment] : [];
  });
}

/** From the moment it was due until it was ready. Of a session that is not ready: until the last step that is known. */
export function startSegments(p: Phases): Segment[] {
  if (p.due_at === null) return [];
  const begun: Point = [p.queued ? 'queue' : 'plan', p.begun_at];
  const isCreated = p.path === 'cold';
  const ready: Point = [p.booted_at === null ? 'boot' : 'claim', p.ready_at];
  return cut(p.due_at, [
    begun,
    ['earlier', p.reserved_at],
    ...(isCreated ? ([['limit', p.slot_at]] as Point[]) : []),
    ['ask', p.asked_at],
    [isCreated ? 'create' : 'start', p.answered_at],
    ['boot', p.started_at],
    [p.started_at === null ? 'boot' : 'init', p.booted_at],
    ready,
  ]);
}

/** When the candidate came: pressed Start, or else reached the edge with a join token of the platform. */
export const arrivalOf = ({ joined_at, socket_at, edge_wait_ms }: Phases): number | null =>
  joined_at ?? (socket_at === null ? null : socket_at - (edge_wait_ms ?? 0));

/** From the moment it was ready until the interviewer's first words. */
export function callSegments(p: Phases): Segment[] {
  if (p.ready_at === null) return [];
  return cut(Math.max(p.ready_at, p.due_at ?? 0), [
    ['absent', arrivalOf(p)],
    ['socket', p.socket_at],
    ['offer', p.offered_at],
    ['credential', p.credential_at],
    ['answer', p.call_answered_at],
    ['connect', p.connected_at],
    ['words', p.spoke_at],
  ]);
}
