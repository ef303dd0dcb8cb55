import type * as z from 'zod';
import { listOf } from './list.ts';
import { candidateView, positionView } from './people.ts';
import { sessionSummary, sessionView } from './platform-api.ts';
import { resultView } from './results.ts';

/** Sessions as they are read: with what `expand` asks for. */
export const sessionExpansions = ['result', 'candidate', 'position'] as const;
export type SessionExpansion = (typeof sessionExpansions)[number];

const expansions = {
  result: resultView
    .nullable()
    .optional()
    .describe('With `expand=result`: as `…/result` shows it. Null while there is none.'),
  candidate: candidateView
    .nullable()
    .optional()
    .describe(
      'With `expand=candidate`: as stored now; `interview_context` is as of the creation. Null after the erasure.',
    ),
  position: positionView.optional().describe('With `expand=position`: as stored now.'),
};

export const shownSession = sessionView.extend(expansions);
export type ShownSession = z.output<typeof shownSession>;
export const shownSummary = sessionSummary.extend(expansions);
export type ShownSummary = z.output<typeof shownSummary>;
export const sessionList = listOf(shownSummary);
