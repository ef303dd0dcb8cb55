import type * as z from 'zod';
import type { FieldError } from './app-error.ts';

const pathOf = (path: PropertyKey[], root: string): string => (path.length > 0 ? path.map(String).join('.') : root);

/**
 * The fields a zod error names, as paths a caller recognises. `root` is what an empty path stands for.
 * Unknown fields are named one by one: zod reports them together, at the object that holds them.
 */
export const fieldErrors = (error: z.core.$ZodError, root = 'body'): FieldError[] =>
  error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ field: pathOf([...issue.path, key], root), message: 'is not a known field' }))
      : [{ field: pathOf(issue.path, root), message: issue.message }],
  );
