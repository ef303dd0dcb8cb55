import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { describe, expect, test } from 'vitest';
import { memoryStore } from './entry-store.ts';
import { openKept } from './kept-entries.ts';
import type { EntryStore } from './types.ts';
import { uploadKept, uploadLeftovers } from './upload.ts';

const entry = (n: number, text = `Sentence ${n}`): TranscriptEntryInput => ({
  ordinal: 1,
  item_id: `item_${n}`,
  speaker: 'candidate',
  text,
});
const problem = (status: number) =>
  new Response('{}', { status, headers: { 'content-type': 'application/problem+json; charset=utf-8' } });
const stored = (entries: TranscriptEntryInput[] = []) => Response.json({ item_ids: entries.map((one) => one.item_id) });
const tokenUntil = (expS: number) => `h.${Buffer.from(JSON.stringify({ exp: expS })).toString('base64url')}.s`;
const target = { url: 'https://p.example/functions/v1/interview-transcript', token: tokenUntil(1_000) };

/** A function that answers in turn, and notes what it was sent. */
function functionOf(...answers: Array<(entries: TranscriptEntryInput[]) => Response | Error>) {
  const sent: string[][] = [];
  const send = (async (_url: string, init: RequestInit) => {
    const { entries } = JSON.parse(String(init.body)) as { entries: TranscriptEntryInput[] };
    sent.push(entries.map((one) => one.item_id));
    const answer = (answers[Math.min(sent.length, answers.length) - 1] ?? stored)(entries);
    if (answer instanceof Error) throw answer;
    return answer;
  }) as unknown as typeof fetch;
  return { sent, options: { fetch: send, waitMs: 1, tries: 3 } };
}
const keptWith = async (count: number, store?: EntryStore) => {
  const kept = await openKept('s1', store);
  kept.setUpload(target);
  for (let n = 1; n <= count; n += 1) kept.add(entry(n));
  return kept;
};

describe('what a browser keeps', () => {
  test('survives a reload, and leaves nothing behind once it is stored', async () => {
    const store = memoryStore();
    await keptWith(2, store);
    const reloaded = await openKept('s1', store);
    expect(reloaded.all.map((one) => one.item_id)).toEqual(['item_1', 'item_2']);
    expect(reloaded.upload).toEqual(target);
    expect(await store.sessions()).toEqual(['s1']);
    reloaded.remove(['item_1', 'item_2', 'item_unknown']);
    reloaded.settle();
    expect([await store.sessions(), (await store.read('s1')).entries]).toEqual([[], []]);
  });

  test("is not another session's", async () => {
    const store = memoryStore();
    await keptWith(1, store);
    expect((await openKept('s2', store)).all).toEqual([]);
  });

  test('is kept in memory when the store fails', async () => {
    const failing = () => Promise.reject(new Error('quota'));
    const broken: EntryStore = {
      kind: 'indexeddb',
      read: failing,
      put: failing,
      remove: failing,
      setUpload: failing,
      sessions: failing,
    };
    const kept = await keptWith(2, broken);
    kept.remove(['item_1']);
    expect(kept.all).toHaveLength(1);
    await uploadLeftovers(broken, { nowMs: 0 });
  });
});

describe('the last resort', () => {
  test('hands everything in, in portions, and keeps nothing of it', async () => {
    const kept = await keptWith(450);
    const { sent, options } = functionOf();
    expect(await uploadKept(kept, options)).toBe(0);
    expect(sent.map((ids) => ids.length)).toEqual([200, 200, 50]);
  });

  test('long texts go in smaller portions', async () => {
    const kept = await openKept('s1');
    kept.setUpload(target);
    for (let n = 1; n <= 20; n += 1) kept.add(entry(n, 'x'.repeat(20_000)));
    const { sent, options } = functionOf();
    await uploadKept(kept, options);
    expect(sent.every((ids) => ids.length <= 6)).toBe(true);
    expect(sent.flat()).toHaveLength(20);
  });

  test.each<[string, () => Response | Error]>([
    ['does not answer', () => new TypeError('fetch failed')],
    ['is in trouble', () => problem(503)],
    ['is not there: a gateway says 404', () => new Response('{"message":"no Route"}', { status: 404 })],
    ['is hidden behind a page that says 200', () => new Response('<html>Log in to the network</html>')],
    ['is hidden behind JSON that is not its own', () => new Response('{}')],
  ])('a function that %s is tried again, and what is left stays', async (_what, answer) => {
    const twice = functionOf(answer, answer, stored);
    expect(await uploadKept(await keptWith(1), twice.options)).toBe(0);
    const never = functionOf(answer);
    expect(await uploadKept(await keptWith(2), never.options)).toBe(2);
    expect(never.sent).toHaveLength(3);
  });

  test('a transcript that was erased is not kept in the browser either', async () => {
    expect(await uploadKept(await keptWith(2), functionOf(() => problem(410)).options)).toBe(0);
  });

  test('a token that is refused ends it at once, and loses nothing', async () => {
    const { sent, options } = functionOf(() => problem(401));
    expect(await uploadKept(await keptWith(2), options)).toBe(2);
    expect(sent).toHaveLength(1);
  });

  test('an entry that is not acceptable does not take the others with it', async () => {
    const kept = await keptWith(3);
    const taken: string[] = [];
    const { options } = functionOf((entries) => {
      if (entries.some((one) => one.item_id === 'item_2')) return problem(422);
      taken.push(...entries.map((one) => one.item_id));
      return stored(entries);
    });
    expect(await uploadKept(kept, options)).toBe(0);
    expect(taken).toEqual(['item_1', 'item_3']);
  });

  test('one bad entry of a thousand costs fewer uploads than a session takes after its end (15)', async () => {
    const refusing = (entries: TranscriptEntryInput[]) =>
      entries.some((one) => one.item_id === 'item_700') ? problem(422) : stored(entries);
    const { sent, options } = functionOf(refusing);
    expect(await uploadKept(await keptWith(1_000), options)).toBe(0);
    const taken = sent.filter((ids) => !ids.includes('item_700'));
    expect(taken.flat()).toHaveLength(999);
    expect(taken.length).toBeLessThan(15);
  });

  test('leftovers of earlier pages go when a page opens, but those of the session that goes on', async () => {
    const store = memoryStore();
    await keptWith(2, store);
    const going = await openKept('s2', store);
    going.setUpload(target);
    going.add(entry(7));
    const { sent, options } = functionOf();
    await uploadLeftovers(store, { except: 's2', nowMs: 999_000, ...options });
    expect(sent).toEqual([['item_1', 'item_2']]);
    expect(await store.sessions()).toEqual(['s2']);
  });

  const dayMs = 86_400_000;
  test.each<[string, (entries: TranscriptEntryInput[]) => Response | Error, number, number, number]>([
    ['refused before its day is over by this clock', () => problem(401), 999_000, 1, 2],
    ['refused when its day is over', () => problem(401), 1_000_001, 1, 0],
    ['good, whatever the clock of this device says', stored, 1_000_001 + dayMs, 1, 0],
    ['not judged by a function that is away', () => new TypeError('away'), 1_000_001 + dayMs, 3, 2],
    ['dead for a week', stored, 1_000_000 + 7 * dayMs, 0, 0],
  ])('a token that is %s: what it would carry', async (_what, answer, nowMs, asked, left) => {
    const store = memoryStore();
    await keptWith(2, store);
    const { sent, options } = functionOf(answer);
    await uploadLeftovers(store, { nowMs, ...options });
    expect([sent.length, (await openKept('s1', store)).all.length]).toEqual([asked, left]);
    if (left === 0) expect(await store.sessions()).toEqual([]);
  });
});
