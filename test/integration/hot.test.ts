import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startCandidate } from '../../tools/demo/interview.ts';
import { createPlatform, type Platform } from '../../tools/demo/platform.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { sessionBody, until } from '../support/session.ts';

/** Hot machines with two real orchestrators and real workers. */
describe('hot machines', () => {
  let stack: Stack;
  let db: pg.Pool;
  let tenants = 0;

  beforeAll(async () => {
    stack = await startStack({
      // Longer than it takes a worker that is stopped to ask what to do: a shorter interview ends before it is handed over.
      voice: { turns: 4, paceMs: 50 },
      orchestrators: 2,
      environment: {
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '300',
        POOL_TICK_MS: '200',
        STANDBY_BUILD_MS: '2000',
        STANDBY_START_MS: '2000',
      },
    });
    db = ownerPool(stack.cloud.supabase.dbUrl, 2);
  });
  afterEach(() => stack.cloud.fly.faults.clear());
  afterAll(async () => {
    await db?.end();
    await stack?.stop();
  });

  interface Tenant extends SeededTenant {
    platform: Platform;
  }
  const setPool = (tenant: SeededTenant, hot: number, standby: number) =>
    db.query(
      `insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
       values ($1, 'fra', $3, $3, $2, $2) on conflict (tenant_id, region) do update
         set floor = $3, ceiling = $3, hot_floor = $2, hot_ceiling = $2`,
      [tenant.id, hot, standby],
    );
  const prepared = async (tenant: SeededTenant, hot: boolean): Promise<string[]> => {
    const { rows } = await db.query(
      `select fly_machine_id from public.machines where tenant_id = $1 and session_id is null and hot = $2
         and (state = 'started' and lease_expires_at > clock_timestamp() or state = 'created' and not hot)`,
      [tenant.id, hot],
    );
    return rows.map((row) => row.fly_machine_id);
  };
  /** A tenant whose pool is full. */
  async function newTenant(hot: number, standby = 0): Promise<Tenant> {
    tenants += 1;
    const tenant = await stack.addTenant(`h${tenants}`, `Hot ${tenants}`);
    await setPool(tenant, hot, standby);
    await until('the pool is full', async () => {
      const [ready, resting] = [await prepared(tenant, true), await prepared(tenant, false)];
      return ready.length === hot && resting.length === standby;
    });
    return { ...tenant, platform: createPlatform(stack.publicUrl, tenant.apiKey) };
  }
  const machinesOf = async ({ session_id }: SessionView) =>
    (
      await db.query(
        'select state, reason, epoch, hot, confirmed_at, fly_machine_id from public.machines where session_id = $1 order by attempt',
        [session_id],
      )
    ).rows;
  const interviewOf = ({ websocket_url, join_token }: SessionView) =>
    startCandidate({ websocketUrl: websocket_url, joinToken: join_token ?? '' }).ended;
  const over = ({ platform }: Tenant, { session_id }: SessionView) =>
    platform.waitFor(session_id, (session) => session.completed_at !== null, 60_000);
  /** Ends the pool, so that its machines do not use up the processor of the next test. */
  const leave = async (tenant: Tenant) => {
    await setPool(tenant, 0, 0);
    await until('the pool is empty', async () => (await prepared(tenant, true)).length === 0);
  };
  const atFly = (id: string | null | undefined) => stack.cloud.fly.machines().some((machine) => machine.id === id);

  test('a session is ready in the answer that creates it, the interview takes place, and the pool is refilled', async () => {
    const tenant = await newTenant(1);
    const [hot] = await prepared(tenant, true);
    const session = await tenant.platform.createSession(sessionBody());
    expect(session).toMatchObject({ status: 'ready', epoch: 1, fly_machine_id: hot });
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    await until('another hot machine is ready', async () => {
      const [next] = await prepared(tenant, true);
      return next !== undefined && next !== hot;
    });
    const { usage } = await tenant.platform.waitFor(session.session_id, (s) => s.usage !== null, 60_000);
    expect(usage).toMatchObject({ machines: 1, standby_seconds: 0 });
    expect(usage?.hot_seconds).toBeGreaterThan(0);
    expect(usage?.hot_cost_usd).toBeGreaterThan(0);
    await leave(tenant);
  });

  test('a worker that waits at another orchestrator claims without any socket', async () => {
    const tenant = await newTenant(2);
    const sessions = [
      await tenant.platform.createSession(sessionBody()),
      await tenant.platform.createSession(sessionBody()),
    ];
    for (const session of sessions) {
      expect(session.status).toBe('ready');
      await until('it is confirmed', async () => (await machinesOf(session))[0]?.confirmed_at !== null);
      expect(await machinesOf(session)).toMatchObject([{ state: 'claimed', epoch: 1 }]);
      await tenant.platform.deleteSession(session.session_id);
      await over(tenant, session);
    }
    await leave(tenant);
  });

  /** The session was ready in its answer, on a hot machine that does not serve it. */
  async function expectOneFailover(tenant: Tenant, session: SessionView, hot: string | undefined): Promise<void> {
    expect(session).toMatchObject({ status: 'ready', fly_machine_id: hot });
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    const ended = await over(tenant, session);
    expect(ended.epoch).toBe(2);
    // The standby machine, or the next hot one if the pool has it already.
    expect(await machinesOf(session)).toMatchObject([{ hot: true }, { epoch: 2 }]);
    // Fly cannot destroy a machine while its host is away.
    await until('the first machine is given up', async () =>
      /^destroy/.test((await machinesOf(session))[0]?.state ?? ''),
    );
    await leave(tenant);
  }

  test.each<[string, (id: string) => void]>([
    ['killed, and Fly reports its exit', (id) => stack.cloud.fly.killMachineProcess(id)],
    ['killed with its host, and Fly reports nothing', (id) => stack.cloud.fly.loseHost(id)],
    ['stopped by Fly itself', (id) => stack.cloud.fly.killMachineProcess(id, 'SIGTERM')],
  ])(
    'a hot machine that is %s right after the answer costs one fail-over to a prepared machine',
    async (_what, strike) => {
      const tenant = await newTenant(1, 1);
      const [hot] = await prepared(tenant, true);
      const session = await tenant.platform.createSession(sessionBody());
      strike(hot as string);
      await expectOneFailover(tenant, session, hot);
    },
  );

  test('a hot machine that is frozen before its claim costs one fail-over to a prepared machine', async () => {
    const tenant = await newTenant(1, 1);
    const [hot] = await prepared(tenant, true);
    stack.cloud.fly.killMachineProcess(hot as string, 'SIGSTOP');
    await expectOneFailover(tenant, await tenant.platform.createSession(sessionBody()), hot);
  });

  test('a hot machine that is lost while it waits is replaced, and no session gets it', async () => {
    const tenant = await newTenant(1);
    const [hot] = await prepared(tenant, true);
    stack.cloud.fly.killMachineProcess(hot as string);
    await until('its lease is over', async () => !(await prepared(tenant, true)).includes(hot as string));
    const session = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=30' });
    expect(session.fly_machine_id).not.toBe(hot);
    await tenant.platform.deleteSession(session.session_id);
    await over(tenant, session);
    await leave(tenant);
  });

  test('a hot machine that is asked to stop while it waits exits', async () => {
    const tenant = await newTenant(1);
    const [hot] = await prepared(tenant, true);
    stack.cloud.fly.killMachineProcess(hot as string, 'SIGTERM');
    await until('it is gone', () => !atFly(hot));
    await leave(tenant);
  });

  test('a session that is deleted at once ends at once, and its hot machine is destroyed', async () => {
    const tenant = await newTenant(1);
    const session = await tenant.platform.createSession(sessionBody());
    await tenant.platform.deleteSession(session.session_id);
    expect(await over(tenant, session)).toMatchObject({ status: 'cancelled', reason: 'ended_by_platform' });
    await until('the machine is gone', () => !atFly(session.fly_machine_id));
    await leave(tenant);
  });

  test('an orchestrator that stops passes its waiting workers on to another one', async () => {
    const tenant = await newTenant(2);
    const before = await prepared(tenant, true);
    await stack.addOrchestrator();
    expect(await stack.orchestrators.shift()?.stop()).toBe(0);
    const session = await tenant.platform.createSession(sessionBody());
    expect(session.status).toBe('ready');
    expect(before).toContain(session.fly_machine_id);
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    await over(tenant, session);
    await leave(tenant);
  });

  test('every event of this file matches the schema in docs/events.md', async () => {
    expect(eventsOfAnotherShape((await db.query(allEvents)).rows)).toEqual([]);
  });
});
