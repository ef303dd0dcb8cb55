import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/** `GET /api/sessions/{id}/transcript` of a session with more browser copies than PostgREST returns rows. */
let world: ApiWorld;
let apiKey: string;
let id: string;
beforeAll(async () => {
  world = await startApiWorld();
  apiKey = (await world.tenant('acme')).apiKey;
  const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };
  id = (await world.send('/api/sessions', { method: 'POST', as: apiKey, body })).json.session_id;
  await add(entry('i1', null, 'ai', 'First question?', true));
  await add(...Array.from({ length: 1_100 }, (_, n) => entry(`c${n}`, 'i1', 'candidate', `noise ${n}`, false)));
  await add(entry('i2', 'i1', 'candidate', 'I have never programmed.', true));
});
afterAll(() => world.stop());

const entry = (item_id: string, previous_item_id: string | null, speaker: string, text: string, verified: boolean) => ({
  ...{ ordinal: 1, item_id, previous_item_id, speaker, text, verified },
});
const add = (...entries: object[]) =>
  world.db.query('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
    id,
    JSON.stringify(entries),
  ]);
const read = (format: string) => world.send(`/api/sessions/${id}/transcript?format=${format}`, { as: apiKey });

interface Entries {
  entries: Array<{ item_id: string; verified: boolean }>;
  has_more: boolean;
  next_cursor: string | null;
}
const page = async (query: string): Promise<Entries> =>
  (await world.send(`/api/sessions/${id}/transcript?${query}`, { as: apiKey })).json;

test('the pages of the JSON transcript together hold every entry once, although the copies exceed the row limit', async () => {
  const seen: Entries['entries'] = [];
  for (let query = 'limit=400'; query !== ''; ) {
    const { entries, has_more, next_cursor } = await page(query);
    seen.push(...entries);
    expect(has_more).toBe(next_cursor !== null);
    query = has_more ? `limit=400&cursor=${next_cursor}` : '';
  }
  expect(seen).toHaveLength(1_102);
  expect(new Set(seen.map(({ item_id }) => item_id)).size).toBe(1_102);
  expect(seen.filter(({ verified }) => verified)).toMatchObject([{ item_id: 'i1' }, { item_id: 'i2' }]);
});

test('a cursor continues after its entry also when entries came in before it', async () => {
  const first = await page('limit=2');
  await add(entry('early', 'i1', 'ai', 'A late entry, early in the conversation.', true));
  const next = await page(`limit=2&cursor=${first.next_cursor}`);
  const ids = [...first.entries, ...next.entries].map(({ item_id }) => item_id);
  expect(new Set(ids).size).toBe(4);
  expect((await world.send(`/api/sessions/${id}/transcript?cursor=x`, { as: apiKey })).status).toBe(400);
  await world.db.query("delete from public.transcript_entries where session_id = $1 and item_id = 'early'", [id]);
});

test.each(['text', 'vtt'])('the %s transcript holds every verified entry and marks the copies', async (format) => {
  const { text } = await read(format);
  expect(text).toContain('I have never programmed.');
  expect(text.match(/Candidate(: |>)\[unverified\] /g)).toHaveLength(1_100);
});
