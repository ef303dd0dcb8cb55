import { maxEntryText } from '@greenroom/shared/protocol/socket-values.ts';
import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';

/**
 * The browser's own copies of the transcript: redundancy for the worker's log, taken from the provider's data channel.
 *
 * E1  An item is identified by call ordinal and item id; its place in the conversation comes from `.added` and
 *     `.committed`, never from `.done` (which may carry a null predecessor).
 */
export interface EntryCollector {
  /** @returns the entry that became complete with this event, if one did. */
  take(event: Record<string, unknown>): TranscriptEntryInput | undefined;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;
/** As the worker cleans the sideband's: an entry that is refused would take those sent with it along. */
const cleanText = (text: string): string =>
  text.replaceAll(controlCharacters, '').slice(0, maxEntryText).toWellFormed();

export function createEntryCollector(ordinal: number): EntryCollector {
  const previous = new Map<string, string | null>();
  const entry = (itemId: string, speaker: 'ai' | 'candidate', text: unknown): TranscriptEntryInput | undefined => {
    if (typeof text !== 'string' || text === '') return undefined;
    const before = previous.get(itemId);
    return {
      ordinal,
      item_id: itemId,
      speaker,
      text: cleanText(text),
      ...(before === undefined ? {} : { previous_item_id: before }),
    };
  };
  return {
    take: (event) => {
      const itemId = String(event.item_id ?? (event.item as { id?: unknown } | undefined)?.id ?? '');
      switch (event.type) {
        case 'conversation.item.added':
        case 'input_audio_buffer.committed':
          previous.set(itemId, (event.previous_item_id as string | null | undefined) ?? null);
          return undefined;
        case 'response.output_audio_transcript.done':
          return entry(itemId, 'ai', event.transcript);
        case 'conversation.item.input_audio_transcription.completed':
          return entry(itemId, 'candidate', event.transcript);
        default:
          return undefined;
      }
    },
  };
}
