import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import type { StoreResult } from '../outside/store.ts';
import { createWriter } from './writer.ts';

const entryOf = (id: string, more: Partial<TranscriptEntry> = {}): TranscriptEntry => ({
  ordinal: 1,
  item_id: id,
  previous_item_id: null,
  speaker: 'ai',
  text: id,
  confidence: null,
  start_ms: null,
  end_ms: null,
  interrupted: false,
  verified: true,
  ...more,
});
type Result = StoreResult<string[]>;
const unavailable: Result = { kind: 'unavailable', error: new Error('away') };

function setUp(answer: (entries: TranscriptEntry[], n: number) => Result | Promise<Result>, maxWaiting?: number) {
  const clock = createFakeClock();
  const batches: TranscriptEntry[][] = [];
  const acked: string[] = [];
  const onFenced = vi.fn();
  const writer = createWriter({
    clock,
    log: silentLogger(),
    random: () => 0.5,
    append: async (entries) => {
      batches.push(entries);
      return answer(entries, batches.length);
    },
    onStored: (entries) => acked.push(...entries.map((e) => e.item_id)),
    onFenced,
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
  });
  return { clock, writer, batches, acked, onFenced };
}
const ok = (entries: TranscriptEntry[]): Result => ({ kind: 'ok', value: entries.map((e) => e.item_id) });

describe('the transcript writer', () => {
  test('writes an entry at once when idle, and acknowledges it after the commit', async () => {
    const { clock, writer, batches, acked } = setUp(ok);
    writer.add(entryOf('a'));
    expect(acked).toEqual([]);
    await clock.advance(0);
    expect(batches).toHaveLength(1);
    expect(acked).toEqual(['a']);
    expect(writer.unsaved).toBe(0);
  });

  test('counts entries by speaker and how long they waited, a changed entry once', async () => {
    const { clock, writer } = setUp((entries, n) => (n === 1 ? unavailable : ok(entries)));
    writer.add(entryOf('a'));
    writer.add(entryOf('b', { speaker: 'candidate' }));
    await clock.advance(60_000);
    writer.add(entryOf('a', { text: 'changed' }));
    await clock.advance(60_000);
    const { transcript_entries, transcript_storing_ms = 0 } = writer.counts;
    expect(transcript_entries).toEqual({ ai: 1, candidate: 1 });
    expect(transcript_storing_ms).toBeGreaterThan(0);
    expect(transcript_storing_ms).toBeLessThan(60_000);
  });

  test('entries that arrive during a write form the next batch, at most 250', async () => {
    let release: (result: Result) => void = () => {};
    const { clock, writer, batches, acked } = setUp((entries, n) =>
      n === 1 ? new Promise<Result>((resolve) => (release = resolve)) : ok(entries),
    );
    writer.add(entryOf('first'));
    await clock.advance(0);
    for (let n = 0; n < 600; n += 1) writer.add(entryOf(`e${n}`));
    expect(writer.unsaved).toBe(601);
    release(ok([entryOf('first')]));
    await writer.flush();
    expect(batches.map((batch) => batch.length)).toEqual([1, 250, 250, 100]);
    expect(acked).toHaveLength(601);
  });

  test('while the database is away it retries, loses nothing and acknowledges nothing', async () => {
    const { clock, writer, batches, acked } = setUp((entries, n) => (n < 6 ? unavailable : ok(entries)));
    writer.add(entryOf('a'));
    await clock.advance(100);
    writer.add(entryOf('b'));
    expect(acked).toEqual([]);
    await clock.advance(60_000);
    expect(acked).toEqual(['a', 'b']);
    expect(batches).toHaveLength(6);
  });

  test('a newer version of an entry replaces the waiting one', async () => {
    const { clock, writer, batches } = setUp((entries, n) => (n === 1 ? unavailable : ok(entries)));
    writer.add(entryOf('a', { text: 'old' }));
    await clock.advance(0);
    writer.add(entryOf('a', { text: 'new' }));
    await clock.advance(10_000);
    expect(batches.at(-1)?.map((e) => e.text)).toEqual(['new']);
  });

  test('a browser’s copy never replaces the sideband’s entry, but the sideband’s entry replaces a copy', async () => {
    const { clock, writer, batches } = setUp((entries, n) => (n === 1 ? unavailable : ok(entries)));
    writer.add(entryOf('a', { text: 'heard' }));
    writer.add(entryOf('a', { text: 'claimed', verified: false }));
    writer.add(entryOf('b', { text: 'claimed', verified: false }));
    writer.add(entryOf('b', { text: 'heard' }));
    await clock.advance(10_000);
    expect(batches.at(-1)?.map((e) => e.text)).toEqual(['heard', 'heard']);
  });

  test('once fenced, writes and acknowledges nothing more, and reports it once', async () => {
    const { clock, writer, batches, acked, onFenced } = setUp(() => ({ kind: 'fenced' }));
    writer.add(entryOf('a'));
    await clock.advance(0);
    expect(writer.add(entryOf('b'))).toBe(false);
    await clock.advance(10_000);
    await writer.flush();
    expect(batches).toHaveLength(1);
    expect(acked).toEqual([]);
    expect(onFenced).toHaveBeenCalledTimes(1);
  });

  test('an entry that the database refuses by itself is dropped; the others are stored', async () => {
    const { clock, writer, acked } = setUp((entries) =>
      entries.some((e) => e.item_id === 'bad') ? { kind: 'refused', error: new Error('22001') } : ok(entries),
    );
    for (const id of ['a', 'bad', 'b']) writer.add(entryOf(id));
    await clock.advance(0);
    await writer.flush();
    expect(acked).toEqual(['a', 'b']);
    expect(writer.refused).toBe(1);
  });

  test('refuses copies when too many entries wait, but accepts the sideband’s entries', async () => {
    const { clock, writer } = setUp(() => unavailable, 3);
    for (let n = 0; n < 3; n += 1) writer.add(entryOf(`e${n}`));
    await clock.advance(0);
    expect(writer.add(entryOf('copy', { verified: false }))).toBe(false);
    expect(writer.add(entryOf('heard'))).toBe(true);
    expect(writer.unsaved).toBe(4);
    writer.stop();
  });

  test('a flush that takes too long rejects with the signal’s reason', async () => {
    const { clock, writer } = setUp(() => unavailable);
    writer.add(entryOf('a'));
    await clock.advance(0);
    const limit = new AbortController();
    const flushed = writer.flush(limit.signal);
    limit.abort(new Error('time is up'));
    await expect(flushed).rejects.toThrow('time is up');
    writer.stop();
  });

  // Failure pinned: a batch answered with 413 or 57014 was repeated unchanged for ever, and nothing was stored.
  test.each<[string, Result]>([
    ['too large', { kind: 'refused', error: new Error('413'), tooMuch: true }],
    ['too slow', { kind: 'unavailable', error: new Error('57014'), tooMuch: true }],
  ])(
    'a batch that is %s is cut in half until it passes, and larger ones are not tried again',
    async (_what, tooMuch) => {
      const { clock, writer, batches, acked } = setUp((entries) => (entries.length > 10 ? tooMuch : ok(entries)));
      for (let n = 0; n < 600; n += 1) writer.add(entryOf(`e${n}`));
      await clock.advance(10_000);
      expect([acked.length, writer.refused]).toEqual([600, 0]);
      expect(batches.filter((batch) => batch.length > 10)).toHaveLength(5);
    },
  );

  test('a single entry that is too large is dropped; one that is only too slow is retried', async () => {
    const large = setUp(() => ({ kind: 'refused', error: new Error('413'), tooMuch: true }));
    large.writer.add(entryOf('a'));
    await large.clock.advance(10_000);
    expect([large.writer.refused, large.writer.unsaved]).toEqual([1, 0]);
    const slow = setUp((entries, n) =>
      n < 3 ? { kind: 'unavailable', error: new Error('57014'), tooMuch: true } : ok(entries),
    );
    slow.writer.add(entryOf('a'));
    await slow.clock.advance(10_000);
    expect(slow.acked).toEqual(['a']);
  });

  test('finds one refused entry among many by halving the batch', async () => {
    const { clock, writer, batches, acked } = setUp((entries) =>
      entries.some((e) => e.item_id === 'e77') ? { kind: 'refused', error: new Error('22001') } : ok(entries),
    );
    for (let n = 0; n < 250; n += 1) writer.add(entryOf(`e${n}`));
    await clock.advance(0);
    await writer.flush();
    expect([acked.length, writer.refused]).toEqual([249, 1]);
    expect(batches.length).toBeLessThan(40);
  });
});
