import type { recordingView, transcriptView } from '@greenroom/shared/protocol/platform-api.ts';
import type { ResultView } from '@greenroom/shared/protocol/results.ts';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type * as z from 'zod';
import { placeOf } from './player.tsx';
import { reviewDe, reviewEn } from './review-messages.ts';
import type { ReviewEntry, ReviewRecording, ReviewResult, ReviewTranscript } from './review-types.ts';

test('the API’s answers fit the props unchanged', () => {
  expectTypeOf<z.output<typeof transcriptView>>().toExtend<ReviewTranscript>();
  expectTypeOf<ResultView>().toExtend<ReviewResult>();
  expectTypeOf<z.output<typeof recordingView>>().toExtend<ReviewRecording>();
});

describe('where an entry is in the recordings', () => {
  const entry = (ordinal: number, start_ms: number | null, verified = true): ReviewEntry => ({
    ...{ sequence_number: 1, ordinal, speaker: 'candidate', text: 'x', start_ms, interrupted: false, verified },
  });
  const recording = (video_id: string, begins: Record<number, number>): ReviewRecording => ({
    ...{ video_id, watch_url: null },
    calls: Object.entries(begins).map(([ordinal, begins_ms]) => ({ ordinal: Number(ordinal), begins_ms })),
  });
  const [first, second] = [recording('a', { 1: -4_000, 2: 60_000 }), recording('b', { 1: -64_000, 2: 1_000 })];

  test('it is a second before the call’s begin plus the entry’s time', () => {
    expect(placeOf(entry(1, 10_000), [first])).toEqual({ recording: first, seconds: 5 });
    expect(placeOf(entry(2, 10_000), [first])).toEqual({ recording: first, seconds: 69 });
  });

  test('of several recordings the one that began last before the entry has it', () => {
    expect(placeOf(entry(2, 10_000), [first, second])).toEqual({ recording: second, seconds: 10 });
    expect(placeOf(entry(1, 10_000), [first, second])?.recording).toBe(first);
  });

  test('an entry before the recording, one without a time, and one that the browser alone reported are nowhere', () => {
    expect(placeOf(entry(1, 1_000), [first])).toBeUndefined();
    expect(placeOf(entry(1, null), [first])).toBeUndefined();
    expect(placeOf(entry(2, 10_000, false), [first])).toBeUndefined();
    expect(placeOf(entry(3, 10_000), [first, second])).toBeUndefined();
  });
});

test('both languages have a sentence for the same integrity flags', () => {
  expect(Object.keys(reviewDe.flags)).toEqual(Object.keys(reviewEn.flags));
});
