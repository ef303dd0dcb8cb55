import type { CallSnapshot } from '@greenroom/local-cloud/voice/call.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { expect } from 'vitest';
import type { Stack } from '../../tools/stack/stack.ts';
import { endOf, platformOf, type RunningInterview } from './session.ts';

/** What each test of a conversation ends with: the stored log held against what was said. */
export type StoredEntry = Omit<TranscriptEntry, 'previous_item_id'>;

/** The calls of a test: those from the `from`-th on. */
export const callsFrom = (stack: Stack, from: number): CallSnapshot[] => stack.cloud.voice.calls().slice(from);

/**
 * What a log of these calls must hold. The interviewer's words count as far as they were on the wire; the candidate's
 * only when they were transcribed: before that nobody but the candidate knows them.
 */
export const saidIn = (calls: CallSnapshot[]) =>
  calls.flatMap((call, index) =>
    call.said
      .filter((line) => line.transcribed || line.speaker === 'interviewer')
      .map(({ item_id, speaker, text, interrupted, transcribed }) => ({
        ordinal: index + 1,
        item_id,
        speaker: speaker === 'interviewer' ? 'ai' : speaker,
        text: text.trim(),
        // A call that ended in the middle of a reply: nobody heard its end.
        interrupted: interrupted || !transcribed,
      })),
  );

export async function storedEntries(stack: Stack, sessionId: string): Promise<StoredEntry[]> {
  const { entries } = await platformOf(stack).transcript(sessionId);
  return entries as unknown as StoredEntry[];
}

/** Equal, in order, once. @returns what is stored. */
export async function expectWhole(stack: Stack, sessionId: string, from: number): Promise<StoredEntry[]> {
  const calls = callsFrom(stack, from);
  const stored = await storedEntries(stack, sessionId);
  const seen = stored.map(({ ordinal, item_id, speaker, text, interrupted }) => ({
    ordinal,
    item_id,
    speaker,
    text,
    interrupted,
  }));
  expect(seen).toEqual(saidIn(calls));
  expect(calls.map((call) => call.state)).toEqual(calls.map(() => 'ended'));
  return stored;
}

/** Ended by the interviewer, whole, and every word of it the sideband's. */
export async function expectFinished(stack: Stack, interview: RunningInterview, from: number): Promise<StoredEntry[]> {
  expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
  await endOf(stack, interview.session.session_id);
  const { complete } = await platformOf(stack).transcript(interview.session.session_id);
  expect(complete).toBe(true);
  return expectWhole(stack, interview.session.session_id, from);
}
