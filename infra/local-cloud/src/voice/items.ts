/**
 * The conversation's items as the provider keeps them: one list, in which each item knows the one before it.
 */
export interface Item {
  id: string;
  type: string;
  status: string;
  role?: string;
  content?: Array<{ type: string; text?: string; transcript?: string | null }>;
  [field: string]: unknown;
}

export interface Items {
  /**
   * Adds at the end, or after `previousId` (`root`: at the front). Returns the id before it, or false if
   * there is no such item.
   */
  add(item: Item, previousId?: string): string | null | false;
  get(id: string): Item | undefined;
  /** False if there is no such item. */
  remove(id: string): boolean;
  previousOf(id: string): string | null;
  readonly last: Item | undefined;
  all(): Item[];
}

export function createItems(): Items {
  let list: Item[] = [];
  const indexOf = (id: string) => list.findIndex((item) => item.id === id);
  const previousOf = (id: string) => list[indexOf(id) - 1]?.id ?? null;
  return {
    add: (item, previousId) => {
      const after = previousId === undefined ? list.length - 1 : previousId === 'root' ? -1 : indexOf(previousId);
      if (previousId !== undefined && previousId !== 'root' && after === -1) return false;
      list.splice(after + 1, 0, item);
      return previousOf(item.id);
    },
    get: (id) => list[indexOf(id)],
    remove: (id) => {
      const before = list.length;
      list = list.filter((item) => item.id !== id);
      return list.length < before;
    },
    previousOf,
    get last() {
      return list.at(-1);
    },
    all: () => [...list],
  };
}

/** Every text of an item. */
export const textsOf = (item: Item): string[] =>
  (Array.isArray(item.content) ? item.content : [])
    .flatMap((part) => [part.text, part.transcript])
    .filter((text) => typeof text === 'string');
