import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  by,
  call,
  claim,
  eventsOf,
  move,
  newTenant,
  sessionRequest,
  sessionRow,
  type TestTenant,
} from './support/sessions.ts';

/** Standby machines, schedules, the queue, shared limits and usage, tested through the SQL functions. */
const project = useProject();
const image = 'worker:1';
const launch = {
  orchestrator_id: randomUUID(),
  image,
  taken_ms: 2_000,
  life_ms: 600_000,
  default_region: 'fra',
};
const db = () => project().owner;

/** A standby machine after Fly has created it. */
async function standby(tenant: TestTenant, region = 'fra', changes: { image?: string } = {}): Promise<string> {
  const { rows } = await db().query(
    `insert into public.machines (tenant_id, app_name, region, image, state, created_at, fly_machine_id)
     values ($1, $2, $3, $4, 'created', clock_timestamp(), 'fly-' || gen_random_uuid()) returning id`,
    [tenant.id, tenant.app, region, changes.image ?? image],
  );
  return rows[0].id;
}
const create = async (tenant: TestTenant, changes: Record<string, unknown> = {}): Promise<Answer> => {
  const [result] = await call(db(), 'create_sessions', { p_requests: [sessionRequest(tenant.id, changes)] });
  return result;
};
const machineRow = async (id: string): Promise<Answer> =>
  (await db().query('select * from public.machines where id = $1', [id])).rows[0];
const live = async (tenant: TestTenant): Promise<number> =>
  (await db().query('select live_sessions from public.tenant_counters where tenant_id = $1', [tenant.id])).rows[0]
    .live_sessions;
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

const begin = (lead = 30_000): Promise<Answer[]> =>
  call(db(), 'start_scheduled', {
    p_launch: launch,
    p_lead_ms: lead,
    p_queue_ms: 60_000,
    p_limit: 1_000,
  });
const begun = async (id: string, lead?: number) => (await begin(lead)).find((r) => r.session_id === id);

describe('assigning standby machines', () => {
  test('a session takes a standby machine in its nearest region, and that machine is started instead of created', async () => {
    const tenant = await newTenant(db());
    await standby(tenant, 'syd');
    const near = await standby(tenant, 'ams');
    const { kind, intent, session } = await create(tenant, { regions: ['fra', 'ams', 'syd'] });
    expect({ kind, action: intent.action, machine: intent.machine_id }).toEqual({
      kind: 'created',
      action: 'start',
      machine: near,
    });
    expect(session).toMatchObject({ region: 'ams', region_reason: 'standby', status: 'provisioning' });
    expect((await eventsOf(db(), session.session_id)).map((e) => e.type)).toEqual([
      'session.pending',
      'machine.assigned',
      'session.provisioning',
    ]);
  });

  test('a session never takes a standby machine in a region outside its own list', async () => {
    const tenant = await newTenant(db());
    await standby(tenant, 'syd');
    const { intent } = await create(tenant, { regions: ['fra', 'ams'] });
    expect(intent).toMatchObject({ action: 'create', region: 'fra' });
  });

  test('a session never takes a standby machine of another tenant', async () => {
    const [rich, poor] = [await newTenant(db()), await newTenant(db())];
    await standby(rich);
    expect((await create(poor)).intent.action).toBe('create');
  });

  test('a session prefers a standby machine with its own image and takes another image when there is no other', async () => {
    const tenant = await newTenant(db());
    const old = await standby(tenant, 'fra', { image: 'worker:0' });
    const fresh = await standby(tenant);
    expect((await create(tenant)).intent.machine_id).toBe(fresh);
    expect((await create(tenant)).intent.machine_id).toBe(old);
  });

  test('forty sessions created at once take each of 25 standby machines at most once', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 100 });
    for (let n = 0; n < 25; n += 1) await standby(tenant);
    const results = await Promise.all(Array.from({ length: 40 }, () => create(tenant)));
    const started = results.filter((r) => r.intent.action === 'start').map((r) => r.intent.machine_id);
    expect([started.length, new Set(started).size]).toEqual([25, 25]);
  });

  test('the worker in a standby machine claims by name like any other worker', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    const { fly_machine_id } = await machineRow(id);
    const { session } = await create(tenant);
    const answer = await call(db(), 'app.claim_session', {
      p_machine_name: `gr-${id}`,
      p_app_name: tenant.app,
      p_fly_machine_id: fly_machine_id,
      p_boot_nonce: 'boot',
      p_lease_ms: 20_000,
      p_life_ms: 600_000,
    });
    expect(answer).toMatchObject({ kind: 'claimed', session: { session_id: session.session_id, epoch: 1 } });
  });

  test('the claim of a standby machine without a session is refused', async () => {
    const tenant = await newTenant(db());
    const machineId = await standby(tenant);
    expect(await claim(db(), { machineId, app: tenant.app })).toMatchObject({ kind: 'refused', why: 'not assigned' });
  });

  test('a machine that was on standby for an hour is judged by the time since its assignment', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    await db().query("update public.machines set created_at = clock_timestamp() - interval '1 hour' where id = $1", [
      id,
    ]);
    await create(tenant);
    const alive: Answer[] = await call(db(), 'machines_alive');
    expect(alive.find((m) => m.machine_id === id).state_ms).toBeLessThan(600_000);
  });

  test('with every region closed, a session takes a standby machine and tries nothing else', async () => {
    const tenant = await newTenant(db());
    expect(await create(tenant, { all_closed: true })).toEqual({ kind: 'no_capacity' });
    expect(await live(tenant)).toBe(0);
    await standby(tenant);
    expect((await create(tenant, { all_closed: true })).intent.action).toBe('start');
  });
});

describe('starting standby machines', () => {
  const take = (): Promise<Answer[]> =>
    call(db(), 'take_starts', {
      p_orchestrator_id: randomUUID(),
      p_taken_ms: 2_000,
      p_late_ms: 10_000,
      p_limit: 1_000,
    });
  const taken = async (id: string) => (await take()).find((m) => m.machine_id === id);
  const runOut = (id: string) => db().query('update public.machines set taken_until = null where id = $1', [id]);

  test('an assigned machine is first started by the orchestrator that took it, later by any orchestrator', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    await create(tenant);
    expect(await taken(id)).toBeUndefined();
    await runOut(id);
    expect(await taken(id)).toMatchObject({ action: 'start', late: false });
    await runOut(id);
    expect(
      await call(db(), 'record_starts', {
        p_starts: [{ machine_id: id, fly_request_id: 'req', asked_ms: 20, answered_ms: 5 }],
      }),
    ).toBe(1);
    expect(await taken(id)).toBeUndefined();
  });

  // Failure pinned: the record of a start and a claim waited for each other, and Postgres ended one of them after a second.
  test('the record of a start does not wait for a claim, which has locked the session', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    const { session } = await create(tenant);
    const claiming = await db().connect();
    try {
      await claiming.query('begin');
      await claiming.query('select 1 from public.interview_sessions where id = $1 for update', [session.session_id]);
      const starts = [{ machine_id: id, fly_request_id: 'req', asked_ms: 20, answered_ms: 5 }];
      expect(await call(db(), 'record_starts', { p_starts: starts })).toBe(1);
      await claiming.query('select 1 from public.machines where id = $1 for update', [id]);
    } finally {
      await claiming.query('rollback');
      claiming.release();
    }
    expect(await machineRow(id)).toMatchObject({ fly_request_id: 'req', start_requested_at: expect.any(Date) });
  });

  test('a machine that was asked to start and gave no sign of life is listed again as late', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    await create(tenant);
    await call(db(), 'record_starts', {
      p_starts: [{ machine_id: id, fly_request_id: 'req', asked_ms: 20, answered_ms: 5 }],
    });
    await db().query(
      "update public.machines set start_requested_at = clock_timestamp() - interval '11 seconds', taken_until = null where id = $1",
      [id],
    );
    expect(await taken(id)).toMatchObject({ late: true });
  });

  test('after a failed start a session tries the next standby machine, then a new machine, then ends', async () => {
    const tenant = await newTenant(db());
    const [first, second] = [await standby(tenant), await standby(tenant)];
    const { session } = await create(tenant);
    const fail = (id: string) =>
      call(db(), 'record_start_failed', { p_machine_id: id, p_launch: { ...launch, max_failed: 5, max_attempts: 1 } });
    const next = await fail(first);
    expect(next).toMatchObject({ kind: 'next', intent: { action: 'start', machine_id: second, attempt: 2 } });
    const third = await fail(second);
    expect(third).toMatchObject({ kind: 'next', intent: { action: 'create', attempt: 3 } });
    expect(await machineRow(first)).toMatchObject({ state: 'destroying', reason: 'start_failed' });
    expect(await fail(first)).toEqual({ kind: 'stale' });
    expect(await sessionRow(db(), session.session_id)).toMatchObject({ status: 'provisioning' });
  });
});

describe('scheduled sessions', () => {
  test('a scheduled session uses no machine and no quota until its time is near, and then starts once', async () => {
    const tenant = await newTenant(db());
    const { session, intent, ahead } = await create(tenant, { scheduled_at: inMs(3_600_000), start_lead_ms: 30_000 });
    expect([session.status, intent, await live(tenant)]).toEqual(['scheduled', null, 0]);
    expect(ahead).toMatchObject({ ahead: 1, standby: 0, creates_per_second: 1 });
    expect(await begun(session.session_id)).toBeUndefined();
    const results = await Promise.all([1, 2, 3].map(() => begun(session.session_id, 3_700_000)));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await live(tenant)).toBe(1);
    expect((await sessionRow(db(), session.session_id)).status).toBe('provisioning');
  });

  test('a scheduled session expires counted from its scheduled time, not from its creation', async () => {
    const tenant = await newTenant(db());
    const { session } = await create(tenant, { scheduled_at: inMs(86_400_000), expires_ms: 3_600_000 });
    expect(Date.parse(session.expires_at) - Date.now()).toBeGreaterThan(89_000_000);
  });

  test('a scheduled session can be moved before it starts, and its invitations move with it', async () => {
    const tenant = await newTenant(db());
    const { session } = await create(tenant, { scheduled_at: inMs(3_600_000), invitation_hash: 'a'.repeat(64) });
    const to = (id: string, at: string, tenantId = tenant.id) =>
      call(db(), 'reschedule_session', {
        p_session_id: id,
        p_tenant_id: tenantId,
        p_scheduled_at: at,
        p_expires_ms: 3_600_000,
      });
    const later = inMs(7_200_000);
    expect(await to(session.session_id, later)).toMatchObject({ kind: 'rescheduled', ahead: { ahead: 1 } });
    expect(await to(session.session_id, later, randomUUID())).toEqual({ kind: 'not_found' });
    await begun(session.session_id, 7_300_000);
    expect(await to(session.session_id, later)).toMatchObject({ kind: 'begun' });
    await db().query('delete from public.session_invitations where session_id = $1', [session.session_id]);
  });

  test("a scheduled session over the tenant's limit is queued", async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    await create(tenant);
    const { session } = await create(tenant, { scheduled_at: inMs(5_000), start_lead_ms: 0 });
    expect(await begun(session.session_id)).toMatchObject({ kind: 'queued' });
    expect(await sessionRow(db(), session.session_id)).toMatchObject({ status: 'pending', counted: false });
  });
});

describe('the queue of a tenant at its limit', () => {
  const queue = { admission: 'queue', max_queued: 2, queue_ms: 60_000 };
  const admit = (): Promise<Answer[]> => call(db(), 'admit_queued', { p_launch: launch, p_limit: 1_000 });
  const end = (id: string) => move(db(), id, 'completed', 'completed', 'ended_by_candidate');

  test('the queue is bounded, reports position and estimate, and is served in order', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    const { session: first } = await create(tenant);
    const { session: second } = await create(tenant, queue);
    const { session: third } = await create(tenant, queue);
    expect(second).toMatchObject({ status: 'pending', queue: { position: 1 } });
    expect(third.queue.position).toBe(2);
    expect(third.queue.estimate_ms).toBeGreaterThan(0);
    expect(await create(tenant, queue)).toMatchObject({ kind: 'queue_full', limit: 2 });
    expect(await create(tenant)).toMatchObject({ kind: 'quota_exceeded', limit: 1 });
    await end(first.session_id);
    expect(await live(tenant)).toBe(0);
    // A new session does not overtake a queued one.
    expect(await create(tenant)).toMatchObject({ kind: 'quota_exceeded' });
    const admitted = (await Promise.all([admit(), admit()])).flat();
    expect(admitted.filter((r) => r.kind === 'launched').map((r) => r.session_id)).toEqual([second.session_id]);
    expect(await live(tenant)).toBe(1);
    expect((await call(db(), 'get_session', { p_session_id: third.session_id })).queue.position).toBe(1);
  });

  test('a session never overtakes a queued session whose row is locked by another transaction', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    const { session: first } = await create(tenant);
    const { session: second } = await create(tenant, queue);
    const { session: third } = await create(tenant, queue);
    await end(first.session_id);
    const other = await db().connect();
    try {
      await other.query('begin');
      await other.query('select 1 from public.interview_sessions where id = $1 for update', [second.session_id]);
      expect(await admit()).toEqual([]);
      expect(await live(tenant)).toBe(0);
    } finally {
      await other.query('rollback');
      other.release();
    }
    expect((await admit()).map((r) => r.session_id)).toEqual([second.session_id]);
    expect((await sessionRow(db(), third.session_id)).status).toBe('pending');
  });

  test('four orchestrators that admit at once serve twenty sessions in order, whatever part of the queue each sees', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    await create(tenant);
    const waiting: string[] = [];
    for (let n = 0; n < 20; n += 1)
      waiting.push((await create(tenant, { ...queue, max_queued: 100 })).session.session_id);
    await db().query('update public.tenants set max_live_sessions = 9 where id = $1', [tenant.id]);
    const admitted = (await Promise.all([admit(), admit(), admit(), admit()])).flat();
    expect(admitted.map((r) => r.session_id).toSorted()).toEqual(waiting.slice(0, 8).toSorted());
  });

  test('a scheduled session whose time has come joins the end of the queue', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    const { session: first } = await create(tenant);
    const { session: second } = await create(tenant, queue);
    const { session: due } = await create(tenant, { scheduled_at: inMs(5_000), start_lead_ms: 0 });
    await end(first.session_id);
    expect(await begun(due.session_id)).toMatchObject({ kind: 'queued' });
    expect((await admit()).map((r) => r.session_id)).toEqual([second.session_id]);
  });

  test('a queued session past its deadline ends with its reason and frees its place', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    await create(tenant);
    const { session } = await create(tenant, { ...queue, queue_ms: 0 });
    await admit();
    expect(await sessionRow(db(), session.session_id)).toMatchObject({
      status: 'expired',
      reason: 'admission_timeout',
    });
    expect(await live(tenant)).toBe(1);
  });
});

describe('placement on join', () => {
  test("a session placed on join keeps its quota while it waits, and the candidate's arrival starts it once", async () => {
    const tenant = await newTenant(db());
    const { session, intent } = await create(tenant, { placement: 'on_join', regions: ['iad'] });
    expect([session.status, intent, await live(tenant)]).toEqual(['pending', null, 1]);
    const arrive = () =>
      call(db(), 'begin_on_join', {
        p_session_id: session.session_id,
        p_regions: ['syd', 'sin'],
        p_region_reason: 'edge',
        p_launch: launch,
      });
    const results = await Promise.all([arrive(), arrive()]);
    expect(results.map((r) => r.kind).sort()).toEqual(['launched', 'not_waiting']);
    expect(await sessionRow(db(), session.session_id)).toMatchObject({ region: 'syd', region_reason: 'edge' });
  });
});

describe('pools', () => {
  const facts = async (tenant: TestTenant): Promise<Answer> =>
    (await call(db(), 'pool_facts', { p_horizon_ms: 3_600_000, p_hot_life_ms: 3_600_000 })).tenants.find(
      (t: Answer) => t.tenant_id === tenant.id,
    );
  const apply = (plan: Answer[], p_image = image): Promise<Answer> =>
    call(db(), 'apply_pool_plan', {
      p_plan: JSON.stringify(plan),
      p_image,
      p_orchestrator_id: randomUUID(),
      p_taken_ms: 2_000,
      p_hot_life_ms: 3_600_000,
    });
  const entry = (tenant: TestTenant, changes: object) => ({
    tenant_id: tenant.id,
    region: 'fra',
    hot: false,
    target: 0,
    shrink: 0,
    retire_stale: 0,
    ...changes,
  });
  const announce = async (p_image: string) => {
    const id = randomUUID();
    await call(db(), 'register_orchestrator', { p_id: id, p_url: 'http://o', p_version: '1' });
    await call(db(), 'announce_image', { p_orchestrator_id: id, p_image });
  };

  test('pool_facts reports the policy, the ready, building, outdated and due machines of a pool', async () => {
    await announce(image);
    const tenant = await newTenant(db(), { max_standby: 10 });
    await call(db(), 'put_pool_policy', {
      p_tenant_id: tenant.id,
      p_region: 'fra',
      p_floor: 1,
      p_ceiling: 5,
      p_by: by,
    });
    await standby(tenant);
    await standby(tenant, 'fra', { image: 'worker:0' });
    await create(tenant, { scheduled_at: inMs(600_000), regions: ['ams'] });
    const { pools, due, creates_per_second } = await facts(tenant);
    expect(creates_per_second).toBe(1);
    expect(pools.find((p: Answer) => p.region === 'fra')).toMatchObject({ floor: 1, ceiling: 5, ready: 1, stale: 1 });
    expect(due).toMatchObject([{ region: 'ams', sessions: 1 }]);
  });

  test('several orchestrators that fill a pool at once stop at its target and at the create limit', async () => {
    const tenant = await newTenant(db());
    await db().query('update public.tenant_apps set creates_per_second = 0.1 where name = $1', [tenant.app]);
    const results = await Promise.all([1, 2, 3].map(() => apply([entry(tenant, { target: 5 })])));
    expect(results.flatMap((r) => r.intents)).toHaveLength(1);
    expect(results.flatMap((r) => r.intents)[0]).toMatchObject({ action: 'create', session_id: null });
  });

  test('a candidate may use the create burst at once, and filling a pool may not', async () => {
    const tenant = await newTenant(db());
    await db().query('update public.tenant_apps set creates_per_second = 0.1 where name = $1', [tenant.app]);
    await apply([entry(tenant, { target: 1 })]);
    const waits = [];
    for (let n = 0; n < 3; n += 1) waits.push((await create(tenant)).intent.wait_ms);
    expect([waits[0], waits[1], waits[2] > 0]).toEqual([0, 0, true]);
    expect((await apply([entry(tenant, { target: 9 })])).intents).toEqual([]);
  });

  test('retirement removes outdated and surplus machines, and never a machine with a session', async () => {
    const tenant = await newTenant(db());
    const old = await standby(tenant, 'fra', { image: 'worker:0' });
    const [one, two] = [await standby(tenant), await standby(tenant)];
    const { intent } = await create(tenant);
    expect(intent.machine_id).toBe(one);
    const { retired } = await apply([entry(tenant, { shrink: 9, retire_stale: 9, target: 0 })]);
    expect(retired.map((r: Answer) => [r.machine_id, r.reason]).sort()).toEqual(
      [
        [old, 'image_replaced'],
        [two, 'pool_shrunk'],
      ].sort(),
    );
    expect((await machineRow(one)).state).toBe('created');
    expect((await create(tenant)).intent.action).toBe('create');
  });

  test('demand is counted in the region where it was wanted and decays', async () => {
    const tenant = await newTenant(db(), { max_standby: 10 });
    await call(db(), 'put_pool_policy', {
      p_tenant_id: tenant.id,
      p_region: 'ams',
      p_floor: 0,
      p_ceiling: 5,
      p_by: by,
    });
    for (let n = 0; n < 6; n += 1) await create(tenant, { regions: ['ams'] });
    const rate = async () =>
      (await call(db(), 'pool_demand', { p_window_ms: 300_000 })).find((d: Answer) => d.tenant_id === tenant.id)
        ?.per_second;
    expect(await rate()).toBeCloseTo(6 / 300, 3);
    await db().query(
      "update public.interview_sessions set created_at = created_at - interval '5 minutes' where tenant_id = $1",
      [tenant.id],
    );
    expect(await rate()).toBeCloseTo(6 / 300 / Math.E, 3);
  });
});

describe('limits that all orchestrators share', () => {
  const draw = (tenant: TestTenant, urgent = false): Promise<Record<string, number>> =>
    call(db(), 'draw_list_slots', { p_apps: [tenant.app], p_urgent: urgent, p_max_wait_ms: 500 });

  test('the reconciler may list once a second, and a lookup for a candidate may use the burst', async () => {
    const tenant = await newTenant(db());
    expect(await draw(tenant)).toEqual({ [tenant.app]: 0 });
    expect(await draw(tenant)).toEqual({});
    expect([await draw(tenant, true), await draw(tenant, true)]).toEqual([{ [tenant.app]: 0 }, { [tenant.app]: 0 }]);
    expect(await draw(tenant, true)).toEqual({});
  });

  test('a 429 delays every orchestrator by its Retry-After, and the refused request goes first', async () => {
    const tenant = await newTenant(db());
    const own = await call(db(), 'slow_app', { p_app_name: tenant.app, p_action: 'create', p_retry_ms: 5_000 });
    expect(own).toBe(5_000);
    const { intent } = await create(tenant);
    expect(intent.wait_ms).toBeGreaterThan(5_500);
    expect(intent.wait_ms).toBeLessThan(60_000);
  });
});

describe('usage', () => {
  test('a machine is billed once when it is gone, with standby time separate from running time', async () => {
    const tenant = await newTenant(db());
    const id = await standby(tenant);
    const { session } = await create(tenant);
    await db().query(
      `update public.machines set created_at = now() - interval '70 seconds', assigned_at = now() - interval '10 seconds',
         start_requested_at = now() - interval '10 seconds', state = 'destroyed', reason = 'session_ended', destroyed_at = now() where id = $1`,
      [id],
    );
    const due: Answer[] = await call(db(), 'machines_to_bill', { p_limit: 1_000 });
    const row = due.find((m) => m.machine_id === id);
    expect([row.started_seconds, row.standby_seconds]).toEqual([10, 60]);
    const bill = { ...row, size: 'shared-cpu-1x:256MB', cost_usd: 0.5, standby_cost_usd: 0.25, hot_cost_usd: 0 };
    const record = () => call(db(), 'record_usage', { p_rows: JSON.stringify([bill]) });
    expect([await record(), await record()]).toEqual([1, 0]);
    expect((await call(db(), 'get_session', { p_session_id: session.session_id })).usage).toMatchObject({
      machines: 1,
      cost_usd: 0.5,
      standby_cost_usd: 0.25,
    });
    expect(
      await call(db(), 'tenant_usage', { p_tenant_id: tenant.id, p_from: inMs(-60_000), p_until: inMs(60_000) }),
    ).toMatchObject({
      machines: 1,
      sessions: 1,
      cost_usd: 0.5,
      unused_standby_cost_usd: 0,
      regions: [{ region: 'fra' }],
    });
  });
});
