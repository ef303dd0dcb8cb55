import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { StoreResult } from './store.ts';

/**
 * Keeps items until the database has stored them. Transcript entries, integrity flags and reports each have
 * an outbox.
 *
 * - One request at a time, in order of arrival. Items that arrive during a request form the next batch, so no
 *   item waits for a timer and batches grow with the load.
 * - Items have keys. An item is merged with a waiting item of the same key.
 * - A failed request is retried with backoff for as long as the outbox exists: an unreachable database loses
 *   no item.
 * - A batch that is too much for one request (its size, or the time of its statement) is halved until it
 *   passes. A refused batch is halved too, until the refused item is alone. That item is dropped, and the
 *   others are stored.
 * - When the worker is fenced (another machine serves the session), nothing more is sent.
 */
export interface Outbox<Item> {
  /** False when the outbox has stopped. */
  add(item: Item): boolean;
  /** The item with this key that waits or is being sent. */
  pending(key: string): Item | undefined;
  readonly unsent: number;
  /** Resolves when nothing is left to send or the outbox has stopped; rejects with the signal's reason. */
  flush(signal?: AbortSignal): Promise<void>;
  stop(): void;
}

export interface OutboxDeps<Item> {
  clock: Clock;
  log: Logger;
  /** Name of the items, for the log. */
  kind: string;
  keyOf(item: Item): string;
  /** Makes one item of two with the same key. @param older the one added first. */
  merge(older: Item, newer: Item): Item;
  send(items: Item[]): Promise<StoreResult<unknown>>;
  /** Most items in one request. Default 1. */
  maxBatch?: number;
  onSent?(items: Item[]): void;
  /** The database refused this item by itself. */
  onRefused?(item: Item): void;
  onFenced(): void;
  random?: (() => number) | undefined;
}

type Batch<Item> = Map<string, Item>;
type Sent = 'sent' | 'again' | 'too much' | 'refused' | 'fenced';

export function createOutbox<Item>(deps: OutboxDeps<Item>): Outbox<Item> {
  const { clock, log, kind, keyOf, merge, maxBatch = 1, random = Math.random } = deps;
  const waiting: Batch<Item> = new Map();
  const idle = new Set<() => void>();
  const stopping = new AbortController();
  let sending: Batch<Item> = new Map();
  let running = false;

  const put = (key: string, item: Item) => {
    const before = waiting.get(key);
    waiting.set(key, before === undefined ? item : merge(before, item));
  };
  const take = (size: number): Batch<Item> => {
    const batch: Batch<Item> = new Map();
    for (const [key, item] of waiting) {
      if (batch.size === size) break;
      batch.set(key, item);
      waiting.delete(key);
    }
    return batch;
  };
  /** Puts a batch back in front of the items that arrived during its request. */
  const putBack = (batch: Batch<Item>) => {
    const newer = [...waiting];
    waiting.clear();
    for (const [key, item] of [...batch, ...newer]) put(key, item);
  };

  const sendBatch = async (size: number): Promise<Sent> => {
    sending = take(size);
    const batch = sending;
    const result = await deps.send([...batch.values()]);
    sending = new Map();
    if (stopping.signal.aborted || result.kind === 'fenced') return 'fenced';
    if (result.kind === 'ok') {
      deps.onSent?.([...batch.values()]);
      return 'sent';
    }
    if (result.kind === 'refused' && batch.size === 1) {
      log.error({ error: result.error, kind }, 'the database refused an item; it will not be stored');
      for (const item of batch.values()) deps.onRefused?.(item);
      return 'sent';
    }
    putBack(batch);
    if (result.kind === 'refused' && !result.tooMuch) return 'refused';
    log.warn({ error: result.error, kind, item_count: batch.size }, 'could not be stored; will retry');
    return result.tooMuch && batch.size > 1 ? 'too much' : 'again';
  };

  const run = async () => {
    let failures = 0;
    let size = maxBatch;
    /** The largest batch that was not too much. */
    let most = maxBatch;
    while (waiting.size > 0 && !stopping.signal.aborted) {
      const tried = Math.min(size, waiting.size);
      const outcome = await sendBatch(size);
      if (outcome === 'fenced') return fence();
      if (outcome === 'too much') most = Math.ceil(tried / 2);
      size = outcome === 'sent' ? Math.min(most, size * 2) : outcome === 'again' ? size : Math.ceil(tried / 2);
      failures = outcome === 'again' ? failures + 1 : 0;
      if (failures > 0) await pause(failures - 1);
    }
  };
  const pause = (attempt: number) =>
    clock
      .sleep(100 + backoffMs(attempt, { baseMs: 200, maxMs: 4_000, random }), stopping.signal)
      .catch(() => undefined);
  const wake = () => {
    if (running || stopping.signal.aborted) return;
    running = true;
    // Wait for the other events of this turn of the event loop, so that a burst becomes one batch.
    setImmediate(async () => {
      await run();
      running = false;
      if (waiting.size > 0) return wake();
      release();
    });
  };
  const release = () => {
    for (const resolve of idle) resolve();
    idle.clear();
  };
  const stop = () => {
    stopping.abort(new Error('the outbox has stopped'));
    release();
  };
  const fence = () => {
    if (stopping.signal.aborted) return;
    stop();
    deps.onFenced();
  };

  return {
    add: (item) => {
      if (stopping.signal.aborted) return false;
      put(keyOf(item), item);
      wake();
      return true;
    },
    pending: (key) => waiting.get(key) ?? sending.get(key),
    get unsent() {
      return waiting.size + sending.size;
    },
    flush: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (stopping.signal.aborted || !running) return resolve();
        idle.add(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
    stop,
  };
}
