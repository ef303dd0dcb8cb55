import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { WorkerCounts } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createOutbox } from '../outside/outbox.ts';
import type { Store } from '../outside/store.ts';

/**
 * Writes the transcript to the database: an outbox (outbox.ts) of entries, at most 250 per request.
 *
 * - An entry is acknowledged only after Postgres has committed it.
 * - A browser's copy never replaces the sideband's entry.
 * - Memory is limited: when `maxWaiting` entries wait, copies from the browser are refused (the browser keeps
 *   them). The sideband's entries are always accepted: a conversation makes only a few per minute.
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
  /** False when the outbox is full or the writer has stopped. */
  add(entry: TranscriptEntry): boolean;
  /** Entries not stored yet. */
  readonly unsaved: number;
  /** Entries that Postgres refused and that are therefore not stored. */
  readonly refused: number;
  /** Number of entries stored by this writer. */
  readonly stored: number;
  /** The same by speaker, and the time that they waited to be stored, added up. */
  readonly counts: Pick<WorkerCounts, 'transcript_entries' | 'transcript_storing_ms'>;
  isStored(ordinal: number, itemId: string): boolean;
  /** Item ids stored by this writer. */
  storedIds(): string[];
  /** Resolves when everything is stored, or the writer has stopped; rejects with the signal's reason. */
  flush(signal?: AbortSignal): Promise<void>;
  /** Writes nothing more from now on. */
  stop(): void;
}

export const entryKey = (ordinal: number, itemId: string): string => `${ordinal}/${itemId}`;
const keyOf = (entry: TranscriptEntry): string => entryKey(entry.ordinal, entry.item_id);
const maxBatch = 250;

export function createWriter(deps: WriterDeps): Writer {
  const { clock, log, maxWaiting = 2_000, random } = deps;
  const stored = new Set<string>();
  let refused = 0;
  /** When the entries that are not stored yet arrived. */
  const arrivedMs = new Map<string, number>();
  const bySpeaker = { ai: 0, candidate: 0 };
  let storingMs = 0;
  const count = (entry: TranscriptEntry) => {
    const key = keyOf(entry);
    storingMs += Math.round(clock.monotonicMs() - (arrivedMs.get(key) ?? clock.monotonicMs()));
    arrivedMs.delete(key);
    if (!stored.has(key)) bySpeaker[entry.speaker] += 1;
    stored.add(key);
  };

  const outbox = createOutbox<TranscriptEntry>({
    ...{ clock, log, random, keyOf, maxBatch },
    kind: 'transcript',
    merge: (older, newer) => (outranks(older, newer) ? older : newer),
    send: deps.append,
    onSent: (entries) => {
      for (const entry of entries) count(entry);
      deps.onStored(entries);
    },
    onRefused: (entry) => {
      arrivedMs.delete(keyOf(entry));
      refused += 1;
    },
    onFenced: deps.onFenced,
  });

  return {
    add: (entry) => {
      const pending = outbox.pending(keyOf(entry));
      if (pending && outranks(pending, entry)) return true;
      if (!entry.verified && !pending && outbox.unsent >= maxWaiting) return false;
      if (!pending) arrivedMs.set(keyOf(entry), clock.monotonicMs());
      return outbox.add(entry);
    },
    get unsaved() {
      return outbox.unsent;
    },
    get refused() {
      return refused;
    },
    get stored() {
      return stored.size;
    },
    get counts() {
      return { transcript_entries: bySpeaker, transcript_storing_ms: storingMs };
    },
    isStored: (ordinal, itemId) => stored.has(entryKey(ordinal, itemId)),
    storedIds: () => [...stored].map((key) => key.slice(key.indexOf('/') + 1)),
    flush: outbox.flush,
    stop: outbox.stop,
  };
}

/** A verified entry is kept over an unverified one. */
const outranks = (entry: TranscriptEntry, other: TranscriptEntry): boolean => entry.verified && !other.verified;
