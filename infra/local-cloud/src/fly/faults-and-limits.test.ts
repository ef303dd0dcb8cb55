import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLimits } from './limits.ts';
import { type Harness, IN_PROCESS, startHarness, until } from './testing/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());
afterEach(() => harness.fly.faults.clear());

const ROOT = '/v1/apps/rooms/machines';
const call: Harness['call'] = (...args) => harness.call(...args);
const create = (name: string, region = 'fra') =>
  call('POST', ROOT, { name, region, config: { image: IN_PROCESS, metadata: { name } } });
const named = async (name: string) => (await call('GET', `${ROOT}?metadata.name=${name}`)).body;

describe('limits', () => {
  it('are 1 a second with a burst of 3 per action and identifier, 5 and 10 for Get Machine', async () => {
    const clock = createFakeClock();
    const limits = createLimits(clock);
    const burst = (action: string, id: string) =>
      Array.from({ length: 20 }, () => limits.take(action, id)).filter(Boolean);
    expect([burst('machines.create', 'a').length, burst('machines.create', 'b').length]).toEqual([3, 3]);
    expect([burst('machines.get', 'm').length, burst('apps.delete', 'org').length]).toEqual([10, 20]);
    await clock.advance(1_000);
    expect([burst('machines.create', 'a').length, burst('machines.get', 'm').length]).toEqual([1, 5]);
  });

  it('are answered 429, and can be switched off and on', async () => {
    harness.fly.setLimits(true);
    const all = await Promise.all(Array.from({ length: 5 }, () => call('GET', ROOT)));
    const refused = all.filter(({ status }) => status === 429);
    expect([refused.length, refused[0]?.body]).toEqual([2, { error: 'rate limit exceeded' }]);
    harness.fly.setLimits(false);
    expect((await call('GET', ROOT)).status).toBe(200);
  });
});

describe('faults on create', () => {
  it('a lost reply: the connection breaks, and the machine exists under its name', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'drop_after' } });
    await expect(create('lost')).rejects.toThrow();
    const [machine] = await named('lost');
    expect((await create('lost')).body.error).toContain(`machine ID ${machine.id} already exists`);
  });

  it('a connection cut before the work: no machine exists', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'drop_before' } });
    await expect(create('never')).rejects.toThrow();
    expect(await named('never')).toEqual([]);
  });

  it('a 408 after the machine was created', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'answer_after' } });
    expect((await create('ambiguous')).status).toBe(408);
    expect(await named('ambiguous')).toHaveLength(1);
  });

  it.each([
    ['no_host', 422],
    ['no_capacity', 409],
    ['host_race', 409],
    ['org_quota', 403],
    ['volume', 412],
    ['host_maintenance', 503],
  ])('row %s of the capacity table answers %i, in the matching region only', async (name, status) => {
    harness.fly.faults.add({
      on: 'machines.create',
      action: { kind: 'special', name },
      match: { region: 'iad' },
      times: Infinity,
    });
    expect((await create(`cap-${name}`, 'iad')).status).toBe(status);
    expect((await create(`cap-${name}`, 'ord')).status).toBe(200);
  });

  it('a machine stuck in `created`, while others start', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'stuck_in_created' } });
    const stuck = (await create('stuck')).body.id;
    const sibling = (await create('sibling')).body.id;
    await harness.reach(sibling, 'started');
    expect((await harness.get(stuck)).body.state).toBe('created');
    await call('DELETE', `${ROOT}/${stuck}?force=true`);
    await harness.reach(stuck, 'destroyed');
  });

  it('a boot that fails ends in launch_failed and then destroyed', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'launch_failed' } });
    const id = (await create('unlucky')).body.id;
    await harness.reach(id, 'destroyed');
    const events = (await call('GET', `${ROOT}/${id}/events`)).body;
    expect(events.map(({ status }: { status: string }) => status)).toContain('launch_failed');
  });

  it('a machine that is not found right after the create, and found later', async () => {
    harness.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'invisible', value: 300 } });
    const id = (await create('shy')).body.id;
    expect([(await harness.get(id)).status, await named('shy')]).toEqual([404, []]);
    await until(async () => (await harness.get(id)).status === 200 || undefined);
  });
});

describe('faults elsewhere', () => {
  it('an empty list once, then the correct one', async () => {
    harness.fly.faults.add({ on: 'machines.list', action: { kind: 'special', name: 'empty_list' } });
    expect((await call('GET', ROOT)).body).toEqual([]);
    expect((await call('GET', ROOT)).body.length).toBeGreaterThan(0);
  });

  it('a full host refuses the start', async () => {
    const id = await harness.create({ skip_launch: true });
    harness.fly.faults.add({ on: 'machines.start', action: { kind: 'special', name: 'host_memory' } });
    const refused = await call('POST', `${ROOT}/${id}/start`);
    expect([refused.status, refused.body.error]).toEqual([
      409,
      'aborted: could not reserve resource for machine: insufficient memory available to fulfill request on the current host',
    ]);
  });

  it('are set, used and cleared by other processes over HTTP', async () => {
    const rule = {
      on: 'machines.get',
      action: { kind: 'status', status: 502, body: { error: 'bad gateway' } },
      times: null,
    };
    expect((await call('POST', '/_local/faults', rule)).status).toBe(201);
    const id = await harness.create();
    expect([(await harness.get(id)).status, (await harness.get(id)).status]).toEqual([502, 502]);
    expect((await call('DELETE', '/_local/faults')).status).toBe(204);
    expect((await harness.get(id)).status).toBe(200);
    expect((await call('GET', '/_local/machines')).body.some((m: { id: string }) => m.id === id)).toBe(true);
    expect((await call('POST', '/_local/faults', { nonsense: true })).status).toBe(400);
  });
});
