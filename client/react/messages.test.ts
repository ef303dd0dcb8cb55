import { sessionReasonNames } from '@greenroom/shared/session/reasons.ts';
import { describe, expect, test } from 'vitest';
import { problemCodes } from '../src/problems.ts';
import { de } from './de.ts';
import { en } from './en.ts';

/** Reasons that the browser itself gives for an end. */
const ownReasons = ['token_refused', 'unknown_session', 'already_ended', 'unreachable', 'opened_elsewhere', 'other'];

describe.each([en, de])('the texts of $lang', (messages) => {
  const told = { ...messages.problems, ...messages.recordingProblems, ...messages.ends };

  test('tell every problem in at most two sentences and 140 characters, and blame or frighten nobody', () => {
    expect(Object.keys(messages.problems).sort()).toEqual([...problemCodes].sort());
    const wrong = Object.entries(told).filter(
      ([, text]) =>
        text.length > 140 ||
        text.split(/[.?](?:\s|$)/).filter(Boolean).length > 3 ||
        /\b(error|failed|invalid|fehler|ungültig)\b|!|\b\d{3}\b/i.test(text),
    );
    expect(wrong).toEqual([]);
  });

  test('name only ends that exist', () => {
    const known = new Set<string>([...sessionReasonNames, ...ownReasons]);
    expect(Object.keys(messages.ends).filter((reason) => !known.has(reason))).toEqual([]);
  });
});

test('both languages offer the same acts and tell the same ends', () => {
  expect(Object.keys(de.acts)).toEqual(Object.keys(en.acts));
  expect(Object.keys(de.ends)).toEqual(Object.keys(en.ends));
});
