import * as z from 'zod';
import { plainText, timestamp, uuid } from './common.ts';

/**
 * A session's result: summary and evaluation, made after its end from the stored transcript, with what a
 * reader should know before trusting them. `GET|PATCH /api/sessions/{id}/result`,
 * `POST /api/sessions/{id}/result/rerun`.
 */

/**
 * `pending`: queued. `running`: in progress. `empty`: the candidate said nothing. `dead`: given up, see
 * `failure`.
 */
export const resultStatuses = ['pending', 'running', 'done', 'empty', 'dead'] as const;

/**
 * Why an attempt failed. `refused`: the model declined. `rejected`: the provider does not accept our request.
 */
export const resultFailures = [
  'refused',
  'incomplete',
  'invalid_answer',
  'rejected',
  'provider_auth_failed',
  'provider_rate_limited',
  'provider_unavailable',
  'interrupted',
  'internal_error',
] as const;
export type ResultFailure = (typeof resultFailures)[number];

/** `undecided` is a complete answer: the conversation does not support a recommendation. */
export const recommendations = ['undecided', 'strong_yes', 'yes', 'no', 'strong_no'] as const;

export const questionNote = z.object({
  question: z.string(),
  notes: z.string().describe("What the candidate's answer showed."),
  sequence_numbers: z
    .array(z.number().int())
    .describe('Transcript entries that support the notes. Each of them exists in the evaluated revision.'),
});
export type QuestionNote = z.output<typeof questionNote>;

export const evaluation = z.object({
  strengths: z.array(z.string()),
  areas_to_improve: z.array(z.string()),
  question_notes: z.array(questionNote),
  overall_impression: z.string(),
  recommendation: z.enum(recommendations),
  confidence: z.number().min(0).max(1).describe('0–1: how well the conversation supports the recommendation.'),
});
export type Evaluation = z.output<typeof evaluation>;

export const integrityFlag = z.object({
  kind: z.string().describe('For example `foreign_item`, `foreign_session_update`, `unknown_reference`.'),
  count: z.number().int(),
});
export type IntegrityFlag = z.output<typeof integrityFlag>;

export const resultView = z.object({
  session_id: uuid,
  status: z.enum(resultStatuses),
  summary: z
    .string()
    .nullable()
    .describe(
      'Null until `done`. While a longer transcript is being evaluated again, the summary of `transcript_revision`.',
    ),
  evaluation: evaluation.nullable(),
  integrity_flags: z.array(integrityFlag),
  unverified_entries: z.number().int().describe("Entries known only from the candidate's browser."),
  simulated: z.boolean().describe('True when the local voice provider spoke instead of a real one.'),
  human_reviewed: z.boolean().describe('True when a person has reviewed this evaluation. A new evaluation resets it.'),
  reviewed_by: z.string().nullable(),
  reviewed_at: timestamp.nullable(),
  transcript_revision: z.number().int().describe('The transcript revision of this summary and evaluation.'),
  wanted_revision: z
    .number()
    .int()
    .describe('The newest transcript revision; higher than `transcript_revision` until that is evaluated.'),
  model: z.string().nullable().describe('The model that evaluated; null when no model was used.'),
  evaluated_at: timestamp.nullable(),
  attempts: z.number().int(),
  failure: z.enum(resultFailures).nullable(),
  failure_text: z.string().nullable().describe('The failure as a sentence.'),
  next_attempt_at: timestamp.nullable().describe('When it is retried; null when nothing is queued.'),
  updated_at: timestamp,
});
export type ResultView = z.output<typeof resultView>;

export const reviewRequest = z.strictObject({
  human_reviewed: z.boolean().describe('True: a person has reviewed it. False undoes that.'),
  reviewed_by: plainText(200).min(1).optional().describe('Name of the reviewer. Default: the API key.'),
});
