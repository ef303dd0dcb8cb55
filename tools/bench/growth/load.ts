import type pg from 'pg';

/**
 * Ninety days of ended sessions of 200 tenants: for each session a machine with its usage, ten events, a call, the phases of its
 * start and a webhook delivery; nine transcript entries, and 600 for each thousandth session. Beside them the audit entries
 * and the idempotency keys of the last day. Triggers and foreign keys do not run: rows agree with each other by their ids.
 * Endings, regions, paths and start times vary as in a real fleet: 6 % did not complete, and a few hundred started slowly.
 */
const tenants = 200;
const days = 90;
const perBatch = 20_000;

/** `g`: number of the session. The first tenant is the one that is measured; it has session 0, with 600 entries. */
const ids = `md5('session ' || g)::uuid as session_id, (array['fra','fra','fra','iad','iad','lhr','nrt','syd'])[g % 8 + 1] as region,
  case when g % 3000 = 2999 then 31400 else 40 + g * 7919 % case g % 10 when 0 then 5800 when 1 then 90 else 1900 end end as took_ms,
  case g % 10 when 0 then 'cold' when 1 then 'hot' else 'standby' end as path, case when g % 100 = 99 then 2 else 1 end as tried,
  case g % 50 when 7 then 'failed' when 17 then 'disconnected' when 27 then 'expired' else 'completed' end as outcome,
  case when g % 250 = 7 then 'boot_timeout' when g % 50 = 7 then 'worker_lost' when g % 50 = 17 then 'candidate_left'
    when g % 50 = 27 then 'candidate_never_joined' when g % 2 = 0 then 'ended_by_candidate' else 'interviewer_finished' end as reason, md5('machine ' || g)::uuid as machine_id, t.id as tenant_id,
  t.app_name, t.candidate_id, t.position_id, now() - interval '${days} days' * (1 - g::float8 / $1::bigint) as at
  from generate_series($2::bigint, $3::bigint) g join app.bench_tenants t on t.n = g % ${tenants}`;

const batches: string[] = [
  `insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, status, outcome, reason, epoch,
      machine_id, fly_machine_id, region, regions, counted, created_at, updated_at, expires_at, ready_at, started_at, completed_at,
      transcript_complete, metadata)
    select session_id, tenant_id, candidate_id, '{"name": "Ada Lovelace"}', position_id, outcome, outcome,
      reason, 1, machine_id, substr(md5(machine_id::text), 1, 14), region, array[region], false, at, at, at + interval '1 day',
      at, at, at + interval '30 minutes', true, '{"order": "4711"}' from (select ${ids}) x`,
  `insert into public.machines (id, tenant_id, session_id, app_name, fly_machine_id, region, image, state, reason, epoch, reserved_at,
      created_at, claimed_at, destroyed_at, billed_at)
    select machine_id, tenant_id, session_id, app_name, substr(md5(machine_id::text), 1, 14), region, 'image', 'destroyed',
      'session_ended', 1, at, at, at, at, at from (select ${ids}) x`,
  `insert into public.machine_usage (machine_id, tenant_id, session_id, region, size, started_seconds, cost_usd, recorded_at)
    select machine_id, tenant_id, session_id, region, 'shared-cpu-1x:256MB', 1800, 0.001, at from (select ${ids}) x`,
  `insert into public.session_events (session_id, tenant_id, type, created_at)
    select session_id, tenant_id, type, at from (select ${ids}) x, unnest('{session.pending,session.provisioning,machine.claimed,
      session.ready,session.connecting,candidate.present,session.in_progress,session.finalizing,session.completed,
      machine.destroyed}'::text[]) as e (type)`,
  `insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider, call_id, opened_at, answered_at, hung_up_at)
    select session_id, tenant_id, 1, 1, 'openai', 'rtc_' || session_id, at, at, at from (select ${ids}) x`,
  `insert into public.session_phases (session_id, tenant_id, path, machine_id, attempts, region, due_at, ready_at)
    select session_id, tenant_id, path, machine_id, tried, region, at, at + took_ms * interval '1 ms'
    from (select ${ids}) x`,
  `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker, text, verified,
      created_at)
    select session_id, tenant_id, 1, 'item_' || n, case when n > 1 then 'item_' || n - 1 end,
      case when n % 2 = 0 then 'candidate' else 'ai' end,
      'We measured first, changed the largest part, and wrote down what we had learned from it. That was number ' || n, true, at
    from (select ${ids}, g) x, generate_series(1, case when g % 1000 = 0 then 600 else 9 end) n`,
  `insert into public.webhook_deliveries (tenant_id, endpoint_id, session_id, type, payload, status, attempts, created_at, delivered_at)
    select x.tenant_id, w.id, session_id, 'session.completed', '{"type": "session.completed"}', 'delivered', 1, at, at
    from (select ${ids}) x join public.webhook_endpoints w on w.tenant_id = x.tenant_id`,
].map((sql) => sql.replace(`(select ${ids}, g)`, `(select g, ${ids})`));

const prepare = `
  create table app.bench_tenants (n bigint primary key, id uuid, app_name text, candidate_id uuid, position_id uuid);
  insert into app.bench_tenants select n, case when n = 0 then (select id from public.tenants limit 1) else gen_random_uuid() end,
    case when n = 0 then (select name from public.tenant_apps limit 1) else 'gr-tenant-' || n end, gen_random_uuid(),
    gen_random_uuid() from generate_series(0, ${tenants - 1}) n;
  insert into public.tenants (id, name, slug) select id, 'Tenant ' || n, 'tenant-' || n from app.bench_tenants where n > 0;
  insert into public.tenant_apps (name, tenant_id, network, status) select app_name, id, 'net', 'ready' from app.bench_tenants where n > 0;
  insert into public.candidates (id) select candidate_id from app.bench_tenants;
  insert into public.tenant_candidates (tenant_id, candidate_id, name) select id, candidate_id, 'Ada Lovelace' from app.bench_tenants;
  insert into public.positions (id, tenant_id, title) select position_id, id, 'Engineer' from app.bench_tenants;
  insert into public.webhook_endpoints (tenant_id, url, secret_ciphertext, key_id, enabled)
    select id, 'https://example.com/', 'sealed', 'key', false from app.bench_tenants;`;

const sumCosts = `insert into app.daily_costs (day, tenant_id, machines, run_usd, standby_usd, hot_usd)
  select (recorded_at at time zone 'UTC')::date, tenant_id, count(*), sum(cost_usd), 0, 0
  from public.machine_usage where not test group by 1, 2`;

const rest = [
  `insert into public.audit_log (tenant_id, actor, action, outcome, created_at)
    select t.id, 'key:bench', 'session.read', 'done', now() - interval '${days} days' * (1 - g::float8 / $1)
    from generate_series(1, $1::bigint) g join app.bench_tenants t on t.n = g % ${tenants}`,
  `insert into public.idempotency_keys (scope, key, tenant_id, request_hash, sealed_answer, created_at)
    select 'tenant:' || t.id, 'order ' || g, t.id, 'hash', repeat('x', 500), now() - interval '1 day' * random()
    from generate_series(1, ($1::bigint / ${days})) g join app.bench_tenants t on t.n = g % ${tenants}`,
];

const loaded = `'interview_sessions', 'machines', 'machine_usage', 'session_events', 'realtime_calls', 'session_phases',
  'transcript_entries', 'webhook_deliveries', 'audit_log', 'idempotency_keys'`;

/** Drops the indexes of the loaded tables that no constraint needs. @returns how to make them again, faster than row by row */
async function dropIndexes(db: pg.Client): Promise<string[]> {
  const { rows } = await db.query<{ name: string; sql: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as sql from pg_index i
       join pg_class c on c.oid = i.indrelid
     where c.relnamespace = 'public'::regnamespace and c.relname in (${loaded})
       and not exists (select from pg_constraint k where k.conindid = i.indexrelid)`,
  );
  for (const { name } of rows) await db.query(`drop index ${name}`);
  return rows.map(({ sql }) => sql);
}

/** @param db a superuser's connection @param sessions 1: only the session whose transcript is read */
export async function loadRows(db: pg.Client, sessions: number, progress: (line: string) => void): Promise<void> {
  await db.query("set session_replication_role = 'replica'");
  await db.query(prepare);
  const indexes = await dropIndexes(db);
  for (let from = 0; from < sessions; from += perBatch) {
    const until = Math.min(sessions, from + perBatch) - 1;
    for (const sql of batches) await db.query(sql, [sessions, from, until]);
    progress(`loaded ${until + 1} of ${sessions} sessions`);
  }
  await db.query(sumCosts);
  if (sessions > 1) for (const sql of rest) await db.query(sql, [sessions]);
  await db.query("set session_replication_role = 'origin'");
  await db.query("set maintenance_work_mem = '1GB'");
  for (const [made, sql] of indexes.entries()) {
    await db.query(sql);
    progress(`${made + 1} of ${indexes.length} indexes`);
  }
  await db.query('vacuum analyze');
}
