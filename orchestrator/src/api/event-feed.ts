import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { EventRow } from '../database/rows.ts';
import type { EventCursor } from '../database/session-store.ts';

/**
 * Events of sessions for all who watch them in this process: one read per poll, however many watch.
 * Each watcher has its own cursor, so that nobody misses or repeats an event.
 */
export interface EventFeed {
  /** @param after id of the last event seen; 0: from the beginning. @returns a function that stops the watch. */
  watch(sessionId: string, after: number, onEvent: (event: EventRow) => void): () => void;
  /** Something may have happened to this session: look now. */
  notify(sessionId: string): void;
  readonly watchers: number;
  stop(): void;
}

interface Watcher {
  sessionId: string;
  after: number;
  onEvent: (event: EventRow) => void;
}

export interface EventFeedDeps {
  events: (cursors: EventCursor[]) => Promise<EventRow[]>;
  clock: Clock;
  pollMs: number;
  logger: Logger;
}

export function createEventFeed({ events, clock, pollMs, logger }: EventFeedDeps): EventFeed {
  const watchers = new Set<Watcher>();
  let timer: Timer | undefined;
  let reading = false;
  let again = false;
  let stopped = false;

  const deliver = (rows: EventRow[]): void => {
    for (const row of rows) {
      for (const watcher of watchers) {
        if (watcher.sessionId !== row.session_id || row.id <= watcher.after) continue;
        watcher.after = row.id;
        watcher.onEvent(row);
      }
    }
  };

  /** One cursor per session: the slowest watcher's. */
  const cursors = (): EventCursor[] => {
    const lowest = new Map<string, number>();
    for (const { sessionId, after } of watchers) lowest.set(sessionId, Math.min(after, lowest.get(sessionId) ?? after));
    return [...lowest].map(([session_id, after]) => ({ session_id, after }));
  };

  const look = async (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      deliver(await events(cursors()));
    } catch (error) {
      logger.warn({ error }, 'events could not be read');
    }
    reading = false;
    if (watchers.size === 0 || stopped) return;
    timer = clock.setTimer(() => void look(), again ? 0 : pollMs);
    again = false;
  };

  return {
    watch: (sessionId, after, onEvent) => {
      const watcher = { sessionId, after, onEvent };
      watchers.add(watcher);
      void look();
      return () => void watchers.delete(watcher);
    },
    notify: (sessionId) => {
      if ([...watchers].some((watcher) => watcher.sessionId === sessionId)) void look();
    },
    get watchers() {
      return watchers.size;
    },
    stop: () => {
      stopped = true;
      timer?.cancel();
    },
  };
}
