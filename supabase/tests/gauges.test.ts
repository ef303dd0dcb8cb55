import { expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { call, newTenant, sessionRequest, type TestTenant } from './support/sessions.ts';

/** The counts behind the metrics of the fleet. */
const project = useProject();
const db = () => project().owner;

const gauges = () => call(db(), 'fleet_gauges', {});
const slugOf = async ({ id }: TestTenant): Promise<string> =>
  (await db().query('select slug from public.tenants where id = $1', [id])).rows[0].slug;

test('fleet_gauges counts the live sessions and the machines of a tenant', async () => {
  const tenant = await newTenant(db());
  const slug = await slugOf(tenant);
  const before = await gauges();
  await call(db(), 'create_sessions', {
    p_requests: [sessionRequest(tenant.id), sessionRequest(tenant.id)],
  });
  const after = await gauges();
  const ofTenant = ({ sessions }: Awaited<ReturnType<typeof gauges>>) =>
    sessions.filter((row: { tenant: string }) => row.tenant === slug);
  expect(ofTenant(before)).toEqual([]);
  expect(ofTenant(after).map(({ count }: { count: number }) => count)).toEqual([2]);
  const reserved = ({ machines }: Awaited<ReturnType<typeof gauges>>) =>
    machines
      .filter(({ state }: { state: string }) => state === 'reserved')
      .reduce((sum: number, { count }: { count: number }) => sum + count, 0);
  expect(reserved(after) - reserved(before)).toBe(2);
});

test('a tenant whose sessions have ended is not in the answer', async () => {
  const tenant = await newTenant(db());
  const slug = await slugOf(tenant);
  await call(db(), 'create_sessions', { p_requests: [sessionRequest(tenant.id)] });
  expect(JSON.stringify(await gauges())).toContain(`"${slug}"`);
  await db().query(
    `update public.interview_sessions set status = 'cancelled', outcome = 'cancelled', reason = 'ended_by_platform',
      completed_at = now() where tenant_id = $1`,
    [tenant.id],
  );
  expect(JSON.stringify(await gauges())).not.toContain(`"${slug}"`);
});

test('every kind of owed work is counted, also when nothing is owed', async () => {
  const { work } = await gauges();
  expect(work.map(({ kind }: { kind: string }) => kind).toSorted()).toEqual([
    'evaluation',
    'hang_up',
    'recording_deletion',
    'webhook',
  ]);
});
