import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { fieldErrors } from './zod-fields.ts';

const errorOf = (schema: z.ZodType, value: unknown) => schema.safeParse(value).error as z.ZodError;
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

describe('the list of invalid fields', () => {
  test('names a wrong field and an unknown one by their paths', () => {
    const schema = z.strictObject({ candidate: z.strictObject({ name: z.string() }) });
    expect(fieldErrors(errorOf(schema, { candidate: { name: 1, age: 2 } })).map(({ field }) => field)).toEqual([
      'candidate.name',
      'candidate.age',
    ]);
  });

  test('contains 20 fields of a body with 20,000 unknown ones, so that the answer stays smaller than the request', () => {
    const body = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`unknown${n}`, 1]));
    expect(fieldErrors(errorOf(z.strictObject({}), body))).toHaveLength(20);
  });

  test('is at most 8 kB, also when the unknown names are long', () => {
    const body = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`${n}${'n'.repeat(5_000)}`, 1]));
    expect(bytesOf(fieldErrors(errorOf(z.strictObject({}), body)))).toBeLessThan(8_192);
  });

  test('shortens a message that repeats what was sent', () => {
    const schema = z.string().refine(() => false, { error: 'x'.repeat(100_000) });
    expect(bytesOf(fieldErrors(errorOf(schema, 'a')))).toBeLessThan(500);
  });
});
