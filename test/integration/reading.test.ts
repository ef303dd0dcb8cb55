import { meView, requestList } from '@greenroom/shared/protocol/account.ts';
import { sessionList, shownSession } from '@greenroom/shared/protocol/session-reads.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mostHeld } from '../../orchestrator/src/access/held.ts';
import { type ApiWorld, type Got, type Sent, startApiWorld } from '../support/api-world.ts';

/** What a platform reads through the API: sessions by filters, its own account, the audit log, and what has changed. */
let world: ApiWorld;
let admin: string;
let reader: string;
let tenantId: string;
const ids: Record<string, string> = {};

const send = (at: string, options: Sent = {}): Promise<Got> => world.send(at, { as: admin, ...options });
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

beforeAll(async () => {
  world = await startApiWorld();
  const tenant = await world.tenant('acme');
  tenantId = tenant.id;
  admin = await world.key(tenantId, [
    ...['sessions:read', 'sessions:write', 'people:read', 'people:write', 'webhooks:read', 'webhooks:write'],
    ...['tenant:read', 'tenant:admin'],
  ]);
  reader = await world.key(tenantId, ['sessions:read']);
  const candidate = { name: 'Ada', external_id: 'crm-1' };
  const make = async (name: string, body: object) => {
    const made = await send('/api/sessions', { method: 'POST', body: { position: { title: 'Engineer' }, ...body } });
    expect(made.status, made.text).toBe(201);
    ids[name] = made.json.session_id;
  };
  await make('first', { candidate, region: 'fra', metadata: { order: '1', shop: 'a' } });
  await make('second', { candidate, region: 'iad', metadata: { order: '2', shop: 'a' } });
  await make('later', { candidate: { name: 'Alan' }, region: 'fra', scheduled_at: inDays(3) });
  await make('soon', { candidate: { name: 'Grace' }, region: 'fra', scheduled_at: inDays(1) });
});
afterAll(() => world.stop());

const nameOf = (id: string) => Object.keys(ids).find((name) => ids[name] === id);
const found = async (query: string, as = admin) => {
  const answer = await send(`/api/sessions?${query}`, { as });
  expect(answer.status, answer.text).toBe(200);
  return sessionList.parse(answer.json).data.map(({ session_id }) => nameOf(session_id));
};

describe('the list of sessions', () => {
  test.each([
    ['nothing', '', ['soon', 'later', 'second', 'first']],
    ['a status', 'status=scheduled', ['soon', 'later']],
    ['a status that no session has', 'status=completed&status=expired', []],
    ['regions, and the oldest first', 'region=iad&region=ams&order=created_at', ['second']],
    ['metadata', 'metadata[order]=2', ['second']],
    ['several metadata', 'metadata[order]=1&metadata[shop]=a', ['first']],
    ['metadata that no session has', 'metadata[order]=1&metadata[shop]=b', []],
    ['the external id of the candidate', 'candidate_external_id=crm-1', ['second', 'first']],
    ['an unknown external id', 'candidate_external_id=crm-2', []],
    ['the order of the start', 'order=scheduled_at', ['soon', 'later']],
    ['the latest start first', 'order=-scheduled_at', ['later', 'soon']],
  ])('by %s', async (_name, query, expected) => {
    expect(await found(query)).toEqual(expected);
  });

  test('by ranges of time, of which the start is included and the end is not', async () => {
    const at = async (name: string) => (await send(`/api/sessions/${ids[name]}`)).json;
    const [soon, second] = [await at('soon'), await at('second')];
    const q = encodeURIComponent;
    expect(await found(`scheduled_from=${q(soon.scheduled_at)}&scheduled_until=${q(inDays(2))}`)).toEqual(['soon']);
    expect(await found(`scheduled_until=${q(soon.scheduled_at)}`)).toEqual([]);
    expect(await found(`created_from=${q(second.created_at)}&order=created_at`)).toEqual(['second', 'later', 'soon']);
    expect(await found(`created_until=${q(second.created_at)}`)).toEqual(['first']);
  });

  test('by candidate and position', async () => {
    const { interview_context } = (await send(`/api/sessions/${ids.first}`)).json;
    expect(await found(`candidate_id=${interview_context.candidate.id}`)).toEqual(['second', 'first']);
    expect(await found(`position_id=${interview_context.position.id}`)).toEqual(['first']);
  });

  test.each(['created_at', '-created_at', 'scheduled_at', '-scheduled_at'])(
    'pages in the order %s contain each session once',
    async (order) => {
      const whole = await found(`order=${order}`);
      const paged: Array<string | undefined> = [];
      for (let query = `order=${order}&limit=1`; query !== ''; ) {
        const { data, has_more, next_cursor } = (await send(`/api/sessions?${query}`)).json;
        paged.push(...data.map((one: { session_id: string }) => nameOf(one.session_id)));
        query = has_more ? `order=${order}&limit=1&cursor=${next_cursor}` : '';
      }
      expect(paged).toEqual(whole);
    },
  );

  test('a cursor of other filters, and a filter that does not exist, are refused', async () => {
    const { next_cursor } = (await send('/api/sessions?limit=1')).json;
    const other = await send(`/api/sessions?limit=1&status=scheduled&cursor=${next_cursor}`);
    expect([other.status, other.json.code, other.json.errors[0].field]).toEqual([400, 'invalid_cursor', 'cursor']);
    for (const query of ['status=soon', 'metadata=x', 'order=name', 'candidate_id=x', 'created_from=x', 'name=Ada'])
      expect([query, (await send(`/api/sessions?${query}`)).status]).toEqual([query, 422]);
  });
});

describe('expand', () => {
  test('includes result, candidate and position, in one session and in a list', async () => {
    await world.db.query(
      "insert into public.interview_results (session_id, tenant_id, status, summary) values ($1, $2, 'done', 'Good')",
      [ids.first, tenantId],
    );
    const one = shownSession.parse((await send(`/api/sessions/${ids.first}?expand=result&expand=candidate`)).json);
    expect(one).toMatchObject({ result: { summary: 'Good' }, candidate: { name: 'Ada', external_id: 'crm-1' } });
    expect(one).not.toHaveProperty('position');
    const [second, first] = sessionList.parse(
      (await send('/api/sessions?candidate_external_id=crm-1&expand=result&expand=position')).json,
    ).data;
    expect([second?.result, first?.result?.summary, first?.position?.title]).toEqual([null, 'Good', 'Engineer']);
    expect((await send(`/api/sessions/${ids.first}`)).json).not.toHaveProperty('result');
  });

  test('needs the scope of what it includes', async () => {
    expect((await send(`/api/sessions/${ids.first}?expand=result`, { as: reader })).status).toBe(200);
    expect((await send(`/api/sessions/${ids.first}?expand=candidate`, { as: reader })).status).toBe(403);
    expect((await send('/api/sessions?expand=position', { as: reader })).status).toBe(403);
  });
});

test('GET /api/me shows tenant, scopes, mode and limits to every key', async () => {
  const me = meView.parse((await send('/api/me', { as: reader })).json);
  expect(me).toMatchObject({
    ...{ tenant: { id: tenantId, slug: 'acme' }, scopes: ['sessions:read'], mode: 'live' },
    limits: {
      max_live_sessions: 100,
      live_sessions: expect.any(Number),
      requests_per_minute: { caller: expect.any(Number) },
    },
  });
  const none = await world.key(tenantId, []);
  expect((await send('/api/me', { as: none })).status).toBe(200);
  expect((await send('/api/me', { as: undefined })).status).toBe(401);
});

test('the audit log is listed in pages, by filters, for admins of the tenant only', async () => {
  for (const name of ['one', 'two', 'three'])
    await send(`/api/tenants/${tenantId}/api-keys`, { method: 'POST', body: { name } });
  const at = `/api/tenants/${tenantId}/audit-log`;
  const first = (await send(`${at}?action=api_key.create&limit=2`)).json;
  expect(first).toMatchObject({ has_more: true, data: [{ action: 'api_key.create', outcome: 'done' }, {}] });
  const next = (await send(`${at}?action=api_key.create&limit=2&cursor=${first.next_cursor}`)).json;
  expect([next.data.length, next.has_more]).toEqual([1, false]);
  expect((await send(`${at}?from=${encodeURIComponent(inDays(1))}`)).json.data).toEqual([]);
  expect((await send(at, { as: reader })).status).toBe(403);
  const other = await world.tenant('globex');
  expect((await send(at, { as: other.apiKey })).status).toBe(404);
});

describe('the request log', () => {
  const list = async (query: string, as = admin) => {
    await world.deps.requestLog.flush();
    const answer = await send(`/api/requests?${query}`, { as });
    expect(answer.status, answer.text).toBe(200);
    return requestList.parse(answer.json);
  };

  test('a request is found by its id, with what was answered and nothing of what was sent', async () => {
    const body = { candidate: { name: 'Ludwig' }, position: { title: '' }, metadata: { order: 'private' } };
    const { status, headers } = await send('/api/sessions', { method: 'POST', body });
    expect(status).toBe(422);
    const id = headers.get('x-request-id') ?? '';
    const found = await list(`request_id=${id}`);
    expect(found.data).toEqual([
      {
        ...{ id: expect.any(Number), request_id: id, actor: expect.stringMatching(/^key:/), method: 'POST' },
        ...{ path: '/api/sessions', status: 422, code: 'validation_failed', took_ms: expect.any(Number) },
        created_at: expect.any(String),
      },
    ]);
    const { rows } = await world.db.query('select r::text as line from public.api_requests r where request_id = $1', [
      id,
    ]);
    expect(rows[0].line).not.toMatch(/Ludwig|private/);
  });

  test('a path is its template, and filters select', async () => {
    await send(`/api/sessions/${ids.first}`);
    await send(`/api/sessions/${ids.first}`, { method: 'PATCH', body: { scheduled_at: inDays(-1) } });
    const of = encodeURIComponent('/api/sessions/{id}');
    expect((await list(`path=${of}&method=GET&status=200`)).data.length).toBeGreaterThan(0);
    const refused = (await list(`path=${of}&status=4xx`)).data;
    expect(refused.length).toBeGreaterThan(0);
    for (const { path, status, code } of refused)
      expect([path, Math.floor(status / 100), code]).toEqual(['/api/sessions/{id}', 4, expect.any(String)]);
    expect((await list(`from=${encodeURIComponent(inDays(1))}`)).data).toEqual([]);
    expect((await send('/api/requests?status=6xx')).status).toBe(422);
  });

  test('pages follow each other, newest first', async () => {
    for (let n = 0; n < 5; n += 1) await send('/api/me');
    const path = 'path=%2Fapi%2Fme&limit=2';
    const first = await list(path);
    const second = await list(`${path}&cursor=${first.next_cursor}`);
    const of = [...first.data, ...second.data].map(({ id }) => id);
    expect(of).toEqual(of.toSorted((a, b) => b - a));
    expect(new Set(of).size).toBe(4);
  });

  test('a refused scope is in it; another tenant and a key without tenant:read see nothing', async () => {
    const refused = await send('/api/requests', { as: reader });
    expect(refused.status).toBe(403);
    const id = refused.headers.get('x-request-id');
    expect((await list(`request_id=${id}`)).data).toMatchObject([{ status: 403, code: 'forbidden' }]);
    const other = await world.tenant('initech');
    expect((await list(`request_id=${id}`, other.apiKey)).data).toEqual([]);
    const wrongTenant = await send(`/api/tenants/${tenantId}`, { as: other.apiKey });
    expect(wrongTenant.status).toBe(404);
    const theirs = await list(`request_id=${wrongTenant.headers.get('x-request-id')}`, other.apiKey);
    expect(theirs.data).toMatchObject([{ path: '/api/tenants/{id}', status: 404 }]);
  });
});

describe('conditional requests', () => {
  test('a session that has not changed is 304, although each answer has a new join token', async () => {
    const { headers } = await send(`/api/sessions/${ids.later}`);
    const again = await send(`/api/sessions/${ids.later}`, { headers: { 'if-none-match': headers.get('etag') ?? '' } });
    expect([again.status, again.text]).toEqual([304, '']);
  });

  test('of many concurrent changes with one tag exactly one is made', async () => {
    const { json, headers } = await send('/api/positions', { method: 'POST', body: { title: 'Engineer' } });
    const read = await send(`/api/positions/${json.id}`);
    expect(headers.get('etag')).toBeNull();
    const tag = read.headers.get('etag') ?? '';
    const changes = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        send(`/api/positions/${json.id}`, { method: 'PATCH', headers: { 'if-match': tag }, body: { title: `T${n}` } }),
      ),
    );
    expect(changes.map(({ status }) => status).toSorted()).toEqual([200, ...Array(7).fill(412)]);
    const made = changes.find(({ status }) => status === 200);
    expect((await send(`/api/positions/${json.id}`)).headers.get('etag')).toBe(made?.headers.get('etag'));
  });

  test.each([
    ['a session', () => `/api/sessions/${ids.later}`, { scheduled_at: inDays(4) }],
    ['a result', () => `/api/sessions/${ids.first}/result`, { human_reviewed: true }],
    ['a tenant', () => `/api/tenants/${tenantId}`, { name: 'Acme 2' }],
  ])('%s is changed with its own tag, and not with an old one', async (_name, at, body) => {
    const tag = (await send(at())).headers.get('etag') ?? '';
    const change = (match: string) => send(at(), { method: 'PATCH', headers: { 'if-match': match }, body });
    expect((await change('"old"')).json.code).toBe('precondition_failed');
    expect((await change(tag)).status).toBe(200);
    expect((await change(tag)).status).toBe(412);
  });
});

test('Prefer: wait holds a read until the session has ended, and a read of a tenant that waits hinders no other', async () => {
  const held = Array.from({ length: 6 }, () => send(`/api/sessions/${ids.soon}`, { headers: { prefer: 'wait=30' } }));
  expect((await send('/api/me')).status).toBe(200);
  expect((await send(`/api/sessions/${ids.soon}`, { method: 'DELETE' })).status).toBe(200);
  for (const one of await Promise.all(held)) {
    expect([one.status, one.json.status]).toEqual([200, 'cancelled']);
    expect(one.headers.get('preference-applied')).toBe('wait=30');
  }
  const absent = await send(`/api/sessions/${crypto.randomUUID()}`, { headers: { prefer: 'wait=30' } });
  expect(absent.status).toBe(404);
});

test('reads that wait are freed when their clients leave, and a key that was revoked meanwhile reads nothing', async () => {
  const created = await send('/api/sessions', {
    ...{ method: 'POST', body: { candidate: { name: 'Ada' }, position: { title: 'Cook' }, placement: 'on_join' } },
  });
  const at = `/api/sessions/${created.json.session_id}`;
  const wait = (as: string, signal?: AbortSignal) =>
    fetch(`${world.url}${at}`, {
      headers: { authorization: `Bearer ${as}`, prefer: 'wait=60' },
      ...(signal ? { signal } : {}),
    });
  const leaving = new AbortController();
  const left = Array.from({ length: mostHeld }, () => wait(admin, leaving.signal).catch(() => undefined));
  await expect.poll(() => world.deps.readiness.waiting).toBe(mostHeld);
  expect((await wait(admin)).status).toBe(429);
  leaving.abort();
  await Promise.all(left);
  await expect.poll(() => world.deps.readiness.waiting).toBe(0);
  const made = await send(`/api/tenants/${tenantId}/api-keys`, {
    ...{ method: 'POST', body: { name: 'short', scopes: ['sessions:read'] } },
  });
  const held = wait(made.json.key);
  await expect.poll(() => world.deps.readiness.waiting).toBe(1);
  await send(`/api/tenants/${tenantId}/api-keys/${made.json.id}`, { method: 'DELETE' });
  await send(at, { method: 'DELETE' });
  const answer = await held;
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([401, 'unauthenticated']);
});

test('a new key is pinned to the newest version of the API, and keeps it when it is rotated', async () => {
  const made = await send(`/api/tenants/${tenantId}/api-keys`, { method: 'POST', body: { name: 'pinned' } });
  const { api_version } = (await send('/api/me')).json;
  expect(made.json.api_version).toBe(api_version);
  await world.db.query("update public.api_keys set api_version = '2020-01-01' where id = $1", [made.json.id]);
  const at = `/api/tenants/${tenantId}/api-keys/${made.json.id}/rotate`;
  const kept = await send(at, { method: 'POST' });
  expect(kept.json.api_version).toBe('2020-01-01');
  expect((await send('/api/sessions', { as: kept.json.key })).json.code).toBe('unsupported_version');
  const moved = await send(`/api/tenants/${tenantId}/api-keys/${kept.json.id}/rotate`, {
    ...{ method: 'POST', body: { api_version: 'newest' } },
  });
  expect((await send('/api/sessions', { as: moved.json.key })).status).toBe(200);
});
