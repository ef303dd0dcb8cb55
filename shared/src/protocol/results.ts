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
  /** What the candidate's answer showed. */
  notes: z.string(),
  /** Transcript entries that support the notes. Each of them exists in the evaluated revision. */
  sequence_numbers: z.array(z.number().int()),
});
export type QuestionNote = z.output<typeof questionNote>;

export const evaluation = z.object({
  strengths: z.array(z.string()),
  areas_to_improve: z.array(z.string()),
  question_notes: z.array(questionNote),
  overall_impression: z.string(),
  recommendation: z.enum(recommendations),
  /** 0–1: how well the conversation supports the recommendation. */
  confidence: z.number().min(0).max(1),
});
export type Evaluation = z.output<typeof evaluation>;

export const integrityFlag = z.object({
  /** For example `foreign_item`, `foreign_session_update`, `unknown_reference`. */
  kind: z.string(),
  count: z.number().int(),
});
export type IntegrityFlag = z.output<typeof integrityFlag>;

export const resultView = z.object({
  session_id: uuid,
  status: z.enum(resultStatuses),
  /**
   * Null until `done`. While a longer transcript is being evaluated again, the summary of
   * `transcript_revision`.
   */
  summary: z.string().nullable(),
  evaluation: evaluation.nullable(),
  integrity_flags: z.array(integrityFlag),
  /** Entries known only from the candidate's browser. */
  unverified_entries: z.number().int(),
  /** True when the local voice provider spoke instead of a real one. */
  simulated: z.boolean(),
  /** True when a person has reviewed this evaluation. A new evaluation resets it. */
  human_reviewed: z.boolean(),
  reviewed_by: z.string().nullable(),
  reviewed_at: timestamp.nullable(),
  /** The transcript revision of this summary and evaluation. */
  transcript_revision: z.number().int(),
  /** The newest transcript revision; higher than `transcript_revision` until that is evaluated. */
  wanted_revision: z.number().int(),
  /** The model that evaluated; null when no model was used. */
  model: z.string().nullable(),
  evaluated_at: timestamp.nullable(),
  attempts: z.number().int(),
  failure: z.enum(resultFailures).nullable(),
  /** The failure as a sentence. */
  failure_text: z.string().nullable(),
  /** When it is retried; null when nothing is queued. */
  next_attempt_at: timestamp.nullable(),
  updated_at: timestamp,
});
export type ResultView = z.output<typeof resultView>;

export const reviewRequest = z.strictObject({
  /** True: a person has reviewed it. False undoes that. */
  human_reviewed: z.boolean(),
  /** Name of the reviewer. Default: the API key. */
  reviewed_by: plainText(200).min(1).optional(),
});
