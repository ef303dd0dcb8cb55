import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { type Answer, by, call, claim, move, newSession, newTenant, servedSession } from './support/sessions.ts';

/** What operators read, and their acts. */
const project = useProject();
const db = () => project().owner;
const because = { ...by, why: 'a test' };

const list = (name: string, args: Record<string, unknown>): Promise<Answer> => call(db(), name, args);
const sessions = async (p_filter: object, p_after: object | null = null, p_limit = 50, p_sort = 'created') =>
  (await list('ops_sessions', { p_filter, p_sort, p_after, p_limit })).rows as Answer[];
const audited = async (target: string): Promise<Answer[]> =>
  (await list('ops_audit', { p_filter: { target }, p_before: null, p_limit: 10 })).rows;

describe('lists of operators', () => {
  test('sessions are paged by key without a gap or a repetition', async () => {
    const tenant = await newTenant(db());
    const made = [];
    for (let n = 0; n < 5; n += 1) made.push((await newSession(db(), tenant)).id);
    const seen: string[] = [];
    let after: object | null = null;
    for (;;) {
      const page = await sessions({ tenant: tenant.id }, after, 2);
      if (page.length === 0) break;
      seen.push(...page.map((row: Answer) => row.session_id));
      const last = page.at(-1);
      after = { at: last.created_at, id: last.session_id };
    }
    expect(seen).toEqual(made.toReversed());
  });

  test('each filter of the list of sessions selects the matching sessions', async () => {
    const tenant = await newTenant(db());
    const served = await servedSession(db(), tenant);
    const ended = await newSession(db(), tenant);
    await move(db(), ended.id, 'failed', 'failed', 'boot_timeout');
    const of = async (filter: object) =>
      (await sessions({ tenant: tenant.id, ...filter })).map((row: Answer) => row.session_id);
    expect(await of({ live: true })).toEqual([served.id]);
    expect(await of({ status: ['failed', 'expired'] })).toEqual([ended.id]);
    expect(await of({ reason: ['boot_timeout'] })).toEqual([ended.id]);
    expect(await of({ region: 'ams' })).toEqual([]);
    expect(await of({ path: 'cold', live: true })).toEqual([served.id]);
    expect(await of({ attempts: 2 })).toEqual([]);
    expect(await of({ until: '2020-01-01T00:00:00Z' })).toEqual([]);
    const slowest = await sessions({ tenant: tenant.id }, null, 10, 'start');
    expect(slowest.map((row: Answer) => [row.session_id, row.path, typeof row.start_ms])).toEqual([
      [served.id, 'cold', 'number'],
    ]);
  });

  test('a page looks through a limited number of sessions and says where it stopped', async () => {
    const tenant = await newTenant(db());
    const { id } = await servedSession(db(), tenant);
    await db().query(
      `insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, outcome, reason, expires_at)
       select tenant_id, candidate_id, candidate, position_id, 'cancelled', 'cancelled', 'ended_by_platform', now()
       from public.interview_sessions, generate_series(1, 400) where id = $1`,
      [id],
    );
    const page = (p_after: object | null, p_sort = 'created') =>
      list('ops_sessions', { p_filter: { tenant: tenant.id, path: 'cold' }, p_sort, p_after, p_limit: 10 });
    const first = await page(null);
    const second = await page(first.searched_to);
    expect([first.rows, Object.keys(first.searched_to)]).toEqual([[], ['at', 'id']]);
    expect([second.rows.map((row: Answer) => row.session_id), second.searched_to]).toEqual([[id], null]);
    const slowest = await page(null, 'start');
    expect([slowest.rows.map((row: Answer) => row.session_id), slowest.searched_to]).toEqual([[id], null]);
  });

  test('the sessions of a tenant in 30 days are counted up to 1,001', async () => {
    const tenant = await newTenant(db());
    const { id } = await newSession(db(), tenant);
    const add = (count: number, age: string) =>
      db().query(
        `insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, outcome, reason, expires_at,
           created_at)
         select tenant_id, candidate_id, candidate, position_id, 'cancelled', 'cancelled', 'ended_by_platform', now(),
           now() - $3::interval from public.interview_sessions, generate_series(1, $2::int) where id = $1`,
        [id, count, age],
      );
    const counted = async () => (await call(db(), 'ops_tenant', { p_id: tenant.id })).usage_30_days.sessions;
    await add(1_100, '31 days');
    await add(9, '29 days');
    expect(await counted()).toBe(10);
    await add(1_000, '1 day');
    expect(await counted()).toBe(1_001);
  });

  test('operators see neither the name nor the e-mail address of a candidate', async () => {
    const tenant = await newTenant(db());
    const session = await servedSession(db(), tenant, { candidate: { name: 'Grace Hopper', email: 'g@example.org' } });
    const shown = JSON.stringify([
      await sessions({ tenant: tenant.id }),
      await call(db(), 'ops_session', { p_id: session.id }),
      await call(db(), 'ops_machine', { p_id: session.machineId }),
      await list('ops_events', { p_filter: { tenant: tenant.id }, p_before: null, p_after: null, p_limit: 100 }),
    ]);
    expect(shown).toContain(session.id);
    expect(shown).not.toMatch(/Grace|example\.org/);
  });

  test('machines are listed by kind and state', async () => {
    const tenant = await newTenant(db());
    const { machineId } = await servedSession(db(), tenant);
    const of = async (filter: object) =>
      (await list('ops_machines', { p_filter: { tenant: tenant.id, ...filter }, p_after: null, p_limit: 10 })).rows.map(
        (row: Answer) => row.machine_id,
      );
    expect(await of({ alive: true, kind: 'session' })).toEqual([machineId]);
    expect(await of({ state: ['claimed'] })).toEqual([machineId]);
    expect(await of({ kind: 'standby' })).toEqual([]);
    expect(await of({ unwanted: true })).toEqual([]);
    await db().query("update public.machines set hard_deadline_at = now() - interval '1 minute' where id = $1", [
      machineId,
    ]);
    expect(await of({ unwanted: true })).toEqual([machineId]);
  });

  test('events after an id come in order, and a filter by type alone says how far it looked', async () => {
    const tenant = await newTenant(db());
    const { id } = await servedSession(db(), tenant);
    const events = (args: object) =>
      list('ops_events', { p_filter: { session: id }, p_before: null, p_after: null, p_limit: 3, ...args });
    const newest = (await events({})).rows;
    const older = (await events({ p_before: newest.at(-1).id })).rows;
    const forward = (await events({ p_after: 0, p_limit: 100 })).rows;
    expect(
      forward
        .map((row: Answer) => row.id)
        .toReversed()
        .slice(0, 3 + older.length),
    ).toEqual([...newest, ...older].map((row: Answer) => row.id));
    const last = await db().query('select max(id) from public.session_events');
    const rare = await events({ p_filter: { type: ['webhook.disabled'] } });
    expect(rare.rows).toEqual([]);
    expect(rare.searched_to).toBe(Number(last.rows[0].max) > 5_000 ? Number(last.rows[0].max) - 4_999 : null);
  });

  test('find returns sessions, machines and tenants by each of their ids', async () => {
    const tenant = await newTenant(db());
    const external = `ats-${randomUUID()}`;
    const session = await servedSession(db(), tenant, { candidate: { name: 'Ada', external_id: external } });
    const fly = `fly-${session.machineId.slice(0, 8)}`;
    const found = async (text: string) =>
      (await call(db(), 'ops_find', { p_text: text })).map((hit: Answer) => `${hit.kind} ${hit.id}`);
    expect(await found(session.id)).toEqual([`session ${session.id}`]);
    expect(await found(session.id.slice(0, 13).toUpperCase())).toEqual([`session ${session.id}`]);
    expect(await found(fly)).toEqual([`machine ${session.machineId}`]);
    expect(await found(`gr-${session.machineId}`)).toEqual([`machine ${session.machineId}`]);
    expect(await found(external)).toEqual([`session ${session.id}`]);
    expect(await found(tenant.app)).toEqual([`tenant ${tenant.id}`]);
    expect(await found(tenant.id.slice(0, 8))).toEqual([`tenant ${tenant.id}`]);
    expect(await found('nothing like that')).toEqual([]);
    expect(await found("' or 1=1 --")).toEqual([]);
  });

  test('work is listed until it is done', async () => {
    const tenant = await newTenant(db());
    const { id } = await servedSession(db(), tenant);
    const work = async () =>
      (await list('ops_work', { p_filter: { tenant: tenant.id }, p_after: null, p_limit: 10 })).map((row: Answer) => [
        row.kind,
        row.state,
        row.session_id,
      ]);
    expect(await work()).toEqual([]);
    await move(db(), id, 'in_progress');
    await move(db(), id, 'completed', 'completed', 'interviewer_finished');
    expect(await work()).toEqual([['result', 'pending', id]]);
    await db().query("update public.interview_results set status = 'dead', failure = 'refused' where session_id = $1", [
      id,
    ]);
    expect(await work()).toEqual([['result', 'dead', id]]);
    expect(await call(db(), 'ops_retry_work', { p_kind: 'result', p_id: id, p_by: because })).toEqual({ kind: 'done' });
    expect(await work()).toEqual([['result', 'pending', id]]);
    const [entry] = await audited(id);
    expect(entry).toMatchObject({ action: 'result.retry', details: { why: 'a test', before: { status: 'dead' } } });
    expect(await call(db(), 'ops_retry_work', { p_kind: 'hang_up', p_id: 'x', p_by: because })).toEqual({
      kind: 'not_found',
    });
  });

  test('the overview, regions, pools, tenants, costs and schedule answer', async () => {
    const tenant = await newTenant(db(), { max_standby: 5 });
    await servedSession(db(), tenant);
    await call(db(), 'put_pool_policy', {
      ...{ p_tenant_id: tenant.id, p_region: 'fra', p_floor: 1, p_ceiling: 2, p_by: because },
    });
    const overview = await call(db(), 'ops_overview', { p_budgets_ms: { hot: 100, standby: 2_000, cold: 6_000 } });
    expect(overview.starts.find((row: Answer) => row.path === 'cold').starts).toBeGreaterThan(0);
    expect(overview.pools).toMatchObject([{ region: 'fra', floor: 1 }]);
    expect((await call(db(), 'ops_regions')).find((row: Answer) => row.region === 'fra').sessions).toBeGreaterThan(0);
    expect(await call(db(), 'ops_pools', { p_filter: { tenant: tenant.id } })).toMatchObject([
      { region: 'fra', floor: 1, ceiling: 2, ready: 0 },
    ]);
    const [shown] = await call(db(), 'ops_tenants', { p_filter: {}, p_after: null, p_limit: 1 });
    expect(shown.slug).toEqual(expect.any(String));
    expect(await call(db(), 'ops_tenant', { p_id: tenant.id })).toMatchObject({ live_sessions: 1, api_keys: [] });
    expect(await call(db(), 'ops_costs', { p_days: 7 })).toMatchObject({ days: [], tenants: [] });
    const soon = new Date(Date.now() + 600_000).toISOString();
    await newSession(db(), tenant, { scheduled_at: soon, start_lead_ms: 60_000 }).catch(() => undefined);
    const schedule = await call(db(), 'ops_schedule', { p_minutes: 60 });
    expect(schedule.filter((row: Answer) => row.tenant_id === tenant.id)).toMatchObject([
      { region: 'fra', sessions: 1 },
    ]);
  });
});

describe('acts of operators', () => {
  const end = (id: string) =>
    call(db(), 'ops_end_session', {
      ...{ p_session_id: id, p_outcome: 'cancelled', p_reason: 'operator_stopped', p_by: because },
    });
  const stop = (id: string, replace = false) =>
    call(db(), 'ops_stop_machine', {
      ...{ p_machine_id: id, p_replace: replace, p_outcome: 'cancelled', p_reason: 'operator_stopped', p_by: because },
    });

  test('when two operators end a session at once, one ends it and the other is told that it has ended', async () => {
    const { id } = await servedSession(db(), await newTenant(db()));
    const answers = await Promise.all([end(id), end(id)]);
    expect(answers.map(({ kind }) => kind).toSorted()).toEqual(['already', 'done']);
    expect(answers.find(({ kind }) => kind === 'already')).toMatchObject({ reason: 'operator_stopped' });
    expect(await audited(id)).toMatchObject([
      { actor: by.actor, action: 'session.end', details: { why: 'a test', before: { status: 'ready' } } },
    ]);
    expect(await end(randomUUID())).toEqual({ kind: 'not_found' });
  });

  test('stopping a machine ends the interview that it serves', async () => {
    const { id, machineId } = await servedSession(db(), await newTenant(db()));
    expect(await stop(machineId)).toMatchObject({ kind: 'session_ended', machines: [{ machine_id: machineId }] });
    expect((await sessionRow(id)).reason).toBe('operator_stopped');
    expect(await audited(machineId)).toMatchObject([{ action: 'machine.stop', details: { why: 'a test' } }]);
  });

  test('replacing a machine does not end its interview, and is refused if no worker serves one on it', async () => {
    const tenant = await newTenant(db());
    const { id, machineId } = await servedSession(db(), tenant);
    expect(await stop(machineId, true)).toMatchObject({ kind: 'replacing', machine_id: machineId });
    expect((await sessionRow(id)).reason).toBeNull();
    const waiting = await newSession(db(), tenant);
    expect(await stop(waiting.machineId, true)).toMatchObject({ kind: 'serves_nothing' });
  });

  test('stopping a machine without a session destroys it, and stopping it again changes nothing', async () => {
    const tenant = await newTenant(db());
    const { rows } = await db().query(
      "insert into public.machines (tenant_id, app_name, region, image, state, fly_machine_id) values ($1, $2, 'fra', 'i', 'created', 'f1') returning id",
      [tenant.id, tenant.app],
    );
    const { id } = rows[0];
    expect(await stop(id)).toMatchObject({ kind: 'stopped', fly_machine_id: 'f1' });
    expect(await stop(id)).toMatchObject({ kind: 'already', reason: 'operator_stopped' });
    const { rows: after } = await db().query('select state, evidence from public.machines where id = $1', [id]);
    expect(after).toEqual([{ state: 'destroying', evidence: 'operator:test: a test' }]);
  });

  test('the overview counts what ended in the last hour, whenever it was created, and no test session', async () => {
    const tenant = await newTenant(db());
    const count = async () =>
      (await call(db(), 'ops_overview', { p_budgets_ms: { hot: 100, standby: 2_000, cold: 6_000 } })).ended.find(
        (row: Answer) => row.reason === 'boot_timeout',
      )?.count ?? 0;
    const before = await count();
    for (const change of ["created_at = now() - interval '2 days'", 'test = true']) {
      const { id } = await newSession(db(), tenant);
      await db().query(`update public.interview_sessions set ${change} where id = $1`, [id]);
      await move(db(), id, 'failed', 'failed', 'boot_timeout');
    }
    expect(await count()).toBe(before + 1);
  });

  test('a region whose drain has run out is not shown as drained', async () => {
    const drainOf = async () =>
      (await call(db(), 'ops_regions')).find((row: Answer) => row.region === 'scl')?.drain ?? null;
    await call(db(), 'ops_drain_region', { p_region: 'scl', p_until: null, p_by: because });
    expect(await drainOf()).toMatchObject({ region: 'scl' });
    await db().query("update public.region_drains set until = now() - interval '1 s' where region = 'scl'");
    expect(await drainOf()).toBeNull();
    await call(db(), 'ops_open_region', { p_region: 'scl', p_by: because });
  });

  test('a drained region gives no standby machine, and a session without a machine goes elsewhere', async () => {
    const tenant = await newTenant(db());
    await db().query(
      "insert into public.machines (tenant_id, app_name, region, image, state, fly_machine_id, created_at) values ($1, $2, 'gru', 'worker:1', 'created', 'f2', now())",
      [tenant.id, tenant.app],
    );
    const drain = (until: string | null) =>
      call(db(), 'ops_drain_region', { p_region: 'gru', p_until: until, p_by: because });
    expect(await drain(null)).toEqual({ kind: 'done' });
    expect(await drain(null)).toMatchObject({ kind: 'already', by: by.actor });
    expect(await call(db(), 'drained_regions')).toEqual(['gru']);
    const regions = { regions: ['gru', 'iad'], first_region: 'gru' };
    const session = await newSession(db(), tenant, regions);
    const { rows: first } = await db().query('select assigned_at from public.machines where session_id = $1', [
      session.id,
    ]);
    expect(first).toEqual([{ assigned_at: null }]);
    await claim(db(), session);
    await call(db(), 'record_machine_destroying', {
      ...{ p_machine_id: session.machineId, p_reason: 'worker_lost', p_next: { max_attempts: 3, max_failed: 3 } },
    });
    const { rows } = await db().query(
      'select region, assigned_at from public.machines where session_id = $1 order by attempt',
      [session.id],
    );
    expect(rows.at(-1)).toEqual({ region: 'iad', assigned_at: null });
    expect(await call(db(), 'ops_open_region', { p_region: 'gru', p_by: because })).toEqual({ kind: 'done' });
    expect(await call(db(), 'ops_open_region', { p_region: 'gru', p_by: because })).toEqual({ kind: 'already' });
    expect(await audited('gru')).toMatchObject([{ action: 'region.open' }, { action: 'region.drain' }]);
    // The pool of the open region is used again.
    const next = await newSession(db(), tenant, regions);
    const { rows: machines } = await db().query(
      'select region, assigned_at from public.machines where session_id = $1',
      [next.id],
    );
    expect(machines[0]).toMatchObject({ region: 'gru' });
    expect(machines[0].assigned_at).not.toBeNull();
  });

  test('releasing a brake hold admits the end of its machines once, and of no others', async () => {
    const { app } = await newTenant(db());
    const endOf = (n: number) => ({ machine_id: null, fly_machine_id: `f${n}`, session_id: null, what: 'orphan' });
    const hold = (...ends: object[]) =>
      call(db(), 'record_brake_hold', {
        ...{ p_app_name: app, p_orchestrator_id: randomUUID(), p_ends: ends, p_ceiling: 1 },
      });
    const held = async () => (await call(db(), 'ops_brake')).find((row: Answer) => row.app_name === app);
    const release = (id: string) => call(db(), 'ops_release_brake', { p_hold_id: id, p_by: because });
    expect(await hold(endOf(1), endOf(2))).toBe(false);
    const first = await held();
    expect(await hold(endOf(2), endOf(1))).toBe(false);
    expect((await held()).hold_id).toBe(first.hold_id);
    expect(await release(first.hold_id)).toEqual({ kind: 'done' });
    expect(await release(first.hold_id)).toMatchObject({ kind: 'already', by: by.actor });
    // One more machine than was released: it is another hold.
    expect(await hold(endOf(1), endOf(2), endOf(3))).toBe(false);
    const second = await held();
    expect(second.hold_id).not.toBe(first.hold_id);
    expect(await release(first.hold_id)).toEqual({ kind: 'not_found' });
    expect(await release(second.hold_id)).toEqual({ kind: 'done' });
    expect(await hold(endOf(1), endOf(3))).toBe(true);
    expect(await held()).toBeUndefined();
    expect(await hold(endOf(1), endOf(3))).toBe(false);
  });

  test('setting a pool to the same numbers again changes nothing, and the audit entry contains the numbers before', async () => {
    const tenant = await newTenant(db(), { max_standby: 5 });
    const put = (floor: number) =>
      call(db(), 'ops_put_pool', {
        ...{ p_tenant_id: tenant.id, p_region: 'fra', p_by: because },
        p_pool: { floor, ceiling: 3, hot_floor: 0, hot_ceiling: 0 },
      });
    expect((await put(1)).kind).toBe('updated');
    expect((await put(1)).kind).toBe('already');
    expect((await put(2)).kind).toBe('updated');
    const [entry] = (await list('ops_audit', { p_filter: { tenant: tenant.id }, p_before: null, p_limit: 1 })).rows;
    expect(entry.details).toMatchObject({ floor: 2, before: { floor: 1 }, why: 'a test' });
  });

  test('a number of a pool that is not given stays as another operator has set it', async () => {
    const tenant = await newTenant(db(), { max_standby: 9 });
    const put = (pool: object) =>
      call(db(), 'ops_put_pool', { p_tenant_id: tenant.id, p_region: 'fra', p_by: because, p_pool: pool });
    expect((await put({ floor: 1, ceiling: 3, hot_floor: 1, hot_ceiling: 2 })).kind).toBe('updated');
    expect((await put({ ceiling: 5 })).kind).toBe('updated');
    expect((await put({ floor: 2 })).kind).toBe('updated');
    const { rows } = await db().query('select * from public.pool_policies where tenant_id = $1', [tenant.id]);
    expect(rows).toMatchObject([{ floor: 2, ceiling: 5, hot_floor: 1, hot_ceiling: 2 }]);
    expect((await put({ ceiling: 1 })).kind).toBe('floor_above_ceiling');
    expect((await put({ hot_floor: 3 })).kind).toBe('floor_above_ceiling');
  });

  const sessionRow = async (id: string) =>
    (await db().query('select * from public.interview_sessions where id = $1', [id])).rows[0];
});
