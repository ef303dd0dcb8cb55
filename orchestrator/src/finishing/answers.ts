import { evaluation, questionNote } from '@greenroom/shared/protocol/results.ts';
import { z } from 'zod';

/**
 * Schemas of the answers that the model must give. Structured output supports a subset of JSON Schema: every
 * field is required, and lengths cannot be limited.
 */

/** The answer about a whole interview. */
export const wholeAnswer = evaluation.extend({ summary: z.string() });
export type WholeAnswer = z.output<typeof wholeAnswer>;

/** The answer about one part of a long interview. */
export const partAnswer = z.object({
  summary: z.string(),
  strengths: z.array(z.string()),
  areas_to_improve: z.array(z.string()),
  question_notes: z.array(questionNote),
});
export type PartAnswer = z.output<typeof partAnswer>;

/** The answer that merges all parts. It has no notes on questions: the notes of the parts are used unchanged. */
export const mergeAnswer = wholeAnswer.omit({ question_notes: true });
export type MergeAnswer = z.output<typeof mergeAnswer>;
