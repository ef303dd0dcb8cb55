import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import { candidateSpeech, listenTo, reply, transcribed } from '../../test/conversation.ts';
import { createTranscript } from './transcript.ts';
import { createWriter } from './writer.ts';

function setUp() {
  const clock = createFakeClock();
  const sent: ServerMessage[] = [];
  const stored: TranscriptEntry[] = [];
  const writer = createWriter({
    clock,
    log: silentLogger(),
    append: async (entries) => {
      stored.push(...entries);
      return { kind: 'ok', value: [] };
    },
    onStored: (entries) => sent.push({ type: 'transcript_ack', item_ids: entries.map((e) => e.item_id) }),
    onFenced: () => {},
  });
  const heard = { now: true };
  const transcript = createTranscript({
    writer,
    isHeard: () => heard.now,
    send: (message) => sent.push(message),
  });
  const hear = listenTo(1, transcript);
  const acks = () => sent.flatMap((m) => (m.type === 'transcript_ack' ? m.item_ids : []));
  return { clock, transcript, writer, sent, stored, hear, acks, heard };
}
const copy = (item_id: string, text: string, ordinal = 1) => ({
  ordinal,
  item_id,
  speaker: 'candidate' as const,
  text,
});

describe('one transcript from two sources', () => {
  test('a copy of an item that the sideband has not reported is stored as unverified, and acknowledged', async () => {
    const { transcript, writer, stored, acks } = setUp();
    expect(transcript.copies([copy('c1', 'Hello.')])).toEqual([]);
    await writer.flush();
    expect(stored).toMatchObject([{ item_id: 'c1', verified: false, text: 'Hello.', previous_item_id: null }]);
    expect(acks()).toEqual(['c1']);
  });

  test('a copy of an item that is already stored is acknowledged at once and not stored again', async () => {
    const { transcript, writer, stored, hear, acks } = setUp();
    hear([...candidateSpeech('c1', null, 0, 9), transcribed('c1', 'Hello.')]);
    await writer.flush();
    transcript.copies([copy('c1', 'Something else entirely.')]);
    await writer.flush();
    expect(stored.map((e) => e.text)).toEqual(['Hello.']);
    expect(acks()).toEqual(['c1', 'c1']);
  });

  test('items that only the browser knows are limited in length; a new text of an item counts once', async () => {
    const { transcript, writer, stored } = setUp();
    const long = 'x'.repeat(20_000);
    for (let n = 0; n < 99; n += 1) transcript.copies([copy(`c${n}`, long)]);
    transcript.copies([copy('c0', long.slice(1))]);
    transcript.copies([copy('c99', long), copy('c100', long), copy('c101', '!')]);
    await writer.flush();
    expect(new Set(stored.map((e) => e.item_id)).size).toBe(101);
    expect(stored.at(-1)?.text).toBe('!');
  });

  test('items that only the browser knows are limited in number, those of the sideband are not', async () => {
    const { transcript, writer, stored, hear } = setUp();
    for (let n = 0; n < 100; n += 1) {
      transcript.copies(Array.from({ length: 50 }, (_, i) => copy(`made_up_${n}_${i}`, 'x')));
      await writer.flush();
    }
    expect(stored).toHaveLength(3_000);
    transcript.copies([copy('made_up_0_0', 'said otherwise')]);
    hear([...candidateSpeech('c1', null, 0, 9), transcribed('c1', 'Hello.')]);
    await writer.flush();
    expect(stored.slice(3_000).map((e) => e.text)).toEqual(['Hello.']);
  });

  test('the sideband’s later text replaces the stored copy', async () => {
    const { transcript, writer, stored, hear } = setUp();
    transcript.copies([copy('c1', 'Helo')]);
    await writer.flush();
    hear([...candidateSpeech('c1', null, 0, 9), transcribed('c1', 'Hello.')]);
    await writer.flush();
    expect(stored.map((e) => [e.text, e.verified])).toEqual([
      ['Helo', false],
      ['Hello.', true],
    ]);
  });

  test('refuses copies of a call that this session never had, by field, and stores nothing of the message', async () => {
    const { transcript, writer, stored } = setUp();
    expect(transcript.copies([copy('c1', 'ok'), copy('c2', 'foreign', 7)])).toEqual([
      { field: 'entries.1.ordinal', message: 'no such call in this session' },
    ]);
    await writer.flush();
    expect(stored).toEqual([]);
  });

  test('an empty entry does not overwrite the browser’s copy', async () => {
    const { transcript, writer, stored, hear } = setUp();
    hear(candidateSpeech('c1', null, 0, 9));
    hear(candidateSpeech('c2', 'c1', 10, 19));
    transcript.copies([copy('c1', 'Heard by the browser only.')]);
    transcript.settle();
    await writer.flush();
    expect(stored.map((e) => [e.item_id, e.text])).toEqual([
      ['c1', 'Heard by the browser only.'],
      ['c2', ''],
    ]);
  });

  test('the beginning of a reply does not overwrite the browser’s whole copy of it; a different text does', async () => {
    const settled = async (sent: string) => {
      const { transcript, writer, stored, hear } = setUp();
      hear(reply('a1', null, 'Tell me.').slice(0, 4));
      transcript.copies([copy('a1', sent)]);
      transcript.settle();
      await writer.flush();
      return stored.map(({ text, verified }) => [text, verified]);
    };
    expect(await settled('Tell me.')).toEqual([['Tell me.', false]]);
    expect(await settled('I am hired.')).toEqual([['Tell', true]]);
  });

  test('sends the browser partial and final entries, but no empty ones', () => {
    const { transcript, sent, hear } = setUp();
    hear(reply('a1', null, 'Welcome.'));
    hear(candidateSpeech('c1', 'a1', 0, 9));
    transcript.settle();
    const shown = sent.flatMap((m) => (m.type === 'transcript_entry' ? [[m.entry.text, m.final]] : []));
    expect(shown[0]).toEqual(['Welc', false]);
    expect(new Set(shown.slice(1).map(String))).toEqual(new Set(['Welcome.,true']));
  });

  test('returns what was said in conversation order', () => {
    const { transcript, hear } = setUp();
    hear([
      ...reply('a1', null, 'One.'),
      ...candidateSpeech('c1', 'a1', 0, 9),
      ...reply('a2', 'c1', 'Three.'),
      transcribed('c1', 'Two.'),
    ]);
    expect(transcript.said().map((e) => e.text)).toEqual(['One.', 'Two.', 'Three.']);
  });

  // Failure pinned: what the interviewer said in a call whose media never came up was stored as said.
  test('the interviewer’s entries are shown at once but stored only when the call is heard; the candidate’s are stored at once', async () => {
    const { transcript, writer, stored, hear, sent, heard } = setUp();
    heard.now = false;
    hear(reply('a1', null, 'Welcome.'));
    await writer.flush();
    expect([stored, transcript.said(), transcript.hasCandidate]).toEqual([[], [], false]);
    expect(sent.some((m) => m.type === 'transcript_entry' && m.final)).toBe(true);
    hear([...candidateSpeech('c1', 'a1', 0, 9), transcribed('c1', 'Hello?')]);
    await writer.flush();
    expect(stored.map((e) => e.item_id)).toEqual(['c1']);
    heard.now = true;
    transcript.heard(1);
    await writer.flush();
    expect(new Set(stored.map((e) => e.item_id))).toEqual(new Set(['c1', 'a1']));
    expect([transcript.said().length, transcript.hasCandidate]).toEqual([2, true]);
  });
});
