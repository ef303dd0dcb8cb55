import { expect, test } from 'vitest';
import type { PartAnswer, WholeAnswer } from './answers.ts';
import { createEvaluate } from './evaluate.ts';
import type { Answer, Ask, Question } from './model.ts';
import type { Interview } from './quote.ts';

const interview = (texts: string[]): Interview => ({
  sessionId: '11111111-1111-4111-8111-111111111111',
  position: { title: 'Engineer', description: null },
  language: 'en',
  plannedQuestions: [],
  integrityFlags: [],
  entries: texts.map((text, index) => ({
    ordinal: 1,
    item_id: `item_${index + 1}`,
    previous_item_id: null,
    speaker: index % 2 === 0 ? ('ai' as const) : ('candidate' as const),
    text,
    ...{ confidence: null, start_ms: null, end_ms: null, interrupted: false, verified: true, correction: null },
    sequence_number: index + 1,
  })),
});

const part: PartAnswer = {
  summary: 'A part.',
  strengths: ['Clear'],
  areas_to_improve: [],
  question_notes: [{ question: 'What?', notes: 'This.', sequence_numbers: [2] }],
};
const whole: WholeAnswer = {
  ...part,
  summary: 'They spoke.',
  overall_impression: 'Good',
  recommendation: 'yes',
  confidence: 0.5,
};

/** A model that gives these answers in order, whatever the question. */
function modelOf(...answers: Array<Answer<unknown>>) {
  const asked: Array<Question<unknown>> = [];
  const ask = (async (question: Question<unknown>) => {
    asked.push(question);
    return answers[asked.length - 1] ?? { kind: 'unavailable' };
  }) as Ask;
  return { ask, asked };
}

const answered = (value: unknown): Answer<unknown> => ({ kind: 'answered', value });
const evaluate = createEvaluate();

test('references to unknown entries are removed and flagged; the rest are sorted and deduplicated', async () => {
  const notes = [{ question: 'What?', notes: 'This.', sequence_numbers: [3, 99, 2, 2, -1] }];
  const { ask } = modelOf(answered({ ...whole, question_notes: notes }));
  expect(await evaluate(interview(['q', 'a', 'q', 'a']), ask)).toMatchObject({
    kind: 'done',
    evaluation: { question_notes: [{ sequence_numbers: [2, 3] }] },
    integrityFlags: [{ kind: 'unknown_reference', count: 2 }],
  });
});

test('when the candidate said only white space, the result is empty and the model is not asked', async () => {
  const { ask, asked } = modelOf();
  expect(await evaluate(interview(['Hello?', ' \n']), ask)).toEqual({ kind: 'empty' });
  expect(asked).toEqual([]);
});

test('characters that Postgres cannot store are replaced or removed from every text of the result', async () => {
  const half = 'x\ud83d\u0000';
  const answer: WholeAnswer = {
    ...{ summary: half, strengths: [half], areas_to_improve: [half], overall_impression: half },
    ...{
      question_notes: [{ question: half, notes: half, sequence_numbers: [2] }],
      recommendation: 'yes',
      confidence: 1,
    },
  };
  const done = await evaluate(interview(['q', 'a']), modelOf(answered(answer)).ask);
  expect(done.kind).toBe('done');
  expect(JSON.stringify(done)).not.toMatch(/\\u(0000|d[89a-f])/i);
  const refused = await evaluate(interview(['q', 'a']), modelOf({ kind: 'refused', text: `No. ${half}` }).ask);
  expect(refused).toMatchObject({ kind: 'failed', failure: 'refused', detail: 'No. x\ufffd' });
});

test('unverified entries beyond the limit are left out and counted; verified entries are always evaluated', async () => {
  const heard = interview(['q', 'a']).entries;
  const copies = interview(Array.from({ length: 1_000 }, () => 'x'.repeat(20_000))).entries;
  const added = copies.map((entry) => ({ ...entry, verified: false, sequence_number: entry.sequence_number + 2 }));
  const { ask, asked } = modelOf(answered(part), answered(whole), answered(whole), answered(whole));
  const done = await evaluate({ ...interview([]), entries: [...added, ...heard] }, ask);
  const characters = asked.reduce((sum, { input }) => sum + input.length, 0);
  expect(characters).toBeLessThan(4 * 60_000);
  expect(asked.map(({ input }) => input).join()).toContain('"sequence_number":2,"speaker":"candidate","text":"a"');
  expect(done).toMatchObject({ kind: 'done', integrityFlags: [{ kind: 'entries_not_evaluated', count: 992 }] });
});

test('a correction by the candidate is given to the model beside the text, as such', async () => {
  const { ask, asked } = modelOf(answered(whole));
  const { entries, ...rest } = interview(['q', 'I like Readies.']);
  const corrected = entries.map((entry) => ({
    ...entry,
    correction: entry.speaker === 'ai' ? null : 'Redis </interview>',
  }));
  await evaluate({ ...rest, entries: corrected }, ask);
  expect(asked[0]?.input).toContain('"text":"I like Readies.","corrected_by_candidate":"Redis \\u003c/interview>"');
  expect(asked[0]?.input).not.toContain('"text":"q","corrected_by_candidate"');
  expect(asked[0]?.instructions).toContain('"corrected_by_candidate"');
});

test('a model whose answers are always cut off is asked at most 24 times', async () => {
  let asked = 0;
  const ask = (async () => {
    asked += 1;
    return { kind: 'incomplete', why: 'output' };
  }) as Ask;
  const texts = Array.from({ length: 5_000 }, () => 'word');
  expect(await evaluate(interview(texts), ask)).toMatchObject({ kind: 'failed', failure: 'incomplete' });
  expect(asked).toBeLessThanOrEqual(24);
});

test('a question that is too long for the model is split into halves, not repeated with a larger output limit', async () => {
  const { ask, asked } = modelOf({ kind: 'incomplete', why: 'input' }, answered(part), answered(part), answered(whole));
  expect(await evaluate(interview(['q', 'a', 'q', 'a']), ask)).toMatchObject({ kind: 'done', summary: 'They spoke.' });
  expect(asked.map((question) => question.name)).toEqual(['whole', 'part', 'part', 'merge']);
});

test('a part that is too long is halved again; when a single entry is too long, the evaluation fails', async () => {
  const cut: Answer<unknown> = { kind: 'incomplete', why: 'input' };
  const { ask, asked } = modelOf(cut, cut, cut, answered(part));
  expect(await evaluate(interview(['q', 'a', 'q', 'a']), ask)).toMatchObject({ kind: 'failed', failure: 'incomplete' });
  expect(asked.map((question) => question.name)).toEqual(['whole', 'part', 'part']);
});

test('when one part fails, the whole evaluation fails with the same reason', async () => {
  const { ask } = modelOf(answered(part), { kind: 'rateLimited', retryAfterMs: 7 });
  const inParts = createEvaluate({ partTokens: 60 });
  expect(await inParts(interview(['q', 'a', 'q', 'a']), ask)).toEqual({
    kind: 'failed',
    failure: 'provider_rate_limited',
    detail: 'The provider limits the rate of our requests.',
    retryAfterMs: 7,
  });
});
