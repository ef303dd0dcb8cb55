import { evaluation, questionNote } from '@greenroom/shared/protocol/results.ts';
import { z } from 'zod';

/**
 * What the model is asked to answer, as schemas. Structured output knows a subset of JSON Schema: every field is
 * required, and lengths cannot be bounded.
 */

/** About a whole interview. */
export const wholeAnswer = evaluation.extend({ summary: z.string() });
export type WholeAnswer = z.output<typeof wholeAnswer>;

/** About one part of a long interview. */
export const partAnswer = z.object({
  summary: z.string(),
  strengths: z.array(z.string()),
  areas_to_improve: z.array(z.string()),
  question_notes: z.array(questionNote),
});
export type PartAnswer = z.output<typeof partAnswer>;

/** Of all parts together. The notes on questions are not asked for again: those of the parts stand as they are. */
export const mergeAnswer = wholeAnswer.omit({ question_notes: true });
export type MergeAnswer = z.output<typeof mergeAnswer>;
