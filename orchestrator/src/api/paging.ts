import { text, timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import { z } from 'zod';
import { decodeCursor, encodeCursor } from './cursor.ts';

/**
 * Paging of lists that are sorted by (created_at, id), newest first. A page ends at its limit or at
 * `maxPageBytes`, whichever comes first. A page can therefore be shorter than requested and still have a
 * `next_cursor`.
 */
const maxPageBytes = 262_144;
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: text(200).optional(),
};

const position = z.object({ createdAt: timestamp, id: uuid });

/**
 * The database query for a page. It asks for one row more than requested, to learn whether another page
 * follows. Throws AppError validation_failed for an invalid cursor.
 */
export const pageRequest = (tenantId: string, { limit, cursor }: { limit: number; cursor?: string | undefined }) => ({
  tenantId,
  limit: limit + 1,
  before: cursor === undefined ? undefined : decodeCursor(cursor, position),
});

/** How many rows fit on a page; at least one. */
export function fitting(rows: object[]): number {
  let bytes = 0;
  const over = rows.findIndex((row) => {
    bytes += Buffer.byteLength(JSON.stringify(row));
    return bytes > maxPageBytes;
  });
  return over < 0 ? rows.length : Math.max(1, over);
}

type Listed = { created_at: string } & ({ id: string } | { session_id: string });
const idOf = (row: Listed): string => ('id' in row ? row.id : row.session_id);

export function pageOf<Row extends Listed>(rows: Row[], limit: number) {
  const page = rows.slice(0, Math.min(limit, fitting(rows)));
  const last = page.at(-1);
  const more = rows.length > page.length && last !== undefined;
  return { page, next_cursor: more ? encodeCursor({ createdAt: last.created_at, id: idOf(last) }) : null };
}
