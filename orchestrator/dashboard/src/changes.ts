import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { StreamMessage } from '@greenroom/shared/runtime/event-stream.ts';
import type { InfiniteData, Query, QueryClient } from '@tanstack/react-query';
import type { OpsEvent, OpsMachineRow, Overview, Page, SessionRow } from './answers.ts';
import { type Search, searchOf } from './api.ts';
import type { Redraws } from './redraws.ts';

/**
 * Brings the messages of the fleet's stream into the cache of queries.
 *
 * - What a message contains is written into the cache with the next redraw of the page (redraws.ts).
 * - What a message only tells about, such as which sessions a filter now selects, is read again at most every `againMs`.
 */
export const againMs = 5_000;
/** A stream without a cursor begins at the server's next look. What changed between the first reading and that look is read now. */
const afterHelloMs = 1_000;
/** A list with more pages is not read again automatically: each reading would request all of its pages. */
export const livePages = 3;

export interface Changes {
  take(message: StreamMessage): void;
  stop(): void;
}

type Pages<Row> = InfiniteData<Page<Row>>;

const pagesOf = ({ state }: Query): number => (state.data as { pages?: unknown[] } | undefined)?.pages?.length ?? 0;
const rootOf = ({ queryKey }: Query): string => String(queryKey[0]);
const isBelow = (root: string, touched: string): boolean => root === touched || root.startsWith(`${touched}&`);

/** Throws if the text is not JSON of an object. */
function objectIn(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new TypeError('a message without an object');
  return value;
}

/** Whether an event belongs in a list with these filters. */
const isSelected = ({ type, tenant_id, session_id }: OpsEvent, search: Search): boolean =>
  (search.type === undefined || [search.type].flat().includes(type)) &&
  (search.tenant === undefined || search.tenant === tenant_id) &&
  (search.session === undefined || search.session === session_id);

/** Replaces the rows of all cached lists of `root` that have a newer version. */
function replaceRows<Row>(client: QueryClient, root: string, idOf: (row: Row) => string, newer: Map<string, Row>) {
  client.setQueriesData<Pages<Row>>({ queryKey: [root] }, (list) => {
    if (!list?.pages.some(({ data }) => data.some((row) => newer.has(idOf(row))))) return list;
    const pages = list.pages.map((page) => ({ ...page, data: page.data.map((row) => newer.get(idOf(row)) ?? row) }));
    return { ...list, pages };
  });
}

/** Puts new events on top of all cached lists whose filters select them. */
function addEvents(client: QueryClient, events: OpsEvent[]): void {
  for (const { queryKey } of client.getQueryCache().findAll({ queryKey: ['events'] }))
    client.setQueryData<Pages<OpsEvent>>(queryKey, (list) => {
      const [first, ...older] = list?.pages ?? [];
      if (!list || !first) return list;
      const known = new Set(first.data.map(({ id }) => id));
      const search = searchOf(String(queryKey[1]));
      const newer = new Map(events.map((event) => [event.id, event]));
      const added = [...newer.values()].filter((event) => !known.has(event.id) && isSelected(event, search));
      if (added.length === 0) return list;
      const data = [...added.toSorted((a, b) => b.id - a.id), ...first.data];
      return { ...list, pages: [{ ...first, data }, ...older] };
    });
}

export function createChanges(
  client: QueryClient,
  clock: Pick<Clock, 'monotonicMs' | 'setTimer'>,
  redraws: Pick<Redraws, 'soon'>,
): Changes {
  const sessions = new Map<string, SessionRow>();
  const machines = new Map<string, OpsMachineRow>();
  let events: OpsEvent[] = [];
  let overview: Overview | undefined;
  /** Roots of the keys of queries to read again. */
  const touched = new Set<string>();
  const timers = new Map<'flush' | 'again' | 'hello', Timer>();
  let readAgainMs = Number.NEGATIVE_INFINITY;

  const readAgain = (): void => {
    timers.delete('again');
    readAgainMs = clock.monotonicMs();
    const all = touched.has('all');
    const roots = [...touched];
    touched.clear();
    const isTouched = (root: string) => all || roots.some((one) => one === 'others' || isBelow(root, one));
    const isStatic = (root: string) => root === 'me' || root === 'find' || (root === 'overview' && !all);
    void client.invalidateQueries(
      {
        predicate: (query) => {
          const root = rootOf(query);
          return isTouched(root) && !isStatic(root) && pagesOf(query) <= livePages;
        },
      },
      { cancelRefetch: false },
    );
  };
  const touch = (...roots: string[]): void => {
    for (const root of roots) touched.add(root);
    if (timers.has('again')) return;
    timers.set('again', clock.setTimer(readAgain, Math.max(0, readAgainMs + againMs - clock.monotonicMs())));
  };

  const flush = (): void => {
    timers.delete('flush');
    if (overview) client.setQueryData<Overview>(['overview'], overview);
    if (sessions.size > 0) replaceRows(client, 'sessions', ({ session_id }) => session_id, sessions);
    if (machines.size > 0) replaceRows(client, 'machines', ({ machine_id }) => machine_id, machines);
    if (events.length > 0) {
      addEvents(client, events);
      // An answer that is on its way may be older than these events, and would remove them again.
      const isRead = client.isFetching({ queryKey: ['events'] }) > 0;
      if (isRead) touch('events');
    }
    sessions.clear();
    machines.clear();
    [events, overview] = [[], undefined];
  };

  const keep = ({ name, data: text }: StreamMessage): boolean => {
    switch (name) {
      case 'overview':
        overview = objectIn(text) as Overview;
        touch('others');
        return true;
      case 'changed': {
        const changed = objectIn(text) as { sessions: SessionRow[]; machines: OpsMachineRow[] };
        for (const row of changed.sessions) sessions.set(row.session_id, row);
        for (const row of changed.machines) machines.set(row.machine_id, row);
        touch('sessions', 'machines', ...changed.machines.map(({ machine_id }) => `machines/${machine_id}`));
        return true;
      }
      case 'event': {
        const event = objectIn(text) as OpsEvent;
        events.push(event);
        if (event.session_id !== null) touch(`sessions/${event.session_id}`, `events?session=${event.session_id}`);
        return true;
      }
      case 'gap':
        touch('all');
        return false;
      case 'hello':
        timers.get('hello')?.cancel();
        timers.set(
          'hello',
          clock.setTimer(() => touch('all'), afterHelloMs),
        );
        return false;
      default:
        return false;
    }
  };

  const isKept = (message: StreamMessage): boolean => {
    try {
      return keep(message);
    } catch {
      // Not as it was sent. What it told about is read instead.
      touch('all');
      return false;
    }
  };

  return {
    take: (message) => {
      if (isKept(message) && !timers.has('flush')) timers.set('flush', redraws.soon(flush));
    },
    stop: () => {
      for (const timer of timers.values()) timer.cancel();
      timers.clear();
    },
  };
}
