import { createHash } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { z } from 'zod';

/**
 * Cursors: where a page of a list ended. Callers must treat them as opaque, because their content may change.
 *
 * A cursor carries a checksum over its content, the list and the filters. One that was changed, cut, or made by another
 * list or with other filters is refused, instead of silently giving other rows. It is not a secret and grants nothing:
 * every list is limited to what its caller may read.
 */
const digestOf = (content: string, list: string): string =>
  createHash('sha256').update(list).update('\n').update(content).digest('base64url').slice(0, 12);

/** @param list names the list and its filters. */
export function encodeCursor(position: object, list: string): string {
  const content = Buffer.from(JSON.stringify(position)).toString('base64url');
  return `${content}.${digestOf(content, list)}`;
}

/** Longer ones are not looked at. */
const maxLength = 500;

const invalid = (): AppError =>
  new AppError('invalid_cursor', {
    fields: [
      { field: 'cursor', message: 'must be the next_cursor of an earlier page of this list, with the same filters' },
    ],
  });

/** Throws AppError invalid_cursor if the cursor was not made by `encodeCursor` for this list. */
export function decodeCursor<T extends z.ZodType>(cursor: string, position: T, list: string): z.output<T> {
  const [content = '', digest] = cursor.split('.');
  if (cursor.length > maxLength || digest !== digestOf(content, list)) throw invalid();
  try {
    return position.parse(JSON.parse(Buffer.from(content, 'base64url').toString('utf8')));
  } catch {
    throw invalid();
  }
}
