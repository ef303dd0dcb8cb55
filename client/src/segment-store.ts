import type { KeptRecording, Segment, SegmentStore } from './recording-types.ts';

/** Segments as array buffers, because some browsers cannot store blobs in private windows. */
const bytesOf = (segments: readonly Segment[]): number =>
  segments.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);

export function memorySegments(): SegmentStore {
  const recordings = new Map<string, KeptRecording>();
  const segments = new Map<string, Segment[]>();
  const of = (videoId: string) => segments.get(videoId) ?? [];
  return {
    kind: 'memory',
    recordings: async () => [...recordings.values()],
    put: async (recording) => recordings.set(recording.videoId, { ...recording }),
    append: async (videoId, segment) => segments.set(videoId, [...of(videoId), segment]),
    oldest: async (videoId, minBytes) => {
      const all = of(videoId);
      let count = 0;
      while (count < all.length && bytesOf(all.slice(0, count)) < minBytes) count += 1;
      return { segments: all.slice(0, count), more: count < all.length };
    },
    sent: async (recording, lastIndex) => {
      recordings.set(recording.videoId, { ...recording });
      segments.set(
        recording.videoId,
        of(recording.videoId).filter(({ index }) => index > lastIndex),
      );
    },
    remove: async (videoId) => {
      recordings.delete(videoId);
      segments.delete(videoId);
    },
  };
}

/** The name of the database, by which a page sees whether an earlier one left recordings behind. */
const databaseName = 'greenroom-video';
/** Some browsers never answer if site data is blocked. */
const openMs = 2_000;

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
/** Resolves when the transaction is on disk; rejects if, for example, the disk is full. */
const finished = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });

async function openDatabase(factory: IDBFactory): Promise<IDBDatabase> {
  const request = factory.open(databaseName, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore('recordings', { keyPath: 'videoId' });
    request.result.createObjectStore('segments', { keyPath: ['videoId', 'index'] });
  };
  return Promise.race([
    done(request),
    new Promise<never>((_, reject) => setTimeout(() => reject(new Error('IndexedDB does not answer')), openMs)),
  ]);
}

function databaseSegments(database: IDBDatabase): SegmentStore {
  const within = (mode: IDBTransactionMode, work: (table: (name: string) => IDBObjectStore) => void) => {
    const transaction = database.transaction(['recordings', 'segments'], mode);
    work((name) => transaction.objectStore(name));
    return finished(transaction);
  };
  const rangeOf = (videoId: string, to: number | [] = []) => IDBKeyRange.bound([videoId], [videoId, to]);
  return {
    kind: 'indexeddb',
    recordings: async () => done(database.transaction('recordings').objectStore('recordings').getAll()),
    put: (recording) => within('readwrite', (table) => table('recordings').put(recording)),
    append: (videoId, segment) => within('readwrite', (table) => table('segments').put({ videoId, ...segment })),
    oldest: async (videoId, minBytes) => {
      const found: Segment[] = [];
      let more = false;
      await within('readonly', (table) => {
        const cursor = table('segments').openCursor(rangeOf(videoId));
        cursor.onsuccess = () => {
          const at = cursor.result;
          if (!at) return;
          more = bytesOf(found) >= minBytes;
          if (more) return;
          found.push({ index: at.value.index, bytes: at.value.bytes });
          at.continue();
        };
      });
      return { segments: found, more };
    },
    sent: (recording, lastIndex) =>
      within('readwrite', (table) => {
        table('recordings').put(recording);
        table('segments').delete(rangeOf(recording.videoId, lastIndex));
      }),
    remove: (videoId) =>
      within('readwrite', (table) => {
        table('recordings').delete(videoId);
        table('segments').delete(rangeOf(videoId));
      }),
  };
}

/** Opens the store. Never rejects: if IndexedDB is not available, segments are kept in memory. */
export async function openSegmentStore(): Promise<SegmentStore> {
  try {
    return databaseSegments(await openDatabase(globalThis.indexedDB));
  } catch {
    return memorySegments();
  }
}
