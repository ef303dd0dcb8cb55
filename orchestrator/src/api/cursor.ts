import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { z } from 'zod';

/** Encodes where a page ended. Callers must treat the cursor as opaque, because its content may change. */
export const encodeCursor = (position: object): string => Buffer.from(JSON.stringify(position)).toString('base64url');

/** Throws AppError validation_failed if the cursor was not made by `encodeCursor` for this kind of list. */
export function decodeCursor<T extends z.ZodType>(cursor: string, position: T): z.output<T> {
  const invalid = new AppError('validation_failed', {
    fields: [{ field: 'cursor', message: 'must be the next_cursor of an earlier response' }],
  });
  try {
    const parsed = position.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    if (parsed.success) return parsed.data;
  } catch {
    throw invalid;
  }
  throw invalid;
}
