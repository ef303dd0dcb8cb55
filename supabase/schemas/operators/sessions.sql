create function app.ops_session_json(s public.interview_sessions, p public.session_phases) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = s.tenant_id),
    'status', s.status, 'reason', s.reason, 'presence', s.presence, 'queued', s.queue_deadline_at is not null,
    'region', coalesce(s.region, s.regions[1]), 'epoch', s.epoch, 'machine_id', s.machine_id,
    'fly_machine_id', s.fly_machine_id, 'simulated', s.simulated, 'created_at', s.created_at,
    'scheduled_at', s.scheduled_at, 'ready_at', s.ready_at, 'started_at', s.started_at,
    'completed_at', s.completed_at, 'end_requested_at', s.end_requested_at,
    'path', p.path, 'attempts', coalesce(p.attempts, 0), 'start_ms', p.start_ms, 'voice_ms', p.voice_ms,
    'result', (select r.status from public.interview_results r where r.session_id = s.id),
    'cost_usd', (select sum(u.cost_usd + u.standby_cost_usd + u.hot_cost_usd) from public.machine_usage u
      where u.session_id = s.id),
    'phases', case when p.due_at is not null then to_jsonb(p) || jsonb_build_object(
      'scheduled', s.scheduled_at is not null, 'queued', s.queued_at is not null, 'status', s.status,
      'reason', s.reason, 'completed_at', s.completed_at) end)
$$;
comment on function app.ops_session_json(public.interview_sessions, public.session_phases) is
  'Returns a session as operators see it in a list. It contains no name, no text and nothing of the platform''s own '
  'data.';

create function public.ops_sessions(p_filter jsonb, p_sort text, p_after jsonb, p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_live boolean := coalesce((p_filter ->> 'live')::boolean, false);
  v_statuses text[] := app.texts_of(p_filter -> 'status');
  v_reasons text[] := app.texts_of(p_filter -> 'reason');
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_region text := p_filter ->> 'region';
  v_path text := p_filter ->> 'path';
  v_attempts integer := (p_filter ->> 'attempts')::integer;
  v_slow_ms integer := (p_filter ->> 'slow_ms')::integer;
  v_from timestamptz := (p_filter ->> 'from')::timestamptz;
  v_until timestamptz := (p_filter ->> 'until')::timestamptz;
  v_ids uuid[] := app.texts_of(p_filter -> 'ids');
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_start_ms integer := (p_after ->> 'start_ms')::integer;
  v_id uuid := (p_after ->> 'id')::uuid;
begin
  if p_sort = 'start' then
    return (select coalesce(jsonb_agg(app.ops_session_json(x.s, x.p) order by x.start_ms desc, x.id desc), '[]') from (
      select s, p, p.start_ms, s.id
      from public.session_phases p join public.interview_sessions s on s.id = p.session_id
      where p.start_ms is not null
        and (not v_live or s.state_rank < app.rank_of('ended'))
        and (v_statuses is null or s.status = any (v_statuses))
        and (v_reasons is null or s.reason = any (v_reasons))
        and (v_tenant is null or p.tenant_id = v_tenant)
        and (v_region is null or s.region = v_region)
        and (v_path is null or p.path = v_path)
        and (v_attempts is null or p.attempts >= v_attempts)
        and (v_slow_ms is null or p.start_ms >= v_slow_ms)
        and (v_from is null or s.created_at >= v_from)
        and (v_until is null or s.created_at < v_until)
        and (v_ids is null or s.id = any (v_ids))
        and (v_id is null or (p.start_ms, p.session_id) < (v_start_ms, v_id))
      order by p.start_ms desc, p.session_id desc limit p_limit) x);
  end if;
  return (select coalesce(jsonb_agg(app.ops_session_json(x.s, x.p) order by x.created_at desc, x.id desc), '[]') from (
    select s, p, s.created_at, s.id
    from public.interview_sessions s left join public.session_phases p on p.session_id = s.id
    where (not v_live or s.state_rank < app.rank_of('ended'))
      and (v_statuses is null or s.status = any (v_statuses))
      and (v_reasons is null or s.reason = any (v_reasons))
      and (v_tenant is null or s.tenant_id = v_tenant)
      and (v_region is null or s.region = v_region)
      and (v_path is null or p.path = v_path)
      and (v_attempts is null or p.attempts >= v_attempts)
      and (v_slow_ms is null or p.start_ms >= v_slow_ms)
      and (v_from is null or s.created_at >= v_from)
      and (v_until is null or s.created_at < v_until)
      and (v_ids is null or s.id = any (v_ids))
      and (v_id is null or (s.created_at, s.id) < (v_at, v_id))
    order by s.created_at desc, s.id desc limit p_limit) x);
end $$;
comment on function public.ops_sessions(jsonb, text, jsonb, integer) is
  'Lists sessions of all tenants for operators, those after p_after. p_sort: created (newest first) or start (slowest '
  'first). p_after: {at, id} or {start_ms, id}. p_filter: live (only sessions that have not ended), status[], '
  'reason[], tenant, region, path, attempts (at least), slow_ms (at least), from (included), until (not included), '
  'ids[].';
grant execute on function public.ops_sessions(jsonb, text, jsonb, integer) to orchestrator;

create function public.ops_session(p_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.ops_session_json(s, p) || jsonb_build_object(
    'candidate_id', s.candidate_id,
    'external_id', (select c.external_id from public.tenant_candidates c where c.tenant_id = s.tenant_id
      and c.candidate_id = s.candidate_id),
    'position_id', s.position_id, 'regions', to_jsonb(s.regions), 'region_reason', s.region_reason,
    'placement', s.placement, 'max_duration_ms', s.max_duration_ms, 'expires_at', s.expires_at,
    'integrity', s.integrity, 'consent_withdrawn_at', s.consent_withdrawn_at,
    'phases', public.session_phases_of(s.id),
    'machines', (select coalesce(jsonb_agg(app.ops_machine_json(m) order by m.attempt, m.reserved_at), '[]')
      from public.machines m where m.session_id = s.id),
    'calls', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', c.ordinal, 'epoch', c.epoch,
        'provider', c.provider, 'call_id', c.call_id, 'opened_at', c.opened_at, 'answered_at', c.answered_at,
        'hung_up_at', c.hung_up_at) order by c.ordinal), '[]')
      from public.realtime_calls c where c.session_id = s.id),
    'transcript', (select jsonb_build_object('entries', count(*), 'unverified', count(*) filter (where not e.verified),
        'complete', s.transcript_complete, 'revision', s.transcript_revision, 'erased_at', s.transcript_erased_at)
      from public.transcript_entries e where e.session_id = s.id),
    'evaluation', (select jsonb_build_object('status', r.status, 'attempts', r.attempts, 'failure', r.failure,
        'last_error', r.last_error, 'model', r.model, 'evaluated_at', r.evaluated_at,
        'next_attempt_at', case when r.status in ('pending', 'running') then r.next_attempt_at end)
      from public.interview_results r where r.session_id = s.id),
    'recordings', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', v.ordinal, 'state', v.state,
        'video_id', v.video_id, 'attempts', v.attempts, 'failure', v.failure, 'started_at', v.started_at)
        order by v.ordinal), '[]')
      from public.video_jobs v where v.session_id = s.id),
    'deliveries', (select coalesce(jsonb_agg(app.delivery_json(d) order by d.created_at desc, d.id), '[]') from (
      select * from public.webhook_deliveries w where w.session_id = s.id order by w.created_at desc limit 50) d),
    'usage', app.session_usage(s.id))
  from public.interview_sessions s left join public.session_phases p on p.session_id = s.id where s.id = p_id
$$;
comment on function public.ops_session(uuid) is
  'Returns everything that operators see of one session: its row, phases, machines, calls, counts of its transcript, '
  'evaluation, recordings, newest 50 deliveries and cost. No name and no text. Null if there is none.';
grant execute on function public.ops_session(uuid) to orchestrator;
