/** A list of the API. Iterate over all items, or read page by page. No request is sent before that. */
export interface Pages<Item> extends AsyncIterable<Item> {
  /** The first page. To read the next one, call the method again with `cursor: next_cursor` in the query. */
  firstPage(): Promise<Page<Item>>;
  /** Page by page. A page may be empty and still not be the last one. */
  pages(): AsyncIterable<Page<Item>>;
  /** All items at once. For lists that you know to be short. */
  all(): Promise<Item[]>;
}

export interface Page<Item> {
  data: Item[];
  has_more: boolean;
  next_cursor: string | null;
}

/** @param read reads the page at a cursor; undefined: the first one */
export function pagesOf<Item>(read: (cursor: string | undefined) => Promise<Page<Item>>): Pages<Item> {
  async function* pages(): AsyncGenerator<Page<Item>> {
    let cursor: string | undefined;
    do {
      const page = await read(cursor);
      yield page;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }
  async function* items(): AsyncGenerator<Item> {
    for await (const { data } of pages()) yield* data;
  }
  return {
    firstPage: () => read(undefined),
    pages,
    all: async () => {
      const found: Item[] = [];
      for await (const item of items()) found.push(item);
      return found;
    },
    [Symbol.asyncIterator]: items,
  };
}
