import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createOutbox } from '../outside/outbox.ts';
import type { Store } from '../outside/store.ts';

/**
 * The durable writer of the transcript: an outbox of entries (outbox.ts), at most 250 in one request.
 *
 * - An entry is acknowledged only after Postgres has committed it.
 * - A browser's copy never takes the place of the sideband's entry.
 * - Memory is bounded: when `maxWaiting` entries wait, copies from the browser are not taken (the browser keeps them). The
 *   sideband's entries always are: a conversation makes a few a minute.
 */
export interface WriterDeps {
  clock: Clock;
  log: Logger;
  append: Store['append'];
  /** These entries are committed. */
  onStored(entries: TranscriptEntry[]): void;
  onFenced(): void;
  /** Default 2,000. */
  maxWaiting?: number;
  random?: () => number;
}

export interface Writer {
  /** False when there is no room or the writer has stopped. */
  add(entry: TranscriptEntry): boolean;
  /** Entries not stored yet. */
  readonly unsaved: number;
  /** Entries that Postgres refused and that were set aside. */
  readonly refused: number;
  isStored(ordinal: number, itemId: string): boolean;
  /** Item ids stored by this writer. */
  storedIds(): string[];
  /** Resolves when everything is stored, or the writer has stopped; rejects with the signal's reason. */
  flush(signal?: AbortSignal): Promise<void>;
  /** Nothing is written from now on. */
  stop(): void;
}

export const entryKey = (ordinal: number, itemId: string): string => `${ordinal}/${itemId}`;
const keyOf = (entry: TranscriptEntry): string => entryKey(entry.ordinal, entry.item_id);
const maxBatch = 250;

export function createWriter(deps: WriterDeps): Writer {
  const { clock, log, maxWaiting = 2_000, random } = deps;
  const stored = new Set<string>();
  let refused = 0;

  const outbox = createOutbox<TranscriptEntry>({
    ...{ clock, log, random, keyOf, maxBatch },
    kind: 'transcript',
    merge: (older, newer) => (outranks(older, newer) ? older : newer),
    send: deps.append,
    onSent: (entries) => {
      for (const entry of entries) stored.add(keyOf(entry));
      deps.onStored(entries);
    },
    onRefused: () => {
      refused += 1;
    },
    onFenced: deps.onFenced,
  });

  return {
    add: (entry) => {
      const pending = outbox.pending(keyOf(entry));
      if (pending && outranks(pending, entry)) return true;
      if (!entry.verified && !pending && outbox.unsent >= maxWaiting) return false;
      return outbox.add(entry);
    },
    get unsaved() {
      return outbox.unsent;
    },
    get refused() {
      return refused;
    },
    isStored: (ordinal, itemId) => stored.has(entryKey(ordinal, itemId)),
    storedIds: () => [...stored].map((key) => key.slice(key.indexOf('/') + 1)),
    flush: outbox.flush,
    stop: outbox.stop,
  };
}

/** The sideband's text is worth more than a browser's copy of it. */
const outranks = (entry: TranscriptEntry, other: TranscriptEntry): boolean => entry.verified && !other.verified;
