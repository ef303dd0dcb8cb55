import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startCandidate } from '../../tools/demo/interview.ts';
import { type ApiProblem, createPlatform, type Platform } from '../../tools/demo/platform.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { sessionBody, until } from '../support/session.ts';

/** Standby machines, schedules, the queue and placement, with a real orchestrator and real workers. */
describe('pools, schedules and the queue', () => {
  let stack: Stack;
  let db: pg.Pool;
  let tenants = 0;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 1, paceMs: 50 },
      environment: {
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '300',
        POOL_TICK_MS: '200',
        STANDBY_BUILD_MS: '2000',
        STANDBY_START_MS: '2000',
        SCHEDULE_LEAD_MS: '5000',
        QUEUE_MS: '30000',
      },
    });
    db = ownerPool(stack.cloud.supabase.dbUrl, 2);
  });
  afterEach(() => {
    stack.cloud.fly.faults.clear();
    for (const region of ['fra', 'jnb']) stack.cloud.fly.setCapacity(region, 'unlimited');
  });
  afterAll(async () => {
    await db?.end();
    await stack?.stop();
  });

  /** Makes a separate tenant for each test, with a pool in Frankfurt when `floor` is given. */
  async function newTenant(settings: { floor?: number; maxLive?: number; regions?: string[] } = {}) {
    tenants += 1;
    const tenant = await stack.addTenant(`t${tenants}`, `Tenant ${tenants}`);
    await db.query('update public.tenants set max_live_sessions = $2, allowed_regions = $3 where id = $1', [
      tenant.id,
      settings.maxLive ?? 50,
      settings.regions ?? null,
    ]);
    await db.query("update public.api_keys set scopes = scopes || '{tenant:read}' where tenant_id = $1", [tenant.id]);
    if (settings.floor !== undefined)
      await db.query(
        "insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'fra', $2, $2)",
        [tenant.id, settings.floor],
      );
    return { ...tenant, platform: createPlatform(stack.publicUrl, tenant.apiKey) };
  }
  const over = ({ platform }: { platform: Platform }, id: string) =>
    platform.waitFor(id, (session) => session.completed_at !== null, 60_000);
  const machinesAt = (tenant: SeededTenant) => stack.cloud.fly.machines().filter((m) => m.app === tenant.appName);
  const resting = (tenant: SeededTenant, count: number) =>
    until(`${count} standby machines rest`, () => {
      const machines = machinesAt(tenant).filter((m) => m.state === 'created' || m.state === 'stopped');
      return machines.length === count ? machines : undefined;
    });
  /** Standby machines that exist at Fly and are recorded as created, so that a session can take them. */
  const ready = (tenant: SeededTenant, count: number) =>
    until(`${count} standby machines are ready`, async () => {
      const { rows } = await db.query(
        "select count(*)::int as n from public.machines where tenant_id = $1 and session_id is null and state = 'created'",
        [tenant.id],
      );
      return rows[0].n === count;
    });
  const interviewOf = (session: SessionView) =>
    startCandidate({ websocketUrl: session.websocket_url, joinToken: session.join_token ?? '' }).ended;
  const problemOf = (promise: Promise<unknown>): Promise<ApiProblem> =>
    promise.then(
      () => Promise.reject(new Error('it was not refused')),
      (error: ApiProblem) => error,
    );

  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  /** Status, code, and whether the answer has a Retry-After. */
  const refusalOf = async (tenant: SeededTenant, extra: Record<string, unknown> = {}) => {
    const answer = await fetch(`${stack.publicUrl}/api/sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(sessionBody(extra)),
    });
    const { code } = (await answer.json()) as { code: string };
    return [answer.status, code, Number(answer.headers.get('retry-after')) > 0];
  };

  test('a session takes a standby machine that never ran, the interview takes place and the pool is refilled', async () => {
    const tenant = await newTenant({ floor: 1 });
    const [standby] = await resting(tenant, 1);
    await ready(tenant, 1);
    const session = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=10' });
    expect(session).toMatchObject({ status: 'ready', region: 'fra', fly_machine_id: standby?.id });
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    const [next] = await resting(tenant, 1);
    expect(next?.id).not.toBe(standby?.id);
    const { usage } = await tenant.platform.waitFor(session.session_id, (s) => s.usage !== null, 60_000);
    expect(usage).toMatchObject({ machines: 1 });
    expect(usage?.cost_usd).toBeGreaterThan(0);
    expect(usage?.standby_seconds).toBeGreaterThan(0);
    const shown = async (what: string) =>
      (
        await fetch(`${stack.publicUrl}/api/tenants/${tenant.id}/${what}`, {
          headers: { authorization: `Bearer ${tenant.apiKey}` },
        })
      ).json();
    expect(await shown('pool')).toMatchObject({ data: [{ region: 'fra', floor: 1, ceiling: 1 }] });
    const used = await shown('usage');
    expect(used).toMatchObject({
      sessions: 1,
      cost_usd: usage?.cost_usd,
      standby_cost_usd: usage?.standby_cost_usd,
      regions: [{ region: 'fra', size: 'shared-cpu-1x:512MB', machines: 1, standby_seconds: usage?.standby_seconds }],
    });
    expect(await shown('usage?from=2027-01-01T00:00:00Z')).toMatchObject({ errors: [{ field: 'from' }] });
  });

  test.each(['created', 'stopped'] as const)(
    'standby machines that Fly shows as %s are kept: three creates, no destroy, and both start',
    async (rest) => {
      stack.cloud.fly.setResting(rest);
      const tenant = await newTenant({ floor: 3 });
      await ready(tenant, 3);
      const atFirst = (await resting(tenant, 3)).map(({ id }) => id).toSorted();
      await new Promise((resolve) => setTimeout(resolve, 12 * 500));
      const made = stack.cloud.fly.machines({ includeDestroyed: true }).filter((m) => m.app === tenant.appName);
      expect(made.map(({ id, state }) => [id, state]).toSorted()).toEqual(atFirst.map((id) => [id, rest]));
      const session = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=10' });
      expect(session).toMatchObject({ status: 'ready' });
      expect(atFirst).toContain(session.fly_machine_id);
      await tenant.platform.deleteSession(session.session_id);
      await over(tenant, session.session_id);
    },
  );

  test('a full host makes the session take the next standby machine', async () => {
    const tenant = await newTenant({ floor: 2 });
    await resting(tenant, 2);
    await ready(tenant, 2);
    stack.cloud.fly.faults.add({ on: 'machines.start', action: { kind: 'special', name: 'host_cpus' } });
    const session = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=10' });
    expect(session).toMatchObject({ status: 'ready', region_reason: 'capacity' });
    const { rows } = await db.query(
      'select state, reason, attempt from public.machines where session_id = $1 order by attempt',
      [session.session_id],
    );
    expect(rows).toMatchObject([
      { reason: 'start_failed', attempt: 1 },
      { state: 'claimed', attempt: 2 },
    ]);
    await tenant.platform.deleteSession(session.session_id);
    await over(tenant, session.session_id);
  });

  test('a scheduled session is ready by its time, and its machine is not prepared too early', async () => {
    const tenant = await newTenant();
    const created = await tenant.platform.createSession(
      sessionBody({ scheduled_at: new Date(Date.now() + 3_600_000).toISOString() }),
    );
    expect(created).toMatchObject({ status: 'scheduled', join_token: null, plan: { late_by_ms: 0 } });
    expect(machinesAt(tenant)).toEqual([]);
    const due = new Date(Date.now() + 15_000).toISOString();
    const moved = await fetch(`${stack.publicUrl}/api/sessions/${created.session_id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ scheduled_at: due }),
    });
    expect(await moved.json()).toMatchObject({ status: 'scheduled', plan: { ready_by: due, late_by_ms: 0 } });
    const session = await tenant.platform.waitFor(created.session_id, (s) => s.status === 'ready', 60_000);
    expect(Date.parse(session.ready_at ?? '')).toBeLessThan(Date.parse(due));
    const { rows } = await db.query(
      'select assigned_at is not null as standby from public.machines where session_id = $1',
      [session.session_id],
    );
    expect(rows).toEqual([{ standby: true }]);
    await tenant.platform.deleteSession(session.session_id);
    await over(tenant, session.session_id);
  });

  test('a schedule that cannot be met is reported as late when it is accepted, and moving it clears that', async () => {
    const tenant = await newTenant();
    const patch = (id: string, scheduled_at: string) =>
      fetch(`${stack.publicUrl}/api/sessions/${id}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ scheduled_at }),
      }).then((answer) => answer.json());
    const due = new Date(Date.now() + 14_000).toISOString();
    const sessions: SessionView[] = [];
    // One create a second and two seconds to build: this many machines cannot be ready by one time.
    for (let n = 0; n < 16; n += 1)
      sessions.push(await tenant.platform.createSession(sessionBody({ scheduled_at: due })));
    const lateMs = sessions.map(({ plan }) => plan?.late_by_ms ?? -1);
    expect(lateMs[0]).toBe(0);
    expect(lateMs[15]).toBeGreaterThan(1_000);
    expect(Date.parse(sessions[15]?.plan?.ready_by ?? '') - Date.parse(due)).toBe(lateMs[15]);
    const { session_id } = sessions[15] as SessionView;
    const hour = new Date(Date.now() + 3_600_000).toISOString();
    expect(await patch(session_id, hour)).toMatchObject({ plan: { ready_by: hour, late_by_ms: 0 } });
    expect(await patch(session_id, due)).toMatchObject({ plan: { late_by_ms: expect.any(Number) } });
    expect(await patch(session_id, inDays(91))).toMatchObject({ status: 422, errors: [{ field: 'scheduled_at' }] });
    for (const session of sessions) await tenant.platform.deleteSession(session.session_id);
  });

  test("placement on join starts a machine only when the candidate comes, in the candidate's region", async () => {
    const tenant = await newTenant();
    const session = await tenant.platform.createSession(sessionBody({ region: 'syd', placement: 'on_join' }));
    expect(session).toMatchObject({ status: 'pending', placement: 'on_join' });
    expect(machinesAt(tenant)).toEqual([]);
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    expect(await over(tenant, session.session_id)).toMatchObject({ region: 'fra', region_reason: 'edge' });
  });

  test('at the tenant limit a session gets 429 with Retry-After, or is queued and served when another one ends', async () => {
    const tenant = await newTenant({ maxLive: 1 });
    const first = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=10' });
    expect(await refusalOf(tenant)).toEqual([429, 'tenant_quota_exceeded', true]);
    const queued = await tenant.platform.createSession(sessionBody({ admission: 'queue' }));
    expect(queued).toMatchObject({ status: 'pending', join_token: null, queue: { position: 1 } });
    expect(queued.queue?.estimate_ms).toBeGreaterThan(0);
    const second = await tenant.platform.createSession(sessionBody({ admission: 'queue' }));
    expect(second.queue?.position).toBe(2);
    expect(second.queue?.estimate_ms).toBeGreaterThan(queued.queue?.estimate_ms ?? 0);
    await tenant.platform.deleteSession(second.session_id);
    await tenant.platform.deleteSession(first.session_id);
    const admitted = await tenant.platform.waitFor(queued.session_id, (s) => s.status === 'ready', 60_000);
    expect(admitted.queue).toBeNull();
    await tenant.platform.deleteSession(admitted.session_id);
    await over(tenant, admitted.session_id);
  });

  test('without capacity anywhere the first session reports it, and the next ones are refused with 503', async () => {
    const tenant = await newTenant({ regions: ['jnb'] });
    stack.cloud.fly.setCapacity('jnb', 'none');
    const first = await tenant.platform.createSession(sessionBody({ region: 'jnb' }), { prefer: 'wait=10' });
    expect(first).toMatchObject({ status: 'failed', reason: 'no_capacity' });
    expect(await refusalOf(tenant, { region: 'jnb' })).toEqual([503, 'no_capacity', true]);
  });

  test.each<[string, Record<string, unknown>]>([
    ['region', { region: 'xyz' }],
    ['region.1', { region: ['fra', 'xyz'] }],
    ['coordinates.lat', { region: undefined, coordinates: { lat: 91, lon: 0 } }],
    ['coordinates.lon', { region: undefined, coordinates: { lat: 0, lon: -181 } }],
    ['coordinates', { coordinates: { lat: 0, lon: 0 } }],
    ['country', { region: undefined, country: 'XX' }],
    ['country', { country: 'DE' }],
    ['scheduled_at', { scheduled_at: inDays(-1) }],
    ['scheduled_at', { scheduled_at: inDays(91) }],
    ['scheduled_at', { scheduled_at: 'tomorrow' }],
    ['placement', { placement: 'later' }],
    ['admission', { admission: 'please' }],
    ['max_duration_minutes', { max_duration_minutes: 0 }],
  ])('an invalid %s is refused with the name of the field: %o', async (field, body) => {
    const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
    const { status, body: problem } = await problemOf(platform.createSession(sessionBody(body)));
    expect([status, problem.errors]).toEqual([422, expect.arrayContaining([expect.objectContaining({ field })])]);
  });

  test('a new image replaces the pool machine by machine, and a live interview keeps its machine', async () => {
    const tenant = await newTenant({ floor: 2 });
    await ready(tenant, 2);
    const session = await tenant.platform.createSession(sessionBody(), { prefer: 'wait=10' });
    await ready(tenant, 2);
    const before = (await resting(tenant, 2)).map(({ id }) => id);
    const digest = `sha256:${'d'.repeat(64)}`;
    const image = `registry.fly.io/greenroom-worker@${digest}`;
    stack.cloud.fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), digest });
    await stack.addOrchestrator({ WORKER_IMAGE: image });
    expect(await stack.orchestrators.shift()?.stop()).toBe(0);
    const standby = () =>
      db
        .query(
          "select image, fly_machine_id from public.machines where tenant_id = $1 and session_id is null and state = 'created'",
          [tenant.id],
        )
        .then(({ rows }) => rows);
    await until('the pool is of the new image', async () => {
      const rows = await standby();
      return rows.length === 2 && rows.every((row) => row.image === image);
    });
    const { rows: given } = await db.query('select reason from public.machines where fly_machine_id = any ($1)', [
      before,
    ]);
    expect(given).toEqual([{ reason: 'image_replaced' }, { reason: 'image_replaced' }]);
    expect(await interviewOf(session)).toMatchObject({ outcome: 'completed' });
    expect(await over(tenant, session.session_id)).toMatchObject({ fly_machine_id: session.fly_machine_id, epoch: 1 });
  });

  test('every event of this file matches the schema in docs/events.md', async () => {
    expect(eventsOfAnotherShape((await db.query(allEvents)).rows)).toEqual([]);
  });
});
