import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, it } from 'vitest';
import { createConversation } from './conversation.ts';
import { createInterviewScript } from './script.ts';
import { applyPatch, defaultSession } from './session-config.ts';
import type { WireEvent } from './wire.ts';

const transcription = 'conversation.item.input_audio_transcription';

function build(patch: object = {}, cues: Array<string | undefined> = []) {
  const clock = createFakeClock();
  const events: WireEvent[] = [];
  const session = applyPatch(
    applyPatch(defaultSession('sess_1', 0), { audio: { input: { transcription: { model: 'gpt-transcribe' } } } }),
    patch,
  );
  const conversation = createConversation({
    clock,
    pace: { speakMs: () => 1000, thinkMs: 10 },
    script: createInterviewScript(2),
    startAt: 0,
    onProgress: () => undefined,
    session: () => session,
    emit: (event) => events.push(event),
    audio: { start: () => undefined, stop: () => undefined },
    cue: () => cues.shift(),
    bargeIn: false,
    endTool: 'end_session',
  });
  const types = () => events.map((event) => event.type);
  /** The interviewer greets and finishes speaking. */
  const opened = async () => {
    conversation.respond();
    await clock.advance(1010);
  };
  const turn = async () => {
    conversation.voice(true);
    await clock.advance(500);
    conversation.voice(false);
  };
  return { clock, conversation, events, types, opened, turn };
}

describe('the candidate’s transcription', () => {
  it('comes after the reply on cue', async () => {
    const { clock, types, opened, turn } = build({}, ['transcription_late']);
    await opened();
    await turn();
    await clock.advance(900);
    expect(types()).not.toContain(`${transcription}.completed`);
    await clock.advance(200);
    expect(types().at(-1)).toBe(`${transcription}.completed`);
  });

  it('comes before the reply on cue', async () => {
    const { clock, types, opened, turn } = build({}, ['transcription_first']);
    await opened();
    await turn();
    await clock.advance(20);
    expect(types().indexOf(`${transcription}.completed`)).toBeLessThan(types().lastIndexOf('response.created'));
  });

  it('fails or never comes on cue, and the ground truth records that', async () => {
    const { clock, conversation, types, opened, turn } = build({}, ['transcription_failed', 'transcription_missing']);
    await opened();
    await turn();
    await clock.advance(1100);
    await turn();
    await clock.advance(1100);
    expect(types().filter((type) => type.startsWith(transcription))).toEqual([`${transcription}.failed`]);
    const candidate = conversation.said().filter((line) => line.speaker === 'candidate');
    expect(candidate.map((line) => line.transcribed)).toEqual([false, false]);
  });

  it('never comes when the session did not ask for it', async () => {
    const { clock, types, opened, turn } = build({ audio: { input: { transcription: null } } });
    await opened();
    await turn();
    await clock.advance(1100);
    expect(types().filter((type) => type.startsWith(transcription))).toEqual([]);
  });

  it('starts while the candidate is still speaking with the streaming model, and adds up to the whole', async () => {
    const { clock, events, types, opened, turn } = build({
      audio: { input: { transcription: { model: 'gpt-realtime-whisper' } } },
    });
    await opened();
    await turn();
    await clock.advance(20);
    expect(types().indexOf(`${transcription}.delta`)).toBeLessThan(types().indexOf('input_audio_buffer.committed'));
    const deltas = events.filter((event) => event.type === `${transcription}.delta`).map((event) => event.delta);
    const completed = events.find((event) => event.type === `${transcription}.completed`);
    expect(deltas.join('')).toBe(completed?.transcript);
    expect(completed?.usage).toEqual({ type: 'duration', seconds: 1 });
  });
});

describe('taking turns', () => {
  it('asks again after an injected interruption, which is itself a turn of the candidate', async () => {
    const { clock, conversation, events, opened, turn } = build({}, ['interrupted_reply']);
    await opened();
    await turn();
    await clock.advance(2000);
    const said = conversation.said();
    expect(said.map((line) => [line.speaker, line.interrupted])).toEqual([
      ['interviewer', false],
      ['candidate', false],
      ['interviewer', true],
      ['candidate', false],
      ['interviewer', false],
    ]);
    expect(said[4]?.text).toMatch(/^Take your time\./);
    const cancelled = events.filter((event) => event.type === 'response.done')[1];
    expect(cancelled?.response).toMatchObject({ status: 'cancelled', output: [{ status: 'incomplete' }] });
  });

  it('keeps the whole text of a reply that was complete when its audio was cleared', async () => {
    const { clock, conversation, types } = build();
    conversation.respond();
    await clock.advance(600);
    conversation.interrupt();
    expect(types().filter((type) => type === 'response.done')).toHaveLength(1);
    expect(types()).toContain('conversation.item.truncated');
    expect(conversation.said()[0]?.text).toMatch(/\?$/);
  });

  it('ignores voice while the interviewer speaks, unless it continues after that', async () => {
    const { clock, conversation, types } = build();
    conversation.respond();
    await clock.advance(500);
    conversation.voice(true);
    expect(types()).not.toContain('input_audio_buffer.speech_started');
    await clock.advance(600);
    expect(types().slice(-2)).toEqual(['output_audio_buffer.stopped', 'input_audio_buffer.speech_started']);
  });

  it('replies only on request if the session says so', async () => {
    const { clock, conversation, types, opened, turn } = build({
      audio: { input: { turn_detection: { type: 'server_vad', create_response: false } } },
    });
    await opened();
    await turn();
    await clock.advance(5000);
    expect(types().filter((type) => type === 'response.created')).toHaveLength(1);
    conversation.respond();
    await clock.advance(5000);
    expect(conversation.said().at(-1)?.speaker).toBe('interviewer');
  });

  it('says goodbye after the last answer when there is no tool to call', async () => {
    const { clock, conversation, opened, turn } = build();
    await opened();
    await turn();
    await clock.advance(1100);
    await turn();
    await clock.advance(1100);
    expect(conversation.said().at(-1)?.text).toMatch(/Goodbye\.$/);
    await turn();
    await clock.advance(5000);
    expect(conversation.said().at(-1)?.text).toMatch(/Goodbye\.$/);
  });

  // Failure pinned: an answer that was being spoken was lost, and a goodbye was said twice.
  it.each([20, 1_100, 1_300, 1_700, 2_400, 3_300])(
    'loses no answer and says goodbye once when a client requests a reply after %i ms',
    async (atMs) => {
      const { clock, conversation } = build();
      conversation.respond();
      for (const startMs of [1_200, 2_800]) {
        clock.setTimer(() => conversation.voice(true), startMs);
        clock.setTimer(() => conversation.voice(false), startMs + 400);
      }
      clock.setTimer(() => conversation.respond(), atMs);
      await clock.advance(3_400);
      // An answer that was ignored because the interviewer spoke.
      while (!conversation.script.finished) {
        await clock.advance(1_100);
        conversation.voice(true);
        await clock.advance(400);
        conversation.voice(false);
      }
      await clock.advance(5_000);
      const { turns, goodbye } = createInterviewScript(2);
      const said = conversation.said().map(({ text }) => text);
      const once = [...turns.map(({ candidate }) => candidate), goodbye];
      expect(said.filter((text) => once.includes(text)).toSorted()).toEqual(once.toSorted());
      expect(said.join()).not.toContain('remark');
    },
  );

  it('prompts a silent candidate when the session has an idle timeout', async () => {
    const { clock, conversation, types, opened } = build({
      audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 5000 } } },
    });
    await opened();
    await clock.advance(5100);
    expect(types()).toContain('input_audio_buffer.timeout_triggered');
    await clock.advance(1000);
    expect(conversation.said().map((line) => line.speaker)).toEqual(['interviewer', 'interviewer']);
  });

  it('leaves no timer behind when stopped', async () => {
    const { clock, conversation } = build();
    conversation.respond();
    await clock.advance(100);
    conversation.stop();
    expect(clock.pending).toBe(0);
  });
});
