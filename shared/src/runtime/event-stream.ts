import { createParser } from 'eventsource-parser';
import { backoffMs } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';

/**
 * Follows a stream of server-sent events across lost connections. It continues after the last id that it received.
 *
 * - After a lost or failed connection it waits a random time (`pauses`), which grows with each failure in a row.
 * - A connection counts as lost after `silentMs` without any byte; servers send a comment more often than that.
 * - It ends when `signal` aborts or `onMessage` returns `'enough'`, and rejects with whatever `open` or `onMessage` throws.
 */
export interface StreamMessage {
  name: string;
  id: string | undefined;
  data: string;
}

export interface FollowOptions {
  /**
   * Sends the request.
   * @param after the id to continue after; undefined at the beginning
   * @returns the answer; undefined if it failed and may succeed later
   */
  open(after: string | undefined, signal: AbortSignal): Promise<Response | undefined>;
  onMessage(message: StreamMessage): 'enough' | undefined;
  /** Called when the stream can be read, and after each lost or failed connection. */
  onConnected?(connected: boolean): void;
  after?: string | undefined;
  signal?: AbortSignal;
  silentMs?: number;
  clock?: Pick<Clock, 'sleep' | 'setTimer'>;
  /** Numbers in [0, 1). Default Math.random. */
  random?: () => number;
}

export const defaultSilentMs = 30_000;
/** The shortest pause keeps many clients of one server from coming back in the same instant. */
const leastPauseMs = 250;
const pauses = { baseMs: 1_000, maxMs: 15_000 };
const longestMessage = 4_194_304;

export async function followStream(options: FollowOptions): Promise<void> {
  const { open, clock = systemClock, random = Math.random, silentMs = defaultSilentMs, signal } = options;
  let last = options.after;
  let failures = 0;
  while (!signal?.aborted) {
    const connection = new AbortController();
    const leave = () => connection.abort();
    signal?.addEventListener('abort', leave, { once: true });
    const watchSilence = () => clock.setTimer(() => connection.abort(), silentMs);
    let silence = watchSilence();
    let isOver = false;
    try {
      const answer = await open(last, connection.signal);
      if (answer?.body) {
        options.onConnected?.(true);
        const onBytes = () => {
          silence.cancel();
          silence = watchSilence();
        };
        for await (const message of messagesIn(answer.body, connection.signal, onBytes)) {
          failures = 0;
          last = message.id ?? last;
          isOver = options.onMessage(message) === 'enough';
          if (isOver) return;
        }
      }
    } catch (error) {
      isOver = true;
      if (signal?.aborted) return;
      throw error;
    } finally {
      silence.cancel();
      signal?.removeEventListener('abort', leave);
      connection.abort();
      if (!isOver && !signal?.aborted) options.onConnected?.(false);
    }
    const pause = leastPauseMs + backoffMs(failures, { ...pauses, random });
    failures += 1;
    await clock.sleep(pause, signal).catch(() => undefined);
  }
}

/** The messages of one connection. Ends when the connection does, for whatever reason. */
async function* messagesIn(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onBytes: () => void,
): AsyncGenerator<StreamMessage, void, undefined> {
  const messages: StreamMessage[] = [];
  let isTooLong = false;
  const parser = createParser({
    maxBufferSize: longestMessage,
    onEvent: ({ id, event = 'message', data }) => messages.push({ name: event, id, data }),
    onError: ({ type }) => {
      isTooLong ||= type === 'max-buffer-size-exceeded';
    },
  });
  const reader = body.getReader();
  // A body that was already received in part does not always notice the signal of its request.
  const cancel = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', cancel, { once: true });
  const decoder = new TextDecoder();
  try {
    while (!isTooLong) {
      const part = await reader.read().catch(() => undefined);
      if (part === undefined || part.done) return;
      onBytes();
      parser.feed(decoder.decode(part.value, { stream: true }));
      yield* messages.splice(0);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}
