import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { TenantEventRow } from '../database/rows.ts';
import type { TenantEventsStart } from '../database/session-store.ts';

/**
 * Delivers the events of all of a tenant's sessions to a watcher.
 *
 * Ids follow the order of commits within a session, but not across sessions: a slower transaction may commit an event
 * with a smaller id later. A watcher therefore remembers the ids that it has delivered until no smaller one can follow:
 * then the event is settled. It asks for everything after the last settled event, except what it remembers, and so
 * delivers each event once. A client that continues with `Last-Event-ID` may get the events of the last seconds again.
 */
export interface TenantFeed {
  /**
   * @param after id of the last event that the client knows; undefined: only events from now on
   * @returns a function that stops the watch
   */
  watch(tenantId: string, after: number | undefined, onEvent: (event: TenantEventRow) => void): () => void;
}

export interface TenantFeedDeps {
  start: (tenantId: string, after: number | undefined) => Promise<TenantEventsStart>;
  /** Events after `after` without those in `seen`, in the order of their ids. */
  events: (tenantId: string, after: number, seen: number[], limit: number) => Promise<TenantEventRow[]>;
  clock: Clock;
  pollMs: number;
  logger: Logger;
}

export const tenantEventsPerRead = 100;
/** A delivered event is settled after this time. Longer than the statement timeout of all who write events. */
const settlesMs = 10_000;

export function createTenantFeed({ start, events, clock, pollMs, logger }: TenantFeedDeps): TenantFeed {
  const watch: TenantFeed['watch'] = (tenantId, since, onEvent) => {
    let timer: Timer | undefined;
    let stopped = false;
    /** `after`: the last settled event. `seen`: the events delivered after it, each with its time of delivery. Undefined until the first read. */
    let position: { after: number; seen: Map<number, number> } | undefined;

    const read = async (): Promise<boolean> => {
      if (!position) {
        const { after, seen } = await start(tenantId, since);
        position = { after, seen: new Map(seen.map((id) => [id, clock.now()])) };
      }
      const { after, seen } = position;
      const rows = await events(tenantId, after, [...seen.keys()], tenantEventsPerRead);
      if (stopped) return false;
      for (const row of rows) {
        seen.set(row.id, row.settled ? Number.NEGATIVE_INFINITY : clock.now());
        onEvent(row);
      }
      const before = clock.now() - settlesMs;
      const settled = Math.max(after, ...[...seen].filter(([, at]) => at < before).map(([id]) => id));
      position = { after: settled, seen: new Map([...seen].filter(([id]) => id > settled)) };
      return rows.length >= tenantEventsPerRead;
    };
    const look = async (): Promise<void> => {
      const more = await read().catch((error: unknown) => {
        logger.warn({ error, tenant_id: tenantId }, 'could not read the events of a tenant; will retry');
        return false;
      });
      if (!stopped) timer = clock.setTimer(() => void look(), more ? 0 : pollMs);
    };
    void look();
    return () => {
      stopped = true;
      timer?.cancel();
    };
  };

  return { watch };
}
