import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deploymentMark } from '@greenroom/orchestrator/tenants/onboarding.ts';
import { candidateView, erasureView, invitationView, positionView } from '@greenroom/shared/protocol/people.ts';
import { newApiKeyView, tenantView } from '@greenroom/shared/protocol/tenants.ts';
import { deliveryView, newWebhookView } from '@greenroom/shared/protocol/webhooks.ts';
import { decodeJwt } from 'jose';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { until } from '../support/session.ts';

/** Access to a tenant: credentials, people, invitations, consent, onboarding, keys, webhooks. */
let world: ApiWorld;
let acme: SeededTenant;
let globex: SeededTenant;
let adminKey: string;
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

beforeAll(async () => {
  world = await startApiWorld();
  [acme, globex] = [await world.tenant('acme'), await world.tenant('globex')];
  adminKey = await world.key(acme.id, all);
});
afterEach(() => world.fly.faults.clear());
afterAll(() => world.stop());

const session = (as = acme.apiKey, extra: object = {}) =>
  world.send('/api/sessions', {
    method: 'POST',
    as,
    body: { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra', ...extra },
  });
const auditOf = async (target: string) =>
  (await world.db.query('select action, actor, outcome from public.audit_log where target = $1 order by id', [target]))
    .rows;

describe('users', () => {
  test('users call the API with the rights of their role and name a tenant when they have several', async () => {
    const { token } = await world.user('viewer@acme.test', { [acme.id]: 'viewer' });
    expect((await world.send('/api/sessions', { as: token })).status).toBe(200);
    expect((await session(token)).json).toMatchObject({ status: 403, code: 'forbidden' });
    const both = await world.user('both@acme.test', { [acme.id]: 'viewer', [globex.id]: 'member' });
    expect((await world.send('/api/sessions', { as: both.token })).json).toMatchObject({ code: 'tenant_required' });
    const created = await world.send('/api/sessions', {
      method: 'POST',
      as: both.token,
      headers: { 'greenroom-tenant': 'globex' },
      body: { candidate: { name: 'Bob' }, position: { title: 'Cook' } },
    });
    expect(created.status, created.text).toBe(201);
    const { rows } = await world.db.query(
      'select tenant_id, user_id, api_key_id from public.interview_sessions where id = $1',
      [created.json.session_id],
    );
    expect(rows).toEqual([{ tenant_id: globex.id, user_id: both.id, api_key_id: null }]);
  });

  test('a review without the name of a reviewer is recorded under the id of the user', async () => {
    const { id, token } = await world.user('reviewer@acme.test', { [acme.id]: 'member' });
    const created = await session(token);
    await world.db.query(
      "insert into public.interview_results (session_id, tenant_id, status) values ($1, $2, 'done')",
      [created.json.session_id, acme.id],
    );
    const at = `/api/sessions/${created.json.session_id}/result`;
    const reviewed = await world.send(at, { method: 'PATCH', as: token, body: { human_reviewed: true } });
    expect(reviewed.json, reviewed.text).toMatchObject({ human_reviewed: true, reviewed_by: `user:${id}` });
  });

  test('a withdrawn membership is refused at once', async () => {
    const { id, token } = await world.user('leaver@acme.test', { [acme.id]: 'member' });
    expect((await world.send('/api/candidates', { as: token })).status).toBe(200);
    const removed = await world.send(`/api/tenants/${acme.id}/users/${id}`, { method: 'DELETE', as: adminKey });
    expect(removed.status).toBe(204);
    expect((await world.send('/api/candidates', { as: token })).status).toBe(403);
  });
});

describe('candidates and positions', () => {
  test('candidates can be created, read, listed page by page, searched and changed', async () => {
    const made = await Promise.all(
      ['Grace', 'Alan', 'Edsger'].map((name) =>
        world.send('/api/candidates', {
          method: 'POST',
          as: adminKey,
          body: { name, email: `${name}@example.com`, status: 'screening' },
        }),
      ),
    );
    for (const one of made) expect(candidateView.parse(one.json)).toEqual(one.json);
    const first = await world.send('/api/candidates?limit=2', { as: adminKey });
    const second = await world.send(`/api/candidates?limit=2&cursor=${first.json.next_cursor}`, { as: adminKey });
    const names = [...first.json.data, ...second.json.data].map((c: { name: string }) => c.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['Grace', 'Alan', 'Edsger']));
    const found = await world.send('/api/candidates?search=ALAN@example.com', { as: adminKey });
    expect(found.json.data.map((c: { name: string }) => c.name)).toEqual(['Alan']);
    const changed = await world.send(`/api/candidates/${found.json.data[0].id}`, {
      method: 'PATCH',
      as: adminKey,
      body: { status: null, external_id: 'x-1' },
    });
    expect(changed.json).toMatchObject({ status: null, external_id: 'x-1', name: 'Alan' });
    const taken = await world.send('/api/candidates', {
      method: 'POST',
      as: adminKey,
      body: { name: 'Z', email: 'alan@EXAMPLE.com' },
    });
    expect(taken.json).toMatchObject({ status: 409, code: 'conflict', errors: [{ field: 'email' }] });
  });

  test('a position can be created, changed and used by a session', async () => {
    const made = await world.send('/api/positions', { method: 'POST', as: adminKey, body: { title: 'Cook' } });
    expect(positionView.parse(made.json)).toEqual(made.json);
    const at = `/api/positions/${made.json.id}`;
    expect(
      (await world.send(at, { method: 'PATCH', as: adminKey, body: { description: 'Soups' } })).json,
    ).toMatchObject({
      title: 'Cook',
      description: 'Soups',
    });
    expect((await world.send(at, { as: globex.apiKey })).status).toBe(404);
    const withoutPeople = await world.key(acme.id, ['sessions:read']);
    expect((await world.send(at, { as: withoutPeople })).status).toBe(403);
    const used = await session(acme.apiKey, { position: undefined, position_id: made.json.id });
    expect(used.json.interview_context.position).toMatchObject({ id: made.json.id, description: 'Soups' });
  });

  test('erasing a candidate first ends live sessions, then completes by itself and is audited', async () => {
    const created = await session(acme.apiKey, { candidate: { name: 'Forget Me', email: 'forget@example.com' } });
    const { session_id, interview_context } = created.json;
    const id = interview_context.candidate.id;
    // A worker serves the session, so the erasure asks for its end first.
    await world.db.query(
      'update public.interview_sessions set machine_id = (select id from public.machines where session_id = $1 limit 1) where id = $1',
      [session_id],
    );
    const asked = await world.send(`/api/candidates/${id}`, { method: 'DELETE', as: adminKey });
    expect([asked.status, asked.json]).toEqual([
      202,
      expect.objectContaining({ status: 'ending', ending_session_ids: [session_id] }),
    ]);
    await world.db.query("select app.end_session($1, 'cancelled', 'ended_by_platform')", [session_id]);
    world.deps.ticker.start();
    await until(
      'the erasure',
      async () => (await world.send(`/api/candidates/${id}`, { as: adminKey })).status === 404,
    );
    const { rows } = await world.db.query('select name, email from public.tenant_candidates where candidate_id = $1', [
      id,
    ]);
    expect(rows).toEqual([{ name: 'Erased', email: null }]);
    expect(await auditOf(id)).toEqual([
      { action: 'candidate.erase', actor: expect.stringContaining('key:'), outcome: 'done' },
    ]);
    expect((await world.send(`/api/candidates/${id}`, { method: 'DELETE', as: adminKey })).status).toBe(404);
  });

  test('a candidate without sessions is erased at once', async () => {
    const made = await world.send('/api/candidates', { method: 'POST', as: adminKey, body: { name: 'Nobody' } });
    const erased = await world.send(`/api/candidates/${made.json.id}`, { method: 'DELETE', as: adminKey });
    expect(erasureView.parse(erased.json)).toMatchObject({ status: 'erased', sessions: 0, videos: 0 });
  });
});

describe('invitations', () => {
  const join = (body: object) => world.send('/api/join', { method: 'POST', body });
  const codeOf = (joinUrl: string) => new URL(joinUrl).hash.slice(1);

  test('an invitation code opens for one browser, works again there, and is refused to another browser', async () => {
    const { session_id } = (await session()).json;
    const invited = await world.send(`/api/sessions/${session_id}/invitations`, { method: 'POST', as: acme.apiKey });
    expect(invited.status, invited.text).toBe(201);
    const code = codeOf(invited.json.join_url);
    const first = await join({ session_id, code });
    expect(first.status, first.text).toBe(200);
    expect(decodeJwt(first.json.transcript_token)).toMatchObject({ aud: 'greenroom:transcript', session_id });
    expect((await join({ session_id, code, browser: first.json.browser })).status).toBe(200);
    expect((await join({ session_id, code, browser: 'another-browser-x' })).json).toMatchObject({
      code: 'invitation_used',
    });
    expect((await join({ session_id, code })).json).toMatchObject({ code: 'invitation_used' });
    const listed = await world.send(`/api/sessions/${session_id}/invitations`, { as: acme.apiKey });
    expect(listed.json.data.map((i: unknown) => invitationView.parse(i).status)).toEqual(['open', 'used']);
    expect(listed.text).not.toContain(code);
  });

  test('an invitation can be viewed on one device, joined on a second and continued on a third by its short code', async () => {
    const { session_id } = (await session()).json;
    const invited = await world.send(`/api/sessions/${session_id}/invitations`, { method: 'POST', as: acme.apiKey });
    const code = codeOf(invited.json.join_url);
    const browserOf = (name: string) => name.padEnd(16, '-');
    const look = async (browser: string) =>
      (
        await world.send('/api/join', {
          headers: {
            'greenroom-session': session_id,
            'greenroom-invitation': code,
            'greenroom-browser': browserOf(browser),
          },
        })
      ).json;
    const at = (path: string, browser: string, more: object = {}) =>
      world.send(path, { method: 'POST', body: { session_id, code, browser: browserOf(browser), ...more } });
    expect(await look('phone')).toMatchObject({ bound: 'no', position: { title: expect.any(String) }, joinable: true });
    expect((await at('/api/join', 'laptop')).status).toBe(200);
    expect([(await look('phone')).bound, (await look('laptop')).bound]).toEqual(['elsewhere', 'here']);
    expect((await at('/api/join/handover', 'phone')).json).toMatchObject({ code: 'invitation_invalid' });
    const { handover_code } = (await at('/api/join/handover', 'laptop')).json;
    expect(handover_code).toMatch(/^\d{6}$/);
    const wrong = handover_code === '000000' ? '111111' : '000000';
    expect((await at('/api/join/continue', 'phone', { handover_code: wrong })).json).toMatchObject({
      code: 'handover_refused',
      detail: 'Attempts left: 4.',
    });
    expect((await at('/api/join/continue', 'phone', { handover_code })).status).toBe(200);
    expect((await at('/api/join', 'phone')).status).toBe(200);
    expect((await at('/api/join', 'laptop')).json).toMatchObject({ code: 'invitation_used' });
  });

  test('resending an invitation makes a new link, and the old link and a revoked link are refused', async () => {
    const { session_id } = (await session()).json;
    const at = `/api/sessions/${session_id}/invitations`;
    const old = await world.send(at, { method: 'POST', as: acme.apiKey, body: { expires_in_minutes: 5 } });
    const fresh = await world.send(`${at}/${old.json.id}/resend`, { method: 'POST', as: acme.apiKey });
    expect(fresh.json).toMatchObject({ status: 'open', replaces: old.json.id });
    expect((await join({ session_id, code: codeOf(old.json.join_url) })).json).toMatchObject({
      code: 'invitation_invalid',
    });
    const revoked = await world.send(`${at}/${fresh.json.id}`, { method: 'DELETE', as: acme.apiKey });
    expect(revoked.json).toMatchObject({ status: 'revoked' });
    expect((await join({ session_id, code: codeOf(fresh.json.join_url) })).status).toBe(410);
  });

  test('an invitation of another tenant or session is not found', async () => {
    const [one, two] = [(await session()).json, (await session()).json];
    const invited = await world.send(`/api/sessions/${one.session_id}/invitations`, {
      method: 'POST',
      as: acme.apiKey,
    });
    const wrongs = [
      { at: `/api/sessions/${two.session_id}/invitations/${invited.json.id}`, as: acme.apiKey },
      { at: `/api/sessions/${one.session_id}/invitations/${invited.json.id}`, as: globex.apiKey },
    ];
    for (const { at, as } of wrongs) {
      expect((await world.send(at, { method: 'DELETE', as })).status).toBe(404);
      expect((await world.send(`${at}/resend`, { method: 'POST', as })).status).toBe(404);
    }
    expect((await world.send(`/api/sessions/${one.session_id}/invitations`, { as: globex.apiKey })).status).toBe(404);
  });
});

describe('sessions placed on join', () => {
  const machinesOf = async (session_id: string) =>
    (await world.db.query('select region from public.machines where session_id = $1', [session_id])).rows;

  test("the invitation exchange starts a waiting session once, in the caller's region; a wrong code starts nothing", async () => {
    const { session_id, join_url, status } = (await session(acme.apiKey, { region: undefined, placement: 'on_join' }))
      .json;
    expect([status, await machinesOf(session_id)]).toEqual(['pending', []]);
    const join = (code: string) =>
      world.send('/api/join', {
        method: 'POST',
        headers: { 'fly-region': 'syd' },
        body: { session_id, code, browser: 'the-candidates-browser' },
      });
    expect((await join('certainly-not-the-code')).status).toBe(410);
    expect(await machinesOf(session_id)).toEqual([]);
    const code = new URL(join_url).hash.slice(1);
    expect((await join(code)).status).toBe(200);
    expect((await join(code)).status).toBe(200);
    expect(await machinesOf(session_id)).toEqual([{ region: 'syd' }]);
    const begun = (await world.send(`/api/sessions/${session_id}`, { as: acme.apiKey })).json;
    expect(begun).toMatchObject({ status: 'provisioning', region: 'syd', region_reason: 'edge' });
  });
});

describe('consent', () => {
  test('a candidate joins only with the required consent, which is recorded once and only for the invited browser', async () => {
    const tenant = await world.tenant('careful');
    const key = await world.key(tenant.id, all);
    const patched = await world.send(`/api/tenants/${tenant.id}`, {
      method: 'PATCH',
      as: key,
      body: { consent: { required: true, text_version: '2026-11', text: 'We record you.' } },
    });
    expect(patched.json, patched.text).toMatchObject({ consent: { required: true, text: 'We record you.' } });
    const { session_id, join_url } = (await session(tenant.apiKey)).json;
    const code = new URL(join_url).hash.slice(1);
    const browser = 'the-candidates-browser';
    const join = (body: object = {}) =>
      world.send('/api/join', { method: 'POST', body: { session_id, code, browser, ...body } });
    expect((await join()).json).toMatchObject({ status: 409, code: 'consent_required' });

    const read = (header: string) =>
      world.send(`/api/join/consent?session_id=${session_id}`, { headers: { 'greenroom-invitation': header } });
    expect((await read('not-the-code-at-all')).status).toBe(410);
    expect((await read(code)).json).toEqual({
      required: true,
      text_version: '2026-11',
      text: 'We record you.',
      given_at: null,
      withdrawal: { effect: 'erase_interview', withdrawn_at: null, settled_at: null },
    });

    const give = (body: object = {}) =>
      world.send('/api/join/consent', {
        method: 'POST',
        body: { session_id, code, browser, text_version: '2026-11', ...body },
      });
    expect((await give({ text_version: 'another' })).json).toMatchObject({ code: 'conflict' });
    expect((await give({ browser: 'another-browser-x' })).json).toMatchObject({ code: 'invitation_used' });
    const given = await give();
    expect(given.status, given.text).toBe(200);
    expect((await give()).json).toEqual(given.json);
    expect((await join()).status).toBe(200);
    const { rows } = await world.db.query(
      'select text_version, remote_address_hash from public.consents where session_id = $1',
      [session_id],
    );
    expect(rows).toEqual([{ text_version: '2026-11', remote_address_hash: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
  });
});

describe('a candidate who does not consent', () => {
  test('ends the session, its machine is destroyed, and the platform gets the event', async () => {
    const tenant = await world.tenant('declined');
    await world.send(`/api/tenants/${tenant.id}`, {
      method: 'PATCH',
      as: world.operatorToken,
      body: { consent: { required: true, text_version: '2026-11', text: 'We record you.' } },
    });
    const { session_id, join_url } = (await session(tenant.apiKey)).json;
    const code = new URL(join_url).hash.slice(1);
    const at = (path: string, body: object = {}) =>
      world.send(path, { method: 'POST', body: { session_id, code, browser: 'the-candidates-browser', ...body } });
    expect((await at('/api/join/decline', { code: 'certainly-not-the-code' })).status).toBe(410);
    expect((await at('/api/join/decline', { browser: undefined })).json).toMatchObject({
      status: 422,
      errors: [{ field: 'browser' }],
    });
    const ending = { outcome: 'cancelled', reason: 'consent_declined' };
    const declined = await at('/api/join/decline');
    expect([declined.status, declined.json], declined.text).toEqual([200, { ending }]);
    expect((await at('/api/join/decline')).json).toEqual({ ending });
    expect((await at('/api/join')).json).toMatchObject({ code: 'session_ended' });
    expect((await at('/api/join/consent', { text_version: '2026-11' })).json).toMatchObject({ code: 'session_ended' });
    await until('its machines are gone', async () => {
      const { rows } = await world.db.query('select state from public.machines where session_id = $1', [session_id]);
      return rows.every(({ state }) => state === 'destroyed');
    });
    expect((await world.send(`/api/sessions/${session_id}`, { as: tenant.apiKey })).json).toMatchObject({
      status: 'cancelled',
      ...ending,
    });
    const { rows } = await world.db.query(
      "select data from public.session_events where session_id = $1 and type = 'consent.declined'",
      [session_id],
    );
    expect(rows).toEqual([{ data: { text_version: '2026-11' } }]);
  });

  test('cannot decline what was agreed to, nor where no consent is required', async () => {
    const { session_id, join_url } = (await session()).json;
    const declined = await world.send('/api/join/decline', {
      method: 'POST',
      body: { session_id, code: new URL(join_url).hash.slice(1), browser: 'the-candidates-browser' },
    });
    expect(declined.json).toMatchObject({ status: 409, code: 'conflict', detail: 'This session requires no consent.' });
  });
});

describe('onboarding', () => {
  const create = (body: object, as = world.operatorToken) => world.send('/api/tenants', { method: 'POST', as, body });
  /** App names contain a mark of the deployment. */
  const named = (slug: string, what: number | string) =>
    `gr-${slug}-${deploymentMark(world.deps.config.deploymentId, world.deps.config.supabase.url)}-${what}`;
  const appOf = async (name: string) => {
    const headers = { authorization: 'Bearer fo1_test' };
    const got = await fetch(`${world.fly.apiUrl}/v1/apps/${name}`, { headers });
    const policies = await fetch(`${world.fly.apiUrl}/v1/apps/${name}/network_policies`, { headers });
    return { status: got.status, app: await got.json(), policies: got.ok ? await policies.json() : [] };
  };

  test('onboarding creates the tenant, its app on its own network and the egress policy, and can be repeated', async () => {
    const made = await create({
      slug: 'initech',
      name: 'Initech',
      max_live_sessions: 2,
      allowed_regions: ['fra', 'ams'],
    });
    expect(made.status, made.text).toBe(201);
    expect(tenantView.parse(made.json)).toMatchObject({
      max_live_sessions: 2,
      allowed_regions: ['fra', 'ams'],
      apps: [{ name: named('initech', 1), network: named('initech', 'net'), status: 'ready' }],
    });
    const again = await create({ slug: 'initech', name: 'Other', max_live_sessions: 9 });
    expect([again.status, again.json.id, again.json.name, again.json.max_live_sessions]).toEqual([
      200,
      made.json.id,
      'Initech',
      2,
    ]);
    const { app, policies } = await appOf(named('initech', 1));
    expect(app).toMatchObject({ network: named('initech', 'net'), organization: { slug: 'local' } });
    expect(policies).toMatchObject([{ name: 'greenroom-egress', rules: [{ action: 'allow', direction: 'egress' }] }]);
    expect((await auditOf(made.json.id)).map((row) => row.action)).toEqual(['tenant.create']);
  });

  test("a tenant can get more apps on its one network, and each app creates at Fly's full rate", async () => {
    const { json } = await create({ slug: 'hooli', name: 'Hooli' });
    const at = `/api/tenants/${json.id}/apps`;
    const put = (count: unknown) => world.send(at, { method: 'PUT', as: world.operatorToken, body: { count } });
    const names = [1, 2, 3].map((n) => named('hooli', n));
    for (const time of ['first', 'second'])
      expect((await put(3)).json, time).toMatchObject({
        apps: names.map((name) => ({ name, network: named('hooli', 'net'), status: 'ready' })),
      });
    for (const name of names) expect((await appOf(name)).policies, name).toHaveLength(1);
    for (const count of [0, 51, 2, 'two'])
      expect((await put(count)).json, String(count)).toMatchObject({ status: 422, errors: [{ field: 'count' }] });
    expect((await world.send(at, { method: 'PUT', as: adminKey, body: { count: 4 } })).status).toBe(403);
  });

  test.each([
    ['the app could not be created', 'apps.create', { kind: 'status', status: 500, body: {} }],
    ['the reply of the create was lost', 'apps.create', { kind: 'drop_after' }],
    ['the policy could not be set', 'policies.set', { kind: 'status', status: 500, body: {} }],
  ] as const)(
    'onboarding completes by itself after a failure (%s), with one app and one policy',
    async (_name, on, action) => {
      const firedBefore = world.fly.faults.fired[on] ?? 0;
      world.fly.faults.add({ on, action });
      const slug = `half-${Math.random().toString(36).slice(2, 8)}`;
      const made = await create({ slug, name: slug });
      expect(made.status, made.text).toBe(201);
      world.deps.ticker.start();
      const apps = await until('the app is ready', async () => {
        const shown = await world.send(`/api/tenants/${made.json.id}`, { as: world.operatorToken });
        return shown.json.apps[0]?.status === 'ready' ? shown.json.apps : undefined;
      });
      expect(apps).toHaveLength(1);
      expect(world.fly.faults.fired[on]).toBe(firedBefore + 1);
      expect((await appOf(named(slug, 1))).policies).toHaveLength(1);
    },
  );

  test('onboarding never uses an app of the same name on another network and takes another name', async () => {
    await fetch(`${world.fly.apiUrl}/v1/apps`, {
      method: 'POST',
      headers: { authorization: 'Bearer fo1_test', 'content-type': 'application/json' },
      body: JSON.stringify({ app_name: named('squatted', 1), org_slug: 'local', network: 'elsewhere' }),
    });
    const made = await create({ slug: 'squatted', name: 'Squatted' });
    const [app, ...more] = made.json.apps;
    expect([app.network, app.status, more]).toEqual([named('squatted', 'net'), 'ready', []]);
    expect(app.name).toMatch(new RegExp(`^${named('squatted', 1)}-x[0-9a-f]{4}$`));
  });

  test('onboarding takes another app name when Fly answers 403 for a name of another organisation', async () => {
    world.fly.takeAppName(named('popular', 1));
    const made = await create({ slug: 'popular', name: 'Popular' });
    expect(made.json.apps).toMatchObject([{ status: 'ready' }]);
    expect(made.json.apps[0].name).not.toBe(named('popular', 1));
  });

  test('onboarding finds the network of an app that Fly shows only in its list', async () => {
    world.fly.faults.add({ on: 'apps.create', action: { kind: 'drop_after' } });
    world.fly.faults.add({ on: 'apps.get', action: { kind: 'special', name: 'no_network' }, times: 5 });
    const made = await create({ slug: 'unlisted', name: 'Unlisted' });
    world.fly.faults.clear();
    expect(made.json.apps).toEqual([
      { name: named('unlisted', 1), network: named('unlisted', 'net'), status: 'ready' },
    ]);
  });

  test('only operators can onboard and list tenants', async () => {
    for (const as of [adminKey, (await world.user('boss@acme.test', { [acme.id]: 'admin' })).token])
      expect((await create({ slug: 'mine', name: 'Mine' }, as)).status).toBe(403);
    expect((await world.send('/api/tenants', { as: adminKey })).status).toBe(403);
    const page = await world.send('/api/tenants?limit=2', { as: world.operatorToken });
    const next = await world.send(`/api/tenants?limit=100&cursor=${page.json.next_cursor}`, {
      as: world.operatorToken,
    });
    expect([...page.json.data, ...next.json.data].map((t: { slug: string }) => t.slug)).toContain('globex');
  });

  test('operators change quotas, and operators and admins change settings', async () => {
    const at = `/api/tenants/${acme.id}`;
    expect((await world.send(at, { method: 'PATCH', as: adminKey, body: { max_live_sessions: 5_000 } })).status).toBe(
      403,
    );
    const settings = await world.send(at, { method: 'PATCH', as: adminKey, body: { transcript_days: 30 } });
    expect(settings.json).toMatchObject({ transcript_days: 30, live_sessions: expect.any(Number) });
    expect(
      (await world.send(at, { method: 'PATCH', as: world.operatorToken, body: { max_live_sessions: 99 } })).json,
    ).toMatchObject({
      max_live_sessions: 99,
      transcript_days: 30,
    });
  });

  test.each<[string, string, object]>([
    ['region', 'pools/xyz', { floor: 0, ceiling: 1 }],
    ['floor', 'pools/fra', { floor: 2, ceiling: 1 }],
    ['floor', 'pools/fra', { floor: -1, ceiling: 1 }],
    ['ceiling', 'pools/fra', { floor: 0, ceiling: 1_001 }],
    ['ceiling', 'pools/fra', { floor: 0, ceiling: 1_000 }],
    ['max_live_sessions', '', { max_live_sessions: 0 }],
    ['max_duration_minutes', '', { max_duration_minutes: 0 }],
    ['starts_per_minute', '', { starts_per_minute: 0 }],
    ['max_standby', '', { max_standby: -1 }],
    ['allowed_regions.1', '', { allowed_regions: ['fra', 'xyz'] }],
  ])('an invalid %s is refused with the name of the field: %s %o', async (field, at, body) => {
    const path = `/api/tenants/${acme.id}${at === '' ? '' : `/${at}`}`;
    const refused = await world.send(path, { method: at === '' ? 'PATCH' : 'PUT', as: world.operatorToken, body });
    expect([refused.status, refused.json.errors], refused.text).toEqual([422, [expect.objectContaining({ field })]]);
  });

  test('a session above a quota is refused: its duration with 422, the number of live sessions and of starts each with its own code', async () => {
    const { json } = await create({
      ...{ slug: 'small', name: 'Small', max_live_sessions: 1, max_duration_minutes: 30, starts_per_minute: 100 },
      allowed_regions: ['fra'],
    });
    const made = await world.send(`/api/tenants/${json.id}/api-keys`, {
      method: 'POST',
      as: world.operatorToken,
      body: { name: 'k' },
    });
    const key = made.json.key;
    const start = (extra: object = {}) => session(key, { region: undefined, max_duration_minutes: 20, ...extra });
    expect((await start({ max_duration_minutes: 31 })).json).toMatchObject({
      status: 422,
      errors: [{ field: 'max_duration_minutes' }],
    });
    expect((await start()).status).toBe(201);
    const full = await start();
    expect(full.json).toMatchObject({ status: 429, code: 'tenant_quota_exceeded' });
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0);
    await world.send(`/api/tenants/${json.id}`, {
      method: 'PATCH',
      as: world.operatorToken,
      body: { max_live_sessions: 50, starts_per_minute: 1 },
    });
    const codes = [];
    for (let n = 0; n < 3; n += 1) codes.push((await start()).json.code);
    expect(codes).toContain('rate_limited');
  });

  test('after a tenant is removed its keys are refused, its Fly app is deleted and its slug stays taken', async () => {
    const { json } = await create({ slug: 'leaving', name: 'Leaving' });
    const made = await world.send(`/api/tenants/${json.id}/api-keys`, {
      method: 'POST',
      as: world.operatorToken,
      body: { name: 'k' },
    });
    expect((await session(made.json.key)).status).toBe(201);
    const removing = await world.send(`/api/tenants/${json.id}`, { method: 'DELETE', as: world.operatorToken });
    expect([removing.status, removing.json.status]).toEqual([202, 'removing']);
    world.deps.ticker.start();
    await until(
      'it is removed',
      async () =>
        (await world.send(`/api/tenants/${json.id}`, { method: 'DELETE', as: world.operatorToken })).json.status ===
        'removed',
      90_000,
    );
    expect((await session(made.json.key)).status).toBe(401);
    expect((await appOf(named('leaving', 1))).status).toBe(404);
    expect((await create({ slug: 'leaving', name: 'Again' })).status).toBe(409);
  });
});

describe('API keys', () => {
  const at = () => `/api/tenants/${acme.id}/api-keys`;
  const create = (body: object, as = adminKey) => world.send(at(), { method: 'POST', as, body });

  test('an API key is shown once, listed without its value, rotated with an overlap and revoked at once', async () => {
    const made = await create({ name: 'ci', scopes: ['sessions:read'] });
    const { key, id } = newApiKeyView.parse(made.json);
    expect(key).toMatch(/^gr_live_[\w-]{43}$/);
    expect((await world.send('/api/sessions', { as: key })).status).toBe(200);
    expect((await session(key)).status).toBe(403);
    expect((await world.send(at(), { as: adminKey })).text).not.toContain(key);
    const rotated = await world.send(`${at()}/${id}/rotate`, {
      method: 'POST',
      as: adminKey,
      body: { overlap_minutes: 5 },
    });
    expect((await world.send('/api/sessions', { as: rotated.json.key })).status).toBe(200);
    expect((await world.send('/api/sessions', { as: key })).status).toBe(200);
    expect((await world.send(`${at()}/${id}/rotate`, { method: 'POST', as: adminKey })).status).toBe(409);
    for (const revoked of [id, rotated.json.id])
      expect((await world.send(`${at()}/${revoked}`, { method: 'DELETE', as: adminKey })).status).toBe(200);
    for (const dead of [key, rotated.json.key])
      expect((await world.send('/api/sessions', { as: dead })).status).toBe(401);
    expect((await auditOf(id)).map((row) => row.action)).toEqual([
      'api_key.create',
      'api_key.rotate',
      'api_key.revoke',
    ]);
    const { rows } = await world.db.query(
      'select count(*)::int as n from public.api_keys where key_hash like $1 or prefix = $2',
      [`%${key}%`, key],
    );
    expect(rows[0].n).toBe(0);
  });

  test('API keys are listed in pages, and an invitation beyond the maximum is refused with the maximum', async () => {
    const whole = await world.send(`${at()}?limit=100`, { as: adminKey });
    const paged: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await world.send(`${at()}?limit=2${cursor ? `&cursor=${cursor}` : ''}`, { as: adminKey });
      expect(page.status).toBe(200);
      paged.push(...page.json.data);
      cursor = page.json.next_cursor;
    }
    expect(paged.length).toBeGreaterThan(3);
    expect(paged).toEqual(whole.json.data);
    expect((await world.send(`${at()}?cursor=x`, { as: adminKey })).status).toBe(400);
    const made = await session(adminKey);
    await world.db.query(
      `insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at)
       select $1, $2, encode(sha256(gen_random_uuid()::text::bytea), 'hex'), now() from generate_series(1, 100)`,
      [made.json.session_id, acme.id],
    );
    const refused = await world.send(`/api/sessions/${made.json.session_id}/invitations`, {
      method: 'POST',
      as: adminKey,
      body: {},
    });
    expect([refused.status, refused.json.detail]).toEqual([409, expect.stringContaining('already has 100')]);
  });

  test('a key or member cannot grant more rights than it has', async () => {
    const weak = await world.key(acme.id, ['tenant:read', 'tenant:admin']);
    expect((await create({ name: 'x', scopes: ['people:write'] }, weak)).status).toBe(403);
    expect((await create({ name: 'x' }, weak)).status).toBe(403);
    const strong = await create({ name: 'strong', scopes: ['people:write'] });
    expect((await world.send(`${at()}/${strong.json.id}/rotate`, { method: 'POST', as: weak })).status).toBe(403);
  });

  test('a tenant, its API keys and its provider credentials are not found with a key of another tenant', async () => {
    const other = await world.key(globex.id, all);
    for (const path of ['', '/api-keys', '/provider-credentials'])
      expect((await world.send(`/api/tenants/${acme.id}${path}`, { as: other })).status).toBe(404);
    const mine = (await world.send(at(), { as: adminKey })).json.data[0];
    const tries = await Promise.all([
      world.send(`${at()}/${mine.id}`, { method: 'DELETE', as: other }),
      world.send(`/api/tenants/${globex.id}/api-keys/${mine.id}`, { method: 'DELETE', as: other }),
      world.send(`/api/tenants/${globex.id}/api-keys/${mine.id}/rotate`, { method: 'POST', as: other }),
    ]);
    expect(tries.map((answer) => answer.status)).toEqual([404, 404, 404]);
  });
});

describe('provider credentials', () => {
  test('provider credentials are stored encrypted, listed without their value, used and deleted', async () => {
    const at = `/api/tenants/${acme.id}/provider-credentials`;
    const put = await world.send(`${at}/openai`, {
      method: 'PUT',
      as: adminKey,
      body: { api_key: 'sk-of-acme-very-secret', base_url: 'https://eu.api.openai.com/v1' },
    });
    expect(put.status, put.text).toBe(204);
    const listed = await world.send(at, { as: adminKey });
    expect(listed.json.data).toMatchObject([{ provider: 'openai', base_url: 'https://eu.api.openai.com/v1' }]);
    expect(listed.text).not.toContain('sk-of-acme');
    const { rows } = await world.db.query('select ciphertext from public.provider_credentials where tenant_id = $1', [
      acme.id,
    ]);
    expect(rows[0].ciphertext).not.toContain('sk-of-acme');
    const { providerAccess } = world.deps.api;
    const ours = await providerAccess.of(globex.id);
    expect(ours.baseUrl).toBe('http://127.0.0.1:9/v1');
    expect(await providerAccess.of(acme.id)).toEqual({
      apiKey: 'sk-of-acme-very-secret',
      baseUrl: 'https://eu.api.openai.com/v1',
    });
    expect((await world.send(`${at}/openai`, { method: 'DELETE', as: adminKey })).status).toBe(204);
    expect(await providerAccess.of(acme.id)).toEqual(ours);
    expect(world.lines.join('\n')).not.toContain('sk-of-acme');
  });

  test('a key whose row was given another base URL is not sent there', async () => {
    const at = `/api/tenants/${globex.id}/provider-credentials/openai`;
    const as = await world.key(globex.id, all);
    expect((await world.send(at, { method: 'PUT', as, body: { api_key: 'sk-of-globex' } })).status).toBe(204);
    await world.db.query(
      "update public.provider_credentials set base_url = 'https://thief.example/v1' where tenant_id = $1",
      [globex.id],
    );
    await expect(world.deps.api.providerAccess.of(globex.id)).rejects.toThrow();
    expect((await world.send(at, { method: 'DELETE', as })).status).toBe(204);
  });

  test.each([
    ['openai', 'https://api.openai.com.thief.example/v1'],
    ['openai', 'https://thief.example/v1'],
    ['openai', 'http://eu.api.openai.com/v1'],
    ['openai', 'https://eu.api.openai.com/v1?to=thief'],
    ['openai', 'https://api.openai.com@thief.example/v1'],
    ['openai', 'http://169.254.169.254/latest'],
    ['azure', 'http://127.0.0.1:9/v1'],
    ['azure', 'https://acme.openai.azure.com.thief.example/openai/v1'],
  ])('%s is not asked at %s', async (provider, base_url) => {
    const refused = await world.send(`/api/tenants/${acme.id}/provider-credentials/${provider}`, {
      method: 'PUT',
      as: adminKey,
      body: { api_key: 'sk-of-acme-very-secret', base_url },
    });
    expect(refused.json).toMatchObject({
      code: 'validation_failed',
      errors: [{ field: 'base_url', message: expect.stringMatching(/^must be a base URL of the provider/) }],
    });
  });
});

describe('webhooks', () => {
  interface Received {
    headers: Record<string, string>;
    body: string;
  }
  const received: Received[] = [];
  let status = 200;
  let hookUrl: string;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(status).end();
    });
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    hookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    world.deps.ticker.start();
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const of = (type: string) => received.filter(({ body }) => JSON.parse(body).type === type);

  test('webhooks deliver signed events, retry, sign twice after a rotation, and can be replayed', async () => {
    const added = await world.send('/api/webhooks', {
      method: 'POST',
      as: adminKey,
      body: { url: hookUrl, events: ['session.provisioning', 'session.cancelled'] },
    });
    expect(added.status, added.text).toBe(201);
    const { id, secret } = newWebhookView.parse(added.json);
    status = 503;
    const { session_id } = (await session()).json;
    const [first] = await until('a failed attempt', () =>
      of('session.provisioning').length > 0 ? of('session.provisioning') : undefined,
    );
    expect(new Webhook(secret).verify(first?.body as string, first?.headers as never)).toMatchObject({
      type: 'session.provisioning',
      data: { session_id },
    });
    status = 200;
    const deliveries = await until('it is noted', async () => {
      const listed = await world.send(`/api/webhooks/${id}/deliveries`, { as: adminKey });
      return listed.json.data[0]?.last_status === 503 ? listed.json.data : undefined;
    });
    expect(deliveryView.parse(deliveries[0])).toMatchObject({ status: 'pending', attempts: 1 });
    const rotated = await world.send(`/api/webhooks/${id}/rotate-secret`, { method: 'POST', as: adminKey });
    await world.db.query('update public.webhook_deliveries set next_attempt_at = now() where endpoint_id = $1', [id]);
    const again = await until('the second attempt', () => of('session.provisioning')[1]);
    expect(again.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    for (const one of [secret, rotated.json.secret]) new Webhook(one).verify(again.body, again.headers as never);
    await world.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: acme.apiKey });
    await until('the end', () => of('session.cancelled')[0]);
    const replay = await world.send(`/api/webhooks/${id}/deliveries/${deliveries[0].id}/replay`, {
      method: 'POST',
      as: adminKey,
    });
    expect(replay.status).toBe(202);
    await until('the replay', () => of('session.provisioning')[2]);
    expect(received.map(({ body }) => body).join()).not.toMatch(/Ada|Engineer/);
    expect(of('session.pending')).toEqual([]);
    expect((await world.send(`/api/webhooks/${id}/deliveries`, { as: await world.key(globex.id, all) })).status).toBe(
      404,
    );
  });

  test('a webhook endpoint that answers 410 is disabled, and one with an internal or unsuitable URL is refused', async () => {
    status = 410;
    const added = await world.send('/api/webhooks', {
      method: 'POST',
      as: adminKey,
      body: { url: hookUrl, events: ['session.ready'] },
    });
    await world.send(`/api/webhooks/${added.json.id}/test`, { method: 'POST', as: adminKey });
    await until(
      'it is off',
      async () => (await world.send(`/api/webhooks/${added.json.id}`, { as: adminKey })).json.enabled === false,
    );
    status = 200;
    for (const url of [
      'http://10.0.0.1/',
      'https://[fdaa::3]/',
      'https://169.254.169.254/latest',
      'ftp://x.example/',
      'https://u:p@x.example/',
    ])
      expect((await world.send('/api/webhooks', { method: 'POST', as: adminKey, body: { url } })).status).toBe(422);
  });
});

test('refused credentials are in the audit log with their address and request, without the credential', async () => {
  const strange = `gr_live_${'z'.repeat(43)}`;
  const refused = await world.send('/api/sessions', { as: strange, headers: { 'x-request-id': 'request-for-audit' } });
  expect(refused.status).toBe(401);
  const rows = await until('the entry', async () => {
    const found = await world.db.query("select * from public.audit_log where request_id = 'request-for-audit'");
    return found.rows.length > 0 ? found.rows : undefined;
  });
  expect(rows).toMatchObject([
    { actor: 'unknown', action: 'api.access', outcome: 'refused', remote_address: '127.0.0.1' },
  ]);
  expect(JSON.stringify((await world.db.query('select * from public.audit_log')).rows)).not.toContain('zzzz');
});

test('every event of this file matches the schema in docs/events.md', async () => {
  expect(eventsOfAnotherShape((await world.db.query(allEvents)).rows)).toEqual([]);
});
