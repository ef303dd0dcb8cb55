import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { createHttp } from '../../../session-worker/src/outside/http.ts';
import { createStore } from '../../../session-worker/src/outside/store.ts';
import { createCallLog } from '../../../session-worker/src/realtime/openai/call-log.ts';
import type { ProviderEvent } from '../../../session-worker/src/realtime/openai/events.ts';
import { createTranscript, type Transcript } from '../../../session-worker/src/transcript/transcript.ts';
import { createWriter, type Writer } from '../../../session-worker/src/transcript/writer.ts';
import type { ServedSession } from './world.ts';

/** The product's modules from a provider event to Postgres and back, in this process. */
export interface IngestWorker {
  /** Reports that the worker's `n`-th interviewer utterance is complete. */
  say(n: number): void;
  writer: Writer;
  transcript: Transcript;
}

export const textOf = (n: number): string =>
  `Answer number ${n}: we measured first, then changed the largest part, and wrote down what we had learned from it.`;

/** @param onAcked called for each entry that would be acknowledged to the browser. */
export function createIngestWorker(session: ServedSession, onAcked: (itemId: string) => void): IngestWorker {
  const clock = systemClock;
  const log = silentLogger();
  const store = createStore({
    url: session.url,
    publishableKey: session.publishableKey,
    accessToken: () => session.token,
    requestMs: 10_000,
    http: createHttp({ clock }),
  });
  const writer = createWriter({
    clock,
    log,
    append: store.append,
    onStored: (entries) => {
      for (const { item_id } of entries) onAcked(item_id);
    },
    onFenced: () => {
      throw new Error('fenced');
    },
  });
  const transcript = createTranscript({ writer, isHeard: () => true, send: () => undefined });
  const callLog = createCallLog(1);
  transcript.open(1, callLog);
  const hear = (event: ProviderEvent) => transcript.store(callLog.apply(event, 0).entries);
  return {
    writer,
    transcript,
    say: (n) => {
      const [id, before] = [`item_${n}`, n === 0 ? null : `item_${n - 1}`];
      const item = { id, type: 'message', role: 'assistant', content: [] };
      hear({ type: 'conversation.item.added', previous_item_id: before, item });
      hear({ type: 'response.output_audio_transcript.done', item_id: id, transcript: textOf(n) });
    },
  };
}
