import type { EntryStore, KeptEntry, UploadTarget } from './types.ts';

export function memoryStore(): EntryStore {
  const sessions = new Map<string, { entries: Map<string, KeptEntry>; upload: UploadTarget | undefined }>();
  const of = (id: string) => {
    const known = sessions.get(id) ?? { entries: new Map(), upload: undefined };
    sessions.set(id, known);
    return known;
  };
  const keyOf = ({ ordinal, item_id }: KeptEntry) => `${ordinal}/${item_id}`;
  return {
    kind: 'memory',
    read: async (id) => ({ entries: [...of(id).entries.values()], upload: of(id).upload }),
    put: async (id, entry) => of(id).entries.set(keyOf(entry), entry),
    remove: async (id, entry) => of(id).entries.delete(keyOf(entry)),
    setUpload: async (id, target) => {
      of(id).upload = target;
    },
    sessions: async () => [...sessions].filter(([, { upload }]) => upload).map(([id]) => id),
  };
}

const databaseName = 'greenroom';
const entries = 'entries';
const uploads = 'uploads';
/** Some browsers never answer if site data is blocked. */
const openMs = 2_000;

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function openDatabase(factory: IDBFactory): Promise<IDBDatabase> {
  const request = factory.open(databaseName, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(entries, { keyPath: ['session', 'entry.ordinal', 'entry.item_id'] });
    request.result.createObjectStore(uploads, { keyPath: 'session' });
  };
  const late = new Promise<never>((_, reject) => setTimeout(reject, openMs));
  return Promise.race([done(request), late]);
}

function databaseStore(database: IDBDatabase): EntryStore {
  const table = (name: string, mode: IDBTransactionMode = 'readwrite') =>
    database.transaction(name, mode).objectStore(name);
  return {
    kind: 'indexeddb',
    read: async (session) => {
      const range = IDBKeyRange.bound([session], [session, []]);
      const [records, upload] = await Promise.all([
        done(table(entries, 'readonly').getAll(range)) as Promise<Array<{ entry: KeptEntry }>>,
        done(table(uploads, 'readonly').get(session)) as Promise<{ target: UploadTarget } | undefined>,
      ]);
      return { entries: records.map(({ entry }) => entry), upload: upload?.target };
    },
    put: async (session, entry) => done(table(entries).put({ session, entry })),
    remove: async (session, { ordinal, item_id }) => done(table(entries).delete([session, ordinal, item_id])),
    setUpload: async (session, target) =>
      target ? done(table(uploads).put({ session, target })) : done(table(uploads).delete(session)),
    sessions: async () => (await done(table(uploads, 'readonly').getAllKeys())) as string[],
  };
}

/** Opens the store. Never rejects: if IndexedDB is not available, entries are kept in memory. */
export async function openEntryStore(
  factory: () => IDBFactory | undefined = () => globalThis.indexedDB,
): Promise<EntryStore> {
  try {
    const found = factory();
    if (!found) return memoryStore();
    return databaseStore(await openDatabase(found));
  } catch {
    return memoryStore();
  }
}
