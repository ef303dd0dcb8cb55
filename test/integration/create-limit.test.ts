import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPlatform } from '../../tools/demo/platform.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { sessionBody, until } from '../support/session.ts';

/**
 * Fly's limits, enforced by the stand-in as documented: one create or list a second and app, three in a burst. Two
 * orchestrators that ask at once draw from one row, so that Fly never refuses a request.
 */
describe('two orchestrators under Fly’s limits', () => {
  const image = `registry.fly.io/idle@sha256:${'c'.repeat(64)}`;
  let stack: Stack;
  let db: pg.Pool;

  beforeAll(async () => {
    // These machines boot nothing: only the times of the creates matter. Lists are requested far too often on purpose.
    stack = await startStack({
      orchestrators: 2,
      environment: { WORKER_IMAGE: image, CREATE_MS: '120000', RECONCILE_TICK_MS: '300', POOL_TICK_MS: '200' },
    });
    stack.cloud.fly.registerImage(image, {
      inProcess: () => ({ stop: () => undefined }),
      digest: image.split('@')[1] as string,
    });
    db = ownerPool(stack.cloud.supabase.dbUrl, 2);
  });
  afterEach(() => stack.cloud.fly.faults.clear());
  afterAll(async () => {
    await db?.end();
    await stack?.stop();
  });

  const refusedByFly = ({ appName }: SeededTenant) =>
    stack.logLines
      .filter((line) => line.includes('"status_code":429') && line.includes(`/${appName}/`))
      .map((line) => JSON.parse(line));

  /** Asks both orchestrators in turn, all at once. */
  const post = (tenant: SeededTenant, count: number, extra: Record<string, unknown> = {}) =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        createPlatform(stack.orchestrators[n % 2]?.url ?? '', tenant.apiKey).createSession(sessionBody(extra)),
      ),
    );
  const machinesAt = (app: string) => stack.cloud.fly.machines().filter((machine) => machine.app === app);
  /** Creation times at Fly in ms after the first. */
  const spread = async (apps: string[], count: number): Promise<number[]> => {
    const machines = await until(
      `Fly has ${count} machines`,
      () => {
        const found = apps.flatMap(machinesAt);
        return found.length === count ? found : undefined;
      },
      90_000,
    );
    const times = machines.map(({ createdAtMs }) => createdAtMs).sort((a, b) => a - b);
    return times.map((time) => time - (times[0] as number));
  };

  test('eight sessions at once: three start in the burst, the others one a second, and Fly refuses no request', async () => {
    const tenant = await stack.addTenant('one-app', 'One app');
    await post(tenant, 8);
    const times = await spread([tenant.appName], 8);
    // Fly allows three at once and then one a second: never faster, and not much slower on a busy machine.
    expect(times[7]).toBeGreaterThan(4_000);
    expect(times[7]).toBeLessThan(60_000);
    // A busy machine may send the first creates late and the fourth on time, which is too early for Fly's bucket.
    expect(refusedByFly(tenant).length).toBeLessThanOrEqual(1);
  });

  test('three apps create three times as many machines at once as one app', async () => {
    const tenant = await stack.addTenant('three-apps', 'Three apps');
    const given = await fetch(`${stack.publicUrl}/api/tenants/${tenant.id}/apps`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${stack.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ count: 3 }),
    });
    const { apps } = (await given.json()) as { apps: Array<{ name: string; status: string }> };
    expect(apps.map(({ status }) => status)).toEqual(['ready', 'ready', 'ready']);
    await post(tenant, 9);
    const names = apps.map(({ name }) => name);
    await spread(names, 9);
    // One app would need 6 s for nine. Three apps need one burst each.
    expect(names.map((name) => machinesAt(name).length)).toEqual([3, 3, 3]);
    expect(refusedByFly(tenant)).toEqual([]);
  });

  test('lookups after lost replies share one rate limit with the lists of both reconcilers', async () => {
    const tenant = await stack.addTenant('lookups', 'Lookups');
    const before = stack.cloud.fly.faults.fired['machines.create'] ?? 0;
    stack.cloud.fly.faults.add({ on: 'machines.create', action: { kind: 'drop_after' }, times: 3 });
    await post(tenant, 3);
    await until('all are adopted', async () => {
      const { rows } = await db.query(
        "select count(*)::int as n from public.machines where tenant_id = $1 and state = 'created'",
        [tenant.id],
      );
      return rows[0].n === 3;
    });
    expect((stack.cloud.fly.faults.fired['machines.create'] ?? 0) - before).toBe(3);
    expect(machinesAt(tenant.appName)).toHaveLength(3);
    expect(refusedByFly(tenant)).toEqual([]);
  });

  test('filling a pool waits while candidates wait for machines', async () => {
    const tenant = await stack.addTenant('patient', 'Patient');
    await db.query("insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'ams', 3, 3)", [
      tenant.id,
    ]);
    await post(tenant, 6, { region: 'fra' });
    await spread([tenant.appName], 9);
    const order = machinesAt(tenant.appName)
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
      .map(({ metadata }) => (metadata.session_id === undefined ? 'pool' : 'candidate'));
    // The pool may have created one machine before the first candidate asked.
    expect(order.slice(1, 7).filter((whose) => whose === 'candidate').length).toBeGreaterThanOrEqual(5);
    expect(order.slice(-2)).toEqual(['pool', 'pool']);
    expect(refusedByFly(tenant).length).toBeLessThanOrEqual(1);
  });

  test('every orchestrator respects the Retry-After of one refused create', async () => {
    const tenant = await stack.addTenant('slowed', 'Slowed');
    const headers = { 'retry-after': '3' };
    stack.cloud.fly.faults.add({
      on: 'machines.create',
      action: { kind: 'status', status: 429, body: { error: 'rate limit exceeded' }, headers },
    });
    const askedMs = Date.now();
    await post(tenant, 1);
    await until('everybody knows that Fly has refused it', async () => {
      const { rows } = await db.query(
        "select next_create_at > now() + interval '3 s' as slowed from public.tenant_apps where name = $1",
        [tenant.appName],
      );
      return rows[0].slowed;
    });
    expect(refusedByFly(tenant)).toMatchObject([
      { fly_request_id: expect.stringMatching(/^[0-9A-Z]{26}-/), machine_name: expect.stringMatching(/^gr-/) },
    ]);
    await createPlatform(stack.orchestrators[1]?.url ?? '', tenant.apiKey).createSession(sessionBody());
    await spread([tenant.appName], 2);
    for (const { createdAtMs } of machinesAt(tenant.appName)) expect(createdAtMs - askedMs).toBeGreaterThan(2_900);
  });
});
