import fc from 'fast-check';
import { expect, test } from 'vitest';
import { storable, storableValue } from './storable.ts';

test('half a surrogate pair is replaced and NUL removed; whole characters and line breaks stay', () => {
  expect(storable('a\ud83d')).toBe('a\ufffd');
  expect(storable('\udc00b')).toBe('\ufffdb');
  expect(storable('no\u0000pe\u007f')).toBe('nope');
  expect(storable('👍\tnaïve\r\n面接')).toBe('👍\tnaïve\r\n面接');
});

test('the JSON of any value is accepted by Postgres and keeps its structure', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), (value) => {
      const text = JSON.stringify(storableValue({ value, half: 'x\ud800', nul: '\u0000' }));
      // JSON.stringify writes half a surrogate pair as an escape.
      expect(text).not.toMatch(/[^\\](\\\\)*\\u(0000|d[89a-f])/i);
    }),
    { numRuns: 150 },
  );
  expect(storableValue({ a: [1, 'b\ud800', { c: null }], d: true })).toEqual({
    a: [1, 'b\ufffd', { c: null }],
    d: true,
  });
});
