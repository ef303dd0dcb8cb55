import { describe, expect, test } from 'vitest';
import { createPlayback } from './playback.ts';
import { createProblems, type ProblemCode } from './problems.ts';
import { FakeAudio, FakePage, settled } from './testing/fakes.ts';

function begin(refusal?: string) {
  const told: Array<ProblemCode | null> = [];
  const audio = new FakeAudio();
  audio.refusal = refusal;
  const page = new FakePage();
  const playback = createPlayback({
    problems: createProblems({ onChange: (code) => void told.push(code) }),
    audio: audio as unknown as HTMLAudioElement,
    page: page as unknown as Document,
  });
  return { told, audio, page, playback };
}
const voice = () => ({}) as MediaStream;

describe('the interviewer’s voice', () => {
  test('a voice that the browser refuses to play raises audio_blocked, and plays after the next press', async () => {
    const { told, audio, page, playback } = begin('NotAllowedError');
    playback.play(voice());
    await settled();
    expect(told).toEqual(['audio_blocked']);
    audio.refusal = undefined;
    page.press();
    await settled();
    expect([told, audio.paused]).toEqual([['audio_blocked', null], false]);
  });

  test('audio_blocked stays if the browser refuses to play again', async () => {
    const { told, page, playback } = begin('NotAllowedError');
    playback.play(voice());
    await settled();
    page.press();
    await settled();
    expect(told).toEqual(['audio_blocked']);
  });

  test('the refused voice of a replaced call raises no problem', async () => {
    const { told, audio, playback } = begin('NotAllowedError');
    playback.play(voice());
    audio.refusal = undefined;
    playback.play(voice());
    await settled();
    expect(told).toEqual([]);
  });

  test('a voice that the system pauses is played again', async () => {
    const { audio, playback } = begin();
    playback.play(voice());
    await settled();
    audio.pause();
    await settled();
    expect(audio.paused).toBe(false);
  });

  test('the voice stops at the end of the interview, and audio_blocked ends too', async () => {
    const { told, audio, page, playback } = begin('NotAllowedError');
    playback.play(voice());
    await settled();
    playback.stop();
    page.press();
    await settled();
    expect([told, audio.paused, audio.srcObject]).toEqual([['audio_blocked', null], true, null]);
  });
});
