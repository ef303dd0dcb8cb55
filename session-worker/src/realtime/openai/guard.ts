import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { IntegrityKind } from '../voice.ts';
import { asId, asObject, asText, type Json, type ProviderEvent } from './events.ts';
import { sessionFacts } from './session-facts.ts';

/**
 * Detects what the candidate's browser does in a realtime call. The browser is a full peer of the call: it
 * can rewrite the interviewer's instructions, insert items and make the interviewer speak.
 *
 * - Our own actions are recognised: items by their ids, responses by a random nonce in their metadata, our
 *   `session.update` by its answer. The provider's actions are recognised by their cause: a turn of the
 *   candidate (`committed`) makes one item and one response, and a response makes its output items.
 * - Everything else came from the browser. It is always flagged, and reverted where possible: the item is
 *   deleted, the response cancelled, our session configuration set again.
 * - An effect may arrive shortly before its cause, so an item is judged only after `settleMs`.
 * - After a gap in the sideband nothing is judged for `graceMs`, because a cause may have been missed. Our
 *   own `session.update`, which ends every gap, has reverted a foreign one by then.
 * - At most `maxUndone` actions are reverted; further ones are only counted.
 * - The provider cuts the interviewer off (`truncated`, output `cleared`) when the candidate starts to speak
 *   or when we cancel a response. It never clears the input audio by itself. What the browser cut off or
 *   cleared cannot be restored, so it is only flagged.
 *
 * Known gap (SECURITY.md): a `response.create` that the browser sends between a turn and the provider's own
 * response to it is taken for that response.
 */
export interface Guard {
  /** Sends an event of ours, marked so that it is recognised. False when the sideband is not attached. */
  send(event: Json & { type: string }): boolean;
  event(event: ProviderEvent): void;
  /**
   * The sideband is attached. `gap`: events of the call may have been missed before. `updated`: the provider
   * accepted our `session.update`, so the next `session.updated` answers it.
   */
  attached(gap: boolean, updated?: boolean): void;
  stop(): void;
}

export interface GuardDeps {
  clock: Clock;
  log: Logger;
  send(event: Json & { type: string }): boolean;
  /** The content of a `session.update` that sets our session configuration again. */
  update: Json;
  flag(kind: IntegrityKind): void;
}

const settleMs = 250;
const graceMs = 3_000;
/**
 * How long the interviewer may be cut off after the candidate starts to speak or we cancel a response, ms.
 */
const cutMs = 3_000;
const maxUndone = 100;
const rememberedEvents = 500;
const nonceKey = 'greenroom';

export function createGuard({ clock, log, send, update, flag }: GuardDeps): Guard {
  const makeId = (): string => `gr_${newSecret(12)}`;
  const seen = new Set<string>();
  const mine = {
    items: new Set<string>(),
    nonces: new Set<string>(),
    cancelled: new Set<string>(),
    deleted: new Set<string>(),
  };
  /** Items that a turn or a response explains. */
  const caused = new Set<string>();
  /** Our responses that the provider refused because another was active; sent again when that one is done. */
  const refused: Array<Json & { type: string }> = [];
  const pending = new Map<string, Json & { type: string }>();
  const timers = new Set<Timer>();
  let turnsToAnswer = 0;
  let notesToCome = 0;
  let updatesToCome = 0;
  let facts: string | undefined;
  let graceUntilMs = Number.NEGATIVE_INFINITY;
  let undone = 0;
  let speaking = false;
  let mayCutUntilMs = Number.NEGATIVE_INFINITY;

  const inGrace = () => clock.monotonicMs() < graceUntilMs;
  const foreign = (kind: IntegrityKind, undo?: () => void) => {
    log.warn({ kind }, 'the browser tampered with the call');
    flag(kind);
    if (!undo || undone >= maxUndone) return;
    undone += 1;
    undo();
  };
  const after = (delayMs: number, work: () => void) => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      work();
    }, delayMs);
    timers.add(timer);
  };

  const sessionUpdated = (event: ProviderEvent) => {
    const now = sessionFacts(event.session);
    const answersUs = updatesToCome > 0 && (facts === undefined || now === facts);
    if (answersUs) {
      facts = now;
      updatesToCome -= 1;
      return;
    }
    foreign('foreign_session_update', () => {
      if (send({ type: 'session.update', session: update })) updatesToCome += 1;
    });
  };

  const isAccountedFor = (item: Json, id: string): boolean => {
    if (mine.items.delete(id) || caused.delete(id)) return true;
    if (item.role !== 'system' || notesToCome === 0) return false;
    notesToCome -= 1;
    return true;
  };
  const itemAdded = (event: ProviderEvent) => {
    const item = asObject(event.item);
    const id = asId(item.id);
    if (!id || inGrace()) return;
    after(settleMs, () => {
      if (isAccountedFor(item, id)) return;
      foreign('foreign_item', () => {
        mine.deleted.add(id);
        send({ type: 'conversation.item.delete', item_id: id });
      });
    });
  };

  /** Allows the interviewer to be cut off from now on for `cutMs`. */
  const mayCut = () => {
    mayCutUntilMs = clock.monotonicMs() + cutMs;
  };
  const cutShort = (kind: IntegrityKind) => {
    if (inGrace()) return;
    after(settleMs, () => {
      if (!speaking && clock.monotonicMs() > mayCutUntilMs) foreign(kind);
    });
  };

  const responseCreated = (event: ProviderEvent) => {
    const response = asObject(event.response);
    const nonce = asText(asObject(response.metadata)[nonceKey]);
    const id = asId(response.id);
    const [expected] = mine.nonces;
    // If the provider does not repeat our metadata, the first response after our request is taken as ours.
    const ours = mine.nonces.has(nonce) || (nonce === '' && turnsToAnswer === 0) ? nonce || expected : undefined;
    if (ours !== undefined) {
      mine.nonces.delete(ours);
      pending.delete(ours);
      return;
    }
    if (turnsToAnswer > 0) {
      turnsToAnswer = 0;
      return;
    }
    if (inGrace()) return;
    foreign('foreign_response_create', () => {
      if (id) mine.cancelled.add(id);
      mayCut();
      send({ type: 'response.cancel', ...(id ? { response_id: id } : {}) });
    });
  };
  const responseDone = (event: ProviderEvent) => {
    const response = asObject(event.response);
    const byClient = asObject(response.status_details).reason === 'client_cancelled';
    const id = asId(response.id) ?? '';
    if (response.status === 'cancelled' && byClient && !mine.cancelled.delete(id) && !inGrace())
      foreign('foreign_cancel');
    for (const event of refused.splice(0)) send(event);
  };
  const failed = (event: ProviderEvent) => {
    const { code, event_id, message } = asObject(event.error);
    const isBusy = code === 'conversation_already_has_active_response' || /active response/i.test(asText(message));
    // The provider sometimes leaves out the code or the event's id. Only a request of ours that is still
    // unanswered counts.
    const [first] = pending.values();
    const ours = asText(event_id) === '' ? first : pending.get(asText(event_id));
    if (isBusy && ours && !refused.includes(ours)) refused.push(ours);
  };

  const handlers: Record<string, (event: ProviderEvent) => void> = {
    'session.updated': sessionUpdated,
    'input_audio_buffer.speech_started': ({ item_id }) => {
      caused.add(asText(item_id));
      speaking = true;
      mayCut();
    },
    'input_audio_buffer.speech_stopped': () => {
      speaking = false;
    },
    'input_audio_buffer.cleared': () => {
      if (!inGrace()) foreign('foreign_audio_clear');
    },
    'output_audio_buffer.cleared': () => cutShort('foreign_output_clear'),
    'conversation.item.truncated': () => cutShort('foreign_truncate'),
    'input_audio_buffer.committed': ({ item_id }) => {
      speaking = false;
      caused.add(asText(item_id));
      turnsToAnswer = 1;
    },
    'input_audio_buffer.timeout_triggered': ({ item_id }) => {
      caused.add(asText(item_id));
      turnsToAnswer = 1;
      notesToCome = 1;
    },
    'response.created': responseCreated,
    'response.output_item.added': ({ item }) => void caused.add(asText(asObject(item).id)),
    'response.done': responseDone,
    'conversation.item.added': itemAdded,
    'conversation.item.deleted': ({ item_id }) => {
      if (!mine.deleted.delete(asText(item_id)) && !inGrace()) foreign('foreign_item_delete');
    },
    error: failed,
  };

  const markItem = (event: Json & { type: string }) => {
    const item = asObject(event.item);
    const id = asId(item.id) ?? makeId();
    mine.items.add(id);
    return { ...event, item: { ...item, id } };
  };
  const markResponse = (event: Json & { type: string }) => {
    const nonce = makeId();
    const response = asObject(event.response);
    mine.nonces.add(nonce);
    const marked = {
      ...event,
      event_id: nonce,
      response: { ...response, metadata: { ...asObject(response.metadata), [nonceKey]: nonce } },
    };
    pending.set(nonce, marked);
    return marked;
  };

  /** False for an event that was received before. */
  const isNew = (id: string | undefined): boolean => {
    if (id === undefined) return true;
    if (seen.has(id)) return false;
    seen.add(id);
    if (seen.size > rememberedEvents) seen.delete(seen.values().next().value as string);
    return true;
  };

  return {
    send: (event) => {
      if (event.type === 'conversation.item.create') return send(markItem(event));
      return send(event.type === 'response.create' ? markResponse(event) : event);
    },
    event: (event) => {
      if (handlers[event.type] && isNew(asId(event.event_id))) handlers[event.type]?.(event);
    },
    attached: (gap, updated = true) => {
      updatesToCome = updated ? 1 : 0;
      speaking = false;
      if (gap) graceUntilMs = clock.monotonicMs() + graceMs;
    },
    stop: () => {
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
