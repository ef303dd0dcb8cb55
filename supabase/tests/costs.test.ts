import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { rolledBack, useProject } from './support/project.ts';
import { type Answer, by, call, newTenant, type TestTenant } from './support/sessions.ts';

/** The sums of machine_usage per day and tenant, from which operators read what the fleet costs. */
const project = useProject();
const db = () => project().owner;

/** Usage of destroyed machines of a tenant, as the usage job reports it. */
async function usageOf(tenant: TestTenant, count: number): Promise<Answer[]> {
  const { rows } = await db().query(
    `insert into public.machines (tenant_id, app_name, region, image, state, reason, created_at, destroyed_at)
     select $1, $2, 'fra', 'worker:1', 'destroyed', 'session_ended', now() - interval '1 minute', now()
     from generate_series(1, $3::int) returning id`,
    [tenant.id, tenant.app, count],
  );
  return rows.map(({ id }, i) => ({
    ...{ machine_id: id, size: 's', started_seconds: 10, standby_seconds: 5, hot_seconds: 0 },
    ...{ cost_usd: 0.5 + i, standby_cost_usd: 0.25, hot_cost_usd: 0.125 },
  }));
}
const record = (usage: Answer[], client: pg.Pool | pg.PoolClient = db()): Promise<number> =>
  call(client, 'record_usage', { p_rows: JSON.stringify(usage) });

/** The first is what the sums must be. */
const sums = {
  usage: `select (recorded_at at time zone 'UTC')::date::text as day, count(*)::int as machines, sum(cost_usd)::float8 as run,
    sum(standby_cost_usd)::float8 as standby, sum(hot_cost_usd)::float8 as hot
    from public.machine_usage where tenant_id = $1 and not test group by 1 order by 1`,
  kept: `select day::text, machines::int, run_usd::float8 as run, standby_usd::float8 as standby, hot_usd::float8 as hot
    from app.daily_costs where tenant_id = $1 order by 1`,
};
const read = async (from: keyof typeof sums, { id }: { id: string }, client: pg.Pool | pg.PoolClient = db()) =>
  (await client.query(sums[from], [id])).rows;

test('usage and its sum are one transaction', async () => {
  const tenant = await newTenant(db());
  const usage = await usageOf(tenant, 2);
  await rolledBack(db(), async (client) => {
    expect(await record(usage, client)).toBe(2);
    expect(await read('kept', tenant, client)).toMatchObject([{ machines: 2, run: 2, standby: 0.5, hot: 0.25 }]);
    expect(await read('kept', tenant)).toEqual([]);
  });
  expect([await read('kept', tenant), await read('usage', tenant)]).toEqual([[], []]);
});

test('a machine that is reported again, also at the same time, is counted once', async () => {
  const [one, two] = [await newTenant(db()), await newTenant(db())];
  // Many, so that reports in another order meet half way.
  const usage = [...(await usageOf(one, 300)), ...(await usageOf(two, 300))];
  const reports = [usage, usage.toReversed(), usage.slice(150), usage.slice(0, 450), usage];
  const recorded = await Promise.all(reports.map((report) => record(report)));
  expect(recorded.reduce((sum, n) => sum + n)).toBe(600);
  expect(await record(usage)).toBe(0);
  for (const tenant of [one, two]) {
    expect(await read('kept', tenant)).toMatchObject([{ machines: 300, run: 300 * 0.5 + (299 * 300) / 2 }]);
    expect(await read('kept', tenant)).toEqual(await read('usage', tenant));
  }
});

test('the sums are those of the usage of each day in UTC, whoever adds the rows', async () => {
  const tenant = await newTenant(db());
  const usage = await usageOf(tenant, 60);
  const add = `insert into public.machine_usage (machine_id, tenant_id, region, size, started_seconds, cost_usd, recorded_at)
    select m, $1, 'fra', 's', 1, 0.01 * n, timestamptz '2026-03-28 22:30Z' + n * interval '17 minutes'
    from unnest($2::uuid[]) with ordinality x (m, n) where n % 2 = $3`;
  for (const half of [0, 1]) await db().query(add, [tenant.id, usage.map((row) => row.machine_id), half]);
  const kept = await read('kept', tenant);
  expect(kept.map(({ day, machines }) => [day, machines])).toEqual([
    ['2026-03-28', 5],
    ['2026-03-29', 55],
  ]);
  for (const [i, day] of (await read('usage', tenant)).entries()) {
    expect(kept[i]).toMatchObject({ day: day.day, machines: day.machines });
    expect(kept[i].run).toBeCloseTo(day.run, 9);
  }
});

test('test mode is in no sum; a tenant still reads the usage of its own test mode', async () => {
  const live = await newTenant(db());
  const { tenant } = await call(db(), 'plan_test_tenant', { p_tenant_id: live.id, p_by: by });
  const own = { id: tenant.id, app: `${live.app}-test` };
  await call(db(), 'plan_app', { p_tenant_id: own.id, p_name: own.app, p_network: 'net', p_by: by });
  await record([...(await usageOf(own, 3)), ...(await usageOf(live, 1))]);
  expect([await read('kept', own), await read('kept', live)]).toMatchObject([[], [{ machines: 1, run: 0.5 }]]);
  const costs = await call(db(), 'ops_costs', { p_days: 1 });
  const ids = costs.tenants.map((row: Answer) => row.tenant_id);
  expect([ids.includes(own.id), ids.includes(live.id)]).toEqual([false, true]);
  const until = new Date(Date.now() + 60_000).toISOString();
  expect(
    await call(db(), 'tenant_usage', { p_tenant_id: own.id, p_from: '2026-01-01T00:00:00Z', p_until: until }),
  ).toMatchObject({ machines: 3 });
});

test('operators read the sums of the last days, today included, and each tenant has its own', async () => {
  const [one, two] = [await newTenant(db()), await newTenant(db())];
  await record([...(await usageOf(one, 1)), ...(await usageOf(two, 2))]);
  await db().query(
    `insert into app.daily_costs (day, tenant_id, machines, run_usd, standby_usd, hot_usd)
     select (now() at time zone 'UTC')::date - n, $1, 1, 1, 0, 0 from generate_series(1, 9) n`,
    [one.id],
  );
  const read = async (p_days: number) => {
    const { days, tenants } = await call(db(), 'ops_costs', { p_days });
    const of = ({ id }: TestTenant) => tenants.find((row: Answer) => row.tenant_id === id).run_usd;
    return [days.length, of(one), of(two)];
  };
  expect([await read(1), await read(7)]).toEqual([
    [1, 0.5, 2],
    [7, 6.5, 2],
  ]);
  const { usage_30_days: usage } = await call(db(), 'ops_tenant', { p_id: one.id });
  expect(usage).toEqual({ machines: 10, sessions: 0, cost_usd: 9.5, standby_cost_usd: 0.25, hot_cost_usd: 0.125 });
  const { spend } = await call(db(), 'ops_overview', { p_budgets_ms: {} });
  const { days } = await call(db(), 'ops_costs', { p_days: 1 });
  expect(spend.today_usd).toBeCloseTo(days[0].run_usd + days[0].standby_usd + days[0].hot_usd, 9);
  expect(spend.today_prepared_usd).toBeCloseTo(days[0].standby_usd + days[0].hot_usd, 9);
});

test("sums are kept as long as any usage of their day, by the tenant's own retention", async () => {
  const [brief, keeps] = [await newTenant(db(), { usage_days: 90 }), await newTenant(db(), { usage_days: null })];
  for (const tenant of [brief, keeps]) {
    const machines = (await usageOf(tenant, 93)).map((row) => row.machine_id);
    await db().query(
      `insert into public.machine_usage (machine_id, tenant_id, region, size, started_seconds, cost_usd, recorded_at)
       select m, $1, 'fra', 's', 1, 1, now() - (n - 1) * interval '1 day' from unnest($2::uuid[]) with ordinality x (m, n)`,
      [tenant.id, machines],
    );
  }
  await call(db(), 'expire_retained', { p_limit: 100 });
  // Of the 90th day before today some usage may still be kept, so its sum is.
  expect([(await read('kept', brief)).length, (await read('kept', keeps)).length]).toEqual([91, 93]);
  const kept = (await read('kept', brief)).map(({ day }) => day);
  expect((await read('usage', brief)).every(({ day }) => kept.includes(day))).toBe(true);
});

test('the sums of a removed tenant stay, as its usage does', async () => {
  const tenant = await newTenant(db());
  await record(await usageOf(tenant, 1));
  const before = await read('kept', tenant);
  const remove = () => call(db(), 'remove_tenant', { p_tenant_id: tenant.id, p_by: by });
  await remove();
  await call(db(), 'app_removed', { p_name: tenant.app });
  expect(await remove()).toEqual({ kind: 'removed' });
  expect(await read('kept', tenant)).toEqual(before);
  expect(before).toHaveLength(1);
});

test.each(['anon', 'authenticated', 'service_role', 'orchestrator', 'session_worker'])(
  'no role of the API has a right on the sums: %s',
  async (role) => {
    const tenant = await newTenant(db());
    await record(await usageOf(tenant, 1));
    const statements = [
      'select from app.daily_costs',
      'delete from app.daily_costs',
      'update app.daily_costs set run_usd = 0',
      `insert into app.daily_costs values (now(), '${randomUUID()}', 1, 1, 1, 1)`,
    ];
    for (const sql of statements)
      await rolledBack(project().admin, async (client) => {
        await client.query(`set local role ${role}`);
        await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' });
      });
  },
);
