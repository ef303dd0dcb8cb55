import { randomUUID } from 'node:crypto';
import type { ScriptedSession } from '@greenroom/shared/protocol/scripted-call.ts';
import type { SessionRow } from '../database/rows.ts';

/**
 * The interviewer of a test session. No provider is asked for anything: the worker's scripted adapter speaks, and its
 * credential is only a name.
 */
const usualQuestions = ['What did you build last?', 'What was difficult about it?'];

/** The session's own questions if it has any. */
export function scriptedSessionOf({ settings }: Pick<SessionRow, 'settings'>): ScriptedSession {
  const own = Array.isArray(settings.questions) ? settings.questions.filter((one) => typeof one === 'string') : [];
  const asked = own.filter((question) => question.trim() !== '');
  return { type: 'scripted', questions: asked.length > 0 ? asked : usualQuestions };
}

export const scriptedCredential = (): string => `scripted_${randomUUID()}`;
/** Where a provider's call would be made. Nothing is sent there. */
export const scriptedBaseUrl = 'scripted:';
