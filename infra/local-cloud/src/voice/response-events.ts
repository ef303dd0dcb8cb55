/** The events of one model response, in the format and order recorded from the live service. */
import type { Item } from './items.ts';
import type { RealtimeSession } from './session-config.ts';
import { obfuscation, type WireEvent } from './wire.ts';

export interface ModelResponse {
  id: string;
  conversationId: string;
  item: Item;
  /** Id of the item before it in the conversation. */
  previousItemId: string | null;
  /** What is said, or the arguments of a function call. */
  text: string;
  metadata: unknown;
}

export type ResponseEnd =
  | { status: 'completed' }
  | { status: 'cancelled'; reason: 'turn_detected' | 'client_cancelled' }
  | { status: 'incomplete'; reason: 'max_output_tokens' | 'content_filter' };

/** Splits a line into the deltas in which it is sent: words, each with the space before it. */
export const deltasOf = (text: string): string[] => text.match(/\s*\S+/g) ?? [];

const place = (r: ModelResponse) => ({ response_id: r.id, item_id: r.item.id, output_index: 0, content_index: 0 });

function responseBody(r: ModelResponse, session: RealtimeSession, more: Record<string, unknown>) {
  return {
    object: 'realtime.response',
    id: r.id,
    status: 'in_progress',
    status_details: null,
    output: [],
    conversation_id: r.conversationId,
    output_modalities: session.output_modalities,
    max_output_tokens: session.max_output_tokens,
    audio: { output: { format: session.audio.output.format, voice: session.audio.output.voice } },
    usage: null,
    metadata: r.metadata ?? null,
    ...more,
  };
}

const begun = (r: ModelResponse, session: RealtimeSession): WireEvent[] => [
  { type: 'response.created', response: responseBody(r, session, {}) },
  { type: 'response.output_item.added', response_id: r.id, output_index: 0, item: r.item },
  { type: 'conversation.item.added', previous_item_id: r.previousItemId, item: r.item },
];

/** A spoken response begins. `r.item` is the item at this moment: in progress and empty. */
export const spokenOpening = (r: ModelResponse, session: RealtimeSession): WireEvent[] => [
  ...begun(r, session),
  { type: 'response.content_part.added', ...place(r), part: { type: 'audio', transcript: '' } },
];

export const transcriptDelta = (r: ModelResponse, delta: string): WireEvent => ({
  type: 'response.output_audio_transcript.delta',
  ...place(r),
  delta,
  obfuscation: obfuscation(delta),
});

/** The text is complete (or cut short): everything up to `response.done` and the rate limits. */
export function spokenClosing(r: ModelResponse, said: string, session: RealtimeSession, end: ResponseEnd): WireEvent[] {
  const status = end.status === 'completed' ? 'completed' : 'incomplete';
  const item = { ...r.item, status, content: [{ type: 'output_audio', transcript: said }] };
  return [
    { type: 'response.output_audio.done', ...place(r) },
    { type: 'response.output_audio_transcript.done', ...place(r), transcript: said },
    { type: 'response.content_part.done', ...place(r), part: { type: 'audio', transcript: said } },
    { type: 'conversation.item.done', previous_item_id: r.previousItemId, item },
    { type: 'response.output_item.done', response_id: r.id, output_index: 0, item },
    ...ended(r, item, session, end),
  ];
}

/** A whole response that contains only a function call. */
export function functionCall(r: ModelResponse, session: RealtimeSession): WireEvent[] {
  const { call_id, name } = r.item;
  const done = { ...r.item, status: 'completed', arguments: r.text };
  const at = { response_id: r.id, item_id: r.item.id, output_index: 0, call_id };
  return [
    ...begun(r, session),
    { type: 'response.function_call_arguments.delta', ...at, delta: r.text, obfuscation: obfuscation(r.text) },
    { type: 'response.function_call_arguments.done', ...at, name, arguments: r.text },
    { type: 'conversation.item.done', previous_item_id: r.previousItemId, item: done },
    { type: 'response.output_item.done', response_id: r.id, output_index: 0, item: done },
    ...ended(r, done, session, { status: 'completed' }),
  ];
}

function ended(r: ModelResponse, item: Item, session: RealtimeSession, end: ResponseEnd): WireEvent[] {
  const details = end.status === 'completed' ? null : { type: end.status, reason: end.reason };
  const usage = usageFor(r.text, session.instructions);
  const body = responseBody(r, session, { status: end.status, status_details: details, output: [item], usage });
  const remaining = 15_000_000 - usage.total_tokens;
  return [
    { type: 'response.done', response: body },
    {
      type: 'rate_limits.updated',
      rate_limits: [{ name: 'tokens', limit: 15_000_000, remaining, reset_seconds: 0.002 }],
    },
  ];
}

/** Plausible token counts: about four letters per token, and about two tokens per spoken word. */
function usageFor(said: string, instructions: string) {
  const text = Math.ceil(said.length / 4);
  const input = Math.ceil(instructions.length / 4) + 20;
  const cached = { text_tokens: 0, audio_tokens: 0, image_tokens: 0 };
  return {
    total_tokens: input + text * 3,
    input_tokens: input,
    output_tokens: text * 3,
    input_token_details: {
      text_tokens: input,
      audio_tokens: 0,
      image_tokens: 0,
      cached_tokens: 0,
      cached_tokens_details: cached,
    },
    output_token_details: { text_tokens: text, audio_tokens: text * 2 },
  };
}
