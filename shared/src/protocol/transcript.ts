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
  ordinal: z.number().int().min(1).max(1_000).describe('Which call of the session the item belongs to: 1, 2, …'),
  item_id: itemId,
  previous_item_id: itemId
    .nullable()
    .optional()
    .describe('The item before it in the conversation; null for the first, absent when unknown.'),
  speaker,
  text: plainText(maxEntryText),
  start_ms: milliseconds.nullable().optional().describe("Milliseconds since the call's audio began."),
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
  confidence: z.number().nullable().describe('0–1, or null when the provider gave none.'),
  start_ms: z.number().nullable(),
  end_ms: z.number().nullable(),
  interrupted: z
    .boolean()
    .describe('True when it was cut off: the candidate interrupted it, or the voice provider did not finish it.'),
  verified: z.boolean().describe('False when only the browser reported the entry.'),
});
export type TranscriptEntry = z.output<typeof transcriptEntry>;

export const storedTranscriptEntry = transcriptEntry.extend({
  correction: z
    .string()
    .nullable()
    .describe('What the candidate says they really said, when the text is wrong. Null: no correction.'),
  sequence_number: z.number().int(),
});
export type StoredTranscriptEntry = z.output<typeof storedTranscriptEntry>;
