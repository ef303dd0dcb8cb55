import { memoryStore } from './entry-store.ts';
import type { EntryStore, Kept, KeptEntry, UploadTarget } from './types.ts';

/**
 * What the browser has not been told is stored: kept until it is, across a reload where the store survives one.
 *
 * - A store that is full, switched off or spoilt costs nothing but the survival of a reload.
 * - With the entries lies where they may be uploaded, and the token that permits just that. Both go when the session has
 *   nothing left here.
 */
export interface KeptEntries {
  add(entry: KeptEntry): void;
  /** These are stored, or will never be. */
  remove(itemIds: Iterable<string>): void;
  readonly all: KeptEntry[];
  readonly upload: UploadTarget | undefined;
  setUpload(target: UploadTarget): void;
  /** The session needs it no more: with nothing left, nothing stays behind. */
  settle(): void;
}

export function keepEntries(sessionId: string, store: EntryStore, before: Kept): KeptEntries {
  const entries = new Map(before.entries.map((entry) => [entry.item_id, entry]));
  let { upload } = before;
  const quietly = (work: Promise<unknown>) => void work.catch(() => undefined);
  return {
    add: (entry) => {
      entries.set(entry.item_id, entry);
      quietly(store.put(sessionId, entry));
      // Another tab of this session may have settled.
      if (upload) quietly(store.setUpload(sessionId, upload));
    },
    remove: (itemIds) => {
      for (const id of itemIds) {
        const entry = entries.get(id);
        entries.delete(id);
        if (entry) quietly(store.remove(sessionId, entry));
      }
    },
    get all() {
      return [...entries.values()];
    },
    get upload() {
      return upload;
    },
    setUpload: (target) => {
      upload = target;
      quietly(store.setUpload(sessionId, target));
    },
    settle: () => {
      if (entries.size === 0) quietly(store.setUpload(sessionId, undefined));
    },
  };
}

/** @param store where to survive a reload; left out: only in memory */
export async function openKept(sessionId: string, store: EntryStore = memoryStore()): Promise<KeptEntries> {
  const before = await store.read(sessionId).catch(() => ({ entries: [], upload: undefined }));
  return keepEntries(sessionId, store, before);
}
