import { createRoot } from 'react-dom/client';
import { provideRecording } from '../react/camera.tsx';
import { de } from '../react/de.ts';
import { en } from '../react/en.ts';
import { InterviewProvider, InterviewScreens } from '../react/room.tsx';
import { problemCodes } from '../src/problems.ts';
import type { RecordingSnapshot } from '../src/recording-types.ts';
import { anInvitation, createFakeInterview } from '../src/testing/fake-interview.ts';
import type { Invitation, Snapshot, TranscriptLine } from '../src/types.ts';

/**
 * Each screen and state of the room, from fixtures: `#name/en`. The names are in `window.gallery`. For pictures and for axe.
 */
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

const at = Date.UTC(2026, 10, 26, 14, 3, 21);
const live: Partial<Snapshot> = {
  status: { name: 'live', turn: 'listening', since: at },
  saving: { state: 'saved', savedUpTo: at, pending: 0 },
  clock: { startedAt: Date.now() - 20 * 60_000, endsAt: Date.now() + 30 * 60_000 },
  transcript: talk,
};
const consent = {
  ...{ textVersion: '2026-11', text: 'We record what you say and keep it for 90 days.', isGiven: false },
  ...{ isWithdrawn: false, onWithdrawal: 'erase_interview' as const },
};
const agreed = { consent: { ...consent, isGiven: true } };

const filmed = { recordsVideo: true };
/** A picture without a camera: a canvas. */
function aPicture(): MediaStream {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  if (context) {
    context.fillStyle = '#6a8fb5';
    context.fillRect(0, 0, 300, 150);
  }
  return canvas.captureStream();
}

interface Fixture {
  recording?: Partial<RecordingSnapshot>;
  invitation?: Partial<Invitation>;
  snapshot?: Partial<Snapshot>;
  /** Selectors of a button that is pressed then, and of what it shows. */
  press?: [button: string, shows: string];
}
const ended = (reason: string, pending = 0): Fixture => ({
  snapshot: {
    ...live,
    status: { name: 'ended', outcome: 'completed', reason, at },
    saving: { state: 'saved', savedUpTo: at, pending },
  },
});
const fixtures: Record<string, Fixture> = {
  lobby: {},
  'lobby-check': { press: ['[data-part=lobby] .actions button:last-child', '[data-part=check]'] },
  'lobby-simulated': { invitation: { simulated: true } },
  consent: { invitation: { consent } },
  'decline-dialog': {
    invitation: { consent },
    press: ['[data-part=consent] .actions button:last-child', 'dialog[open]'],
  },
  declined: {
    snapshot: { status: { name: 'ended', outcome: 'cancelled', reason: 'consent_declined', at } },
  },
  elsewhere: { invitation: { bound: 'elsewhere' }, snapshot: { problem: 'used_elsewhere' } },
  'lobby-early': {
    invitation: { startsAt: Date.now() + 3_600_000, joinable: false, status: 'scheduled' },
  },
  'waiting-start': {
    invitation: { startsAt: Date.now() + 3_600_000, joinable: false, status: 'scheduled' },
    snapshot: { status: { name: 'waiting', for: 'start_time', since: Date.now() }, problem: 'too_early' },
  },
  'waiting-machine': { snapshot: { status: { name: 'waiting', for: 'machine', since: Date.now() - 4_000 } } },
  'waiting-long': { snapshot: { status: { name: 'waiting', for: 'machine', since: Date.now() - 20_000 } } },
  connecting: { snapshot: { status: { name: 'connecting', step: 'socket', since: Date.now() - 4_000 } } },
  listening: { snapshot: live },
  hearing: { snapshot: { ...live, status: { name: 'live', turn: 'hearing', since: at } } },
  thinking: { snapshot: { ...live, status: { name: 'live', turn: 'thinking', since: at } } },
  speaking: { snapshot: { ...live, status: { name: 'live', turn: 'speaking', since: at } } },
  paused: { snapshot: { ...live, status: { name: 'live', turn: 'paused', since: at } } },
  typing: { snapshot: live, press: ['[data-part=typed-answer] > button', 'textarea'] },
  'end-dialog': { snapshot: live, press: ['button[data-part=end]', 'dialog[open]'] },
  'more-dialog': { snapshot: live, press: ['button[data-part=more]', 'dialog[open]'] },
  empty: { snapshot: { ...live, transcript: [] } },
  behind: {
    snapshot: { ...live, saving: { state: 'behind', savedUpTo: at, pending: 3 }, problem: 'socket_lost' },
  },
  reconnecting: {
    snapshot: { ...live, status: { name: 'reconnecting', lost: 'audio', since: at }, problem: 'call_failed' },
  },
  ending: { snapshot: { ...live, status: { name: 'ending', since: at } } },
  'camera-lobby-off': { invitation: filmed, recording: {} },
  'camera-lobby': { invitation: filmed, recording: { state: 'ready' } },
  'camera-lobby-denied': { invitation: filmed, recording: { problem: 'camera_denied' } },
  'camera-off': { invitation: filmed, snapshot: live, recording: {} },
  'camera-countdown': { invitation: filmed, snapshot: live, recording: { state: 'ready' } },
  'camera-recording': { invitation: filmed, snapshot: live, recording: { state: 'recording', videoId: 'vi1' } },
  'camera-failed': { invitation: filmed, snapshot: live, recording: { state: 'failed', problem: 'upload_refused' } },
  'camera-uploading': { ...ended('ended_by_candidate'), invitation: filmed, recording: { state: 'uploading' } },
  'ended-candidate': ended('ended_by_candidate'),
  'withdraw-more': { ...{ invitation: agreed, snapshot: live }, press: ['button[data-part=more]', 'dialog[open]'] },
  'withdraw-dialog': {
    ...{ ...ended('ended_by_candidate'), invitation: agreed },
    press: ['[data-part=withdraw] > button', 'dialog[open]'],
  },
  withdrawn: {
    invitation: agreed,
    snapshot: {
      ...{ withdrawn: true, status: { name: 'ended', outcome: 'cancelled', reason: 'consent_withdrawn', at } },
    },
  },
  'ended-left-over': ended('interviewer_finished', 3),
  'ended-no-call': ended('call_not_established'),
  ...Object.fromEntries(
    problemCodes.map((problem) => [`problem-${problem}`, { snapshot: { ...live, problem } } satisfies Fixture]),
  ),
};

Object.assign(window, { gallery: Object.keys(fixtures) });
const [name = 'lobby', language = 'en'] = location.hash.slice(1).split('/');
const { invitation, snapshot, recording, press } = fixtures[name] ?? {};
const interview = createFakeInterview({ ...anInvitation, ...invitation });
interview.set(snapshot ?? {});
const state: RecordingSnapshot = {
  ...{ state: 'off', problem: null, videoId: null, url: null, storage: 'indexeddb' },
  ...{ pendingBytes: 0, uploadedBytes: 0, ...recording },
};
provideRecording(interview, {
  snapshot: state,
  subscribe: () => () => undefined,
  stream: state.state === 'ready' || state.state === 'recording' ? aPicture() : null,
  open: async () => undefined,
  start: async () => undefined,
  stop: async () => undefined,
});
createRoot(document.getElementById('room') as HTMLElement).render(
  <InterviewProvider interview={interview} messages={language === 'de' ? de : en}>
    <InterviewScreens />
  </InterviewProvider>,
);

/** Resolves when the page shows an element that matches. No frame is waited for: a hidden window draws none. */
async function shown(selector: string): Promise<HTMLElement> {
  for (;;) {
    const found = document.querySelector<HTMLElement>(selector);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
/** Marks the document when it shows what there is to see. */
async function present(): Promise<void> {
  await shown('main:not([data-screen=looking])');
  if (press) {
    const [button, shows] = press;
    (await shown(button)).click();
    await shown(shows);
  }
  document.documentElement.dataset.shown = '';
}
void present();
