import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasDoubleKeys } from './bodies.ts';

const doubled = (json: string): boolean => hasDoubleKeys(json, JSON.parse(json));

test.each(['{"a":1,"a":2}', '[{"b":{"a":1,"c":{},"a":2}}]', '{"\\u0061":1,"a":2}', '{"a\\"":1,"a\\"":":"}'])(
  'a key twice in one object is found: %s',
  (json) => {
    expect(doubled(json)).toBe(true);
  },
);

test.each(['{"a":1,"b":{"a":2}}', '[{"a":1},{"a":2}]', '{"a":":\\":","b":"\\\\"}', '"a:b"', '[]', 'null', '{"a":":"}'])(
  'the same key in different objects, and colons in strings, are allowed: %s',
  (json) => {
    expect(doubled(json)).toBe(false);
  },
);

test('property: no value that was written by JSON.stringify has a key twice', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => !doubled(JSON.stringify(value))));
});
