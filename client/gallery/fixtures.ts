import { sessionReasons } from '@greenroom/shared/session/reasons.ts';
import { en } from '../react/en.ts';
import { type ProblemCode, problemCodes } from '../src/problems.ts';
import type { RecordingProblem, RecordingSnapshot } from '../src/recording-types.ts';
import type { Interview, Invitation, Snapshot, Status, TranscriptLine, WithdrawalEffect } from '../src/types.ts';

/**
 * Each screen and state of the room. Where the SDK has a closed list (statuses, problems, states of the recording), there is a
 * record over that list, so that a state without a fixture is a type error. gallery.test.ts compares the texts.
 */
export interface Fixture {
  invitation?: Partial<Invitation>;
  snapshot?: Partial<Snapshot>;
  recording?: Partial<RecordingSnapshot>;
  /** What the interview answers. */
  answers?: Partial<Interview>;
  /** What is shown last. Default: a screen other than the first. */
  shows?: string;
  /** Minutes that are left, of which the candidate is told. */
  warning?: number;
  /** Pressed in this order: selectors of a control and of what it shows. */
  press?: ReadonlyArray<readonly [control: string, shows: string]>;
}

const minuteMs = 60_000;
const at = Date.UTC(2026, 10, 26, 14, 3, 21);
const line = (item: number, speaker: 'ai' | 'candidate', text: string, final = true): TranscriptLine => ({
  ...{ ordinal: 1, item_id: `item_${item}`, previous_item_id: null, speaker, text, final },
  ...{ confidence: null, start_ms: null, end_ms: null, interrupted: false, verified: true },
});
const talk = Array.from({ length: 6 }, (_, turn) => [
  line(2 * turn, 'ai', 'Thank you. Could you describe a system you built, and what you would do differently today?'),
  line(
    2 * turn + 1,
    'candidate',
    'We ran a queue in front of Postgres. Today I would begin without it and measure first, because the load was small.',
    turn < 5,
  ),
]).flat();
const clockAt = (goneMinutes: number) => ({
  startedAt: Date.now() - goneMinutes * minuteMs,
  endsAt: Date.now() + (50 - goneMinutes) * minuteMs,
});

const live: Partial<Snapshot> = {
  status: { name: 'live', turn: 'listening', since: at },
  saving: { state: 'saved', savedUpTo: at, pending: 0 },
  clock: clockAt(20),
  transcript: talk,
};
const withStatus = (status: Status): Fixture => ({ snapshot: { ...live, status } });

const early = { startsAt: Date.now() + 60 * minuteMs, joinable: false, status: 'scheduled' };
const usually = Date.now() - 4_000;
const longAgo = Date.now() - 20_000;
const statuses: Record<Exclude<Status['name'], 'ended'>, Record<string, Fixture>> = {
  idle: { lobby: {} },
  joining: { joining: { snapshot: { status: { name: 'joining', since: usually } } } },
  waiting: {
    'waiting-start': {
      invitation: early,
      snapshot: { status: { name: 'waiting', for: 'start_time', since: usually }, problem: 'too_early' },
    },
    'waiting-machine': { snapshot: { status: { name: 'waiting', for: 'machine', since: usually } } },
    'waiting-long': { snapshot: { status: { name: 'waiting', for: 'machine', since: longAgo } } },
    'waiting-service': {
      snapshot: { status: { name: 'waiting', for: 'service', since: usually }, problem: 'service_unavailable' },
    },
  },
  connecting: {
    connecting: { snapshot: { status: { name: 'connecting', step: 'socket', since: usually } } },
    'connecting-long': { snapshot: { status: { name: 'connecting', step: 'audio', since: longAgo } } },
  },
  live: Object.fromEntries(
    (Object.keys(en.turns) as Array<keyof typeof en.turns>).map((turn) => [
      `live-${turn}`,
      withStatus({ name: 'live', turn, since: at }),
    ]),
  ),
  reconnecting: { reconnecting: withStatus({ name: 'reconnecting', lost: 'audio', since: at }) },
  ending: { ending: withStatus({ name: 'ending', since: at }) },
};

const saving: Record<Snapshot['saving']['state'], Fixture> = {
  saved: { snapshot: live },
  saving: { snapshot: { ...live, saving: { state: 'saving', savedUpTo: null, pending: 1 } } },
  behind: { snapshot: { ...live, saving: { state: 'behind', savedUpTo: at, pending: 3 }, problem: 'socket_lost' } },
};

/** The state in which a candidate meets each problem. */
const lookingAt: Fixture = { answers: { look: () => new Promise<never>(() => undefined) }, shows: 'main' };
const callLost = withStatus({ name: 'reconnecting', lost: 'audio', since: at });
const talking: Fixture = { snapshot: live };
const problems: Record<ProblemCode, Fixture> = {
  unsupported: {},
  link_incomplete: lookingAt,
  link_dead: lookingAt,
  used_elsewhere: { invitation: { bound: 'elsewhere' } },
  session_over: lookingAt,
  consent_required: { snapshot: { status: { name: 'connecting', step: 'offer', since: usually } } },
  too_early: {},
  microphone_denied: {},
  microphone_missing: {},
  microphone_busy: {},
  audio_blocked: talking,
  call_blocked: callLost,
  voice_missing: talking,
  not_heard: talking,
  call_failed: callLost,
  microphone_lost: talking,
  microphone_muted: talking,
  service_unavailable: lookingAt,
  socket_lost: talking,
  network_weak: talking,
  storage_blocked: {},
};

/** Ends of interviews in which nothing was said. */
const withoutWords = new Set([
  ...['consent_declined', 'token_refused', 'unknown_session', 'candidate_never_joined', 'schedule_expired'],
]);
function endedAs(reason: string, pending = 0): Fixture {
  const said = { ...live, saving: { state: 'saved', savedUpTo: at, pending } as const };
  const outcome = Object.entries(sessionReasons).find(([name]) => name === reason)?.[1].outcome ?? 'disconnected';
  const status: Status = { name: 'ended', outcome, reason, at };
  return { snapshot: { ...(withoutWords.has(reason) ? {} : said), status } };
}

const filmed = { recordsVideo: true };
const recordings: Record<RecordingSnapshot['state'], Record<string, Fixture>> = {
  off: {
    'camera-lobby-off': { invitation: filmed, recording: {} },
    'camera-off': { invitation: filmed, snapshot: live, recording: {} },
  },
  ready: {
    'camera-lobby': { invitation: filmed, recording: { state: 'ready' } },
    'camera-countdown': { invitation: filmed, snapshot: live, recording: { state: 'ready' } },
  },
  recording: {
    'camera-recording': { invitation: filmed, snapshot: live, recording: { state: 'recording', videoId: 'vi1' } },
  },
  uploading: {
    'camera-uploading': { ...endedAs('ended_by_candidate'), invitation: filmed, recording: { state: 'uploading' } },
  },
  stopped: { 'camera-stopped': { invitation: filmed, snapshot: live, recording: { state: 'stopped' } } },
  failed: { 'camera-failed': { invitation: filmed, snapshot: live, recording: { state: 'failed' } } },
};
const beforeRecording: Fixture = { invitation: filmed };
const whileRecording: Fixture = { invitation: filmed, snapshot: live, recording: { state: 'stopped' } };
const recordingProblems: Record<RecordingProblem, Fixture> = {
  unsupported: beforeRecording,
  camera_denied: beforeRecording,
  camera_missing: beforeRecording,
  camera_busy: beforeRecording,
  camera_lost: whileRecording,
  storage_full: whileRecording,
  upload_refused: { ...whileRecording, recording: { state: 'failed' } },
};

const consent = {
  ...{ textVersion: '2026-11', text: 'We record what you say and keep it for 90 days.', isGiven: false },
  ...{ isWithdrawn: false, onWithdrawal: 'erase_interview' as WithdrawalEffect },
};
const withdrawals: Record<WithdrawalEffect, Record<string, Fixture>> = {
  erase_interview: withdrawal('erase_interview'),
  erase_candidate: withdrawal('erase_candidate'),
  review: withdrawal('review'),
};
function withdrawal(onWithdrawal: WithdrawalEffect): Record<string, Fixture> {
  const invitation = { consent: { ...consent, isGiven: true, onWithdrawal } };
  const pressed = ['[data-part=withdraw] > button', 'dialog[open]'] as const;
  return {
    [`withdraw-dialog-${onWithdrawal}`]: { ...endedAs('ended_by_candidate'), invitation, press: [pressed] },
    [`withdrawn-${onWithdrawal}`]: {
      invitation,
      snapshot: { ...endedAs('consent_withdrawn').snapshot, transcript: [], withdrawn: true },
    },
  };
}

const more = ['button[data-part=more]', 'dialog[open]'] as const;
const check = ['[data-part=lobby] .actions button:last-child', '[data-part=check]'] as const;
const declining = ['[data-part=consent] .actions button:last-child', 'dialog[open]'] as const;
const correcting = ['[data-part=correction] button', '[data-part=correction] textarea'] as const;
const saysClock = ['[data-part=more-dialog] .switch input', '[data-part=time-left]'] as const;
const others: Record<string, Fixture> = {
  looking: lookingAt,
  failure: { answers: { look: () => Promise.reject(new Error('not expected')) }, shows: '.problem:not([hidden])' },
  'lobby-simulated': { invitation: { simulated: true } },
  'lobby-early': { invitation: early },
  'lobby-adjusted': { invitation: { adjustments: { extraMinutes: 15, slower: true, typing: true } } },
  'check-idle': { press: [check] },
  'check-tone': { press: [check, ['[data-part=speaker-test] button', '[data-part=speaker-test] p:not(:empty)']] },
  'check-impossible': {
    answers: { microphoneTrack: {} as MediaStreamTrack },
    press: [check, ['[data-part=rehearsal] button', '[data-part=rehearsal][data-state=impossible]']],
  },
  'check-devices': {
    snapshot: {
      devices: {
        ...{ microphone: { kind: 'microphone', id: 'Headset (Bluetooth)', label: '' }, speaker: null, muted: false },
        all: ['Internal microphone', 'Headset (Bluetooth)'].map((label) => ({ kind: 'microphone', id: label, label })),
      },
    },
    press: [check],
  },
  consent: { invitation: { consent } },
  'consent-elsewhere': { invitation: { consent: { ...consent, text: null } } },
  'decline-dialog': { invitation: { consent }, press: [declining] },
  'elsewhere-wrong': {
    ...{ invitation: { bound: 'elsewhere' }, snapshot: { problem: 'used_elsewhere' } },
    answers: { continueHere: async () => false },
    press: [['[data-part=elsewhere] button', '#hand-over-wrong:not(:empty)']],
  },
  typing: { snapshot: live, press: [['[data-part=typed-answer] > button', 'textarea']] },
  muted: { snapshot: live, press: [['button[data-part=mute]', 'button[aria-pressed=true]']] },
  empty: { snapshot: { ...live, transcript: [] } },
  'warning-5': { snapshot: live, warning: 5 },
  'warning-1': { snapshot: live, warning: 1 },
  'end-dialog': { snapshot: live, press: [['button[data-part=end]', 'dialog[open]']] },
  ...Object.fromEntries(
    [2, 15, 25, 35, 48].map((gone) => [
      `more-after-${gone}`,
      { snapshot: { ...live, clock: clockAt(gone) }, press: [more] },
    ]),
  ),
  'more-clock': { snapshot: live, press: [more, saysClock] },
  'more-code': { snapshot: live, press: [more, ['[data-part=hand-over]', '[data-part=more-dialog] .notice']] },
  'more-withdraw': { invitation: { consent: { ...consent, isGiven: true } }, snapshot: live, press: [more] },
  'withdraw-failed': {
    ...{ ...endedAs('ended_by_candidate'), invitation: { consent: { ...consent, isGiven: true } } },
    answers: { withdraw: async () => false },
    press: [
      ['[data-part=withdraw] > button', 'dialog[open]'],
      ['[data-part=withdraw] [data-danger]', '[data-part=withdraw] > p:not(:empty)'],
    ],
  },
  'ended-without-answer': { snapshot: { ...endedAs('candidate_left').snapshot, transcript: talk.slice(0, 1) } },
  'ended-one-left': endedAs('ended_by_candidate', 1),
  'ended-three-left': endedAs('ended_by_candidate', 3),
  'ended-correcting': { ...endedAs('ended_by_candidate'), press: [correcting] },
  'ended-correcting-failed': {
    ...{ ...endedAs('ended_by_candidate'), answers: { correct: async () => false } },
    press: [correcting, ['[data-part=correction] [type=submit]', '[data-part=correction] [role=alert]:not(:empty)']],
  },
  'ended-corrected': {
    snapshot: {
      ...endedAs('ended_by_candidate').snapshot,
      transcript: talk
        .slice(0, 2)
        .map((one) => ({ ...one, ...(one.speaker === 'candidate' && { correction: 'I said Redis.' }) })),
    },
  },
};

const named = <K extends string>(prefix: string, list: Record<K, Fixture>): Record<string, Fixture> =>
  Object.fromEntries(Object.entries<Fixture>(list).map(([name, fixture]) => [`${prefix}-${name}`, fixture]));

const withProblem = (problem: ProblemCode): Fixture => {
  const fixture = problems[problem];
  return { ...fixture, snapshot: { ...fixture.snapshot, problem } };
};
const withRecordingProblem = ([problem, fixture]: [string, Fixture]): [string, Fixture] => [
  problem,
  { ...fixture, recording: { ...fixture.recording, problem: problem as RecordingProblem } },
];

export const fixtures: Record<string, Fixture> = {
  ...Object.assign({}, ...Object.values(statuses)),
  ...named('saving', saving),
  ...others,
  ...Object.assign({}, ...Object.values(recordings)),
  ...Object.assign({}, ...Object.values(withdrawals)),
  ...named('problem', Object.fromEntries(problemCodes.map((problem) => [problem, withProblem(problem)]))),
  ...named('camera', Object.fromEntries(Object.entries(recordingProblems).map(withRecordingProblem))),
  ...named('ended', Object.fromEntries(Object.keys(en.ends).map((reason) => [reason, endedAs(reason)]))),
};
