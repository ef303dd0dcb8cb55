import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { z } from 'zod';

/** Where a page ended: opaque to callers, so that what it holds may change. */
export const encodeCursor = (position: object): string => Buffer.from(JSON.stringify(position)).toString('base64url');

/** Throws AppError validation_failed for anything we did not make. */
export function decodeCursor<T extends z.ZodType>(cursor: string, position: T): z.output<T> {
  const invalid = new AppError('validation_failed', {
    fields: [{ field: 'cursor', message: 'must be a next_cursor of an earlier answer' }],
  });
  try {
    const parsed = position.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    if (parsed.success) return parsed.data;
  } catch {
    throw invalid;
  }
  throw invalid;
}
