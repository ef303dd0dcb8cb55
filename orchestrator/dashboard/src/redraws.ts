import { type Clock, systemClock, type Timer } from '@greenroom/shared/runtime/clock.ts';
import { notifyManager, type QueryCacheNotifyEvent, type QueryClient } from '@tanstack/react-query';

/**
 * Decides when the page is redrawn: at most once in `redrawMs`, whatever brings the change. That is the stream of the fleet, a
 * query that is read again, or the time that has passed.
 *
 * What a person waits for is drawn at once: the first answer of a view, a further page of a list, and what is read after an act.
 */
export const redrawMs = 250;

export interface Redraws {
  /** Calls `draw` in the next redraw. During a redraw: in this one. */
  soon(draw: () => void): Timer;
  /** Calls `draw` now, together with all that wait for the next redraw. */
  atOnce(draw: () => void): void;
}

export function createRedraws(clock: Pick<Clock, 'monotonicMs' | 'setTimer'>): Redraws {
  const waiting = new Set<() => void>();
  let timer: Timer | undefined;
  let lastMs = Number.NEGATIVE_INFINITY;
  let isDrawing = false;

  const redraw = (): void => {
    timer = undefined;
    lastMs = clock.monotonicMs();
    isDrawing = true;
    try {
      // A Set also visits what is added meanwhile: to write into the cache of queries makes further parts draw.
      for (const draw of waiting) {
        waiting.delete(draw);
        draw();
      }
    } finally {
      isDrawing = false;
      if (waiting.size > 0) plan(redrawMs);
    }
  };
  const plan = (inMs: number): void => {
    timer?.cancel();
    timer = clock.setTimer(redraw, Math.max(0, inMs));
  };

  return {
    soon: (draw) => {
      waiting.add(draw);
      if (!isDrawing && timer === undefined) plan(lastMs + redrawMs - clock.monotonicMs());
      return { cancel: () => void waiting.delete(draw) };
    },
    atOnce: (draw) => {
      waiting.add(draw);
      if (!isDrawing) plan(0);
    },
  };
}

/** The redraws of this page. */
export const redraws = createRedraws(systemClock);

let awaitedReadings = 0;

/** What is read again until `reading` has ended is an answer to a person, and is drawn at once. */
export async function drawAtOnce(reading: Promise<unknown>): Promise<void> {
  awaitedReadings += 1;
  try {
    await reading;
  } finally {
    awaitedReadings -= 1;
  }
}

/** Whether a person waits for this change of a query. */
function isAwaited({ query: { state }, action }: Extract<QueryCacheNotifyEvent, { type: 'updated' }>): boolean {
  if (state.data === undefined) return true;
  if (action.type !== 'success') return false;
  const isFurtherPage = state.fetchMeta?.fetchMore !== undefined;
  return action.manual === true || state.dataUpdateCount === 1 || isFurtherPage || awaitedReadings > 0;
}

/** Makes the parts of the page that show queries draw with `all`. */
export function drawQueries(client: QueryClient, all: Redraws = redraws): void {
  let isNow = false;
  notifyManager.setScheduler((draw) => void (isNow ? all.atOnce(draw) : all.soon(draw)));
  // The cache tells of a change before the parts that show it are told to draw, in the same task.
  client.getQueryCache().subscribe((event) => {
    if (event.type !== 'updated' || !isAwaited(event)) return;
    isNow = true;
    queueMicrotask(() => {
      isNow = false;
    });
  });
}
