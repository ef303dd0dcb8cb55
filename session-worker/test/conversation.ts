import { createCallLog } from '../src/realtime/openai/call-log.ts';
import type { ProviderEvent } from '../src/realtime/openai/events.ts';
import type { Transcript } from '../src/transcript/transcript.ts';

/** Event bursts in the shapes and order recorded from the live service. */
type Event = Record<string, unknown>;

export const candidateSpeech = (id: string, previous: string | null, startMs: number, endMs: number): Event[] => [
  { type: 'input_audio_buffer.speech_started', item_id: id, audio_start_ms: startMs },
  { type: 'input_audio_buffer.speech_stopped', item_id: id, audio_end_ms: endMs },
  { type: 'input_audio_buffer.committed', item_id: id, previous_item_id: previous },
  added(id, previous, { role: 'user', content: [{ type: 'input_audio', transcript: null }] }),
];

export const transcribed = (id: string, text: string, logprobs?: number[]): Event => ({
  type: 'conversation.item.input_audio_transcription.completed',
  item_id: id,
  content_index: 0,
  transcript: text,
  logprobs: logprobs?.map((logprob) => ({ token: 'x', logprob })) ?? null,
});

export const reply = (id: string, previous: string | null, text: string, responseId = `resp_${id}`): Event[] => [
  { type: 'response.created', response: { id: responseId, status: 'in_progress', output: [] } },
  {
    type: 'response.output_item.added',
    response_id: responseId,
    item: { id, type: 'message', role: 'assistant', content: [] },
  },
  added(id, previous, { role: 'assistant', content: [] }),
  { type: 'response.output_audio_transcript.delta', response_id: responseId, item_id: id, delta: text.slice(0, 4) },
  { type: 'output_audio_buffer.started', response_id: responseId },
  {
    type: 'response.output_audio_transcript.done',
    response_id: responseId,
    item_id: id,
    content_index: 0,
    transcript: text,
  },
  { type: 'conversation.item.done', previous_item_id: null, item: { id, type: 'message', role: 'assistant' } },
  { type: 'response.done', response: { id: responseId, status: 'completed', output: [{ id, type: 'message' }] } },
  { type: 'output_audio_buffer.stopped', response_id: responseId },
];

export const functionCall = (id: string, previous: string | null, responseId = `resp_${id}`): Event[] => {
  const item = { id, type: 'function_call', name: 'end_session', call_id: `call_${id}`, arguments: '{}' };
  return [
    { type: 'response.created', response: { id: responseId, status: 'in_progress', output: [] } },
    { type: 'response.output_item.added', response_id: responseId, item },
    { type: 'conversation.item.added', previous_item_id: previous, item },
    { type: 'response.output_item.done', response_id: responseId, item },
    { type: 'response.done', response: { id: responseId, status: 'completed', output: [item] } },
  ];
};

export const added = (id: string, previous: string | null, item: Event): Event => ({
  type: 'conversation.item.added',
  previous_item_id: previous,
  item: { id, type: 'message', status: 'completed', ...item },
});

/** Opens a call in the transcript. @returns a function that feeds it events, as the adapter does. */
export function listenTo(ordinal: number, transcript: Transcript): (events: Event[]) => void {
  const log = createCallLog(ordinal);
  transcript.open(ordinal, log);
  return (events) => {
    for (const event of events) {
      const { entries, partial } = log.apply(event as ProviderEvent, 0);
      if (partial && partial.text !== '') transcript.show(partial);
      transcript.store(entries);
    }
  };
}
