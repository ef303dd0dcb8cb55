/**
 * What a client may send over the data channel or a sideband. Any other event is answered with an `error`.
 */
import type { Conversation } from './conversation.ts';
import type { Item } from './items.ts';
import { applyPatch, errorEvent, type RealtimeSession, refuseUpdate } from './session-config.ts';
import { newWireId, type WireEvent } from './wire.ts';

export interface ClientEventDeps {
  conversation: Conversation;
  session: { get(): RealtimeSession; set(session: RealtimeSession): void };
  /** Sends to everyone on the call. */
  emit(event: WireEvent): void;
  /** Accepts a `response.create`, now or when the call is ready. */
  respond(metadata: unknown): 'ok' | 'busy';
}

type Refusal = { code: string | null; message: string; param?: string | null };
type Handler = (event: WireEvent) => Refusal | undefined;

/** Handles one event of a client. Only that client is told about an error. */
export function createClientEvents(deps: ClientEventDeps) {
  const handlers = handlersFor(deps);
  const notAnEvent = { code: 'invalid_json', message: 'The event is not valid JSON with a type.' };
  const take = (event: WireEvent): Refusal | undefined => {
    const handler = handlers[event.type];
    const message = `Invalid value: '${event.type}'.`;
    return handler ? handler(event) : { code: 'invalid_value', message, param: 'type' };
  };
  return (event: WireEvent | undefined, replyTo: (event: WireEvent) => void): void => {
    const refusal = event ? take(event) : notAnEvent;
    if (refusal) replyTo(errorEvent(refusal, event?.event_id));
  };
}

const mediaOnly = { code: 'invalid_request_error', message: 'Audio comes from the media connection of this call.' };

function handlersFor(deps: ClientEventDeps): Record<string, Handler> {
  const { conversation, session, emit } = deps;
  const { items } = conversation;
  const noSuchItem = (id: unknown): Refusal => ({
    code: 'item_not_found',
    message: `Item with item_id '${String(id)}' not found.`,
    param: 'item_id',
  });
  return {
    'session.update': ({ session: patch }) => {
      const refusal = refuseUpdate(session.get(), patch, conversation.hasSpoken);
      if (refusal) return refusal;
      session.set(applyPatch(session.get(), patch));
      emit({ type: 'session.updated', session: session.get() });
      return undefined;
    },
    'conversation.item.create': ({ item, previous_item_id }) => createItem(deps, item, previous_item_id),
    'conversation.item.delete': ({ item_id }) => {
      if (!items.remove(String(item_id))) return noSuchItem(item_id);
      emit({ type: 'conversation.item.deleted', item_id });
      return undefined;
    },
    'conversation.item.retrieve': ({ item_id }) => {
      const item = items.get(String(item_id));
      if (!item) return noSuchItem(item_id);
      emit({ type: 'conversation.item.retrieved', item });
      return undefined;
    },
    'conversation.item.truncate': ({ item_id, content_index, audio_end_ms }) => {
      if (!items.get(String(item_id))) return noSuchItem(item_id);
      emit({ type: 'conversation.item.truncated', item_id, content_index: content_index ?? 0, audio_end_ms });
      return undefined;
    },
    'response.create': ({ response }) => {
      const metadata = (response as { metadata?: unknown } | undefined)?.metadata;
      if (deps.respond(metadata) === 'ok') return undefined;
      const message = 'Conversation already has an active response in progress.';
      return { code: 'conversation_already_has_active_response', message };
    },
    'response.cancel': () => {
      const message = 'Cancellation failed: no active response found';
      return conversation.cancel() ? undefined : { code: 'response_cancel_not_active', message };
    },
    'output_audio_buffer.clear': () => {
      conversation.clearOutput();
      return undefined;
    },
    'input_audio_buffer.clear': () => {
      emit({ type: 'input_audio_buffer.cleared' });
      return undefined;
    },
    'input_audio_buffer.append': () => mediaOnly,
    'input_audio_buffer.commit': () => mediaOnly,
  };
}

function createItem({ conversation, emit }: ClientEventDeps, given: unknown, previous: unknown): Refusal | undefined {
  if (typeof given !== 'object' || given === null || !('type' in given)) {
    return { code: 'missing_required_parameter', message: "Missing required parameter: 'item.type'.", param: 'item' };
  }
  const item = { id: newWireId('item'), ...given, status: 'completed' } as Item;
  if (conversation.items.get(item.id)) {
    return { code: 'item_create_duplicate_id', message: `Item with id '${item.id}' already exists.`, param: 'item.id' };
  }
  const before = conversation.items.add(item, typeof previous === 'string' ? previous : undefined);
  if (before === false) {
    const message = `Previous item with id '${String(previous)}' not found.`;
    return { code: 'item_create_invalid_previous_id', message, param: 'previous_item_id' };
  }
  emit({ type: 'conversation.item.added', previous_item_id: before, item });
  emit({ type: 'conversation.item.done', previous_item_id: before, item });
  return undefined;
}
