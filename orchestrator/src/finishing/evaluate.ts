import type { Evaluation, IntegrityFlag, QuestionNote, ResultFailure } from '@greenroom/shared/protocol/results.ts';
import { storableValue } from '@greenroom/shared/protocol/storable.ts';
import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { z } from 'zod';
import { type MergeAnswer, mergeAnswer, type PartAnswer, partAnswer, wholeAnswer } from './answers.ts';
import type { Answer, Ask } from './model.ts';
import { type Interview, instructions, type Part, quoteInterview, quoteNotes } from './quote.ts';
import { halve, keepWithin, splitIntoParts } from './split-transcript.ts';

/**
 * Makes the summary and the evaluation from a transcript.
 *
 * - If the candidate said nothing, the result is `empty` and the model is not asked.
 * - If the model's answer was cut off, the question is repeated with a larger output limit; if that fails too,
 *   the transcript is split into halves.
 * - A reference to an entry that does not exist is removed and flagged, so every remaining reference can be
 *   checked.
 * - The cost of one evaluation is bounded: by the size of the transcript, the size of its unverified part, and
 *   the number of questions. Entries that are left out are counted in a flag.
 * - Texts from the model are cleaned of characters that Postgres cannot store.
 */
export type Evaluated =
  | { kind: 'empty' }
  | { kind: 'done'; summary: string; evaluation: Evaluation; integrityFlags: IntegrityFlag[] }
  | Failed;

export interface Failed {
  kind: 'failed';
  failure: ResultFailure;
  /** For people. May contain the model's words, never the question's. */
  detail: string;
  /** The provider asked to wait this long. */
  retryAfterMs?: number | undefined;
}

export interface EvaluateOptions {
  /** Estimated tokens of transcript in one question. Default 60,000. */
  partTokens?: number;
  /** Output limits in tokens, tried in this order. Default 8,000 and 32,000. */
  outputTokens?: readonly number[];
  /** Estimated tokens of transcript in one evaluation. Default 240,000: about a day of speech. */
  transcriptTokens?: number;
  /** The most of these tokens that unverified entries may use. Default 60,000. */
  unverifiedTokens?: number;
  /** Questions to the model in one evaluation. Default 24. */
  maxQuestions?: number;
}

export type Evaluate = (interview: Interview, ask: Ask) => Promise<Evaluated>;

type Entries = StoredTranscriptEntry[];
type Noted = { kind: 'noted'; notes: PartAnswer[] } | Failed;

function failureOf(answer: Exclude<Answer<unknown>, { kind: 'answered' }>): Failed {
  const failed = (failure: ResultFailure, detail: string, retryAfterMs?: number): Failed => ({
    kind: 'failed',
    ...{ failure, detail, retryAfterMs },
  });
  switch (answer.kind) {
    case 'refused':
      return failed('refused', answer.text);
    case 'incomplete':
      return failed('incomplete', 'The transcript or the answer did not fit the limits of the model.');
    case 'invalid':
      return failed('invalid_answer', 'The answer of the model does not match the schema.');
    case 'authFailed':
      return failed('provider_auth_failed', 'The provider rejected the API key.');
    case 'rateLimited':
      return failed('provider_rate_limited', 'The provider limits the rate of our requests.', answer.retryAfterMs);
    case 'unavailable':
      return failed('provider_unavailable', 'The provider is unavailable or sent an unexpected response.');
    case 'rejected':
      return failed('rejected', answer.detail);
  }
}

/** Removes references to entries that do not exist, and counts them. */
function checkReferences(notes: QuestionNote[], entries: Entries): { notes: QuestionNote[]; unknown: number } {
  const known = new Set(entries.map((entry) => entry.sequence_number));
  const named = notes.flatMap((note) => note.sequence_numbers);
  const checked = notes.map((note) => ({
    question: note.question,
    notes: note.notes,
    sequence_numbers: [...new Set(note.sequence_numbers)]
      .filter((number) => known.has(number))
      .toSorted((a, b) => a - b),
  }));
  return { notes: checked, unknown: named.filter((number) => !known.has(number)).length };
}

const flag = (kind: string, count: number): IntegrityFlag[] => (count > 0 ? [{ kind, count }] : []);

function finish(answer: MergeAnswer, questionNotes: QuestionNote[], { entries, leftOut }: Read): Evaluated {
  const { notes, unknown } = checkReferences(questionNotes, entries);
  const { summary, strengths, areas_to_improve, overall_impression, recommendation, confidence } = answer;
  return {
    kind: 'done',
    summary,
    evaluation: {
      ...{ strengths, areas_to_improve, question_notes: notes, overall_impression, recommendation, confidence },
    },
    integrityFlags: [...flag('unknown_reference', unknown), ...flag('entries_not_evaluated', leftOut)],
  };
}

/** The entries that the model evaluates. */
interface Read {
  entries: Entries;
  /** Number of entries that did not fit the limits. */
  leftOut: number;
}

type Bounds = Pick<Required<EvaluateOptions>, 'outputTokens' | 'maxQuestions'>;

/** Asks the questions of one evaluation and counts them. */
function createInterviewer(interview: Interview, ask: Ask, { outputTokens, maxQuestions }: Bounds) {
  let asked = 0;

  /** Asks with a growing output limit while the answer is cut off, at most `maxQuestions` times in this evaluation. */
  const askWithRoom = async <T>(name: keyof typeof instructions, schema: z.ZodType<T>, input: string) => {
    let answer: Answer<T> = { kind: 'incomplete', why: 'output' };
    for (const maxOutputTokens of outputTokens) {
      asked += 1;
      if (asked > maxQuestions) return answer;
      const question = { name, schema, input, maxOutputTokens, sessionId: interview.sessionId };
      answer = await ask({ ...question, instructions: instructions[name] });
      if (answer.kind !== 'incomplete' || answer.why === 'input') return answer;
    }
    return answer;
  };

  /** Notes on both halves of entries that did not fit into one question. */
  const noteBoth = async (entries: Entries, part: Part): Promise<Noted> => {
    const [first, second] = halve(entries);
    const before = await notesOf(first, part);
    if (before.kind === 'failed') return before;
    const after = await notesOf(second, part);
    return after.kind === 'failed' ? after : { kind: 'noted', notes: [...before.notes, ...after.notes] };
  };

  const notesOf = async (entries: Entries, part: Part): Promise<Noted> => {
    const answer = await askWithRoom('part', partAnswer, quoteInterview(interview, entries, part));
    if (answer.kind === 'answered') return { kind: 'noted', notes: [answer.value] };
    return answer.kind === 'incomplete' && entries.length > 1 ? noteBoth(entries, part) : failureOf(answer);
  };

  return {
    whole: (entries: Entries) => askWithRoom('whole', wholeAnswer, quoteInterview(interview, entries)),
    merged: (notes: PartAnswer[]) => askWithRoom('merge', mergeAnswer, quoteNotes(interview, notes)),
    notesOf,
  };
}

/** @returns a function that evaluates an interview. It throws only what `ask` throws. */
export function createEvaluate({
  partTokens = 60_000,
  outputTokens = [8_000, 32_000],
  transcriptTokens = 240_000,
  unverifiedTokens = 60_000,
  maxQuestions = 24,
}: EvaluateOptions = {}): Evaluate {
  const evaluate: Evaluate = async (interview, ask) => {
    const spoken = interview.entries.filter((entry) => entry.text.trim() !== '');
    const entries = keepWithin(spoken, transcriptTokens, unverifiedTokens);
    if (!entries.some((entry) => entry.speaker === 'candidate')) return { kind: 'empty' };
    const read: Read = { entries, leftOut: spoken.length - entries.length };
    const { whole, merged, notesOf } = createInterviewer(interview, ask, { outputTokens, maxQuestions });

    const inParts = async (parts: Entries[]): Promise<Evaluated> => {
      const notes: PartAnswer[] = [];
      for (const [index, part] of parts.entries()) {
        const noted = await notesOf(part, { number: index + 1, of: parts.length });
        if (noted.kind === 'failed') return noted;
        notes.push(...noted.notes);
      }
      const answer = await merged(notes);
      const questionNotes = notes.flatMap((note) => note.question_notes);
      return answer.kind === 'answered' ? finish(answer.value, questionNotes, read) : failureOf(answer);
    };

    const parts = splitIntoParts(entries, partTokens);
    if (parts.length > 1) return inParts(parts);
    const answer = await whole(entries);
    if (answer.kind === 'answered') return finish(answer.value, answer.value.question_notes, read);
    return answer.kind === 'incomplete' && entries.length > 1 ? inParts(halve(entries)) : failureOf(answer);
  };
  return async (interview, ask) => storableValue(await evaluate(interview, ask));
}
