import { transcriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { expect, test } from 'vitest';
import { createEntryCollector } from './entries.ts';

const done = (item_id: string, transcript: unknown) => ({
  type: 'response.output_audio_transcript.done',
  item_id,
  transcript,
});

test('the predecessor of an item is taken from `.added`, not from `.done`', () => {
  const collector = createEntryCollector(2);
  collector.take({ type: 'conversation.item.added', previous_item_id: 'item_0', item: { id: 'item_1' } });
  collector.take({ type: 'conversation.item.done', previous_item_id: null, item: { id: 'item_1' } });
  expect(collector.take(done('item_1', 'Hello.'))).toEqual({
    ordinal: 2,
    item_id: 'item_1',
    previous_item_id: 'item_0',
    speaker: 'ai',
    text: 'Hello.',
  });
});

test('texts are cleaned so that the service accepts them, and entries without text are dropped', () => {
  const collector = createEntryCollector(1);
  for (const text of ['a\u0000b\u001b[31m', 'x'.repeat(30_000), `${'x'.repeat(19_999)}😀`]) {
    const entry = collector.take(done('item_1', text));
    expect(transcriptEntryInput.safeParse(entry).success).toBe(true);
  }
  expect(collector.take(done('item_1', ''))).toBeUndefined();
  expect(collector.take(done('item_1', null))).toBeUndefined();
});
