/**
 * One response of the model: spoken in real time, or a function call.
 *
 * - The text is complete well before the audio was played: `response.done` comes first,
 *   `output_audio_buffer.stopped` last, as recorded.
 * - A reply that is interrupted loses the audio that was not played. If its text was still being generated,
 *   the reply is `cancelled` and its transcript ends there. Text that was already generated stays, although
 *   not all of it was heard.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Item, Items } from './items.ts';
import * as responseEvents from './response-events.ts';
import type { SaidLog } from './said.ts';
import type { RealtimeSession } from './session-config.ts';
import type { Timers } from './timers.ts';
import { newWireId, type WireEvent } from './wire.ts';

export interface ReplyDeps {
  clock: Clock;
  timers: Timers;
  items: Items;
  log: SaidLog;
  conversationId: string;
  session(): RealtimeSession;
  emit(event: WireEvent): void;
  audio: { start(): void; stop(): void };
}

export interface SpokenReply {
  text: string;
  metadata: unknown;
  speakMs: number;
  /** The first words have been sent. */
  onBegun(): void;
  /** The audio was played. Not called for an interrupted reply. */
  onDone(): void;
}

export interface Reply {
  /** The text is complete. */
  readonly generated: boolean;
  cut(reason: 'turn_detected' | 'client_cancelled'): void;
}

const textShare = 0.4;

export function speakReply(deps: ReplyDeps, { text, metadata, speakMs, onBegun, onDone }: SpokenReply): Reply {
  const { clock, timers, session, emit } = deps;
  const item: Item = { id: newWireId('item'), type: 'message', status: 'in_progress', role: 'assistant', content: [] };
  const response = responseFor(deps, item, text, metadata);
  const line = deps.log.begin(item.id, 'interviewer');
  const deltas = responseEvents.deltasOf(text);
  let sent = 0;
  let generated = false;

  function sendDeltas(upTo: number) {
    for (const delta of deltas.slice(sent, upTo)) emit(responseEvents.transcriptDelta(response, delta));
    sent = Math.max(sent, upTo);
    line.text = deltas.slice(0, sent).join('');
  }
  function closeText(end: responseEvents.ResponseEnd) {
    generated = true;
    line.transcribed = true;
    for (const event of responseEvents.spokenClosing(response, line.text, session(), end)) emit(event);
    const status = end.status === 'completed' ? 'completed' : 'incomplete';
    Object.assign(item, { status, content: [{ type: 'output_audio', transcript: line.text }] });
  }

  for (const event of responseEvents.spokenOpening({ ...response, item: { ...item } }, session())) emit(event);
  sendDeltas(1);
  onBegun();
  sendDeltas(Math.ceil(deltas.length / 2));
  emit({ type: 'output_audio_buffer.started', response_id: response.id });
  const audibleMs = clock.monotonicMs();
  deps.audio.start();
  timers.after(speakMs * textShare, () => {
    sendDeltas(deltas.length);
    closeText({ status: 'completed' });
  });
  timers.after(speakMs, () => {
    deps.audio.stop();
    emit({ type: 'output_audio_buffer.stopped', response_id: response.id });
    onDone();
  });
  return {
    get generated() {
      return generated;
    },
    cut: (reason) => {
      timers.cancelAll();
      deps.audio.stop();
      line.interrupted = true;
      const audio_end_ms = Math.round(clock.monotonicMs() - audibleMs);
      emit({ type: 'output_audio_buffer.cleared', response_id: response.id });
      emit({ type: 'conversation.item.truncated', item_id: item.id, content_index: 0, audio_end_ms });
      if (!generated) closeText({ status: 'cancelled', reason });
    },
  };
}

export interface FunctionCall {
  name: string;
  /** JSON. */
  args: string;
  metadata: unknown;
}

/** The model calls a function without speaking. @param onBegun as for a spoken reply. */
export function callFunction(deps: ReplyDeps, { name, args, metadata }: FunctionCall, onBegun: () => void): void {
  const call_id = newWireId('call');
  const item: Item = {
    id: newWireId('item'),
    type: 'function_call',
    status: 'in_progress',
    name,
    call_id,
    arguments: '',
  };
  const response = { ...responseFor(deps, item, args, metadata ?? null), item: { ...item } };
  const [created, ...rest] = responseEvents.functionCall(response, deps.session());
  Object.assign(item, { status: 'completed', arguments: args });
  if (created) deps.emit(created);
  onBegun();
  for (const event of rest) deps.emit(event);
}

function responseFor(deps: ReplyDeps, item: Item, text: string, metadata: unknown): responseEvents.ModelResponse {
  const previousItemId = deps.items.add(item) || null;
  return { id: newWireId('resp'), conversationId: deps.conversationId, item, previousItemId, text, metadata };
}
