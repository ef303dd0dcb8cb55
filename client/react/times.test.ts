import { expect, test } from 'vitest';
import { startOf, timeOf } from './times.ts';

const at = new Date(2026, 10, 26, 14, 3, 21).getTime();
const night = new Date(2026, 10, 26, 0, 3, 21).getTime();

test.each(['en', 'de'])('times of day have the 24-hour form in %s', (lang) => {
  expect([timeOf(at), timeOf(night)]).toEqual(['14:03:21', '00:03:21']);
  expect([startOf(at, lang, night), startOf(night, lang, at)]).toEqual(['14:03', '00:03']);
});

test('the start of another day has its date', () => {
  const before = new Date(2026, 10, 25, 23).getTime();
  expect([startOf(at, 'en', before), startOf(at, 'de', before)]).toEqual(['Nov 26, 2026, 14:03', '26.11.2026, 14:03']);
});
