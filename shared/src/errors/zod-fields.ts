import type { z } from 'zod';
import type { FieldError } from './app-error.ts';

/** The fields a zod error names, as paths a caller recognises. `root` is what an empty path stands for. */
export const fieldErrors = (error: z.core.$ZodError, root = 'body'): FieldError[] =>
  error.issues.map((issue) => ({
    field: issue.path.length > 0 ? issue.path.map(String).join('.') : root,
    message: issue.message,
  }));
