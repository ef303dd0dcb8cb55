create function public.finish_session(p_machine_id uuid, p_epoch integer, p_kind text, p_outcome text default null,
  p_reason text default null,
  p_transcript_complete boolean default null, p_next jsonb default '{}', p_counts jsonb default null,
  p_phases jsonb default null) returns jsonb
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
  perform app.count_worker(m.id, p_epoch, p_counts);
  if p_phases is not null then perform app.note_call(m.id, p_epoch, p_phases); end if;
  if s.machine_id is distinct from m.id or s.epoch <> p_epoch then
    -- A report by an earlier boot of a machine that still serves the session is ignored.
    if m.epoch is not distinct from p_epoch then perform app.move_machine(m.id, 'draining', 'superseded'); end if;
    return jsonb_build_object('kind', 'fenced') || v_where;
  end if;
  if p_kind = 'draining' then
    if app.move_machine(m.id, 'draining', 'handed_over') then
      return jsonb_build_object('kind', 'draining', 'next', app.settle_session(s.id, p_next)
        -> 'intent') || v_where;
    end if;
    return jsonb_build_object('kind', 'draining') || v_where;
  end if;
  update public.interview_sessions set transcript_complete = coalesce(p_transcript_complete, transcript_complete)
    where id = s.id;
  perform app.move_session(s.id, 'finalizing', p_outcome, p_reason);
  perform app.end_session(s.id, p_outcome, p_reason);
  perform app.move_machine(m.id, 'draining', 'session_ended');
  return jsonb_build_object('kind', 'ended') || v_where;
end $$;
comment on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb, jsonb, jsonb) is
  'Stores a worker''s final report; called by the worker API. ended: the session ends, with the ending already '
  'decided if there is one. draining: the session continues on another machine, and next is the attempt reserved for '
  'it. Changes nothing for a fenced worker.';
grant execute on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb, jsonb, jsonb)
  to orchestrator;

create function public.record_machine_destroying(p_machine_id uuid, p_reason text, p_epoch integer default null,
  p_judged boolean default false,
  p_next jsonb default null, p_duty text default null, p_fence bigint default null, p_evidence text default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_next jsonb;
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty', 'state', null); end if;
  perform 1 from public.interview_sessions s join public.machines x on x.session_id = s.id
    where x.id = p_machine_id for update of s;
  select * into m from public.machines where id = p_machine_id for update;
  if not found then return jsonb_build_object('kind', 'unknown', 'state', null); end if;
  if p_judged and m.life_rank < app.life_rank_of('destroying') and m.epoch is distinct from p_epoch then
    return jsonb_build_object('kind', 'stale', 'state', m.state);
  end if;
  perform app.keep_evidence(m.id, p_evidence);
  if app.move_machine(m.id, 'destroying', p_reason) and p_next is not null and m.session_id is not null then
    v_next := app.settle_session(m.session_id, p_next) -> 'intent';
  end if;
  return jsonb_build_object('kind', 'done', 'state', (select state from public.machines where id = p_machine_id),
    'next', v_next);
end $$;
comment on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint, text) is
  'Records that a machine will be destroyed; called by the orchestrator before it sends a DELETE to Fly. It takes '
  'the same lock as an assignment. p_judged: refuse if the machine is no longer at the epoch at which it was judged. '
  'p_next: reserve the session''s next attempt at once. p_evidence: why this is right, in words; the first is kept. '
  'Returns kind: done, stale, off_duty, unknown.';
grant execute on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint,
  text) to orchestrator;

create function app.keep_evidence(p_machine_id uuid, p_evidence text) returns void
language sql volatile set search_path = '' as $$
  update public.machines set evidence = left(p_evidence, 500)
    where id = p_machine_id and evidence is null and p_evidence is not null
$$;
comment on function app.keep_evidence(uuid, text) is
  'Stores why a machine''s end is right, in words, unless that is already stored.';

create function public.record_machine_gone(p_machine_id uuid, p_machine_reason text, p_next jsonb default '{}',
  p_duty text default null, p_fence bigint default null, p_absent_ms integer default null,
  p_silent boolean default false, p_evidence text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_settled jsonb := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty'); end if;
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  -- A heartbeat or a claim clears the absence, because the report of the absence may be late.
  if p_absent_ms is not null
    and (m.first_absent_at is null or m.first_absent_at > clock_timestamp() - app.interval_ms(p_absent_ms))
    or p_silent and m.state = 'claimed' and m.lease_expires_at > clock_timestamp() then
    return jsonb_build_object('kind', 'alive', 'session_id', m.session_id);
  end if;
  perform app.keep_evidence(m.id, p_evidence);
  perform app.move_machine(m.id, 'destroyed', p_machine_reason);
  if m.session_id is not null then v_settled := app.settle_session(m.session_id, p_next); end if;
  return jsonb_build_object('kind', 'recorded', 'session_ended', coalesce(v_settled ->> 'kind' = 'ended', false),
    'session_id', m.session_id,
    'next', v_settled -> 'intent');
end $$;
comment on function public.record_machine_gone(uuid, text, jsonb, text, bigint, integer, boolean, text) is
  'Records that Fly no longer has a machine; called by the reaper and after a destruction. If only this machine '
  'served a session, the session gets its next attempt or ends. p_absent_ms: only if the machine has been absent '
  'that long without a heartbeat. p_silent: only if its worker''s lease is not valid. Returns kind: recorded, alive, '
  'off_duty, unknown.';
grant execute on function public.record_machine_gone(uuid, text, jsonb, text, bigint, integer, boolean, text)
  to orchestrator;

create function public.machines_alive(p_apps text[] default null) returns json
-- Planned with the call's own apps: otherwise each call would read the machines of all apps. Sessions are looked up one
-- by one: a hash join would read all that ever were.
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan'
  set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  -- state_ms: a standby machine may have waited for hours, so its time counts from the assignment to its session.
  return (select coalesce(json_agg(json_build_object('machine_id', m.id, 'name', m.name, 'app_name', m.app_name,
    'fly_machine_id', m.fly_machine_id,
    'state', m.state, 'reason', m.reason, 'epoch', m.epoch, 'session_id', m.session_id, 'session_rank', s.state_rank,
    'serves', s.machine_id = m.id, 'hot', m.hot,
    'session_over_ms', floor(extract(epoch from clock_timestamp() - s.completed_at) * 1000),
    'state_ms', floor(extract(epoch from clock_timestamp()
      - coalesce(m.destroying_at, m.draining_at, m.claimed_at, greatest(m.created_at, m.assigned_at),
        greatest(m.reserved_at, m.not_before))) * 1000),
    'asked_ms', floor(extract(epoch from clock_timestamp() - greatest(m.reserved_at, m.not_before,
      m.assigned_at)) * 1000),
    'last_heartbeat_at', m.last_heartbeat_at, 'hard_deadline_at', m.hard_deadline_at,
    'lease_lapsed', m.lease_expires_at < clock_timestamp(),
    'past_deadline', m.hard_deadline_at < clock_timestamp(),
    'host_bad_ms', floor(extract(epoch from clock_timestamp() - m.host_bad_since) * 1000),
    'absent_ms', floor(extract(epoch from clock_timestamp() - m.first_absent_at) * 1000))), '[]')
  from public.machines m left join public.interview_sessions s on s.id = m.session_id
  where m.state <> 'destroyed' and (p_apps is null or m.app_name = any (p_apps)));
end $$;
comment on function public.machines_alive(text[]) is
  'Lists all machines of these apps that may exist at Fly, with the facts by which the reconciler and the reaper, '
  'who call it, judge them.';
grant execute on function public.machines_alive(text[]) to orchestrator;

create function public.record_machine_absent(p_machine_id uuid, p_absent boolean default true) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set first_absent_at = case when p_absent then coalesce(first_absent_at, clock_timestamp()) end
    where id = p_machine_id
$$;
comment on function public.record_machine_absent(uuid, boolean) is
  'Records since when Fly does not find a machine; called by the reaper. Clears the time when the machine is found '
  'again.';
grant execute on function public.record_machine_absent(uuid, boolean) to orchestrator;

create function public.record_host(p_machine_id uuid, p_ok boolean) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set host_bad_since = case when p_ok then null
    else coalesce(host_bad_since, clock_timestamp()) end where id = p_machine_id
$$;
comment on function public.record_host(uuid, boolean) is
  'Records since when Fly reports that the host of a machine is not ok; called by the reaper. Clears the time when '
  'the host is ok again.';
grant execute on function public.record_host(uuid, boolean) to orchestrator;
