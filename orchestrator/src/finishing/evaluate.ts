import type { Evaluation, IntegrityFlag, QuestionNote, ResultFailure } from '@greenroom/shared/protocol/results.ts';
import { storableValue } from '@greenroom/shared/protocol/storable.ts';
import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { z } from 'zod';
import { type MergeAnswer, mergeAnswer, type PartAnswer, partAnswer, wholeAnswer } from './answers.ts';
import type { Answer, Ask } from './model.ts';
import { type Interview, instructions, type Part, quoteInterview, quoteNotes } from './quote.ts';
import { halve, keepWithin, splitIntoParts } from './split-transcript.ts';

/**
 * From a transcript to a summary and an evaluation.
 *
 * V1  A candidate who said nothing is not evaluated: the model is not asked, and nothing is made up.
 * V2  An answer that did not fit is asked for again with more room, and then of half the transcript at a time.
 * V3  A reference to an entry that does not exist is dropped, and flagged: the reader can check every one that is left.
 * V4  What one evaluation may cost is bounded: the size of its transcript, the share of it that only the candidate's browser
 *     vouches for, and the number of questions. Entries that are left out are counted in a flag.
 * V5  Every text of the result is one that the database stores, whatever the model wrote.
 */
export type Evaluated =
  | { kind: 'empty' }
  | { kind: 'done'; summary: string; evaluation: Evaluation; integrityFlags: IntegrityFlag[] }
  | Failed;

export interface Failed {
  kind: 'failed';
  failure: ResultFailure;
  /** For people; may repeat what the model said, never what was asked. */
  detail: string;
  /** The provider asked to wait this long. */
  retryAfterMs?: number | undefined;
}

export interface EvaluateOptions {
  /** Estimated tokens of transcript in one question. Default 60,000. */
  partTokens?: number;
  /** Room for an answer, tokens, first and then (V2). Default 8,000 and 32,000. */
  outputTokens?: readonly number[];
  /** Estimated tokens of transcript in one evaluation (V4). Default 240,000: about a day of talk. */
  transcriptTokens?: number;
  /** Of these, at most so many from entries that are not verified (V4). Default 60,000. */
  unverifiedTokens?: number;
  /** Questions to the model in one evaluation (V4). Default 24. */
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
      return failed('incomplete', 'The answer was cut off, however much room it had.');
    case 'invalid':
      return failed('invalid_answer', 'The answer was not of the form that was asked for.');
    case 'authFailed':
      return failed('provider_auth_failed', 'The provider refused our credential.');
    case 'rateLimited':
      return failed('provider_rate_limited', 'The provider is rate limiting us.', answer.retryAfterMs);
    case 'unavailable':
      return failed('provider_unavailable', 'The provider did not answer as it should.');
    case 'rejected':
      return failed('rejected', answer.detail);
  }
}

/** V3. */
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

/** What is put before the model. */
interface Read {
  entries: Entries;
  /** Entries that were left out (V4). */
  leftOut: number;
}

type Bounds = Pick<Required<EvaluateOptions>, 'outputTokens' | 'maxQuestions'>;

/** One evaluation under way: what each of its questions has in common. */
function createInterviewer(interview: Interview, ask: Ask, { outputTokens, maxQuestions }: Bounds) {
  let asked = 0;

  /** V2, the first half; V4. */
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

  /** V2, the second half. */
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

/** @returns a function that evaluates. Throws what `ask` throws. */
export function createEvaluate({
  partTokens = 60_000,
  outputTokens = [8_000, 32_000],
  transcriptTokens = 240_000,
  unverifiedTokens = 60_000,
  maxQuestions = 24,
}: EvaluateOptions = {}): Evaluate {
  const evaluate: Evaluate = async (interview, ask) => {
    const spoken = interview.entries.filter((entry) => entry.text.trim() !== '');
    const entries = keepWithin(spoken, transcriptTokens, unverifiedTokens); // V4
    if (!entries.some((entry) => entry.speaker === 'candidate')) return { kind: 'empty' }; // V1
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
  return async (interview, ask) => storableValue(await evaluate(interview, ask)); // V5
}
