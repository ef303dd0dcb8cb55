import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { forViewers } from '../../access/operators.ts';
import { decodeCursor, encodeCursor } from '../../http/cursor.ts';

/** One list of the operators' API: its filters, its order and how a page is read. */
export interface List<Filter extends object, Place, Row extends object> {
  /** The path below `/ops/api`, and the name in its cursors. */
  name: string;
  filters: z.ZodType<Filter>;
  place: z.ZodType<Place>;
  /** The place of a row in the order of the list. */
  placeOf(row: Row): Place;
  /** At most `limit` rows after this place. `searchedTo`: the list was searched only up to there; the next page begins there. */
  read(
    filter: Filter,
    after: Place | undefined,
    limit: number,
  ): Promise<{ rows: Row[]; searchedTo?: Place | undefined }>;
  /** What is shown of a row. */
  show(row: Row): object;
}

export interface Page {
  data: object[];
  has_more: boolean;
  next_cursor: string | null;
}

const maxRows = 200;
/** For this long, a page that is not full is searched further. Each reading looks through a limited number of rows. */
const searchMs = 200;
const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(maxRows).default(50),
  cursor: z.string().optional(),
});

type Monotonic = Pick<Clock, 'monotonicMs'>;

async function search<Filter extends object, Place, Row extends object>(
  list: List<Filter, Place, Row>,
  filter: Filter,
  after: Place | undefined,
  limit: number,
  clock: Monotonic,
): ReturnType<typeof list.read> {
  const startedMs = clock.monotonicMs();
  const first = await list.read(filter, after, limit);
  // A copy, because other requests may get the same array (shared-reads.ts).
  const found = { ...first, rows: [...first.rows] };
  while (found.searchedTo !== undefined && clock.monotonicMs() - startedMs < searchMs) {
    const { rows, searchedTo } = await list.read(filter, found.searchedTo, limit - found.rows.length);
    found.rows.push(...rows);
    found.searchedTo = searchedTo;
  }
  return found;
}

/** Reads one page. Throws AppError invalid_cursor. */
async function pageOf<Filter extends object, Place, Row extends object>(
  list: List<Filter, Place, Row>,
  filter: Filter,
  { limit, cursor }: z.output<typeof pageQuery>,
  clock: Monotonic,
): Promise<Page> {
  const name = `ops/${list.name}?${JSON.stringify(filter)}`;
  const after = cursor === undefined ? undefined : decodeCursor(cursor, list.place, name);
  const { rows, searchedTo } = await search(list, filter, after, limit + 1, clock);
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const next = last === undefined ? searchedTo : list.placeOf(last);
  return {
    data: shown.map((row) => list.show(row)),
    has_more: next !== undefined,
    next_cursor: next === undefined ? null : encodeCursor(next as object, name),
  };
}

/** Adds the route of a list. */
export function addList<Filter extends object, Place, Row extends object>(
  app: FastifyInstance,
  list: List<Filter, Place, Row>,
  clock: Monotonic,
): void {
  const querystring = z.preprocess(
    (query) => ({ ...(query as object) }),
    z
      .looseObject({ limit: z.unknown(), cursor: z.unknown() })
      .partial()
      .transform(({ limit, cursor, ...filter }, context) => {
        const page = pageQuery.safeParse({ limit, cursor });
        const chosen = list.filters.safeParse(filter);
        for (const { error } of [page, chosen])
          for (const issue of error?.issues ?? []) context.issues.push(issue as never);
        return { page: page.data as z.output<typeof pageQuery>, filter: chosen.data as Filter };
      }),
  );
  app
    .withTypeProvider<ZodTypeProvider>()
    .get(`/${list.name}`, { config: forViewers, schema: { querystring } }, async (request) =>
      pageOf(list, request.query.filter, request.query.page, clock),
    );
}
