create function public.take_starts(p_orchestrator_id uuid, p_taken_ms integer, p_late_ms integer,
  p_limit integer default 50) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select id, row_number() over (partition by tenant_id order by assigned_at) as place from public.machines
    where state = 'created' and assigned_at is not null and (taken_until is null or taken_until <= clock_timestamp())
      and (start_requested_at is null or start_requested_at < clock_timestamp() - app.interval_ms(p_late_ms))
  ), due as (
    select m.id from public.machines m join waiting w on w.id = m.id
    where m.state = 'created' and (m.taken_until is null or m.taken_until <= clock_timestamp())
    -- Tenants take turns, so that one whose starts do not return cannot fill every batch.
    order by w.place, m.assigned_at limit p_limit for update of m skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_starts(uuid, integer, integer, integer) is
  'Takes assigned standby machines that no orchestrator is starting, and those that have not started p_late_ms after '
  'the request (late); called by the starter.';
grant execute on function public.take_starts(uuid, integer, integer, integer) to orchestrator;

create function public.record_starts(p_starts jsonb) returns integer
language sql volatile security definer set search_path = '' as $$
  -- Each machine's row is changed only once. A second change in the same transaction would check its foreign keys and
  -- lock the session. Claims lock the session first and then the machine: the two could deadlock.
  with told as (
    select (x ->> 'machine_id')::uuid as id, x ->> 'fly_request_id' as fly_request_id,
      clock_timestamp() - app.interval_ms((x ->> 'asked_ms')::double precision) as asked_at,
      clock_timestamp() - app.interval_ms((x ->> 'answered_ms')::double precision) as answered_at
    from jsonb_array_elements(p_starts) x
  ), locked as (
    select m.id, m.state = 'created' and m.start_requested_at is null as is_new from public.machines m
    where m.id in (select id from told) order by m.id for update
  ), changed as (
    -- A machine may have claimed before this report; Fly's answer is stored for it too.
    update public.machines m set
      start_requested_at = case when l.is_new then clock_timestamp() else m.start_requested_at end,
      fly_request_id = coalesce(t.fly_request_id, m.fly_request_id), asked_at = coalesce(t.asked_at, m.asked_at),
      answered_at = coalesce(t.answered_at, m.answered_at)
    from locked l join told t on t.id = l.id where m.id = l.id
    returning m.id, m.session_id, m.fly_request_id, m.asked_at, m.answered_at
  ), noted as (
    update public.session_phases p set asked_at = c.asked_at, answered_at = c.answered_at,
      fly_request_id = c.fly_request_id
    from changed c where p.session_id = c.session_id and p.machine_id = c.id and p.asked_at is null
  )
  select count(*) filter (where is_new)::integer from locked
$$;
comment on function public.record_starts(jsonb) is
  'Records that Fly accepted the start of machines; called by the starter. Each start has machine_id, '
  'fly_request_id, and asked_ms and answered_ms: how long ago the request began and was answered.';
grant execute on function public.record_starts(jsonb) to orchestrator;

create function public.record_machine_started(p_machine_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform 1 from public.interview_sessions s join public.machines m on m.session_id = s.id
    where m.id = p_machine_id for update of s;
  return app.move_machine(p_machine_id, 'started');
end $$;
comment on function public.record_machine_started(uuid) is
  'Records that Fly reports a machine as running before it has claimed; called by the starter.';
grant execute on function public.record_machine_started(uuid) to orchestrator;

create function public.record_start_failed(p_machine_id uuid, p_launch jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_settled jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  if m.state not in ('created', 'started') then return jsonb_build_object('kind', 'stale'); end if;
  perform app.move_machine(m.id, 'destroying', 'start_failed');
  v_settled := app.settle_session(s.id, p_launch);
  return case v_settled ->> 'kind' when 'nothing' then jsonb_build_object('kind', 'session_over') else v_settled end;
end $$;
comment on function public.record_start_failed(uuid, jsonb) is
  'Records that a standby machine could not be started; called by the starter. The machine is given up, and its '
  'session gets the next one, standby or new. Returns kind: next (intent), ended, session_over (the session needs '
  'none), stale, unknown.';
grant execute on function public.record_start_failed(uuid, jsonb) to orchestrator;
