import { timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import { z } from 'zod';
import { decodeCursor, encodeCursor } from '../http/cursor.ts';

/**
 * Paging of lists. A page ends at its limit or at `maxPageBytes`, whichever comes first. A page can therefore be shorter
 * than requested although another one follows: `has_more` says so.
 */
const maxPageBytes = 262_144;
export const maxPageRows = 100;
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(maxPageRows).default(20).describe('Maximum number of items on the page.'),
  cursor: z.string().optional().describe('The `next_cursor` of the page before.'),
};

interface PageQuery {
  limit: number;
  cursor?: string | undefined;
}

export interface ListPage<Row> {
  data: Row[];
  has_more: boolean;
  next_cursor: string | null;
}

/** The answer of a list that is always whole. */
export const wholeList = <Row>(data: Row[]): ListPage<Row> => ({ data, has_more: false, next_cursor: null });

/** How many rows fit on a page; at least one. */
export function fitting(rows: object[]): number {
  let bytes = 0;
  const over = rows.findIndex((row) => {
    bytes += Buffer.byteLength(JSON.stringify(row));
    return bytes > maxPageBytes;
  });
  return over < 0 ? rows.length : Math.max(1, over);
}

export interface ListShape<Position extends object, Row extends object> {
  name: string;
  position: z.ZodType<Position>;
  /** The position of a row in the list's order. */
  of: (row: Row) => Position;
}

/**
 * Pages of one list. `filters` is everything beside limit and cursor that selects or orders rows; a cursor is only
 * valid with the filters of its page.
 */
export function pagesOf<Position extends object, Row extends object>({ name, position, of }: ListShape<Position, Row>) {
  const listOf = (filters: object): string => `${name}?${JSON.stringify(filters)}`;
  return {
    /**
     * One row more than requested, to learn whether another page follows, and the position after which they begin.
     * Throws AppError invalid_cursor.
     */
    request: ({ limit, cursor }: PageQuery, filters: object = {}) => ({
      limit: limit + 1,
      after: cursor === undefined ? undefined : decodeCursor(cursor, position, listOf(filters)),
    }),
    page: <R extends Row>(rows: R[], { limit }: PageQuery, filters: object = {}): ListPage<R> => {
      const data = rows.slice(0, Math.min(limit, fitting(rows)));
      const last = data.at(-1);
      const more = rows.length > data.length && last !== undefined;
      return { data, has_more: more, next_cursor: more ? encodeCursor(of(last), listOf(filters)) : null };
    },
  };
}

const created = z.object({ createdAt: timestamp, id: uuid });
type Listed = { created_at: string; id: string };

/** Pages of a list of one tenant that is sorted by (created_at, id), newest first. */
export function newestFirst(name: string) {
  const pages = pagesOf<z.output<typeof created>, Listed>({
    ...{ name, position: created },
    of: ({ created_at: createdAt, id }) => ({ createdAt, id }),
  });
  return {
    page: pages.page,
    request: (tenantId: string, query: PageQuery, filters: object = {}) => {
      const { limit, after: before } = pages.request(query, filters);
      return { tenantId, limit, before };
    },
  };
}
