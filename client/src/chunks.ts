import { maxEntriesPerUpdate, maxFrameBytes } from '@greenroom/shared/protocol/socket-values.ts';
import type { KeptEntry } from './types.ts';

/** Half a frame, which leaves room for the message around the entries. */
const chunkBytes = maxFrameBytes / 2;

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;

/** Splits entries into chunks that fit into one message or upload, in the same order. */
export function chunksOf(entries: KeptEntry[]): KeptEntry[][] {
  const chunks: KeptEntry[][] = [];
  let left = 0;
  for (const entry of entries) {
    const bytes = bytesOf(entry);
    const last = chunks.at(-1);
    if (last === undefined || last.length >= maxEntriesPerUpdate || bytes > left) {
      chunks.push([entry]);
      left = chunkBytes - bytes;
    } else {
      last.push(entry);
      left -= bytes;
    }
  }
  return chunks;
}
