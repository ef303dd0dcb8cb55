import { maxEntryText, type Speaker, type TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { SpokenLog } from '../voice.ts';
import { asArray, asId, asMs, asObject, asText, type Json, type ProviderEvent } from './events.ts';

/**
 * Builds the conversation of one realtime call from the sideband's events. Pure: events in, entries out.
 *
 * - The result does not depend on the order or repetition of events: the same events, shuffled or doubled,
 *   give the same log. Only partial texts depend on the order.
 * - The order of items comes from `conversation.item.added` and `input_audio_buffer.committed`, never from
 *   `.done`, in which the live service sent `previous_item_id: null`.
 * - Items that are not speech (function calls, system notes, items that a browser typed into the call) are
 *   left out, and the next item is linked to the one before. An answer that the worker typed in for the
 *   candidate is an entry like a spoken one.
 * - Candidate speech that could not be transcribed becomes an entry with empty text, so that its place is
 *   kept.
 * - The provider sends no timestamps for the interviewer: its times are when the events of the output buffer
 *   arrived.
 * - Memory per item is small: a final item keeps its text once and no partial.
 * - An event costs the same in a long call as in a short one, because a browser can type thousands of items
 *   into its call. Links across left-out items are found through chains that are shortened each time they are
 *   followed.
 */
interface Item {
  id: string;
  speaker?: Speaker;
  /** Not speech: left out of the log. */
  skipped: boolean;
  /** Undefined until an event names the item before this one. */
  previous?: string | null;
  /**
   * Of a left-out item: an earlier item with only left-out items in between. These links never form a circle.
   */
  before?: string;
  /** Final texts by content part; nearly always one. */
  texts: Array<[part: number, text: string]>;
  /** No text will come, unless one has come already. */
  textless: boolean;
  partial: string;
  confidence: number | null;
  interrupted: boolean;
  startMs: number | null;
  endMs: number | null;
  responseId?: string;
  /** The entry returned last, so that only changes are returned. */
  given?: TranscriptEntry;
}

/** What is known of a response. Its events may come before those of its items. */
interface Response {
  items: Set<string>;
  /** The response was cancelled, failed or incomplete, so its text may be incomplete. */
  cutOff: boolean;
  startMs: number | null;
  endMs: number | null;
}

export interface LogChange {
  /** Entries that are new or have changed: to be stored. */
  entries: TranscriptEntry[];
  /** An entry still being spoken or transcribed: to be shown, not stored. */
  partial?: TranscriptEntry;
}

export interface CallLog extends SpokenLog {
  /** Announces that the worker is about to insert this item: the candidate's typed answer. */
  typed(itemId: string, text: string): void;
  /** @param atMs when the event arrived, in ms since the call began. */
  apply(event: ProviderEvent, atMs: number): LogChange;
  /**
   * Ends the log. A reply that was cut off keeps the text received so far. Candidate speech that was never
   * transcribed becomes an entry with empty text: showing a partial text as the whole could misquote the
   * candidate.
   */
  settle(): TranscriptEntry[];
}

export function createCallLog(ordinal: number): CallLog {
  const items = new Map<string, Item>();
  const responses = new Map<string, Response>();
  const typed = new Map<string, string>();
  /** The speech items that follow an item, directly or after left-out items only. */
  const following = new Map<string, Item[]>();

  const itemOf = (id: string): Item => {
    const known = items.get(id);
    if (known) return known;
    const item: Item = {
      id,
      skipped: false,
      texts: [],
      textless: false,
      partial: '',
      confidence: null,
      interrupted: false,
      startMs: null,
      endMs: null,
    };
    items.set(id, item);
    return item;
  };
  const responseOf = (id: string): Response => {
    const known = responses.get(id);
    if (known) return known;
    const response: Response = { items: new Set(), cutOff: false, startMs: null, endMs: null };
    responses.set(id, response);
    return response;
  };
  const link = (itemId: string | undefined, responseId: string | undefined) => {
    if (!itemId || !responseId) return;
    responseOf(responseId).items.add(itemId);
    itemOf(itemId).responseId = responseId;
  };

  /** This item; if it is left out, the nearest known earlier item that is not. */
  const anchorOf = (id: string): string => {
    const passed: Item[] = [];
    let anchor = id;
    for (let item = items.get(id); item?.skipped && item.before !== undefined; item = items.get(anchor)) {
      passed.push(item);
      anchor = item.before;
    }
    for (const item of passed) item.before = anchor;
    return anchor;
  };
  /** The nearest earlier item that is speech. */
  const previousOf = (item: Item): string | null => {
    const anchor = anchorOf(item.previous ?? item.id);
    return anchor === item.id || items.get(anchor)?.skipped ? null : anchor;
  };
  const follow = (anchor: string, followers: Item[]) => {
    const known = following.get(anchor);
    if (known) for (const item of followers) known.push(item);
    else following.set(anchor, followers);
  };
  /**
   * Relinks the followers of an item that turned out to be left out, or whose predecessor became known.
   * @returns the relinked items
   */
  const relink = (item: Item): Item[] => {
    // A link to an item that follows this one would form a circle: treat this one as having no predecessor.
    if (item.before === undefined && item.previous != null && anchorOf(item.previous) !== item.id)
      item.before = item.previous;
    const followers = (following.get(item.id) ?? []).filter(({ skipped }) => !skipped);
    if (item.before === undefined || followers.length === 0) return followers;
    following.delete(item.id);
    follow(anchorOf(item.id), followers);
    return followers;
  };
  const isFinal = (item: Item) =>
    item.speaker !== undefined && !item.skipped && (item.texts.length > 0 || item.textless);
  const isAwaited = (item: Item) =>
    item.speaker !== undefined && !item.skipped && item.previous !== undefined && !isFinal(item);

  const entryOf = (item: Item, text: string): TranscriptEntry => {
    const response = item.responseId ? responses.get(item.responseId) : undefined;
    const startMs = item.startMs ?? response?.startMs ?? null;
    const endMs = item.endMs ?? response?.endMs ?? null;
    return {
      ordinal,
      item_id: item.id,
      previous_item_id: previousOf(item),
      speaker: item.speaker ?? 'ai',
      text: cleanText(text),
      confidence: item.confidence,
      start_ms: startMs,
      // When the candidate interrupts early, a reply's end can be reported before its start.
      end_ms: endMs !== null && startMs !== null ? Math.max(startMs, endMs) : endMs,
      interrupted: item.interrupted || (response?.cutOff ?? false),
      verified: true,
    };
  };
  const finalText = (item: Item) =>
    [...item.texts]
      .sort(([a], [b]) => a - b)
      .map(([, text]) => text)
      .filter((text) => text !== '')
      .join(' ');

  const changed = (touched: Iterable<Item>): TranscriptEntry[] => {
    const entries: TranscriptEntry[] = [];
    for (const item of new Set(touched)) {
      if (!isFinal(item)) continue;
      const entry = entryOf(item, finalText(item));
      if (item.given && isSame(entry, item.given)) continue;
      item.given = entry;
      item.partial = '';
      entries.push(entry);
    }
    return entries;
  };

  const announce = (itemId: string, previous: unknown) => {
    const item = itemOf(itemId);
    const id = previous === null ? null : asId(previous);
    // An id overrides null, whichever event comes first.
    if (id === undefined || item.previous != null) return item;
    item.previous = id;
    if (id !== null && !item.skipped) follow(anchorOf(id), [item]);
    return item;
  };

  const added = (event: ProviderEvent): Item[] => {
    const wire = asObject(event.item);
    const id = asId(wire.id);
    if (!id) return [];
    const item = itemOf(id);
    const typedText = typed.get(id);
    const wasSkipped = item.skipped;
    if (typedText === undefined && !isSpeech(wire)) item.skipped = true;
    announce(id, event.previous_item_id);
    if (item.skipped) return wasSkipped && item.before !== undefined ? [] : relink(item);
    item.speaker = typedText !== undefined || wire.role === 'user' ? 'candidate' : 'ai';
    if (typedText !== undefined) setText(item, 0, typedText);
    return [item];
  };

  const responseDone = (event: ProviderEvent): Item[] => {
    const wire = asObject(event.response);
    const id = asId(wire.id);
    if (!id) return [];
    const response = responseOf(id);
    if (['cancelled', 'failed', 'incomplete'].includes(asText(wire.status))) response.cutOff = true;
    for (const output of asArray(wire.output).map(asObject)) {
      const itemId = asId(output.id);
      link(itemId, id);
      if (itemId && output.type === 'message') Object.assign(itemOf(itemId), { speaker: 'ai', textless: true });
    }
    return itemsOf(response);
  };
  const itemsOf = (response: Response) => [...response.items].map(itemOf);

  const text = (event: ProviderEvent, speaker: Speaker, value: unknown): Item[] => {
    const id = asId(event.item_id);
    if (!id) return [];
    const item = itemOf(id);
    item.speaker = speaker;
    setText(item, asMs(event.content_index) ?? 0, asText(value));
    if (speaker === 'candidate') item.confidence = confidenceOf(event.logprobs) ?? item.confidence;
    link(id, asId(event.response_id));
    return [item];
  };

  const buffer = (event: ProviderEvent, field: 'startMs' | 'endMs', atMs: number): Item[] => {
    const id = asId(event.response_id);
    if (!id) return [];
    const response = responseOf(id);
    response[field] = Math.min(response[field] ?? atMs, atMs);
    return itemsOf(response);
  };

  const mark = (event: ProviderEvent, change: Partial<Item>): Item[] => {
    const id = asId(event.item_id);
    return id ? [Object.assign(itemOf(id), change)] : [];
  };

  /** The items that an event touches; none for events that do not affect the log. */
  const touch = (event: ProviderEvent, atMs: number): Item[] => {
    switch (event.type) {
      case 'conversation.item.added':
        return added(event);
      case 'input_audio_buffer.committed': {
        const id = asId(event.item_id);
        if (!id) return [];
        const item = Object.assign(announce(id, event.previous_item_id), { speaker: 'candidate' });
        return item.skipped ? relink(item) : [item];
      }
      case 'input_audio_buffer.speech_started':
        return mark(event, { startMs: asMs(event.audio_start_ms) ?? null });
      case 'input_audio_buffer.speech_stopped':
        return mark(event, { endMs: asMs(event.audio_end_ms) ?? null });
      case 'conversation.item.input_audio_transcription.completed':
        return text(event, 'candidate', event.transcript);
      case 'conversation.item.input_audio_transcription.failed':
        return mark(event, { speaker: 'candidate', textless: true });
      case 'response.output_item.added':
        link(asId(asObject(event.item).id), asId(event.response_id));
        return [];
      case 'response.output_audio_transcript.done':
        return text(event, 'ai', event.transcript);
      case 'response.output_text.done':
        return text(event, 'ai', event.text);
      case 'conversation.item.truncated':
        return mark(event, { interrupted: true });
      case 'response.done':
        return responseDone(event);
      case 'output_audio_buffer.started':
        return buffer(event, 'startMs', atMs);
      case 'output_audio_buffer.stopped':
      case 'output_audio_buffer.cleared':
        return buffer(event, 'endMs', atMs);
      default:
        return [];
    }
  };

  const partial = (event: ProviderEvent): TranscriptEntry | undefined => {
    const speaker = partialSpeakers[event.type];
    const id = asId(event.item_id);
    if (!speaker || !id) return undefined;
    const item = itemOf(id);
    link(id, asId(event.response_id));
    if (isFinal(item)) return undefined;
    item.partial = (item.partial + asText(event.delta)).slice(0, maxEntryText);
    return entryOf({ ...item, speaker }, item.partial.trim());
  };

  return {
    typed: (itemId, text) => void typed.set(itemId, text),
    apply: (event, atMs) => {
      const shown = partial(event);
      const entries = changed(touch(event, Math.max(0, Math.round(atMs))));
      return shown ? { entries, partial: shown } : { entries };
    },
    awaited: (speaker) =>
      [...items.values()].filter((item) => isAwaited(item) && (!speaker || item.speaker === speaker)).length,
    settle: () => {
      const open = [...items.values()].filter(isAwaited);
      for (const item of open) {
        if (item.speaker === 'ai') item.interrupted = true;
        if (item.speaker === 'ai' && item.partial !== '') setText(item, 0, item.partial.trim());
        else item.textless = true;
      }
      return changed(open);
    },
    knows: (itemId) => {
      const item = items.get(itemId);
      return item !== undefined && isFinal(item);
    },
    entries: () => [...items.values()].filter(isFinal).map((item) => entryOf(item, finalText(item))),
  };
}

/** Most content parts kept per item: the provider sends one or two. */
const maxParts = 100;

function setText(item: Item, part: number, text: string): void {
  const known = item.texts.find(([n]) => n === part);
  if (known) known[1] = text;
  else if (item.texts.length < maxParts) item.texts.push([part, text]);
}

const isSame = (a: TranscriptEntry, b: TranscriptEntry): boolean =>
  (Object.keys(a) as Array<keyof TranscriptEntry>).every((field) => a[field] === b[field]);

const partialSpeakers: Record<string, Speaker> = {
  'response.output_audio_transcript.delta': 'ai',
  'conversation.item.input_audio_transcription.delta': 'candidate',
};

/**
 * A spoken message of either side: the provider announces the interviewer's items empty and the candidate's
 * as audio.
 */
function isSpeech(item: Json): boolean {
  if (item.type !== 'message' || (item.role !== 'user' && item.role !== 'assistant')) return false;
  return !asArray(item.content).some((part) =>
    ['input_text', 'output_text', 'text'].includes(asText(asObject(part).type)),
  );
}

/** exp(mean logprob), or null when the provider gave none. */
function confidenceOf(logprobs: unknown): number | null {
  const values = asArray(logprobs)
    .map((entry) => asObject(entry).logprob)
    .filter((value) => typeof value === 'number');
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.round(Math.min(1, Math.exp(mean)) * 10_000) / 10_000;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are removed; Postgres refuses NUL
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;
const cleanText = (text: string): string =>
  text.replaceAll(controlCharacters, '').slice(0, maxEntryText).toWellFormed();
