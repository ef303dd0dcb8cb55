create function public.request_end(p_session_id uuid, p_tenant_id uuid, p_outcome text, p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  -- An ending that is already decided is kept, also while the worker still carries it out.
  if s.state_rank >= app.rank_of('finalizing') or (s.outcome, s.reason) is distinct from (p_outcome, p_reason)
    and s.outcome is not null then
    return jsonb_build_object('kind', 'already', 'session', app.session_json(s.id));
  end if;
  if s.machine_id is null or not exists (select from public.machines m where m.id = s.machine_id
    and m.life_rank < app.life_rank_of('draining') and not (m.hot and m.confirmed_at is null))
    then
    -- No machine serves it now: it ends here, and its machines are no longer wanted.
    perform app.end_session(s.id, p_outcome, p_reason);
    perform app.move_machine(id, case when fly_machine_id is null and state = 'reserved'
      and taken_until is null then 'destroyed' else 'destroying' end,
      'session_gone') from public.machines where session_id = s.id;
  else
    update public.interview_sessions set end_requested_at = clock_timestamp(), outcome = p_outcome, reason = p_reason
      where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'session.end_requested',
      jsonb_build_object('outcome', p_outcome, 'reason', p_reason));
  end if;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id), 'machines', (
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'state', m.state)), '[]')
    from public.machines m where m.session_id = s.id and m.state <> 'destroyed'));
end $$;
comment on function public.request_end(uuid, uuid, text, text) is
  'Requests the end of a session; called by the API and by other functions. A session without a serving machine, '
  'or whose hot worker has not claimed it yet, ends at once. Otherwise its worker receives the directive and ends it. '
  'Returns kind: accepted, already, not_found.';
grant execute on function public.request_end(uuid, uuid, text, text) to orchestrator;

create function public.expire_sessions() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_ids uuid[] := '{}';
begin
  for s in select id, machine_id from public.interview_sessions where state_rank < app.rank_of('in_progress')
    and expires_at < clock_timestamp()
    order by id for update skip locked loop
    if s.machine_id is null then
      perform public.request_end(s.id, null, 'expired', 'schedule_expired');
      v_ids := v_ids || s.id;
    end if;
  end loop;
  return to_jsonb(v_ids);
end $$;
comment on function public.expire_sessions() is
  'Ends sessions that have expired before the interview began and that no worker has claimed; called by the regular '
  'job. A claimed session is ended by its worker''s own timer.';
grant execute on function public.expire_sessions() to orchestrator;

create function public.worker_report(p_status text default null, p_outcome text default null,
  p_reason text default null, p_presence text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
  v_constraint text;
begin
  if p_status not in ('connecting', 'in_progress', 'finalizing') then
    raise exception 'a worker reports connecting, in_progress or finalizing' using errcode = '22023';
  end if;
  if p_presence is not null and s.presence <> p_presence and s.state_rank < app.rank_of('ended') then
    update public.interview_sessions set presence = p_presence where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'candidate.' || p_presence, '{}');
  end if;
  if p_status is not null then perform app.move_session(s.id, p_status, p_outcome, p_reason); end if;
  select * into s from public.interview_sessions where id = s.id;
  return jsonb_build_object('status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'started_at', floor(extract(epoch from s.started_at) * 1000));
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.worker_report(text, text, text, text) is
  'Stores a worker''s report about its session: connecting, in_progress, finalizing (with the ending), and the '
  'candidate''s presence; called by the worker. A late report changes nothing. Refuses any other status (22023).';
grant execute on function public.worker_report(text, text, text, text) to session_worker;
