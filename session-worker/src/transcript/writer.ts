import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Store } from '../outside/store.ts';

/**
 * The durable writer of the transcript.
 *
 * W1  One batch at a time. An idle writer writes at once; what comes meanwhile is the next batch, at most 250 entries.
 *     So an entry waits for no timer, only for the write under way, and batches grow by themselves under load.
 * W2  An entry is acknowledged only after Postgres has committed it.
 * W3  A failure is retried with backoff for as long as the writer lives; nothing is dropped because the database is away.
 * W4  Fenced: nothing more is written, ever, and nothing is acknowledged.
 * W5  Memory is bounded: when `maxWaiting` entries wait, copies from the browser are not taken (the browser keeps them),
 *     while the sideband's entries always are: a conversation makes a few a minute.
 * W6  An entry that Postgres refuses for itself is set aside and counted, so that it does not hold up the others.
 */
export interface WriterDeps {
  clock: Clock;
  log: Logger;
  append: Store['append'];
  /** W2. */
  onStored(entries: TranscriptEntry[]): void;
  onFenced(): void;
  /** W5, default 2,000. */
  maxWaiting?: number;
  random?: () => number;
}

export interface Writer {
  /** False when there is no room (W5) or the writer is fenced. */
  add(entry: TranscriptEntry): boolean;
  /** Entries not stored yet. */
  readonly unsaved: number;
  /** Entries that Postgres refused (W6). */
  readonly refused: number;
  isStored(ordinal: number, itemId: string): boolean;
  /** Item ids stored by this writer. */
  storedIds(): string[];
  /** Resolves when everything is stored, or the writer is fenced; rejects with the signal's reason. */
  flush(signal?: AbortSignal): Promise<void>;
  /** W4; also used when the worker must not write for other reasons. */
  stop(): void;
}

export const entryKey = (ordinal: number, itemId: string): string => `${ordinal}/${itemId}`;
const keyOf = (entry: TranscriptEntry): string => entryKey(entry.ordinal, entry.item_id);
const maxBatch = 250;

export function createWriter(deps: WriterDeps): Writer {
  const { clock, log, maxWaiting = 2_000, random = Math.random } = deps;
  const waiting = new Map<string, TranscriptEntry>();
  const stored = new Set<string>();
  const idle = new Set<() => void>();
  const stopping = new AbortController();
  let writing: Map<string, TranscriptEntry> | undefined;
  let running = false;
  let refused = 0;

  const takeBatch = (size: number): Map<string, TranscriptEntry> => {
    const batch = new Map([...waiting].slice(0, size));
    for (const key of batch.keys()) waiting.delete(key);
    return batch;
  };
  /** Back in front, unless something newer for the same item came meanwhile. */
  const putBack = (batch: Map<string, TranscriptEntry>) => {
    const newer = [...waiting];
    waiting.clear();
    for (const [key, entry] of [...batch, ...newer]) if (!outranked(entry, waiting.get(key))) waiting.set(key, entry);
  };
  const commit = (batch: Map<string, TranscriptEntry>) => {
    for (const key of batch.keys()) stored.add(key);
    deps.onStored([...batch.values()]);
  };
  const setAside = (batch: Map<string, TranscriptEntry>, error: Error) => {
    refused += batch.size;
    log.error({ error, item_count: batch.size }, 'transcript entry refused by the database');
  };

  const writeOnce = async (size: number): Promise<'written' | 'again' | 'smaller' | 'fenced'> => {
    const batch = takeBatch(size);
    writing = batch;
    const result = await deps.append([...batch.values()]);
    writing = undefined;
    if (stopping.signal.aborted) return 'fenced';
    if (result.kind === 'ok') {
      commit(batch);
      return 'written';
    }
    if (result.kind === 'fenced') return 'fenced';
    if (result.kind === 'refused' && batch.size === 1) {
      setAside(batch, result.error);
      return 'written';
    }
    putBack(batch);
    if (result.kind === 'refused') return 'smaller';
    log.warn({ error: result.error, item_count: waiting.size }, 'transcript not stored yet');
    return 'again';
  };

  const run = async () => {
    let failures = 0;
    let size = maxBatch;
    while (waiting.size > 0 && !stopping.signal.aborted) {
      const outcome = await writeOnce(size);
      if (outcome === 'fenced') return void fence();
      size = outcome === 'smaller' ? 1 : outcome === 'written' && size > 1 ? maxBatch : size;
      failures = outcome === 'again' ? failures + 1 : 0;
      if (failures > 0) {
        const delayMs = 100 + backoffMs(failures - 1, { baseMs: 200, maxMs: 3_000, random });
        await clock.sleep(delayMs, stopping.signal).catch(() => undefined);
      }
    }
  };
  const wake = () => {
    if (running || stopping.signal.aborted) return;
    running = true;
    // After the events of this turn of the loop, so that a burst is one batch.
    setImmediate(async () => {
      await run();
      running = false;
      if (waiting.size > 0) return wake();
      for (const resolve of idle) resolve();
      idle.clear();
    });
  };
  const stop = () => {
    stopping.abort(new Error('the writer has stopped'));
    for (const resolve of idle) resolve();
    idle.clear();
  };
  const fence = () => {
    if (stopping.signal.aborted) return;
    stop();
    deps.onFenced();
  };

  return {
    add: (entry) => {
      const key = keyOf(entry);
      if (stopping.signal.aborted) return false;
      if (outranked(entry, waiting.get(key)) || outranked(entry, writing?.get(key))) return true;
      if (!entry.verified && !waiting.has(key) && waiting.size >= maxWaiting) return false;
      waiting.set(key, entry);
      wake();
      return true;
    },
    get unsaved() {
      return waiting.size + (writing?.size ?? 0);
    },
    get refused() {
      return refused;
    },
    isStored: (ordinal, itemId) => stored.has(entryKey(ordinal, itemId)),
    storedIds: () => [...stored].map((key) => key.slice(key.indexOf('/') + 1)),
    flush: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (stopping.signal.aborted || (waiting.size === 0 && !writing && !running)) return resolve();
        idle.add(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
    stop,
  };
}

/** A browser's copy never takes the place of the sideband's entry. */
const outranked = (entry: TranscriptEntry, other: TranscriptEntry | undefined): boolean =>
  other?.verified === true && !entry.verified;
