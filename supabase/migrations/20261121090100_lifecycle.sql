-- The lifecycle: every contended write is a function here, one call = one transaction.
--
-- F1  app.move_session is the only writer of a status, after app.create_for_tenant has given the first. 0 rows moved is an
--     ordinary answer.
-- F2  Locks are taken in one order: sessions by id, then their machines, then tenant_counters. A creation takes the counter
--     first and may: it then locks only rows that nobody else knows yet.
-- F3  A change of epoch takes the session FOR UPDATE, a transcript write takes it FOR SHARE and checks the epoch:
--     no stale write can slip between.
-- F4  All times are the database's clock; callers pass durations, never timestamps.
-- F5  An event is appended in the transaction that makes it true, and in commit order per session.
--
-- Each function has one definition, where it belongs: some bodies name tables and functions of later migrations.
set check_function_bodies = off;

create function app.claims() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb)
$$;
comment on function app.claims() is 'The claims of the request''s token. Custom roles have no access to schema auth on hosted projects.';

create function app.interval_ms(p_ms double precision) returns interval
language sql immutable parallel safe return make_interval(secs => p_ms / 1000.0);
comment on function app.interval_ms(double precision) is 'Milliseconds as an interval.';

create function app.touch() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.touch() is 'Keeps updated_at.';
create trigger touch before update on public.tenants for each row execute function app.touch();
create trigger touch before update on public.tenant_apps for each row execute function app.touch();
create trigger touch before update on public.tenant_candidates for each row execute function app.touch();
create trigger touch before update on public.positions for each row execute function app.touch();
create trigger touch before update on public.interview_sessions for each row execute function app.touch();
create trigger touch before update on public.transcript_entries for each row execute function app.touch();
create trigger touch before update on public.interview_results for each row execute function app.touch();

create function app.guard_session() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A generated column is not computed yet in a BEFORE trigger, hence rank_of.
  if app.rank_of(new.status) < app.rank_of(old.status) or (app.rank_of(old.status) >= 90 and new.status <> old.status) then
    raise exception 'a session only goes forward: % → %', old.status, new.status using errcode = 'GR001';
  end if;
  if old.outcome is not null and (new.outcome, new.reason) is distinct from (old.outcome, old.reason) then
    raise exception 'an ending is decided once: %/% → %/%', old.outcome, old.reason, new.outcome, new.reason using errcode = 'GR002';
  end if;
  if new.epoch < old.epoch then
    raise exception 'an epoch only grows: % → %', old.epoch, new.epoch using errcode = 'GR003';
  end if;
  return new;
end $$;
comment on function app.guard_session() is 'T3: holds whoever writes, also a person with a SQL prompt.';
create trigger guard before update on public.interview_sessions for each row execute function app.guard_session();

create function app.guard_machine() returns trigger language plpgsql set search_path = '' as $$
begin
  if old.session_id is not null and new.session_id is distinct from old.session_id then
    raise exception 'a machine serves at most one session' using errcode = 'GR004';
  end if;
  -- O5: the only way back, and it takes a new boot and a higher epoch.
  if old.state = 'draining' and old.reason = 'handed_over' and new.state = 'claimed' and new.epoch > old.epoch
     and new.boot_nonce is distinct from old.boot_nonce then
    return new;
  end if;
  if array_position(array['reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed'], new.state)
     < array_position(array['reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed'], old.state) then
    raise exception 'a machine only goes forward: % → %', old.state, new.state using errcode = 'GR005';
  end if;
  return new;
end $$;
comment on function app.guard_machine() is 'T4, and machines only go forward; one that handed over may be claimed again by its next boot.';
create trigger guard before update on public.machines for each row execute function app.guard_machine();

create function app.emit(p_session_id uuid, p_tenant_id uuid, p_type text, p_data jsonb default '{}'::jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  -- F5: identity order is not commit order; a reader with a cursor would skip a slower transaction's event.
  perform pg_advisory_xact_lock(hashtextextended(p_session_id::text, 0));
  insert into public.session_events (session_id, tenant_id, type, data) values (p_session_id, p_tenant_id, p_type, p_data);
end $$;
comment on function app.emit(uuid, uuid, text, jsonb) is 'Appends an event of a session (F5).';

create function app.move_session(p_session_id uuid, p_status text, p_outcome text default null, p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or app.rank_of(p_status) <= s.state_rank then
    return false;
  end if;
  update public.interview_sessions set
    status = p_status,
    outcome = coalesce(outcome, p_outcome),
    reason = coalesce(reason, p_reason),
    ready_at = case when p_status = 'ready' then coalesce(ready_at, clock_timestamp()) else ready_at end,
    started_at = case when p_status = 'in_progress' then coalesce(started_at, clock_timestamp()) else started_at end,
    completed_at = case when app.rank_of(p_status) >= 90 then coalesce(completed_at, clock_timestamp()) else completed_at end,
    presence = case when app.rank_of(p_status) >= 90 then 'absent' else presence end,
    counted = counted and app.rank_of(p_status) < 90,
    queue_deadline_at = case when app.rank_of(p_status) >= 90 then null else queue_deadline_at end
  where id = p_session_id;
  if s.counted and app.rank_of(p_status) >= 90 then
    update public.tenant_counters set live_sessions = live_sessions - 1 where tenant_id = s.tenant_id; -- Q3
  end if;
  perform app.emit(s.id, s.tenant_id, 'session.' || p_status, jsonb_strip_nulls(jsonb_build_object(
    'from', s.status, 'to', p_status, 'outcome', coalesce(s.outcome, p_outcome), 'reason', coalesce(s.reason, p_reason))));
  return true;
end $$;
comment on function app.move_session(uuid, text, text, text) is
  'Moves a session forward and appends the event; false when it is already there or past (F1). An ending already decided is kept.';

create function app.end_session(p_session_id uuid, p_outcome text, p_reason text) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return false; end if;
  return app.move_session(p_session_id, coalesce(s.outcome, p_outcome), p_outcome, p_reason);
end $$;
comment on function app.end_session(uuid, text, text) is 'Ends a session with the ending already decided, else with this one.';

create function app.move_machine(p_machine_id uuid, p_state text, p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  ranks constant text[] := array['reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed'];
begin
  select * into m from public.machines where id = p_machine_id for update;
  if not found or array_position(ranks, p_state) <= array_position(ranks, m.state) then
    return false;
  end if;
  update public.machines set
    state = p_state,
    reason = coalesce(reason, p_reason),
    created_at = case when p_state = 'created' then coalesce(created_at, clock_timestamp()) else created_at end,
    started_at = case when p_state = 'started' then coalesce(started_at, clock_timestamp()) else started_at end,
    claimed_at = case when p_state = 'claimed' then coalesce(claimed_at, clock_timestamp()) else claimed_at end,
    draining_at = case when p_state = 'draining' then coalesce(draining_at, clock_timestamp()) else draining_at end,
    destroying_at = case when p_state = 'destroying' then coalesce(destroying_at, clock_timestamp()) else destroying_at end,
    destroyed_at = case when p_state = 'destroyed' then coalesce(destroyed_at, clock_timestamp()) else destroyed_at end,
    taken_by = null, taken_until = null
  where id = p_machine_id;
  if m.session_id is not null then
    perform app.emit(m.session_id, m.tenant_id, 'machine.' || p_state, jsonb_strip_nulls(jsonb_build_object(
      'machine_id', m.id, 'fly_machine_id', m.fly_machine_id, 'region', m.region, 'attempt', m.attempt, 'reason', coalesce(m.reason, p_reason))));
  end if;
  return true;
end $$;
comment on function app.move_machine(uuid, text, text) is 'Moves a machine forward, stamps the phase and appends the event; false when it is already there or past.';

create function app.draw_create_slot(p_tenant_id uuid, out app_name text, out not_before timestamptz)
language plpgsql set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz := clock_timestamp();
  v_step interval;
  v_tat timestamptz;
  v_at timestamptz;
begin
  select * into a from public.tenant_apps t where t.tenant_id = p_tenant_id and t.status = 'ready'
    order by t.next_create_at, t.name limit 1 for update;
  if not found then return; end if;
  v_step := app.interval_ms(1000 / a.creates_per_second);
  v_tat := greatest(a.next_create_at, v_now);
  update public.tenant_apps set next_create_at = v_tat + v_step where name = a.name;
  app_name := a.name;
  -- GCRA: a request conforms while it is at most (burst − 1) steps ahead of its theoretical time.
  v_at := v_tat - v_step * (a.create_burst - 1);
  -- Who has to wait waits a little longer: requests are not under way equally long, and one that overtakes the one before it
  -- by a millisecond would be refused.
  not_before := case when v_at > v_now then v_at + v_step / 4 else v_now end;
end $$;
comment on function app.draw_create_slot(uuid) is
  'Draws the next create slot of the tenant''s least busy app, so that all orchestrators together honour Fly''s limit. Null when it has no app.';

create function app.session_json(p_session_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s public.interview_sessions;
  p record;
  c record;
begin
  -- Three rows by key, and no join: a join is planned once for all callers, and was planned while the tables were small.
  select * into s from public.interview_sessions where id = p_session_id;
  if not found then return null; end if;
  select id, title, description into p from public.positions where id = s.position_id;
  select candidate_id, name, email, external_id into c from public.tenant_candidates
    where tenant_id = s.tenant_id and candidate_id = s.candidate_id;
  return jsonb_build_object(
    'session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'presence', s.presence, 'region', s.region, 'region_reason', s.region_reason, 'fly_machine_id', s.fly_machine_id,
    'epoch', s.epoch, 'simulated', s.simulated, 'metadata', s.metadata, 'settings', s.settings,
    'max_duration_ms', s.max_duration_ms, 'end_requested_at', s.end_requested_at, 'transcript_revision', s.transcript_revision,
    'transcript_complete', s.transcript_complete, 'video_recording_url', s.video_recording_url,
    'placement', s.placement, 'admission', s.admission, 'scheduled_at', s.scheduled_at,
    'queue', case when s.queue_deadline_at is not null then app.queue_json(s) end,
    'created_at', s.created_at, 'expires_at', s.expires_at, 'ready_at', s.ready_at, 'started_at', s.started_at, 'completed_at', s.completed_at,
    'interview_context', jsonb_build_object(
      'position', jsonb_build_object('id', p.id, 'title', p.title, 'description', p.description),
      'candidate', jsonb_build_object('id', c.candidate_id, 'name', c.name, 'email', c.email, 'external_id', c.external_id)));
end $$;
comment on function app.session_json(uuid) is 'A session as the platform API shows it, without tokens and URLs.';

-- ── credentials ────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.authenticate_api_keys(p_hashes text[])
returns table (key_hash text, key_id uuid, tenant_id uuid, scopes text[], tenant_status text, allowed_regions text[])
language sql stable security definer set search_path = '' as $$
  select k.key_hash, k.id, k.tenant_id, k.scopes, t.status, t.allowed_regions
  from public.api_keys k join public.tenants t on t.id = k.tenant_id
  where k.key_hash = any (p_hashes) and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function public.authenticate_api_keys(text[]) is 'The valid keys among these hashes, with tenant, scopes and the regions the tenant may use. Takes many at once.';

-- ── create ─────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.find_or_make_candidate(p_tenant_id uuid, p jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_id uuid;
begin
  select candidate_id into v_id from public.tenant_candidates
    where tenant_id = p_tenant_id and (lower(email) = lower(p ->> 'email') or external_id = p ->> 'external_id') limit 1;
  if v_id is not null then return v_id; end if;
  insert into public.candidates default values returning id into v_id;
  insert into public.tenant_candidates (tenant_id, candidate_id, name, email, external_id)
    values (p_tenant_id, v_id, p ->> 'name', p ->> 'email', p ->> 'external_id') on conflict do nothing;
  if not found then
    -- Somebody else made the same person at the same moment: theirs is the one.
    delete from public.candidates where id = v_id;
    select candidate_id into v_id from public.tenant_candidates
      where tenant_id = p_tenant_id and (lower(email) = lower(p ->> 'email') or external_id = p ->> 'external_id') limit 1;
  end if;
  return v_id;
end $$;
comment on function app.find_or_make_candidate(uuid, jsonb) is 'The tenant''s candidate with this e-mail or external id, made when unknown.';

create function app.intent_json(p_machine_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  m public.machines;
  v_regions text[];
  v_allowed text[];
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return null; end if;
  select regions into v_regions from public.interview_sessions where id = m.session_id;
  select allowed_regions into v_allowed from public.tenants where id = m.tenant_id;
  return jsonb_build_object('machine_id', m.id, 'name', m.name, 'tenant_id', m.tenant_id, 'session_id', m.session_id, 'app_name', m.app_name,
    'region', m.region, 'image', m.image, 'attempt', m.attempt, 'fly_machine_id', m.fly_machine_id,
    'action', case when m.assigned_at is null then 'create' else 'start' end,
    'late', m.start_requested_at is not null,
    'regions', coalesce(v_regions, '{}'), 'allowed_regions', v_allowed,
    'tried_regions', case when m.attempt = 1 then jsonb_build_array(m.region)
      else (select coalesce(jsonb_agg(distinct o.region), jsonb_build_array(m.region)) from public.machines o where o.session_id = m.session_id) end,
    'hard_deadline_at', m.hard_deadline_at,
    'wait_ms', greatest(0, ceil(extract(epoch from m.not_before - clock_timestamp()) * 1000)));
end $$;
comment on function app.intent_json(uuid) is
  'A machine to be created, or an assigned standby machine to be started (action); how long to wait for its slot, and what the choice of the next region needs.';

create function public.create_sessions(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
  v_places bigint[];
  v_requests jsonb;
  v_answers jsonb;
  v_results jsonb := '{}';
begin
  -- F2 for a whole batch: counters in one order, or two batches could wait for each other.
  for v_tenant, v_places, v_requests in select (x ->> 'tenant_id')::uuid as id, array_agg(n order by n), jsonb_agg(x order by n)
      from jsonb_array_elements(p_requests) with ordinality as e (x, n) group by 1 order by id loop
    v_answers := app.create_for_tenant(v_tenant, v_requests);
    v_results := v_results || (select jsonb_object_agg(v_places[k::integer], v) from jsonb_each(v_answers) as a (k, v));
  end loop;
  return (select jsonb_agg(v order by k::bigint) from jsonb_each(v_results) as a (k, v));
end $$;
comment on function public.create_sessions(jsonb) is
  'Creates sessions: an array of requests in, an array of results out, in order. kind: created (intent unless it waits; ahead when scheduled), replayed, idempotency_mismatch, quota_exceeded, queue_full, rate_limited (retry_after_ms), duration_exceeded, candidate_not_found, position_not_found, no_app, no_capacity, tenant_inactive.';

create function public.get_session(p_session_id uuid, p_tenant_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.session_json(s.id) || jsonb_build_object('usage', app.session_usage(s.id)) from public.interview_sessions s
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_session(uuid, uuid) is 'A session, of this tenant when one is given; null when there is none.';

create function public.list_sessions(p_tenant_id uuid, p_limit integer, p_status text default null, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.session_json(x.id) order by x.created_at desc, x.id desc), '[]') from (
    select s.id, s.created_at from public.interview_sessions s
    where s.tenant_id = p_tenant_id and (p_status is null or s.status = p_status)
      and (p_before is null or (s.created_at, s.id) < (p_before, p_before_id))
    order by s.created_at desc, s.id desc limit p_limit) x
$$;
comment on function public.list_sessions(uuid, integer, text, timestamptz, uuid) is
  'Sessions of a tenant, newest first, after the one with this time and id when given.';

create function public.session_routes(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status, 'state_rank', s.state_rank,
    'epoch', s.epoch, 'machine_id', m.id, 'machine_state', m.state, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id)), '[]')
  from public.interview_sessions s left join public.machines m on m.id = s.machine_id
  where s.id = any (p_session_ids)
$$;
comment on function public.session_routes(uuid[]) is 'Where these sessions are served now, if anywhere: what the edge answers by. Takes many at once.';

create function public.session_events_after(p_cursors jsonb, p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'session_id', e.session_id, 'type', e.type, 'data', e.data, 'created_at', e.created_at)
    order by e.id), '[]')
  from jsonb_array_elements(p_cursors) c
  cross join lateral (select * from public.session_events x
    where x.session_id = (c ->> 'session_id')::uuid and x.id > (c ->> 'after')::bigint order by x.id limit p_limit) e
$$;
comment on function public.session_events_after(jsonb, integer) is 'Events of several sessions, each after its own cursor; at most p_limit of each.';

-- ── intents ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.take_intents(p_orchestrator_id uuid, p_taken_ms integer, p_limit integer default 20) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select id from public.machines
    where state = 'reserved' and not_before <= clock_timestamp() and (taken_until is null or taken_until <= clock_timestamp())
    order by not_before limit p_limit for update skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id, taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_intents(uuid, integer, integer) is 'Takes due intents that nobody is executing, or whose taker''s time has passed.';

create function public.keep_intent(p_machine_id uuid, p_orchestrator_id uuid, p_taken_ms integer) returns boolean
language sql volatile security definer set search_path = '' as $$
  with kept as (
    update public.machines set taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    where id = p_machine_id and state = 'reserved' and taken_by = p_orchestrator_id and taken_until > clock_timestamp() returning 1)
  select exists (select from kept)
$$;
comment on function public.keep_intent(uuid, uuid, integer) is 'Compare-and-set just before the call to Fly: false means another has taken it or it is no longer wanted.';

create function public.record_machine_created(p_machine_id uuid, p_fly_machine_id text, p_region text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return 'unknown'; end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  update public.machines set fly_machine_id = coalesce(fly_machine_id, p_fly_machine_id), region = p_region where id = p_machine_id;
  perform app.move_machine(p_machine_id, 'created');
  select * into m from public.machines where id = p_machine_id;
  return m.state;
end $$;
comment on function public.record_machine_created(uuid, text, text) is 'Fly has the machine. Answers its state: destroying means it is not wanted any more.';

create function public.record_create_failed(p_machine_id uuid, p_reason text, p_next_machine_id uuid default null, p_next_region text default null,
  p_orchestrator_id uuid default null, p_taken_ms integer default 0) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_slot record;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if not app.move_machine(p_machine_id, 'destroyed', 'create_failed') then return jsonb_build_object('kind', 'stale'); end if;
  if s.id is null or s.state_rank >= 70 or s.end_requested_at is not null then
    if s.id is not null then perform app.settle_session(s.id, p_reason, '{}'); end if;
    return jsonb_build_object('kind', 'session_over');
  end if;
  -- Without a next attempt no slot is drawn: it would delay somebody else's.
  select d.app_name, d.not_before into v_slot from app.draw_create_slot(m.tenant_id) d where p_next_machine_id is not null;
  if v_slot.app_name is null then
    -- Beside a hedge, or the machine it hedges, nothing is lost yet.
    if exists (select from public.machines o where o.session_id = s.id and o.state_rank < 50) then
      return jsonb_build_object('kind', 'stale');
    end if;
    perform app.end_session(s.id, 'failed', p_reason);
    return jsonb_build_object('kind', 'ended');
  end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by, taken_until, hard_deadline_at)
    values (p_next_machine_id, m.tenant_id, s.id, v_slot.app_name, p_next_region, m.image, m.attempt + 1, v_slot.not_before, p_orchestrator_id,
      v_slot.not_before + app.interval_ms(p_taken_ms), m.hard_deadline_at);
  if s.machine_id is null then update public.interview_sessions set region = p_next_region, region_reason = 'capacity' where id = s.id; end if;
  perform app.emit(s.id, s.tenant_id, 'machine.reserved', jsonb_build_object('machine_id', p_next_machine_id, 'region', p_next_region,
    'attempt', m.attempt + 1, 'because', p_reason));
  return jsonb_build_object('kind', 'next', 'intent', app.intent_json(p_next_machine_id));
end $$;
comment on function public.record_create_failed(uuid, text, uuid, text, uuid, integer) is
  'Fly surely did not make this machine. Reserves the next attempt when one is given, taken by this orchestrator; else, when no other attempt is under way, ends the session with the reason.';

-- ── claim, heartbeat, finish ───────────────────────────────────────────────────────────────────────────────────────
create function app.directive_of(s public.interview_sessions, m public.machines) returns jsonb
language sql stable set search_path = '' as $$
  select case
    when s.machine_id is distinct from m.id or s.epoch is distinct from m.epoch then jsonb_build_object('kind', 'fenced')
    when s.state_rank >= 90 or s.end_requested_at is not null then
      jsonb_build_object('kind', 'end', 'outcome', s.outcome, 'reason', s.reason)
    else jsonb_build_object('kind', 'continue') end
$$;
comment on function app.directive_of(public.interview_sessions, public.machines) is 'What a worker is asked to do: continue, end, or exit because it is fenced.';

create function app.next_ordinal(p_session_id uuid) returns integer
language sql stable security definer set search_path = '' as $$
  select coalesce((select case when c.call_id is null and c.hung_up_at is null then c.ordinal else c.ordinal + 1 end
    from public.realtime_calls c where c.session_id = p_session_id order by c.ordinal desc limit 1), 1)
$$;
comment on function app.next_ordinal(uuid) is
  'The ordinal of a session''s next call: the last one''s again when its id was never learnt.';

create function public.claim_session(p_machine_name text, p_app_name text, p_fly_machine_id text, p_boot_nonce text, p_lease_ms integer, p_life_ms integer,
  p_image_digest text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_refusal jsonb;
  v_losers jsonb := '[]';
begin
  select * into m from public.machines where name = p_machine_name and app_name = p_app_name;
  if not found then return jsonb_build_object('kind', 'refused', 'why', 'unknown machine'); end if;
  if p_image_digest is not null and m.image like '%@%' and split_part(m.image, '@', 2) <> p_image_digest then
    return jsonb_build_object('kind', 'refused', 'why', 'another image');
  end if;
  if m.session_id is null then return jsonb_build_object('kind', 'refused', 'why', 'not assigned'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = m.id for update;
  v_refusal := app.claim_refusal(s, m, p_fly_machine_id, p_boot_nonce);
  if v_refusal is not null then
    -- A loser is on its way out from here on; the worker exits by itself.
    if v_refusal ->> 'retry' is null then perform app.move_machine(m.id, 'draining', 'superseded') where m.state_rank < 40; end if;
    return v_refusal;
  end if;
  if m.boot_nonce is distinct from p_boot_nonce then
    -- F3: the epoch changes under FOR UPDATE of the session.
    update public.interview_sessions set epoch = epoch + 1, machine_id = m.id, fly_machine_id = p_fly_machine_id, region = m.region
      where id = s.id returning * into s;
    update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce, epoch = s.epoch,
      state = case state when 'draining' then 'claimed' else state end, reason = null,
      last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
      draining_at = null, first_absent_at = null, host_bad_since = null, unreachable_since = null,
      hard_deadline_at = coalesce(s.started_at, clock_timestamp()) + app.interval_ms(p_life_ms + s.max_duration_ms)
      where id = m.id;
    if not app.move_machine(m.id, 'claimed') then
      perform app.emit(s.id, s.tenant_id, 'machine.claimed', jsonb_build_object('machine_id', m.id, 'fly_machine_id', p_fly_machine_id,
        'region', m.region, 'attempt', m.attempt, 'epoch', s.epoch));
    end if;
    perform app.move_session(s.id, 'ready');
    with losers as (
      select o.id, app.move_machine(o.id, 'destroying', 'superseded') from public.machines o
      where o.session_id = s.id and o.id <> m.id and o.state_rank < 40)
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', o.id, 'app_name', o.app_name, 'fly_machine_id', o.fly_machine_id)), '[]')
      into v_losers from losers l join public.machines o on o.id = l.id;
    select * into m from public.machines where id = m.id;
    select * into s from public.interview_sessions where id = s.id;
  end if;
  return jsonb_build_object('kind', 'claimed', 'machine_id', m.id, 'session', app.session_json(s.id),
    'allowed_origins', (select to_jsonb(t.allowed_origins) from public.tenants t where t.id = s.tenant_id),
    'open_call', (select jsonb_build_object('ordinal', c.ordinal, 'call_id', c.call_id, 'credential_ciphertext', c.credential_ciphertext)
      from public.realtime_calls c where c.session_id = s.id and c.hung_up_at is null order by c.ordinal desc limit 1),
    'next_ordinal', app.next_ordinal(s.id),
    'losers', v_losers,
    'directive', app.directive_of(s, m));
end $$;
comment on function public.claim_session(text, text, text, text, integer, integer, text) is
  'A booted worker takes its session at the next epoch. The same nonce again gets the same answer; everything else is refused with why, and retry when it may be granted in a moment. losers: attempts that came too late, already committed to be destroyed.';

create function public.record_heartbeats(p_beats jsonb, p_lease_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- Sessions before machines (F2), both in one order, so that two batches cannot wait for each other.
  perform 1 from public.interview_sessions s
    where s.machine_id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b)
      and exists (select from jsonb_array_elements(p_beats) b where (b ->> 'machine_id')::uuid = s.machine_id and b ->> 'presence' <> s.presence)
    order by s.id for update;
  with beats as (
    select distinct on ((b ->> 'machine_id')::uuid, b ->> 'epoch') (b ->> 'machine_id')::uuid as machine_id, (b ->> 'epoch')::integer as epoch,
      b ->> 'presence' as presence
    from jsonb_array_elements(p_beats) b
  )
  update public.interview_sessions s set presence = b.presence from beats b
    where s.machine_id = b.machine_id and s.epoch = b.epoch and s.presence <> b.presence and s.state_rank < 90;
  perform 1 from public.machines m where m.id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b) order by m.id for update;
  update public.machines m set last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
      rss_bytes = (b ->> 'rss_bytes')::bigint, unsaved_entries = (b ->> 'unsaved_entries')::integer, first_absent_at = null
    from jsonb_array_elements(p_beats) b where m.id = (b ->> 'machine_id')::uuid and m.epoch = (b ->> 'epoch')::integer and m.state_rank < 70;
  return (select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'epoch', (b ->> 'epoch')::integer,
      'directive', case when m.epoch = (b ->> 'epoch')::integer then app.directive_of(s, m) else '{"kind": "fenced"}' end)), '[]')
    from jsonb_array_elements(p_beats) b join public.machines m on m.id = (b ->> 'machine_id')::uuid
    join public.interview_sessions s on s.id = m.session_id);
end $$;
comment on function public.record_heartbeats(jsonb, integer) is
  'Renews leases in one batch; answers the directive of each machine and epoch. An earlier boot of a machine that serves on is fenced (O5).';

create function public.open_call(p_machine_id uuid, p_epoch integer, p_ordinal integer, p_provider text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  m public.machines;
  c public.realtime_calls;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if s.id is null or s.machine_id is distinct from p_machine_id or s.epoch <> p_epoch then return jsonb_build_object('kind', 'fenced'); end if;
  if s.state_rank >= 70 or s.end_requested_at is not null then return jsonb_build_object('kind', 'session_over'); end if;
  select * into c from public.realtime_calls where session_id = s.id order by ordinal desc limit 1;
  if p_ordinal <> coalesce(c.ordinal, 0) + 1 and not (p_ordinal = c.ordinal and c.call_id is null and c.hung_up_at is null) then
    return jsonb_build_object('kind', 'wrong_ordinal', 'next', app.next_ordinal(s.id));
  end if;
  insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider) values (s.id, s.tenant_id, p_ordinal, p_epoch, p_provider)
    on conflict (session_id, ordinal) do update set epoch = excluded.epoch;
  return jsonb_build_object('kind', 'opened', 'session', app.session_json(s.id));
end $$;
comment on function public.open_call(uuid, integer, integer, text) is 'Opens the row of a session''s next call, or again the last one when it never got a call id.';

create function public.record_call(p_machine_id uuid, p_epoch integer, p_ordinal integer, p_credential_ciphertext text default null,
  p_credential_ms integer default null, p_call_id text default null, p_hung_up boolean default false) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_session uuid;
begin
  -- A fenced worker may still report the hang-up or the id of a call it made: that only ever lowers the debt.
  select session_id into v_session from public.machines where id = p_machine_id and epoch = p_epoch;
  update public.realtime_calls set
    credential_ciphertext = case when p_hung_up then null else coalesce(p_credential_ciphertext, credential_ciphertext) end,
    credential_expires_at = coalesce(clock_timestamp() + app.interval_ms(p_credential_ms), credential_expires_at),
    call_id = coalesce(call_id, p_call_id),
    answered_at = case when p_call_id is not null then coalesce(answered_at, clock_timestamp()) else answered_at end,
    hung_up_at = case when p_hung_up then coalesce(hung_up_at, clock_timestamp()) else hung_up_at end
  where session_id = v_session and ordinal = p_ordinal and epoch <= p_epoch;
  return found;
end $$;
comment on function public.record_call(uuid, integer, integer, text, integer, text, boolean) is 'What became of a call: its credential, its id, its hang-up.';

create function public.finish_session(p_machine_id uuid, p_epoch integer, p_kind text, p_outcome text default null, p_reason text default null,
  p_transcript_complete boolean default null, p_next jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_where jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  v_where := jsonb_build_object('app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  if s.machine_id is distinct from m.id or s.epoch <> p_epoch then
    -- An earlier boot of a machine that serves on has nothing to say about it.
    if m.epoch is not distinct from p_epoch then perform app.move_machine(m.id, 'draining', 'superseded'); end if;
    return jsonb_build_object('kind', 'fenced') || v_where;
  end if;
  if p_kind = 'draining' then
    if app.move_machine(m.id, 'draining', 'handed_over') then
      return jsonb_build_object('kind', 'draining', 'next', app.settle_session(s.id, 'worker_lost', p_next) -> 'intent') || v_where;
    end if;
    return jsonb_build_object('kind', 'draining') || v_where;
  end if;
  update public.interview_sessions set transcript_complete = coalesce(p_transcript_complete, transcript_complete) where id = s.id;
  perform app.move_session(s.id, 'finalizing', p_outcome, p_reason);
  perform app.end_session(s.id, p_outcome, p_reason);
  perform app.move_machine(m.id, 'draining', 'session_ended');
  return jsonb_build_object('kind', 'ended') || v_where;
end $$;
comment on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb) is
  'A worker''s last word: ended (the session ends with the ending already decided, else with this one) or draining (the session goes on elsewhere: next is the attempt that was reserved for it).';

create function public.request_end(p_session_id uuid, p_tenant_id uuid, p_outcome text, p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'already', 'session', app.session_json(s.id)); end if;
  if s.machine_id is null or not exists (select from public.machines m where m.id = s.machine_id and m.state_rank < 50) then
    -- Nobody serves it just now: it ends here, and its machines are not wanted any more.
    perform app.end_session(s.id, p_outcome, p_reason);
    perform app.move_machine(id, case when fly_machine_id is null and state = 'reserved' and taken_until is null then 'destroyed' else 'destroying' end,
      'session_gone') from public.machines where session_id = s.id;
  else
    update public.interview_sessions set end_requested_at = clock_timestamp(), outcome = p_outcome, reason = p_reason where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'session.end_requested', jsonb_build_object('outcome', p_outcome, 'reason', p_reason));
  end if;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id), 'machines', (
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id, 'state', m.state)), '[]')
    from public.machines m where m.session_id = s.id and m.state <> 'destroyed'));
end $$;
comment on function public.request_end(uuid, uuid, text, text) is
  'Asks for the end of a session. One that nobody serves, or that is between two machines, ends at once; a served one gets the directive, which its worker carries out.';

create function public.record_machine_destroying(p_machine_id uuid, p_reason text, p_epoch integer default null, p_judged boolean default false,
  p_next jsonb default null, p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_next jsonb;
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty', 'state', null); end if;
  perform 1 from public.interview_sessions s join public.machines x on x.session_id = s.id where x.id = p_machine_id for update of s;
  select * into m from public.machines where id = p_machine_id for update;
  if not found then return jsonb_build_object('kind', 'unknown', 'state', null); end if;
  if p_judged and m.state_rank < 60 and m.epoch is distinct from p_epoch then return jsonb_build_object('kind', 'stale', 'state', m.state); end if;
  if app.move_machine(m.id, 'destroying', p_reason) and p_next is not null and m.session_id is not null then
    v_next := app.settle_session(m.session_id, null, p_next) -> 'intent';
  end if;
  return jsonb_build_object('kind', 'done', 'state', (select state from public.machines where id = p_machine_id), 'next', v_next);
end $$;
comment on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint) is
  'Committed before any DELETE is sent to Fly, on the lock that assignment takes. p_judged: only at the epoch it was judged at (O6). p_next: its session''s next attempt is reserved at once. kind: done, stale, off_duty, unknown.';

create function public.record_machine_gone(p_machine_id uuid, p_machine_reason text, p_session_reason text default null, p_next jsonb default '{}',
  p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_settled jsonb := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty'); end if;
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  perform app.move_machine(m.id, 'destroyed', p_machine_reason);
  if m.session_id is not null then v_settled := app.settle_session(m.session_id, p_session_reason, p_next); end if;
  return jsonb_build_object('kind', 'recorded', 'session_ended', coalesce(v_settled ->> 'kind' = 'ended', false), 'session_id', m.session_id,
    'next', v_settled -> 'intent');
end $$;
comment on function public.record_machine_gone(uuid, text, text, jsonb, text, bigint) is
  'Fly''s evidence: the machine is gone. A session that only it served gets its next attempt, or ends with the ending already decided, or with this reason when too many lives were lost.';

create function public.machines_alive(p_apps text[] default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  -- state_ms: a standby machine may have rested for hours; what it is judged by begins when it gets its session.
  select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'name', m.name, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'state', m.state, 'reason', m.reason, 'epoch', m.epoch, 'session_id', m.session_id, 'session_rank', s.state_rank, 'serves', s.machine_id = m.id,
    'session_over_ms', floor(extract(epoch from clock_timestamp() - s.completed_at) * 1000),
    'state_ms', floor(extract(epoch from clock_timestamp()
      - coalesce(m.destroying_at, m.draining_at, m.claimed_at, greatest(m.created_at, m.assigned_at), greatest(m.reserved_at, m.not_before))) * 1000),
    'asked_ms', floor(extract(epoch from clock_timestamp() - greatest(m.reserved_at, m.not_before, m.assigned_at)) * 1000),
    'last_heartbeat_at', m.last_heartbeat_at, 'hard_deadline_at', m.hard_deadline_at,
    'lease_lapsed', m.lease_expires_at < clock_timestamp(),
    'past_deadline', m.hard_deadline_at < clock_timestamp(),
    'host_bad_ms', floor(extract(epoch from clock_timestamp() - m.host_bad_since) * 1000),
    'absent_ms', floor(extract(epoch from clock_timestamp() - m.first_absent_at) * 1000))), '[]')
  from public.machines m left join public.interview_sessions s on s.id = m.session_id
  where m.state <> 'destroyed' and (p_apps is null or m.app_name = any (p_apps))
$$;
comment on function public.machines_alive(text[]) is 'Every machine, of these apps, that may exist at Fly, with what the reconciler and the reaper judge by.';

create function public.record_machine_absent(p_machine_id uuid) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set first_absent_at = coalesce(first_absent_at, clock_timestamp()) where id = p_machine_id
$$;
comment on function public.record_machine_absent(uuid) is 'A first GET said it is gone.';

create function public.calls_to_hang_up(p_limit integer default 20, p_retry_ms integer default 5000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select c.id from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
    left join public.machines m on m.id = s.machine_id
    where c.hung_up_at is null
      and (s.state_rank >= 90 and (m.id is null or m.state_rank >= 60 or c.epoch < m.epoch)
        -- Of a session that goes on, a call that a later one has replaced and that its own worker is not there to end.
        or c.epoch < s.epoch and exists (select from public.realtime_calls l where l.session_id = c.session_id and l.ordinal > c.ordinal and l.answered_at is not null))
      and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
    order by c.opened_at limit p_limit for update of c skip locked
  ), taken as (
    update public.realtime_calls c set hang_up_attempts = hang_up_attempts + 1,
      next_hang_up_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(hang_up_attempts, 8)))
    from due where c.id = due.id returning c.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'session_id', session_id, 'ordinal', ordinal, 'call_id', call_id,
    'credential_ciphertext', credential_ciphertext, 'attempts', hang_up_attempts, 'age_ms', floor(extract(epoch from clock_timestamp() - opened_at) * 1000))), '[]')
  from taken
$$;
comment on function public.calls_to_hang_up(integer, integer) is 'Calls whose worker is gone and that nobody took over: taken for one try, then again after a growing while.';

create function public.record_hang_up(p_call_row_id uuid) returns void
language sql volatile security definer set search_path = '' as $$
  update public.realtime_calls set hung_up_at = coalesce(hung_up_at, clock_timestamp()), credential_ciphertext = null where id = p_call_row_id
$$;
comment on function public.record_hang_up(uuid) is 'The debt is paid: the call is over at the provider.';

create function public.expire_sessions() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_ids uuid[] := '{}';
begin
  for s in select id, machine_id from public.interview_sessions where state_rank < 60 and expires_at < clock_timestamp()
    order by id for update skip locked loop
    if s.machine_id is null then
      perform public.request_end(s.id, null, 'expired', 'schedule_expired');
      v_ids := v_ids || s.id;
    end if;
  end loop;
  return to_jsonb(v_ids);
end $$;
comment on function public.expire_sessions() is 'Ends sessions that nobody used before they expired. A claimed one is ended by its worker''s own timer.';

create function public.register_orchestrator(p_id uuid, p_url text, p_version text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.orchestrators (id, url, version) values (p_id, p_url, p_version)
  on conflict (id) do update set last_seen_at = clock_timestamp(), url = excluded.url, version = excluded.version
$$;
comment on function public.register_orchestrator(uuid, text, text) is 'An orchestrator says that it is there.';

create function public.exchange_invitation(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
  s public.interview_sessions;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash and session_id = p_session_id for update;
  if not found or i.revoked_at is not null or i.expires_at < clock_timestamp() then return jsonb_build_object('kind', 'invalid'); end if;
  if i.browser_hash is not null and i.browser_hash <> p_browser_hash then return jsonb_build_object('kind', 'used'); end if;
  select * into s from public.interview_sessions where id = p_session_id;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'ended', 'session', app.session_json(s.id)); end if;
  update public.session_invitations set browser_hash = p_browser_hash, used_at = coalesce(used_at, clock_timestamp()) where id = i.id;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id));
end $$;
comment on function public.exchange_invitation(uuid, text, text) is
  'A browser shows an invitation code: accepted, used (by another browser), ended or invalid. The same browser may come again.';

create function public.record_audit(p_entry jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values ((p_entry ->> 'tenant_id')::uuid, p_entry ->> 'actor', p_entry ->> 'action', p_entry ->> 'target', p_entry ->> 'outcome',
    p_entry ->> 'remote_address', p_entry ->> 'request_id', coalesce(p_entry -> 'details', '{}'))
$$;
comment on function public.record_audit(jsonb) is 'Appends to the audit log.';

-- ── the worker's own functions: who it is comes from its token alone ───────────────────────────────────────────────
create function app.own_session(p_for_share boolean default false) returns public.interview_sessions
language plpgsql set search_path = '' as $$
declare
  c jsonb := app.claims();
  s public.interview_sessions;
begin
  if p_for_share then
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for share;
  else
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for update;
  end if;
  if s.id is null or s.machine_id is distinct from (c ->> 'machine_id')::uuid or s.epoch is distinct from (c ->> 'epoch')::integer then
    raise exception 'fenced' using errcode = 'PT409', hint = 'Another machine serves the session now.';
  end if;
  return s;
end $$;
comment on function app.own_session(boolean) is 'The session of the calling worker, locked (F3); raises PT409 when the worker is fenced.';

create function public.worker_report(p_status text default null, p_outcome text default null, p_reason text default null, p_presence text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
begin
  if p_status is not null and app.rank_of(p_status) not between 50 and 70 then
    raise exception 'a worker reports connecting, in_progress or finalizing' using errcode = '22023';
  end if;
  if p_presence is not null and s.presence <> p_presence and s.state_rank < 90 then
    update public.interview_sessions set presence = p_presence where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'candidate.' || p_presence, '{}');
  end if;
  if p_status is not null then perform app.move_session(s.id, p_status, p_outcome, p_reason); end if;
  select * into s from public.interview_sessions where id = s.id;
  return jsonb_build_object('status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'started_at', floor(extract(epoch from s.started_at) * 1000));
end $$;
comment on function public.worker_report(text, text, text, text) is
  'A worker says how its session goes: connecting, in_progress, finalizing (with the ending), and the candidate''s presence. Late reports change nothing.';

create function public.append_transcript(p_entries jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session(true);
begin
  return app.merge_transcript(s, p_entries);
end $$;
comment on function public.append_transcript(jsonb) is 'Stores entries of the calling worker''s session, idempotently; answers the item ids that are stored now.';

create function app.merge_transcript(s public.interview_sessions, p_entries jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_changed integer;
begin
  -- The sideband's text wins; a browser's copy never replaces a verified one.
  insert into public.transcript_entries as t (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker, text, confidence,
      start_ms, end_ms, interrupted, verified)
    select distinct on ((e ->> 'ordinal')::integer, e ->> 'item_id')
      s.id, s.tenant_id, (e ->> 'ordinal')::integer, e ->> 'item_id', e ->> 'previous_item_id', e ->> 'speaker', e ->> 'text',
      (e ->> 'confidence')::numeric, (e ->> 'start_ms')::bigint, (e ->> 'end_ms')::bigint, coalesce((e ->> 'interrupted')::boolean, false),
      (e ->> 'verified')::boolean
    from jsonb_array_elements(p_entries) with ordinality as x (e, n)
    order by (e ->> 'ordinal')::integer, e ->> 'item_id', (e ->> 'verified')::boolean desc, n desc
  on conflict (session_id, call_ordinal, item_id) do update set
    previous_item_id = coalesce(excluded.previous_item_id, t.previous_item_id), speaker = excluded.speaker, text = excluded.text,
    confidence = coalesce(excluded.confidence, t.confidence), start_ms = coalesce(excluded.start_ms, t.start_ms),
    end_ms = coalesce(excluded.end_ms, t.end_ms), interrupted = excluded.interrupted or t.interrupted, verified = excluded.verified
  where (excluded.verified or not t.verified)
    and (t.text, t.interrupted, t.verified, t.previous_item_id, t.confidence, t.start_ms, t.end_ms)
      is distinct from (excluded.text, excluded.interrupted or t.interrupted, excluded.verified, coalesce(excluded.previous_item_id, t.previous_item_id),
        coalesce(excluded.confidence, t.confidence), coalesce(excluded.start_ms, t.start_ms), coalesce(excluded.end_ms, t.end_ms));
  get diagnostics v_changed = row_count;
  if v_changed > 0 and s.state_rank >= 90 then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', v_changed));
  end if;
  return (select array_agg(distinct e ->> 'item_id') from jsonb_array_elements(p_entries) e);
end $$;
comment on function app.merge_transcript(public.interview_sessions, jsonb) is 'The idempotent merge of the two sources. Raises the revision when a session that has ended is changed.';

create function public.transcript_of(p_session_id uuid)
returns table (ordinal integer, item_id text, previous_item_id text, speaker text, text text, confidence numeric, start_ms bigint, end_ms bigint,
  interrupted boolean, verified boolean, sequence_number bigint)
language sql stable set search_path = '' as $$
  with recursive entries as (
    select * from public.transcript_entries where session_id = p_session_id
  ), walk as (
    -- A first item, or one whose predecessor said nothing that was stored: placed by its arrival.
    select e.*, array[e.arrival] as path from entries e
    where not exists (select from entries p where p.call_ordinal = e.call_ordinal and p.item_id = e.previous_item_id)
    union all
    select e.*, w.path || e.arrival from entries e join walk w on w.call_ordinal = e.call_ordinal and w.item_id = e.previous_item_id
    where not e.arrival = any (w.path)
  )
  select call_ordinal, item_id, previous_item_id, speaker, text, confidence, start_ms, end_ms, interrupted, verified,
    row_number() over (order by call_ordinal, path)
  from (select * from walk
    -- Items whose predecessors go round in a circle hang on no first item: placed by their arrival, never left out.
    union all select e.*, array[e.arrival] from entries e where not exists (select from walk w where w.arrival = e.arrival)) placed
  where text <> ''
$$;
comment on function public.transcript_of(uuid) is
  'The conversation in its order: calls by ordinal, items along previous_item_id. Reads with the caller''s rights. An item that said nothing holds its place and is not shown.';

create view public.interview_transcripts with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, s.status, s.transcript_revision as revision, s.transcript_complete as complete,
    (select string_agg(case t.speaker when 'ai' then 'Interviewer: ' else 'Candidate: ' end || t.text, E'\n\n' order by t.sequence_number)
     from public.transcript_of(s.id) t) as transcript,
    s.created_at, s.updated_at
  from public.interview_sessions s;
comment on view public.interview_transcripts is 'Each session''s transcript as one text, in the conversation''s order.';
