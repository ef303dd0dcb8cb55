import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { problem, type SessionView, sessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyInstance } from 'fastify';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type LocalFly, startFly } from '../../infra/local-cloud/src/fly/fly.ts';
import { type Supabase, startSupabase } from '../../infra/local-cloud/src/supabase/supabase.ts';
import { buildApp } from '../../orchestrator/src/app.ts';
import { readConfig } from '../../orchestrator/src/config.ts';
import { createDeps, type Deps } from '../../orchestrator/src/deps.ts';
import { makeDeploymentKeys } from '../../tools/stack/keys.ts';
import { startOrchestrator as startProcess } from '../../tools/stack/orchestrator-process.ts';
import { type SeededTenant, seedTenant } from '../../tools/stack/seed.ts';
import { until } from '../support/session.ts';

/** The orchestrator with a real database and the Fly stand-in. The machines do nothing, so only its own work shows. */
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-api-'));
const digest = `sha256:${'a'.repeat(64)}`;
const image = `registry.fly.io/worker@${digest}`;
let supabase: Supabase;
let fly: LocalFly;
let deps: Deps;
let app: FastifyInstance;
let url: string;
let tenant: SeededTenant;
let other: SeededTenant;
let environment: Record<string, string>;
const lines: string[] = [];

async function startOrchestrator(): Promise<void> {
  const keys = await makeDeploymentKeys();
  supabase = await startSupabase({
    dir: path.join(dir, 'supabase'),
    migrationsDir: path.resolve('supabase/migrations'),
    signingKeys: [keys.dbPublic],
  });
  environment = {
    PUBLIC_URL: 'http://interviews.test',
    DEPLOYMENT_ID: 'api-test',
    SUPABASE_URL: supabase.url,
    SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey,
    DB_SIGNING_KEY: JSON.stringify(keys.db),
    JOIN_SIGNING_KEYS: JSON.stringify(keys.join),
    CREDENTIALS_KEY: keys.credentials,
    FLY_API_URL: fly.apiUrl,
    FLY_API_TOKEN: 'fo1_test',
    FLY_ORG: 'local',
    FLY_OIDC_ISSUER: fly.oidcIssuer('local'),
    WORKER_IMAGE: image,
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    VOICE_SIMULATED: 'true',
    ROOM_DIR: path.join(dir, 'room'),
    CREATE_MS: '60000',
  };
  const config = readConfig(environment);
  const destination = { write: (line: string) => void lines.push(line) };
  deps = await createDeps(config, { logger: createLogger({ level: 'debug', component: 'test', destination }) });
  app = await buildApp(deps);
  await app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
}

const seed = (slug: string, maxLiveSessions = 100) =>
  seedTenant({
    dbUrl: supabase.dbUrl,
    flyApiUrl: fly.apiUrl,
    flyToken: 'fo1_test',
    flyOrg: 'local',
    slug,
    name: slug,
    maxLiveSessions,
  });

/** These tests create machines faster than Fly allows for one app. */
async function liftCreateLimit(): Promise<void> {
  const client = new pg.Client({ connectionString: supabase.dbUrl });
  await client.connect();
  await client.query('update public.tenant_apps set creates_per_second = 1000, create_burst = 1000');
  await client.end();
}

beforeAll(async () => {
  fly = await startFly({
    dir: path.join(dir, 'fly'),
    token: 'fo1_test',
    limits: false,
    latency: 'zero',
    orchestrators: () => [],
  });
  fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), digest });
  await startOrchestrator();
  [tenant, other] = [await seed('acme'), await seed('globex')];
  await liftCreateLimit();
});
afterEach(() => fly.faults.clear());
afterAll(async () => {
  await app.close();
  await deps.provisioner.stop();
  await deps.endings.stop();
  await deps.closeConnections();
  await Promise.all([supabase.stop(), fly.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

const readyzOf = async (at: string): Promise<number> => (await fetch(`${at}/readyz`)).status;

interface Sent {
  method?: string;
  body?: unknown;
  key?: string | null;
  headers?: Record<string, string>;
}

async function send(at: string, { method = 'GET', body, key = tenant.apiKey, headers = {} }: Sent = {}) {
  const answer = await fetch(`${url}${at}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const json = (): unknown => JSON.parse(text);
  return { status: answer.status, headers: answer.headers, text, json };
}

const good = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };
async function create(body: object = good, headers: Record<string, string> = {}, key = tenant.apiKey) {
  const answer = await send('/api/sessions', { method: 'POST', body, headers, key });
  expect(answer.status, answer.text).toBe(201);
  return { ...answer, session: answer.json() as SessionView };
}
const machinesOf = (sessionId: string) =>
  fly.machines({ includeDestroyed: true }).filter((m) => m.metadata.session_id === sessionId);

const someMachines = (sessionId: string) => {
  const machines = machinesOf(sessionId);
  return machines.length > 0 ? machines : undefined;
};

/** The machine's config as Fly returns it. */
async function configOf({ app: appName, id }: { app: string; id: string }): Promise<unknown> {
  const headers = { authorization: 'Bearer fo1_test' };
  const answer = await fetch(`${fly.apiUrl}/v1/apps/${appName}/machines/${id}`, { headers });
  return ((await answer.json()) as { config: unknown }).config;
}

describe('POST /api/sessions', () => {
  test('POST /api/sessions answers with the session as published, a region and a link that never changes', async () => {
    const { session, headers } = await create({ ...good, metadata: { ref: 'x1' } });
    expect(sessionView.parse(session)).toEqual(session);
    expect(session).toMatchObject({
      status: 'provisioning',
      region: 'fra',
      region_reason: 'requested',
      simulated: true,
      metadata: { ref: 'x1' },
      websocket_url: `ws://interviews.test/ws/sessions/${session.session_id}`,
    });
    expect(headers.get('location')).toBe(`/api/sessions/${session.session_id}`);
    expect(session.join_url).toMatch(new RegExp(`^http://interviews.test/join/${session.session_id}#[\\w-]{43}$`));
    expect(decodeJwt(session.join_token as string)).toMatchObject({
      session_id: session.session_id,
      tenant_id: tenant.id,
    });
  });

  test('a new session makes one machine, named after its row, that is destroyed when its process exits', async () => {
    const { session } = await create();
    const [machine] = await until('the machine', () => someMachines(session.session_id));
    expect(machine?.name).toBe(`gr-${machine?.metadata.machine_id}`);
    const config = await configOf(machine as { app: string; id: string });
    expect(config).toMatchObject({
      auto_destroy: true,
      restart: { policy: 'no' },
      image,
      metadata: { deployment_id: 'api-test', tenant_id: tenant.id },
    });
    expect(JSON.stringify(config)).not.toMatch(/sk-test|fo1_test|eyJ/);
  });

  test('a session uses the region of the edge that received its request', async () => {
    const { region: _region, ...body } = good;
    const { session } = await create(body, { 'fly-region': 'mad' });
    expect(session).toMatchObject({ region: 'cdg', region_reason: 'edge' });
  });

  test('a request with a wait time waits for readiness no longer than that time', async () => {
    const { headers, session } = await create(good, { prefer: 'wait=1' });
    expect(headers.get('preference-applied')).toBe('wait=1');
    expect(session.status).toBe('provisioning');
  });

  test('a create whose reply is lost makes one machine, not two', async () => {
    fly.faults.add({ on: 'machines.create', action: { kind: 'drop_after' } });
    const { session } = await create();
    await until('recorded', () => lines.some((l) => l.includes('machine created') && l.includes(session.session_id)));
    expect(machinesOf(session.session_id)).toHaveLength(1);
  });

  test('a session uses the next region when the first has no capacity, and its answer says so', async () => {
    fly.setCapacity('syd', 'none');
    const { session } = await create({ ...good, region: ['syd', 'sin'] });
    const machines = await until('a machine', () => someMachines(session.session_id));
    expect(machines.map((m) => m.region)).toEqual(['sin']);
    const shown = (await send(`/api/sessions/${session.session_id}`)).json();
    expect(shown).toMatchObject({ region: 'sin', region_reason: 'capacity', status: 'provisioning' });
  });
});

describe('Idempotency-Key', () => {
  const query = async (sql: string, ...values: unknown[]): Promise<Array<Record<string, unknown>>> => {
    const client = new pg.Client({ connectionString: supabase.dbUrl });
    await client.connect();
    return (await client.query(sql, values).finally(() => client.end())).rows;
  };
  let admin: string;
  beforeAll(async () => {
    admin = `gr_live_${randomBytes(32).toString('base64url')}`;
    await query(
      'insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes) values ($1, $2, $3, $4, $5)',
      ...[tenant.id, 'admin', admin.slice(0, 12), createHash('sha256').update(admin).digest('hex'), scopes],
    );
  });
  const post = (at: string, body: unknown, key: string, more: Sent = {}) =>
    send(at, { method: 'POST', key: admin, body, ...more, headers: { 'idempotency-key': key, ...more.headers } });

  test('the same request with the same Idempotency-Key returns the same answer byte for byte, its link included', async () => {
    const first = await post('/api/sessions', good, 'again-1');
    const reordered = { region: 'fra', position: { title: 'Engineer' }, candidate: { name: 'Ada' } };
    const second = await post('/api/sessions', reordered, 'again-1');
    expect([second.status, second.text]).toEqual([first.status, first.text]);
    expect((first.json() as SessionView).join_url).toContain('/join/');
    expect([first, second].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    const [stored] = await query("select * from public.idempotency_keys where key = 'again-1'");
    expect(JSON.stringify(stored)).not.toContain('/join/');
  });

  test('every POST of a caller honours the key: the answer comes back whole, a secret included, and nothing is made twice', async () => {
    const { session } = await create();
    const posts: Array<[string, unknown]> = [
      ['/api/candidates', { name: 'Grace', email: 'grace@example.org' }],
      ['/api/positions', { title: 'Cook' }],
      ['/api/webhooks', { url: 'https://hooks.example.com/x', events: ['session.ready'] }],
      [`/api/sessions/${session.session_id}/invitations`, {}],
      [`/api/tenants/${tenant.id}/api-keys`, { name: 'ci', scopes: ['sessions:read'] }],
    ];
    for (const [at, body] of posts) {
      const first = await post(at, body, `every ${at}`);
      expect([first.status, at, first.text]).toEqual([201, at, expect.any(String)]);
      const second = await post(at, body, `every ${at}`);
      expect([second.status, second.text, second.headers.get('idempotency-replayed')]).toEqual([
        201,
        first.text,
        'true',
      ]);
      const control = await post(at, body, `another ${at}`);
      expect(control.text).not.toBe(first.text);
    }
  });

  test('a refusal that stays true is replayed byte for byte, and an invalid request leaves the key free', async () => {
    await post('/api/candidates', { name: 'Once', email: 'once@example.org' }, 'once');
    const again = { name: 'Twice', email: 'once@example.org' };
    const [first, second] = [await post('/api/candidates', again, 'c-1'), await post('/api/candidates', again, 'c-1')];
    expect([first.status, second.status]).toEqual([409, 409]);
    expect(second.text).toBe(first.text);
    expect((await post('/api/candidates', { name: '' }, 'c-2')).status).toBe(422);
    expect((await post('/api/candidates', { name: 'Valid' }, 'c-2')).status).toBe(201);
    expect((await post('/api/sessions', { ...good, max_duration_minutes: 240 }, 'c-3')).status).toBe(422);
    expect((await post('/api/sessions', good, 'c-3')).status).toBe(201);
  });

  test("a request whose first run still waits gets that run's answer, or 409 with Retry-After", async () => {
    const [slow, ...rest] = await Promise.all([
      post('/api/sessions', good, 'slow', { headers: { prefer: 'wait=2' } }),
      ...Array.from({ length: 3 }, () => post('/api/sessions', good, 'slow')),
    ]);
    for (const answer of rest) expect([answer.status, answer.text]).toEqual([201, slow?.text]);
    const [long, refused] = await Promise.all([
      post('/api/sessions', good, 'long', { headers: { prefer: 'wait=10' } }),
      post('/api/sessions', good, 'long'),
    ]);
    const [ran, told] = long.status === 201 ? [long, refused] : [refused, long];
    if (told.status === 409) {
      expect(told.json()).toMatchObject({ code: 'idempotency_in_progress' });
      expect(told.headers.get('retry-after')).toBe('1');
    } else expect(told.text).toBe(ran.text);
    expect((await post('/api/sessions', good, 'long')).text).toBe(ran.text);
  });

  test('after a crash between the session and its answer, the same request gets that session with its link', async () => {
    const first = await create(good, { 'idempotency-key': 'crashed' });
    const code = first.session.join_url?.split('#')[1] as string;
    const sealed = deps.vault.seal(code, `invitation:${first.session.session_id}`);
    await query(
      "update public.idempotency_keys set sealed_answer = null, sealed_code = $1, taken_until = now() where key = 'crashed'",
      sealed,
    );
    const second = await create(good, { 'idempotency-key': 'crashed' });
    expect(second.session).toMatchObject({ session_id: first.session.session_id, join_url: first.session.join_url });
    expect((await create(good, { 'idempotency-key': 'crashed' })).text).toBe(second.text);
  });

  test('the stored answer about a candidate is deleted when the candidate is erased', async () => {
    const made = await post('/api/candidates', { name: 'Gone', email: 'gone@example.org' }, 'erased');
    const { id } = made.json() as { id: string };
    expect(await query("select candidate_id from public.idempotency_keys where key = 'erased'")).toEqual([
      { candidate_id: id },
    ]);
    expect((await send(`/api/candidates/${id}`, { method: 'DELETE', key: admin })).status).toBe(200);
    expect(await query("select 1 from public.idempotency_keys where key = 'erased'")).toEqual([]);
  });

  test('routes without an authenticated caller neither store nor replay an answer', async () => {
    const body = { session_id: '11111111-1111-4111-8111-111111111111', code: 'x'.repeat(43) };
    const [first, second] = [
      await post('/api/join', body, 'open', { key: null }),
      await post('/api/join', body, 'open'),
    ];
    expect([first.headers.get('idempotency-replayed'), second.headers.get('idempotency-replayed')]).toEqual([
      null,
      null,
    ]);
    expect(await query("select 1 from public.idempotency_keys where key = 'open'")).toEqual([]);
  });

  test('twenty concurrent requests with one Idempotency-Key make one session and one machine', async () => {
    const headers = { 'idempotency-key': 'at-once' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => create(good, headers)));
    const ids = new Set(answers.map((answer) => answer.session.session_id));
    expect(ids.size).toBe(1);
    const [id] = ids;
    await until('the machine', () => machinesOf(id as string).length > 0);
    expect(machinesOf(id as string)).toHaveLength(1);
  });

  test('another body under the same Idempotency-Key is refused', async () => {
    await create(good, { 'idempotency-key': 'other-body' });
    const answer = await send('/api/sessions', {
      method: 'POST',
      body: { ...good, region: 'ams' },
      headers: { 'idempotency-key': 'other-body' },
    });
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({ code: 'idempotency_mismatch' });
    const elsewhere = await post('/api/positions', { title: 'Cook' }, 'other-body');
    expect(elsewhere.json()).toMatchObject({ code: 'idempotency_mismatch' });
  });

  test('the same Idempotency-Key of another tenant makes another session', async () => {
    const headers = { 'idempotency-key': 'shared-name' };
    const [mine, theirs] = [await create(good, headers), await create(good, headers, other.apiKey)];
    expect(theirs.session.session_id).not.toBe(mine.session.session_id);
  });
});

describe('bad input', () => {
  const post = (body: unknown, headers: Record<string, string> = {}): Sent => ({ method: 'POST', body, headers });
  const cases: Array<[string, string, Sent, number, string, string?]> = [
    ['malformed JSON', '/api/sessions', post('{"candidate":'), 400, 'invalid_json'],
    ['an empty body', '/api/sessions', post(''), 400, 'invalid_json'],
    ['a prototype in the body', '/api/sessions', post('{"__proto__":{"x":1}}'), 400, 'invalid_json'],
    [
      'another content type',
      '/api/sessions',
      post('a=b', { 'content-type': 'text/plain' }),
      415,
      'unsupported_media_type',
    ],
    ['a list', '/api/sessions', post([]), 422, 'validation_failed', 'body'],
    ['an unknown field', '/api/sessions', post({ ...good, colour: 'red' }), 422, 'validation_failed', 'colour'],
    [
      'an unknown field within',
      '/api/sessions',
      post({ ...good, settings: { mood: 1 } }),
      422,
      'validation_failed',
      'settings.mood',
    ],
    [
      'a wrong type',
      '/api/sessions',
      post({ ...good, max_duration_minutes: 'long' }),
      422,
      'validation_failed',
      'max_duration_minutes',
    ],
    [
      'a duration of zero',
      '/api/sessions',
      post({ ...good, max_duration_minutes: 0 }),
      422,
      'validation_failed',
      'max_duration_minutes',
    ],
    ['no candidate', '/api/sessions', post({ position: good.position }), 422, 'validation_failed', 'candidate_id'],
    ['two candidates', '/api/sessions', post({ ...good, candidate_id: '1' }), 422, 'validation_failed', 'candidate_id'],
    [
      'no name',
      '/api/sessions',
      post({ ...good, candidate: { name: '' } }),
      422,
      'validation_failed',
      'candidate.name',
    ],
    [
      'a NUL in a name',
      '/api/sessions',
      post({ ...good, candidate: { name: 'a\u0000' } }),
      422,
      'validation_failed',
      'candidate.name',
    ],
    [
      'a bad e-mail',
      '/api/sessions',
      post({ ...good, candidate: { name: 'A', email: 'x' } }),
      422,
      'validation_failed',
      'candidate.email',
    ],
    [
      'a region that does not exist',
      '/api/sessions',
      post({ ...good, region: 'xyz' }),
      422,
      'validation_failed',
      'region',
    ],
    [
      'one of several regions',
      '/api/sessions',
      post({ ...good, region: ['fra', 'xyz'] }),
      422,
      'validation_failed',
      'region.1',
    ],
    [
      'a foreign candidate',
      '/api/sessions',
      post({ position: good.position, candidate_id: '11111111-1111-4111-8111-111111111111' }),
      422,
      'validation_failed',
      'candidate_id',
    ],
    [
      'an endless idempotency key',
      '/api/sessions',
      post(good, { 'idempotency-key': 'x'.repeat(256) }),
      422,
      'validation_failed',
      'idempotency-key',
    ],
    [
      'a body beyond the limit',
      '/api/sessions',
      post({ ...good, metadata: { x: 'y'.repeat(300_000) } }),
      413,
      'body_too_large',
    ],
    ['no credential', '/api/sessions', { ...post(good), key: null }, 401, 'unauthenticated'],
    [
      'a wrong credential',
      '/api/sessions',
      { ...post(good), key: `gr_live_${'x'.repeat(43)}` },
      401,
      'unauthenticated',
    ],
    ['an unknown session', '/api/sessions/11111111-1111-4111-8111-111111111111', {}, 404, 'not_found'],
    ['an id that is none', '/api/sessions/1%27%20or%201', {}, 404, 'not_found'],
    ['a broken escape in the path', '/api/sessions/%ff', {}, 404, 'not_found'],
    ['an unknown path', '/api/nothing', {}, 404, 'not_found'],
    ['an unknown method', '/api/sessions', { method: 'PUT', body: good }, 405, 'method_not_allowed'],
    ['an unknown query', '/api/sessions?page=2', {}, 422, 'validation_failed', 'page'],
    ['a limit out of range', '/api/sessions?limit=1000', {}, 422, 'validation_failed', 'limit'],
    ['a cursor that is none', '/api/sessions?cursor=abc', {}, 400, 'invalid_cursor', 'cursor'],
    [
      'a join with a wrong code',
      '/api/join',
      post({ session_id: '11111111-1111-4111-8111-111111111111', code: 'x'.repeat(43) }),
      410,
      'invitation_invalid',
    ],
    [
      'a join without a code',
      '/api/join',
      post({ session_id: '11111111-1111-4111-8111-111111111111' }),
      422,
      'validation_failed',
      'code',
    ],
    [
      'a claim without a token',
      '/worker/v1/claim',
      { ...post({ boot_nonce: 'n'.repeat(16) }), key: null },
      401,
      'worker_identity_refused',
    ],
    [
      'a claim with an API key',
      '/worker/v1/claim',
      post({ boot_nonce: 'n'.repeat(16) }),
      401,
      'worker_identity_refused',
    ],
    [
      'a heartbeat with an API key',
      '/worker/v1/heartbeat',
      post({ presence: 'absent', unsaved_entries: 0 }),
      401,
      'unauthenticated',
    ],
  ];
  test.each(cases)('bad input gets its documented error: %s', async (_what, at, sent, status, code, field) => {
    const answer = await send(at, sent);
    expect(answer.status, answer.text).toBe(status);
    const body = problem.parse(answer.json());
    expect(body).toMatchObject({ code, status });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.headers.get('x-request-id')).toBe(body.request_id);
    if (field) expect(body.errors?.map((e) => e.field)).toContain(field);
  });

  test('the answer to a method that is not allowed lists the allowed ones', async () => {
    expect((await send('/api/sessions', { method: 'PUT', body: good })).headers.get('allow')).toContain('POST');
  });

  test('refused requests leave no session and no machine behind', async () => {
    const sessions = (await send('/api/sessions?limit=100')).json() as { data: SessionView[] };
    expect(sessions.data.every((s) => s.interview_context.candidate.name === 'Ada')).toBe(true);
  });
});

describe('limits and separation of tenants', () => {
  test("a tenant cannot see another tenant's sessions", async () => {
    const { session } = await create();
    for (const sent of [{}, { method: 'DELETE' }])
      expect((await send(`/api/sessions/${session.session_id}`, { ...sent, key: other.apiKey })).status).toBe(404);
    expect((await send(`/api/sessions/${session.session_id}/transcript`, { key: other.apiKey })).status).toBe(404);
    expect((await send(`/api/sessions/${session.session_id}/events`, { key: other.apiKey })).status).toBe(404);
  });

  test('a tenant at its limit is refused and gets a retry time', async () => {
    const small = await seed('tiny', 1);
    await create(good, {}, small.apiKey);
    const answer = await send('/api/sessions', { method: 'POST', body: good, key: small.apiKey });
    expect(answer.status).toBe(429);
    expect(answer.json()).toMatchObject({ code: 'tenant_quota_exceeded' });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('a tenant pages through its sessions, newest first, each once', async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) made.unshift((await create(good, {}, other.apiKey)).session.session_id);
    const seen: string[] = [];
    let at = '/api/sessions?limit=2';
    for (;;) {
      const page = (await send(at, { key: other.apiKey })).json() as {
        data: SessionView[];
        has_more: boolean;
        next_cursor: string | null;
      };
      expect(page.has_more).toBe(page.next_cursor !== null);
      seen.push(...page.data.map((s) => s.session_id));
      if (page.next_cursor === null) break;
      at = `/api/sessions?limit=2&cursor=${page.next_cursor}`;
    }
    expect(seen.slice(0, 5)).toEqual(made);
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe('DELETE /api/sessions/{id}', () => {
  test('DELETE /api/sessions/{id} ends a session without a worker at once, and its machine', async () => {
    const { session } = await create();
    await until('the machine', () => machinesOf(session.session_id).length > 0);
    const answer = await send(`/api/sessions/${session.session_id}`, { method: 'DELETE' });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ status: 'cancelled', reason: 'ended_by_platform', join_token: null });
    await until('destroyed', () => machinesOf(session.session_id).every((m) => m.state === 'destroyed'));
    const again = await send(`/api/sessions/${session.session_id}`, { method: 'DELETE' });
    expect(again.json()).toMatchObject({ status: 'cancelled' });
  });
});

describe('invitations', () => {
  test('one browser can exchange an invitation for a join token repeatedly, and another browser is refused', async () => {
    const { session } = await create();
    const code = (session.join_url as string).split('#')[1] as string;
    const body = { session_id: session.session_id, code };
    const first = await send('/api/join', { method: 'POST', body, key: null });
    expect(first.status, first.text).toBe(200);
    expect(first.headers.get('access-control-allow-origin')).toBe('*');
    const { join_token, browser, websocket_url } = first.json() as Record<string, string>;
    expect(websocket_url).toBe(session.websocket_url);
    expect(decodeJwt(join_token as string).session_id).toBe(session.session_id);
    expect((await send('/api/join', { method: 'POST', body: { ...body, browser }, key: null })).status).toBe(200);
    const stranger = await send('/api/join', { method: 'POST', body, key: null });
    expect(stranger.json()).toMatchObject({ code: 'invitation_used' });
    await send(`/api/sessions/${session.session_id}`, { method: 'DELETE' });
    const late = await send('/api/join', { method: 'POST', body: { ...body, browser }, key: null });
    expect(late.json()).toMatchObject({ code: 'session_ended' });
  });

  test('an invitation can be exchanged from a page of any origin', async () => {
    const answer = await fetch(`${url}/api/join`, { method: 'OPTIONS', headers: { origin: 'https://ats.example' } });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-headers')).toBe(
      'content-type, greenroom-invitation, greenroom-session, greenroom-browser',
    );
  });
});

describe('events', () => {
  async function readEvents(sessionId: string, count: number, lastEventId?: string) {
    const abort = new AbortController();
    const headers = {
      authorization: `Bearer ${tenant.apiKey}`,
      ...(lastEventId ? { 'last-event-id': lastEventId } : {}),
    };
    const answer = await fetch(`${url}/api/sessions/${sessionId}/events`, { headers, signal: abort.signal });
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    let text = '';
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      if ([...text.matchAll(/^event: .*\n.*\n\n/gm)].length >= count) break;
    }
    abort.abort();
    return [...text.matchAll(/^id: (\d+)\nevent: (.*)\ndata: (.*)$/gm)].map(([, id, type, data]) => ({
      id: id as string,
      type: type as string,
      data: JSON.parse(data as string) as Record<string, unknown>,
    }));
  }

  test('events arrive in order and continue after the last one seen', async () => {
    const { session } = await create();
    const first = await readEvents(session.session_id, 2);
    // Only operators see the machine events between these.
    expect(first.map((e) => e.type)).toEqual(['session.pending', 'session.provisioning']);
    await send(`/api/sessions/${session.session_id}`, { method: 'DELETE' });
    const rest = await readEvents(session.session_id, 1, first[1]?.id);
    expect(rest[0]).toMatchObject({ type: 'session.cancelled', data: { reason: 'ended_by_platform' } });
  });
});

describe('the transcript of a session without entries', () => {
  test.each([
    ['application/json', 'application/json', /"simulated":true,"entries":\[\]/],
    ['text/plain', 'text/plain', /^\[Simulation: [^\n]*\]\n$/],
    ['text/vtt', 'text/vtt', /^WEBVTT\n\nNOTE Simulation: [^\n]*\n$/],
  ])('an empty transcript as %s contains only the note that it was a simulation', async (accept, type, body) => {
    const { session } = await create();
    const answer = await send(`/api/sessions/${session.session_id}/transcript`, { headers: { accept } });
    expect(answer.status, answer.text).toBe(200);
    expect(answer.headers.get('content-type')).toContain(type);
    expect(answer.text).toMatch(body);
  });
});

describe('pages and probes', () => {
  test('health names a database that is away and keeps the orchestrator in routing', async () => {
    const degraded = async () => {
      const answer = await send('/readyz', { key: null });
      return [answer.status, (answer.json() as { degraded: string[] }).degraded.join()];
    };
    expect((await send('/readyz', { key: null })).json()).toMatchObject({ status: 'ready', failed: [] });
    await supabase.postgrest.stop();
    expect(await until('degraded', async () => (await degraded())[1] === 'database' && degraded())).toEqual([
      200,
      'database',
    ]);
    expect((await send('/healthz', { key: null })).status).toBe(200);
    const refused = await send('/api/sessions', { method: 'POST', body: good });
    expect(refused.status).toBe(503);
    expect(refused.json()).toMatchObject({ code: 'database_unavailable' });
    await supabase.postgrest.start();
    await until('well again', async () => (await degraded())[1] === '');
  });

  test('the orchestrator publishes its public keys and no private key', async () => {
    const { keys } = (await send('/.well-known/jwks.json', { key: null })).json() as {
      keys: Array<Record<string, string>>;
    };
    const { session } = await create();
    expect(decodeProtectedHeader(session.join_token as string).kid).toBe(keys[0]?.kid);
    expect(keys.every((key) => key.d === undefined)).toBe(true);
  });

  test('the OpenAPI document describes the API from its own schemas', async () => {
    const document = (await send('/docs/json', { key: null })).json() as {
      paths: Record<string, Record<string, object>>;
    };
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/api/sessions', '/api/sessions/{id}', '/api/join']),
    );
    expect(JSON.stringify(document.paths['/api/sessions'])).toContain('max_duration_minutes');
    const page = await send('/docs', { key: null });
    expect(page.text).toContain('POST /api/sessions');
    expect(page.text).not.toContain('<script');
  });

  test('the room page is served with a strict policy, and files above its folder are not served', async () => {
    const { session } = await create();
    expect((await send(`/join/${session.session_id}`, { key: null })).status).toBe(404);
    await import('node:fs/promises').then(({ mkdir }) => mkdir(path.join(dir, 'room'), { recursive: true }));
    writeFileSync(path.join(dir, 'room/index.html'), '<!doctype html>room');
    writeFileSync(path.join(dir, 'room/room.js'), 'export {};');
    const page = await send(`/join/${session.session_id}`, { key: null });
    expect(page.text).toContain('room');
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const script = await send('/join-assets/room.js', { key: null });
    expect(script.headers.get('content-type')).toContain('text/javascript');
    for (const name of ['..%2fsecret.js', '%2e%2e/x.js', '.hidden.js', 'absent.js', 'room.exe'])
      expect((await send(`/join-assets/${name}`, { key: null })).status, name).toBe(404);
  });
});

describe('shutdown of an orchestrator', () => {
  test('an orchestrator asked to stop ends its event streams and waiting sockets and exits with 0', async () => {
    const leaving = await startProcess(environment);
    const headers = { authorization: `Bearer ${tenant.apiKey}` };
    const made = await fetch(`${leaving.url}/api/sessions`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(good),
    });
    const session = (await made.json()) as SessionView;
    const events = await fetch(`${leaving.url}/api/sessions/${session.session_id}/events`, { headers });
    const ended = events.text();
    const socket = new WebSocket(
      `${leaving.url.replace('http', 'ws')}/ws/sessions/${session.session_id}?token=${session.join_token}`,
    );
    const closed = new Promise<number>((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
    await until('the socket waits', async () => (await readyzOf(leaving.url)) === 200);
    const startedMs = performance.now();
    expect(await leaving.stop()).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    expect(await ended).toContain('event: session.pending');
    expect(await closed).toBe(4503);
  });
});

test('the log contains no credential and no token', async () => {
  const log = lines.join('\n');
  const { session } = await create();
  const secrets = [tenant.apiKey, other.apiKey, 'fo1_test', 'sk-test', supabase.publishableKey];
  for (const secret of secrets) expect(log).not.toContain(secret);
  expect(log).not.toMatch(/eyJ[\w-]+\.eyJ/);
  expect(log).not.toContain(createHash('sha256').update(tenant.apiKey).digest('hex'));
  expect(session.status).toBe('provisioning');
});
