import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { OperatorStore, OpsEvent, OpsMachineRow, OpsSessionRow } from '../../database/operator-store.ts';

/**
 * Reads the events of the fleet once for all operators' streams of this process, and only while there are such streams.
 *
 * Ids of events do not follow the order of commits across sessions: a slower transaction may commit a smaller id later. The
 * feed therefore asks again for ids that were missing, until no transaction can bring them any more. The cursor to continue
 * from is the last id before the first missing one, so a watcher that reconnects may get the events of the last seconds again.
 *
 * A busy fleet makes more events than people can read. A reading is therefore limited in size: what exceeds it is left out, and
 * each watcher is told so. Readings also take a limited share of the time.
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
  wants: { events: boolean; overview: boolean; rows: boolean };
  /** The only session whose events it wants. It gets all of them, also when others are left out. */
  session?: string | undefined;
  /** @param cursor where a stream can be continued after these events */
  onEvents(events: OpsEvent[], cursor: number): void;
  onChanged(changed: Changed): void;
  onOverview(overview: object): void;
  /** Events were left out. The watcher must read again what it shows. */
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
/** After a reading the feed waits this many times as long as the reading took, at most `longestPauseMs`. */
const restShare = 9;
const longestPauseMs = 2_000;
/** A missing id is given up this long after it was missed. Longer than the statement timeout of every writer of events. */
const settlesMs = 10_000;
/** At most this many events are read at once. */
export const mostRead = 200;
/** When the first watcher comes, missing ids are looked for among this many of the newest events. */
const startWindow = 500;
/** At most this many missed events are sent to a watcher that continues. If it missed more, it gets a gap. */
export const mostMissed = 1_000;
const mostRows = 50;

/** Fields that change by themselves. An overview that differs only in these is not sent again. */
const passing = new Set(['now', 'last_seen_at', 'seen_at']);
const contentOf = (overview: object): string =>
  JSON.stringify(overview, (key, value) => (passing.has(key) ? undefined : value));

interface Position {
  /** The greatest id that was read. */
  newest: number;
  /** The ids before it that were not there, each with the time at which that was seen. */
  missing: Map<number, number>;
}

/** The last id after which no smaller one can appear. */
const settledOf = ({ newest, missing }: Position): number => Math.min(newest, ...missing.keys().map((id) => id - 1));

function advance(position: Position, ids: number[], nowMs: number): void {
  for (const id of ids.toSorted((a, b) => a - b)) {
    position.missing.delete(id);
    const from = Math.max(position.newest + 1, id - mostMissed); // A crash of the database may skip some ids for ever.
    for (let skipped = from; skipped < id; skipped += 1) position.missing.set(skipped, nowMs);
    position.newest = Math.max(position.newest, id);
  }
  for (const [id, missedMs] of position.missing) if (nowMs - missedMs > settlesMs) position.missing.delete(id);
}

/** Begins at the newest event. Younger ones than `settlesMs` may still be followed by smaller ids. */
async function startOf({ store, clock }: FleetFeedDeps): Promise<Position> {
  const { newest } = await store.newEvents(Number.MAX_SAFE_INTEGER, [], 0);
  const { rows } = await store.newEvents(Math.max(0, newest - startWindow), [], startWindow);
  const settled = rows.findLast((row) => row.settled)?.id ?? Math.max(0, newest - startWindow);
  const position = { newest: settled, missing: new Map<number, number>() };
  advance(
    position,
    rows.flatMap(({ id }) => (id > settled ? id : [])),
    clock.now(),
  );
  return position;
}

interface News {
  events: OpsEvent[];
  /** Where the reading began, if further events were left out. */
  leftOutAfter?: number;
}

async function readNews({ store, clock }: FleetFeedDeps, position: Position): Promise<News> {
  const { newest: before } = position;
  const { newest, rows } = await store.newEvents(before, [...position.missing.keys()], mostRead);
  advance(
    position,
    rows.map(({ id }) => id),
    clock.now(),
  );
  const fresh = rows.filter(({ id }) => id > before).length;
  if (fresh < mostRead || newest <= position.newest) return { events: rows };
  position.newest = newest;
  return { events: rows, leftOutAfter: before };
}

async function readChanged({ store }: FleetFeedDeps, { events, leftOutAfter }: News): Promise<Changed | undefined> {
  const all = [...new Set(events.flatMap(({ session_id }) => session_id ?? []))];
  if (all.length === 0) return undefined;
  const ids = all.slice(-mostRows);
  const [sessions, machines] = await Promise.all([
    store.sessions({ ids }, 'created', undefined, mostRows),
    store.machines({ sessions: ids }, undefined, mostRows),
  ]);
  const more = leftOutAfter !== undefined || all.length > mostRows || machines.rows.length === mostRows;
  return { sessions: sessions.rows, machines: machines.rows, more };
}

export function createFleetFeed(deps: FleetFeedDeps): FleetFeed {
  const { store, readOverview, clock, logger } = deps;
  const watchers = new Set<FleetWatcher>();
  /** Watchers that join at the next turn, each with its cursor. */
  const joining = new Map<FleetWatcher, number | undefined>();
  let position: Position | undefined;
  let overview: { content: string; document: object; readAt: number; pauseMs: number } | undefined;
  let timer: Timer | undefined;
  let turning = false;

  const wanting = (what: keyof FleetWatcher['wants']): FleetWatcher[] =>
    [...watchers].filter(({ wants }) => wants[what]);

  /** Sends what a watcher missed that was already read for the others. The rest follows with the next reading. */
  const admit = async (at: Position, watcher: FleetWatcher, after: number): Promise<void> => {
    if (after >= at.newest) return;
    const { rows } = await store.eventsAfter({}, after, mostMissed + 1);
    if (rows.length > mostMissed) return watcher.onGap(settledOf(at));
    const missed = rows.filter(({ id }) => id <= at.newest && !at.missing.has(id));
    if (missed.length > 0) watcher.onEvents(missed, settledOf(at));
  };

  const deliver = async (watcher: FleetWatcher, { events, leftOutAfter }: News, cursor: number): Promise<void> => {
    if (leftOutAfter === undefined) return watcher.onEvents(events, cursor);
    const { session } = watcher;
    if (session === undefined) {
      watcher.onEvents(events, cursor);
      return watcher.onGap(cursor);
    }
    watcher.onEvents((await store.eventsAfter({ session }, leftOutAfter, mostMissed)).rows, cursor);
  };

  const lookAtOverview = async (): Promise<void> => {
    if (wanting('overview').length === 0) return;
    if (overview && clock.now() - overview.readAt < overview.pauseMs) return;
    const startedMs = clock.monotonicMs();
    const document = await readOverview();
    const pauseMs = Math.min(5 * overviewMs, Math.max(overviewMs, 2 * restShare * (clock.monotonicMs() - startedMs)));
    const content = contentOf(document);
    const isNew = content !== overview?.content;
    overview = { content, document, readAt: clock.now(), pauseMs };
    if (isNew) for (const watcher of wanting('overview')) watcher.onOverview(document);
  };

  const look = async (): Promise<void> => {
    position ??= await startOf(deps);
    for (const [watcher, after] of [...joining]) {
      if (after !== undefined) await admit(position, watcher, after);
      if (joining.delete(watcher)) watchers.add(watcher);
      if (overview && watcher.wants.overview) watcher.onOverview(overview.document);
    }
    const news = await readNews(deps, position);
    if (news.events.length > 0) for (const watcher of [...watchers]) await deliver(watcher, news, settledOf(position));
    if (wanting('rows').length > 0) {
      const changed = await readChanged(deps, news);
      if (changed) for (const watcher of wanting('rows')) watcher.onChanged(changed);
    }
    await lookAtOverview();
  };

  const turn = async (): Promise<void> => {
    timer?.cancel();
    if (turning) return;
    turning = true;
    const startedMs = clock.monotonicMs();
    await look().catch((error: unknown) => logger.warn({ error }, 'could not read for operators; will retry'));
    turning = false;
    const pauseMs = Math.min(longestPauseMs, Math.max(fleetPollMs, restShare * (clock.monotonicMs() - startedMs)));
    if (watchers.size + joining.size > 0) timer = clock.setTimer(() => void turn(), pauseMs);
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
