import { storedTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/** A candidate corrects what was misheard, through the API. */
let world: ApiWorld;
let acme: SeededTenant;
beforeAll(async () => {
  world = await startApiWorld();
  acme = await world.tenant('acme');
});
afterAll(() => world.stop());

/** An interview that is over, in which the candidate said one thing. */
async function heldInterview() {
  const created = await world.send('/api/sessions', {
    method: 'POST',
    as: acme.apiKey,
    body: { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' },
  });
  const { session_id, join_url } = created.json;
  const at = (path: string, body: object = {}) =>
    world.send(path, {
      method: 'POST',
      body: { session_id, code: new URL(join_url).hash.slice(1), browser: 'the-candidates-browser', ...body },
    });
  await at('/api/join');
  await world.db.query(
    `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified)
     values ($1, $2, 1, 'item_1', 'candidate', 'I like Readies.', true)`,
    [session_id, acme.id],
  );
  const own = (browser = 'the-candidates-browser') =>
    world.send('/api/join/transcript', {
      headers: {
        'greenroom-session': session_id,
        'greenroom-invitation': new URL(join_url).hash.slice(1),
        'greenroom-browser': browser,
      },
    });
  const correct = (body: object) => at('/api/join/correct', { ordinal: 1, item_id: 'item_1', ...body });
  return { session_id, correct, own };
}
const transcript = (id: string, format: string) =>
  world.send(`/api/sessions/${id}/transcript?format=${format}`, { as: acme.apiKey });

describe('a correction', () => {
  test('is possible after the interview, and shown in every format of the transcript', async () => {
    const { session_id, correct } = await heldInterview();
    expect((await correct({ correction: 'I like Redis.' })).json).toMatchObject({ status: 409, code: 'conflict' });
    await world.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: acme.apiKey });
    const corrected = await correct({ correction: 'I like Redis.' });
    expect(corrected.status, corrected.text).toBe(200);
    expect((await correct({ correction: 'I like Redis.' })).json).toEqual(corrected.json);
    const [entry] = (await transcript(session_id, 'json')).json.entries;
    expect(storedTranscriptEntry.parse(entry)).toMatchObject({ text: 'I like Readies.', correction: 'I like Redis.' });
    const line = 'I like Readies. [corrected by the candidate: I like Redis.]';
    for (const format of ['text', 'vtt']) expect((await transcript(session_id, format)).text).toContain(line);
    expect((await correct({ correction: null })).json).toEqual({ corrected_at: null });
    expect((await transcript(session_id, 'text')).text).not.toContain('corrected');
  });

  test('is in the transcript that the candidate reads after the interview, in the browser that joined', async () => {
    const { session_id, correct, own } = await heldInterview();
    expect((await own()).json).toMatchObject({ status: 409, code: 'conflict' });
    await world.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: acme.apiKey });
    await correct({ correction: 'I like Redis.' });
    expect((await own()).json).toMatchObject({
      session_id,
      entries: [{ item_id: 'item_1', text: 'I like Readies.', correction: 'I like Redis.' }],
    });
    expect((await own('another-browser-here')).json).toMatchObject({ code: 'invitation_used' });
  });

  test('is refused when it is too long, empty, of an unknown entry, or from another browser', async () => {
    const { session_id, correct } = await heldInterview();
    await world.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: acme.apiKey });
    for (const correction of ['', 'x'.repeat(2_001)])
      expect((await correct({ correction })).json).toMatchObject({ status: 422, errors: [{ field: 'correction' }] });
    expect((await correct({ correction: '𝔵'.repeat(1_000) })).status).toBe(200);
    expect((await correct({ correction: 'x', item_id: 'item_2' })).json).toMatchObject({ code: 'not_found' });
    expect((await correct({ correction: 'x', browser: 'another-browser-here' })).json).toMatchObject({
      code: 'invitation_used',
    });
    expect((await correct({ correction: 'x', code: 'certainly-not-the-code' })).json).toMatchObject({
      code: 'invitation_invalid',
    });
  });
});
