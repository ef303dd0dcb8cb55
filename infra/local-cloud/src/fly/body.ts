/** A request body that may be sent more than once: the first megabyte is kept, the rest is streamed once. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

export interface KeptBody {
  head: Buffer;
  /** The part beyond the first megabyte, still unread. A request that has one cannot be replayed. */
  rest: Readable | undefined;
}

export const MAX_REPLAY_BYTES = 1024 * 1024;

export async function readBody(request: IncomingMessage, upgrade: boolean): Promise<KeptBody> {
  const chunks: Buffer[] = [];
  let size = 0;
  if (upgrade) return { head: Buffer.alloc(0), rest: undefined };
  return new Promise((resolve, reject) => {
    const finish = (rest: Readable | undefined) => {
      request.off('data', onData).off('end', onEnd).off('error', reject);
      resolve({ head: Buffer.concat(chunks), rest });
    };
    const onEnd = () => finish(undefined);
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size <= MAX_REPLAY_BYTES) return;
      request.pause();
      finish(request);
    };
    request.on('data', onData).once('end', onEnd).once('error', reject);
  });
}
