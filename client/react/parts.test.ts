import { createElement as create, type FunctionComponent } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { createFakeInterview } from '../src/testing/fake-interview.ts';
import { en } from './en.ts';
import * as components from './index.ts';

const interview = createFakeInterview();
const devices = ['Internal', 'Headset'].map((label) => ({ kind: 'microphone' as const, id: label, label }));
interview.set({
  status: { name: 'live', turn: 'listening', since: 0 },
  saving: { state: 'saved', savedUpTo: 0, pending: 0 },
  clock: { startedAt: Date.now(), endsAt: Date.now() + 60_000 },
  devices: { microphone: null, speaker: null, all: devices, muted: false },
});
const draw = (part: FunctionComponent, props: object, messages = en): string =>
  renderToStaticMarkup(create(components.InterviewProvider, { interview, messages }, create(part, props)));

/** Each part, and a text that it shows. */
const parts: Record<string, string> = {
  CameraCheck: en.cameraAbout,
  DeviceMenu: en.microphone,
  EndButton: en.endTitle,
  MicrophoneMeter: en.microphoneLevel,
  MuteButton: en.mute,
  RecordingState: '',
  Rehearsal: en.rehearse,
  RequestBar: en.slower,
  SavedBadge: 'Saved up to',
  SpeakerTest: en.testTone,
  TimeLeft: en.timeGone(0),
  TranscriptPanel: en.conversation,
  TypedAnswer: en.type,
  VideoRecorder: en.cameraPicture,
  WebRTCInterface: en.turns.listening,
};
const part = (name: string) => (components as unknown as Record<string, FunctionComponent>)[name] as FunctionComponent;

describe('the parts of the room', () => {
  test.each(Object.entries(parts))('%s stands alone, with a class and a name for styles', (name, text) => {
    const html = draw(part(name), { className: 'mine' });
    expect(html).toContain(text);
    expect(html).toMatch(/class="mine"[^>]*data-part="|data-part="[^>]*class="mine"/);
    expect(html).not.toContain('style=');
  });

  test('every text can be replaced', () => {
    const own = {
      ...en,
      mute: 'Be quiet',
      savedUpTo: (time: string) => `Kept: ${time}`,
      turns: { ...en.turns, listening: 'All ears' },
    };
    const html = draw(part('WebRTCInterface'), {}, own) + draw(part('SavedBadge'), {}, own);
    for (const text of ['Be quiet', 'Kept: ', 'All ears']) expect(html).toContain(text);
    for (const text of [en.mute, 'Saved up to', en.turns.listening]) expect(html).not.toContain(text);
  });

  test('a part outside of a provider says what to do', () => {
    expect(() => renderToStaticMarkup(create(part('MuteButton')))).toThrow('inside <InterviewProvider>');
  });

  test('the room is drawn on a server without touching a browser', () => {
    expect(
      renderToStaticMarkup(create(components.InterviewRoom, { link: 'https://greenroom.test/join/one#code' })),
    ).toBe('');
  });
});
