create function app.start_of(s public.interview_sessions) returns public.session_phases
language plpgsql stable set search_path = '' as $$
declare
  m public.machines;
  p public.session_phases;
begin
  select * into m from public.machines where id = s.machine_id;
  if m.id is null then
    select * into m from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  end if;
  p.session_id := s.id;
  p.tenant_id := s.tenant_id;
  p.machine_id := m.id;
  p.attempts := coalesce(m.attempt, 0);
  p.region := m.region;
  p.wanted_region := coalesce(s.regions[1], s.region);
  p.path := case when m.hot then 'hot' when m.assigned_at is not null then 'standby'
    when m.id is not null then 'cold' end;
  -- A hot machine waited before the session existed. The row of a new session is written before that of its machine.
  p.reserved_at := coalesce(m.assigned_at, case when m.hot then s.created_at else m.reserved_at end);
  p.begun_at := least(p.reserved_at, (select min(coalesce(o.assigned_at, o.reserved_at)) from public.machines o
    where o.session_id = s.id));
  p.due_at := greatest(s.created_at, s.scheduled_at);
  -- A session with placement on_join is due when its candidate arrives; then its first machine is reserved.
  if s.placement = 'on_join' then p.due_at := greatest(p.due_at, p.begun_at); end if;
  if m.assigned_at is null and not m.hot then p.slot_at := m.not_before; end if;
  if m.asked_at >= p.reserved_at then
    p.asked_at := m.asked_at;
    p.answered_at := m.answered_at;
    p.fly_request_id := m.fly_request_id;
  end if;
  if not m.hot then
    p.started_at := m.started_at;
    p.booted_at := m.booted_at;
  end if;
  p.ready_at := s.ready_at;
  p.earlier := coalesce((select jsonb_agg(jsonb_build_object('region', o.region, 'reason', o.reason,
      'evidence', o.evidence, 'from', coalesce(o.assigned_at, o.reserved_at),
      'until', coalesce(o.destroying_at, o.destroyed_at)) order by o.attempt)
    from public.machines o where o.session_id = s.id and o.attempt < m.attempt), '[]');
  p.standby_kept := (select nullif(ceiling, 0) from public.pool_policies where tenant_id = s.tenant_id
    and region = p.wanted_region);
  if p.slot_at >= m.reserved_at + interval '1 second' then
    select count(*) filter (where o.not_before <= m.not_before), count(*) into p.slot_place, p.slot_count
      from public.machines o where o.app_name = m.app_name and o.reserved_at between m.reserved_at - interval '1 minute'
        and m.reserved_at + interval '1 minute' and o.assigned_at is null and o.session_id is not null;
  end if;
  return p;
end $$;
comment on function app.start_of(public.interview_sessions) is
  'Returns how a session got its machine, from its row and those of its machines. Also of a session that is not '
  'ready yet.';

create function app.record_start(s public.interview_sessions) returns public.session_phases
language plpgsql volatile set search_path = '' as $$
declare
  p public.session_phases := app.start_of(s);
begin
  insert into public.session_phases as x (session_id, tenant_id, path, machine_id, attempts, earlier, wanted_region,
      region, standby_kept, slot_place, slot_count, fly_request_id, due_at, begun_at, reserved_at, slot_at, asked_at,
      answered_at, started_at, booted_at, ready_at)
    values (p.session_id, p.tenant_id, p.path, p.machine_id, p.attempts, p.earlier, p.wanted_region, p.region,
      p.standby_kept, p.slot_place, p.slot_count, p.fly_request_id, p.due_at, p.begun_at, p.reserved_at, p.slot_at,
      p.asked_at, p.answered_at, p.started_at, p.booted_at, p.ready_at)
    on conflict (session_id) do update set path = excluded.path, machine_id = excluded.machine_id,
      attempts = excluded.attempts, earlier = excluded.earlier, wanted_region = excluded.wanted_region,
      region = excluded.region, standby_kept = excluded.standby_kept, slot_place = excluded.slot_place,
      slot_count = excluded.slot_count, fly_request_id = excluded.fly_request_id, due_at = excluded.due_at,
      begun_at = excluded.begun_at, reserved_at = excluded.reserved_at, slot_at = excluded.slot_at,
      asked_at = excluded.asked_at, answered_at = excluded.answered_at, started_at = excluded.started_at,
      booted_at = excluded.booted_at, ready_at = excluded.ready_at
      where x.ready_at is null;
  return p;
end $$;
comment on function app.record_start(public.interview_sessions) is
  'Writes how a session got its machine: when it becomes ready, or when it ends without having been ready. Returns '
  'it.';

create function app.record_hot_starts(p_session_ids uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.session_phases (session_id, tenant_id, path, machine_id, attempts, wanted_region, region,
      standby_kept, due_at, begun_at, reserved_at, ready_at)
    select s.id, s.tenant_id, 'hot', s.machine_id, 1, coalesce(s.regions[1], s.region), s.region,
      (select nullif(o.ceiling, 0) from public.pool_policies o where o.tenant_id = s.tenant_id
        and o.region = coalesce(s.regions[1], s.region)),
      greatest(s.created_at, s.scheduled_at), s.created_at, s.created_at, s.ready_at
    from public.interview_sessions s where s.id = any (p_session_ids);
end $$;
comment on function app.record_hot_starts(uuid[]) is
  'Writes for new sessions on hot machines what app.record_start writes for the others, with one statement.';

create function app.record_fly_answer(p_machine_id uuid, p_fly_request_id text, p_asked_ms double precision,
  p_answered_ms double precision default 0) returns void
language plpgsql volatile set search_path = '' as $$
declare
  m public.machines;
begin
  update public.machines set fly_request_id = coalesce(p_fly_request_id, fly_request_id),
    asked_at = clock_timestamp() - app.interval_ms(p_asked_ms),
    answered_at = clock_timestamp() - app.interval_ms(p_answered_ms)
    where id = p_machine_id and p_asked_ms is not null returning * into m;
  if m.session_id is null then return; end if;
  -- The claim may have been faster than the record of Fly's answer.
  update public.session_phases set asked_at = m.asked_at, answered_at = m.answered_at,
    fly_request_id = m.fly_request_id where session_id = m.session_id and machine_id = m.id and asked_at is null;
end $$;
comment on function app.record_fly_answer(uuid, text, double precision, double precision) is
  'Stores Fly''s request id and the time of a create or start. p_asked_ms and p_answered_ms: how long ago the request '
  'began and was answered; null: nothing was asked.';

create function app.note_candidate(p_session_id uuid, p_joined boolean) returns void
language sql volatile set search_path = '' as $$
  insert into public.session_phases as x (session_id, tenant_id, looked_at, joined_at)
    select s.id, s.tenant_id, clock_timestamp(), case when p_joined then clock_timestamp() end
    -- Locked before the insert, as a claim locks it: otherwise the foreign key's check could deadlock with a claim.
    from public.interview_sessions s where s.id = p_session_id for key share of s
    on conflict (session_id) do update set looked_at = coalesce(x.looked_at, excluded.looked_at),
      joined_at = coalesce(x.joined_at, excluded.joined_at)
      where x.looked_at is null or x.joined_at is null and p_joined
$$;
comment on function app.note_candidate(uuid, boolean) is
  'Stores when the candidate first opened the page and, if p_joined, when the candidate first pressed Start.';

create function app.ago(p_ages jsonb, p_name text) returns timestamptz
language sql volatile set search_path = '' as $$
  select clock_timestamp() - app.interval_ms((p_ages ->> p_name)::double precision)
$$;
comment on function app.ago(jsonb, text) is
  'Returns the time that lies as many milliseconds in the past as p_ages says for p_name. Null if it says nothing.';

create function app.note_call(p_machine_id uuid, p_epoch integer, p_ages jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.session_phases x set
    edge_wait_ms = coalesce(x.edge_wait_ms, (p_ages ->> 'edge_wait')::integer),
    socket_at = coalesce(x.socket_at, app.ago(p_ages, 'socket')),
    offered_at = coalesce(x.offered_at, app.ago(p_ages, 'offered')),
    credential_at = coalesce(x.credential_at, app.ago(p_ages, 'credential')),
    call_answered_at = coalesce(x.call_answered_at, app.ago(p_ages, 'answered')),
    connected_at = coalesce(x.connected_at, app.ago(p_ages, 'connected')),
    spoke_at = coalesce(x.spoke_at, app.ago(p_ages, 'spoke'))
  from public.machines m
  where m.id = p_machine_id and m.epoch = p_epoch and x.session_id = m.session_id
$$;
comment on function app.note_call(uuid, integer, jsonb) is
  'Stores the steps of a session''s first call as its worker reports them: for each step, how many ms ago it was. '
  'edge_wait is the wait at the edge, ms.';
