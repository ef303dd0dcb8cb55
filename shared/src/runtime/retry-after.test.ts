import { expect, test } from 'vitest';
import { readRetryAfter } from './retry-after.ts';

test.each([
  ['3', 3_000],
  [' 1.5 ', 1_500],
  ['0', 0],
  [['2', '7'], 2_000],
  ['999999999', 3_600_000],
  [undefined, undefined],
  [null, undefined],
  // Failure pinned: this was read as "at once".
  ['', undefined],
  ['-5', undefined],
  ['Thu, 26 Nov 2026 12:00:20 GMT', undefined],
  ['Infinity', undefined],
])('Retry-After %j means %j ms', (header, ms) => {
  expect(readRetryAfter(header)).toBe(ms);
});

test('the caller can set the longest accepted wait', () => {
  expect(readRetryAfter('120', 60_000)).toBe(60_000);
  expect(readRetryAfter('86400', 86_400_000)).toBe(86_400_000);
});
