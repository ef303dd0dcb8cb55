import { expect, test } from 'vitest';
import { queryOf, searchOf, uuidIn } from './api.ts';

test.each([
  'live=true&status=ready&status=failed',
  'constructor=x&toString=y&__proto__=z&hasOwnProperty=1',
  'tenant=%00&type=%E2%80%AEgnp',
])('the filters in the address %s are read and written without a change', (query) => {
  expect(queryOf(searchOf(query))).toBe(query);
});

test('a UUID in capitals or between spaces is recognised, and nothing else is', () => {
  const id = '0f9a63c4-6a0d-4a4e-9e0b-1d2c3b4a5f60';
  expect([id, ` ${id}\n`, id.toUpperCase()].map(uuidIn)).toEqual([id, id, id]);
  expect(['', 'x', '\u0000', '../overview', `${id}/end`, `${id}?x`, `x${id}`].map(uuidIn)).toEqual(
    Array.from({ length: 7 }, () => undefined),
  );
});
