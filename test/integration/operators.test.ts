import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildOpsApp } from '../../orchestrator/src/ops-app.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, hashOf, startApiWorld } from '../support/api-world.ts';

/** The operators' API on its own listener: lists, documents, roles and acts. */
let world: ApiWorld;
let tenant: SeededTenant;
let url: string;
let close: () => void;
const tokens = Object.fromEntries(
  ['viewer', 'operator', 'admin'].map((role) => [role, `gr_op_${randomBytes(32).toString('hex')}`]),
) as Record<'viewer' | 'operator' | 'admin', string>;

beforeAll(async () => {
  world = await startApiWorld({
    OPERATOR_TOKENS: Object.entries(tokens)
      .map(([role, token]) => `${role}-kim:${role}:${hashOf(token)}`)
      .join(','),
  });
  tenant = await world.tenant('acme');
  const app = await buildOpsApp(world.deps);
  const server = createServer(app.routing);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ops/api`;
  close = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterAll(async () => {
  close?.();
  await world?.stop();
});

interface Asked {
  as?: keyof typeof tokens | undefined;
  method?: string;
  body?: object;
  headers?: Record<string, string>;
}
async function ask(at: string, { as = 'viewer', method = 'GET', body, headers = {} }: Asked = {}) {
  const answer = await fetch(`${url}${at}`, {
    method,
    headers: {
      ...(headers.cookie === undefined ? { authorization: `Bearer ${tokens[as]}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of any answer
  return { status: answer.status, headers: answer.headers, json: (text === '' ? undefined : JSON.parse(text)) as any };
}

const newSession = async (): Promise<string> => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Cook' }, region: 'fra' };
  const made = await world.send('/api/sessions', { method: 'POST', as: tenant.apiKey, body });
  expect(made.status).toBe(201);
  return made.json.session_id;
};
const why = 'a test of acts';

describe('what operators read', () => {
  test('every list and document answers, and none contains a name', async () => {
    const id = await newSession();
    const { json: session } = await ask(`/sessions/${id}`);
    expect(session).toMatchObject({ session_id: id, tenant: 'acme', why: { verdict: 'under_way' } });
    const machine = session.machines[0].machine_id;
    const paths = [
      ...['/me', '/overview', '/regions', '/brake', '/pools', '/costs', '/forecast', `/find?q=${id.slice(0, 8)}`],
      ...['/sessions?live=true&sort=created', '/machines?alive=true', '/events', '/audit', '/tenants', '/work'],
      ...[`/deliveries?tenant=${tenant.id}`, `/sessions/${id}/why`, `/machines/${machine}`, `/tenants/${tenant.id}`],
    ];
    for (const path of paths) {
      const { status, json } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(JSON.stringify(json)).not.toContain('Lovelace');
    }
    expect((await ask(`/find?q=${id}`)).json.data).toMatchObject([{ kind: 'session', id }]);
    expect((await ask('/me')).json).toMatchObject({ name: 'viewer-kim', role: 'viewer' });
  });

  test('pages follow each other, and a changed cursor or filter is refused', async () => {
    const ids = [await newSession(), await newSession(), await newSession()];
    const seen: string[] = [];
    let cursor = '';
    do {
      const { json } = await ask(`/sessions?tenant=${tenant.id}&limit=2${cursor}`);
      seen.push(...json.data.map((row: { session_id: string }) => row.session_id));
      cursor = json.next_cursor === null ? '' : `&cursor=${json.next_cursor}`;
    } while (cursor !== '');
    expect(seen.slice(0, 3)).toEqual(ids.toReversed());
    expect(new Set(seen).size).toBe(seen.length);
    const { json } = await ask('/sessions?limit=1');
    for (const bad of [`x${json.next_cursor}`, 'a.b', `${json.next_cursor}&live=true`]) {
      const refused = await ask(`/sessions?limit=1&cursor=${bad}`);
      expect([bad, refused.status, refused.json.code]).toEqual([bad, 400, 'invalid_cursor']);
    }
  });

  const lists = ['sessions?', 'machines?', 'events?', 'audit?', 'tenants?', 'work?', 'deliveries?session='];

  test.each(lists)('a cursor of /%s that was made up, cut or taken from another list is refused', async (list) => {
    const id = await newSession();
    const { json } = await ask(list === 'events?' ? '/sessions?limit=1' : '/events?limit=1');
    const foreign = String(json.next_cursor);
    expect(foreign.length).toBeGreaterThan(20);
    const path = list.endsWith('=') ? `/${list}${id}` : `/${list}limit=1`;
    for (const bad of ['AAAA', '%00', '', foreign, foreign.slice(0, -2), `${foreign}x`, 'a'.repeat(3_000)]) {
      const refused = await ask(`${path}&cursor=${bad}`);
      expect([bad, refused.status, refused.json.code]).toEqual([bad, 400, 'invalid_cursor']);
    }
  });

  test.each([
    ['/sessions?colour=red', 422, 'colour'],
    ['/sessions?status=asleep', 422, 'status.0'],
    ['/sessions?limit=0', 422, 'limit'],
    ['/sessions?tenant=x', 422, 'tenant'],
    ['/deliveries', 422, 'tenant'],
    ['/costs?days=0', 422, 'days'],
    ['/find', 422, 'q'],
    ['/find?q=%00', 422, 'q'],
    ['/pools?tenant=x', 422, 'tenant'],
    ['/forecast?minutes=1e9', 422, 'minutes'],
    ['/machines?alive=maybe', 422, 'alive'],
    ['/events?session=x', 422, 'session'],
    ['/events?type=%00', 422, 'type'],
    ['/audit?outcome=perhaps', 422, 'outcome'],
    ['/audit?target=%00', 422, 'target'],
    ['/work?kind=nonsense', 422, 'kind'],
    ['/sessions?from=yesterday', 422, 'from'],
    ['/sessions?slow_ms=1e99', 422, 'slow_ms'],
    ['/sessions?limit=1&limit=2', 422, 'limit'],
  ])('%s is answered with %i, which names %s', async (path, status, field) => {
    const answer = await ask(path);
    expect(answer.status).toBe(status);
    expect(answer.json.errors[0].field).toContain(field);
  });

  test.each(['sessions', 'machines', 'tenants', 'deliveries'])(
    'an unknown or malformed id of %s is not found',
    async (name) => {
      for (const id of [randomUUID(), 'x', "'%20or%201=1", '%00'])
        expect([id, (await ask(`/${name}/${id}`)).status]).toEqual([id, 404]);
    },
  );

  test('an admin reads a transcript, which is audited; an operator does not', async () => {
    const id = await newSession();
    expect((await ask(`/sessions/${id}/transcript`, { as: 'operator' })).status).toBe(403);
    expect((await ask(`/sessions/${id}/transcript`, { as: 'admin' })).status).toBe(200);
    const { json } = await ask(`/audit?target=${id}`);
    expect(json.data).toMatchObject([{ action: 'transcript.read', actor: 'operator:admin-kim' }]);
  });
});

describe('acts', () => {
  const end = (id: string, asked: Asked = {}, query = '') =>
    ask(`/sessions/${id}/end${query}`, { as: 'operator', method: 'POST', body: { why }, ...asked });

  test('a dry run changes nothing, the act does, and the second operator learns that it is done', async () => {
    const id = await newSession();
    const dry = await end(id, {}, '?dry_run=true');
    expect(dry.json).toMatchObject({ dry_run: true, done: false, affected: { sessions: 1, candidates_live: 0 } });
    expect((await ask(`/sessions/${id}`)).json.reason).toBeNull();
    const [one, two] = await Promise.all([end(id), end(id)]);
    expect([one.status, two.status].toSorted()).toEqual([200, 409]);
    expect([one, two].find(({ status }) => status === 409)?.json).toMatchObject({ code: 'conflict', already: true });
    expect((await ask(`/sessions/${id}`)).json.reason).toBe('operator_stopped');
    expect((await ask(`/audit?target=${id}`)).json.data).toMatchObject([
      { action: 'session.end', actor: 'operator:operator-kim', details: { why, before: { status: 'provisioning' } } },
    ]);
  });

  test('an act on what has ended says when it ended, as a dry run too, and is not audited', async () => {
    const id = await newSession();
    const machine = (await ask(`/sessions/${id}`)).json.machines[0].machine_id;
    await world.send(`/api/sessions/${id}`, { method: 'DELETE', as: tenant.apiKey });
    for (const query of ['', '?dry_run=true'])
      expect(await end(id, {}, query)).toMatchObject({
        status: 409,
        json: { code: 'conflict', already: true, detail: expect.stringMatching(/^Already ended at [\d:]+ UTC\. /) },
      });
    for (const body of [{ why }, { why, replace: true }]) {
      const stop = await ask(`/machines/${machine}/stop`, { as: 'operator', method: 'POST', body });
      expect([body, stop.status]).toEqual([body, 409]);
    }
    const { json } = await ask(`/audit?target=${id}`);
    expect(json.data.filter(({ actor }: { actor: string }) => actor.startsWith('operator:'))).toEqual([]);
  });

  test('two operators who change one thing at once: one does it, the other learns that it is done', async () => {
    const id = await newSession();
    const machine = (await ask(`/sessions/${id}`)).json.machines[0].machine_id;
    const acts: Array<[method: string, path: string, body: object]> = [
      ['PUT', '/regions/syd', { state: 'drained' }],
      ['PUT', '/regions/syd', { state: 'open' }],
      ['PUT', `/pools/${tenant.id}/ams`, { ceiling: 1 }],
      ['POST', `/machines/${machine}/stop`, {}],
    ];
    await world.db.query('update public.tenants set max_standby = 50 where id = $1', [tenant.id]);
    for (const [method, path, body] of acts) {
      const act = (as: keyof typeof tokens) => ask(path, { as, method, body: { why, ...body } });
      const answers = await Promise.all([act('operator'), act('admin'), act('operator')]);
      expect([path, answers.map(({ status }) => status).toSorted()]).toEqual([path, [200, 409, 409]]);
      for (const { status, json } of answers) if (status === 409) expect([path, json.already]).toEqual([path, true]);
    }
    await world.db.query('delete from public.pool_policies where tenant_id = $1', [tenant.id]);
  });

  test('two operators who set different numbers of one pool at once both succeed, also if it is new', async () => {
    await world.db.query('update public.tenants set max_standby = 50 where id = $1', [tenant.id]);
    const put = (body: object) =>
      ask(`/pools/${tenant.id}/cdg`, { as: 'operator', method: 'PUT', body: { why, ...body } });
    for (const ceiling of [5, 6]) {
      const bodies = [{ ceiling }, { hot_ceiling: ceiling }, { hot_floor: 0, floor: 0, hot_ceiling: ceiling }];
      const answers = await Promise.all(bodies.map(put));
      expect(answers.filter(({ status, json }) => status !== 200 && json.already !== true)).toEqual([]);
      const { json } = await ask(`/pools?tenant=${tenant.id}&region=cdg`);
      expect(json.data).toMatchObject([{ floor: 0, ceiling, hot: { floor: 0, ceiling } }]);
    }
    await world.db.query('delete from public.pool_policies where tenant_id = $1', [tenant.id]);
  });

  test('an act on an unknown or malformed id is 404, and one with a malformed body is refused in words, never with 500', async () => {
    const [id, unknown] = [await newSession(), randomUUID()];
    const acts: Array<[method: string, path: string]> = [
      ['POST', '/sessions/{}/end'],
      ['POST', '/machines/{}/stop'],
      ['PUT', '/pools/{}/fra'],
      ['POST', '/deliveries/{}/replay'],
    ];
    const bodyOf = (path: string) => (path.startsWith('/pools') ? { why, floor: 0 } : { why });
    for (const [method, path] of acts)
      for (const bad of [unknown, 'x', '%00', "'%20or%201=1", '..%2f..'])
        for (const query of ['', '?dry_run=true']) {
          const at = `${path.replace('{}', bad)}${query}`;
          const { status, json } = await ask(at, { as: 'admin', method, body: bodyOf(path) });
          expect([at, status, typeof json.detail]).toEqual([at, 404, 'string']);
        }
    const malformed = ['{', '[]', 'null', '"x"', '{"why":5}', '{"why":"ab"}', '{"why":"a\\u0000bc"}'];
    for (const [method, path] of [...acts, ['PUT', '/regions/fra'], ['POST', '/retries'], ['POST', '/brake/release']])
      for (const body of [...malformed, `{"why":"${'x'.repeat(300)}"}`, '{"why":"a test","more":{"deep":[1]}}']) {
        const answer = await fetch(`${url}${String(path).replace('{}', id)}`, {
          ...{ method: method as string, body },
          headers: { authorization: `Bearer ${tokens.admin}`, 'content-type': 'application/json' },
        });
        const seen = [path, body, answer.status];
        expect([400, 422], JSON.stringify(seen)).toContain(answer.status);
        expect(((await answer.json()) as { title: string }).title.length).toBeGreaterThan(0);
      }
    expect((await ask(`/pools/${tenant.id}/xyz`, { as: 'admin', method: 'PUT', body: { why, floor: 0 } })).status).toBe(
      404,
    );
  });

  test('an act is found by the id of its request', async () => {
    const request = (await end(await newSession())).headers.get('x-request-id');
    expect((await ask(`/find?q=${request}`)).json.data).toMatchObject([{ kind: 'audit', label: 'session.end' }]);
    const { json } = await ask(`/audit?request=${request}`);
    expect(json).toMatchObject({ data: [{ action: 'session.end', request_id: request }], has_more: false });
  });

  test('an act is refused to a viewer, without a reason, with an unknown field and for an unknown id', async () => {
    const id = await newSession();
    expect((await end(id, { as: 'viewer' })).json).toMatchObject({ code: 'forbidden', status: 403 });
    expect((await end(id, { body: {} })).json.errors[0].field).toBe('why');
    expect((await end(id, { body: { why, more: 1 } })).json.errors[0].field).toBe('more');
    expect((await end(randomUUID())).status).toBe(404);
    expect((await end('x')).status).toBe(404);
    const refused = async () => (await ask('/audit?outcome=refused')).json.data;
    await expect.poll(refused).toContainEqual(expect.objectContaining({ actor: 'operator:viewer-kim' }));
  });

  test('a region is drained and opened, and a session goes elsewhere meanwhile', async () => {
    const put = (body: object) => ask('/regions/fra', { as: 'operator', method: 'PUT', body: { why, ...body } });
    expect((await put({ state: 'open' })).json).toMatchObject({ already: true });
    expect((await put({ state: 'drained', until: '2020-01-01T00:00:00Z' })).json.errors[0].field).toBe('until');
    expect((await put({ state: 'drained' })).json).toMatchObject({ done: true });
    expect((await put({ state: 'drained' })).status).toBe(409);
    const id = await newSession();
    expect((await ask(`/sessions/${id}`)).json.region).not.toBe('fra');
    expect((await ask('/overview')).json.attention).toContainEqual(expect.objectContaining({ code: 'drained' }));
    expect((await put({ state: 'open' })).json).toMatchObject({ done: true });
    expect((await ask(`/sessions/${await newSession()}`)).json.region).toBe('fra');
    expect((await ask('/regions/xyz', { as: 'operator', method: 'PUT', body: { why, state: 'open' } })).status).toBe(
      404,
    );
  });

  test('a pool is set with its price, and a limit is explained', async () => {
    await world.db.query('update public.tenants set max_standby = 3 where id = $1', [tenant.id]);
    const put = (body: object, query = '') =>
      ask(`/pools/${tenant.id}/iad${query}`, { as: 'operator', method: 'PUT', body: { why, ...body } });
    // The dry run refuses what the act would refuse.
    expect(await put({ floor: 2, ceiling: 4 }, '?dry_run=true')).toMatchObject({
      status: 409,
      json: { detail: expect.stringContaining('max_standby allows 3 more') },
    });
    expect((await put({ floor: 2, ceiling: 3 })).json).toMatchObject({ done: true, usd_per_day: expect.any(Number) });
    expect((await put({ floor: 2, ceiling: 3 })).json).toMatchObject({ already: true });
    expect((await put({ floor: 2, ceiling: 9 })).json.detail).toContain('max_standby');
    expect((await put({ floor: 4, ceiling: 3 })).json.errors[0].field).toBe('floor');
    expect((await put({ floor: 4 })).json.errors[0].field).toBe('floor');
    expect((await put({})).json.errors[0].field).toBe('floor');
    expect((await put({ floor: 1 })).json).toMatchObject({ done: true });
    expect((await ask(`/pools?tenant=${tenant.id}`)).json.data).toMatchObject([
      { region: 'iad', floor: 1, ceiling: 3 },
    ]);
    expect((await put({ floor: 2 })).json).toMatchObject({ done: true });
    expect((await ask(`/pools?tenant=${tenant.id}`)).json.data).toMatchObject([{ region: 'iad', floor: 2 }]);
  });

  test('an act on unknown work, deliveries or holds is 404, and stopping a machine twice is 409', async () => {
    const id = await newSession();
    const post = (at: string, body: object, as: keyof typeof tokens = 'admin') =>
      ask(at, { as, method: 'POST', body: { why, ...body } });
    expect((await post('/retries', { kind: 'result', id })).status).toBe(404);
    expect((await post('/retries', { kind: 'hang_up', id: 'x' })).status).toBe(404);
    expect((await post(`/deliveries/${randomUUID()}/replay`, {})).status).toBe(404);
    expect((await post('/brake/release', { hold_id: randomUUID() })).status).toBe(404);
    expect((await post('/brake/release', { hold_id: randomUUID() }, 'operator')).status).toBe(403);
    const machine = (await ask(`/sessions/${id}`)).json.machines[0].machine_id;
    expect((await post(`/machines/${machine}/stop`, { replace: true })).status).toBe(409);
    expect((await post(`/machines/${machine}/stop`, {})).json).toMatchObject({ done: true });
    expect((await ask(`/sessions/${id}`)).json.reason).toBe('operator_stopped');
    expect((await post(`/machines/${machine}/stop`, {})).status).toBe(409);
  });
});

interface Message {
  name: string;
  id: number | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of any message
  data: any;
}
const messageOf = (text: string): Message => {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1];
  const id = field('id');
  return {
    name: field('event') ?? '',
    id: id === undefined ? undefined : Number(id),
    data: JSON.parse(field('data') ?? 'null'),
  };
};

/** An open stream; `got` grows. */
async function listen(query: string, headers: Record<string, string> = {}, token = tokens.viewer) {
  const control = new AbortController();
  const answer = await fetch(`${url}/stream${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: control.signal,
  });
  const got: Message[] = [];
  const read = async () => {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
      const parts = (text + decoder.decode(chunk, { stream: true })).split('\n\n');
      text = parts.pop() ?? '';
      got.push(...parts.map(messageOf).filter(({ name }) => name !== ''));
    }
  };
  const ended = answer.ok ? read().catch(() => undefined) : Promise.resolve();
  const close = async () => {
    control.abort();
    await ended;
  };
  return { status: answer.status, got, ended, close, of: (name: string) => got.filter((one) => one.name === name) };
}

describe('the stream', () => {
  test('a stream begins with hello and the overview; a new session arrives as events and as a row', async () => {
    const stream = await listen('');
    await expect.poll(() => stream.of('overview').length).toBeGreaterThan(0);
    expect(stream.got[0]).toMatchObject({ name: 'hello', data: { role: 'viewer' } });
    const id = await newSession();
    await expect
      .poll(() => stream.of('changed').flatMap(({ data }) => data.sessions))
      .toContainEqual(expect.objectContaining({ session_id: id, tenant: 'acme' }));
    expect(stream.of('changed').flatMap(({ data }) => data.machines)).toContainEqual(
      expect.objectContaining({ session: expect.objectContaining({ session_id: id }) }),
    );
    const types = stream.of('event').map(({ data }) => [data.session_id, data.type]);
    expect(types).toContainEqual([id, 'session.pending']);
    expect(JSON.stringify(stream.got)).not.toContain('Lovelace');
    await stream.close();
  });

  test('a stream contains only the topics, tenant and session that were asked for', async () => {
    const id = await newSession();
    const [session, tenants] = await Promise.all([
      listen(`?topics=events&session=${id}&after=0`),
      listen(`?topics=sessions&tenant=${randomUUID()}`),
    ]);
    await expect.poll(() => session.of('event').length).toBeGreaterThan(0);
    expect(new Set(session.of('event').map(({ data }) => data.session_id))).toEqual(new Set([id]));
    await newSession();
    await session.close();
    expect(tenants.got.map(({ name }) => name)).toEqual(['hello']);
    await tenants.close();
    await expect.poll(() => world.deps.operatorApi.feed.watchers).toBe(0);
  });

  test('a stream that is cut again and again and continued misses no event', async () => {
    const seen = new Set<number>();
    const first = Number((await world.db.query('select max(id) from public.session_events')).rows[0].max);
    let cursor = first;
    for (let cut = 0; cut < 10; cut += 1) {
      const stream = await listen('?topics=events', { 'last-event-id': String(cursor) });
      const id = await newSession();
      if (cut % 2 === 0)
        await expect.poll(() => stream.of('event').some(({ data }) => data.session_id === id)).toBe(true);
      await stream.close();
      for (const { data } of stream.of('event')) seen.add(data.id);
      cursor = stream.of('event').at(-1)?.id ?? cursor;
    }
    const stream = await listen(`?topics=events&after=${cursor}`);
    const ids = async () =>
      (await world.db.query('select id from public.session_events where id > $1', [first])).rows.map(({ id }) =>
        Number(id),
      );
    await expect
      .poll(async () => {
        for (const { data } of stream.of('event')) seen.add(data.id);
        return (await ids()).filter((id) => !seen.has(id));
      })
      .toEqual([]);
    await stream.close();
  });

  test('a stream ends with bye after the operator has lost the role', async () => {
    const { operators } = world.deps.config.access;
    const own = operators.find(({ name }) => name === 'operator-kim') as (typeof operators)[number];
    const stream = await listen('?topics=overview', {}, tokens.operator);
    own.role = 'viewer';
    await stream.ended;
    expect(stream.got.at(-1)).toMatchObject({ name: 'bye', data: { why: 'signed_out' } });
    own.role = 'operator';
  });

  test.each([
    ['?topics=weather', 422],
    ['?tenant=x', 422],
    ['?after=-1', 422],
    ['?colour=red', 422],
  ])('%s is refused with %i', async (query, status) => {
    expect((await listen(query)).status).toBe(status);
  });
});

describe('credentials', () => {
  test('the cookie of the dashboard opens what its token opens, and changes nothing without the header', async () => {
    const signedIn = await ask('/sign-in', { method: 'POST', body: { token: tokens.operator } });
    const [cookie = '', ...flags] = (signedIn.headers.get('set-cookie') ?? '').split('; ');
    expect(flags).toEqual(['Path=/', 'Max-Age=43200', 'HttpOnly', 'Secure', 'SameSite=Strict']);
    const id = await newSession();
    expect((await ask('/me', { headers: { cookie } })).json).toMatchObject({ role: 'operator' });
    const act = { method: 'POST', body: { why } };
    expect((await ask(`/sessions/${id}/end`, { ...act, headers: { cookie } })).status).toBe(403);
    const headers = { cookie, 'greenroom-dashboard': '1' };
    expect((await ask(`/sessions/${id}/end`, { ...act, headers })).status).toBe(200);
    // The page shows these sentences.
    const refused = async (given: Record<string, string>) => {
      const { status, json } = await ask('/me', { headers: { 'greenroom-dashboard': '1', ...given } });
      return [status, json.detail];
    };
    expect(await refused({ cookie: `${cookie}x` })).toEqual([401, 'This sign-in is not valid here. Sign in again.']);
    expect(await refused({ cookie: 'other=1' })).toEqual([401, 'You are not signed in.']);
    const { operators } = world.deps.config.access;
    const own = operators.find(({ name }) => name === 'operator-kim') as (typeof operators)[number];
    const { hash } = own;
    own.hash = Buffer.alloc(hash.length);
    const removed = await refused({ cookie });
    own.hash = hash;
    expect(removed).toEqual([401, 'Your operator token was removed. Ask an admin for another one.']);
  });

  test('the public address serves no operators’ API, and only an admin changes tenants there', async () => {
    expect((await world.send('/ops/api/overview', { as: tokens.admin })).status).toBe(404);
    const rename = (as: string) =>
      world.send(`/api/tenants/${tenant.id}`, { method: 'PATCH', as, body: { name: 'Acme' } });
    expect((await rename(tokens.operator)).status).toBe(403);
    expect((await rename(tokens.admin)).status).toBe(200);
    expect((await world.send(`/api/tenants/${tenant.id}`, { as: tokens.viewer })).status).toBe(200);
  });

  test('an unknown token is refused, and its address is slowed down', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 14; n += 1) {
      const headers = { authorization: `Bearer gr_op_${'x'.repeat(40)}` };
      statuses.push((await ask('/me', { headers })).status);
    }
    expect(statuses[0]).toBe(401);
    expect(statuses.at(-1)).toBe(429);
    expect((await ask('/me')).status).toBe(200);
  });
});
