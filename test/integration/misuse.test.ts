import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCursor } from '../../orchestrator/src/http/cursor.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { until } from '../support/session.ts';
import { openSocket } from '../support/socket.ts';

/**
 * Misuse of every interface: forged and misplaced credentials, other tenants' ids everywhere, malformed ids, hostile
 * text. Each request gets the right status and code, and the test proves that the database is unchanged.
 */
let world: ApiWorld;
let acme: SeededTenant;
let globex: SeededTenant;
let adminKey: string;
let foreignKey: string;
let userId: string;
let ids: Record<'session' | 'candidate' | 'position' | 'invitation' | 'webhook' | 'delivery' | 'apiKey', string>;
const all = [
  'sessions:read',
  'sessions:write',
  'people:read',
  'people:write',
  'webhooks:read',
  'webhooks:write',
  'tenant:read',
  'tenant:admin',
];
const audiences = {
  join: 'greenroom:join',
  reconnect: 'greenroom:reconnect',
  worker: ['authenticated', 'greenroom:worker-api'],
};

const create = (
  as: string,
  body: object = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' },
) => world.send('/api/sessions', { method: 'POST', as, body });

beforeAll(async () => {
  world = await startApiWorld({ EDGE_WAIT_MS: '200' });
  [acme, globex] = [await world.tenant('acme'), await world.tenant('globex')];
  adminKey = await world.key(acme.id, all);
  foreignKey = await world.key(globex.id, all);
  userId = (await world.user('admin@acme.test', { [acme.id]: 'admin' })).id;
  // A database that has only just started, on a busy machine, answers 503 at first; a platform tries again.
  const session = await until('the first session is created', async () => {
    const answer = await create(adminKey);
    return answer.status === 201 ? answer.json : undefined;
  });
  const invitation = await world.send(`/api/sessions/${session.session_id}/invitations`, {
    method: 'POST',
    as: adminKey,
  });
  const webhook = await world.send('/api/webhooks', {
    method: 'POST',
    as: adminKey,
    body: { url: 'https://hooks.example.com/in' },
  });
  const delivery = await world.send(`/api/webhooks/${webhook.json.id}/test`, { method: 'POST', as: adminKey });
  const keys = await world.send(`/api/tenants/${acme.id}/api-keys`, { as: adminKey });
  ids = {
    session: session.session_id,
    candidate: session.interview_context.candidate.id,
    position: session.interview_context.position.id,
    invitation: invitation.json.id,
    webhook: webhook.json.id,
    delivery: delivery.json.id,
    apiKey: keys.json.data[0].id,
  };
  await until('its machine is made', async () => {
    const { rows } = await world.db.query("select 1 from public.machines where session_id = $1 and state = 'created'", [
      ids.session,
    ]);
    return rows.length > 0;
  });
});
afterAll(() => world.stop());

/** Runs the work and checks that the database is unchanged. */
async function unchanged<T>(work: () => Promise<T>): Promise<T> {
  // A session of an earlier test keeps changing until its machine is created.
  await until('machines are made', async () => {
    const { rows } = await world.db.query("select 1 from public.machines where state = 'reserved'");
    return rows.length === 0;
  });
  const before = await fingerprint(world.db);
  const result = await work();
  expect(await fingerprint(world.db)).toEqual(before);
  return result;
}

interface Shape {
  iss: string;
  aud: string | string[];
  claims: JWTPayload;
}

/** Variants of a token, each invalid in one way. `key` is the correct private key. */
async function forgeries({ iss, aud, claims }: Shape, key: JWK): Promise<Record<string, string>> {
  const now = Math.floor(Date.now() / 1_000);
  const right = await importJWK(key, 'ES256');
  const { d: _d, ...publicPart } = key;
  const asSecret = (text: string) => new TextEncoder().encode(text);
  const jwt = (payload: JWTPayload = claims) =>
    new SignJWT(payload)
      .setIssuedAt(now)
      .setIssuer(iss)
      .setAudience(aud)
      .setExpirationTime(now + 600);
  const header = { alg: 'ES256', kid: key.kid as string, typ: 'JWT' };
  const stranger = (await generateKeyPair('ES256')).privateKey;
  const good = await jwt().setProtectedHeader(header).sign(right);
  const [head, body, signature] = good.split('.') as [string, string, string];
  const tampered = Buffer.from(
    JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url').toString()), exp: now + 99_999 }),
  );
  return {
    'signed by a stranger': await jwt().setProtectedHeader(header).sign(stranger),
    'an unknown kid': await jwt()
      .setProtectedHeader({ ...header, kid: randomUUID() })
      .sign(right),
    'no kid': await jwt().setProtectedHeader({ alg: 'ES256' }).sign(stranger),
    'alg none': new UnsecuredJWT(claims)
      .setIssuer(iss)
      .setAudience(aud)
      .setIssuedAt(now)
      .setExpirationTime(now + 600)
      .encode(),
    'HS256 with the public key as JSON': await jwt()
      .setProtectedHeader({ alg: 'HS256', kid: key.kid as string })
      .sign(asSecret(JSON.stringify(publicPart))),
    'HS256 with the public key in coordinates': await jwt()
      .setProtectedHeader({ alg: 'HS256', kid: key.kid as string })
      .sign(asSecret(`${key.x}${key.y}`)),
    expired: await jwt()
      .setExpirationTime(now - 60)
      .setProtectedHeader(header)
      .sign(right),
    'no expiry': await new SignJWT(claims)
      .setIssuedAt(now)
      .setIssuer(iss)
      .setAudience(aud)
      .setProtectedHeader(header)
      .sign(right),
    'not yet valid': await jwt()
      .setNotBefore(now + 600)
      .setProtectedHeader(header)
      .sign(right),
    'another audience': await jwt().setAudience('another').setProtectedHeader(header).sign(right),
    'no audience': await new SignJWT(claims)
      .setIssuedAt(now)
      .setIssuer(iss)
      .setExpirationTime(now + 600)
      .setProtectedHeader(header)
      .sign(right),
    'another issuer': await jwt().setIssuer('https://evil.example').setProtectedHeader(header).sign(right),
    'no issuer': await new SignJWT(claims)
      .setIssuedAt(now)
      .setAudience(aud)
      .setExpirationTime(now + 600)
      .setProtectedHeader(header)
      .sign(right),
    'tampered claims': [head, tampered.toString('base64url'), signature].join('.'),
    'no signature': `${head}.${body}.`,
    'a signature of zeros': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    'its own key in the header': await jwt()
      .setProtectedHeader({ ...header, jwk: publicPart as JWK & { kty: string }, kid: 'mine' })
      .sign(stranger),
  };
}

const joinShape = (): Shape => ({
  iss: 'http://interviews.test',
  aud: audiences.join,
  claims: { session_id: ids.session, tenant_id: acme.id },
});
const workerShape = (): Shape => ({
  iss: 'http://interviews.test',
  aud: audiences.worker,
  claims: { role: 'session_worker', session_id: ids.session, tenant_id: acme.id, machine_id: randomUUID(), epoch: 1 },
});
const socketUrl = (session = ids.session) => `${world.url.replace('http', 'ws')}/ws/sessions/${session}`;
const closeCode = async (token: string | undefined, session?: string) =>
  (await openSocket(socketUrl(session), { token }).closed).code;

describe('forged tokens', () => {
  test('forged user tokens are refused', async () => {
    const shape: Shape = {
      iss: world.supabase.issuer,
      aud: 'authenticated',
      claims: { sub: userId, role: 'authenticated' },
    };
    // The project's own private key is not available: a foreign key pair replaces it, beside real tampering.
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const kid = world.supabase.jwks.keys[0]?.kid as string;
    const forged = await forgeries(shape, { ...(await exportJWK(privateKey)), kid });
    const real = {
      expired: await world.supabase.mint({ sub: userId }, { expiresInS: -10 }),
      'of role service_role': await world.supabase.mint({ sub: userId, role: 'service_role' }),
      'of role anon': await world.supabase.mint({ sub: userId, role: 'anon' }),
      'without a subject': await world.supabase.mint({}),
      'with a subject that is no id': await world.supabase.mint({ sub: "' or 1=1 --" }),
    };
    await unchanged(async () => {
      for (const [name, token] of [...Object.entries(forged), ...Object.entries(real)]) {
        const answer = await world.send('/api/sessions', { as: token });
        expect([name, answer.status, answer.json.code]).toEqual([name, 401, 'unauthenticated']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    });
  });

  test('forged join tokens open no socket', async () => {
    const forged = await forgeries(joinShape(), world.keys.join.keys[0] as JWK);
    await unchanged(async () => {
      for (const [name, token] of Object.entries(forged)) expect([name, await closeCode(token)]).toEqual([name, 4401]);
    });
  });

  test('forged worker tokens are refused everywhere', async () => {
    const forged = await forgeries(workerShape(), world.keys.db as JWK);
    const body = { presence: 'absent', unsaved_entries: 0 };
    await unchanged(async () => {
      for (const [name, token] of Object.entries(forged)) {
        const beat = await world.send('/worker/v1/heartbeat', { method: 'POST', as: token, body });
        expect([name, beat.status]).toEqual([name, 401]);
        const claim = await world.send('/worker/v1/claim', {
          method: 'POST',
          as: token,
          body: { boot_nonce: 'n'.repeat(32) },
        });
        expect([name, claim.status, claim.json.code]).toEqual([name, 401, 'worker_identity_refused']);
      }
    });
  });
});

test('a valid credential works only for its own endpoints', async () => {
  const sign = async ({ iss, aud, claims }: Shape, key: JWK) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: key.kid as string })
      .setIssuer(iss)
      .setAudience(aud)
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(await importJWK(key, 'ES256'));
  const joinKey = world.keys.join.keys[0] as JWK;
  const shared = { session_id: ids.session, tenant_id: acme.id };
  const iss = 'http://interviews.test';
  const tokens = {
    join: await sign(joinShape(), joinKey),
    reconnect: await sign({ iss, aud: audiences.reconnect, claims: shared }, joinKey),
    transcript: await sign({ iss, aud: 'greenroom:transcript', claims: shared }, joinKey),
    replay: await sign({ iss, aud: 'greenroom:replay', claims: { ...shared, epoch: 1 } }, joinKey),
    worker: await sign(workerShape(), world.keys.db as JWK),
    orchestrator: await sign({ iss, aud: 'authenticated', claims: { role: 'orchestrator' } }, world.keys.db as JWK),
    key: adminKey,
    operator: world.operatorToken,
    publishable: world.supabase.publishableKey,
    secret: world.supabase.secretKey,
  };
  const opensApi = ['key'];
  await unchanged(async () => {
    for (const [name, token] of Object.entries(tokens)) {
      const api = await world.send('/api/sessions', { as: token });
      expect([name, api.status]).toEqual([name, opensApi.includes(name) ? 200 : name === 'operator' ? 403 : 401]);
      const tenants = await world.send('/api/tenants', { as: token });
      expect([name, tenants.status]).toEqual([name, name === 'operator' ? 200 : name === 'key' ? 403 : 401]);
      const calls = await world.send('/worker/v1/calls', { method: 'POST', as: token, body: { ordinal: 1 } });
      // The worker's token is valid, but the machine it names does not exist.
      expect([name, calls.status]).toEqual([name, name === 'worker' ? 409 : 401]);
      const claim = await world.send('/worker/v1/claim', {
        method: 'POST',
        as: token,
        body: { boot_nonce: 'n'.repeat(32) },
      });
      expect([name, claim.status]).toEqual([name, 401]);
      // The right token waits for the worker, which never starts in this test.
      expect([name, await closeCode(token)]).toEqual([name, ['join', 'reconnect'].includes(name) ? 4503 : 4401]);
    }
  });
  const other = (await create(foreignKey)).json.session_id as string;
  expect(await closeCode(tokens.join, other)).toBe(4401);
  expect(await closeCode(undefined)).toBe(4401);
  expect(await closeCode(tokens.join, 'not-an-id')).toBe(4404);
});

describe("another tenant's ids", () => {
  type Attempt = [name: string, method: string, at: () => string, body?: () => object];
  const attempts: Attempt[] = [
    ['show a session', 'GET', () => `/api/sessions/${ids.session}`],
    ['end a session', 'DELETE', () => `/api/sessions/${ids.session}`],
    [
      'reschedule a session',
      'PATCH',
      () => `/api/sessions/${ids.session}`,
      () => ({ scheduled_at: new Date(Date.now() + 9e6).toISOString() }),
    ],
    ['read a transcript', 'GET', () => `/api/sessions/${ids.session}/transcript`],
    ['read a result', 'GET', () => `/api/sessions/${ids.session}/result`],
    ['watch a recording', 'GET', () => `/api/sessions/${ids.session}/recordings`],
    ['delete a recording', 'DELETE', () => `/api/sessions/${ids.session}/recordings/vi1`],
    ['review a result', 'PATCH', () => `/api/sessions/${ids.session}/result`, () => ({ human_reviewed: true })],
    ['rerun a result', 'POST', () => `/api/sessions/${ids.session}/result/rerun`],
    ['follow events', 'GET', () => `/api/sessions/${ids.session}/events`],
    ['invite', 'POST', () => `/api/sessions/${ids.session}/invitations`, () => ({})],
    ['list invitations', 'GET', () => `/api/sessions/${ids.session}/invitations`],
    ['revoke an invitation', 'DELETE', () => `/api/sessions/${ids.session}/invitations/${ids.invitation}`],
    [
      'resend an invitation',
      'POST',
      () => `/api/sessions/${ids.session}/invitations/${ids.invitation}/resend`,
      () => ({}),
    ],
    ['show a candidate', 'GET', () => `/api/candidates/${ids.candidate}`],
    ['change a candidate', 'PATCH', () => `/api/candidates/${ids.candidate}`, () => ({ name: 'Stolen' })],
    ['erase a candidate', 'DELETE', () => `/api/candidates/${ids.candidate}`],
    ['show a position', 'GET', () => `/api/positions/${ids.position}`],
    ['change a position', 'PATCH', () => `/api/positions/${ids.position}`, () => ({ title: 'Stolen' })],
    ['show a tenant', 'GET', () => `/api/tenants/${acme.id}`],
    ['change a tenant', 'PATCH', () => `/api/tenants/${acme.id}`, () => ({ name: 'Stolen' })],
    ['list keys', 'GET', () => `/api/tenants/${acme.id}/api-keys`],
    ['make a key', 'POST', () => `/api/tenants/${acme.id}/api-keys`, () => ({ name: 'Stolen' })],
    ['rotate a key', 'POST', () => `/api/tenants/${acme.id}/api-keys/${ids.apiKey}/rotate`, () => ({})],
    [
      'rotate a key by way of its own tenant',
      'POST',
      () => `/api/tenants/${globex.id}/api-keys/${ids.apiKey}/rotate`,
      () => ({}),
    ],
    ['revoke a key by way of its own tenant', 'DELETE', () => `/api/tenants/${globex.id}/api-keys/${ids.apiKey}`],
    ['join a tenant', 'PUT', () => `/api/tenants/${acme.id}/users/${userId}`, () => ({ role: 'admin' })],
    ['remove a member by way of its own tenant', 'DELETE', () => `/api/tenants/${globex.id}/users/${userId}`],
    ['list provider credentials', 'GET', () => `/api/tenants/${acme.id}/provider-credentials`],
    [
      'set a provider credential',
      'PUT',
      () => `/api/tenants/${acme.id}/provider-credentials/openai`,
      () => ({ api_key: 'sk-stolen-key' }),
    ],
    ['show a webhook', 'GET', () => `/api/webhooks/${ids.webhook}`],
    ['change a webhook', 'PATCH', () => `/api/webhooks/${ids.webhook}`, () => ({ enabled: false })],
    ['delete a webhook', 'DELETE', () => `/api/webhooks/${ids.webhook}`],
    ['test a webhook', 'POST', () => `/api/webhooks/${ids.webhook}/test`],
    ['rotate a webhook secret', 'POST', () => `/api/webhooks/${ids.webhook}/rotate-secret`, () => ({})],
    ['read deliveries', 'GET', () => `/api/webhooks/${ids.webhook}/deliveries`],
    ['replay a delivery', 'POST', () => `/api/webhooks/${ids.webhook}/deliveries/${ids.delivery}/replay`],
  ];
  test.each(attempts)(
    'an attempt to use an id of another tenant (%s) gets 404 and changes nothing',
    async (_name, method, at, body) => {
      const answer = await unchanged(() =>
        world.send(at(), { method, as: foreignKey, ...(body ? { body: body() } : {}) }),
      );
      expect([answer.status, answer.json?.code]).toEqual([404, 'not_found']);
    },
  );

  test.each([
    ['candidate_id', () => ({ candidate_id: ids.candidate, position: { title: 'x' } })],
    ['position_id', () => ({ candidate: { name: 'x' }, position_id: ids.position })],
  ])('an id of another tenant in the body field %s is refused with the name of the field', async (field, body) => {
    const answer = await unchanged(() => create(foreignKey, body()));
    expect(answer.json).toMatchObject({ status: 422, errors: [{ field }] });
  });

  test('ids of another tenant in the query and in headers reveal nothing', async () => {
    await unchanged(async () => {
      const headers = { 'greenroom-tenant': acme.id };
      expect((await world.send('/api/sessions', { as: foreignKey, headers })).status).toBe(403);
      expect((await world.send(`/api/sessions?tenant_id=${acme.id}`, { as: foreignKey })).status).toBe(422);
      const position = { createdAt: '2999-01-01T00:00:00Z', id: ids.session };
      const cursor = encodeCursor(position, 'candidates?{}');
      const page = await world.send(`/api/candidates?cursor=${cursor}`, { as: foreignKey });
      expect([page.status, page.text.includes(ids.candidate)]).toEqual([200, false]);
      const search = await world.send('/api/candidates?search=Ada', { as: foreignKey });
      expect(search.text).not.toContain(ids.candidate);
    });
  });
});

const hostile = [
  "' or '1'='1",
  "'; drop table tenants; --",
  '1 union select * from api_keys',
  '*)(id.eq.1',
  'eq.00000000-0000-0000-0000-000000000000',
  '../../../etc/passwd',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  '%0d%0aset-cookie:%20a=b',
  '%E0%80%80',
  '%ff',
  'undefined',
  'null',
  'NaN',
  '-1',
  '0',
  '00000000-0000-0000-0000-00000000000g',
  '٠٠٠٠٠٠٠٠-0000-0000-0000-000000000000',
  'x'.repeat(400),
  '𝕬𝖉𝖆',
  '{"$gt":""}',
  '__proto__',
];

describe('malformed ids', () => {
  const places = [
    ['GET', (id: string) => `/api/sessions/${id}`],
    ['DELETE', (id: string) => `/api/sessions/${id}`],
    ['GET', (id: string) => `/api/sessions/${id}/transcript`],
    ['GET', (id: string) => `/api/candidates/${id}`],
    ['DELETE', (id: string) => `/api/candidates/${id}`],
    ['GET', (id: string) => `/api/tenants/${id}/api-keys`],
    ['DELETE', (id: string) => `/api/webhooks/${id}`],
  ] as const;
  test.each(places)('malformed ids get 404 and change nothing: %s %s', async (method, at) => {
    await unchanged(async () => {
      for (const id of hostile) {
        const answer = await world.send(at(id.includes('%') ? id : encodeURIComponent(id)), { method, as: adminKey });
        expect([id, answer.status]).toEqual([id, 404]);
      }
    });
  });

  test('malformed ids in a body, cursor or invitation code are refused and change nothing', async () => {
    await unchanged(async () => {
      for (const text of hostile) {
        const body = { candidate_id: text, position: { title: 'x' } };
        expect([text, (await create(adminKey, body)).status]).toEqual([text, 422]);
        const cursor = await world.send(`/api/sessions?cursor=${encodeURIComponent(text)}`, { as: adminKey });
        expect([text, cursor.status]).toEqual([text, 400]);
        const join = await world.send('/api/join', { method: 'POST', body: { session_id: ids.session, code: text } });
        expect([422, 410]).toContain(join.status);
      }
    });
  });
});

describe('hostile text', () => {
  const texts = [
    ...hostile,
    '🧑🏽‍💻'.repeat(20),
    '\u202Eright to left',
    'a\tb\nc',
    '<script>alert(1)</script>',
    '{{7*7}}',
    '\u0024{jndi:ldap://x}',
  ];
  test('hostile text that is valid is stored unchanged', async () => {
    for (const text of texts.filter((one) => one.length <= 200)) {
      const made = await world.send('/api/candidates', { method: 'POST', as: adminKey, body: { name: text } });
      expect([text, made.status]).toEqual([text, 201]);
      const shown = await world.send(`/api/candidates/${made.json.id}`, { as: adminKey });
      expect(shown.json.name).toBe(text);
    }
  });

  test.each([
    ['too long', 'x'.repeat(201)],
    ['a null character', 'a\u0000b'],
    ['an escape', 'a\u001b[31m'],
    ['half a character', 'a\ud800b'],
    ['nothing', ''],
    ['a number', 7],
    ['a list', ['x']],
    ['an object', { toString: 'x' }],
  ])('a name with invalid content (%s) is refused with the name of the field', async (_what, name) => {
    const answer = await unchanged(() =>
      world.send('/api/candidates', { method: 'POST', as: adminKey, body: { name } }),
    );
    expect(answer.json).toMatchObject({ status: 422, errors: [{ field: 'name' }] });
  });

  test.each<[string, string, number]>([
    ['broken JSON', '{"name":', 400],
    ['a prototype', '{"name":"x","__proto__":{"admin":true}}', 400],
    ['a constructor', '{"name":"x","constructor":{"prototype":{"admin":true}}}', 400],
    ['a hundred thousand brackets', '['.repeat(100_000), 400],
    ['too much', JSON.stringify({ name: 'x'.repeat(300_000) }), 413],
    ['an unknown field', '{"name":"x","tenant_id":"00000000-0000-4000-8000-000000000000"}', 422],
  ])('a request body with %s is refused and changes nothing', async (_what, body, status) => {
    const answer = await unchanged(() => world.send('/api/candidates', { method: 'POST', as: adminKey, body }));
    expect(answer.status, answer.text).toBe(status);
  });

  test('hostile text in request headers does not appear in response headers', async () => {
    const answer = await world.send('/api/sessions', {
      as: adminKey,
      headers: { 'x-request-id': 'a%0d%0aset-cookie: a=b', 'greenroom-tenant': '%0d%0a', origin: 'null' },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w.:-]{8,128}$/);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('browser protections', () => {
  test('responses forbid sniffing and framing, send no referrer and do not name the server software', async () => {
    for (const at of ['/api/sessions', '/nothing', '/healthz', '/docs/json']) {
      const { headers } = await world.send(at);
      expect([at, headers.get('x-content-type-options')]).toEqual([at, 'nosniff']);
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('x-powered-by')).toBeNull();
    }
  });

  test('calls and sockets from another origin are allowed only if the tenant lists that origin', async () => {
    const at = `/api/tenants/${acme.id}`;
    await world.send(at, { method: 'PATCH', as: adminKey, body: { allowed_origins: ['https://app.acme.example'] } });
    await world.deps.door.origins.refresh();
    const preflight = (origin: string) =>
      world.send('/api/sessions', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
    expect((await preflight('https://app.acme.example')).headers.get('access-control-allow-origin')).toBe(
      'https://app.acme.example',
    );
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
    const from = (origin: string, as: string) => world.send('/api/sessions', { as, headers: { origin } });
    expect((await from('https://app.acme.example', adminKey)).status).toBe(200);
    expect((await from('https://app.acme.example', foreignKey)).status).toBe(403);
    expect((await from('https://evil.example', adminKey)).status).toBe(403);
    const { join_token } = (await world.send(`/api/sessions/${ids.session}`, { as: adminKey })).json;
    const socket = openSocket(socketUrl(), { token: join_token, headers: { origin: 'https://evil.example' } });
    expect((await socket.closed).code).toBe(4401);
  });
});

test('the log of these tests contains no key and no token', () => {
  const log = world.lines.join('\n');
  for (const secret of [adminKey, foreignKey, world.operatorToken, acme.apiKey]) expect(log).not.toContain(secret);
  expect(log).not.toMatch(/eyJ[\w-]+\.eyJ/);
});
