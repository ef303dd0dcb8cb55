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

test('the JSON transcript holds every verified entry although the copies exceed the row limit', async () => {
  const { json } = await read('json');
  expect(json.entries).toHaveLength(1_102);
  expect(json.entries.filter((one: { verified: boolean }) => one.verified)).toMatchObject([
    { item_id: 'i1' },
    { item_id: 'i2' },
  ]);
});

test.each(['text', 'vtt'])('the %s transcript holds every verified entry and marks the copies', async (format) => {
  const { text } = await read(format);
  expect(text).toContain('I have never programmed.');
  expect(text.match(/Candidate(: |>)\[unverified\] /g)).toHaveLength(1_100);
});
