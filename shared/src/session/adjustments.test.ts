import { expect, test } from 'vitest';
import { adjustmentsIn, extraTimeMs, extraTimeWithin } from './adjustments.ts';

test.each([
  ['none', {}, 3_000_000, 0],
  ['a quarter', { extra_time_percent: 25 }, 3_000_000, 750_000],
  ['ten minutes', { extra_minutes: 10 }, 3_000_000, 600_000],
])('extra time of %s is added once and found again in the whole', (_what, given, plainMs, extraMs) => {
  expect(extraTimeMs(given, plainMs)).toBe(extraMs);
  expect(extraTimeWithin(given, plainMs + extraMs)).toBeCloseTo(extraMs);
});

test('settings without adjustments, or erased ones, have none', () => {
  expect(adjustmentsIn({})).toEqual({});
  expect(adjustmentsIn({ adjustments: 'nonsense' })).toEqual({});
  expect(adjustmentsIn({ adjustments: { slower: true } })).toEqual({ slower: true });
});
