import type { SessionRow } from '../database/rows.ts';
import type { WholeAnswer } from './answers.ts';
import type { Answer, Ask } from './model.ts';

/**
 * The evaluation of a test session: the same for each, made without a model, so that it costs nothing. It has the form
 * of a real one, and says what it is.
 */
export const scriptedModel = 'scripted';

const answer = ({ interview_context: { position } }: Pick<SessionRow, 'interview_context'>): WholeAnswer => ({
  summary: `This is the result of a test session for the position ${position.title}. No model has read the interview.`,
  strengths: ['Test mode: an example of a strength'],
  areas_to_improve: ['Test mode: an example of what to improve'],
  question_notes: [],
  overall_impression: 'Test mode: an example of an overall impression.',
  recommendation: 'yes',
  confidence: 0.5,
});

export const scriptedAsk =
  (session: Pick<SessionRow, 'interview_context'>): Ask =>
  async <T>({
    schema,
  }: {
    schema: { safeParse(value: unknown): { success: boolean; data?: T } };
  }): Promise<Answer<T>> => {
    const parsed = schema.safeParse(answer(session));
    return parsed.success ? { kind: 'answered', value: parsed.data as T } : { kind: 'invalid' };
  };
