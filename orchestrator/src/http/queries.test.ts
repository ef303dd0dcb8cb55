import { expect, test } from 'vitest';
import { z } from 'zod';
import { parseQuery, several } from './queries.ts';

test('a repeated name is a list, and names in brackets are an object', () => {
  const parsed = parseQuery('limit=2&status=ready&status=failed&metadata[order]=47%2B11&metadata[shop]=a b');
  expect(parsed).toEqual({ limit: '2', status: ['ready', 'failed'], metadata: { order: '47+11', shop: 'a b' } });
});

test('keys that every object has are keys like any other', () => {
  const parsed = parseQuery('__proto__=a&metadata[__proto__]=b&metadata[constructor]=c&toString=d');
  expect(Object.keys(parsed)).toEqual(['__proto__', 'metadata', 'toString']);
  expect(({} as { a?: string }).a).toBeUndefined();
  expect(Object.getPrototypeOf(parsed)).toBeNull();
});

test('one value and several are both a list', () => {
  const schema = z.strictObject({ status: several(z.enum(['ready', 'failed'])).optional() });
  expect(schema.parse({ status: 'ready' })).toEqual({ status: ['ready'] });
  expect(schema.parse({ status: ['ready', 'failed'] })).toEqual({ status: ['ready', 'failed'] });
  expect(schema.parse({})).toEqual({});
  expect(schema.safeParse({ status: 'soon' }).success).toBe(false);
});
