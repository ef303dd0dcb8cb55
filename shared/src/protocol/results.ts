import * as z from 'zod';
import { plainText, timestamp, uuid } from './common.ts';

/**
 * A session's result: summary and evaluation, made after its end from the stored transcript, and what a reader should
 * know before trusting them. `GET|PATCH /api/sessions/{id}/result`, `POST /api/sessions/{id}/result/rerun`.
 */

/** `pending`: queued. `running`: being made. `empty`: the candidate said nothing. `dead`: given up, see `failure`. */
export const resultStatuses = ['pending', 'running', 'done', 'empty', 'dead'] as const;

/** Why an attempt failed. `refused`: the model declined. `rejected`: the provider does not accept what we ask for. */
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

/** `undecided` is a full answer: the conversation does not bear a recommendation. */
export const recommendations = ['undecided', 'strong_yes', 'yes', 'no', 'strong_no'] as const;

export const questionNote = z.object({
  question: z.string(),
  /** What the candidate's answer showed. */
  notes: z.string(),
  /** Entries of the transcript the notes rest on; each of them exists in the revision that was evaluated. */
  sequence_numbers: z.array(z.number().int()),
});
export type QuestionNote = z.output<typeof questionNote>;

export const evaluation = z.object({
  strengths: z.array(z.string()),
  areas_to_improve: z.array(z.string()),
  question_notes: z.array(questionNote),
  overall_impression: z.string(),
  recommendation: z.enum(recommendations),
  /** 0–1: how well the conversation bears the recommendation. */
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
  /** Null until `done`; while a grown transcript is evaluated again, those of `transcript_revision`. */
  summary: z.string().nullable(),
  evaluation: evaluation.nullable(),
  integrity_flags: z.array(integrityFlag),
  /** Entries known only from the candidate's browser. */
  unverified_entries: z.number().int(),
  /** True when the local voice provider spoke instead of a real one. */
  simulated: z.boolean(),
  /** False until a person says so; a new evaluation has not been reviewed by anybody. */
  human_reviewed: z.boolean(),
  reviewed_by: z.string().nullable(),
  reviewed_at: timestamp.nullable(),
  /** The revision of the transcript that summary and evaluation were made from. */
  transcript_revision: z.number().int(),
  /** The revision they should be made from; above `transcript_revision` until that is done. */
  wanted_revision: z.number().int(),
  /** The model that evaluated; null when none was asked. */
  model: z.string().nullable(),
  evaluated_at: timestamp.nullable(),
  attempts: z.number().int(),
  failure: z.enum(resultFailures).nullable(),
  /** The failure as a sentence. */
  failure_text: z.string().nullable(),
  /** When it is tried again; null when nothing is queued. */
  next_attempt_at: timestamp.nullable(),
  updated_at: timestamp,
});
export type ResultView = z.output<typeof resultView>;

export const reviewRequest = z.strictObject({
  /** True: a person has looked at it. False takes that back. */
  human_reviewed: z.boolean(),
  /** Who looked, as you name them. Default: the API key. */
  reviewed_by: plainText(200).min(1).optional(),
});
