import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, IN_PROCESS, startHarness, TOKEN, until } from './testing/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());
const call: Harness['call'] = (...args) => harness.call(...args);

it('refuses a call without the token, with the request id on the refusal', async () => {
  const refused = await call('GET', '/v1/apps/rooms', undefined, { authorization: 'Bearer wrong' });
  expect([refused.status, refused.body]).toEqual([401, { error: 'Authenticate: token validation error' }]);
  expect(refused.headers.get('fly-request-id')).toMatch(/^[0-9A-Z]{26}-fra$/);
  expect((await call('GET', '/v1/apps/rooms', undefined, { authorization: `FlyV1 ${TOKEN}` })).status).toBe(200);
});

it('creates an app on its network and returns the affinity cookie', async () => {
  const created = await call('POST', '/v1/apps', { app_name: 'tenant-a', org_slug: 'local', network: 'net-a' });
  expect([created.status, typeof created.body.id, typeof created.body.created_at]).toEqual([201, 'string', 'number']);
  expect(created.headers.get('set-cookie')).toMatch(/^fly_flaps_affinity=[0-9a-f]+; Path=\/v1\/apps\/tenant-a$/);
  const got = await call('GET', '/v1/apps/tenant-a');
  expect(got.body).toMatchObject({
    name: 'tenant-a',
    network: 'net-a',
    organization: { slug: 'local' },
    machine_count: 0,
  });
  const listed = await call('GET', '/v1/apps?org_slug=local');
  expect(listed.body.total_apps).toBe(listed.body.apps.length);
});

it('refuses a taken or invalid name, and answers 404 for an unknown app', async () => {
  const taken = await call('POST', '/v1/apps', { name: 'rooms', org_slug: 'local' });
  expect([taken.status, taken.body]).toEqual([
    422,
    { error: 'Validation failed: Name has already been taken', status: 'name_taken' },
  ]);
  expect((await call('POST', '/v1/apps', { name: 'Not_Good', org_slug: 'local' })).status).toBe(422);
  expect((await call('GET', '/v1/apps/nowhere')).status).toBe(404);
});

it('a deploy token is valid for its own app only', async () => {
  const { body } = await call('POST', '/v1/apps/rooms/deploy_token', { expiry: '1h' });
  const as = { authorization: body.token };
  expect((await call('GET', '/v1/apps/rooms', undefined, as)).status).toBe(200);
  expect((await call('GET', '/v1/apps/greenroom-orchestrator', undefined, as)).status).toBe(403);
  expect((await call('GET', '/v1/tokens/current', undefined, as)).body.tokens[0]).toMatchObject({ apps: ['rooms'] });
  expect((await call('GET', '/v1/tokens/current')).body.tokens[0]).toMatchObject({ org_slug: 'local' });
});

it('refuses access to an app of another organisation, whose name counts as taken', async () => {
  harness.fly.takeAppName('somebody-elses');
  const made = await call('POST', '/v1/apps', { name: 'somebody-elses', org_slug: 'local' });
  expect([made.status, made.body.status]).toEqual([422, 'name_taken']);
  for (const at of ['', '/machines', '/network_policies'])
    expect((await call('GET', `/v1/apps/somebody-elses${at}`)).status, at).toBe(403);
});

it('accepts the deletion of an app at once, then destroys its machines and removes it', async () => {
  await call('POST', '/v1/apps', { name: 'short-lived', org_slug: 'local' });
  const machine = await call('POST', '/v1/apps/short-lived/machines', { config: { image: IN_PROCESS } });
  expect((await call('DELETE', '/v1/apps/short-lived?force=true')).status).toBe(202);
  expect((await call('GET', '/v1/apps/short-lived')).status).toBe(200);
  await until(async () => (await call('GET', '/v1/apps/short-lived')).status === 404 || undefined);
  expect(harness.fly.machines().some(({ id }) => id === machine.body.id)).toBe(false);
});

it('keeps secrets whose values cannot be read back', async () => {
  const set = await call('POST', '/v1/apps/rooms/secrets', { values: { KEY: 'very secret', GONE: 'x' } });
  expect([set.status, set.body.version, set.body.secrets.length]).toEqual([200, 1, 2]);
  await call('POST', '/v1/apps/rooms/secrets', { values: { GONE: null } });
  const listed = await call('GET', '/v1/apps/rooms/secrets');
  expect(listed.body.secrets.map(({ name }: { name: string }) => name)).toEqual(['KEY']);
  expect(JSON.stringify(listed.body)).not.toContain('very secret');
  expect((await call('POST', '/v1/apps/rooms/secrets/OTHER', { value: 'y' })).status).toBe(201);
  expect((await call('DELETE', '/v1/apps/rooms/secrets/OTHER')).status).toBe(200);
});

it('assigns and releases addresses, and stores network policies', async () => {
  const assigned = await call('POST', '/v1/apps/rooms/ip_assignments', { type: 'private_v6' });
  expect(assigned.body).toMatchObject({ shared: false, region: 'global' });
  expect((await call('GET', '/v1/apps/rooms/ip_assignments')).body.ips).toHaveLength(1);
  expect((await call('DELETE', `/v1/apps/rooms/ip_assignments/${assigned.body.ip}`)).status).toBe(204);
  const policy = await call('POST', '/v1/apps/rooms/network_policies', { name: 'deny', selector: { all: true } });
  expect((await call('GET', '/v1/apps/rooms/network_policies')).body).toEqual([policy.body]);
});

it('shows the 18 regions to anyone', async () => {
  const { status, body } = await call('GET', '/v1/platform/regions', undefined, { authorization: '' });
  expect([status, body.nearest, body.regions.length]).toEqual([200, 'fra', 18]);
  expect(body.regions[0]).toMatchObject({ code: 'ams', latitude: 52.374344, gateway_available: true });
});

it('a placement dry-run returns how many machines fit into each region', async () => {
  harness.fly.setCapacity('lhr', 2);
  const placed = await call('POST', '/v1/platform/placements', { org_slug: 'local', region: 'lhr,fra', count: 5 });
  expect(placed.body.regions).toEqual([
    { region: 'lhr', count: 2, concurrency: 2 },
    { region: 'fra', count: 3, concurrency: 1_000 },
  ]);
  harness.fly.setCapacity('lhr', 'none');
  const none = await call('POST', '/v1/platform/placements', { org_slug: 'local', region: 'lhr' });
  expect([none.status, none.body.status]).toEqual([422, 'insufficient_capacity']);
  harness.fly.setCapacity('lhr', 'unlimited');
});

it('GraphQL shows the organisation with its name in identity tokens, and whether replay across networks is enabled', async () => {
  const ask = async (slug: string) => (await call('POST', '/graphql', { query: 'query', variables: { slug } })).body;
  expect(await ask('local')).toEqual({
    data: { organization: { id: 'local', slug: 'local', rawSlug: 'local', allowAllCrossNetworkReplays: false } },
  });
  harness.fly.crossNetworkReplay.enable();
  expect((await ask('local')).data.organization).toMatchObject({ allowAllCrossNetworkReplays: true });
  expect((await ask('others')).data).toEqual({ organization: null });
});

it('a token tells when it ends by its caveats', async () => {
  harness.fly.changeToken({ endsAtMs: 2_000_000_000_000 });
  const { body } = await call('POST', '/v1/tokens/authenticate', { header: 'Bearer org-token' });
  expect(body[0].caveats).toContainEqual({
    type: 'ValidityWindow',
    body: { not_before: 0, not_after: 2_000_000_000 },
  });
});
