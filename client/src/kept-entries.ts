import { chunksOf } from './chunks.ts';
import { memoryStore } from './entry-store.ts';
import type { EntryStore, Kept, KeptEntry, UploadTarget } from './types.ts';

/**
 * Keeps transcript entries in the browser until the service acknowledges them, also across a reload if the
 * store survives one.
 *
 * - If the store is full, disabled or corrupt, entries are still kept in memory but do not survive a reload.
 * - The upload URL and the token that permits the upload are kept with the entries. Both are removed when no
 *   entry of the session is left.
 */
export interface KeptEntries {
  add(entry: KeptEntry): void;
  /** Removes entries that are stored or can never be stored. */
  remove(itemIds: Iterable<string>): void;
  readonly all: KeptEntry[];
  /** All entries, in chunks that fit into one message or upload. */
  readonly chunks: KeptEntry[][];
  readonly upload: UploadTarget | undefined;
  setUpload(target: UploadTarget): void;
  /** Removes the upload URL and token if no entry is left. */
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
      // Another tab of this session may have removed the upload target.
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
    get chunks() {
      return chunksOf([...entries.values()]);
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

/** @param store where entries are kept. Default: memory, which does not survive a reload */
export async function openKept(sessionId: string, store: EntryStore = memoryStore()): Promise<KeptEntries> {
  const before = await store.read(sessionId).catch(() => ({ entries: [], upload: undefined }));
  return keepEntries(sessionId, store, before);
}

/**
 * Opens the entries of earlier pages. Never rejects.
 * @param except the session that is about to be joined, whose client sends its own entries
 */
export async function openLeftovers(store: EntryStore, except: string | undefined): Promise<KeptEntries[]> {
  const sessions = await store.sessions().catch(() => []);
  return Promise.all(sessions.filter((id) => id !== except).map((id) => openKept(id, store)));
}
