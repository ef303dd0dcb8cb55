import type * as z from 'zod';
import type { FieldError } from './app-error.ts';

/** A body can be wrong in as many places as it has bytes: this many are named, each in so many characters (8 kB in all). */
const maxFields = 20;
const maxName = 200;
const maxMessage = 200;

const shortened = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max - 1)}…` : text);
const pathOf = (path: PropertyKey[], root: string): string =>
  shortened(path.length > 0 ? path.map(String).join('.') : root, maxName);

/** Unknown fields are named one by one: zod reports them together, at the object that holds them. */
const errorsOf = (issue: z.core.$ZodIssue, root: string, left: number): FieldError[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys
        .slice(0, left)
        .map((key) => ({ field: pathOf([...issue.path, key], root), message: 'is not a known field' }))
    : [{ field: pathOf(issue.path, root), message: shortened(issue.message, maxMessage) }];

/**
 * The first fields that a zod error names, 20 at most, as paths a caller recognises. `root` is what an empty path stands
 * for.
 */
export function fieldErrors(error: z.core.$ZodError, root = 'body'): FieldError[] {
  const fields: FieldError[] = [];
  for (const issue of error.issues) {
    if (fields.length >= maxFields) break;
    fields.push(...errorsOf(issue, root, maxFields - fields.length));
  }
  return fields;
}
