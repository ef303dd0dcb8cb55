import * as z from 'zod';
import { plainText, text } from './common.ts';
import { maxCorrection, maxEntryText } from './socket-values.ts';

/**
 * An entry of the transcript. It is identified by session, call ordinal and item id; `sequence_number` is
 * derived on reading. `speaker`: `ai` is the interviewer.
 */
export const speaker = z.enum(['ai', 'candidate']);
export type Speaker = z.output<typeof speaker>;

/** The provider's item ids: `item_…`. */
export const itemId = text(128)
  .min(1)
  .regex(/^[\w.:-]+$/, 'must be a provider item id');

const milliseconds = z.number().int().min(0).max(86_400_000);

export { maxCorrection, maxEntryText };

export const transcriptEntryInput = z.strictObject({
  /** Which call of the session the item belongs to: 1, 2, … */
  ordinal: z.number().int().min(1).max(1_000),
  item_id: itemId,
  /** The item before it in the conversation; null for the first, absent when unknown. */
  previous_item_id: itemId.nullable().optional(),
  speaker,
  text: plainText(maxEntryText),
  /** Milliseconds since the call's audio began. */
  start_ms: milliseconds.nullable().optional(),
  end_ms: milliseconds.nullable().optional(),
});
export type TranscriptEntryInput = z.output<typeof transcriptEntryInput>;

/** An entry as the worker writes it and as readers get it. */
export const transcriptEntry = z.object({
  ordinal: z.number().int(),
  item_id: z.string(),
  previous_item_id: z.string().nullable(),
  speaker,
  text: z.string(),
  /** 0–1, or null when the provider gave none. */
  confidence: z.number().nullable(),
  start_ms: z.number().nullable(),
  end_ms: z.number().nullable(),
  /** True when it was cut off: the candidate interrupted it, or the voice provider did not finish it. */
  interrupted: z.boolean(),
  /** False when only the browser reported the entry. */
  verified: z.boolean(),
});
export type TranscriptEntry = z.output<typeof transcriptEntry>;

export const storedTranscriptEntry = transcriptEntry.extend({
  /** What the candidate says they really said, when the text is wrong. Null: no correction. */
  correction: z.string().nullable(),
  sequence_number: z.number().int(),
});
export type StoredTranscriptEntry = z.output<typeof storedTranscriptEntry>;
