import type * as z from 'zod';
import type { FieldError } from './app-error.ts';

/** Limits of an error list: fields that are named, and characters per field. Together at most 8 kB. */
const maxFields = 20;
const maxName = 200;
const maxMessage = 200;

const shortened = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max - 1)}…` : text);
const pathOf = (path: PropertyKey[], root: string): string =>
  shortened(path.length > 0 ? path.map(String).join('.') : root, maxName);

/** zod reports all unknown fields of an object together. They are listed one by one here. */
const errorsOf = (issue: z.core.$ZodIssue, root: string, left: number): FieldError[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys
        .slice(0, left)
        .map((key) => ({ field: pathOf([...issue.path, key], root), message: 'is not a known field' }))
    : [{ field: pathOf(issue.path, root), message: shortened(issue.message, maxMessage) }];

/**
 * The first wrong fields of a zod error, at most 20, as paths that the caller recognises. `root` is the name for an empty path.
 */
export function fieldErrors(error: z.core.$ZodError, root = 'body'): FieldError[] {
  const fields: FieldError[] = [];
  for (const issue of error.issues) {
    if (fields.length >= maxFields) break;
    fields.push(...errorsOf(issue, root, maxFields - fields.length));
  }
  return fields;
}
