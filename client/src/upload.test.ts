import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { describe, expect, test } from 'vitest';
import { memoryStore } from './entry-store.ts';
import { openKept, openLeftovers } from './kept-entries.ts';
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

/** An Edge Function that gives these answers in order and records what it receives. */
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

describe('the entries kept in the browser', () => {
  test('kept entries survive a reload and are removed completely when they are stored', async () => {
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

  test('kept entries are separate for each session', async () => {
    const store = memoryStore();
    await keptWith(1, store);
    expect((await openKept('s2', store)).all).toEqual([]);
  });

  test('entries are kept in memory if the store fails', async () => {
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
    expect(await openLeftovers(broken, undefined)).toEqual([]);
  });
});

describe('the upload', () => {
  test('the upload sends all entries in chunks of at most 200 and keeps none of them', async () => {
    const kept = await keptWith(450);
    const { sent, options } = functionOf();
    expect(await uploadKept(kept, options)).toBe(0);
    expect(sent.map((ids) => ids.length)).toEqual([200, 200, 50]);
  });

  test('the upload sends long entries in smaller chunks', async () => {
    const kept = await openKept('s1');
    kept.setUpload(target);
    for (let n = 1; n <= 20; n += 1) kept.add(entry(n, 'x'.repeat(20_000)));
    const { sent, options } = functionOf();
    await uploadKept(kept, options);
    expect(sent.every((ids) => ids.length <= 6)).toBe(true);
    expect(sent.flat()).toHaveLength(20);
  });

  test.each<[string, () => Response | Error]>([
    ['does not respond', () => new TypeError('fetch failed')],
    ['answers 503', () => problem(503)],
    ['is hidden by the 404 of a gateway', () => new Response('{"message":"no Route"}', { status: 404 })],
    ['is hidden by the page of a captive portal', () => new Response('<html>Log in to the network</html>')],
    ['is hidden by other JSON', () => new Response('{}')],
  ])('the upload is repeated if the function %s, and unsent entries are kept', async (_what, answer) => {
    const twice = functionOf(answer, answer, stored);
    expect(await uploadKept(await keptWith(1), twice.options)).toBe(0);
    const never = functionOf(answer);
    expect(await uploadKept(await keptWith(2), never.options)).toBe(2);
    expect(never.sent).toHaveLength(3);
  });

  test('the entries are removed from the browser if the transcript was erased', async () => {
    expect(await uploadKept(await keptWith(2), functionOf(() => problem(410)).options)).toBe(0);
  });

  test('the upload stops at once if the token is refused, and keeps the entries', async () => {
    const { sent, options } = functionOf(() => problem(401));
    expect(await uploadKept(await keptWith(2), options)).toBe(2);
    expect(sent).toHaveLength(1);
  });

  test('the other entries are stored if one is refused', async () => {
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

  test('one bad entry in a thousand needs fewer uploads than a session takes after its end (15)', async () => {
    const refusing = (entries: TranscriptEntryInput[]) =>
      entries.some((one) => one.item_id === 'item_700') ? problem(422) : stored(entries);
    const { sent, options } = functionOf(refusing);
    expect(await uploadKept(await keptWith(1_000), options)).toBe(0);
    const taken = sent.filter((ids) => !ids.includes('item_700'));
    expect(taken.flat()).toHaveLength(999);
    expect(taken.length).toBeLessThan(15);
  });

  test('entries of earlier pages are sent when a page opens, except those of the session to be joined', async () => {
    const store = memoryStore();
    await keptWith(2, store);
    const going = await openKept('s2', store);
    going.setUpload(target);
    going.add(entry(7));
    const { sent, options } = functionOf();
    await uploadLeftovers(await openLeftovers(store, 's2'), { nowMs: 999_000, ...options });
    expect(sent).toEqual([['item_1', 'item_2']]);
    expect(await store.sessions()).toEqual(['s2']);
  });

  const dayMs = 86_400_000;
  test.each<[string, (entries: TranscriptEntryInput[]) => Response | Error, number, number, number]>([
    ['are kept if the token is refused before it expires', () => problem(401), 999_000, 1, 2],
    ['are dropped if the token is refused after it expired', () => problem(401), 1_000_001, 1, 0],
    ['are sent if the function accepts a token that looks expired here', stored, 1_000_001 + dayMs, 1, 0],
    ['are kept if the function does not respond', () => new TypeError('away'), 1_000_001 + dayMs, 3, 2],
    ['are dropped without a request a week after the token expired', stored, 1_000_000 + 7 * dayMs, 0, 0],
  ])('entries of earlier pages %s', async (_what, answer, nowMs, asked, left) => {
    const store = memoryStore();
    await keptWith(2, store);
    const { sent, options } = functionOf(answer);
    await uploadLeftovers(await openLeftovers(store, undefined), { nowMs, ...options });
    expect([sent.length, (await openKept('s1', store)).all.length]).toEqual([asked, left]);
    if (left === 0) expect(await store.sessions()).toEqual([]);
  });
});
