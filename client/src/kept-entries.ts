import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';

/**
 * What the browser has not been told is stored: kept until it is, across a reload where there is a storage.
 *
 * K1  An entry is one item of the storage: two tabs of one session neither overwrite nor delete each other's.
 * K2  A storage that is full, switched off or spoilt costs nothing but the survival of a reload.
 * K3  With the entries lies where they may be uploaded, and the token that permits just that. Both go when the session
 *     has nothing left here.
 */
export interface KeptEntries {
  add(entry: TranscriptEntryInput): void;
  /** These are stored, or will never be. */
  remove(itemIds: Iterable<string>): void;
  readonly all: TranscriptEntryInput[];
  /** K3. */
  upload: UploadTarget | undefined;
  /** The session needs it no more: with nothing left, nothing stays behind. */
  settle(): void;
}

export interface UploadTarget {
  url: string;
  /** `transcript:append` of one session. */
  token: string;
}

/** As much of the Web's Storage as is needed. */
export type EntryStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

const entryPrefix = 'greenroom.entry/';
const targetPrefix = 'greenroom.upload/';

/** K2. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const keysOf = (storage: EntryStorage | undefined): string[] =>
  attempt(() => Array.from({ length: storage?.length ?? 0 }, (_, index) => storage?.key(index) ?? '')) ?? [];

const readJson = <T>(storage: EntryStorage | undefined, key: string): T | undefined =>
  attempt(() => JSON.parse(storage?.getItem(key) ?? '') as T);

/** @param storage where to survive a reload; left out: only in memory */
export function createKeptEntries(sessionId: string, storage?: EntryStorage): KeptEntries {
  const prefix = `${entryPrefix}${sessionId}/`;
  const targetKey = `${targetPrefix}${sessionId}`;
  const keyOf = ({ ordinal, item_id }: TranscriptEntryInput) => `${prefix}${ordinal}/${item_id}`;
  const entries = new Map<string, TranscriptEntryInput>();
  for (const key of keysOf(storage).filter((one) => one.startsWith(prefix))) {
    const entry = readJson<TranscriptEntryInput>(storage, key);
    if (entry) entries.set(entry.item_id, entry);
  }
  let upload = readJson<UploadTarget>(storage, targetKey);

  return {
    add: (entry) => {
      entries.set(entry.item_id, entry);
      attempt(() => storage?.setItem(keyOf(entry), JSON.stringify(entry)));
      // Another tab of this session may have settled.
      if (upload) attempt(() => storage?.setItem(targetKey, JSON.stringify(upload)));
    },
    remove: (itemIds) => {
      for (const id of itemIds) {
        const entry = entries.get(id);
        entries.delete(id);
        if (entry) attempt(() => storage?.removeItem(keyOf(entry)));
      }
    },
    get all() {
      return [...entries.values()];
    },
    get upload() {
      return upload;
    },
    set upload(target) {
      upload = target;
      attempt(() => storage?.setItem(targetKey, JSON.stringify(target)));
    },
    settle: () => {
      if (entries.size === 0) attempt(() => storage?.removeItem(targetKey));
    },
  };
}

/** Sessions that left something in the storage. */
export const keptSessions = (storage: EntryStorage | undefined): string[] =>
  keysOf(storage)
    .filter((key) => key.startsWith(targetPrefix))
    .map((key) => key.slice(targetPrefix.length));
