import type pg from 'pg';

/** The live fleet on top of the ended sessions: 2,000 interviews, 300 prepared machines, 1,000 that are scheduled, and owed work. */
const at = `now() - interval '1 minute' * (1 + g % 40)`;
const tenant = 'join app.bench_tenants t on t.n = g % 200';
const region = `(array['fra','iad','lhr','nrt','syd'])[g % 5 + 1]`;

const statements = [
  `insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, status, presence, epoch, machine_id,
      region, regions, created_at, expires_at, ready_at, started_at)
    select md5('live ' || g)::uuid, t.id, t.candidate_id, '{"name": "Ada Lovelace"}', t.position_id,
      case when g % 20 = 0 then 'ready' else 'in_progress' end, 'present', 1, md5('live machine ' || g)::uuid, ${region},
      array[${region}], ${at}, now() + interval '1 day', ${at}, ${at} from generate_series(1, 2000) g ${tenant}`,
  `insert into public.machines (id, tenant_id, session_id, app_name, fly_machine_id, region, image, state, epoch, reserved_at, created_at,
      claimed_at, last_heartbeat_at, lease_expires_at, hard_deadline_at, rss_bytes, unsaved_entries)
    select md5('live machine ' || g)::uuid, t.id, md5('live ' || g)::uuid, t.app_name, substr(md5('live machine ' || g), 1, 14), ${region},
      'image', 'claimed', 1, ${at}, ${at}, ${at}, now(), now() + interval '1 hour', now() + interval '3 hours', 9e7, 0
    from generate_series(1, 2000) g ${tenant}`,
  `insert into public.machines (tenant_id, app_name, fly_machine_id, region, image, state, reserved_at, created_at)
    select t.id, t.app_name, substr(md5('standby ' || g), 1, 14), ${region}, 'image', 'created', ${at}, ${at}
    from generate_series(1, 300) g ${tenant}`,
  `insert into public.session_phases (session_id, tenant_id, path, machine_id, attempts, region, due_at, ready_at)
    select md5('live ' || g)::uuid, t.id, 'standby', md5('live machine ' || g)::uuid, 1, ${region}, ${at}, ${at} + interval '900 ms'
    from generate_series(1, 2000) g ${tenant}`,
  `insert into public.session_events (session_id, tenant_id, type, created_at)
    select md5('live ' || g)::uuid, t.id, type, ${at} from generate_series(1, 2000) g ${tenant},
      unnest('{session.pending,session.ready,session.in_progress}'::text[]) as e (type)`,
  `insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, regions, region, created_at,
      expires_at, scheduled_at)
    select t.id, t.candidate_id, '{"name": "Ada Lovelace"}', t.position_id, 'scheduled', array[${region}], ${region}, ${at},
      now() + interval '1 day', now() + interval '1 minute' * (g % 60) from generate_series(1, 1000) g ${tenant}`,
  `insert into public.pool_policies (tenant_id, region, floor, ceiling)
    select t.id, 'fra', 2, 10 from app.bench_tenants t where t.n < 100`,
  `insert into public.interview_results (session_id, tenant_id, status, attempts, failure, last_error)
    select md5('session ' || g)::uuid, t.id, case when g % 10 = 0 then 'dead' else 'pending' end, 3, null, 'the model was busy'
    from generate_series(1, 400) g ${tenant}`,
];

/** @param db a superuser's connection. Triggers do not run, so the counters of tenants know nothing of these sessions. */
export async function seedLive(db: pg.Client): Promise<void> {
  await db.query("set session_replication_role = 'replica'");
  for (const sql of statements) await db.query(sql);
  await db.query("set session_replication_role = 'origin'");
  await db.query('analyze');
}
