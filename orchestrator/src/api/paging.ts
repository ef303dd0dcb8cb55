import { text, timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import { z } from 'zod';
import { decodeCursor, encodeCursor } from './cursor.ts';

/** Lists, newest first, by (created_at, id). */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: text(200).optional(),
};

const position = z.object({ createdAt: timestamp, id: uuid });

/** Where the page begins; one row more than asked for says whether there is another page. Throws AppError validation_failed. */
export const pageRequest = (tenantId: string, { limit, cursor }: { limit: number; cursor?: string | undefined }) => ({
  tenantId,
  limit: limit + 1,
  before: cursor === undefined ? undefined : decodeCursor(cursor, position),
});

export function pageOf<Row extends { id: string; created_at: string }>(rows: Row[], limit: number) {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { page, next_cursor: more ? encodeCursor({ createdAt: last.created_at, id: last.id }) : null };
}
