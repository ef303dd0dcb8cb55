import { randomUUID } from 'node:crypto';
import type { SupabaseClient } from '@supabase/supabase-js';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  by,
  call,
  digest,
  entry,
  eventsOf,
  move,
  newSession,
  newTenant,
  servedSession,
  sessionRow,
  type TestTenant,
  workerClaims,
} from './support/sessions.ts';

/** The functions of tenants and access, called as the orchestrator does: with its role and token, through PostgREST. */
const project = useProject();
const db = () => project().owner;
let orchestrator: SupabaseClient;
let tenant: TestTenant;
let other: TestTenant;
beforeAll(async () => {
  orchestrator = await project().as({ role: 'orchestrator' });
  tenant = await newTenant(db());
  other = await newTenant(db());
});

async function rpc(name: string, args: Record<string, unknown> = {}): Promise<Answer> {
  const { data, error } = await orchestrator.rpc(name, args);
  if (error) throw error;
  return data;
}
const audited = async (target: string): Promise<string[]> =>
  (
    await db().query(
      "select action from public.audit_log where target = $1 and actor = 'operator:test' and request_id = 'req-1' order by id",
      [target],
    )
  ).rows.map(({ action }) => action);
const count = async (table: string, where: string, ...values: unknown[]): Promise<number> =>
  (await db().query(`select count(*)::int as n from public.${table} where ${where}`, values)).rows[0].n;

describe('API keys', () => {
  const valid = async (hash: string): Promise<boolean> =>
    (await rpc('authenticate_api_keys', { p_hashes: [hash] })).length === 1;
  const create = async (hash: string, owner = tenant, more = {}): Promise<Answer> =>
    (
      await rpc('create_api_key', {
        p_tenant_id: owner.id,
        p_name: 'ci',
        p_prefix: 'gr_live_abcd',
        p_key_hash: hash,
        p_scopes: ['sessions:read'],
        p_by: by,
        ...more,
      })
    ).key;

  test('a new API key is valid at once, expires on time and is never shown again', async () => {
    const [hash, brief] = [digest(randomUUID()), digest(randomUUID())];
    const key = await create(hash);
    expect(await valid(hash)).toBe(true);
    expect(JSON.stringify([key, await rpc('list_api_keys', { p_tenant_id: tenant.id, p_limit: 100 })])).not.toContain(
      hash,
    );
    await create(brief, tenant, { p_expires_ms: 0 });
    expect(await valid(brief)).toBe(false);
    expect(await audited(key.id)).toEqual(['api_key.create']);
  });

  test('both keys are valid during a rotation, then only the new one, and a key cannot be rotated twice', async () => {
    const [hash, next] = [digest(randomUUID()), digest(randomUUID())];
    const key = await create(hash);
    const rotate = (p_key_hash: string) =>
      rpc('rotate_api_key', {
        p_tenant_id: tenant.id,
        p_key_id: key.id,
        p_prefix: 'gr_live_efgh',
        p_key_hash,
        p_overlap_ms: 60_000,
        p_by: by,
      });
    const rotated = await rotate(next);
    expect(rotated).toMatchObject({
      kind: 'rotated',
      key: { scopes: ['sessions:read'] },
      previous: { id: key.id, replaced_by: rotated.key.id },
    });
    expect([await valid(hash), await valid(next)]).toEqual([true, true]);
    expect(await rotate(digest(randomUUID()))).toEqual({ kind: 'already_rotated', replaced_by: rotated.key.id });
    await db().query("update public.api_keys set expires_at = now() - interval '1 s' where id = $1", [key.id]);
    expect([await valid(hash), await valid(next)]).toEqual([false, true]);
    expect(await audited(key.id)).toEqual(['api_key.create', 'api_key.rotate']);
  });

  test('a revoked key is refused at once, revoking it again changes nothing, and it cannot be rotated', async () => {
    const hash = digest(randomUUID());
    const key = await create(hash);
    const args = { p_tenant_id: tenant.id, p_key_id: key.id, p_by: by };
    const revoked = await rpc('revoke_api_key', args);
    expect(await valid(hash)).toBe(false);
    expect(await rpc('revoke_api_key', args)).toEqual(revoked);
    expect(await audited(key.id)).toEqual(['api_key.create', 'api_key.revoke']);
    expect(
      await rpc('rotate_api_key', { ...args, p_prefix: 'x', p_key_hash: digest(randomUUID()), p_overlap_ms: 0 }),
    ).toEqual({ kind: 'not_found' });
  });

  test('an API key of another tenant is not found', async () => {
    const key = await create(digest(randomUUID()), other);
    expect(await rpc('revoke_api_key', { p_tenant_id: tenant.id, p_key_id: key.id, p_by: by })).toEqual({
      kind: 'not_found',
    });
    expect(
      await rpc('rotate_api_key', {
        p_tenant_id: tenant.id,
        p_key_id: key.id,
        p_prefix: 'x',
        p_key_hash: digest(randomUUID()),
        p_overlap_ms: 0,
        p_by: by,
      }),
    ).toEqual({ kind: 'not_found' });
    expect(JSON.stringify(await rpc('list_api_keys', { p_tenant_id: tenant.id, p_limit: 100 }))).not.toContain(key.id);
    expect(await rpc('get_api_key', { p_tenant_id: tenant.id, p_key_id: key.id })).toBeNull();
    expect(await rpc('get_api_key', { p_tenant_id: other.id, p_key_id: key.id })).toMatchObject({ id: key.id });
  });

  test('keys are listed in pages, newest first, without gaps or repetitions', async () => {
    const home = await newTenant(db());
    for (let n = 0; n < 5; n += 1) await create(digest(randomUUID()), home);
    const whole = await rpc('list_api_keys', { p_tenant_id: home.id, p_limit: 100 });
    const pages: Answer[] = [];
    for (let last: Answer; pages.length < 5; last = pages.at(-1))
      pages.push(
        ...(await rpc('list_api_keys', {
          p_tenant_id: home.id,
          p_limit: 2,
          p_before: last?.created_at ?? null,
          p_before_id: last?.id ?? null,
        })),
      );
    expect(pages).toEqual(whole);
    expect(whole.map(({ created_at: at }: Answer) => at)).toEqual(
      whole
        .map(({ created_at: at }: Answer) => at)
        .toSorted()
        .toReversed(),
    );
  });

  test('a tenant has at most 200 valid keys; a rotation without overlap and a key after a revocation are possible', async () => {
    const home = await newTenant(db());
    const first = await create(digest(randomUUID()), home);
    await db().query(
      `insert into public.api_keys (tenant_id, name, prefix, key_hash)
       select $1, 'many', 'x', encode(sha256(gen_random_uuid()::text::bytea), 'hex') from generate_series(1, 199)`,
      [home.id],
    );
    const more = () =>
      rpc('create_api_key', {
        p_tenant_id: home.id,
        p_name: 'one more',
        p_prefix: 'x',
        p_key_hash: digest(randomUUID()),
        p_scopes: ['sessions:read'],
        p_by: by,
      });
    const rotate = (overlap: number) =>
      rpc('rotate_api_key', {
        p_tenant_id: home.id,
        p_key_id: first.id,
        p_prefix: 'x',
        p_key_hash: digest(randomUUID()),
        p_overlap_ms: overlap,
        p_by: by,
      });
    const refused = { kind: 'limit_exceeded', limit: 200 };
    expect([await more(), await rotate(60_000)]).toEqual([refused, refused]);
    const rotated = await rotate(0);
    expect([rotated.kind, await more()]).toEqual(['rotated', refused]);
    await rpc('revoke_api_key', { p_tenant_id: home.id, p_key_id: rotated.key.id, p_by: by });
    expect((await more()).kind).toBe('created');
  });
});

describe('members', () => {
  test("a user's tenants are listed with the role in each, without removed tenants", async () => {
    const user = await project().supabase.createUser({
      email: `${randomUUID()}@example.org`,
      password: 'correct horse',
    });
    const put = (owner: TestTenant, p_role: string) =>
      rpc('put_tenant_user', { p_tenant_id: owner.id, p_user_id: user.id, p_role, p_by: by });
    await put(tenant, 'viewer');
    await put(other, 'admin');
    await put(tenant, 'member');
    const roles = async (): Promise<object> =>
      Object.fromEntries(
        (await rpc('tenants_of_user', { p_user_id: user.id })).map((one: Answer) => [one.tenant_id, one.role]),
      );
    expect(await roles()).toEqual({ [tenant.id]: 'member', [other.id]: 'admin' });
    expect(await rpc('remove_tenant_user', { p_tenant_id: other.id, p_user_id: user.id, p_by: by })).toBe(true);
    expect(await roles()).toEqual({ [tenant.id]: 'member' });
    expect(await audited(user.id)).toEqual(['member.put', 'member.put', 'member.put', 'member.remove']);
    expect(
      await rpc('put_tenant_user', { p_tenant_id: tenant.id, p_user_id: randomUUID(), p_role: 'viewer', p_by: by }),
    ).toEqual({ kind: 'user_not_found' });
  });
});

describe('invitations', () => {
  const exchange = (session: string, code: string, browser: string) =>
    rpc('exchange_invitation', {
      p_session_id: session,
      p_code_hash: digest(code),
      p_browser_hash: digest(browser),
    }).then(({ kind }) => kind);

  test('viewing an invitation binds nothing, joining binds it, and another browser needs the short code: once, five tries', async () => {
    const session = await newSession(db(), tenant);
    const code = { p_session_id: session.id, p_code_hash: digest('handed over') };
    await rpc('create_invitation', { ...code, p_tenant_id: tenant.id, p_expires_ms: 60_000, p_by: by });
    const look = (browser: string) =>
      rpc('look_at_invitation', { ...code, p_browser_hash: digest(browser) }).then(({ kind, bound }) => bound ?? kind);
    const offer = (browser: string, short: string) =>
      rpc('offer_handover', {
        ...code,
        p_browser_hash: digest(browser),
        p_handover_hash: digest(short),
        p_expires_ms: 60_000,
      }).then(({ kind }) => kind);
    const take = (browser: string, short: string) =>
      rpc('take_handover', { ...code, p_browser_hash: digest(browser), p_handover_hash: digest(short), p_by: by });
    expect([await look('phone'), await look('laptop')]).toEqual(['no', 'no']);
    expect(await exchange(session.id, 'handed over', 'phone')).toBe('accepted');
    expect([await look('phone'), await look('laptop')]).toEqual(['here', 'elsewhere']);
    expect([await offer('laptop', '123456'), await offer('phone', '123456')]).toEqual(['invalid', 'offered']);
    expect(await take('laptop', '000000')).toEqual({ kind: 'wrong', tries_left: 4 });
    expect(await take('laptop', '123456')).toEqual({ kind: 'moved' });
    expect([await look('phone'), await look('laptop')]).toEqual(['elsewhere', 'here']);
    expect(await take('phone', '123456')).toEqual({ kind: 'wrong', tries_left: 0 });
    await offer('laptop', '654321');
    for (let tries = 4; tries >= 0; tries -= 1)
      expect(await take('phone', 'wrong')).toEqual({ kind: 'wrong', tries_left: tries });
    expect(await take('phone', '654321')).toEqual({ kind: 'wrong', tries_left: 0 });
  });

  test('a code opens for one browser, a resent code replaces it, and a revoked invitation has no valid code', async () => {
    const session = await newSession(db(), tenant);
    const create = { p_session_id: session.id, p_tenant_id: tenant.id, p_expires_ms: 60_000, p_by: by };
    const { invitation } = await rpc('create_invitation', { ...create, p_code_hash: digest('one') });
    expect(invitation).toMatchObject({ session_id: session.id, status: 'open' });
    expect([
      await exchange(session.id, 'one', 'a'),
      await exchange(session.id, 'one', 'a'),
      await exchange(session.id, 'one', 'b'),
    ]).toEqual(['accepted', 'accepted', 'used']);
    const again = await rpc('resend_invitation', {
      p_session_id: session.id,
      p_invitation_id: invitation.id,
      p_tenant_id: tenant.id,
      p_code_hash: digest('two'),
      p_expires_ms: 60_000,
      p_by: by,
    });
    expect(again.invitation).toMatchObject({ replaces: invitation.id, status: 'open' });
    expect([await exchange(session.id, 'one', 'a'), await exchange(session.id, 'two', 'b')]).toEqual([
      'invalid',
      'accepted',
    ]);
    const revoke = {
      p_session_id: session.id,
      p_invitation_id: again.invitation.id,
      p_tenant_id: tenant.id,
      p_by: by,
    };
    const elsewhere = await newSession(db(), tenant);
    expect(await rpc('revoke_invitation', { ...revoke, p_tenant_id: other.id })).toEqual({ kind: 'not_found' });
    expect(await rpc('revoke_invitation', { ...revoke, p_session_id: elsewhere.id })).toEqual({ kind: 'not_found' });
    expect(await rpc('revoke_invitation', revoke)).toMatchObject({ kind: 'revoked' });
    expect(await exchange(session.id, 'two', 'b')).toBe('invalid');
    const list = await rpc('list_invitations', { p_session_id: session.id, p_tenant_id: tenant.id });
    expect(list.map((one: Answer) => one.status)).toEqual(['revoked', 'revoked']);
    expect(JSON.stringify(list)).not.toMatch(/[0-9a-f]{64}/);
    expect([await audited(invitation.id), await audited(again.invitation.id)]).toEqual([
      ['invitation.create'],
      ['invitation.resend', 'invitation.revoke'],
    ]);
  });

  test('an expired code is refused, and ended sessions or sessions of another tenant get no invitation', async () => {
    const session = await newSession(db(), tenant);
    const args = {
      p_session_id: session.id,
      p_tenant_id: tenant.id,
      p_code_hash: digest(session.id),
      p_expires_ms: 0,
      p_by: by,
    };
    await rpc('create_invitation', args);
    expect(await exchange(session.id, session.id, 'a')).toBe('invalid');
    expect(await rpc('create_invitation', { ...args, p_tenant_id: other.id })).toEqual({ kind: 'not_found' });
    await move(db(), session.id, 'cancelled', 'cancelled', 'ended_by_platform');
    expect(await rpc('create_invitation', { ...args, p_code_hash: digest('later') })).toEqual({ kind: 'ended' });
  });

  test('a session has at most 100 invitations, and sending one again counts', async () => {
    const session = await newSession(db(), tenant);
    const args = { p_session_id: session.id, p_tenant_id: tenant.id, p_expires_ms: 60_000, p_by: by };
    const { invitation } = await rpc('create_invitation', { ...args, p_code_hash: digest(`first ${session.id}`) });
    await db().query(
      `insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at, revoked_at)
       select $1, $2, encode(sha256(gen_random_uuid()::text::bytea), 'hex'), now(), now() from generate_series(1, 99)`,
      [session.id, tenant.id],
    );
    const refused = { kind: 'limit_exceeded', limit: 100 };
    const again = { ...args, p_code_hash: digest(`again ${session.id}`) };
    expect([
      await rpc('create_invitation', again),
      await rpc('resend_invitation', { ...again, p_invitation_id: invitation.id }),
      await exchange(session.id, `first ${session.id}`, 'a'),
    ]).toEqual([refused, refused, 'accepted']);
  });
});

describe('onboarding and removal', () => {
  const plan = (slug: string, settings = {}) => rpc('plan_tenant', { p_slug: slug, p_settings: settings, p_by: by });
  const planApp = (id: string, name: string) =>
    rpc('plan_app', { p_tenant_id: id, p_name: name, p_network: 'net', p_by: by });

  test('every onboarding step can be repeated, and steps that a crash left undone are listed', async () => {
    const [first, second] = [
      await plan('acme', { name: 'Acme', max_live_sessions: 3 }),
      await plan('acme', { max_live_sessions: 99 }),
    ];
    expect(first).toMatchObject({ kind: 'planned', tenant: { name: 'Acme', max_live_sessions: 3, status: 'active' } });
    expect(second).toMatchObject({ kind: 'known', tenant: { id: first.tenant.id, max_live_sessions: 3 } });
    expect([
      (await planApp(first.tenant.id, 'gr-acme-1')).kind,
      (await planApp(first.tenant.id, 'gr-acme-1')).kind,
    ]).toEqual(['planned', 'known']);
    expect((await planApp(other.id, 'gr-acme-1')).kind).toBe('name_taken');
    expect(await rpc('onboarding_debts')).toContainEqual({
      name: 'gr-acme-1',
      tenant_id: first.tenant.id,
      network: 'net',
      status: 'planned',
    });
    expect([await rpc('app_ready', { p_name: 'gr-acme-1' }), await rpc('app_ready', { p_name: 'gr-acme-1' })]).toEqual([
      true,
      true,
    ]);
    expect(JSON.stringify(await rpc('onboarding_debts'))).not.toContain('gr-acme-1');
    expect(await audited(first.tenant.id)).toEqual(['tenant.create']);
  });

  test('ten concurrent requests with one slug plan one tenant', async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => plan('rush')));
    expect(results.filter(({ kind }) => kind === 'planned')).toHaveLength(1);
    expect(new Set(results.map((one) => one.tenant.id)).size).toBe(1);
    expect(await count('tenant_counters', 'tenant_id = $1', results[0].tenant.id)).toBe(1);
  });

  test('a cursor lists every tenant once, by slug', async () => {
    const seen: string[] = [];
    for (let page: Answer[] = [{}]; page.length > 0; seen.push(...page.map(({ slug }) => slug)))
      page = await rpc('list_tenants', { p_limit: 2, p_after_slug: seen.at(-1) ?? '' });
    const { rows } = await db().query('select slug from public.tenants order by slug');
    expect(seen).toEqual(rows.map(({ slug }) => slug));
  });

  test('quotas and rules change field by field, id, slug and dates never change, and invalid values are refused', async () => {
    const { tenant: made } = await plan('changing');
    const update = (p_changes: object) => rpc('update_tenant', { p_tenant_id: made.id, p_changes, p_by: by });
    const changed = await update({
      allowed_regions: ['fra', 'cdg'],
      starts_per_minute: 60,
      id: other.id,
      slug: 'stolen',
      status: 'removed',
    });
    expect(changed.tenant).toMatchObject({
      id: made.id,
      slug: 'changing',
      status: 'active',
      allowed_regions: ['fra', 'cdg'],
      starts_per_minute: 60,
      max_live_sessions: 50,
    });
    expect((await update({ allowed_regions: null, status: 'suspended' })).tenant).toMatchObject({
      allowed_regions: null,
      status: 'suspended',
      starts_per_minute: 60,
    });
    await expect(update({ require_consent: true })).rejects.toMatchObject({ code: '23514' });
    expect((await rpc('get_tenant', { p_tenant_id: made.id })).require_consent).toBe(false);
  });

  test("pools stay within the tenant's limit even when two regions are set at once", async () => {
    const { tenant: made } = await plan('pools', { max_standby: 5 });
    const put = (p_region: string, p_ceiling: number) =>
      rpc('put_pool_policy', { p_tenant_id: made.id, p_region, p_floor: 0, p_ceiling, p_by: by });
    const results = await Promise.all([put('fra', 4), put('ams', 4)]);
    expect(results.map(({ kind }) => kind).sort()).toEqual(['limit_exceeded', 'updated']);
  });

  test('removal of a tenant can stop and continue at every step, and keeps usage and audit', async () => {
    const leaving = await newTenant(db());
    const session = await servedSession(db(), leaving, { candidate: { name: 'Grace', email: 'grace@example.org' } });
    await call(db(), 'create_api_key', {
      p_tenant_id: leaving.id,
      p_name: 'k',
      p_prefix: 'p',
      p_key_hash: digest(leaving.id),
      p_scopes: ['sessions:read'],
      p_by: by,
    });
    await rpc('put_provider_credential', {
      p_tenant_id: leaving.id,
      p_provider: 'openai',
      p_base_url: null,
      p_ciphertext: 'c',
      p_key_id: 'k',
      p_by: by,
    });
    const remove = () => rpc('remove_tenant', { p_tenant_id: leaving.id, p_by: by });

    expect(await remove()).toEqual({ kind: 'removing', live_sessions: 1, machines: 1, apps: [leaving.app] });
    expect(await rpc('authenticate_api_keys', { p_hashes: [digest(leaving.id)] })).toEqual([]);
    expect((await call(db(), 'create_sessions', { p_requests: [{ tenant_id: leaving.id }] }))[0]).toEqual({
      kind: 'tenant_inactive',
    });
    expect((await sessionRow(db(), session.id)).end_requested_at).not.toBeNull();
    await rpc('finish_session', {
      p_machine_id: session.machineId,
      p_epoch: 1,
      p_kind: 'ended',
      p_outcome: 'completed',
      p_reason: 'ended_by_candidate',
    });
    expect(await remove()).toMatchObject({ live_sessions: 0, machines: 1 });
    await rpc('record_machine_gone', { p_machine_id: session.machineId, p_machine_reason: 'session_ended' });
    expect(await remove()).toEqual({ kind: 'removing', live_sessions: 0, machines: 0, apps: [leaving.app] });
    expect(await rpc('onboarding_debts')).toContainEqual({
      name: leaving.app,
      tenant_id: leaving.id,
      network: 'net',
      status: 'removing',
    });
    expect([
      await rpc('app_removed', { p_name: leaving.app }),
      await rpc('app_removed', { p_name: leaving.app }),
      await remove(),
    ]).toEqual([{ kind: 'removed' }, { kind: 'removed' }, { kind: 'removed' }]);

    expect(await count('provider_credentials', 'tenant_id = $1', leaving.id)).toBe(0);
    expect(
      await count('tenant_candidates', "tenant_id = $1 and (erased_at is null or name <> 'Erased')", leaving.id),
    ).toBe(0);
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'cancelled', reason: 'operator_stopped' });
    expect(await audited(leaving.id)).toEqual(['tenant.create', 'tenant.remove']);
  });
});

describe('provider credentials', () => {
  test('provider credentials are stored, read as ciphertext, rotated by compare-and-set, listed without value and deleted', async () => {
    const at = { p_tenant_id: tenant.id, p_provider: 'openai' };
    const base_url = 'https://eu.api.openai.com/v1';
    const put = (p_ciphertext: string, p_base_url: string | null) =>
      rpc('put_provider_credential', { ...at, p_base_url, p_ciphertext, p_key_id: 'k1', p_by: by });
    await put('old', null);
    await put('cipher', base_url);
    expect(await rpc('get_provider_credential', at)).toEqual({ base_url, ciphertext: 'cipher', key_id: 'k1' });
    expect(await rpc('get_provider_credential', { ...at, p_tenant_id: other.id })).toBeNull();
    expect(await rpc('provider_credentials_to_rotate', { p_key_id: 'k2' })).toContainEqual({
      tenant_id: tenant.id,
      provider: 'openai',
      base_url,
      ciphertext: 'cipher',
      key_id: 'k1',
    });
    const rotate = (p_old_ciphertext: string) =>
      rpc('rotate_provider_credential', { ...at, p_old_ciphertext, p_ciphertext: 'again', p_key_id: 'k2' });
    expect([await rotate('old'), await rotate('cipher')]).toEqual([false, true]);
    expect(JSON.stringify(await rpc('provider_credentials_to_rotate', { p_key_id: 'k2' }))).not.toContain(tenant.id);
    expect(JSON.stringify(await rpc('list_provider_credentials', { p_tenant_id: tenant.id }))).not.toMatch(
      /again|cipher/,
    );
    expect([
      await rpc('delete_provider_credential', { ...at, p_by: by }),
      await rpc('delete_provider_credential', { ...at, p_by: by }),
    ]).toEqual([true, false]);
    const { rows } = await db().query(
      "select details::text from public.audit_log where action like 'provider_credential.%'",
    );
    expect(JSON.stringify(rows)).not.toMatch(/cipher/);
  });
});

describe('candidates and positions', () => {
  test('candidates are created, read, changed and listed within a tenant, with unique e-mail in any letter case', async () => {
    const home = await newTenant(db());
    const create = (candidate: object, owner = home) =>
      rpc('create_candidate', { p_tenant_id: owner.id, p_candidate: candidate });
    const { candidate } = await create({ name: 'Ada', email: 'ada@example.org', external_id: '7' });
    expect(await create({ name: 'Eve', email: 'ADA@example.org' })).toEqual({
      kind: 'conflict',
      fields: ['email'],
    });
    expect(await create({ name: 'Eve', external_id: '7' })).toEqual({
      kind: 'conflict',
      fields: ['external_id'],
    });
    expect((await create({ name: 'Ada', email: 'ada@example.org' }, other)).kind).toBe('created');
    const change = (changes: object, owner = home) =>
      rpc('change_candidate', { p_tenant_id: owner.id, p_candidate_id: candidate.id, p_changes: changes });
    expect((await change({ name: 'Ada L.', tenant_id: other.id, candidate_id: randomUUID() })).candidate).toMatchObject(
      { id: candidate.id, tenant_id: home.id, name: 'Ada L.', email: 'ada@example.org' },
    );
    expect((await change({ email: null })).candidate.email).toBeNull();
    expect(await change({ name: 'x' }, other)).toEqual({ kind: 'not_found' });
    expect(await rpc('get_candidate', { p_tenant_id: other.id, p_candidate_id: candidate.id })).toBeNull();
    expect(
      await count(
        'candidates',
        'not exists (select from public.tenant_candidates t where t.candidate_id = candidates.id)',
      ),
    ).toBe(0);
  });

  test('a cursor lists every candidate and position once, newest first', async () => {
    const home = await newTenant(db());
    for (const n of [1, 2, 3, 4, 5]) {
      await rpc('create_candidate', { p_tenant_id: home.id, p_candidate: { name: `c${n}` } });
      await rpc('create_position', { p_tenant_id: home.id, p_position: { title: `p${n}` } });
    }
    const walk = async (list: string, name: string): Promise<string[]> => {
      const seen: Answer[] = [];
      for (let page: Answer[] = []; seen.length === 0 || page.length > 0; seen.push(...page)) {
        const last = seen.at(-1);
        page = await rpc(list, {
          p_tenant_id: home.id,
          p_limit: 2,
          ...(last ? { p_before: last.created_at, p_before_id: last.id } : {}),
        });
      }
      return seen.map((one) => one[name]);
    };
    expect(await walk('list_candidates', 'name')).toEqual(['c5', 'c4', 'c3', 'c2', 'c1']);
    expect(await walk('list_positions', 'title')).toEqual(['p5', 'p4', 'p3', 'p2', 'p1']);
    expect(
      (await rpc('list_candidates', { p_tenant_id: home.id, p_limit: 9, p_search: 'C3' })).map(
        (one: Answer) => one.name,
      ),
    ).toEqual(['c3']);
    expect(await rpc('list_candidates', { p_tenant_id: home.id, p_limit: 9, p_search: '%' })).toEqual([]);
  });

  test('positions change field by field, and a position of another tenant is not found', async () => {
    const { position } = await rpc('create_position', {
      p_tenant_id: tenant.id,
      p_position: { title: 'Cook', description: 'Hot' },
    });
    const change = (owner: TestTenant) =>
      rpc('change_position', {
        p_tenant_id: owner.id,
        p_position_id: position.id,
        p_changes: { title: 'Chef', tenant_id: other.id },
      });
    expect(await change(other)).toEqual({ kind: 'not_found' });
    expect((await change(tenant)).position).toMatchObject({ tenant_id: tenant.id, title: 'Chef', description: 'Hot' });
    expect(await rpc('get_position', { p_tenant_id: other.id, p_position_id: position.id })).toBeNull();
  });
});

/** An interview that stores the person's data in every possible table. */
async function interviewed(owner: TestTenant, person: { name: string; email: string }) {
  const session = await servedSession(db(), owner, {
    candidate: person,
    metadata: { note: `about ${person.name}` },
    settings: { instructions: person.name },
    idempotency_key: randomUUID(),
    request_hash: 'h',
    sealed_code: 'sealed',
  });
  const { candidate_id } = await sessionRow(db(), session.id);
  const worker = await project().as(workerClaims(session, 1));
  const { error } = await worker.rpc('append_transcript', { p_entries: [entry('a', null, `I am ${person.name}`)] });
  expect(error).toBeNull();
  await rpc('create_invitation', {
    p_session_id: session.id,
    p_tenant_id: owner.id,
    p_code_hash: digest(session.id),
    p_expires_ms: 60_000,
    p_by: by,
  });
  const of = [session.id, owner.id];
  await db().query('insert into public.interview_results (session_id, tenant_id, summary) values ($1, $2, $3)', [
    ...of,
    person.name,
  ]);
  await db().query('insert into public.video_segments (session_id, tenant_id, video_id) values ($1, $2, $3)', [
    ...of,
    `v-${session.id}`,
  ]);
  await db().query(
    "update public.interview_sessions set video_recording_id = $2, video_recording_url = 'https://v' where id = $1",
    [session.id, `w-${session.id}`],
  );
  await db().query("select app.emit($1, $2, 'candidate.consented', $3)", [...of, { text_version: 'v1' }]);
  await db().query(
    "insert into public.consents (session_id, tenant_id, candidate_id, text_version) values ($1, $2, $3, 'v1')",
    [...of, candidate_id],
  );
  return { ...session, candidateId: candidate_id as string, worker };
}
const finish = ({ machineId }: { machineId: string }) =>
  rpc('finish_session', {
    p_machine_id: machineId,
    p_epoch: 1,
    p_kind: 'ended',
    p_outcome: 'completed',
    p_reason: 'ended_by_candidate',
  });
const erase = (owner: TestTenant, candidateId: string) =>
  rpc('erase_candidate', { p_tenant_id: owner.id, p_candidate_id: candidateId, p_by: by });

/** All rows of schema public that contain this text, by table. */
async function mentions(text: string): Promise<Record<string, number>> {
  const { rows } = await db().query(
    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
  );
  const found: Record<string, number> = {};
  for (const { relname } of rows) {
    const n = (
      await db().query(`select count(*)::int as n from public.${relname} t where position($1 in t::text) > 0`, [text])
    ).rows[0].n;
    if (n > 0) found[relname] = n;
  }
  return found;
}

describe('erasing a candidate', () => {
  test('erasing a candidate removes the person from every table, keeps a bare session and is audited', async () => {
    const person = { name: 'Hedwig Quackelbeen', email: 'hedwig@example.org' };
    const session = await interviewed(tenant, person);
    expect(Object.keys(await mentions(person.name)).length).toBeGreaterThanOrEqual(4);
    await finish(session);
    expect(await erase(tenant, session.candidateId)).toEqual({
      kind: 'erased',
      sessions: 1,
      transcript_entries: 1,
      videos: [`v-${session.id}`, `w-${session.id}`],
    });
    expect([await mentions(person.name), await mentions(person.email)]).toEqual([{}, {}]);
    for (const table of [
      'transcript_entries',
      'interview_results',
      'video_segments',
      'consents',
      'session_invitations',
      'idempotency_keys',
    ])
      expect([table, await count(table, 'session_id = $1', session.id)]).toEqual([table, 0]);
    expect(await sessionRow(db(), session.id)).toMatchObject({
      status: 'completed',
      reason: 'ended_by_candidate',
      region: 'fra',
      metadata: {},
      settings: {},
      video_recording_id: null,
    });
    expect((await eventsOf(db(), session.id)).find(({ type }) => type === 'candidate.consented').data).toEqual({
      text_version: 'v1',
    });
    expect(await audited(session.candidateId)).toEqual(['candidate.erase']);
    expect(await rpc('get_candidate', { p_tenant_id: tenant.id, p_candidate_id: session.candidateId })).toBeNull();
    expect(await erase(tenant, session.candidateId)).toEqual({ kind: 'not_found' });
    expect((await rpc('get_session', { p_session_id: session.id })).interview_context.candidate.name).toBe('Erased');
  });

  test('late transcripts, results and recordings of an erased candidate are refused', async () => {
    const session = await interviewed(tenant, { name: 'Late', email: 'late@example.org' });
    await finish(session);
    await erase(tenant, session.candidateId);
    expect((await session.worker.rpc('append_transcript', { p_entries: [entry('b', null, 'late')] })).status).toBe(410);
    const insert = (table: string, columns: string, values: string) =>
      db().query(`insert into public.${table} (session_id, tenant_id, ${columns}) values ($1, $2, ${values})`, [
        session.id,
        tenant.id,
      ]);
    await expect(insert('interview_results', 'summary', "'x'")).rejects.toMatchObject({ code: 'PT410' });
    await expect(insert('video_segments', 'video_id', "'x'")).rejects.toMatchObject({ code: 'PT410' });
    expect(await count('transcript_entries', 'session_id = $1', session.id)).toBe(0);
  });

  test('erasing a candidate first asks a live interview to end, and a repeated call completes it', async () => {
    const session = await interviewed(tenant, { name: 'Live', email: 'live@example.org' });
    expect(await erase(tenant, session.candidateId)).toEqual({ kind: 'ending', session_ids: [session.id] });
    expect((await sessionRow(db(), session.id)).end_requested_at).not.toBeNull();
    expect(await count('transcript_entries', 'session_id = $1', session.id)).toBe(1);
    await finish(session);
    expect((await erase(tenant, session.candidateId)).kind).toBe('erased');
  });

  test("erasing a candidate leaves another tenant's data about the same person", async () => {
    const person = { name: 'Shared', email: 'shared@example.org' };
    const theirs = await interviewed(other, person);
    await db().query(
      "insert into public.tenant_candidates (tenant_id, candidate_id, name, email) values ($1, $2, 'Ours', $3)",
      [tenant.id, theirs.candidateId, person.email],
    );
    const before = await mentions('Shared');
    expect(await erase(tenant, theirs.candidateId)).toMatchObject({ kind: 'erased', sessions: 0 });
    expect(await mentions('Shared')).toEqual(before);
    expect(await rpc('get_candidate', { p_tenant_id: other.id, p_candidate_id: theirs.candidateId })).toMatchObject(
      person,
    );
    expect(
      await count('tenant_candidates', 'tenant_id = $1 and candidate_id = $2', tenant.id, theirs.candidateId),
    ).toBe(0);
  });

  test('recording deletions stay due until api.video confirms, each taken by one orchestrator at a time', async () => {
    const due = await Promise.all(Array.from({ length: 6 }, () => rpc('videos_to_delete', { p_limit: 3 })));
    const ids = due.flat().map(({ video_id }) => video_id);
    expect(ids.length).toBeGreaterThanOrEqual(4);
    expect(new Set(ids).size).toBe(ids.length);
    await rpc('record_video_deleted', { p_video_id: ids[0], p_error: 'HTTP 500' });
    await rpc('record_video_deleted', { p_video_id: ids[1] });
    await db().query('update public.video_deletions set next_attempt_at = now()');
    const again = (await rpc('videos_to_delete', { p_limit: 100 })).map(({ video_id }: Answer) => video_id);
    expect([again.includes(ids[0]), again.includes(ids[1])]).toEqual([true, false]);
  });
});

describe('retention', () => {
  test('events, deliveries and usage expire by the retention of their own tenant, the oldest first', async () => {
    const brief = await newTenant(db(), { event_days: 30, usage_days: 90 });
    const keeps = await newTenant(db(), { event_days: null, usage_days: null });
    const of = (table: string, { id }: TestTenant) => count(table, 'tenant_id = $1', id);
    for (const owner of [brief, keeps]) {
      await db().query(
        "insert into public.webhook_endpoints (tenant_id, url, secret_ciphertext, key_id) values ($1, 'https://a.example', 'c', 'k')",
        [owner.id],
      );
      const { id, machineId } = await servedSession(db(), owner, { candidate: { name: 'A' } });
      await db().query(
        "insert into public.machine_usage (machine_id, tenant_id, region, size, started_seconds, cost_usd, recorded_at) values ($1, $2, 'fra', 's', 1, 1, now() - interval '91 days')",
        [machineId, owner.id],
      );
      // Of two events the first is too old; both deliveries are, and the second is still tried.
      await db().query(
        `with numbered as (select id, row_number() over (order by id) as n from public.session_events where session_id = $1)
         update public.session_events e set created_at = now() - interval '31 days' from numbered where numbered.id = e.id and n = 1`,
        [id],
      );
      await db().query(
        `with numbered as (select id, row_number() over (order by event_id) as n from public.webhook_deliveries where session_id = $1)
         update public.webhook_deliveries d set created_at = now() - interval '31 days',
           status = case n when 1 then 'delivered' else 'pending' end from numbered where numbered.id = d.id and n <= 2`,
        [id],
      );
    }
    const before = { events: await of('session_events', brief), deliveries: await of('webhook_deliveries', brief) };
    const kept = { events: await of('session_events', keeps), deliveries: await of('webhook_deliveries', keeps) };

    expect(await rpc('expire_retained', { p_limit: 100 })).toMatchObject({
      events: 1,
      deliveries: 2,
      usage: 1,
      more: false,
    });
    expect(await of('session_events', brief)).toBe(before.events - 1);
    expect(await of('session_events', keeps)).toBe(kept.events);
    expect(await of('webhook_deliveries', brief)).toBe(before.deliveries - 1);
    expect(await of('webhook_deliveries', keeps)).toBe(kept.deliveries - 1);
    expect([await of('machine_usage', brief), await of('machine_usage', keeps)]).toEqual([0, 1]);
  });

  test('what is due is deleted in steps, and "more" says whether another is needed', async () => {
    const owner = await newTenant(db(), { event_days: 30 });
    const { id } = await servedSession(db(), owner, { candidate: { name: 'A' } });
    await db().query(
      `insert into public.session_events (session_id, tenant_id, type, created_at)
       select $1, $2, 'candidate.present', now() - interval '31 days' from generate_series(1, 25)`,
      [id, owner.id],
    );
    await db().query("update public.session_events set created_at = now() - interval '31 days' where session_id = $1", [
      id,
    ]);
    const steps: Answer[] = [];
    do steps.push(await rpc('expire_retained', { p_limit: 1 }));
    while (steps.at(-1).more && steps.length < 20);
    expect(steps.slice(0, 2).map(({ events, more }) => [events, more])).toEqual([
      [10, true],
      [10, true],
    ]);
    expect(await count('session_events', 'tenant_id = $1', owner.id)).toBe(0);
  });

  test('transcripts, recordings and audit entries expire by the retention of their own tenant only', async () => {
    const brief = await newTenant(db(), { transcript_days: 30, video_days: 10, audit_days: 90 });
    const keeps = await newTenant(db());
    const [old, recent, kept] = [
      await interviewed(brief, { name: 'A', email: 'a@example.org' }),
      await interviewed(brief, { name: 'B', email: 'b@example.org' }),
      await interviewed(keeps, { name: 'C', email: 'c@example.org' }),
    ];
    for (const session of [old, recent, kept]) await finish(session);
    const age = (id: string, days: number) =>
      db().query(
        'update public.interview_sessions set completed_at = now() - make_interval(days => $2) where id = $1',
        [id, days],
      );
    await age(old.id, 31);
    await age(recent.id, 29);
    await age(kept.id, 4000);
    await db().query(
      "update public.audit_log set created_at = now() - interval '91 days' where action = 'invitation.create' and tenant_id in ($1, $2)",
      [brief.id, keeps.id],
    );

    expect(await rpc('expire_retained', { p_limit: 100 })).toMatchObject({
      transcripts: 1,
      videos: 2,
      audit_entries: 2,
      more: false,
    });
    const left = async (id: string) => [
      await count('transcript_entries', 'session_id = $1', id),
      await count('interview_results', 'session_id = $1', id),
      await count('video_segments', 'session_id = $1', id),
    ];
    expect([await left(old.id), await left(recent.id), await left(kept.id)]).toEqual([
      [0, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
    ]);
    expect(await count('video_deletions', "cause = 'retention' and tenant_id = $1", brief.id)).toBe(4);
    expect(await count('audit_log', "action = 'invitation.create' and tenant_id = $1", keeps.id)).toBe(1);
    expect(await rpc('expire_retained', { p_limit: 100 })).toMatchObject({
      transcripts: 0,
      videos: 0,
      audit_entries: 0,
    });
  });

  test('the request log keeps seven days, and of a busy tenant the newest rows', async () => {
    const [busy, calm] = [await newTenant(db()), await newTenant(db())];
    const add = (tenant: string, rows: number, days: number) =>
      db().query(
        `insert into public.api_requests (tenant_id, actor, request_id, method, path, status, took_ms, created_at)
         select $1, 'key:a', 'r' || n, 'GET', '/api/me', 200, 1, now() - make_interval(days => $3)
         from generate_series(1, $2) n`,
        [tenant, rows, days],
      );
    await add(busy.id, 30, 1);
    await add(calm.id, 4, 8);
    await add(calm.id, 3, 6);
    const step = () => rpc('expire_api_requests', { p_limit: 10, p_most: 5 });
    const steps: number[] = [];
    do steps.push(await step());
    while (steps.at(-1) !== 0 && steps.length < 20);
    expect(steps.reduce((sum, n) => sum + n, 0)).toBe(25 + 4);
    expect(Math.max(...steps)).toBeLessThanOrEqual(10);
    const left = (id: string) =>
      db().query('select request_id from public.api_requests where tenant_id = $1 order by id', [id]);
    expect((await left(busy.id)).rows.map(({ request_id }) => request_id)).toEqual(['r26', 'r27', 'r28', 'r29', 'r30']);
    expect((await left(calm.id)).rows).toHaveLength(3);
  });

  test('an idle rate limit is deleted, and one in use is kept', async () => {
    await db().query("insert into public.rate_limits values ('rest', now() - interval '2 hours'), ('use', now())");
    await rpc('expire_retained');
    expect([await count('rate_limits', "scope = 'rest'"), await count('rate_limits', "scope = 'use'")]).toEqual([0, 1]);
  });
});
