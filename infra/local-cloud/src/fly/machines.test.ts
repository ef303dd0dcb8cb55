import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, IN_PROCESS, startHarness, until } from './testing/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

const ROOT = '/v1/apps/rooms/machines';
const call: Harness['call'] = (...args) => harness.call(...args);
const create = (body: Record<string, unknown>, config: Record<string, unknown> = {}) =>
  call('POST', ROOT, { ...body, config: { image: IN_PROCESS, ...config } });
const answered = ({ status, body }: { status: number; body: unknown }) => [status, body];

describe('create', () => {
  it('returns the machine in `created`, with the documented fields', async () => {
    const { status, body } = await create({ name: 'first', region: 'lhr' }, { metadata: { a: '1' }, env: { X: 'y' } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'first', state: 'created', region: 'lhr', host_status: 'ok', cordoned: false });
    expect(body.id).toMatch(/^[0-9a-f]{14}$/);
    expect(body.instance_id).toMatch(/^[0-9A-Z]{26}$/);
    expect(body.image_ref).toMatchObject({ registry: 'registry.fly.io', repository: 'in-process', tag: 'v1' });
    expect(body.config).toMatchObject({ metadata: { a: '1' }, guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 } });
    expect(body.events[0]).toMatchObject({ type: 'launch', status: 'created', source: 'user', request: null });
  });

  it('refuses a used name and names the machine that has it; destroying a machine frees its name at once', async () => {
    const { body: holder } = await create({ name: 'unique' });
    const error = `already_exists: unique machine name violation, machine ID ${holder.id} already exists with name "unique"`;
    expect(answered(await create({ name: 'unique' }))).toEqual([409, { error }]);
    await call('DELETE', `${ROOT}/${holder.id}?force=true`);
    await harness.reach(holder.id, 'destroyed');
    expect((await create({ name: 'unique' })).status).toBe(200);
    expect(answered(await harness.get(holder.id))).toEqual([200, expect.objectContaining({ state: 'destroyed' })]);
  });

  it('lets one of many creates with the same name succeed', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => create({ name: 'contended' })));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(all.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  it.each([
    ['lhr', 'lhr'],
    ['syd,eu', 'syd'],
    ['sa,any', 'gru'],
    ['any', 'fra'],
  ])('places region expression %s in %s', async (region, landed) => {
    expect((await create({ region })).body.region).toBe(landed);
  });

  it.each([
    [{ region: 'xyz' }, {}, 'invalid_argument: invalid region "xyz"'],
    [{}, { image: '' }, 'invalid_argument: config.image is required'],
    [
      {},
      { services: [{ protocol: 'tcp', internal_port: 80, ports: [{ port: 443, handlers: ['banana'] }] }] },
      'invalid_argument: config.services: unknown handler "banana"',
    ],
    [
      {},
      { services: [{ protocol: 'tcp', internal_port: 80, checks: [{ type: 'http', interval: 'soon' }] }] },
      'invalid_argument: time: invalid duration "soon"',
    ],
    [
      {},
      { services: [{ protocol: 'tcp', internal_port: 80, concurrency: { hard_limit: '2' } }] },
      'invalid_argument: config.services: concurrency limits',
    ],
    [{}, { env: { FLY_X: '1' } }, 'invalid_argument: environment variable FLY_X: names must not start with FLY_'],
    [{}, { guest: { cpu_kind: 'performance', cpus: 8, memory_mb: 8192 } }, 'is outside 16384..65536'],
    [{}, { guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 300 } }, 'must be a multiple of 256'],
    [{}, { metadata: { a: 1 } }, 'json: cannot unmarshal number'],
    [{}, { image: 'registry.fly.io/nothing:v1' }, 'MANIFEST_UNKNOWN'],
  ])('refuses %j %j with a 400', async (fields, config, error) => {
    const { status, body } = await create(fields, config);
    expect([status, body.error]).toEqual([400, expect.stringContaining(error)]);
  });

  it('ignores unknown configuration fields silently', async () => {
    const service = { protocol: 'tcp', internal_port: 8080, autostop: 'off', auto_stop_machines: true };
    const { body } = await create({}, { misspelt: 1, services: [service] });
    expect(body.config.misspelt).toBeUndefined();
    expect(body.config.services).toEqual([{ protocol: 'tcp', internal_port: 8080, autostop: false }]);
  });

  it('uses the next region of the expression when one is full, and refuses when all are', async () => {
    harness.fly.setCapacity('gru', 'none');
    expect((await create({ region: 'gru,iad' })).body.region).toBe('iad');
    expect(answered(await create({ region: 'gru' }))).toEqual([
      422,
      { error: 'could not find a candidate host', status: 'insufficient_capacity' },
    ]);
    harness.fly.setCapacity('gru', 0, 'org_quota');
    expect((await create({ region: 'gru' })).status).toBe(403);
    harness.fly.setCapacity('gru', 'unlimited');
  });
});

describe('list', () => {
  it('filters by metadata, state and region, and leaves destroyed machines out unless asked', async () => {
    const a = await harness.create({ region: 'nrt' }, { metadata: { job: 'x', n: '1' } });
    const b = await harness.create({ region: 'sin' }, { metadata: { job: 'x', n: '2' } });
    await Promise.all([harness.reach(a, 'started'), harness.reach(b, 'started')]);
    const ids = async (query: string) =>
      (await call('GET', `${ROOT}?${query}`)).body.map(({ id }: { id: string }) => id).sort();
    expect(await ids('metadata.job=x')).toEqual([a, b].sort());
    expect(await ids('metadata.job=x&metadata.n=2')).toEqual([b]);
    expect(await ids('metadata.job=x&region=nrt&state=started,stopped')).toEqual([a]);
    await call('DELETE', `${ROOT}/${a}?force=true`);
    await harness.reach(a, 'destroyed');
    expect(await ids('metadata.job=x')).toEqual([b]);
    expect(await ids('metadata.job=x&include_deleted=true')).toEqual([a, b].sort());
    const [summary] = (await call('GET', `${ROOT}?summary=true&metadata.n=2`)).body;
    expect([summary.config, summary.events, summary.id]).toEqual([undefined, undefined, b]);
  });

  it('pages over the organisation in order of change', async () => {
    const pages: string[][] = [];
    let cursor = '';
    do {
      const path = `/v1/orgs/local/machines?limit=3&include_deleted=true${cursor && `&cursor=${cursor}`}`;
      const { body } = await call('GET', path);
      pages.push(body.machines.map(({ id }: { id: string }) => id));
      cursor = body.next_cursor;
    } while (cursor !== '');
    const whole = (await call('GET', '/v1/orgs/local/machines?include_deleted=true')).body;
    expect(pages.flat()).toEqual(whole.machines.map(({ id }: { id: string }) => id));
    const times = whole.machines.map(({ updated_at }: { updated_at: string }) => updated_at);
    expect(times).toEqual([...times].sort());
  });

  it('lists 10,000 machines', async () => {
    const large = await startHarness();
    for (let i = 0; i < 10_000; i += 500) {
      await Promise.all(
        Array.from({ length: 500 }, () => large.create({ skip_launch: true }, { metadata: { i: 'x' } })),
      );
    }
    const { body } = await large.call('GET', ROOT);
    expect(body).toHaveLength(10_000);
    await large.stop();
  }, 60_000);
});

describe('start, stop, wait, destroy', () => {
  it.each(['created', 'stopped'] as const)(
    'a machine created with skip_launch stays in %s until it is started',
    async (rest) => {
      harness.fly.setResting(rest);
      const id = await harness.create({ skip_launch: true }, { auto_destroy: true });
      await until(async () => (await harness.get(id)).body.state === rest || undefined);
      const started = await call('POST', `${ROOT}/${id}/start`);
      expect(answered(started)).toEqual([200, { previous_state: rest, migrated: false, new_host: '' }]);
      await harness.reach(id, 'started');
      harness.fly.setResting('stopped');
    },
  );

  it('refuses a start while the image is being pulled, and just after a stop', async () => {
    const slow = await startHarness({ latency: 'documented' });
    const startedMs = performance.now();
    const id = await slow.create({ region: 'fra' });
    expect(performance.now() - startedMs).toBeGreaterThan(200);
    expect(answered(await slow.call('POST', `${ROOT}/${id}/start`))).toEqual([
      412,
      { error: "failed_precondition: unable to start machine from current state: 'created'" },
    ]);
    await slow.reach(id, 'started');
    expect(performance.now() - startedMs).toBeGreaterThan(2_000);
    await slow.call('POST', `${ROOT}/${id}/stop`, {});
    await slow.reach(id, 'stopped');
    expect(answered(await slow.call('POST', `${ROOT}/${id}/start`))).toEqual([
      412,
      { error: 'failed_precondition: machine still active, refusing to start' },
    ]);
    await slow.stop();
  }, 20_000);

  it('stops a machine, reads the body as Go does, and accepts a stop of a stopped machine', async () => {
    const id = await harness.create();
    await harness.reach(id, 'started');
    expect(answered(await call('POST', `${ROOT}/${id}/stop`, []))).toEqual([
      400,
      { error: 'json: cannot unmarshal array into Go value of type main.stopRequest' },
    ]);
    expect((await call('POST', `${ROOT}/${id}/stop`, { signal: 'SIGNONE' })).status).toBe(400);
    expect(answered(await call('POST', `${ROOT}/${id}/stop`, {}))).toEqual([200, { ok: true }]);
    await harness.reach(id, 'stopped');
    expect((await call('POST', `${ROOT}/${id}/stop`, {})).status).toBe(200);
  });

  it('waits at most 60 s, times out with 408, and answers 404 once the machine is gone', async () => {
    const id = await harness.create();
    const wait = (query: string) => call('GET', `${ROOT}/${id}/wait?${query}`);
    expect(answered(await wait('timeout=90'))).toEqual([
      400,
      { error: 'invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]' },
    ]);
    expect((await wait('state=sleepy')).status).toBe(400);
    await harness.reach(id, 'started');
    expect(answered(await wait('state=stopped&timeout=1'))).toEqual([
      408,
      { error: 'machine failed to reach desired state, stopped, currently started' },
    ]);
    const waiting = wait('state=stopped&timeout=30');
    await call('DELETE', `${ROOT}/${id}?force=true`);
    expect(answered(await waiting)).toEqual([404, { error: 'machine not found' }]);
    expect(answered(await wait('state=destroyed'))).toEqual([
      200,
      expect.objectContaining({ ok: true, state: 'destroyed' }),
    ]);
  });

  it('destroys a running machine only with `force`; destroying it twice is not an error', async () => {
    const id = await harness.create();
    await harness.reach(id, 'started');
    expect((await call('DELETE', `${ROOT}/${id}`)).status).toBe(412);
    expect(answered(await call('DELETE', `${ROOT}/${id}?force=true`))).toEqual([200, { ok: true }]);
    await harness.reach(id, 'destroyed');
    expect((await call('DELETE', `${ROOT}/${id}?force=true`)).status).toBe(200);
    expect(answered(await call('DELETE', `${ROOT}/0123456789abcd`))).toEqual([404, { error: 'machine not found' }]);
  });

  it('suspend is refused', async () => {
    expect((await call('POST', `${ROOT}/${await harness.create()}/suspend`)).status).toBe(400);
  });
});

describe('update', () => {
  it('replaces the configuration, makes a new version and refuses an old one', async () => {
    const id = await harness.create({}, { metadata: { v: '1' } });
    await harness.reach(id, 'started');
    const before = (await harness.get(id)).body.instance_id;
    const config = { image: IN_PROCESS, metadata: { v: '2' } };
    expect((await call('POST', `${ROOT}/${id}`, { config, current_version: before })).status).toBe(200);
    await harness.reach(id, 'started');
    const after = (await harness.get(id)).body;
    expect([after.config.metadata, after.instance_id === before]).toEqual([{ v: '2' }, false]);
    expect(answered(await call('POST', `${ROOT}/${id}`, { config, current_version: before }))).toEqual([
      409,
      { error: 'aborted: machine update failed due to concurrent update' },
    ]);
  });

  it('leaves a stopped machine stopped', async () => {
    const id = await harness.create();
    await harness.reach(id, 'started');
    await call('POST', `${ROOT}/${id}/stop`, {});
    await harness.reach(id, 'stopped');
    await call('POST', `${ROOT}/${id}`, { config: { image: IN_PROCESS } });
    expect((await harness.get(id)).body.state).toBe('stopped');
  });
});

describe('leases', () => {
  it('refuse changes of the machine without the nonce', async () => {
    const { body } = await create({ lease_ttl: 60 });
    expect(body.nonce).toMatch(/^[0-9a-f]+$/);
    const path = `${ROOT}/${body.id}`;
    const held = await call('POST', `${path}/stop`, {});
    expect([held.status, held.body.error]).toEqual([
      409,
      expect.stringMatching(new RegExp(`^machine ID ${body.id} lease currently held by .+@tokens.fly.io, expires at `)),
    ]);
    const nonce = { 'fly-machine-lease-nonce': body.nonce };
    expect((await call('POST', `${path}/lease`, { ttl: 5 })).status).toBe(409);
    const refreshed = await call('POST', `${path}/lease`, { ttl: 90 }, nonce);
    expect(answered(refreshed)).toEqual([
      201,
      { status: 'success', data: expect.objectContaining({ nonce: body.nonce }) },
    ]);
    expect((await call('GET', `${path}/lease`)).body.data.nonce).toBeUndefined();
    expect((await call('DELETE', `${path}/lease`, undefined, nonce)).status).toBe(200);
    expect((await call('GET', `${path}/lease`)).status).toBe(404);
    expect((await call('POST', `${path}/cordon`)).status).toBe(200);
  });
});

describe('metadata', () => {
  it('is read, set, replaced, merged and deleted without a new version; a stale version gets 412', async () => {
    const id = await harness.create({}, { metadata: { a: '1' } });
    const path = `${ROOT}/${id}/metadata`;
    const version = (await harness.get(id)).body.instance_id;
    expect((await call('POST', `${path}/b`, { value: '2' })).status).toBe(204);
    expect(answered(await call('GET', `${path}/b`))).toEqual([200, { value: '2' }]);
    expect((await call('PATCH', path, { metadata: { a: null, c: '3' }, machine_version: version })).status).toBe(204);
    expect((await call('GET', path)).body).toEqual({ b: '2', c: '3' });
    expect((await call('PUT', path, { metadata: { d: '4' } })).status).toBe(204);
    expect((await call('PUT', path, { metadata: {}, machine_version: 'old' })).status).toBe(412);
    expect((await call('DELETE', `${path}/d`)).status).toBe(204);
    expect((await call('GET', `${path}/d`)).status).toBe(404);
    expect((await harness.get(id)).body.instance_id).toBe(version);
  });
});

describe('events and cordon', () => {
  it('events come newest first, 20 by default and 50 at most', async () => {
    const id = await harness.create();
    await harness.reach(id, 'started');
    for (let i = 0; i < 30; i += 1) {
      await call('POST', `${ROOT}/${id}/restart`);
      await harness.reach(id, 'started');
    }
    const events = (query = '') => call('GET', `${ROOT}/${id}/events${query}`).then(({ body }) => body);
    expect([(await events()).length, (await events('?limit=99')).length]).toEqual([20, 50]);
    const times = (await events('?limit=50')).map(({ timestamp }: { timestamp: number }) => timestamp);
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  it('a cordon is shown on the machine; repeating it is not an error', async () => {
    const id = await harness.create({ skip_service_registration: true });
    expect((await harness.get(id)).body.cordoned).toBe(true);
    await call('POST', `${ROOT}/${id}/uncordon`);
    await call('POST', `${ROOT}/${id}/uncordon`);
    expect((await harness.get(id)).body.cordoned).toBe(false);
  });
});
