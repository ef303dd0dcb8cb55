/** The events of one turn of the candidate, in the format and order of the live service. */
import type { Item } from './items.ts';
import { deltasOf } from './response-events.ts';
import { obfuscation, type WireEvent } from './wire.ts';

/** The candidate's audio becomes an item, whose text is not known yet. */
export const committed = (item: Item, previousItemId: string | null): WireEvent[] => [
  { type: 'input_audio_buffer.committed', previous_item_id: previousItemId, item_id: item.id },
  { type: 'conversation.item.added', previous_item_id: previousItemId, item },
  { type: 'conversation.item.done', previous_item_id: previousItemId, item },
];

const prefix = 'conversation.item.input_audio_transcription';
const at = (itemId: string) => ({ item_id: itemId, content_index: 0 });

// A fixed value, so that tests know the mean. exp(-0.05) is about 0.95.
const logprob = -0.05;
const logprobsOf = (text: string) =>
  deltasOf(text).map((token) => ({ token, logprob, bytes: [...Buffer.from(token, 'utf8')] }));

export interface Transcription {
  itemId: string;
  text: string;
  /** Whether the session's `include` requests them. */
  withLogprobs: boolean;
  durationMs: number;
}

export const transcriptionDeltas = (t: Transcription, deltas: string[]): WireEvent[] =>
  deltas.map((delta) => ({
    type: `${prefix}.delta`,
    ...at(t.itemId),
    delta,
    obfuscation: obfuscation(delta),
    ...(t.withLogprobs ? { logprobs: logprobsOf(delta) } : {}),
  }));

export const transcriptionCompleted = (t: Transcription): WireEvent => ({
  type: `${prefix}.completed`,
  ...at(t.itemId),
  transcript: t.text,
  usage: { type: 'duration', seconds: Math.ceil(t.durationMs / 1000) },
  logprobs: t.withLogprobs ? logprobsOf(t.text) : null,
});

export const transcriptionFailed = (itemId: string): WireEvent => ({
  type: `${prefix}.failed`,
  ...at(itemId),
  error: {
    type: 'server_error',
    code: 'audio_unintelligible',
    message: 'The audio could not be transcribed.',
    param: null,
  },
});
