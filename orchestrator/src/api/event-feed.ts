import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { EventRow } from '../database/rows.ts';
import type { EventCursor } from '../database/session-store.ts';

/**
 * Delivers session events to all watchers in this process. Each session is read once per poll, regardless of
 * its number of watchers. Each watcher has its own cursor, so it gets every event exactly once.
 *
 * One read returns at most `eventsPerSession` events of each of `sessionsPerRead` sessions, so no database
 * response is large. If a session has more, it is read again at once.
 */
export interface EventFeed {
  /**
   * @param after id of the last event seen; 0: from the beginning. @returns a function that stops the watch.
   */
  watch(sessionId: string, after: number, onEvent: (event: EventRow) => void): () => void;
  /** Reads new events at once, because this session may have some. */
  notify(sessionId: string): void;
  readonly watchers: number;
  stop(): void;
}

interface Watcher {
  after: number;
  onEvent: (event: EventRow) => void;
}

export interface EventFeedDeps {
  events: (cursors: EventCursor[], perSession: number) => Promise<EventRow[]>;
  clock: Clock;
  pollMs: number;
  logger: Logger;
}

const sessionsPerRead = 100;
export const eventsPerSession = 50;

export function createEventFeed({ events, clock, pollMs, logger }: EventFeedDeps): EventFeed {
  const watched = new Map<string, Set<Watcher>>();
  let timer: Timer | undefined;
  let reading = false;
  let again = false;
  let stopped = false;

  const deliver = (rows: EventRow[]): void => {
    const counts = new Map<string, number>();
    for (const row of rows) {
      const count = (counts.get(row.session_id) ?? 0) + 1;
      counts.set(row.session_id, count);
      if (count >= eventsPerSession) again = true;
      for (const watcher of watched.get(row.session_id) ?? []) {
        if (row.id <= watcher.after) continue;
        watcher.after = row.id;
        watcher.onEvent(row);
      }
    }
  };

  /** One cursor per session: the cursor of the watcher that is furthest behind. */
  const cursors = (): EventCursor[] =>
    [...watched].map(([session_id, watchers]) => ({
      session_id,
      after: Math.min(...[...watchers].map(({ after }) => after)),
    }));

  const readAll = async (): Promise<void> => {
    const all = cursors();
    for (let from = 0; from < all.length; from += sessionsPerRead)
      deliver(await events(all.slice(from, from + sessionsPerRead), eventsPerSession));
  };

  const look = async (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    await readAll().catch((error: unknown) => logger.warn({ error }, 'could not read session events; will retry'));
    reading = false;
    if (watched.size === 0 || stopped) return;
    timer = clock.setTimer(() => void look(), again ? 0 : pollMs);
    again = false;
  };

  return {
    watch: (sessionId, after, onEvent) => {
      const watcher = { after, onEvent };
      const watchers = watched.get(sessionId) ?? new Set();
      watched.set(sessionId, watchers.add(watcher));
      void look();
      return () => {
        watchers.delete(watcher);
        if (watchers.size === 0 && watched.get(sessionId) === watchers) watched.delete(sessionId);
      };
    },
    notify: (sessionId) => {
      if (watched.has(sessionId)) void look();
    },
    get watchers() {
      return [...watched.values()].reduce((sum, { size }) => sum + size, 0);
    },
    stop: () => {
      stopped = true;
      timer?.cancel();
    },
  };
}
