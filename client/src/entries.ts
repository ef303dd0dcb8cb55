import { maxEntryText } from '@greenroom/shared/protocol/socket-values.ts';
import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';

/**
 * Collects the browser's copies of transcript entries from the provider's data channel, as redundancy for the
 * entries that the worker receives.
 *
 * An item is identified by call ordinal and item id. Its predecessor is taken from `.added` and `.committed`,
 * never from `.done`, where it may be null.
 */
export interface EntryCollector {
  /** @returns the entry that this event completes, or undefined */
  take(event: Record<string, unknown>): TranscriptEntryInput | undefined;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression removes them
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;
/** Cleans a text as the worker does. A refused entry would cause the other entries of its message to be refused too. */
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
