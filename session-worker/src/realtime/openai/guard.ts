import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { IntegrityKind } from '../voice.ts';
import { asId, asObject, asText, type Json, type ProviderEvent } from './events.ts';
import { sessionFacts } from './session-facts.ts';

/**
 * Watches one realtime call for what neither we nor the provider did. The candidate's browser is a full peer of the call: it
 * can rewrite the interviewer's instructions, put words into the conversation and make the interviewer speak.
 *
 * G1  What we do is known again: our items by ids, our responses by a nonce in their metadata, made up at random each time;
 *     our `session.update` by its answer. The provider's own doing is known by what causes it: a turn of the candidate
 *     (`committed`) makes one item and one response, a response makes its output items.
 * G2  Everything else came from the browser. It is flagged always, and undone where that is possible: the item deleted, the
 *     response cancelled, our session set again.
 * G3  Causes may come shortly after effects on the wire, so an item is judged only after `settleMs`.
 * G4  After a gap in hearing nothing is judged for `graceMs`: its cause may have gone by unheard. Our own `session.update`,
 *     which ends every gap, has undone a foreign one by then.
 * G5  What is undone is bounded; a browser that goes on all the same is only counted.
 *
 * G6  The provider cuts the interviewer's words short (`truncated`, output `cleared`) when the candidate speaks over them, or
 *     when we cancel a response; it never throws away what it hears. What the browser cut or threw away cannot be undone: it
 *     is flagged.
 *
 * A `response.create` that the browser times to the instant between a turn and the provider's own response to it passes for
 * that response: SECURITY.md says so.
 */
export interface Guard {
  /** Says something of ours (G1). False when the sideband is not attached. */
  send(event: Json & { type: string }): boolean;
  event(event: ProviderEvent): void;
  /**
   * The sideband is attached. `gap`: the call went on before that, unheard (G4). `updated`: our `session.update` was taken, so
   * the next `session.updated` is its answer.
   */
  attached(gap: boolean, updated?: boolean): void;
  stop(): void;
}

export interface GuardDeps {
  clock: Clock;
  log: Logger;
  send(event: Json & { type: string }): boolean;
  /** What `session.update` says to set our session again. */
  update: Json;
  flag(kind: IntegrityKind): void;
}

const settleMs = 250;
const graceMs = 3_000;
/** How long after the candidate began to speak, or we cancelled a response, the interviewer's words may be cut short (G6). */
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
  /** Items that a turn or a response accounts for (G1). */
  const caused = new Set<string>();
  /** Our responses that the provider was too busy for: said again when it is free. */
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
    log.warn({ kind }, 'something in the call came from the browser');
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

  /** G6. */
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
    // A provider that does not repeat metadata: the first response after ours is taken for it.
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
    // The provider leaves out the code or the event's id at times. Only a request of ours that is still unanswered counts.
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

  /** The same event twice is one event. */
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
