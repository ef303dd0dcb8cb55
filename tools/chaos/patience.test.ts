import { expect, test } from 'vitest';
import { createPatience } from './patience.ts';

test('a campaign waits while something happens, at most for its maximum', () => {
  let nowMs = 0;
  const patience = createPatience(90, 300, () => nowMs);
  for (const eventMs of [80, 160, 240]) {
    nowMs = eventMs;
    expect(patience.over).toBe(false);
    patience.touch();
  }
  nowMs = 301;
  patience.touch();
  expect(patience.over).toBe(true);
});

test('a campaign ends when nothing has happened for the limit', () => {
  let nowMs = 0;
  const patience = createPatience(90, 300, () => nowMs);
  nowMs = 91;
  expect(patience.over).toBe(true);
});
