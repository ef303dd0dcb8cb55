import { expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  call,
  claim,
  digest,
  move,
  newSession,
  newTenant,
  sessionRequest,
  type TestSession,
} from './support/sessions.ts';

/** When each step of a session took place. */
const project = useProject();
const db = () => project().owner;

async function phasesOf({ id }: Pick<TestSession, 'id'>): Promise<Answer> {
  return (await db().query('select * from public.session_phases where session_id = $1', [id])).rows[0];
}
const created = ({ machineId }: TestSession, askedMs: number) =>
  call(db(), 'record_machine_created', {
    p_machine_id: machineId,
    p_fly_machine_id: `fly-${machineId.slice(0, 8)}`,
    p_region: 'fra',
    p_fly_request_id: '01JREQUEST',
    p_asked_ms: askedMs,
  });
const beat = ({ machineId }: TestSession, phases: Record<string, number>, epoch = 1) =>
  call(db(), 'record_heartbeats', {
    p_beats: [{ machine_id: machineId, epoch, presence: 'present', unsaved_entries: 0, phases }],
    p_lease_ms: 20_000,
  });

test('a session that becomes ready has a row with the steps of its start, from the intent to the claim', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await db().query("update public.machines set reserved_at = reserved_at - interval '10 s' where id = $1", [
    session.machineId,
  ]);
  await created(session, 1_500);
  await call(db(), 'app.claim_session', {
    p_machine_name: `gr-${session.machineId}`,
    p_app_name: session.app,
    p_fly_machine_id: `fly-${session.machineId.slice(0, 8)}`,
    p_boot_nonce: 'boot',
    p_lease_ms: 20_000,
    p_life_ms: 600_000,
    p_vm_ms: 700,
    p_process_ms: 300,
  });
  const row = await phasesOf(session);
  expect(row).toMatchObject({ path: 'cold', attempts: 1, region: 'fra', fly_request_id: '01JREQUEST' });
  const order = [row.asked_at, row.started_at, row.booted_at, row.ready_at].map(Number);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(row.answered_at - row.asked_at).toBeGreaterThanOrEqual(1_490);
  // A Date has no microseconds, so each of the two may be almost a millisecond too early.
  expect(Math.abs(row.start_ms - (Number(row.ready_at) - Number(row.due_at)))).toBeLessThanOrEqual(1);
  const machine = await db().query('select fly_request_id from public.machines where id = $1', [session.machineId]);
  expect(machine.rows[0].fly_request_id).toBe('01JREQUEST');
});

test('the uptime of a host that several VMs share says nothing about the start of the VM', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await call(db(), 'app.claim_session', {
    ...{ p_machine_name: `gr-${session.machineId}`, p_app_name: session.app, p_boot_nonce: 'boot' },
    ...{ p_fly_machine_id: 'fly-1', p_lease_ms: 20_000, p_life_ms: 600_000, p_vm_ms: 864_000_000, p_process_ms: 3 },
  });
  expect(await phasesOf(session)).toMatchObject({ started_at: null, booted_at: expect.any(Date) });
});

test("Fly's answer that is recorded after the claim is added to the row", async () => {
  const session = await newSession(db(), await newTenant(db()));
  await claim(db(), session);
  expect(await phasesOf(session)).toMatchObject({ asked_at: null, fly_request_id: null });
  await created(session, 900);
  expect(await phasesOf(session)).toMatchObject({ asked_at: expect.any(Date), fly_request_id: '01JREQUEST' });
});

test('steps of the call are stored as they are reported, and the first report of a step counts', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await claim(db(), session);
  await beat(session, { edge_wait: 400, socket: 2_000 });
  const first = await phasesOf(session);
  await beat(session, { edge_wait: 9, socket: 50, spoke: 0 });
  const second = await phasesOf(session);
  expect(second).toMatchObject({ edge_wait_ms: 400, socket_at: first.socket_at, spoke_at: expect.any(Date) });
  expect(second.spoke_at - second.socket_at).toBeGreaterThanOrEqual(1_990);
});

test('a worker of an older epoch adds no steps', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await claim(db(), session);
  await db().query('update public.machines set epoch = 2 where id = $1', [session.machineId]);
  await beat(session, { socket: 10 }, 1);
  expect(await phasesOf(session)).toMatchObject({ socket_at: null });
});

test('opening the page and pressing Start are stored once, also before the session is ready', async () => {
  const tenant = await newTenant(db());
  const code = digest('code');
  const session = await newSession(db(), tenant, { invitation_hash: digest(tenant.id) });
  const invitation = { p_session_id: session.id, p_code_hash: digest(tenant.id), p_browser_hash: code };
  await call(db(), 'look_at_invitation', invitation);
  const looked = await phasesOf(session);
  expect(looked).toMatchObject({ looked_at: expect.any(Date), joined_at: null, due_at: null });
  await call(db(), 'join_session', invitation);
  await claim(db(), session);
  await call(db(), 'join_session', invitation);
  const joined = await phasesOf(session);
  expect(joined).toMatchObject({ looked_at: looked.looked_at, path: 'cold', due_at: expect.any(Date) });
  expect(joined.joined_at.getTime()).toBeLessThan(joined.ready_at.getTime());
});

test('a wrong code stores nothing', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await call(db(), 'look_at_invitation', {
    ...{ p_session_id: session.id, p_code_hash: digest('wrong'), p_browser_hash: digest('browser') },
  });
  expect(await phasesOf(session)).toBeUndefined();
});

test('a session that ends without having been ready has a row with its last attempt', async () => {
  const session = await newSession(db(), await newTenant(db()));
  await move(db(), session.id, 'failed', 'failed', 'boot_timeout');
  expect(await phasesOf(session)).toMatchObject({ path: 'cold', attempts: 1, ready_at: null, start_ms: null });
});

test('a session whose first region was full names that attempt with its evidence', async () => {
  const session = await newSession(db(), await newTenant(db()));
  const { intent } = await call(db(), 'record_create_failed', {
    p_machine_id: session.machineId,
    p_reason: 'no_capacity',
    p_launch: { region: 'ams', max_attempts: 3, max_failed: 3, taken_ms: 2_000, life_ms: 600_000 },
    p_evidence: "Fly's answer to the create: noCapacity",
    p_fly_request_id: '01JFULL',
    p_asked_ms: 200,
  });
  await claim(db(), { machineId: intent.machine_id, app: session.app });
  const row = await phasesOf(session);
  expect(row).toMatchObject({ attempts: 2, wanted_region: 'fra', region: 'ams' });
  expect(row.earlier).toMatchObject([
    { region: 'fra', reason: 'create_failed', evidence: "Fly's answer to the create: noCapacity" },
  ]);
});

test('sessions that wait for the create limit know their place among those that wait', async () => {
  const tenant = await newTenant(db());
  const requests = Array.from({ length: 8 }, () => sessionRequest(tenant.id));
  const results: Answer[] = await call(db(), 'create_sessions', { p_requests: requests });
  const last = results.at(-1);
  await claim(db(), { machineId: last.intent.machine_id, app: tenant.app });
  const row = await phasesOf({ id: last.session.session_id });
  expect(row.slot_at - row.reserved_at).toBeGreaterThan(1_000);
  expect(row).toMatchObject({ slot_place: 8, slot_count: 8 });
});

test('operators read the steps of a session before and after it is ready, and null for an unknown one', async () => {
  const session = await newSession(db(), await newTenant(db()));
  const read = (id: string) => call(db(), 'session_phases_of', { p_session_id: id });
  expect(await read(session.id)).toMatchObject({ status: 'provisioning', path: 'cold', ready_at: null });
  await claim(db(), session);
  expect(await read(session.id)).toMatchObject({ status: 'ready', ready_at: expect.any(String), scheduled: false });
  expect(await read(session.tenantId)).toBeNull();
});
