import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import { createEntryCollector, type EntryCollector } from './entries.ts';
import { openEntryStore } from './entry-store.ts';
import { type KeptEntries, openKept, openLeftovers } from './kept-entries.ts';
import type { EntryStore, UploadOptions, UploadTarget } from './types.ts';

/**
 * What was said and is not acknowledged yet: kept, sent again after each reconnection, and uploaded when there is no socket
 * any more.
 */
export interface TranscriptLog {
  /** Opens the store. Asked twice, it is the same. */
  openStore(): Promise<EntryStore>;
  /** Hands in what earlier pages left behind. @param except a session that is handled here */
  handInLeftovers(except?: string): Promise<void>;
  /** From here on the entries of this session are kept. */
  keepFor(sessionId: string): Promise<void>;
  /** Reads the data channel of one call. */
  collector(ordinal: number): EntryCollector;
  /** Keeps what an event of the data channel completes, and sends it. @returns whether it completed an entry */
  take(collector: EntryCollector, event: Record<string, unknown>): boolean;
  stored(itemIds: readonly string[]): void;
  /** Drops what is kept. */
  forget(): void;
  setUpload(target: UploadTarget): void;
  resend(): void;
  readonly pending: number;
  /** Everything said until then is stored. Unix ms. */
  readonly savedUpTo: number;
  /** After the end. Resolves with the number of entries that stay on this device; undefined: there never was a log. */
  deliver(): Promise<number | undefined>;
}

export interface TranscriptLogDeps {
  /** Replaces the browser's own store. */
  store?: EntryStore | undefined;
  upload?: UploadOptions | undefined;
  now(): number;
  send(message: ClientMessage): boolean;
}

/** Few interviews upload anything. Undefined if it cannot be loaded: the entries then stay on this device. */
const loadUpload = () => import('./upload.ts').catch(() => undefined);

export function createTranscriptLog({ store, upload, now, send }: TranscriptLogDeps): TranscriptLog {
  let opened: Promise<EntryStore> | undefined;
  let kept: KeptEntries | undefined;
  /** When each entry that is not stored was said. */
  const saidAt = new Map<string, number>();

  const openStore = () => {
    opened ??= store ? Promise.resolve(store) : openEntryStore();
    return opened;
  };
  return {
    openStore,
    handInLeftovers: async (except) => {
      const leftovers = await openLeftovers(await openStore(), except);
      if (leftovers.length === 0) return;
      await (await loadUpload())?.uploadLeftovers(leftovers, { ...upload, nowMs: now() });
    },
    keepFor: async (sessionId) => {
      kept = await openKept(sessionId, await openStore());
    },
    collector: createEntryCollector,
    take: (collector, event) => {
      const entry = collector.take(event);
      if (!entry) return false;
      kept?.add(entry);
      saidAt.set(entry.item_id, now());
      send({ type: 'transcript_update', entries: [entry] });
      return true;
    },
    stored: (itemIds) => {
      kept?.remove(itemIds);
      for (const id of itemIds) saidAt.delete(id);
    },
    forget: () => {
      kept?.remove(kept.all.map((entry) => entry.item_id));
      kept?.settle();
    },
    setUpload: (target) => {
      kept?.setUpload(target);
      // When the interview ends without a socket, the network may be too bad to load it.
      void loadUpload();
    },
    resend: () => {
      for (const entries of kept?.chunks ?? []) send({ type: 'transcript_update', entries });
    },
    get pending() {
      return kept?.all.length ?? 0;
    },
    get savedUpTo() {
      return Math.min(now(), ...saidAt.values());
    },
    deliver: async () => {
      if (kept) await (await loadUpload())?.uploadKept(kept, upload);
      return kept?.all.length;
    },
  };
}
