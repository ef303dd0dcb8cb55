import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/** Candidate identity and consent through the platform API. supabase/tests/people.test.ts tests the rules in SQL. */
let world: ApiWorld;
let tenantId: string;
let apiKey: string;
beforeAll(async () => {
  world = await startApiWorld();
  tenantId = (await world.tenant('acme')).id;
  apiKey = await world.key(tenantId, [
    ...['sessions:read', 'sessions:write', 'people:read', 'people:write', 'tenant:read', 'tenant:admin'],
  ]);
});
afterAll(() => world.stop());

const post = (at: string, body: object) => world.send(at, { method: 'POST', as: apiKey, body });
const start = (candidate: object) =>
  post('/api/sessions', { candidate, position: { title: 'Engineer' }, region: 'fra' });

describe('inline candidates that differ from the stored candidate', () => {
  const stored = { name: 'Ada Secret', email: 'shared@x.example', external_id: 'ext-A' };

  test('a candidate conflict is 409 candidate_conflict with the field and without the stored value', async () => {
    const first = await start(stored);
    expect(first.status, first.text).toBe(201);
    const second = await start({ name: 'B', email: 'shared@x.example', external_id: 'ext-B' });
    expect(second.status).toBe(409);
    expect(second.json).toMatchObject({
      code: 'candidate_conflict',
      errors: [{ field: 'candidate.external_id' }],
    });
    for (const secret of ['Ada Secret', 'ext-A', first.json.interview_context.candidate.id])
      expect(second.text).not.toContain(secret);
  });

  test('an inline candidate that matches one person updates the name in the session and in the candidate', async () => {
    const { json } = await start({ ...stored, name: 'Ada Lovelace' });
    expect(json.interview_context.candidate).toMatchObject({ ...stored, name: 'Ada Lovelace' });
    const found = await world.send('/api/candidates?search=ext-A', { as: apiKey });
    expect(found.json.data.map(({ name }: { name: string }) => name)).toEqual(['Ada Lovelace']);
  });

  test('a session keeps the candidate as of its creation: no later session or change rewrites it', async () => {
    const of = { email: 'grace@x.example', external_id: 'ext-G' };
    const first = await start({ ...of, name: 'Grace Murray' });
    await start({ ...of, name: 'Grace Hopper' });
    const { id } = first.json.interview_context.candidate;
    await world.send(`/api/candidates/${id}`, { method: 'PATCH', as: apiKey, body: { email: 'new@x.example' } });
    const { json } = await world.send(`/api/sessions/${first.json.session_id}`, { as: apiKey });
    expect(json.interview_context.candidate).toEqual({ id, ...of, name: 'Grace Murray' });
  });
});

test('a candidate is found in every Unicode form of the accents in the name', async () => {
  await post('/api/candidates', { name: 'Jose\u0301 Nu\u0301n\u0303ez' });
  const found = await world.send(`/api/candidates?search=${encodeURIComponent('jos\u00e9 n\u00fa\u00f1ez')}`, {
    as: apiKey,
  });
  expect(found.json.data).toHaveLength(1);
});

test('a conflict of two fields of a candidate names both fields', async () => {
  await post('/api/candidates', { name: 'A', email: 'taken@x.example' });
  await post('/api/candidates', { name: 'B', external_id: 'taken' });
  const { status, json } = await post('/api/candidates', { name: 'C', email: 'TAKEN@x.example', external_id: 'taken' });
  expect([status, json.errors.map(({ field }: { field: string }) => field)]).toEqual([409, ['email', 'external_id']]);
});

test('changing a consent text under the same version is 409, and the candidate still sees the stored text', async () => {
  const consent = (text: string, text_version = 'v1') =>
    world.send(`/api/tenants/${tenantId}`, {
      method: 'PATCH',
      as: apiKey,
      body: { consent: { required: true, text_version, text } },
    });
  expect((await consent('We keep it for 7 days.')).status).toBe(200);
  const session = await start({ name: 'Grace' });
  const [id, code] = [session.json.session_id, String(session.json.join_url).split('#')[1] ?? ''];
  const shown = async () =>
    (
      await fetch(`${world.url}/api/join/consent?session_id=${id}`, { headers: { 'greenroom-invitation': code } })
    ).json() as Promise<{ text: string }>;
  const rewritten = await consent('We keep it for ever and sell it.');
  expect([rewritten.status, rewritten.json.errors[0].field]).toEqual([409, 'consent.text']);
  expect((await shown()).text).toBe('We keep it for 7 days.');
  expect((await consent('We keep it for ever.', 'v2')).status).toBe(200);
  expect((await shown()).text).toBe('We keep it for 7 days.');
});

test.each([
  ['a name', '/api/candidates', { name: 'A\ud83d' }],
  ['a title', '/api/positions', { title: 'A\udc00' }],
  ['a description', '/api/positions', { title: 'A', description: '\ud83d' }],
  ['a value of the metadata', '/api/sessions', { metadata: { a: '\ud83d' } }],
  ['a key of the metadata', '/api/sessions', { metadata: { '\ud83d': 'a' } }],
  ['a question', '/api/sessions', { settings: { questions: ['\ud83d'] } }],
])('half a surrogate pair in %s is refused with 422 instead of a database error', async (_what, at, part) => {
  const whole = at === '/api/sessions' ? { candidate: { name: 'N' }, position: { title: 'T' }, ...part } : part;
  expect((await post(at, whole)).status).toBe(422);
});
