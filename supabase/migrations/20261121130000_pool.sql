-- The planning half of the fleet: standby machines, schedules, the admission queue, placement on join, shared limits, usage.
--
-- Q1  A machine is assigned once and never goes back: `assigned_at` is written with `session_id`, and whatever becomes of the
--     session, the machine ends with it.
-- Q2  Standby machines are taken with SKIP LOCKED, nearest region first: two creations never wait for the same one.
-- Q3  `counted` says whether a session holds a place in its tenant's live sessions. Scheduled and queued ones do not; they
--     take one when they begin, under the lock of the counter.
-- Q4  Every tick here may run on any number of orchestrators at once: what a tick does it does under locks it skips when
--     another holds them, and what it hands out is taken for a while (`taken_until`), as intents are.
-- Q5  Candidates come before pools: filling a pool draws a create slot only while nobody waits, and leaves the burst alone.
-- Q6  A start is idempotent at Fly, so an assigned machine needs no compare-and-set before it.
--
-- Written before the first release, when every table is empty: checks and indexes need no second step.
-- squawk-ignore-file constraint-missing-not-valid, adding-foreign-key-constraint, disallowed-unique-constraint

-- ── columns ────────────────────────────────────────────────────────────────────────────────────────────────────────
alter table public.interview_sessions
  add column counted boolean not null default true,
  add column queued_at timestamptz,
  add column queue_deadline_at timestamptz,
  add constraint queued_is_pending check (queue_deadline_at is null or (not counted and queued_at is not null)),
  drop constraint reason_is_known,
  add constraint reason_is_known check (reason in (
    'ended_by_candidate', 'interviewer_finished', 'max_duration', 'ended_by_platform', 'operator_stopped', 'candidate_never_joined',
    'schedule_expired', 'admission_timeout', 'candidate_left', 'worker_lost', 'boot_timeout', 'no_capacity', 'quota_exceeded', 'fly_refused',
    'provider_auth_failed', 'provider_rate_limited', 'provider_unavailable', 'call_not_established', 'transcript_incomplete',
    'internal_error'));
comment on column public.interview_sessions.counted is 'It holds a place in its tenant''s live sessions (Q3).';
comment on column public.interview_sessions.queued_at is 'When it joined its tenant''s queue: its order there.';
comment on column public.interview_sessions.queue_deadline_at is 'Not null while it waits in the queue: not admitted by then, it ends with admission_timeout.';
comment on column public.interview_sessions.regions is 'Regions in the order in which they are tried; empty means any.';
comment on column public.interview_sessions.region_reason is
  'Why the region it runs in was chosen: requested, coordinates, country, edge, default, health, standby or capacity.';
create index interview_sessions_queue on public.interview_sessions (tenant_id, queued_at) where queue_deadline_at is not null;

alter table public.machines
  add column assigned_at timestamptz,
  add column start_requested_at timestamptz,
  add column billed_at timestamptz,
  drop constraint machine_reason_is_known,
  add constraint machine_reason_is_known check (reason in (
    'session_ended', 'session_gone', 'worker_exited', 'worker_lost', 'boot_timeout', 'create_failed', 'start_failed', 'superseded', 'handed_over',
    'host_lost', 'hard_deadline', 'orphan', 'image_replaced', 'pool_shrunk', 'operator_stopped'));
comment on column public.machines.assigned_at is 'When a standby machine was given its session (Q1); null for one that was made for its session.';
comment on column public.machines.start_requested_at is 'Fly accepted the start of an assigned standby machine.';
comment on column public.machines.billed_at is 'Its usage is in machine_usage.';
create index machines_standby on public.machines (tenant_id, region, created_at) where session_id is null and state = 'created';
create index machines_building on public.machines (tenant_id, region) where session_id is null and state = 'reserved';
create index machines_to_start on public.machines (assigned_at) where state = 'created' and assigned_at is not null;
create index machines_to_bill on public.machines (destroyed_at) where state = 'destroyed' and billed_at is null and created_at is not null;

alter table public.tenant_apps add column next_list_at timestamptz not null default '-infinity';
comment on column public.tenant_apps.next_list_at is 'GCRA of list requests, which Fly limits per app too: every orchestrator draws from this row.';

alter table public.orchestrators add column worker_image text;
comment on column public.orchestrators.worker_image is 'The worker image it was started with. The newest orchestrator''s is the one pools are filled with.';

-- ── the queue ──────────────────────────────────────────────────────────────────────────────────────────────────────

create function app.queue_json(s public.interview_sessions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('position', q.position, 'deadline', s.queue_deadline_at, 'estimate_ms', ceil(q.position * case
    when e.ended > 0 then 600000.0 / e.ended else t.max_duration_ms::numeric / greatest(t.max_live_sessions, 1) end))
  from public.tenants t
  cross join lateral (select count(*) as position from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.queue_deadline_at is not null and (o.queued_at, o.id) <= (s.queued_at, s.id)) q
  cross join lateral (select count(*) as ended from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.state_rank >= 90 and o.completed_at > clock_timestamp() - interval '10 minutes'
      and o.created_at > clock_timestamp() - interval '1 day') e
  where t.id = s.tenant_id
$$;
comment on function app.queue_json(public.interview_sessions) is
  'The place of a queued session and when it may begin, judged by how fast the tenant''s sessions ended lately, else by its longest interview.';

-- ── a machine for a session: standby, else a new one ───────────────────────────────────────────────────────────────
create function app.take_standby(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}') returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  foreach v_region in array p_regions loop
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created' and image = p_image
        and id <> all (p_except) order by created_at limit 1 for update skip locked; -- Q2
    if v_id is not null then return v_id; end if;
    -- While an image is being replaced, the one before it still serves.
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created'
        and id <> all (p_except) order by created_at desc limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
  end loop;
  return null;
end $$;
comment on function app.take_standby(uuid, text[], text, uuid[]) is
  'Locks a standby machine for assignment: the first region that has one decides (Q2). Never one of p_except, which the caller has locked already. Null when there is none.';

create function app.assign_standby(p_machine_id uuid, p_session_id uuid, p_attempt integer, p_launch jsonb) returns text
language sql volatile set search_path = '' as $$
  update public.machines set session_id = p_session_id, assigned_at = clock_timestamp(), attempt = p_attempt,
    taken_by = (p_launch ->> 'orchestrator_id')::uuid, taken_until = clock_timestamp() + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
    hard_deadline_at = clock_timestamp() + app.interval_ms((p_launch ->> 'machine_life_ms')::numeric)
  where id = p_machine_id returning region
$$;
comment on function app.assign_standby(uuid, uuid, integer, jsonb) is 'Q1: gives a locked standby machine its session; answers its region.';

create function app.reserve_machine(p_machine_id uuid, p_tenant_id uuid, p_session_id uuid, p_region text, p_attempt integer, p_launch jsonb)
returns boolean language plpgsql set search_path = '' as $$
declare
  v_slot record;
begin
  v_slot := app.draw_create_slot(p_tenant_id);
  if v_slot.app_name is null then return false; end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by, taken_until, hard_deadline_at)
    values (p_machine_id, p_tenant_id, p_session_id, v_slot.app_name, p_region, p_launch ->> 'image', p_attempt, v_slot.not_before,
      (p_launch ->> 'orchestrator_id')::uuid, v_slot.not_before + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
      clock_timestamp() + app.interval_ms((p_launch ->> 'machine_life_ms')::numeric));
  return true;
end $$;
comment on function app.reserve_machine(uuid, uuid, uuid, text, integer, jsonb) is 'An intent to create a machine, with the next slot of the tenant''s create limit; false when the tenant has no app.';

create function app.launch(p_session_id uuid, p_launch jsonb, p_attempt integer default 1) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_machine uuid;
  v_region text;
  v_launch jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  v_launch := p_launch || jsonb_build_object('machine_life_ms', (p_launch ->> 'life_ms')::numeric + s.max_duration_ms);
  v_machine := app.take_standby(s.tenant_id, s.regions, p_launch ->> 'image');
  if v_machine is not null then
    v_region := app.assign_standby(v_machine, s.id, p_attempt, v_launch);
  else
    v_machine := gen_random_uuid();
    v_region := coalesce(s.regions[1], s.region, p_launch ->> 'default_region');
    if not app.reserve_machine(v_machine, s.tenant_id, s.id, v_region, p_attempt, v_launch) then return jsonb_build_object('kind', 'no_app'); end if;
  end if;
  update public.interview_sessions set region = v_region, region_reason = case
      when p_attempt > 1 then 'capacity' when v_region is distinct from s.regions[1] then 'standby' else region_reason end where id = s.id;
  perform app.move_session(s.id, 'provisioning');
  perform app.emit(s.id, s.tenant_id, (select case when assigned_at is null then 'machine.reserved' else 'machine.assigned' end from public.machines where id = v_machine),
    jsonb_build_object('machine_id', v_machine, 'region', v_region, 'attempt', p_attempt));
  return jsonb_build_object('kind', 'launched', 'intent', app.intent_json(v_machine));
end $$;
comment on function app.launch(uuid, jsonb, integer) is
  'A session that waited gets its machine. p_launch: orchestrator_id, image, taken_ms, life_ms (without the interview), default_region. kind: launched (intent), no_app.';

-- ── create ─────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.schedule_ahead(p_tenant_id uuid, p_due timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'ahead', (select count(*) from public.interview_sessions s
      where s.tenant_id = p_tenant_id and s.status = 'scheduled' and s.placement = 'now' and s.scheduled_at <= p_due),
    'standby', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.session_id is null and m.state in ('reserved', 'created')),
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a where a.tenant_id = p_tenant_id and a.status = 'ready'),
    'now', clock_timestamp())
$$;
comment on function app.schedule_ahead(uuid, timestamptz) is 'What decides whether a schedule can be met: sessions due no later, machines there or under way, how fast more can be made.';

create function app.judge_creation(r jsonb, t public.tenants, p_live integer, p_queued integer) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_due timestamptz := (r ->> 'scheduled_at')::timestamptz;
begin
  if (r ->> 'max_duration_ms')::integer > t.max_duration_ms then
    return jsonb_build_object('kind', 'duration_exceeded', 'limit', t.max_duration_ms);
  end if;
  if v_due > clock_timestamp() + app.interval_ms(coalesce((r ->> 'start_lead_ms')::numeric, 0)) then
    return '{"begin": "scheduled"}';
  end if;
  -- Who waits in the queue goes before who comes now.
  if p_live + p_queued < t.max_live_sessions then
    return case when r ->> 'placement' = 'on_join' then '{"begin": "on_join"}' else '{"begin": "now"}' end::jsonb;
  end if;
  if r ->> 'admission' is distinct from 'queue' then return jsonb_build_object('kind', 'quota_exceeded', 'limit', t.max_live_sessions); end if;
  if p_queued >= (r ->> 'max_queued')::integer then return jsonb_build_object('kind', 'queue_full', 'limit', p_queued); end if;
  return '{"begin": "queued"}';
end $$;
comment on function app.judge_creation(jsonb, public.tenants, integer, integer) is
  'How a session begins, as its tenant stands: {begin: now, scheduled, on_join or queued}, or a refusal {kind}.';

create function app.store_creations(p_accepted jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  r jsonb;
  v_standby uuid[] := array(select (x ->> 'standby')::uuid from jsonb_array_elements(p_accepted) x where x ? 'standby');
begin
  -- Born in its state: nobody can know it yet, so neither a move nor an order between writers (F5) is needed.
  insert into public.interview_sessions (id, tenant_id, candidate_id, position_id, user_id, api_key_id, status, settings, metadata, regions, region,
      region_reason, simulated, max_duration_ms, placement, admission, scheduled_at, counted, queued_at, queue_deadline_at, expires_at)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, (x ->> 'candidate_id')::uuid, (x ->> 'position_id')::uuid, (x ->> 'user_id')::uuid,
      (x ->> 'api_key_id')::uuid, case x ->> 'begin' when 'now' then 'provisioning' when 'scheduled' then 'scheduled' else 'pending' end,
      coalesce(x -> 'settings', '{}'), coalesce(x -> 'metadata', '{}'), array(select jsonb_array_elements_text(x -> 'regions')), x ->> 'region',
      x ->> 'region_reason', (x ->> 'simulated')::boolean, (x ->> 'max_duration_ms')::integer, coalesce(x ->> 'placement', 'now'),
      coalesce(x ->> 'admission', 'reject'), d.due, x ->> 'begin' in ('now', 'on_join'),
      case x ->> 'begin' when 'queued' then clock_timestamp() end,
      case x ->> 'begin' when 'queued' then clock_timestamp() + app.interval_ms((x ->> 'queue_ms')::numeric) end,
      greatest(d.due, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric)
    from jsonb_array_elements(p_accepted) x cross join lateral (select (x ->> 'scheduled_at')::timestamptz as due) d;
  update public.machines m set session_id = (x ->> 'session_id')::uuid, assigned_at = clock_timestamp(),
      taken_by = (x ->> 'orchestrator_id')::uuid, taken_until = clock_timestamp() + app.interval_ms((x ->> 'taken_ms')::numeric),
      hard_deadline_at = clock_timestamp() + app.interval_ms((x ->> 'machine_life_ms')::numeric)
    -- By key: joined with the batch alone, the plan would read all machines.
    from jsonb_array_elements(p_accepted) x where m.id = any (v_standby) and m.id = (x ->> 'standby')::uuid;
  for r in select x from jsonb_array_elements(p_accepted) x where x ->> 'begin' = 'now' and x ->> 'standby' is null loop
    perform app.reserve_machine((r ->> 'machine_id')::uuid, (r ->> 'tenant_id')::uuid, (r ->> 'session_id')::uuid, r ->> 'region', 1, r);
  end loop;
  insert into public.session_events (session_id, tenant_id, type, data)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, e.type, e.data
    from jsonb_array_elements(p_accepted) with ordinality as a (x, n)
    cross join lateral (values
      (1, case x ->> 'begin' when 'scheduled' then 'session.scheduled' else 'session.pending' end,
        jsonb_strip_nulls(jsonb_build_object('to', case x ->> 'begin' when 'scheduled' then 'scheduled' else 'pending' end,
          'scheduled_at', x -> 'scheduled_at', 'waits_for', case x ->> 'begin' when 'queued' then 'admission' when 'on_join' then 'candidate' end))),
      (2, case when x ->> 'standby' is null then 'machine.reserved' else 'machine.assigned' end,
        jsonb_build_object('machine_id', x -> 'machine_id', 'region', x -> 'region', 'attempt', 1)),
      (3, 'session.provisioning', '{"from": "pending", "to": "provisioning"}')) as e (k, type, data)
    where e.k = 1 or x ->> 'begin' = 'now' order by n, e.k;
  insert into public.idempotency_keys (tenant_id, key, body_hash, session_id)
    select (x ->> 'tenant_id')::uuid, x ->> 'idempotency_key', x ->> 'body_hash', (x ->> 'session_id')::uuid
    from jsonb_array_elements(p_accepted) x where x ->> 'idempotency_key' is not null;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, x ->> 'invitation_hash',
      greatest((x ->> 'scheduled_at')::timestamptz, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric)
    from jsonb_array_elements(p_accepted) x where x ->> 'invitation_hash' is not null;
end $$;
comment on function app.store_creations(jsonb) is
  'Writes accepted creations, all rows of a table in one statement: what a session costs is then its rows, not its statements.';

create function app.create_for_tenant(p_tenant_id uuid, p_requests jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t public.tenants;
  r jsonb;
  v_n bigint;
  v_judged jsonb;
  v_live integer;
  v_queued integer;
  v_wait integer;
  v_has_app boolean;
  v_has_standby boolean;
  v_people uuid[];
  v_positions uuid[];
  v_pool uuid[];
  v_pool_region text := p_requests #>> '{0,regions,0}';
  v_pool_image text := p_requests #>> '{0,image}';
  v_seen uuid[];
  v_standby uuid;
  v_region text;
  v_known record;
  v_keys jsonb := '{}';
  v_accepted jsonb[] := '{}';
  v_results jsonb := '{}';
begin
  -- F2: the tenant's counter first. Two requests with one key meet here, so the second finds the first's row.
  select c.live_sessions into v_live from public.tenant_counters c where c.tenant_id = p_tenant_id for update;
  select * into t from public.tenants where id = p_tenant_id and status = 'active';
  if v_live is null or t.id is null then
    return (select jsonb_object_agg(n, '{"kind": "tenant_inactive"}'::jsonb) from jsonb_array_elements(p_requests) with ordinality as x (x, n));
  end if;
  v_queued := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id and queue_deadline_at is not null);
  v_has_app := exists (select from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready');
  v_people := array(select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id
    and candidate_id in (select (x ->> 'candidate_id')::uuid from jsonb_array_elements(p_requests) x));
  v_positions := array(select id from public.positions where tenant_id = p_tenant_id
    and id in (select (x ->> 'position_id')::uuid from jsonb_array_elements(p_requests) x));
  -- Most requests of a batch want the same: their machines are taken in one go. In the order of the index, which is
  -- otherwise passed over while a table is full of standby machines.
  perform 1 from public.machines where tenant_id = p_tenant_id and session_id is null and state = 'created' order by tenant_id, region, created_at limit 1;
  v_has_standby := found;
  if v_has_standby then
    v_pool := array(select id from public.machines where tenant_id = p_tenant_id and region = v_pool_region and session_id is null
      and state = 'created' and image = v_pool_image order by created_at limit jsonb_array_length(p_requests) for update skip locked);
    v_seen := v_pool;
  end if;

  for r, v_n in select x, n from jsonb_array_elements(p_requests) with ordinality as e (x, n) loop
    if r ->> 'idempotency_key' is not null then
      select k.body_hash, k.session_id into v_known from public.idempotency_keys k where k.tenant_id = p_tenant_id and k.key = r ->> 'idempotency_key';
      if not found and v_keys ? (r ->> 'idempotency_key') then
        select * into v_known from jsonb_to_record(v_keys -> (r ->> 'idempotency_key')) as k (body_hash text, session_id uuid);
      end if;
      if v_known.session_id is not null then
        v_results := v_results || jsonb_build_object(v_n, case when v_known.body_hash = r ->> 'body_hash'
          then jsonb_build_object('kind', 'replayed', 'session_id', v_known.session_id) else '{"kind": "idempotency_mismatch"}' end);
        continue;
      end if;
    end if;
    v_judged := app.judge_creation(r, t, v_live, v_queued);
    if v_judged ->> 'kind' is null then
      v_judged := v_judged || case
        when r ? 'candidate_id' and not (r ->> 'candidate_id')::uuid = any (v_people) then '{"kind": "candidate_not_found"}'
        when r ? 'position_id' and not (r ->> 'position_id')::uuid = any (v_positions) then '{"kind": "position_not_found"}'
        when not v_has_app then '{"kind": "no_app"}' else '{}' end::jsonb;
    end if;
    v_standby := null;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_has_standby then
      if cardinality(v_pool) > 0 and r #>> '{regions,0}' = v_pool_region and r ->> 'image' = v_pool_image then
        v_standby := v_pool[1];
      else
        v_standby := app.take_standby(p_tenant_id, array(select jsonb_array_elements_text(r -> 'regions')), r ->> 'image', v_seen);
      end if;
    end if;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_standby is null and (r ->> 'all_closed')::boolean then
      v_judged := '{"kind": "no_capacity"}';
    end if;
    if v_judged ->> 'kind' is null then
      v_wait := case when t.starts_per_minute is null then 0 else app.draw_start(p_tenant_id) end;
      if v_wait > 0 then v_judged := jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
    end if;
    if v_judged ->> 'kind' is not null then
      v_results := v_results || jsonb_build_object(v_n, v_judged - 'begin');
      continue;
    end if;

    v_region := coalesce(r ->> 'first_region', r #>> '{regions,0}', r ->> 'default_region');
    if v_standby is not null then
      if v_standby = v_pool[1] then
        v_pool := v_pool[2:];
        v_region := v_pool_region;
      else
        v_seen := v_seen || v_standby;
        v_region := (select region from public.machines where id = v_standby);
      end if;
      r := r || jsonb_build_object('standby', v_standby, 'machine_id', v_standby);
      if v_region is distinct from r #>> '{regions,0}' then r := r || '{"region_reason": "standby"}'; end if;
    end if;
    if not r ? 'candidate_id' then
      r := r || jsonb_build_object('candidate_id', app.find_or_make_candidate(p_tenant_id, r -> 'candidate'));
    end if;
    if not r ? 'position_id' then
      r := r || jsonb_build_object('position_id', gen_random_uuid());
      insert into public.positions (id, tenant_id, title, description)
        values ((r ->> 'position_id')::uuid, p_tenant_id, r #>> '{position,title}', r #>> '{position,description}');
    end if;
    v_accepted := v_accepted || (r || v_judged || jsonb_build_object('region', v_region, 'n', v_n));
    if v_judged ->> 'begin' in ('now', 'on_join') then v_live := v_live + 1; end if;
    if v_judged ->> 'begin' = 'queued' then v_queued := v_queued + 1; end if;
    if r ->> 'idempotency_key' is not null then
      v_keys := v_keys || jsonb_build_object(r ->> 'idempotency_key',
        jsonb_build_object('body_hash', r ->> 'body_hash', 'session_id', r ->> 'session_id'));
    end if;
  end loop;

  if v_accepted <> '{}' then
    perform app.store_creations(to_jsonb(v_accepted));
    update public.tenant_counters set live_sessions = v_live where tenant_id = p_tenant_id and live_sessions <> v_live;
  end if;
  return v_results
    || coalesce((select jsonb_object_agg(k, jsonb_build_object('kind', 'replayed', 'session', app.session_json((v ->> 'session_id')::uuid)))
      from jsonb_each(v_results) e (k, v) where v ->> 'kind' = 'replayed'), '{}')
    || coalesce((select jsonb_object_agg(a ->> 'n', jsonb_build_object('kind', 'created', 'session', app.session_json((a ->> 'session_id')::uuid),
        'intent', case a ->> 'begin' when 'now' then app.intent_json((a ->> 'machine_id')::uuid) end,
        'ahead', case a ->> 'begin' when 'scheduled' then app.schedule_ahead(p_tenant_id, (a ->> 'scheduled_at')::timestamptz) end))
      from unnest(v_accepted) a), '{}');
end $$;
comment on function app.create_for_tenant(uuid, jsonb) is
  'Sessions of one tenant with everything that must be true together; refusals are values, so that one does not spoil a batch. Answers by place in the array, from 1.';

-- ── schedules, the queue, the candidate's arrival ──────────────────────────────────────────────────────────────────
create function public.reschedule_session(p_session_id uuid, p_tenant_id uuid, p_scheduled_at timestamptz, p_expires_ms bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'ended'); end if;
  if s.status <> 'scheduled' then return jsonb_build_object('kind', 'begun', 'session', app.session_json(s.id)); end if;
  update public.interview_sessions set scheduled_at = p_scheduled_at, expires_at = p_scheduled_at + app.interval_ms(p_expires_ms) where id = s.id;
  update public.session_invitations set expires_at = p_scheduled_at + app.interval_ms(p_expires_ms) where session_id = s.id and revoked_at is null;
  perform app.emit(s.id, s.tenant_id, 'session.rescheduled', jsonb_build_object('from', s.scheduled_at, 'to', p_scheduled_at));
  return jsonb_build_object('kind', 'rescheduled', 'session', app.session_json(s.id), 'ahead', app.schedule_ahead(p_tenant_id, p_scheduled_at));
end $$;
comment on function public.reschedule_session(uuid, uuid, timestamptz, bigint) is
  'Moves a start time, and with it the expiry of the session and of its invitations. kind: rescheduled (ahead), begun (too late), ended, not_found.';

create function app.admit(p_session_id uuid, p_launch jsonb, p_queue_ms numeric) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_free boolean;
  v_result jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id;
  select c.live_sessions < t.max_live_sessions into v_free from public.tenant_counters c join public.tenants t on t.id = c.tenant_id
    where c.tenant_id = s.tenant_id for update of c;
  if not v_free then
    if s.queue_deadline_at is null then
      update public.interview_sessions set queued_at = clock_timestamp(), queue_deadline_at = clock_timestamp() + app.interval_ms(p_queue_ms) where id = s.id;
      perform app.emit(s.id, s.tenant_id, 'session.queued', '{}');
    end if;
    return jsonb_build_object('kind', 'queued', 'session_id', s.id);
  end if;
  update public.interview_sessions set counted = true, queue_deadline_at = null where id = s.id;
  update public.tenant_counters set live_sessions = live_sessions + 1 where tenant_id = s.tenant_id;
  if s.placement = 'on_join' then return jsonb_build_object('kind', 'waits', 'session_id', s.id); end if;
  v_result := app.launch(s.id, p_launch);
  if v_result ->> 'kind' = 'no_app' then perform app.end_session(s.id, 'failed', 'fly_refused'); end if;
  return v_result || jsonb_build_object('session_id', s.id);
end $$;
comment on function app.admit(uuid, jsonb, numeric) is
  'A locked pending session takes its place among the live ones and gets its machine, or joins the queue when there is none free. kind: launched, waits, queued, no_app.';

create function public.start_scheduled(p_launch jsonb, p_lead_ms integer, p_queue_ms integer, p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_due uuid[];
  v_id uuid;
  v_results jsonb[] := '{}';
begin
  -- F2: sessions, then counters in one order, then whatever the launches lock.
  v_due := array(select s.id from public.interview_sessions s
    where s.status = 'scheduled' and s.scheduled_at <= clock_timestamp() + app.interval_ms(p_lead_ms)
      and exists (select from public.tenants t where t.id = s.tenant_id and t.status = 'active')
    order by s.scheduled_at, s.id limit p_limit for update of s skip locked); -- Q4
  perform 1 from public.tenant_counters where tenant_id in (select tenant_id from public.interview_sessions where id = any (v_due)) order by tenant_id for update;
  foreach v_id in array v_due loop
    perform app.move_session(v_id, 'pending');
    v_results := v_results || app.admit(v_id, p_launch, p_queue_ms);
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.start_scheduled(jsonb, integer, integer, integer) is
  'Scheduled sessions whose time is near begin: an array of {kind, session_id, intent}. Those over the tenant''s limit are queued.';

create function public.admit_queued(p_launch jsonb, p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_late uuid[];
  v_waiting uuid[];
  v_id uuid;
  v_results jsonb[] := '{}';
begin
  v_late := array(select id from public.interview_sessions where queue_deadline_at < clock_timestamp() order by id limit p_limit for update skip locked);
  v_waiting := array(select w.id from (select distinct s.tenant_id from public.interview_sessions s where s.queue_deadline_at is not null) q
    join public.tenants t on t.id = q.tenant_id and t.status = 'active'
    join public.tenant_counters c on c.tenant_id = q.tenant_id
    cross join lateral (select s.id, s.queued_at from public.interview_sessions s
      where s.tenant_id = q.tenant_id and s.queue_deadline_at >= clock_timestamp() order by s.queued_at, s.id
      limit least(p_limit, greatest(t.max_live_sessions - c.live_sessions, 0)) for update skip locked) w
    order by q.tenant_id, w.queued_at, w.id);
  perform 1 from public.tenant_counters where tenant_id in (select tenant_id from public.interview_sessions where id = any (v_late || v_waiting))
    order by tenant_id for update;
  foreach v_id in array v_late loop
    perform app.end_session(v_id, 'expired', 'admission_timeout');
    v_results := v_results || jsonb_build_object('kind', 'expired', 'session_id', v_id);
  end loop;
  foreach v_id in array v_waiting loop
    perform app.emit(v_id, (select tenant_id from public.interview_sessions where id = v_id), 'session.admitted', '{}');
    v_results := v_results || app.admit(v_id, p_launch, 0);
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.admit_queued(jsonb, integer) is
  'Queued sessions take the places that became free, in their order; those past their deadline end. An array of {kind, session_id, intent}.';

create function public.begin_on_join(p_session_id uuid, p_regions text[], p_region_reason text, p_launch jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_regions text[];
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.status <> 'pending' or s.placement <> 'on_join' or not s.counted then return jsonb_build_object('kind', 'not_waiting'); end if;
  -- Never outside the tenant's own regions; what was wished for stands where nothing better is known.
  v_regions := array(select r from unnest(p_regions) with ordinality as x (r, n) join public.tenants t on t.id = s.tenant_id
    where t.allowed_regions is null or r = any (t.allowed_regions) order by n);
  if cardinality(v_regions) > 0 then
    update public.interview_sessions set regions = v_regions, region_reason = p_region_reason where id = s.id;
  end if;
  return app.launch(s.id, p_launch);
end $$;
comment on function public.begin_on_join(uuid, text[], text, jsonb) is
  'The candidate of a session with placement on_join has arrived: the regions near there are tried, null when nobody knows where. kind: launched (intent), no_app, not_waiting.';

-- ── starting assigned standby machines ─────────────────────────────────────────────────────────────────────────────
create function public.take_starts(p_orchestrator_id uuid, p_taken_ms integer, p_late_ms integer, p_limit integer default 50) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select id from public.machines
    where state = 'created' and assigned_at is not null and (taken_until is null or taken_until <= clock_timestamp())
      and (start_requested_at is null or start_requested_at < clock_timestamp() - app.interval_ms(p_late_ms))
    order by assigned_at limit p_limit for update skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id, taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_starts(uuid, integer, integer, integer) is
  'Assigned standby machines that nobody is starting, and those that were asked to start p_late_ms ago and were not heard of since (late).';

create function public.record_starts(p_machine_ids uuid[]) returns integer
language sql volatile security definer set search_path = '' as $$
  with locked as (select id from public.machines where id = any (p_machine_ids) and state = 'created' order by id for update),
  done as (update public.machines m set start_requested_at = clock_timestamp() from locked where m.id = locked.id and m.start_requested_at is null returning 1)
  select count(*)::integer from done
$$;
comment on function public.record_starts(uuid[]) is 'Fly accepted these starts. Takes many at once.';

create function public.record_machine_started(p_machine_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform 1 from public.interview_sessions s join public.machines m on m.session_id = s.id where m.id = p_machine_id for update of s;
  return app.move_machine(p_machine_id, 'started');
end $$;
comment on function public.record_machine_started(uuid) is 'Fly says that it runs, and it has not claimed yet.';

create function public.record_start_failed(p_machine_id uuid, p_launch jsonb, p_max_attempts integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_result jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  if m.state not in ('created', 'started') then return jsonb_build_object('kind', 'stale'); end if;
  perform app.move_machine(m.id, 'destroying', 'start_failed');
  if s.id is null or s.state_rank >= 40 or exists (select from public.machines o where o.session_id = s.id and o.id <> m.id and o.state_rank < 50) then
    return jsonb_build_object('kind', 'session_over');
  end if;
  if m.attempt < p_max_attempts then
    v_result := app.launch(s.id, p_launch, m.attempt + 1);
    if v_result ->> 'kind' = 'launched' then return jsonb_build_object('kind', 'next', 'intent', v_result -> 'intent'); end if;
  end if;
  perform app.end_session(s.id, 'failed', 'boot_timeout');
  return jsonb_build_object('kind', 'ended');
end $$;
comment on function public.record_start_failed(uuid, jsonb, integer) is
  'A standby machine would not start: it is given up, and its session gets the next one, standby or new. kind: next (intent), ended, session_over, stale, unknown.';

-- ── pools ──────────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.announce_image(p_orchestrator_id uuid, p_image text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (update public.orchestrators set worker_image = p_image where id = p_orchestrator_id returning 1) select exists (select from done)
$$;
comment on function public.announce_image(uuid, text) is 'A registered orchestrator says which worker image it was started with; false when it is not registered yet.';

create function public.pool_facts(p_horizon_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with current as (select worker_image as image from public.orchestrators where worker_image is not null order by started_at desc, id limit 1),
  pools as (
    select tenant_id, region, floor, ceiling from public.pool_policies),
  standby as (
    select m.tenant_id, m.region,
      count(*) filter (where m.state = 'created' and m.image = c.image) as ready,
      count(*) filter (where m.state = 'reserved' and m.image = c.image) as building,
      count(*) filter (where m.image <> c.image) as stale
    from public.machines m cross join current c where m.session_id is null and m.state in ('reserved', 'created') group by 1, 2),
  due as (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region,
      greatest(0, floor(extract(epoch from s.scheduled_at - clock_timestamp())))::integer * 1000 as due_in_ms, count(*) as sessions
    from public.interview_sessions s
    where s.status = 'scheduled' and s.placement = 'now' and s.scheduled_at < clock_timestamp() + app.interval_ms(p_horizon_ms) group by 1, 2, 3),
  tenants as (select tenant_id from pools union select tenant_id from standby union select tenant_id from due)
  select jsonb_build_object('image', (select image from current), 'tenants', coalesce(jsonb_agg(jsonb_build_object(
    'tenant_id', t.id,
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a where a.tenant_id = t.id and a.status = 'ready' and ten.status = 'active'),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', r.region, 'floor', coalesce(p.floor, 0), 'ceiling', coalesce(p.ceiling, 0),
        'ready', coalesce(b.ready, 0), 'building', coalesce(b.building, 0), 'stale', coalesce(b.stale, 0))), '[]')
      from (select region from pools where tenant_id = t.id union select region from standby where tenant_id = t.id
        union select region from due where tenant_id = t.id) r
      left join pools p on p.tenant_id = t.id and p.region = r.region and ten.status = 'active'
      left join standby b on b.tenant_id = t.id and b.region = r.region),
    'due', (select coalesce(jsonb_agg(jsonb_build_object('region', d.region, 'due_in_ms', d.due_in_ms, 'sessions', d.sessions) order by d.due_in_ms), '[]')
      from due d where d.tenant_id = t.id and ten.status = 'active'))), '[]'))
  from (select tenant_id as id from tenants) t join public.tenants ten on ten.id = t.id
$$;
comment on function public.pool_facts(bigint) is
  'What pools are planned by: the image to use; of each tenant with a pool, standby machines or sessions due within the horizon: its create rate, its pools and what is due.';

create function public.pool_demand(p_window_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'region', x.region, 'per_second', x.per_second)), '[]') from (
    select s.tenant_id, s.regions[1] as region,
      sum(exp(-extract(epoch from clock_timestamp() - s.created_at) * 1000 / p_window_ms)) * 1000 / p_window_ms as per_second
    from public.pool_policies p join public.interview_sessions s on s.tenant_id = p.tenant_id and s.regions[1] = p.region
    where s.created_at > clock_timestamp() - app.interval_ms(3 * p_window_ms) and s.scheduled_at is null group by 1, 2) x
$$;
comment on function public.pool_demand(bigint) is 'Unscheduled sessions a second of each pool''s tenant and region, by an exponentially decaying mean over the window.';

create function app.draw_pool_slot(p_tenant_id uuid) returns text
language sql volatile set search_path = '' as $$
  update public.tenant_apps set next_create_at = clock_timestamp() + app.interval_ms(1000 / creates_per_second)
  where name = (select name from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready' and next_create_at <= clock_timestamp()
    order by next_create_at, name limit 1 for update skip locked)
  returning name
$$;
comment on function app.draw_pool_slot(uuid) is 'Q5: a create slot for a pool, of an app that nobody waits for; null when there is none now.';

create function app.fill_pool(p jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms numeric) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid := (p ->> 'tenant_id')::uuid;
  v_have integer;
  v_app text;
  v_id uuid;
  v_intents jsonb[] := '{}';
begin
  -- Counted again under the lock: another orchestrator may have filled it since the facts were read (Q4).
  select count(*) into v_have from public.machines
    where tenant_id = v_tenant and region = p ->> 'region' and session_id is null and state in ('reserved', 'created') and image = p_image;
  for i in v_have + 1 .. (p ->> 'target')::integer loop
    v_app := app.draw_pool_slot(v_tenant);
    exit when v_app is null;
    insert into public.machines (tenant_id, app_name, region, image, taken_by, taken_until)
      values (v_tenant, v_app, p ->> 'region', p_image, p_orchestrator_id, clock_timestamp() + app.interval_ms(p_taken_ms)) returning id into v_id;
    v_intents := v_intents || app.intent_json(v_id);
  end loop;
  return v_intents;
end $$;
comment on function app.fill_pool(jsonb, text, uuid, numeric) is 'Intents for as many standby machines as the target wants and the create limit allows now.';

create function app.retire_standby(p_tenant_id uuid, p_region text, p_image text, p_stale boolean, p_count integer, p_reason text) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_retired jsonb[] := '{}';
begin
  -- The newest go first: the oldest have their image on the host for sure.
  for m in select * from public.machines where tenant_id = p_tenant_id and region = p_region and session_id is null and state = 'created'
      and (image <> p_image) = p_stale order by created_at desc limit p_count for update skip locked loop
    perform app.move_machine(m.id, 'destroying', p_reason);
    v_retired := v_retired || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id, 'reason', p_reason);
  end loop;
  return v_retired;
end $$;
comment on function app.retire_standby(uuid, text, text, boolean, integer, text) is 'Gives up standby machines, of other images or of this one. Committed before any DELETE; assignment takes the same lock.';

create function public.apply_pool_plan(p_plan jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p jsonb;
  v_intents jsonb[] := '{}';
  v_retired jsonb[] := '{}';
begin
  for p in select x from jsonb_array_elements(p_plan) with ordinality as e (x, n) order by x ->> 'tenant_id', n loop
    continue when not pg_try_advisory_xact_lock(hashtextextended('pool ' || (p ->> 'tenant_id'), 0));
    v_intents := v_intents || app.fill_pool(p, p_image, p_orchestrator_id, p_taken_ms);
    v_retired := v_retired
      || app.retire_standby((p ->> 'tenant_id')::uuid, p ->> 'region', p_image, true, (p ->> 'retire_stale')::integer, 'image_replaced')
      || app.retire_standby((p ->> 'tenant_id')::uuid, p ->> 'region', p_image, false, (p ->> 'shrink')::integer, 'pool_shrunk');
  end loop;
  return jsonb_build_object('intents', to_jsonb(v_intents), 'retired', to_jsonb(v_retired));
end $$;
comment on function public.apply_pool_plan(jsonb, text, uuid, integer) is
  'Carries out a plan [{tenant_id, region, target, shrink, retire_stale}], pools in the order of the plan. Answers {intents, retired: [{machine_id, app_name, fly_machine_id, reason}]}.';

create function public.pool_of_tenant(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('region', r.region, 'floor', coalesce(p.floor, 0), 'ceiling', coalesce(p.ceiling, 0),
      'ready', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.region = r.region and m.session_id is null and m.state = 'created'),
      'building', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.region = r.region and m.session_id is null and m.state = 'reserved'),
      'scheduled', (select count(*) from public.interview_sessions s where s.tenant_id = p_tenant_id and s.status = 'scheduled'
        and coalesce(s.regions[1], s.region) = r.region and s.scheduled_at < clock_timestamp() + interval '1 hour')) order by r.region), '[]')
  from (select region from public.pool_policies where tenant_id = p_tenant_id
    union select region from public.machines where tenant_id = p_tenant_id and session_id is null and state in ('reserved', 'created')) r
  left join public.pool_policies p on p.tenant_id = p_tenant_id and p.region = r.region
$$;
comment on function public.pool_of_tenant(uuid) is 'A tenant''s pools: policy, standby machines ready and under way, sessions due within the hour.';

create function public.remove_pool_policy(p_tenant_id uuid, p_region text, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.pool_policies where tenant_id = p_tenant_id and region = p_region;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'pool.remove', p_region);
  return true;
end $$;
comment on function public.remove_pool_policy(uuid, text, jsonb) is 'The tenant keeps no standby machines in this region any more; false when it kept none.';

-- ── limits that all orchestrators share ────────────────────────────────────────────────────────────────────────────
create function public.draw_list_slots(p_apps text[], p_urgent boolean default false, p_max_wait_ms integer default 1000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz;
  v_tat timestamptz;
  v_at timestamptz;
  v_result jsonb := '{}';
begin
  for a in select * from public.tenant_apps where name = any (p_apps) order by name for update loop
    v_now := clock_timestamp();
    v_tat := greatest(a.next_list_at, v_now);
    -- A lookup for a waiting candidate may use the burst; the reconciler's lists leave it alone.
    v_at := v_tat - case when p_urgent then interval '2 seconds' else interval '0' end;
    -- As with creates: requests are not under way equally long.
    v_at := case when v_at > v_now then v_at + interval '250 milliseconds' else v_now end;
    continue when v_at > v_now + app.interval_ms(p_max_wait_ms);
    update public.tenant_apps set next_list_at = v_tat + interval '1 second' where name = a.name;
    v_result := v_result || jsonb_build_object(a.name, ceil(extract(epoch from v_at - v_now) * 1000));
  end loop;
  return v_result;
end $$;
comment on function public.draw_list_slots(text[], boolean, integer) is
  'Slots of Fly''s limit on lists (1 a second and app, burst 3): milliseconds to wait by app. An app that is not named in the answer must not be listed now.';

create function public.slow_app(p_app_name text, p_action text, p_retry_ms integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_burst interval;
  v_until timestamptz := clock_timestamp() + app.interval_ms(p_retry_ms);
begin
  if p_action = 'list' then
    update public.tenant_apps set next_list_at = greatest(next_list_at, v_until + interval '3 seconds') where name = p_app_name;
    return p_retry_ms;
  end if;
  -- Fly counts otherwise than we do: nobody may use the burst until it agrees again. Who was refused takes the first slot.
  update public.tenant_apps set next_create_at = greatest(next_create_at, v_until + app.interval_ms(1000 / creates_per_second) * (create_burst - 1))
      + app.interval_ms(1000 / creates_per_second)
    where name = p_app_name
    returning next_create_at - app.interval_ms(1000 / creates_per_second) * create_burst - clock_timestamp() into v_burst;
  return greatest(p_retry_ms, ceil(extract(epoch from v_burst) * 1000));
end $$;
comment on function public.slow_app(text, text, integer) is
  'Fly answered 429 to a create or list: everybody''s next request of this kind waits for its Retry-After. Answers the caller''s own wait, milliseconds.';

-- ── usage ──────────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.machines_to_bill(p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'tenant_id', m.tenant_id, 'session_id', m.session_id, 'region', m.region,
    -- A standby machine runs from its start; one made for its session from its creation: what Fly bills is a little less.
    'started_seconds', round(case when m.session_id is null then 0
      else extract(epoch from m.destroyed_at - coalesce(m.start_requested_at, m.assigned_at, m.created_at)) end::numeric, 3),
    'standby_seconds', round(case when m.session_id is not null and m.assigned_at is null then 0
      else extract(epoch from coalesce(m.start_requested_at, m.assigned_at, m.destroyed_at) - m.created_at) end::numeric, 3))), '[]')
  from (select * from public.machines where state = 'destroyed' and billed_at is null and created_at is not null order by destroyed_at limit p_limit) m
$$;
comment on function public.machines_to_bill(integer) is 'Machines that are gone and whose usage is not recorded yet, with the seconds they ran and stood by.';

create function public.record_usage(p_rows jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_count integer;
begin
  insert into public.machine_usage (machine_id, tenant_id, session_id, region, size, started_seconds, standby_seconds, cost_usd, standby_cost_usd)
    select (r ->> 'machine_id')::uuid, m.tenant_id, m.session_id, m.region, r ->> 'size', greatest(0, (r ->> 'started_seconds')::numeric),
      greatest(0, (r ->> 'standby_seconds')::numeric), (r ->> 'cost_usd')::numeric, (r ->> 'standby_cost_usd')::numeric
    from jsonb_array_elements(p_rows) r join public.machines m on m.id = (r ->> 'machine_id')::uuid and m.state = 'destroyed'
    on conflict (machine_id) do nothing;
  get diagnostics v_count = row_count;
  update public.machines set billed_at = clock_timestamp() where id in (select (r ->> 'machine_id')::uuid from jsonb_array_elements(p_rows) r) and billed_at is null;
  return v_count;
end $$;
comment on function public.record_usage(jsonb) is 'Writes what machines used and cost, once each; answers how many were new.';

alter table public.machine_usage add column standby_cost_usd numeric not null default 0 check (standby_cost_usd >= 0);
comment on column public.machine_usage.standby_cost_usd is 'What its time as standby cost, US dollars; not contained in cost_usd.';
comment on column public.machine_usage.cost_usd is 'What its running cost, US dollars, at the list price of its region and size.';

create function app.session_usage(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select case when count(*) > 0 then jsonb_build_object('machines', count(*), 'started_seconds', sum(u.started_seconds),
    'standby_seconds', sum(u.standby_seconds), 'cost_usd', sum(u.cost_usd), 'standby_cost_usd', sum(u.standby_cost_usd)) end
  from public.machine_usage u where u.session_id = p_session_id
$$;
comment on function app.session_usage(uuid) is 'What the machines of a session used and cost; null until the first of them is gone.';

create function public.tenant_usage(p_tenant_id uuid, p_from timestamptz, p_until timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
  with u as (select * from public.machine_usage where tenant_id = p_tenant_id and recorded_at >= p_from and recorded_at < p_until)
  select jsonb_build_object('machines', count(*), 'sessions', count(distinct session_id), 'started_seconds', coalesce(sum(started_seconds), 0),
    'standby_seconds', coalesce(sum(standby_seconds), 0), 'cost_usd', coalesce(sum(cost_usd), 0), 'standby_cost_usd', coalesce(sum(standby_cost_usd), 0),
    'unused_standby_cost_usd', coalesce(sum(standby_cost_usd) filter (where session_id is null), 0),
    'regions', (select coalesce(jsonb_agg(jsonb_build_object('region', x.region, 'size', x.size, 'machines', x.machines, 'started_seconds', x.started_seconds,
      'standby_seconds', x.standby_seconds, 'cost_usd', x.cost_usd, 'standby_cost_usd', x.standby_cost_usd) order by x.region, x.size), '[]')
      from (select region, size, count(*) as machines, sum(started_seconds) as started_seconds, sum(standby_seconds) as standby_seconds,
        sum(cost_usd) as cost_usd, sum(standby_cost_usd) as standby_cost_usd from u group by 1, 2) x))
  from u
$$;
comment on function public.tenant_usage(uuid, timestamptz, timestamptz) is 'What a tenant''s machines that went in this time used and cost, in all and by region and size; standby apart.';

-- ── who may ────────────────────────────────────────────────────────────────────────────────────────────────────────
grant execute on function
  public.reschedule_session(uuid, uuid, timestamptz, bigint), public.start_scheduled(jsonb, integer, integer, integer),
  public.admit_queued(jsonb, integer), public.begin_on_join(uuid, text[], text, jsonb),
  public.take_starts(uuid, integer, integer, integer), public.record_starts(uuid[]), public.record_machine_started(uuid),
  public.record_start_failed(uuid, jsonb, integer), public.announce_image(uuid, text), public.pool_facts(bigint), public.pool_demand(bigint),
  public.apply_pool_plan(jsonb, text, uuid, integer), public.pool_of_tenant(uuid), public.remove_pool_policy(uuid, text, jsonb),
  public.draw_list_slots(text[], boolean, integer), public.slow_app(text, text, integer), public.machines_to_bill(integer),
  public.record_usage(jsonb), public.tenant_usage(uuid, timestamptz, timestamptz)
to orchestrator;
