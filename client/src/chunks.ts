import { maxEntriesPerUpdate, maxFrameBytes } from '@greenroom/shared/protocol/socket-values.ts';
import type { KeptEntry } from './types.ts';

/** Half a frame: the envelope and a generous margin fit beside it. */
const chunkBytes = maxFrameBytes / 2;

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;

/** Entries in portions that one message, or one upload, may carry; their order stays. */
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
