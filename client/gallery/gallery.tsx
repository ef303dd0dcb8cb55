import { options } from 'preact';
import { createRoot } from 'react-dom/client';
import { provideRecording } from '../react/camera.tsx';
import { de } from '../react/de.ts';
import { en } from '../react/en.ts';
import { InterviewProvider, InterviewScreens } from '../react/room.tsx';
import type { RecordingSnapshot } from '../src/recording-types.ts';
import { anInvitation, createFakeInterview } from '../src/testing/fake-interview.ts';
import { fixtures } from './fixtures.ts';

/**
 * Each screen and state of the room, from fixtures: `#name/en`. For pictures, for axe and for tests, which find in `window`:
 * - `gallery`: the names of the fixtures
 * - `interview`: the fixture's interview, whose state they change
 * - `drawn`: the components that were drawn since the page was opened, by name
 */

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

const drawn: string[] = [];
const { diffed } = options;
options.diffed = (node) => {
  diffed?.(node);
  if (typeof node.type === 'function') drawn.push(node.type.displayName ?? node.type.name);
};
const [name = 'lobby', language = 'en'] = location.hash.slice(1).split('/');
const { invitation, snapshot, recording, answers, warning, press = [], shows } = fixtures[name] ?? {};
const interview = createFakeInterview({ ...anInvitation, ...invitation });
interview.set(snapshot ?? {});
Object.assign(interview, answers);
Object.assign(window, { gallery: Object.keys(fixtures), interview, drawn });
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
  await shown(shows ?? 'main:not([data-screen=looking])');
  if (warning) interview.emit('warning', { endsAt: Date.now() + warning * 60_000 });
  for (const [control, shows] of press) {
    (await shown(control)).click();
    await shown(shows);
  }
  document.documentElement.dataset.shown = '';
}
void present();
