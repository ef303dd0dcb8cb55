import { describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  call,
  claim,
  newSession,
  newTenant,
  servedSession,
  sessionRequest,
  type TestTenant,
} from './support/sessions.ts';

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

interface Total {
  name: string;
  tenant: string | null;
  labels: Record<string, string>;
  count: number;
  sum: number;
}

describe('the totals', () => {
  const totals = async (): Promise<Total[]> => (await call(db(), 'fleet_totals')).totals;
  const sumOf = async (name: string, labels: Record<string, string> = {}): Promise<number> =>
    (await totals())
      .filter((row) => row.name === name && Object.entries(labels).every(([key, value]) => row.labels[key] === value))
      .reduce((sum, row) => sum + Number(row.sum), 0);
  const countOf = async (name: string): Promise<number> =>
    (await totals()).filter((row) => row.name === name).reduce((sum, row) => sum + row.count, 0);
  const acknowledged = () => sumOf('worker', { kind: 'entries_acknowledged' });
  const beat = (machineId: string, epoch: number, entries: number) =>
    call(db(), 'record_heartbeats', {
      p_beats: [
        {
          ...{ machine_id: machineId, epoch, presence: 'absent', unsaved_entries: 0 },
          counts: { sockets: 0, messages: 0, entries_acknowledged: entries, entries_refused: 0 },
        },
      ],
      p_lease_ms: 20_000,
    });
  const end = ({ machineId }: { machineId: string }, counts: object | null = null) =>
    call(db(), 'finish_session', {
      ...{ p_machine_id: machineId, p_epoch: 1, p_kind: 'ended', p_outcome: 'completed' },
      ...{ p_reason: 'ended_by_candidate', p_transcript_complete: true, p_counts: counts },
    });

  test('a start and an end are counted once each, however often they are reported', async () => {
    const before = { ready: await countOf('session_ready_seconds'), ended: await sumOf('sessions_ended') };
    const session = await servedSession(db(), await newTenant(db()));
    await claim(db(), session);
    await end(session);
    await end(session);
    expect(await countOf('session_ready_seconds')).toBe(before.ready + 1);
    expect(await sumOf('sessions_ended')).toBe(before.ended + 1);
  });

  test('ten orchestrators that collect at once add every tally once', async () => {
    const before = await sumOf('test_counter');
    await db().query("select app.tally('test_counter', 1) from generate_series(1, 3000)");
    await Promise.all(Array.from({ length: 10 }, () => totals()));
    expect(await sumOf('test_counter')).toBe(before + 3_000);
    const { rows } = await db().query("select count(*)::int as n from app.tallies where name = 'test_counter'");
    expect(rows[0].n).toBe(0);
  });

  test('a collection that is killed half-way loses nothing', async () => {
    const before = await sumOf('test_counter');
    await db().query("select app.tally('test_counter', 7)");
    const client = await db().connect();
    await client.query('begin');
    await client.query('select app.collect_tallies()');
    await client.query('rollback');
    client.release();
    expect(await sumOf('test_counter')).toBe(before + 7);
  });

  test('reports of a worker that arrive twice or late count nothing twice; the next boot counts from zero', async () => {
    const { machineId, ...session } = await servedSession(db(), await newTenant(db()));
    const before = await acknowledged();
    await beat(machineId, 1, 5);
    await beat(machineId, 1, 8);
    await beat(machineId, 1, 5);
    await beat(machineId, 1, 8);
    expect(await acknowledged()).toBe(before + 8);
    await call(db(), 'finish_session', { p_machine_id: machineId, p_epoch: 1, p_kind: 'draining' });
    expect(await claim(db(), { machineId, ...session }, 'boot-2')).toMatchObject({ kind: 'claimed' });
    await beat(machineId, 2, 3);
    await beat(machineId, 1, 9);
    expect(await acknowledged()).toBe(before + 11);
    expect(await sumOf('failovers')).toBeGreaterThanOrEqual(1);
  });

  test('groups of counts become metrics of their own, and a repeated report adds nothing', async () => {
    const session = await servedSession(db(), await newTenant(db()));
    const figures = async () => ({
      replaced: await sumOf('candidate_socket_closes', { code: '4412' }),
      lost: await sumOf('candidate_socket_closes', { code: '1006' }),
      poor: await sumOf('candidate_network_reports', { quality: 'poor' }),
      spoken: await sumOf('transcript_entries', { speaker: 'ai' }),
      open: await sumOf('candidate_socket_seconds'),
    });
    const before = await figures();
    const report = (closes: Record<string, number>, candidate_socket_ms: number) =>
      call(db(), 'record_heartbeats', {
        p_beats: [
          {
            ...{ machine_id: session.machineId, epoch: 1, presence: 'absent', unsaved_entries: 0 },
            counts: {
              ...{ sockets: 3, messages: 0, entries_acknowledged: 0, entries_refused: 0, candidate_socket_ms },
              ...{ candidate_socket_closes: closes, candidate_network_reports: { poor: 2 }, candidate_problems: {} },
              transcript_entries: { ai: 4, candidate: 0 },
            },
          },
        ],
        p_lease_ms: 20_000,
      });
    await report({ '1006': 1 }, 1_500);
    await report({ '1006': 1, '4412': 1 }, 2_500);
    await report({ '1006': 1 }, 1_500);
    const after = await figures();
    expect(after).toEqual({
      replaced: before.replaced + 1,
      lost: before.lost + 1,
      poor: before.poor + 2,
      spoken: before.spoken + 4,
      open: before.open + 2.5,
    });
  });

  test('a start in a region with a pool is a hit or a miss, elsewhere neither', async () => {
    const starts = async (result: string) => sumOf('pool_starts', { result });
    const before = { hit: await starts('hit'), miss: await starts('miss') };
    const tenant = await newTenant(db());
    await claim(db(), await servedSession(db(), tenant));
    expect(await starts('miss')).toBe(before.miss);
    await db().query("insert into public.pool_policies (tenant_id, region, ceiling) values ($1, 'fra', 1)", [
      tenant.id,
    ]);
    await claim(db(), await servedSession(db(), tenant));
    expect(await starts('miss')).toBe(before.miss + 1);
    expect(await starts('hit')).toBe(before.hit);
  });

  test("a worker's last report adds what its heartbeats had not reported, and an entry that is missing is counted", async () => {
    const session = await servedSession(db(), await newTenant(db()));
    const before = { acknowledged: await acknowledged(), lost: await sumOf('transcript_entries_lost') };
    await beat(session.machineId, 1, 2);
    await end(session, { sockets: 1, messages: 4, entries_acknowledged: 6, entries_refused: 0 });
    expect(await acknowledged()).toBe(before.acknowledged + 6);
    // None of the six is stored.
    expect(await sumOf('transcript_entries_lost')).toBe(before.lost + 6);
  });

  test('the series of a removed tenant are not in the answer', async () => {
    const tenant = await newTenant(db());
    const slug = await slugOf(tenant);
    await end(await servedSession(db(), tenant));
    expect((await totals()).filter((row) => row.tenant === slug).length).toBeGreaterThan(0);
    await db().query("update public.tenants set status = 'removed' where id = $1", [tenant.id]);
    expect((await totals()).filter((row) => row.tenant === slug)).toEqual([]);
  });

  test('a machine that is destroyed long after its hard deadline counts as an orphan for that time', async () => {
    const before = await sumOf('orphan_seconds');
    const { machineId } = await newSession(db(), await newTenant(db()));
    await db().query("update public.machines set hard_deadline_at = now() - interval '70 seconds' where id = $1", [
      machineId,
    ]);
    await db().query("select app.move_machine($1, 'destroying', 'hard_deadline'), app.move_machine($1, 'destroyed')", [
      machineId,
    ]);
    const orphan = (await sumOf('orphan_seconds')) - before;
    expect(orphan).toBeGreaterThanOrEqual(60);
    expect(orphan).toBeLessThan(600);
  });
});
