import type { Scope } from '@greenroom/shared/protocol/access.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import type { FastifyRequest } from 'fastify';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntry } from '../database/audit-store.ts';
import type { MembershipRow } from '../database/rows.ts';
import { machineId, tenantId } from '../testing.ts';
import { hashOfToken } from '../tokens/operator-tokens.ts';
import { createAccess, sha256 } from './authenticate.ts';
import { createOrigins } from './origins.ts';
import { createRateLimits } from './rate-limits.ts';
import { createUserVerifier } from './users.ts';

const keyToken = `gr_live_${'a'.repeat(43)}`;
const operatorToken = `gr_op_${'o'.repeat(40)}`;
const viewerToken = `gr_op_${'v'.repeat(40)}`;
const userId = '66666666-6666-4666-8666-666666666666';
const otherTenant = '77777777-7777-4777-8777-777777777777';
const supabaseUrl = 'https://project.supabase.co';

const request = (authorization?: string, headers: Record<string, string> = {}) =>
  ({
    headers: { authorization, ...headers },
    ip: '192.0.2.7',
    id: 'req-1',
    method: 'GET',
    routeOptions: { url: '/api/x' },
  }) as unknown as FastifyRequest;

const member = (changes: Partial<MembershipRow> = {}): MembershipRow => ({
  tenant_id: tenantId,
  slug: 'acme',
  name: 'Acme',
  status: 'active',
  role: 'member',
  allowed_regions: null,
  ...changes,
});

let userKey: { privateKey: CryptoKey; kid: string; set: ReturnType<typeof createLocalJWKSet> };
beforeAll(async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'auth-1', alg: 'ES256' };
  userKey = { privateKey, kid: 'auth-1', set: createLocalJWKSet({ keys: [jwk] }) };
});

const userToken = (claims: JWTPayload = {}, nowMs = createFakeClock().now()) =>
  new SignJWT({ sub: userId, role: 'authenticated', iss: `${supabaseUrl}/auth/v1`, aud: 'authenticated', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: userKey.kid })
    .setExpirationTime((claims.exp as number | undefined) ?? Math.floor(nowMs / 1_000) + 600)
    .sign(userKey.privateKey);

interface World {
  key?: object;
  members?: MembershipRow[];
  perMinute?: { key: number; tenant: number };
  origins?: string[];
}

function make({ key = {}, members = [member()], perMinute = { key: 1_000, tenant: 1_000 }, origins = [] }: World = {}) {
  const clock = createFakeClock();
  const asked: string[] = [];
  const refusals: Array<Omit<AuditEntry, 'outcome'>> = [];
  const row = {
    key_hash: sha256(keyToken),
    key_id: machineId,
    tenant_id: tenantId,
    scopes: ['sessions:read'],
    tenant_status: 'active',
    test: false,
    allowed_regions: null,
    api_version: null,
    ...key,
  };
  const list = createOrigins({
    load: async () => [{ tenant_id: tenantId, origins }],
    publicUrl: 'https://interviews.example.com',
  });
  const access = createAccess({
    findKey: async (hash) => {
      asked.push(hash);
      return hash === sha256(keyToken) ? row : undefined;
    },
    memberships: async (id) => {
      asked.push(id);
      return members;
    },
    verifyUser: createUserVerifier({ supabaseUrl, clock, keys: userKey?.set }),
    operators: [
      { name: 'ops', role: 'admin', hash: hashOfToken(operatorToken) },
      { name: 'eve', role: 'viewer', hash: hashOfToken(viewerToken) },
    ],
    limits: createRateLimits({ clock, spend: async () => [] }),
    perMinute,
    origins: list,
    noteRefusal: (entry) => void refusals.push(entry),
    clock,
  });
  return { access, clock, asked, refusals, list };
}
const bearer = (token: string, headers: Record<string, string> = {}) => request(`Bearer ${token}`, headers);

describe('an API key', () => {
  test('is looked up by its hash, and cached for a second', async () => {
    const { clock, asked, access } = make();
    expect(await access.authenticate(bearer(keyToken), 'sessions:read')).toMatchObject({ tenantId, keyId: machineId });
    await access.authenticate(request(`bearer ${keyToken}`), 'sessions:read');
    expect(asked).toEqual([sha256(keyToken)]);
    await clock.advance(1_000);
    await access.authenticate(bearer(keyToken), 'sessions:read');
    expect(asked).toHaveLength(2);
  });

  test('that was dropped from the cache is looked up again, so a revocation by this process takes effect at once', async () => {
    const { asked, access } = make();
    await access.authenticate(bearer(keyToken), 'sessions:read');
    access.forgetKey(machineId);
    await access.authenticate(bearer(keyToken), 'sessions:read');
    expect(asked).toHaveLength(2);
  });

  test.each([
    undefined,
    '',
    'Basic x',
    'Bearer',
    'Bearer sb_publishable_x',
    'Bearer gr_live_short',
    `Bearer ${keyToken} x`,
    'Bearer gr_op_short',
    'Bearer ..',
  ])('in the header %j is malformed and refused without a database query', async (header) => {
    const { asked, access } = make();
    await expect(access.authenticate(request(header), 'sessions:read')).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    expect(asked).toEqual([]);
  });

  test('that is unknown is refused', async () => {
    const { access } = make();
    const other = bearer(`gr_live_${'b'.repeat(43)}`);
    await expect(access.authenticate(other, 'sessions:read')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test.each<[string, World, Scope, Record<string, string>]>([
    ['without the scope', {}, 'sessions:write', {}],
    ['for a suspended tenant', { key: { tenant_status: 'suspended' } }, 'sessions:read', {}],
    ['with the name of another tenant', {}, 'sessions:read', { 'greenroom-tenant': otherTenant }],
    ['from a page that the tenant does not allow', {}, 'sessions:read', { origin: 'https://evil.example' }],
  ])('used %s is forbidden', async (_name, world, scope, headers) => {
    await expect(make(world).access.authenticate(bearer(keyToken, headers), scope)).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  test('used from a page that the tenant allows is accepted', async () => {
    const { access, list } = make({ origins: ['https://app.acme.example'] });
    await list.refresh();
    const from = bearer(keyToken, { origin: 'https://app.acme.example' });
    expect(await access.authenticate(from, 'sessions:read')).toMatchObject({ tenantId });
  });
});

describe('a user', () => {
  test.each<['viewer' | 'member' | 'admin', Scope, boolean]>([
    ['viewer', 'sessions:read', true],
    ['viewer', 'sessions:write', false],
    ['member', 'sessions:write', true],
    ['member', 'people:write', true],
    ['member', 'tenant:admin', false],
    ['member', 'webhooks:write', false],
    ['admin', 'tenant:admin', true],
  ])('with the role %s: the scope %s is granted: %s', async (role, scope, allowed) => {
    const { access } = make({ members: [member({ role })] });
    const answer = access.authenticate(bearer(await userToken()), scope);
    if (allowed) expect(await answer).toMatchObject({ userId, keyId: null, tenantId });
    else await expect(answer).rejects.toMatchObject({ code: 'forbidden' });
  });

  test.each<[string, () => Promise<string>]>([
    ['expired', () => userToken({ exp: Math.floor(createFakeClock().now() / 1_000) - 60 })],
    ['not yet valid', () => userToken({ nbf: Math.floor(createFakeClock().now() / 1_000) + 600 })],
    ['of another issuer', () => userToken({ iss: 'https://evil.example/auth/v1' })],
    ['for another audience', () => userToken({ aud: 'greenroom:join' })],
    ['of another role', () => userToken({ role: 'orchestrator' })],
    ['without a subject', () => userToken({ sub: '' })],
  ])('whose token is %s is refused without a database query', async (_name, token) => {
    const { access, asked } = make();
    await expect(access.authenticate(bearer(await token()), 'sessions:read')).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    expect(asked).toEqual([]);
  });

  test('who belongs to several tenants must name one, by id or slug', async () => {
    const { access } = make({
      members: [member(), member({ tenant_id: otherTenant, slug: 'globex', role: 'viewer' })],
    });
    const token = await userToken();
    await expect(access.authenticate(bearer(token), 'sessions:read')).rejects.toMatchObject({
      code: 'tenant_required',
    });
    for (const name of ['globex', otherTenant, otherTenant.toUpperCase()])
      expect(await access.authenticate(bearer(token, { 'greenroom-tenant': name }), 'sessions:read')).toMatchObject({
        tenantId: otherTenant,
      });
    const strange = bearer(token, { 'greenroom-tenant': 'initech' });
    await expect(access.authenticate(strange, 'sessions:read')).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('who belongs to no tenant is forbidden', async () => {
    const answer = make({ members: [] }).access.authenticate(bearer(await userToken()), 'sessions:read');
    await expect(answer).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('a tenant named in the path', () => {
  test("gets 404 unless it is the caller's own", async () => {
    const { access, refusals } = make({ key: { scopes: ['tenant:read'] } });
    expect(await access.forTenant(bearer(keyToken), 'tenant:read', tenantId)).toMatchObject({ kind: 'tenant' });
    const foreign = [bearer(keyToken), bearer(await userToken())];
    for (const one of foreign)
      await expect(access.forTenant(one, 'tenant:read', otherTenant)).rejects.toMatchObject({ code: 'not_found' });
    expect(refusals).toHaveLength(2);
  });

  test('may be managed by operators, who may call no other route', async () => {
    const { access } = make();
    expect(await access.operator(bearer(operatorToken))).toEqual({ actor: 'operator:ops', role: 'admin' });
    expect(await access.forTenant(bearer(operatorToken), 'tenant:admin', otherTenant)).toEqual({
      kind: 'operator',
      actor: 'operator:ops',
    });
    await expect(access.authenticate(bearer(operatorToken), 'sessions:read')).rejects.toMatchObject({
      code: 'forbidden',
    });
    await expect(access.operator(bearer(keyToken))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(access.operator({ ...bearer(viewerToken), method: 'POST' } as never)).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect(await access.operator(bearer(viewerToken))).toMatchObject({ role: 'viewer' });
    await expect(access.operator(bearer(`gr_op_${'x'.repeat(40)}`))).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('a refusal', () => {
  test('is logged with actor and reason, and never with the credential', async () => {
    const { access, refusals } = make();
    const strange = `gr_live_${'s'.repeat(43)}`;
    await expect(access.authenticate(bearer(strange), 'sessions:read')).rejects.toThrow();
    await expect(access.authenticate(bearer(keyToken), 'tenant:admin')).rejects.toThrow();
    expect(refusals).toMatchObject([
      { actor: 'unknown', action: 'api.access', remote_address: '192.0.2.7', request_id: 'req-1' },
      { actor: `key:${machineId}`, tenant_id: tenantId, details: { code: 'forbidden' } },
    ]);
    expect(JSON.stringify(refusals)).not.toMatch(/gr_live|ssss|aaaa/);
  });

  test('repeated more than 120 times a minute becomes 429', async () => {
    const { access } = make();
    const codes = new Set<string>();
    for (let n = 0; n < 125; n += 1)
      await access.authenticate(request(), 'sessions:read').catch((error: { code: string }) => codes.add(error.code));
    expect([...codes]).toEqual(['unauthenticated', 'rate_limited']);
  });
});

describe('guessed keys', () => {
  const guess = (n: number) => bearer(`gr_live_${String(n).padStart(43, 'g')}`);
  const codeOf = (answer: Promise<unknown>) =>
    answer.then(
      () => 'admitted',
      (error: { code: string }) => error.code,
    );

  test('cause a limited number of look-ups a minute, and a known key from the same address still works', async () => {
    const { access, asked, clock } = make();
    await access.authenticate(bearer(keyToken), 'sessions:read');
    for (let n = 0; n < 500; n += 1) await codeOf(access.authenticate(guess(n), 'sessions:read'));
    expect(asked.length).toBeLessThanOrEqual(121);
    expect(await codeOf(access.authenticate(guess(501), 'sessions:read'))).toBe('rate_limited');
    await clock.advance(2_000); // The good key is no longer cached, and is looked up despite the limit.
    expect(await codeOf(access.authenticate(bearer(keyToken), 'sessions:read'))).toBe('admitted');
  });

  test('do not include one valid key that is used in 500 requests at once, before it is cached', async () => {
    const { access } = make();
    const many = Array.from({ length: 500 }, () => codeOf(access.authenticate(bearer(keyToken), 'sessions:read')));
    expect(new Set(await Promise.all(many))).toEqual(new Set(['admitted']));
  });

  test('from always new addresses are limited, too', async () => {
    const { access, asked } = make();
    for (let n = 0; n < 4_000; n += 1) {
      const from = bearer(`gr_live_${String(n).padStart(43, 'g')}`, {
        'fly-client-ip': `2001:db8:${n.toString(16)}::1`,
      });
      await codeOf(access.authenticate(from, 'sessions:read'));
    }
    expect(asked.length).toBeLessThanOrEqual(3_000);
  });

  test('from one IPv6 /64 network share one limit', async () => {
    const { access, asked } = make();
    for (let n = 0; n < 300; n += 1) {
      const from = bearer(`gr_live_${String(n).padStart(43, 'g')}`, { 'fly-client-ip': `2001:db8::${n.toString(16)}` });
      await codeOf(access.authenticate(from, 'sessions:read'));
    }
    expect(asked.length).toBeLessThanOrEqual(120);
  });
});

test('a key over its limit is refused and told when to try again', async () => {
  const { access, clock } = make({ perMinute: { key: 2, tenant: 60 } });
  const first = bearer(keyToken);
  await access.authenticate(first, 'sessions:read');
  expect(access.drawnBy(first)).toMatchObject({ limit: 2, remaining: 1 });
  await access.authenticate(bearer(keyToken), 'sessions:read');
  await expect(access.authenticate(bearer(keyToken), 'sessions:read')).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterS: 30,
  });
  await clock.advance(30_000);
  await access.authenticate(bearer(keyToken), 'sessions:read');
});
