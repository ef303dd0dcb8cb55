create function app.intent_json(p_machine_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  m public.machines;
  v_regions text[];
  v_allowed text[];
  v_traceparent text;
  v_creation text;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return null; end if;
  select regions, traceparent, creation_traceparent into v_regions, v_traceparent, v_creation
    from public.interview_sessions where id = m.session_id;
  select allowed_regions into v_allowed from public.tenants where id = m.tenant_id;
  return jsonb_build_object('machine_id', m.id, 'name', m.name, 'tenant_id', m.tenant_id, 'session_id', m.session_id,
    'app_name', m.app_name,
    'region', m.region, 'image', m.image, 'attempt', m.attempt, 'fly_machine_id', m.fly_machine_id,
    'action', case when m.hot and m.session_id is not null then 'wake' when m.assigned_at is null then 'create'
      else 'start' end,
    'hot', m.hot,
    'late', m.start_requested_at is not null,
    'regions', coalesce(v_regions, '{}'), 'allowed_regions', v_allowed,
    'tried_regions', case when m.attempt = 1 then jsonb_build_array(m.region)
      else (select coalesce(jsonb_agg(distinct o.region), jsonb_build_array(m.region)) from public.machines o
        where o.session_id = m.session_id) end,
    'hard_deadline_at', m.hard_deadline_at, 'traceparent', v_traceparent, 'creation_traceparent', v_creation,
    'wait_ms', greatest(0, ceil(extract(epoch from m.not_before - clock_timestamp()) * 1000)));
end $$;
comment on function app.intent_json(uuid) is
  'Returns an intent: a machine to create, an assigned standby machine to start, or an assigned hot machine whose '
  'worker must be told (action: create, start, wake), with the wait for its slot and the data for choosing the next '
  'region.';

create function public.take_intents(p_orchestrator_id uuid, p_taken_ms integer, p_limit integer default 20)
  returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select id, row_number() over (partition by tenant_id order by not_before) as place from public.machines
    where state = 'reserved' and not_before <= clock_timestamp()
      and (taken_until is null or taken_until <= clock_timestamp())
  ), due as (
    select m.id from public.machines m join waiting w on w.id = m.id
    where m.state = 'reserved' and (m.taken_until is null or m.taken_until <= clock_timestamp())
    -- Tenants take turns, so that one whose creates do not return cannot fill every batch.
    order by w.place, m.not_before limit p_limit for update of m skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_intents(uuid, integer, integer) is
  'Takes due intents that no orchestrator is executing, or whose orchestrator has not finished in time; called by '
  'the provisioner.';
grant execute on function public.take_intents(uuid, integer, integer) to orchestrator;

create function public.keep_intent(p_machine_id uuid, p_orchestrator_id uuid, p_taken_ms integer) returns boolean
language sql volatile security definer set search_path = '' as $$
  with kept as (
    update public.machines set taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    where id = p_machine_id and (state = 'reserved' or state = 'created' and assigned_at is not null)
      and taken_by = p_orchestrator_id and taken_until > clock_timestamp() returning 1)
  select exists (select from kept)
$$;
comment on function public.keep_intent(uuid, uuid, integer) is
  'Extends the hold on a taken intent; called right before a request to Fly or a wait. Returns false if another '
  'orchestrator has taken it or it is no longer wanted.';
grant execute on function public.keep_intent(uuid, uuid, integer) to orchestrator;

create function public.record_machine_created(p_machine_id uuid, p_fly_machine_id text, p_region text,
  p_fly_request_id text default null, p_asked_ms double precision default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return 'unknown'; end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  update public.machines set fly_machine_id = coalesce(fly_machine_id, p_fly_machine_id), region = p_region
    where id = p_machine_id;
  perform app.move_machine(p_machine_id, 'created');
  perform app.record_fly_answer(p_machine_id, p_fly_request_id, p_asked_ms);
  select * into m from public.machines where id = p_machine_id;
  return m.state;
end $$;
comment on function public.record_machine_created(uuid, text, text, text, double precision) is
  'Records that Fly has created a machine; called by the provisioner. p_asked_ms: how long ago the request to Fly '
  'began. Returns the machine''s state; destroying means that it is no longer wanted.';
grant execute on function public.record_machine_created(uuid, text, text, text, double precision) to orchestrator;

create function public.record_create_failed(p_machine_id uuid, p_reason text, p_launch jsonb default '{}',
  p_evidence text default null, p_fly_request_id text default null, p_asked_ms double precision default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_intent jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if not app.move_machine(p_machine_id, 'destroyed', 'create_failed') then
    return jsonb_build_object('kind', 'stale');
  end if;
  perform app.keep_evidence(p_machine_id, p_evidence);
  perform app.record_fly_answer(p_machine_id, p_fly_request_id, p_asked_ms);
  if s.id is null or s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    if s.id is not null then perform app.settle_session(s.id, '{}'); end if;
    return jsonb_build_object('kind', 'session_over');
  end if;
  if p_launch ->> 'region' is not null and app.may_try_again(s.id, p_launch) then
    v_intent := app.give_machine(s, p_reason, p_launch);
  end if;
  if v_intent is not null then return jsonb_build_object('kind', 'next', 'intent', v_intent); end if;
  -- While a hedge or the machine that it hedges is in progress, the session is not lost.
  if exists (select from public.machines o where o.session_id = s.id and o.life_rank < app.life_rank_of('draining'))
    then
    return jsonb_build_object('kind', 'stale');
  end if;
  perform app.end_session(s.id, 'failed', p_reason);
  return jsonb_build_object('kind', 'ended');
end $$;
comment on function public.record_create_failed(uuid, text, jsonb, text, text, double precision) is
  'Records that Fly certainly did not create a machine; called by the provisioner. If p_launch names a region to try '
  'next and the session may try again, the session gets its next machine. Otherwise, if no other attempt is in '
  'progress, it ends with p_reason. Returns kind: next (intent), ended, stale, session_over, unknown.';
grant execute on function public.record_create_failed(uuid, text, jsonb, text, text, double precision) to orchestrator;

create function public.machine_intent(p_machine_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.intent_json(p_machine_id) $$;
comment on function public.machine_intent(uuid) is
  'Returns a machine as an intent; called by the reaper to choose the next region for its session. Null if there is '
  'none.';
grant execute on function public.machine_intent(uuid) to orchestrator;
