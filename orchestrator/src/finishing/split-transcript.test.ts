import fc from 'fast-check';
import { expect, test } from 'vitest';
import { estimateTokens, halve, type Spoken, splitIntoParts } from './split-transcript.ts';

const ai = (text: string): Spoken => ({ speaker: 'ai', text });
const candidate = (text: string): Spoken => ({ speaker: 'candidate', text });
const total = (part: Spoken[]) => part.reduce((sum, entry) => sum + estimateTokens(entry), 0);

const spoken = fc.record({
  speaker: fc.constantFrom('ai' as const, 'candidate' as const),
  text: fc.string({ maxLength: 300 }),
});

test('every entry is in exactly one part, in order, and no part is empty', () => {
  fc.assert(
    fc.property(fc.array(spoken, { maxLength: 60 }), fc.integer({ min: 1, max: 500 }), (entries, maxTokens) => {
      const parts = splitIntoParts(entries, maxTokens);
      expect(parts.flat()).toEqual(entries);
      expect(parts.every((part) => part.length > 0)).toBe(true);
      for (const part of parts) if (part.length > 1) expect(total(part)).toBeLessThanOrEqual(maxTokens);
    }),
  );
});

test('a question and its answer are in the same part', () => {
  const turn = (n: number) => [ai(`question ${n}`), candidate('a'.repeat(120))];
  const parts = splitIntoParts([...turn(1), ...turn(2), ...turn(3), ...turn(4)], 220);
  expect(parts.map((part) => part[0]?.text)).toEqual(['question 1', 'question 3']);
});

test('an entry that is too long for any part becomes a part of its own', () => {
  const long = candidate('word '.repeat(5_000));
  expect(splitIntoParts([ai('a'), long, ai('b')], 100)).toEqual([[ai('a')], [long], [ai('b')]]);
});

test('the estimate for Chinese text is at least one token a character', () => {
  expect(estimateTokens(candidate('面接'.repeat(500)))).toBeGreaterThanOrEqual(1_000);
});

test('a transcript is halved near the middle, before a question if there is one', () => {
  expect(halve([ai('1'), candidate('2')])).toEqual([[ai('1')], [candidate('2')]]);
  const [first, second] = halve([ai('1'), candidate('2'), candidate('3'), ai('4'), candidate('5')]);
  expect([first.length, second.length]).toEqual([3, 2]);
});
