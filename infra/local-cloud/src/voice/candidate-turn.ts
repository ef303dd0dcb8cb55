/**
 * One turn of the candidate: detected, committed as an item, and transcribed some time later.
 *
 * Transcription runs in parallel with the model's reply. The conversation decides when a transcription is
 * sent: `first` (before the reply), `with_reply` (once it has begun, as recorded live) or `late` (after it).
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import * as candidateEvents from './candidate-events.ts';
import type { Item, Items } from './items.ts';
import { deltasOf } from './response-events.ts';
import type { SaidLine, SaidLog } from './said.ts';
import type { RealtimeSession } from './session-config.ts';
import { newWireId, type WireEvent } from './wire.ts';

export type TranscriptionTime = 'first' | 'with_reply' | 'late';

export interface Transcriptions {
  add(when: TranscriptionTime, send: () => void): void;
  send(...when: TranscriptionTime[]): void;
}

export function createTranscriptions(): Transcriptions {
  let pending: Array<{ when: TranscriptionTime; send: () => void }> = [];
  return {
    add: (when, send) => void pending.push({ when, send }),
    send: (...when) => {
      const due = pending.filter((transcription) => when.includes(transcription.when));
      pending = pending.filter((transcription) => !when.includes(transcription.when));
      for (const transcription of due) transcription.send();
    },
  };
}

export interface CandidateTurnDeps {
  clock: Clock;
  items: Items;
  log: SaidLog;
  transcriptions: Transcriptions;
  session(): RealtimeSession;
  emit(event: WireEvent): void;
  /** Length of the call's audio so far, milliseconds. */
  audioMs(): number;
}

export interface CandidateTurn {
  readonly interrupting: boolean;
  /** With the streaming model some text is sent while the candidate still speaks, before the item exists. */
  streamText(): void;
  /** The candidate has stopped. @param cue see conversation.ts. */
  commit(cue: string | undefined): void;
}

/** A candidate's item before its text is known. */
export const audioItem = (): Item => ({
  id: newWireId('item'),
  type: 'message',
  status: 'completed',
  role: 'user',
  content: [{ type: 'input_audio', transcript: null }],
});

const streamingModel = 'gpt-realtime-whisper';

/** The candidate has begun to speak. @param text what they are going to say. */
export function beginTurn(deps: CandidateTurnDeps, text: string, interrupting: boolean): CandidateTurn {
  const { clock, session, emit } = deps;
  const item = audioItem();
  const startedMs = clock.monotonicMs();
  let streamed = 0;
  emit({ type: 'input_audio_buffer.speech_started', audio_start_ms: deps.audioMs(), item_id: item.id });
  const transcription = (): candidateEvents.Transcription => ({
    itemId: item.id,
    text,
    withLogprobs: session().include?.includes('item.input_audio_transcription.logprobs') ?? false,
    durationMs: clock.monotonicMs() - startedMs,
  });
  const emitDeltas = (deltas: string[]) => {
    for (const event of candidateEvents.transcriptionDeltas(transcription(), deltas)) emit(event);
  };

  function transcribe(line: SaidLine, completed: candidateEvents.Transcription) {
    emitDeltas(deltasOf(text).slice(streamed));
    line.transcribed = true;
    item.content = [{ type: 'input_audio', transcript: text }];
    emit(candidateEvents.transcriptionCompleted(completed));
  }
  function plan(line: SaidLine, cue: string | undefined) {
    if (!session().audio.input.transcription || cue === 'transcription_missing') return;
    const whole = transcription();
    const when = cue === 'transcription_first' ? 'first' : cue === 'transcription_late' ? 'late' : 'with_reply';
    const failed = cue === 'transcription_failed';
    const send = () => (failed ? emit(candidateEvents.transcriptionFailed(item.id)) : transcribe(line, whole));
    deps.transcriptions.add(when, send);
  }
  return {
    interrupting,
    streamText: () => {
      if (session().audio.input.transcription?.model !== streamingModel) return;
      const deltas = deltasOf(text).slice(0, 2);
      streamed = deltas.length;
      emitDeltas(deltas);
    },
    commit: (cue) => {
      emit({ type: 'input_audio_buffer.speech_stopped', audio_end_ms: deps.audioMs(), item_id: item.id });
      const previous = deps.items.add(item) || null;
      const line = deps.log.begin(item.id, 'candidate');
      line.text = text;
      for (const event of candidateEvents.committed({ ...item }, previous)) emit(event);
      plan(line, cue);
    },
  };
}

const idleText =
  'No user speech was detected for a while. Follow up on the last message or ask if they are still there.';

/**
 * The session's idle timeout has passed without speech. Recorded live: a system note, then an empty turn of
 * the candidate.
 */
export function idleTurn({ items, transcriptions, session, emit, audioMs }: CandidateTurnDeps): void {
  const heard = audioItem();
  const nowMs = audioMs();
  const times = { audio_start_ms: nowMs, audio_end_ms: nowMs };
  emit({ type: 'input_audio_buffer.timeout_triggered', ...times, item_id: heard.id });
  const note: Item = {
    id: newWireId('item'),
    type: 'message',
    status: 'completed',
    role: 'system',
    content: [{ type: 'input_text', text: idleText }],
  };
  const previous_item_id = items.add(note) || null;
  emit({ type: 'conversation.item.added', previous_item_id, item: note });
  emit({ type: 'conversation.item.done', previous_item_id, item: note });
  for (const event of candidateEvents.committed(heard, items.add(heard) || null)) emit(event);
  if (!session().audio.input.transcription) return;
  const silent = { itemId: heard.id, text: '', withLogprobs: false, durationMs: 0 };
  transcriptions.add('with_reply', () => emit(candidateEvents.transcriptionCompleted(silent)));
}
