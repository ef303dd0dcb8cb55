import type { CallSnapshot } from '@greenroom/local-cloud/voice/call.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { expect } from 'vitest';
import type { Stack } from '../../tools/stack/stack.ts';
import { endOf, platformOf, type RunningInterview } from './session.ts';

/** The final check of every conversation test: compares the stored transcript with the spoken words. */
export type StoredEntry = Omit<TranscriptEntry, 'previous_item_id'>;

/** The calls of a test: all calls from index `from`. */
export const callsFrom = (stack: Stack, from: number): CallSnapshot[] => stack.cloud.voice.calls().slice(from);

/**
 * The expected transcript of these calls. The interviewer's words count as far as they were sent; the candidate's words
 * count only once transcribed: before that the system does not know them.
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
        // The call ended in the middle of a reply, so the end of the reply was not heard.
        interrupted: interrupted || !transcribed,
      })),
  );

export async function storedEntries(stack: Stack, sessionId: string): Promise<StoredEntry[]> {
  const { entries } = await platformOf(stack).transcript(sessionId);
  return entries as unknown as StoredEntry[];
}

/** Expects equal entries, in order, each once. @returns the stored entries. */
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

/** Expects an interview that the interviewer ended, with a complete transcript and only verified entries. */
export async function expectFinished(stack: Stack, interview: RunningInterview, from: number): Promise<StoredEntry[]> {
  expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
  await endOf(stack, interview.session.session_id);
  const { complete } = await platformOf(stack).transcript(interview.session.session_id);
  expect(complete).toBe(true);
  return expectWhole(stack, interview.session.session_id, from);
}
