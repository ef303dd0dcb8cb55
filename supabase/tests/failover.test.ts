import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  by,
  call,
  claim,
  digest,
  eventsOf,
  move,
  newSession,
  newTenant,
  servedSession,
  sessionRow,
  type TestSession,
  type TestTenant,
} from './support/sessions.ts';

/** Duties, attempts and the transfer of an assignment, function by function. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db());
});

const next = {
  orchestrator_id: randomUUID(),
  taken_ms: 2_000,
  max_attempts: 3,
  max_failed: 5,
  image: 'worker:1',
  life_ms: 60_000,
};
const machinesOf = async (session: TestSession): Promise<Answer[]> =>
  (await db().query('select * from public.machines where session_id = $1 order by attempt', [session.id])).rows;
const gone = (machineId: string, extra: object = {}) =>
  call(db(), 'record_machine_gone', {
    p_machine_id: machineId,
    p_machine_reason: 'worker_lost',
    p_next: next,
    ...extra,
  });
const destroying = (machineId: string, reason: string, extra: object = {}) =>
  call(db(), 'record_machine_destroying', { p_machine_id: machineId, p_reason: reason, ...extra });
const drain = (machineId: string, epoch: number) =>
  call(db(), 'finish_session', { p_machine_id: machineId, p_epoch: epoch, p_kind: 'draining', p_next: next });
const as = (session: TestSession, machineId: string): TestSession => ({ ...session, machineId });
const beat = (machineId: string, epoch: number) =>
  call(db(), 'record_heartbeats', {
    p_beats: [{ machine_id: machineId, epoch, presence: 'present', unsaved_entries: 0 }],
    p_lease_ms: 20_000,
  });
const lapse = (machineId: string) =>
  db().query("update public.machines set lease_expires_at = now() - interval '1 s' where id = $1", [machineId]);

describe('machines that Fly does not find', () => {
  const absent = (machineId: string, isAbsent = true) =>
    call(db(), 'record_machine_absent', { p_machine_id: machineId, p_absent: isAbsent });
  const since = (machineId: string, seconds: number) =>
    db().query('update public.machines set first_absent_at = now() - make_interval(secs => $2) where id = $1', [
      machineId,
      seconds,
    ]);

  test('a machine is recorded as gone only after it was absent for long enough', async () => {
    const session = await servedSession(db(), tenant);
    expect(await gone(session.machineId, { p_absent_ms: 3_000 })).toMatchObject({ kind: 'alive' });
    await absent(session.machineId);
    expect(await gone(session.machineId, { p_absent_ms: 3_000 })).toMatchObject({ kind: 'alive' });
    await since(session.machineId, 4);
    expect(await gone(session.machineId, { p_absent_ms: 3_000 })).toMatchObject({ kind: 'recorded' });
  });

  test('a machine is kept when its worker sent a sign of life after the absence began', async () => {
    const session = await servedSession(db(), tenant);
    await since(session.machineId, 60);
    await beat(session.machineId, 1);
    expect(await gone(session.machineId, { p_absent_ms: 3_000 })).toMatchObject({ kind: 'alive' });
    expect(await sessionRow(db(), session.id)).toMatchObject({ epoch: 1, outcome: null });
  });

  test('a machine is kept when Fly has found it again', async () => {
    const session = await servedSession(db(), tenant);
    await since(session.machineId, 60);
    await absent(session.machineId, false);
    expect(await gone(session.machineId, { p_absent_ms: 3_000 })).toMatchObject({ kind: 'alive' });
  });

  test('a single 404 does not end a machine whose lease is valid', async () => {
    const session = await servedSession(db(), tenant);
    await since(session.machineId, 60);
    expect(await gone(session.machineId, { p_absent_ms: 3_000, p_silent: true })).toMatchObject({ kind: 'alive' });
    await lapse(session.machineId);
    expect(await gone(session.machineId, { p_absent_ms: 3_000, p_silent: true })).toMatchObject({ kind: 'recorded' });
  });
});

describe('the time that an outage took', () => {
  const started = async (since: string) => {
    const session = await servedSession(db(), tenant, { max_duration_ms: 3_000_000 });
    await move(db(), session.id, 'in_progress');
    await db().query(
      `update public.machines set last_heartbeat_at = now() - interval '${since}',
        lease_expires_at = now() - interval '1 second' where id = $1`,
      [session.machineId],
    );
    return session;
  };

  test('is given back to a running interview by the next claim, and extends the life of its machine', async () => {
    const session = await started('90 seconds');
    const claimed = await claim(db(), session, 'boot-2');
    expect(claimed).toMatchObject({ kind: 'claimed', session: { epoch: 2 } });
    const { max_duration_ms, started_at } = await sessionRow(db(), session.id);
    expect(max_duration_ms).toBeGreaterThanOrEqual(3_090_000);
    expect(max_duration_ms).toBeLessThan(3_100_000);
    expect(claimed.session.max_duration_ms).toBe(max_duration_ms);
    const { rows } = await db().query('select hard_deadline_at from public.machines where id = $1', [
      session.machineId,
    ]);
    expect(rows[0].hard_deadline_at.getTime()).toBe(started_at.getTime() + 600_000 + max_duration_ms);
    await claim(db(), session, 'boot-2');
    expect((await sessionRow(db(), session.id)).max_duration_ms).toBe(max_duration_ms);
  });

  test('is limited to ten minutes, and not given before the interview has begun', async () => {
    const long = await started('2 hours');
    await claim(db(), long, 'boot-2');
    expect((await sessionRow(db(), long.id)).max_duration_ms).toBe(3_600_000);
    const waiting = await servedSession(db(), tenant, { max_duration_ms: 3_000_000 });
    await lapse(waiting.machineId);
    await claim(db(), waiting, 'boot-2');
    expect((await sessionRow(db(), waiting.id)).max_duration_ms).toBe(3_000_000);
  });
});

describe('the time that a change of browsers took', () => {
  const moving = async (minutesAgo: number) => {
    const session = await servedSession(db(), tenant, { max_duration_ms: 3_000_000 });
    const code = { p_session_id: session.id, p_code_hash: digest(`link ${session.id}`) };
    await call(db(), 'create_invitation', { ...code, p_tenant_id: tenant.id, p_expires_ms: 3_600_000, p_by: by });
    await call(db(), 'exchange_invitation', { ...code, p_browser_hash: digest('phone') });
    const short = { p_handover_hash: digest('123456') };
    await call(db(), 'offer_handover', {
      ...{ ...code, ...short, p_browser_hash: digest('phone'), p_expires_ms: 600_000 },
    });
    const ago = `${minutesAgo} minutes`;
    await db().query('update public.session_invitations set handover_at = now() - $2::interval where session_id = $1', [
      session.id,
      ago,
    ]);
    const take = () => call(db(), 'take_handover', { ...code, ...short, p_browser_hash: digest('laptop'), p_by: by });
    const started = async () => {
      await move(db(), session.id, 'in_progress');
      await db().query(
        "update public.interview_sessions set started_at = now() - interval '30 minutes' where id = $1",
        [session.id],
      );
    };
    const deadline = async (): Promise<number> =>
      (await db().query('select hard_deadline_at from public.machines where id = $1', [session.machineId])).rows[0]
        .hard_deadline_at;
    const openCall = async (ordinal = 1): Promise<number> => {
      const [opened] = await call(db(), 'open_calls', {
        p_calls: [{ machine_id: session.machineId, epoch: 1, ordinal }],
        p_provider: 'openai',
      });
      expect(opened.kind).toBe('opened');
      return Math.round((opened.session.max_duration_ms - 3_000_000) / 60_000);
    };
    return { session, take, started, deadline, openCall };
  };

  test('is given back with the first call of the new browser, once, and extends the life of the machine', async () => {
    const { take, started, deadline, openCall } = await moving(3);
    await started();
    const before = await deadline();
    // Nobody has used the code yet.
    expect(await openCall()).toBe(0);
    expect(await take()).toEqual({ kind: 'moved' });
    expect(await openCall()).toBe(3);
    expect(Math.round((Number(await deadline()) - Number(before)) / 60_000)).toBe(3);
    expect(await openCall()).toBe(3);
  });

  test('begins with the last answer after the code was shown, is limited to ten minutes, and is 0 before the interview', async () => {
    const talking = await moving(8);
    await talking.started();
    await db().query(
      `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified, created_at)
       values ($1, $2, 1, 'answer', 'candidate', 'Still here', true, now() - interval '2 minutes')`,
      [talking.session.id, tenant.id],
    );
    await talking.take();
    expect(await talking.openCall()).toBe(2);
    const late = await moving(25);
    await late.started();
    await late.take();
    expect(await late.openCall()).toBe(10);
    const early = await moving(5);
    await early.take();
    expect(await early.openCall()).toBe(0);
  });
});

describe('work shared fairly between tenants', () => {
  const due = async (of: TestTenant, count: number) => {
    for (let n = 0; n < count; n += 1) await newSession(db(), of);
    await db().query(
      "update public.machines set not_before = now() - interval '1 min', taken_until = null where tenant_id = $1",
      [of.id],
    );
  };

  test('a batch of due creates includes a second tenant even when the first has many', async () => {
    const [many, one] = [await newTenant(db()), await newTenant(db())];
    await due(many, 12);
    await due(one, 1);
    const taken = await call(db(), 'take_intents', { p_orchestrator_id: randomUUID(), p_taken_ms: 2_000, p_limit: 10 });
    expect(taken.map((intent: Answer) => intent.tenant_id)).toContain(one.id);
  });

  test('a start that waits for its next try is given to no other orchestrator before its time', async () => {
    const pooled = await newTenant(db());
    await db().query(
      `insert into public.machines (tenant_id, app_name, region, image, state, created_at, fly_machine_id)
       values ($1, $2, 'fra', 'worker:1', 'created', clock_timestamp(), 'fly-held')`,
      [pooled.id, pooled.app],
    );
    const { machineId } = await newSession(db(), pooled);
    const [mine, other] = [randomUUID(), randomUUID()];
    const take = (id: string) =>
      call(db(), 'take_starts', { p_orchestrator_id: id, p_taken_ms: 2_000, p_late_ms: 10_000, p_limit: 50 });
    const isTaken = async (id: string) => (await take(id)).some((intent: Answer) => intent.machine_id === machineId);
    await db().query('update public.machines set taken_until = null where id = $1', [machineId]);
    expect(await isTaken(mine)).toBe(true);
    const hold = (id: string) =>
      call(db(), 'keep_intent', { p_machine_id: machineId, p_orchestrator_id: id, p_taken_ms: 7_000 });
    expect([await hold(other), await hold(mine)]).toEqual([false, true]);
    const { rows } = await db().query(
      "select taken_until > now() + interval '6 s' as held from public.machines where id = $1",
      [machineId],
    );
    expect([rows[0].held, await isTaken(other)]).toEqual([true, false]);
  });
});

describe('duties', () => {
  const names = ['reconcile:0', 'reconcile:1', 'reconcile:2', 'housekeeping'];
  const keep = (id: string, changes: object = {}): Promise<Array<{ name: string; fence: number }>> =>
    call(db(), 'keep_duties', {
      ...{ p_orchestrator_id: id, p_url: 'http://x', p_version: '1', p_names: names, p_lease_ms: 5_000, ...changes },
    });
  const clear = () => db().query('delete from public.duties; delete from public.orchestrators');
  const expire = () => db().query("update public.duties set expires_at = now() - interval '1 s'");

  test('one orchestrator holds all duties, and a second one gets its share as soon as the first notices it', async () => {
    await clear();
    const [a, b] = [randomUUID(), randomUUID()];
    expect(await keep(a)).toHaveLength(4);
    expect(await keep(b)).toEqual([]);
    expect(await keep(a)).toHaveLength(2);
    expect(await keep(b)).toHaveLength(2);
  });

  test('a duty is renewed with the same fence, and taken over with a higher fence', async () => {
    await clear();
    const [a, b] = [randomUUID(), randomUUID()];
    const first = await keep(a);
    expect(await keep(a)).toEqual(first);
    await expire();
    await db().query("update public.orchestrators set last_seen_at = now() - interval '1 minute'");
    const second = await keep(b);
    expect(second.map(({ fence }) => fence)).toEqual(first.map(({ fence }) => fence + 1));
  });

  test('an expired duty lease cannot be renewed: taking the duty again gives a new fence', async () => {
    await clear();
    const a = randomUUID();
    const [first] = await keep(a);
    await expire();
    expect((await keep(a))[0]).toEqual({ name: first?.name, fence: (first?.fence ?? 0) + 1 });
  });

  test('a duty that was given back can be taken at once', async () => {
    await clear();
    const [a, b] = [randomUUID(), randomUUID()];
    await keep(a);
    expect(await keep(a, { p_draining: true })).toEqual([]);
    expect(await keep(b)).toHaveLength(4);
  });

  test('twenty orchestrators at once never hold the same duty twice', async () => {
    await clear();
    const ids = Array.from({ length: 20 }, () => randomUUID());
    for (let round = 0; round < 3; round += 1) await Promise.all(ids.map((id) => keep(id)));
    const { rows } = await db().query(
      'select count(*)::int as n from public.duties where expires_at > clock_timestamp()',
    );
    expect(rows).toEqual([{ n: 4 }]);
  });

  test('a write under an outdated fence changes nothing', async () => {
    await clear();
    const [duty] = await keep(randomUUID());
    const outdated = { p_duty: duty?.name, p_fence: (duty?.fence ?? 0) - 1 };
    const session = await servedSession(db(), tenant);
    expect(await destroying(session.machineId, 'orphan', outdated)).toMatchObject({ kind: 'off_duty' });
    expect(await gone(session.machineId, outdated)).toEqual({ kind: 'off_duty' });
    expect((await machinesOf(session))[0]).toMatchObject({ state: 'claimed' });
    expect(await gone(session.machineId, { ...outdated, p_fence: duty?.fence })).toMatchObject({ kind: 'recorded' });
  });
});

describe('sessions that lose their machine', () => {
  test('a session that loses its machine gets the next attempt in the same transaction, and its claim raises the epoch', async () => {
    const session = await servedSession(db(), tenant);
    const { next: intent } = await gone(session.machineId);
    expect(intent).toMatchObject({ session_id: session.id, region: 'fra', attempt: 2 });
    expect(await claim(db(), as(session, intent.machine_id), 'boot-2')).toMatchObject({
      kind: 'claimed',
      session: { epoch: 2 },
    });
  });

  test('a session fails with its reason after it has lost too many machines', async () => {
    const session = await servedSession(db(), tenant);
    let machineId = session.machineId;
    for (let life = 1; life < 3; life += 1) {
      machineId = (await gone(machineId)).next.machine_id;
      await claim(db(), as(session, machineId), `boot-${life}`);
    }
    expect(await gone(machineId)).toMatchObject({ session_ended: true, next: null });
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'failed', reason: 'worker_lost', epoch: 3 });
  });

  test('hand-overs do not count as lost machines', async () => {
    const session = await servedSession(db(), tenant);
    let machineId = session.machineId;
    for (let epoch = 1; epoch <= 6; epoch += 1) {
      machineId = (await drain(machineId, epoch)).next.machine_id;
      await claim(db(), as(session, machineId), `boot-${epoch}`);
    }
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'ready', epoch: 7 });
  });

  test('a session in finalizing gets no new machine and ends as decided when its machine is gone', async () => {
    const session = await servedSession(db(), tenant);
    await call(db(), 'app.move_session', {
      ...{ p_session_id: session.id, p_status: 'finalizing', p_outcome: 'completed', p_reason: 'max_duration' },
    });
    expect(await gone(session.machineId)).toMatchObject({ session_ended: true, next: null });
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'completed', reason: 'max_duration' });
  });

  test('a session that was asked to end ends as requested when its machine is lost', async () => {
    const session = await servedSession(db(), tenant);
    const asked = { p_outcome: 'cancelled', p_reason: 'ended_by_platform' };
    await call(db(), 'request_end', { p_session_id: session.id, p_tenant_id: tenant.id, ...asked });
    await gone(session.machineId);
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'cancelled', reason: 'ended_by_platform' });
  });

  test('a session ends when its machine was stopped for living too long', async () => {
    const session = await servedSession(db(), tenant);
    await destroying(session.machineId, 'hard_deadline');
    expect(await gone(session.machineId)).toMatchObject({ session_ended: true });
  });

  test('a session between two machines ends at once when asked to, and its attempts are closed', async () => {
    const session = await servedSession(db(), tenant);
    const { next: intent } = await drain(session.machineId, 1);
    const asked = { p_outcome: 'cancelled', p_reason: 'ended_by_platform' };
    await call(db(), 'request_end', { p_session_id: session.id, p_tenant_id: tenant.id, ...asked });
    expect((await sessionRow(db(), session.id)).status).toBe('cancelled');
    expect(await claim(db(), as(session, intent.machine_id), 'late')).toMatchObject({ kind: 'refused' });
  });

  test('the sweep finds a session that a crash left without an attempt', async () => {
    const session = await servedSession(db(), tenant);
    await db().query("update public.machines set state = 'destroyed', reason = 'worker_lost' where id = $1", [
      session.machineId,
    ]);
    const settled: Answer[] = await call(db(), 'settle_sessions', { p_next: next });
    expect(settled.find(({ session_id }) => session_id === session.id)).toMatchObject({ kind: 'next' });
    const again: Answer[] = await call(db(), 'settle_sessions', { p_next: next });
    expect(again.find(({ session_id }) => session_id === session.id)).toBeUndefined();
  });
});

describe('the assignment', () => {
  test('the assignment stays with a claimed machine, however long that machine is silent', async () => {
    const session = await servedSession(db(), tenant);
    await lapse(session.machineId);
    const { rows } = await db().query(
      'select app.give_machine(s, $2, $3) as intent from public.interview_sessions s where id = $1',
      [session.id, 'test', JSON.stringify(next)],
    );
    expect(await claim(db(), as(session, rows[0].intent.machine_id), 'boot-2')).toMatchObject({
      kind: 'refused',
      why: 'another machine serves the session',
    });
    expect((await machinesOf(session)).map(({ state }) => state)).toEqual(['claimed', 'draining']);
  });

  test('the assignment passes to the replacement of a lost host, and the old worker is fenced when it wakes up', async () => {
    const session = await servedSession(db(), tenant);
    const { next: intent } = await destroying(session.machineId, 'host_lost', { p_next: next });
    await claim(db(), as(session, intent.machine_id), 'boot-2');
    expect(await beat(session.machineId, 1)).toMatchObject([{ directive: { kind: 'fenced' } }]);
    expect(await beat(intent.machine_id, 2)).toMatchObject([{ directive: { kind: 'continue' } }]);
    expect(await drain(session.machineId, 1)).toMatchObject({ kind: 'fenced' });
    expect((await sessionRow(db(), session.id)).epoch).toBe(2);
  });

  test('a machine that was claimed after it was judged keeps its assignment', async () => {
    const session = await newSession(db(), tenant);
    await claim(db(), session);
    const judged = { p_epoch: null, p_judged: true, p_next: next };
    expect(await destroying(session.machineId, 'boot_timeout', judged)).toMatchObject({
      kind: 'stale',
      state: 'claimed',
    });
  });
});

describe('machines that Fly has moved', () => {
  test('a moved machine continues at the next epoch after its first boot handed over, and its replacement comes too late', async () => {
    const session = await servedSession(db(), tenant);
    const { next: intent } = await drain(session.machineId, 1);
    const moved = await claim(db(), session, 'boot-moved');
    expect(moved).toMatchObject({
      kind: 'claimed',
      session: { epoch: 2 },
      losers: [{ machine_id: intent.machine_id }],
    });
    expect(await claim(db(), as(session, intent.machine_id), 'late')).toMatchObject({ kind: 'refused' });
    expect((await machinesOf(session)).map(({ state, reason }) => [state, reason])).toEqual([
      ['claimed', null],
      ['destroying', 'superseded'],
    ]);
  });

  test('a moved machine must retry while its first boot may be alive, and continues after one silent lease', async () => {
    const session = await servedSession(db(), tenant);
    expect(await claim(db(), session, 'boot-2')).toMatchObject({ kind: 'refused', retry: true });
    await lapse(session.machineId);
    expect(await claim(db(), session, 'boot-2')).toMatchObject({ kind: 'claimed', session: { epoch: 2 } });
    expect(await beat(session.machineId, 1)).toMatchObject([{ directive: { kind: 'fenced' } }]);
  });

  test('a moved machine is refused when its replacement claimed first', async () => {
    const session = await servedSession(db(), tenant);
    const { next: intent } = await drain(session.machineId, 1);
    await claim(db(), as(session, intent.machine_id), 'boot-2');
    expect(await claim(db(), session, 'boot-moved')).toMatchObject({
      kind: 'refused',
      why: 'another machine serves the session',
    });
  });
});

describe('hedges', () => {
  const hedge = (machineId: string) =>
    call(db(), 'hedge_machine', { p_machine_id: machineId, p_next: { ...next, region: 'ams' } });

  test('a session has one hedge at a time, the first claim wins, and the other machine is marked for destruction', async () => {
    const session = await newSession(db(), tenant);
    const intent = await hedge(session.machineId);
    expect(intent).toMatchObject({ region: 'ams', attempt: 2 });
    expect(await hedge(session.machineId)).toBeNull();
    expect(await hedge(intent.machine_id)).toBeNull();
    await claim(db(), as(session, intent.machine_id), 'boot-2');
    expect(await claim(db(), session, 'boot-1')).toMatchObject({ kind: 'refused' });
    expect(await sessionRow(db(), session.id)).toMatchObject({ epoch: 1, region: 'ams' });
    expect((await machinesOf(session)).map(({ state }) => state)).toEqual(['destroying', 'claimed']);
  });

  test('a hedge that Fly refuses does not end a session whose first machine is late', async () => {
    const session = await newSession(db(), tenant);
    const intent = await hedge(session.machineId);
    const failed = { p_machine_id: intent.machine_id, p_reason: 'no_capacity' };
    expect(await call(db(), 'record_create_failed', failed)).toEqual({ kind: 'stale' });
    expect((await sessionRow(db(), session.id)).status).toBe('provisioning');
    expect(await claim(db(), session)).toMatchObject({ kind: 'claimed' });
  });

  test('regression, ten attempts of at most three: hedges count, so machines that never boot end the session', async () => {
    const session = await newSession(db(), tenant);
    const lose = (id: string) =>
      call(db(), 'record_machine_destroying', { p_machine_id: id, p_reason: 'boot_timeout', p_next: next });
    let late = session.machineId;
    const hedges: string[] = [];
    for (let intent = await hedge(late); intent !== null; intent = await hedge(late)) {
      hedges.push(intent.machine_id);
      await lose(late);
      late = intent.machine_id;
    }
    await lose(late);
    expect(hedges).toHaveLength(2);
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'failed', reason: 'boot_timeout' });
  });

  test('a session that is already served gets no hedge', async () => {
    const session = await servedSession(db(), tenant);
    expect(await hedge(session.machineId)).toBeNull();
  });
});

describe('browsers that cannot connect', () => {
  const unreachable = (machineId: string, gap = 0, silent = false) =>
    call(db(), 'record_unreachable', {
      ...{ p_machine_id: machineId, p_epoch: 1, p_gap_ms: gap, p_window_ms: 60_000, p_next: next, p_silent: silent },
    });

  test('a failed connection counts only when the candidate had been in the room', async () => {
    const session = await servedSession(db(), tenant);
    expect(await unreachable(session.machineId)).toEqual({ kind: 'ignored' });
  });

  test('two failed connections some time apart replace the machine, and the log names the reason', async () => {
    const session = await servedSession(db(), tenant);
    await call(db(), 'app.move_session', { p_session_id: session.id, p_status: 'in_progress' });
    expect(await unreachable(session.machineId)).toMatchObject({ kind: 'noted' });
    expect(await unreachable(session.machineId, 60_000)).toMatchObject({ kind: 'noted' });
    expect(await unreachable(session.machineId)).toMatchObject({ kind: 'replaced', next: { attempt: 2 } });
    expect((await eventsOf(db(), session.id)).slice(-2)).toMatchObject([
      { type: 'machine.destroying', data: { reason: 'unreachable' } },
      { type: 'machine.reserved', data: { because: 'unreachable', attempt: 2 } },
    ]);
  });

  test('two browsers that ask for a silent worker replace it, unless it has been heard again', async () => {
    const session = await servedSession(db(), tenant);
    const lapse = (by: string) =>
      db().query('update public.machines set lease_expires_at = now() - $2::interval where id = $1', [
        session.machineId,
        by,
      ]);
    await lapse('-20 seconds');
    expect(await unreachable(session.machineId, 0, true)).toEqual({ kind: 'ignored' });
    await lapse('1 second');
    expect(await unreachable(session.machineId, 0, true)).toMatchObject({ kind: 'noted' });
    await lapse('-20 seconds');
    expect(await unreachable(session.machineId, 0, true)).toEqual({ kind: 'ignored' });
    await lapse('1 second');
    expect(await unreachable(session.machineId, 60_000, true)).toMatchObject({ kind: 'noted' });
    expect(await unreachable(session.machineId, 0, true)).toMatchObject({ kind: 'replaced', next: { attempt: 2 } });
  });
});

describe('the next machine of a session', () => {
  const createFailed = (machineId: string, launch: object = { ...next, region: 'ams' }): Promise<Answer> =>
    call(db(), 'record_create_failed', { p_machine_id: machineId, p_reason: 'no_capacity', p_launch: launch });
  const startFailed = (machineId: string): Promise<Answer> =>
    call(db(), 'record_start_failed', { p_machine_id: machineId, p_launch: next });

  test('failed creates and failed starts count together, and the fifth ends the session', async () => {
    const session = await newSession(db(), tenant);
    let machineId = session.machineId;
    for (let failed = 1; failed <= 5; failed += 1) {
      const started = failed % 2 === 0;
      if (started) await call(db(), 'app.move_machine', { p_machine_id: machineId, p_state: 'created' });
      const answer = await (started ? startFailed(machineId) : createFailed(machineId));
      expect([failed, answer.kind]).toEqual([failed, failed < 5 ? 'next' : 'ended']);
      machineId = answer.intent?.machine_id;
    }
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'failed', reason: 'no_capacity' });
  });

  test('lost machines and failed creates are counted separately', async () => {
    const session = await servedSession(db(), tenant);
    const { next: second } = await destroying(session.machineId, 'host_lost', { p_next: next });
    const third = await createFailed(second.machine_id);
    expect(third).toMatchObject({ kind: 'next', intent: { attempt: 3, region: 'ams' } });
    await claim(db(), as(session, third.intent.machine_id), 'boot-3');
    expect(await destroying(third.intent.machine_id, 'host_lost', { p_next: next })).toMatchObject({
      next: { attempt: 4, region: 'ams' },
    });
  });

  test('a session without a region to try ends with the reason of the refusal', async () => {
    const session = await newSession(db(), tenant);
    expect(await createFailed(session.machineId, next)).toEqual({ kind: 'ended' });
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'failed', reason: 'no_capacity' });
  });

  test('every replacement has the allowed life of a first machine until its claim gives it the life of a claim', async () => {
    const lifeOf = async (id: string): Promise<number> =>
      (
        await db().query(
          `select round(extract(epoch from hard_deadline_at - coalesce(claimed_at, reserved_at)))::int as life
           from public.machines where id = $1`,
          [id],
        )
      ).rows[0].life;
    const session = await newSession(db(), tenant, { life_ms: 60_000 });
    const failed = await createFailed(session.machineId);
    const hedged = await call(db(), 'hedge_machine', { p_machine_id: failed.intent.machine_id, p_next: next });
    const unclaimed = [session.machineId, failed.intent.machine_id, hedged.machine_id];
    // 60 s of life and 60 s of interview.
    expect(await Promise.all(unclaimed.map(lifeOf))).toEqual([120, 120, 120]);
    await claim(db(), as(session, hedged.machine_id), 'boot-3');
    expect(await lifeOf(hedged.machine_id)).toBe(660);
  });

  test.each([
    ['operator_stopped', 'cancelled', 'operator_stopped'],
    ['boot_timeout', 'failed', 'boot_timeout'],
    ['host_lost', 'failed', 'worker_lost'],
    ['hard_deadline', 'failed', 'worker_lost'],
  ])(
    'a session over its limit of losses gets no machine: one that ended by %s ends the session as %s, %s',
    async (reason, status, why) => {
      const session = await servedSession(db(), tenant);
      const launch = { ...next, max_attempts: 1 };
      await call(db(), 'record_machine_gone', {
        p_machine_id: session.machineId,
        p_machine_reason: reason,
        p_next: launch,
      });
      expect(await sessionRow(db(), session.id)).toMatchObject({ status, reason: why });
    },
  );
});
