import { createParser } from 'eventsource-parser';
import { ApiError, ConnectionError } from './errors.ts';
import { limit, sleep } from './limit.ts';
import { authorizationOf, canPass, type GreenroomOptions, pauseMs, problemIn, urlOf } from './request.ts';
import type { GreenroomEvent } from './types.ts';

/**
 * A stream of events that does not end by itself: when the connection breaks, it continues after the last event. It ends
 * when you leave the loop or abort the signal, and throws when the API refuses it.
 *
 * - The API sends a sign of life every 15 s. After `silentMs` without any, the connection counts as lost.
 * - After a reconnect the API may repeat the events of the last seconds. Each event is yielded once.
 */
export interface StreamOptions {
  /** Id of the last event that you know. Default for one session: 0, from its beginning. Default for all sessions: from now on. */
  after?: string | number;
  /** Ends the stream; the loop ends without an error. */
  signal?: AbortSignal;
}

const silentMs = 45_000;
/** How many ids are remembered to recognise repeated events: more than a tenant has in ten seconds. */
const remembered = 10_000;
const longestEventBytes = 1_048_576;

export async function* streamOf(
  client: GreenroomOptions,
  path: string,
  { after, signal }: StreamOptions,
  ofSession?: string,
): AsyncGenerator<GreenroomEvent, void, undefined> {
  const leaving = new AbortController();
  const ends = () => leaving.abort();
  if (signal?.aborted) return;
  signal?.addEventListener('abort', ends, { once: true });
  const seen = new Set<string>();
  let last = after === undefined ? undefined : String(after);
  let failures = 0;
  try {
    for (;;) {
      try {
        for await (const { id, type, data } of connection(client, path, last, leaving.signal)) {
          failures = 0;
          last = id;
          if (seen.has(id)) continue;
          seen.add(id);
          if (seen.size > remembered) for (const oldest of seen) if (seen.delete(oldest)) break;
          const { at, ...rest } = JSON.parse(data) as { at: string } & Record<string, unknown>;
          yield { id, type, timestamp: at, data: ofSession === undefined ? rest : { ...rest, session_id: ofSession } };
        }
      } catch (error) {
        if (leaving.signal.aborted) return;
        if (!canPass(error)) throw error;
        failures += 1;
      }
      await sleep(pauseMs(failures + 2), leaving.signal).catch(() => undefined);
      if (leaving.signal.aborted) return;
    }
  } finally {
    signal?.removeEventListener('abort', ends);
    leaving.abort();
  }
}

interface Message {
  id: string;
  type: string;
  data: string;
}

/** The events of one connection, until the server ends it. */
async function* connection(
  client: GreenroomOptions,
  path: string,
  after: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  const silence = limit(silentMs, signal);
  try {
    const answer = await (client.fetch ?? fetch)(urlOf(client.url, path, after === undefined ? {} : { after }), {
      headers: {
        authorization: await authorizationOf(client),
        accept: 'text/event-stream',
        ...(client.version === undefined ? {} : { 'greenroom-version': client.version }),
      },
      redirect: 'manual',
      signal: silence.signal,
    });
    if (!answer.ok) throw new ApiError(answer.status, answer.headers, problemIn(await answer.text()));
    if (!answer.body || !/^text\/event-stream\b/.test(answer.headers.get('content-type') ?? ''))
      throw new Error('the answer is no event stream');
    const messages: Message[] = [];
    const parser = createParser({
      maxBufferSize: longestEventBytes,
      onEvent: ({ id, event, data }) => {
        if (id !== undefined && event !== undefined) messages.push({ id, type: event, data });
      },
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') throw error;
      },
    });
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      silence.restart();
      parser.feed(decoder.decode(part.value, { stream: true }));
      yield* messages.splice(0);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ConnectionError(`GET ${path} broke off: ${(error as Error).message}`, { cause: error });
  } finally {
    silence.end();
  }
}
