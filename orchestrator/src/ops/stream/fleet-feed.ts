import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { OperatorStore, OpsEvent, OpsMachineRow, OpsSessionRow } from '../../database/operator-store.ts';

/**
 * Reads the events of the fleet once for all operators' streams of this process, and only while there are such streams.
 *
 * Ids of events do not follow the order of commits across sessions: a slower transaction may commit a smaller id later. The
 * feed therefore keeps the events after `settled`, the last id after which no smaller one can appear. A watcher that
 * continues from a cursor gets every event after it, each once: recent ones from the feed, older ones from the database. The
 * cursor to continue from is `settled`, so a watcher that reconnects may get the events of the last seconds again.
 */
export interface FleetFeed {
  /**
   * @param after the cursor to continue from; undefined: only what happens from now on
   * @returns a function that stops the watch
   */
  watch(after: number | undefined, watcher: FleetWatcher): () => void;
  readonly watchers: number;
}

export interface FleetWatcher {
  wants: { overview: boolean; rows: boolean };
  /** @param cursor where a stream can be continued after these events */
  onEvents(events: OpsEvent[], cursor: number): void;
  onChanged(changed: Changed): void;
  onOverview(overview: object): void;
  /** More than `mostMissed` events happened since the cursor. The watcher must read again what it shows. */
  onGap(cursor: number): void;
}

/** Rows of sessions with new events, and of their machines. `more`: further rows changed and were left out. */
export interface Changed {
  sessions: OpsSessionRow[];
  machines: OpsMachineRow[];
  more: boolean;
}

export interface FleetFeedDeps {
  store: Pick<OperatorStore, 'newEvents' | 'eventsAfter' | 'sessions' | 'machines'>;
  readOverview: () => Promise<object>;
  clock: Clock;
  logger: Logger;
}

export const fleetPollMs = 500;
const overviewMs = 2_000;
/** An event is settled this long after it was read. Longer than the statement timeout of every writer of events. */
const settlesMs = 10_000;
const perRead = 500;
/** How many of the newest events are read when the first watcher comes. Older ones count as settled. */
const startWindow = 2_000;
/** At most this many missed events are sent to a watcher that continues. If it missed more, it gets a gap. */
export const mostMissed = 1_000;
const mostRows = 200;

/** Fields that change by themselves. An overview that differs only in these is not sent again. */
const passing = new Set(['now', 'last_seen_at', 'seen_at']);
const contentOf = (overview: object): string =>
  JSON.stringify(overview, (key, value) => (passing.has(key) ? undefined : value));

interface Position {
  settled: number;
  /** The events after `settled` that were read, in that order; each with the time of its reading. */
  kept: Map<number, { event: OpsEvent; at: number }>;
}

/** The newest events, in two parts: those that are settled, and the rest. */
async function startOf({ store, clock }: FleetFeedDeps): Promise<Position> {
  const { newest } = await store.newEvents(Number.MAX_SAFE_INTEGER, [], 0);
  const from = Math.max(0, newest - startWindow);
  const { rows } = await store.newEvents(from, [], startWindow);
  const settled = rows.findLast((row) => row.settled)?.id ?? from;
  const at = clock.now();
  return { settled, kept: new Map(rows.filter(({ id }) => id > settled).map((event) => [event.id, { event, at }])) };
}

/** Reads all events that are not kept yet, keeps them, and forgets those that are settled. */
async function readNews({ store, clock }: FleetFeedDeps, position: Position): Promise<OpsEvent[]> {
  const news: OpsEvent[] = [];
  let rows: OpsEvent[];
  do {
    rows = (await store.newEvents(position.settled, [...position.kept.keys()], perRead)).rows;
    for (const event of rows) position.kept.set(event.id, { event, at: clock.now() });
    news.push(...rows);
  } while (rows.length === perRead);
  const before = clock.now() - settlesMs;
  for (const [id, { at }] of position.kept) if (at < before) position.settled = Math.max(position.settled, id);
  for (const id of position.kept.keys()) if (id <= position.settled) position.kept.delete(id);
  return news;
}

async function readChanged({ store }: FleetFeedDeps, events: OpsEvent[]): Promise<Changed | undefined> {
  const all = [...new Set(events.flatMap(({ session_id }) => session_id ?? []))];
  if (all.length === 0) return undefined;
  const ids = all.slice(0, mostRows);
  const [sessions, machines] = await Promise.all([
    store.sessions({ ids }, 'created', undefined, mostRows),
    store.machines({ sessions: ids }, undefined, mostRows),
  ]);
  return { sessions, machines, more: all.length > mostRows || machines.length === mostRows };
}

export function createFleetFeed(deps: FleetFeedDeps): FleetFeed {
  const { store, readOverview, clock, logger } = deps;
  const watchers = new Set<FleetWatcher>();
  /** Watchers that join at the next turn, each with its cursor. */
  const joining = new Map<FleetWatcher, number | undefined>();
  let position: Position | undefined;
  let overview: { content: string; document: object; readAt: number } | undefined;
  let timer: Timer | undefined;
  let turning = false;

  const wanting = (what: keyof FleetWatcher['wants']): FleetWatcher[] =>
    [...watchers].filter(({ wants }) => wants[what]);

  const admit = async ({ settled, kept }: Position, watcher: FleetWatcher, after: number): Promise<void> => {
    const older = after < settled ? (await store.eventsAfter({}, after, mostMissed + 1)).rows : [];
    if (older.length > mostMissed) return watcher.onGap(settled);
    const recent = [...kept.values()].map(({ event }) => event);
    const missed = [...older.filter(({ id }) => id <= settled), ...recent.filter(({ id }) => id > after)];
    if (missed.length > 0) watcher.onEvents(missed, settled);
  };

  const look = async (): Promise<void> => {
    position ??= await startOf(deps);
    for (const [watcher, after] of [...joining]) {
      if (after !== undefined) await admit(position, watcher, after);
      if (joining.delete(watcher)) watchers.add(watcher);
      if (overview && watcher.wants.overview) watcher.onOverview(overview.document);
    }
    const events = await readNews(deps, position);
    if (events.length > 0) for (const watcher of [...watchers]) watcher.onEvents(events, position.settled);
    if (wanting('rows').length > 0) {
      const changed = await readChanged(deps, events);
      if (changed) for (const watcher of wanting('rows')) watcher.onChanged(changed);
    }
    if (wanting('overview').length === 0 || clock.now() - (overview?.readAt ?? 0) < overviewMs) return;
    const document = await readOverview();
    const content = contentOf(document);
    const isNew = content !== overview?.content;
    overview = { content, document, readAt: clock.now() };
    if (isNew) for (const watcher of wanting('overview')) watcher.onOverview(document);
  };

  const turn = async (): Promise<void> => {
    timer?.cancel();
    if (turning) return;
    turning = true;
    await look().catch((error: unknown) => logger.warn({ error }, 'could not read for operators; will retry'));
    turning = false;
    if (watchers.size + joining.size > 0) timer = clock.setTimer(() => void turn(), fleetPollMs);
    else [position, overview] = [undefined, undefined];
  };

  return {
    watch: (after, watcher) => {
      joining.set(watcher, after);
      void turn();
      return () => {
        joining.delete(watcher);
        watchers.delete(watcher);
      };
    },
    get watchers() {
      return watchers.size + joining.size;
    },
  };
}
