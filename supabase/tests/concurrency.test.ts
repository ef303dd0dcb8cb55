import { randomUUID } from 'node:crypto';
import { eventTypes, hasSession } from '@greenroom/shared/session/events.ts';
import type { SupabaseClient } from '@supabase/supabase-js';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  type Answer,
  call,
  claim,
  newSession,
  newTenant,
  servedSession,
  sessionRequest,
  type TestSession,
  type TestTenant,
} from './support/sessions.ts';

/** Invariants under concurrent calls. Each call uses supabase-js or its own connection. */
const project = useProject();
const db = () => project().owner;
let orchestrator: SupabaseClient;
beforeAll(async () => {
  orchestrator = await project().as({ role: 'orchestrator' });
});

async function create(requests: object[]): Promise<Answer[]> {
  const { data, error } = await orchestrator.rpc('create_sessions', { p_requests: requests });
  if (error) throw error;
  return data;
}
function kinds(results: Answer[]): Record<string, number> {
  const count: Record<string, number> = {};
  for (const { kind } of results) count[kind] = (count[kind] ?? 0) + 1;
  return count;
}
const parallel = <T>(n: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: n }, (_, i) => work(i)));

/** The counter of a tenant and the real number of its sessions. */
async function counted(tenant: TestTenant): Promise<{ counter: number; live: number }> {
  const { rows } = await db().query(
    `select c.live_sessions as counter, (select count(*)::int from public.interview_sessions s where s.tenant_id = c.tenant_id and s.state_rank < 90) as live
     from public.tenant_counters c where c.tenant_id = $1`,
    [tenant.id],
  );
  return rows[0];
}

describe('create_sessions', () => {
  test('twenty requests with one Idempotency-Key create one session and all receive it', async () => {
    const tenant = await newTenant(db());
    const same = { idempotency_key: 'once', request_hash: 'h', candidate: { name: 'Ada', email: 'ada@example.org' } };
    const results = (await parallel(20, () => create([sessionRequest(tenant.id, same)]))).flat();
    expect(kinds(results)).toEqual({ created: 1, replayed: 19 });
    expect(new Set(results.map(({ session }) => session.session_id)).size).toBe(1);
    expect(await counted(tenant)).toEqual({ counter: 1, live: 1 });
    const { rows } = await db().query('select count(*)::int as n from public.machines where tenant_id = $1', [
      tenant.id,
    ]);
    expect(rows).toEqual([{ n: 1 }]);
  });

  test('the same Idempotency-Key with another body is refused', async () => {
    const tenant = await newTenant(db());
    const request = (request_hash: string) => sessionRequest(tenant.id, { idempotency_key: 'k', request_hash });
    expect(kinds(await create([request('a'), request('b'), request('a')]))).toEqual({
      created: 1,
      idempotency_mismatch: 1,
      replayed: 1,
    });
  });

  test('of twenty concurrent requests against a quota of seven, seven succeed and thirteen get the limit', async () => {
    const tenant = await newTenant(db(), { max_live_sessions: 7 });
    const results = (await parallel(20, () => create([sessionRequest(tenant.id)]))).flat();
    expect(kinds(results)).toEqual({ created: 7, quota_exceeded: 13 });
    expect(results.find(({ kind }) => kind === 'quota_exceeded')).toEqual({ kind: 'quota_exceeded', limit: 7 });
    expect(await counted(tenant)).toEqual({ counter: 7, live: 7 });
  });

  test('session starts are limited per minute: the excess gets a retry time, and a refusal uses no quota', async () => {
    const tenant = await newTenant(db(), { starts_per_minute: 5 });
    const results = (await parallel(8, () => create([sessionRequest(tenant.id)]))).flat();
    expect(kinds(results)).toEqual({ created: 5, rate_limited: 3 });
    for (const { kind, retry_after_ms } of results)
      if (kind === 'rate_limited') expect(retry_after_ms).toBeGreaterThan(9_000);
    for (const { kind, retry_after_ms } of results)
      if (kind === 'rate_limited') expect(retry_after_ms).toBeLessThanOrEqual(12_000);
    expect(await counted(tenant)).toEqual({ counter: 5, live: 5 });
  });

  test('twenty concurrent requests for one new candidate create one candidate', async () => {
    const tenant = await newTenant(db());
    const candidate = { name: 'Ada', email: 'Ada@example.org' };
    expect(kinds((await parallel(20, () => create([sessionRequest(tenant.id, { candidate })]))).flat())).toEqual({
      created: 20,
    });
    const { rows } = await db().query('select count(*)::int as n from public.tenant_candidates where tenant_id = $1', [
      tenant.id,
    ]);
    expect(rows).toEqual([{ n: 1 }]);
  });

  test('regression, deadlock: batches of two tenants in opposite orders both finish', async () => {
    const [a, b] = [await newTenant(db()), await newTenant(db())];
    const batch = (i: number) => (i % 2 ? [a, b, a] : [b, a, b]).map(({ id }) => sessionRequest(id));
    const results = (await parallel(12, (i) => create(batch(i)))).flat();
    expect(kinds(results)).toEqual({ created: 36 });
    expect([await counted(a), await counted(b)]).toEqual([
      { counter: 18, live: 18 },
      { counter: 18, live: 18 },
    ]);
  });
});

describe('session counters', () => {
  test('the session counter stays right through concurrent and repeated creations and endings of every kind', async () => {
    const tenant = await newTenant(db());
    const sessions = await parallel(16, () => newSession(db(), tenant));
    const endings = sessions.flatMap((session, i) => {
      const end = () =>
        call(db(), 'request_end', {
          p_session_id: session.id,
          p_tenant_id: tenant.id,
          p_outcome: 'cancelled',
          p_reason: 'ended_by_platform',
        });
      const gone = () =>
        call(db(), 'record_machine_gone', { p_machine_id: session.machineId, p_machine_reason: 'host_lost' });
      const finish = () =>
        claim(db(), session).then(() =>
          call(db(), 'finish_session', {
            p_machine_id: session.machineId,
            p_epoch: 1,
            p_kind: 'ended',
            p_outcome: 'completed',
            p_reason: 'ended_by_candidate',
          }),
        );
      return i % 4 === 0
        ? [end, end, gone]
        : i % 4 === 1
          ? [finish, gone, end]
          : i % 4 === 2
            ? [gone, gone, finish]
            : [];
    });
    await Promise.all([...endings.map((end) => end()), ...Array.from({ length: 5 }, () => newSession(db(), tenant))]);
    const { counter, live } = await counted(tenant);
    expect(counter).toBe(live);
    expect(live).toBeLessThanOrEqual(21);
    expect(live).toBeGreaterThanOrEqual(9);
  });
});

describe('claim_sessions', () => {
  const claimOf = ({ machineId, app }: Pick<TestSession, 'machineId' | 'app'>) => ({
    machine_name: `gr-${machineId}`,
    app_name: app,
    fly_machine_id: `fly-${machineId.slice(0, 8)}`,
    boot_nonce: 'boot-1',
  });
  const claims = async (batch: object[]): Promise<Answer[]> => {
    const args = { p_claims: batch, p_lease_ms: 20_000, p_life_ms: 600_000 };
    const { data, error } = await orchestrator.rpc('claim_sessions', args);
    if (error) throw error;
    return data;
  };

  test('each claim of a batch gets its own answer, in the order of the batch', async () => {
    const tenant = await newTenant(db());
    const [one, two] = [await newSession(db(), tenant), await newSession(db(), tenant)];
    const answers = await claims([claimOf(two), { ...claimOf(one), machine_name: 'gr-nobody' }, claimOf(one)]);
    expect(answers).toMatchObject([
      { kind: 'claimed', session: { session_id: two.id, epoch: 1 } },
      { kind: 'refused', why: 'unknown machine' },
      { kind: 'claimed', session: { session_id: one.id, epoch: 1 } },
    ]);
  });

  test('batches of the same claims in any order, beside heartbeats, do not deadlock, and every session has one epoch', async () => {
    const tenant = await newTenant(db());
    const sessions = await parallel(12, () => newSession(db(), tenant));
    const all = sessions.map(claimOf);
    const beats = sessions.map(({ machineId: machine_id }) => ({
      ...{ machine_id, epoch: 1, presence: 'absent', unsaved_entries: 0 },
    }));
    const answers = await Promise.all([
      ...Array.from({ length: 6 }, (_, n) => claims(n % 2 === 0 ? all : all.toReversed())),
      ...Array.from({ length: 6 }, (_, n) =>
        call(db(), 'record_heartbeats', { p_beats: n % 2 === 0 ? beats : beats.toReversed(), p_lease_ms: 20_000 }),
      ),
    ]);
    const given = answers.slice(0, 6).flat() as Answer[];
    expect(given.map(({ kind, session }) => [kind, session.epoch])).toEqual(given.map(() => ['claimed', 1]));
  });
});

describe('removal and erasure during endings', () => {
  test('removal, erasure and endings run concurrently without deadlock and leave the counter right', async () => {
    const tenant = await newTenant(db());
    const sessions = await parallel(12, () => servedSession(db(), tenant));
    const pending = await parallel(6, () => newSession(db(), tenant));
    const { rows: people } = await db().query(
      'select candidate_id from public.tenant_candidates where tenant_id = $1',
      [tenant.id],
    );
    const ending = { p_outcome: 'completed', p_reason: 'ended_by_candidate' };
    await Promise.all([
      ...sessions.map(({ machineId }) =>
        call(db(), 'finish_session', { p_machine_id: machineId, p_epoch: 1, p_kind: 'ended', ...ending }),
      ),
      ...pending.map(({ machineId }) =>
        call(db(), 'record_machine_gone', { p_machine_id: machineId, p_machine_reason: 'host_lost' }),
      ),
      ...people.map(({ candidate_id }) =>
        call(db(), 'erase_candidate', { p_tenant_id: tenant.id, p_candidate_id: candidate_id, p_by: {} }),
      ),
      ...Array.from({ length: 6 }, () => newSession(db(), tenant).catch(() => undefined)),
      ...Array.from({ length: 3 }, () => call(db(), 'remove_tenant', { p_tenant_id: tenant.id, p_by: {} })),
    ]);
    await call(db(), 'remove_tenant', { p_tenant_id: tenant.id, p_by: {} });
    expect(await counted(tenant)).toEqual({ counter: 0, live: 0 });
  });
});

describe('sessions created while a removal or an erasure waits for locks', () => {
  /** Ids in the order in which sessions are locked: the newer session comes first. */
  const [earlier, later] = ['00000000', 'ffffffff'] as const;
  const idWith = (start: string) => `${start}${randomUUID().slice(8)}`;

  const waiting = async (n: number, name: string): Promise<void> => {
    const query = `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like $1`;
    const count = async () => (await project().admin.query(query, [`%public.${name}(%`])).rows[0].n;
    await expect.poll(count, { timeout: 60_000 }).toBe(n);
  };

  test.each(['remove_tenant', 'erase_candidate'])(
    'regression, deadlock: %s locks sessions in order while a new session is created',
    async (name) => {
      const tenant = await newTenant(db());
      const first = await newSession(db(), tenant, { session_id: idWith(later) });
      const { rows } = await db().query('select candidate_id from public.interview_sessions where id = $1', [first.id]);
      const { candidate_id } = rows[0];
      const args = {
        p_tenant_id: tenant.id,
        p_by: {},
        ...(name === 'erase_candidate' && { p_candidate_id: candidate_id }),
      };
      const holder = await db().connect();
      try {
        await holder.query('begin');
        await holder.query('select 1 from public.interview_sessions where id = $1 for update', [first.id]);
        const one = call(db(), name, args);
        await waiting(1, name);
        await newSession(db(), tenant, { session_id: idWith(earlier), candidate_id });
        const two = call(db(), name, args);
        await waiting(2, name);
        await holder.query('commit');
        expect((await Promise.all([one, two])).map(({ kind }) => kind)).not.toContain('not_found');
      } finally {
        holder.release();
      }
      await call(db(), name, args);
      expect(await counted(tenant)).toEqual({ counter: 0, live: 0 });
    },
  );
});

describe('claims and intents', () => {
  test('of twenty claims with different nonces one wins, and the epoch rises by one', async () => {
    const session = await newSession(db(), await newTenant(db()));
    const answers = await parallel(20, (i) => claim(db(), session, `boot-${i}`));
    expect(kinds(answers)).toEqual({ claimed: 1, refused: 19 });
    const { rows } = await db().query('select epoch from public.interview_sessions where id = $1', [session.id]);
    expect(rows).toEqual([{ epoch: 1 }]);
  });

  test('twenty orchestrators take each due intent once', async () => {
    const tenant = await newTenant(db());
    await parallel(12, () => newSession(db(), tenant, { taken_ms: 0 }));
    // Intents of the tests before: on a slow machine enough of them are due to fill every batch.
    await db().query("update public.machines set taken_until = now() + interval '1 hour' where tenant_id <> $1", [
      tenant.id,
    ]);
    await db().query(
      "update public.machines set taken_until = null, not_before = now() - interval '1 s' where tenant_id = $1",
      [tenant.id],
    );
    const taken = await parallel(20, () =>
      call(db(), 'take_intents', { p_orchestrator_id: randomUUID(), p_taken_ms: 60_000, p_limit: 3 }),
    );
    const ids = taken.flat().map(({ machine_id }) => machine_id);
    expect(new Set(ids).size).toBe(ids.length);
    const { rows } = await db().query(
      'select count(*)::int as n from public.machines where tenant_id = $1 and taken_until > now()',
      [tenant.id],
    );
    expect(rows).toEqual([{ n: 12 }]);
  });
});

describe('events of a session', () => {
  test('a second event writer waits for the first, so a reader with a cursor misses no event', async () => {
    const session = await servedSession(db(), await newTenant(db()));
    const [slow, fast] = [await db().connect(), await db().connect()];
    const emit = "select app.emit($1, $2, $3, '{}')";
    const read = async (after: number): Promise<Answer[]> =>
      (await orchestrator.rpc('session_events_after', { p_cursors: [{ session_id: session.id, after }] })).data;
    try {
      const cursor = (await read(0)).at(-1).id;
      await slow.query('begin');
      await slow.query(emit, [session.id, session.tenantId, 'result.rerun']);
      const second = fast.query(emit, [session.id, session.tenantId, 'result.done']);
      const { processID } = fast as unknown as { processID: number };
      await expect
        .poll(async () => (await db().query('select pg_blocking_pids($1) as pids', [processID])).rows[0].pids.length)
        .toBe(1);
      expect(await read(cursor)).toEqual([]);
      await slow.query('commit');
      await second;
      expect((await read(cursor)).map(({ type }) => type)).toEqual(['result.rerun', 'result.done']);
    } finally {
      slow.release();
      fast.release();
    }
  });

  test('a polling reader sees each of forty concurrent events once and in order', async () => {
    const session = await servedSession(db(), await newTenant(db()));
    const types = eventTypes.filter(hasSession);
    const seen: Answer[] = [];
    let cursor = 0;
    const poll = async (): Promise<void> => {
      const { data } = await orchestrator.rpc('session_events_after', {
        p_cursors: [{ session_id: session.id, after: cursor }],
      });
      seen.push(...data);
      cursor = data.at(-1)?.id ?? cursor;
    };
    let writing = true;
    const writes = parallel(40, (i) =>
      db().query("select app.emit($1, $2, $3, '{}')", [session.id, session.tenantId, types[i % types.length]]),
    ).finally(() => {
      writing = false;
    });
    while (writing) await poll();
    await writes;
    await poll();
    const { rows } = await db().query(
      'select id::int as id from public.session_events where session_id = $1 order by id',
      [session.id],
    );
    expect(seen.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  });
});

describe('draw_rate_limits', () => {
  const draw = async (limits: object[]): Promise<number> => {
    const { data, error } = await orchestrator.rpc('draw_rate_limits', { p_limits: limits as never });
    if (error) throw error;
    return data;
  };
  const limit = (scope: string, burst: number, per_minute = 6) => ({ scope, per_minute, burst });

  test('of forty concurrent calls against a burst of ten, ten are allowed in total', async () => {
    const scope = randomUUID();
    const waits = await parallel(40, () => draw([limit(scope, 10)]));
    expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(10);
  });

  test('a refused request is told how long to wait', async () => {
    const scope = randomUUID();
    expect([await draw([limit(scope, 2)]), await draw([limit(scope, 2)])]).toEqual([0, 0]);
    const waitMs = await draw([limit(scope, 2)]);
    expect(waitMs).toBeGreaterThan(9_000);
    expect(waitMs).toBeLessThanOrEqual(10_000);
  });

  test('a request that one limit refuses uses none of its other limits', async () => {
    const [key, tenant] = [randomUUID(), randomUUID()];
    await draw([limit(key, 1)]);
    for (let n = 0; n < 3; n += 1) expect(await draw([limit(tenant, 2), limit(key, 1)])).toBeGreaterThan(0);
    expect([await draw([limit(tenant, 2)]), await draw([limit(tenant, 2)])]).toEqual([0, 0]);
    expect(await draw([limit(tenant, 2)])).toBeGreaterThan(0);
  });

  test('a used rate limit refills with time', async () => {
    const scope = randomUUID();
    await draw([limit(scope, 1)]);
    expect(await draw([limit(scope, 1)])).toBeGreaterThan(0);
    await db().query("update public.rate_limits set next_at = next_at - interval '10 s' where scope = $1", [scope]);
    expect(await draw([limit(scope, 1)])).toBe(0);
  });

  test('concurrent calls with the same limits in opposite orders do not wait for each other', async () => {
    const [a, b] = [randomUUID(), randomUUID()];
    const waits = await parallel(20, (n) => draw((n % 2 ? [a, b] : [b, a]).map((scope) => limit(scope, 100))));
    expect(waits.every((waitMs) => waitMs === 0)).toBe(true);
  });
});
