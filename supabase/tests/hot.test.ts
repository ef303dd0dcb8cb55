import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  by,
  call,
  claim,
  eventsOf,
  newTenant,
  sessionRequest,
  sessionRow,
  type TestTenant,
} from './support/sessions.ts';

/** Hot machines: registered, assigned, confirmed, replaced, retired and billed, tested through the SQL functions. */
const project = useProject();
const image = 'worker:1';
const launch = {
  ...{ orchestrator_id: randomUUID(), image, taken_ms: 2_000, lease_ms: 20_000, life_ms: 600_000 },
  ...{ default_region: 'fra', max_attempts: 5, max_failed: 5 },
};
const hourMs = 3_600_000;
const db = () => project().owner;

beforeAll(async () => {
  const id = randomUUID();
  await call(db(), 'register_orchestrator', { p_id: id, p_url: 'https://o.example', p_version: '1' });
  await call(db(), 'announce_image', { p_orchestrator_id: id, p_image: image });
});

interface Machine {
  id: string;
  claim(nonce?: string): Promise<Answer>;
}
type Changes = { region?: string; image?: string; hot?: boolean };

/** A machine without a session that Fly has created. */
async function prepared(tenant: TestTenant, { region = 'fra', hot = false, ...changes }: Changes = {}) {
  const { rows } = await db().query(
    `insert into public.machines (tenant_id, app_name, region, image, state, created_at, hot, hard_deadline_at)
     values ($1, $2, $3, $4, 'created', clock_timestamp(), $5, clock_timestamp() + interval '2 hours') returning id`,
    [tenant.id, tenant.app, region, changes.image ?? image, hot],
  );
  const { id } = rows[0];
  const machine: Machine = { id, claim: (nonce) => claim(db(), { machineId: id, app: tenant.app }, nonce) };
  return machine;
}

/** A machine whose worker waits. */
async function hotMachine(tenant: TestTenant, changes: Changes = {}): Promise<Machine> {
  const machine = await prepared(tenant, { ...changes, hot: true });
  await machine.claim();
  return machine;
}
const standby = prepared;

const create = async (tenant: TestTenant, changes: Record<string, unknown> = {}): Promise<Answer> => {
  const [result] = await call(db(), 'create_sessions', { p_requests: [sessionRequest(tenant.id, changes)] });
  return result;
};
const machineRow = async ({ id }: { id: string }): Promise<Answer> =>
  (await db().query('select * from public.machines where id = $1', [id])).rows[0];
const change = ({ id }: { id: string }, set: string) =>
  db().query(`update public.machines set ${set} where id = $1`, [id]);
/** Replacements of this file's tenants only: the database is shared. */
const replace = async (machine: Machine, lateMs = hourMs, only?: Machine): Promise<Answer> => {
  const parameters = { p_launch: launch, p_late_ms: lateMs, p_machine_id: only?.id ?? null };
  const replaced: Answer[] = await call(db(), 'replace_unconfirmed', parameters);
  return replaced.find(({ machine_id }) => machine_id === machine.id);
};

describe('a hot worker without a session', () => {
  test('its claim registers it and tells it to wait, and each further claim renews its lease', async () => {
    const tenant = await newTenant(db());
    const machine = await prepared(tenant, { hot: true });
    expect(await machine.claim()).toMatchObject({ kind: 'waiting', machine_id: machine.id });
    const first = await machineRow(machine);
    expect(first).toMatchObject({ state: 'started', boot_nonce: 'boot-1', epoch: null, session_id: null });
    await machine.claim();
    const second = await machineRow(machine);
    expect(Number(second.lease_expires_at)).toBeGreaterThan(Number(first.lease_expires_at));
  });

  test.each([
    ['a standby machine', { hot: false }, 'true', 'not assigned'],
    ['a hot machine that was given up', { hot: true }, "state = 'destroying', reason = 'recycled'", 'not assigned'],
    ['a hot machine past its hard deadline', { hot: true }, 'hard_deadline_at = now()', 'not assigned'],
    [
      'a hot machine with another id at Fly',
      { hot: true },
      "fly_machine_id = 'other'",
      'another machine has this name',
    ],
  ])('%s is refused', async (_what, changes, set, why) => {
    const machine = await prepared(await newTenant(db()), changes);
    if (set !== 'true') await change(machine, set);
    expect(await machine.claim()).toEqual({ kind: 'refused', why });
  });

  test('a second boot of the machine replaces the first, which holds nothing', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    expect(await machine.claim('boot-2')).toMatchObject({ kind: 'waiting' });
    await create(tenant);
    expect(await machine.claim('boot-2')).toMatchObject({ kind: 'claimed' });
    expect(await machine.claim('boot-1')).toMatchObject({ kind: 'refused', retry: true });
  });
});

describe('assigning a hot machine', () => {
  test('the session is ready at epoch 1 in the transaction that creates it, and the worker claims it again', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    const { kind, session, intent } = await create(tenant);
    expect({ kind, action: intent.action, machine: intent.machine_id }).toEqual({
      ...{ kind: 'created', action: 'wake', machine: machine.id },
    });
    expect(session).toMatchObject({ status: 'ready', epoch: 1, region: 'fra', ready_at: expect.any(String) });
    expect(session.fly_machine_id).toBe((await machineRow(machine)).fly_machine_id);
    expect((await eventsOf(db(), session.session_id)).map((e) => e.type)).toEqual([
      ...['session.pending', 'machine.assigned', 'session.provisioning', 'machine.claimed', 'session.ready'],
    ]);
    expect((await machineRow(machine)).confirmed_at).toBeNull();
    const answer = await machine.claim();
    expect(answer).toMatchObject({
      kind: 'claimed',
      session: { session_id: session.session_id, epoch: 1 },
      directive: { kind: 'continue' },
    });
    expect((await machineRow(machine)).confirmed_at).not.toBeNull();
    expect(await machine.claim()).toEqual(answer);
    expect((await sessionRow(db(), session.session_id)).epoch).toBe(1);
  });

  test('its phases are those that a session that waited would get, and its start is counted once', async () => {
    const tenant = await newTenant(db());
    await db().query(
      `insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
       values ($1, 'fra', 0, 3, 0, 1)`,
      [tenant.id],
    );
    await hotMachine(tenant);
    const before = (await db().query('select coalesce(max(id), 0) as id from app.tallies')).rows[0].id;
    const { session } = await create(tenant);
    const apart = "'{begun_at,reserved_at,start_ms,voice_ms}'::text[]";
    const { rows } = await db().query(
      `select to_jsonb(p) - ${apart} as written, to_jsonb(app.start_of(s)) - ${apart} as judged,
         p.begun_at = s.created_at and p.reserved_at = s.created_at as begins
       from public.session_phases p join public.interview_sessions s on s.id = p.session_id where s.id = $1`,
      [session.session_id],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].begins).toBe(true);
    expect(rows[0].written).toEqual(rows[0].judged);
    expect(rows[0].written).toMatchObject({ path: 'hot', attempts: 1, region: 'fra', standby_kept: 3 });
    const counted = await db().query('select name, labels from app.tallies where id > $1 order by name', [before]);
    expect(counted.rows).toEqual([
      { name: 'pool_starts', labels: { region: 'fra', result: 'hit' } },
      { name: 'session_ready_seconds', labels: { region: 'fra', path: 'hot' } },
    ]);
  });

  test('a session gets the hot machine whose worker is claiming again at that moment', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    const renewal = await db().connect();
    await renewal.query('begin');
    await renewal.query('update public.machines set lease_expires_at = lease_expires_at where id = $1', [machine.id]);
    const creation = create(tenant);
    // The creation waits for the row: it has read it, found it locked, and sleeps.
    await expect
      .poll(async () => {
        const { rows } = await db().query(
          "select count(*)::int as n from pg_stat_activity where wait_event = 'PgSleep' and query like '%create_sessions%'",
        );
        return rows[0].n;
      })
      .toBe(1);
    await renewal.query('commit');
    renewal.release();
    expect((await creation).intent).toMatchObject({ action: 'wake', machine_id: machine.id });
  });

  test('a session takes a hot machine, then a standby machine, then a new one', async () => {
    const tenant = await newTenant(db());
    await standby(tenant);
    await hotMachine(tenant);
    const taken = [await create(tenant), await create(tenant), await create(tenant)];
    expect(taken.map(({ session, intent }) => [session.status, intent.action])).toEqual([
      ...[
        ['ready', 'wake'],
        ['provisioning', 'start'],
        ['provisioning', 'create'],
      ],
    ]);
  });

  test('the requests of one batch take different hot machines in the order of the requests', async () => {
    const tenant = await newTenant(db());
    const machines = [await hotMachine(tenant), await hotMachine(tenant)];
    const far = await hotMachine(tenant, { region: 'syd' });
    const requests = [{}, { regions: ['syd'] }, {}, {}].map((changes) => sessionRequest(tenant.id, changes));
    const results: Answer[] = await call(db(), 'create_sessions', { p_requests: requests });
    expect(results.map(({ intent }) => intent.action)).toEqual(['wake', 'wake', 'wake', 'create']);
    expect(results.slice(0, 3).map(({ intent }) => intent.machine_id)).toEqual([
      ...[machines[0]?.id, far.id, machines[1]?.id],
    ]);
  });

  test('forty sessions created at once take each of 25 hot machines at most once', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 100 });
    for (let n = 0; n < 25; n += 1) await hotMachine(tenant);
    const results = await Promise.all(Array.from({ length: 40 }, () => create(tenant)));
    const woken = results.filter((r) => r.session.status === 'ready').map((r) => r.intent.machine_id);
    expect([woken.length, new Set(woken).size]).toEqual([25, 25]);
  });

  test.each([
    ['whose lease has lapsed', 'lease_expires_at = clock_timestamp()'],
    ['that is being destroyed', "state = 'destroying', reason = 'pool_shrunk'"],
  ])('a session never takes a hot machine %s', async (_what, set) => {
    const tenant = await newTenant(db());
    await change(await hotMachine(tenant), set);
    expect((await create(tenant)).intent.action).toBe('create');
  });

  test('a hot machine whose worker has not registered is not taken', async () => {
    const tenant = await newTenant(db());
    await prepared(tenant, { hot: true });
    expect((await create(tenant)).intent.action).toBe('create');
  });

  test('a scheduled session leaves the hot machine to sessions that cannot wait', async () => {
    const tenant = await newTenant(db());
    await hotMachine(tenant);
    const { session } = await create(tenant, { scheduled_at: new Date(Date.now() + 5_000).toISOString() });
    const parameters = { p_launch: launch, p_lead_ms: 60_000, p_queue_ms: 60_000, p_limit: 1_000 };
    const begun: Answer[] = await call(db(), 'start_scheduled', parameters);
    expect(begun.find((r) => r.session_id === session.session_id).intent.action).toBe('create');
  });

  test('a queued session is ready when it is admitted, before a newer one', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 1 });
    const { session: first } = await create(tenant);
    const { session } = await create(tenant, { admission: 'queue', max_queued: 5, queue_ms: 60_000 });
    await hotMachine(tenant);
    await call(db(), 'app.move_session', {
      p_session_id: first.session_id,
      p_status: 'completed',
      p_outcome: 'completed',
      p_reason: 'ended_by_candidate',
    });
    expect(await create(tenant)).toMatchObject({ kind: 'quota_exceeded' });
    const admitted: Answer[] = await call(db(), 'admit_queued', { p_launch: launch, p_limit: 1_000 });
    expect(admitted.find((r) => r.session_id === session.session_id).intent.action).toBe('wake');
    expect(await sessionRow(db(), session.session_id)).toMatchObject({ status: 'ready', epoch: 1 });
  });

  test('an interview that lost its machine continues on a hot machine at the next epoch at once', async () => {
    const tenant = await newTenant(db());
    const { session, intent } = await create(tenant);
    await claim(db(), { machineId: intent.machine_id, app: tenant.app });
    const machine = await hotMachine(tenant);
    const { next } = await call(db(), 'record_machine_destroying', {
      ...{ p_machine_id: intent.machine_id, p_reason: 'worker_lost', p_next: launch },
    });
    expect(next).toMatchObject({ action: 'wake', machine_id: machine.id, attempt: 2 });
    expect(await sessionRow(db(), session.session_id)).toMatchObject({ epoch: 2, machine_id: machine.id });
  });

  test('a hedge never takes a hot machine, because the late machine may still claim', async () => {
    const tenant = await newTenant(db());
    const { intent } = await create(tenant);
    await hotMachine(tenant);
    const hedge = await call(db(), 'hedge_machine', { p_machine_id: intent.machine_id, p_next: launch });
    expect(hedge.action).toBe('create');
  });
});

describe('an assigned hot machine whose worker does not claim', () => {
  test('it is replaced after its time, its session gets a standby machine and epoch 2, and its late claim is refused', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    const next = await standby(tenant);
    const { session } = await create(tenant);
    expect(await replace(machine)).toBeUndefined();
    expect(await replace(machine, 0)).toMatchObject({
      session_id: session.session_id,
      next: { action: 'start', machine_id: next.id, attempt: 2 },
    });
    expect(await machineRow(machine)).toMatchObject({ state: 'destroying', reason: 'boot_timeout' });
    expect(await machine.claim()).toMatchObject({ kind: 'refused' });
    expect(await next.claim()).toMatchObject({ kind: 'claimed', session: { epoch: 2 } });
    expect((await sessionRow(db(), session.session_id)).status).toBe('ready');
  });

  test('it is replaced at once when its connection closed, and not when it has claimed', async () => {
    const tenant = await newTenant(db());
    const [silent, fine] = [await hotMachine(tenant), await hotMachine(tenant)];
    await create(tenant);
    await create(tenant);
    await fine.claim();
    expect(await replace(fine, hourMs, fine)).toBeUndefined();
    expect(await replace(silent, hourMs, silent)).toMatchObject({ machine_id: silent.id });
  });

  test('its session does not get another hot machine, because the cause may be common to all', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    await create(tenant);
    await hotMachine(tenant);
    expect(await replace(machine, 0)).toMatchObject({ next: { action: 'create' } });
  });

  test('two orchestrators replace it once', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    await create(tenant);
    const replaced = await Promise.all([replace(machine, 0), replace(machine, 0), replace(machine, 0)]);
    expect(replaced.filter(Boolean)).toHaveLength(1);
  });

  test('a worker that leaves before the assignment makes its machine unavailable until it claims again', async () => {
    const tenant = await newTenant(db());
    const machine = await prepared(tenant, { hot: true });
    const { heard_at: early } = await machine.claim();
    const { heard_at: late } = await machine.claim();
    const left = (heardAt: string) => call(db(), 'record_hot_left', { p_machine_id: machine.id, p_heard_at: heardAt });
    expect(await left(early)).toBe(false);
    expect(await left(late)).toBe(true);
    expect((await create(tenant)).intent.action).toBe('create');
    await machine.claim();
    const { session } = await create(tenant);
    expect(session.status).toBe('ready');
    expect(await left(late)).toBe(false);
  });

  test('a session that is ended before its worker has claimed ends at once, and the machine is destroyed', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    const { session } = await create(tenant);
    const end = { p_session_id: session.session_id, p_tenant_id: tenant.id };
    await call(db(), 'request_end', { ...end, p_outcome: 'cancelled', p_reason: 'ended_by_platform' });
    expect((await sessionRow(db(), session.session_id)).status).toBe('cancelled');
    expect(await machineRow(machine)).toMatchObject({ state: 'destroying', reason: 'session_gone' });
    expect(await machine.claim()).toMatchObject({ kind: 'refused' });
  });

  test('the first failed connection gives a hot machine up if its candidate was never connected, and no other machine', async () => {
    const tenant = await newTenant(db());
    const machine = await hotMachine(tenant);
    await create(tenant);
    await machine.claim();
    const cold = (await create(tenant)).intent.machine_id;
    await claim(db(), { machineId: cold, app: tenant.app });
    const report = (id: string) =>
      call(db(), 'record_unreachable', {
        ...{ p_machine_id: id, p_epoch: 1, p_gap_ms: 2_000, p_window_ms: 60_000, p_next: launch },
      });
    expect(await report(cold)).toEqual({ kind: 'ignored' });
    expect(await report(machine.id)).toMatchObject({ kind: 'replaced', next: { action: 'create' } });
  });
});

describe('the pool of hot machines', () => {
  const factsOf = async (tenant: TestTenant): Promise<Answer[]> => {
    const facts = await call(db(), 'pool_facts', { p_horizon_ms: hourMs, p_hot_life_ms: hourMs });
    return facts.tenants.find((t: Answer) => t.tenant_id === tenant.id)?.pools;
  };
  const apply = (tenant: TestTenant, order: object): Promise<Answer> =>
    call(db(), 'apply_pool_plan', {
      p_plan: JSON.stringify([
        { tenant_id: tenant.id, region: 'fra', hot: true, target: 0, shrink: 0, retire_stale: 0, ...order },
      ]),
      ...{ p_image: image, p_orchestrator_id: randomUUID(), p_taken_ms: 2_000, p_hot_life_ms: hourMs },
    });
  const policy = (tenant: TestTenant, changes: object = {}) =>
    call(db(), 'put_pool_policy', {
      ...{ p_tenant_id: tenant.id, p_region: 'fra', p_floor: 1, p_ceiling: 2, p_by: by },
      ...{ p_hot_floor: 1, p_hot_ceiling: 3, ...changes },
    });

  test('the facts list standby and hot machines apart, and a hot one that is too old or of another image as stale', async () => {
    const tenant = await newTenant(db(), { max_standby: 10 });
    await policy(tenant);
    await standby(tenant);
    await hotMachine(tenant);
    await prepared(tenant, { hot: true });
    await hotMachine(tenant, { image: 'worker:0' });
    await change(await hotMachine(tenant), "reserved_at = clock_timestamp() - interval '61 minutes'");
    await change(await hotMachine(tenant), 'lease_expires_at = clock_timestamp()');
    const pools = (await factsOf(tenant)).toSorted((a, b) => Number(a.hot) - Number(b.hot));
    expect(pools).toEqual([
      { region: 'fra', hot: false, floor: 1, ceiling: 2, ready: 1, building: 0, stale: 0 },
      { region: 'fra', hot: true, floor: 1, ceiling: 3, ready: 1, building: 1, stale: 2 },
    ]);
    expect(await call(db(), 'pool_of_tenant', { p_tenant_id: tenant.id })).toEqual([
      {
        ...{ region: 'fra', floor: 1, ceiling: 2, ready: 1, building: 0, scheduled: 0 },
        hot: { floor: 1, ceiling: 3, ready: 3, building: 1 },
      },
    ]);
  });

  test('the plan creates hot machines to be launched, with a hard deadline, and never more than the target', async () => {
    const tenant = await newTenant(db());
    await hotMachine(tenant);
    const { intents } = await apply(tenant, { target: 2 });
    expect(intents).toMatchObject([{ action: 'create', hot: true, session_id: null }]);
    expect(Date.parse(intents[0].hard_deadline_at) - Date.now()).toBeGreaterThan(hourMs);
    expect((await apply(tenant, { target: 2 })).intents).toEqual([]);
  });

  test('retiring names the reason, and never touches a machine that has a session', async () => {
    const tenant = await newTenant(db());
    const taken = await hotMachine(tenant);
    await create(tenant);
    const old = await hotMachine(tenant);
    await change(old, "reserved_at = clock_timestamp() - interval '61 minutes'");
    const outdated = await hotMachine(tenant, { image: 'worker:0' });
    const spare = await hotMachine(tenant);
    const kept = await standby(tenant);
    const { retired } = await apply(tenant, { shrink: 5, retire_stale: 5 });
    expect(new Map(retired.map((r: Answer) => [r.machine_id, r.reason]))).toEqual(
      new Map([
        ...([
          [old.id, 'recycled'],
          [outdated.id, 'image_replaced'],
          [spare.id, 'pool_shrunk'],
        ] as const),
      ]),
    );
    expect((await machineRow(taken)).state).toBe('claimed');
    expect((await machineRow(kept)).state).toBe('created');
  });

  test('a policy lowered to zero while sessions are created retires the rest and takes no machine from a session', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 100 });
    const machines: Machine[] = [];
    for (let n = 0; n < 12; n += 1) machines.push(await hotMachine(tenant));
    const [created, { retired }] = await Promise.all([
      Promise.all(Array.from({ length: 8 }, () => create(tenant))),
      apply(tenant, { shrink: 12 }),
    ]);
    const woken = created.filter(({ intent }) => intent.action === 'wake').map(({ intent }) => intent.machine_id);
    const gone = retired.map((r: Answer) => r.machine_id);
    expect(new Set([...woken, ...gone]).size).toBe(woken.length + gone.length);
    const rows = await Promise.all(machines.map(machineRow));
    for (const { id, state, session_id } of rows)
      expect(gone.includes(id) ? [state, session_id] : state).toEqual(
        gone.includes(id) ? ['destroying', null] : woken.includes(id) ? 'claimed' : 'started',
      );
  });

  test('both ceilings together are limited by the quota of the tenant', async () => {
    const tenant = await newTenant(db(), { max_standby: 4 });
    expect(await policy(tenant)).toMatchObject({ kind: 'limit_exceeded', left: 4 });
    const { tenant: shown } = await policy(tenant, { p_hot_ceiling: 2 });
    expect(shown.pools).toEqual([{ region: 'fra', floor: 1, ceiling: 2, hot: { floor: 1, ceiling: 2 } }]);
  });
});

test('the time as a hot machine is billed apart from the time with a session', async () => {
  const tenant = await newTenant(db());
  const [used, unused] = [await hotMachine(tenant), await hotMachine(tenant)];
  await create(tenant);
  const ago = (seconds: number) => `clock_timestamp() - interval '${seconds} seconds'`;
  await change(
    used,
    `created_at = ${ago(100)}, assigned_at = ${ago(40)}, state = 'destroyed', reason = 'session_ended', destroyed_at = clock_timestamp()`,
  );
  await change(
    unused,
    `created_at = ${ago(100)}, state = 'destroyed', reason = 'recycled', destroyed_at = clock_timestamp()`,
  );
  const bills: Answer[] = await call(db(), 'machines_to_bill', { p_limit: 10_000 });
  const of = ({ id }: Machine) => {
    const { started_seconds, standby_seconds, hot_seconds } = bills.find(({ machine_id }) => machine_id === id);
    return [started_seconds, standby_seconds, hot_seconds].map(Math.round);
  };
  expect([of(used), of(unused)]).toEqual([
    [40, 0, 60],
    [0, 0, 100],
  ]);
});
