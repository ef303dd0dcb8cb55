import { maxEntryText, type Speaker, type TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { SpokenLog } from '../voice.ts';
import { asArray, asId, asMs, asObject, asText, type Json, type ProviderEvent } from './events.ts';

/**
 * The conversation of one realtime call, made from the sideband's events. Pure: events in, entries out.
 *
 * T1  Every field of an item is joined from the events so that order and repetition do not matter: the same events,
 *     shuffled or doubled, give the same log. Only partials depend on the order.
 * T2  Order comes from `conversation.item.added` and `input_audio_buffer.committed`, never from `.done`: the live service
 *     was recorded sending `previous_item_id: null` there.
 * T3  What is not speech (function calls, system notes, items that a browser typed into the call) is left out; what follows
 *     is linked to the item before. An answer that we typed in for the candidate is an entry like a spoken one.
 * T4  A candidate's words that could not be transcribed are an entry with empty text: it holds the place.
 * T5  The interviewer has no timestamps on the wire: its times are when the sideband told of the output buffer.
 * T6  What is kept of an item for the length of the interview is small: of a final one its text once, and no partial.
 * T7  An event costs the same in a long call as in a short one: a browser can type thousands of items into its call. What follows
 *     left-out items is found by chains that get shorter each time they are followed.
 */
interface Item {
  id: string;
  speaker?: Speaker;
  /** T3. */
  skipped: boolean;
  /** Undefined until an event said what is before it. */
  previous?: string | null;
  /** Of a left-out item: an item before it, with nothing but left-out items between (T7). No chain of these is a circle. */
  before?: string;
  /** Final texts by content part: nearly always one (T6). */
  texts: Array<[part: number, text: string]>;
  /** It is known that there will be no text, unless one has come. */
  textless: boolean;
  partial: string;
  confidence: number | null;
  interrupted: boolean;
  startMs: number | null;
  endMs: number | null;
  responseId?: string;
  /** What was last given out, to give out changes only. */
  given?: TranscriptEntry;
}

/** What is known of a response, which may come before its items are known. */
interface Response {
  items: Set<string>;
  /** It was cancelled, failed, or was left incomplete: what was said of it is not all. */
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
  /** We are about to put this item into the call: the candidate's words, typed (T3). */
  typed(itemId: string, text: string): void;
  /** @param atMs when the event came, on the call's clock. */
  apply(event: ProviderEvent, atMs: number): LogChange;
  /**
   * Ends the log. A reply cut off keeps what was made of it; a candidate's words that never were transcribed hold their
   * place (T4): a beginning of them, shown as if it were all, would put words out of somebody's mouth.
   */
  settle(): TranscriptEntry[];
}

export function createCallLog(ordinal: number): CallLog {
  const items = new Map<string, Item>();
  const responses = new Map<string, Response>();
  const typed = new Map<string, string>();
  /** The items of speech that follow an item directly, or after left-out ones only (T7). */
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

  /** This item, or when it is left out the nearest one before it that is not, as far as that is known (T7). */
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
  /** The nearest item before that is speech (T3). */
  const previousOf = (item: Item): string | null => {
    const anchor = anchorOf(item.previous ?? item.id);
    return anchor === item.id || items.get(anchor)?.skipped ? null : anchor;
  };
  const follow = (anchor: string, followers: Item[]) => {
    const known = following.get(anchor);
    if (known) for (const item of followers) known.push(item);
    else following.set(anchor, followers);
  };
  /** An item turned out to be left out, or what is before a left-out item is known now. @returns what is linked anew */
  const relink = (item: Item): Item[] => {
    // A link to what follows this item would close a circle: then nothing is before it.
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
      // A candidate who speaks early can make a reply end, on paper, before it began.
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
      item.partial = ''; // T6
      entries.push(entry);
    }
    return entries;
  };

  const announce = (itemId: string, previous: unknown) => {
    const item = itemOf(itemId);
    const id = previous === null ? null : asId(previous);
    // T1: whichever comes first, an id says more than null.
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

  /** What an event touches; undefined for events that say nothing about the log. */
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

/** Content parts of one item (T7): the provider's have one or two. */
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

/** T3: a message of one of the two, not typed. The interviewer's items are announced empty, the candidate's as audio. */
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

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out; Postgres refuses NUL
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;
const cleanText = (text: string): string =>
  text.replaceAll(controlCharacters, '').slice(0, maxEntryText).toWellFormed();
