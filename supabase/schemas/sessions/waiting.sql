create function public.reschedule_session(p_session_id uuid, p_tenant_id uuid, p_scheduled_at timestamptz,
  p_expires_ms bigint, p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if s.status <> 'scheduled' then return jsonb_build_object('kind', 'begun', 'session', app.session_json(s.id)); end if;
  update public.interview_sessions set scheduled_at = p_scheduled_at,
    expires_at = p_scheduled_at + app.interval_ms(p_expires_ms) where id = s.id;
  update public.session_invitations set expires_at = p_scheduled_at + app.interval_ms(p_expires_ms)
    where session_id = s.id and revoked_at is null;
  perform app.emit(s.id, s.tenant_id, 'session.rescheduled', jsonb_build_object('from', s.scheduled_at,
    'to', p_scheduled_at));
  return jsonb_build_object('kind', 'rescheduled', 'session', app.session_json(s.id),
    'ahead', app.schedule_ahead(p_tenant_id, p_scheduled_at));
end $$;
comment on function public.reschedule_session(uuid, uuid, timestamptz, bigint, timestamptz) is
  'Changes the start time of a session, and with it the expiry of the session and its invitations; called by the '
  'API. Returns kind: rescheduled (ahead), begun (too late), ended, changed_meanwhile '
  '(p_if_updated_at is given and differs), not_found.';
grant execute on function public.reschedule_session(uuid, uuid, timestamptz, bigint, timestamptz) to orchestrator;

create function app.begin_trace(s public.interview_sessions) returns public.interview_sessions
language sql volatile set search_path = '' as $$
  update public.interview_sessions set creation_traceparent = coalesce(s.creation_traceparent, s.traceparent),
    traceparent = case when s.creation_traceparent is not null then s.traceparent
      else '00-' || replace(gen_random_uuid()::text, '-', '') || '-'
        || left(replace(gen_random_uuid()::text, '-', ''), 16) || right(s.traceparent, 3) end
    where id = s.id returning *
$$;
comment on function app.begin_trace(public.interview_sessions) is
  'Gives a session, which the caller has locked and which begins after the request that created it, a trace of its '
  'own. It is recorded if the request was. A second call changes nothing. Returns the row. A session without a trace '
  'context keeps none.';

create function app.admit(p_session_id uuid, p_launch jsonb, p_queue_ms numeric) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_free integer;
  v_ahead bigint;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id;
  select t.max_live_sessions - c.live_sessions into v_free from public.tenant_counters c
    join public.tenants t on t.id = c.tenant_id
    where c.tenant_id = s.tenant_id for update of c;
  -- Counted under the counter's lock, so that a session whose row is locked by another transaction keeps its place.
  select count(*) into v_ahead from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.queue_deadline_at is not null and o.id <> s.id
      and (s.queue_deadline_at is null or (o.queued_at, o.id) < (s.queued_at, s.id));
  if v_free <= v_ahead then
    if s.queue_deadline_at is null then
      update public.interview_sessions set queued_at = clock_timestamp(),
        queue_deadline_at = clock_timestamp() + app.interval_ms(p_queue_ms) where id = s.id;
      perform app.emit(s.id, s.tenant_id, 'session.queued', '{}');
    end if;
    return jsonb_build_object('kind', 'queued', 'session_id', s.id);
  end if;
  if s.queue_deadline_at is not null then perform app.emit(s.id, s.tenant_id, 'session.admitted', '{}'); end if;
  update public.interview_sessions set counted = true, queue_deadline_at = null where id = s.id;
  update public.tenant_counters set live_sessions = live_sessions + 1 where tenant_id = s.tenant_id;
  if s.placement = 'on_join' then return jsonb_build_object('kind', 'waits', 'session_id', s.id); end if;
  s := app.begin_trace(s);
  v_intent := app.give_machine(s, null, p_launch);
  if v_intent is null then
    perform app.end_session(s.id, 'failed', 'fly_refused');
    return jsonb_build_object('kind', 'no_app', 'session_id', s.id);
  end if;
  return jsonb_build_object('kind', 'launched', 'session_id', s.id, 'intent', v_intent);
end $$;
comment on function app.admit(uuid, jsonb, numeric) is
  'Counts a locked pending session as live and gives it its machine, or queues it if the tenant''s limit is reached. '
  'Returns kind: launched, waits, queued, no_app.';

create function public.start_scheduled(p_launch jsonb, p_lead_ms integer, p_queue_ms integer,
  p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_due uuid[];
  v_id uuid;
  v_results jsonb[] := '{}';
begin
  -- One at a time: if two shared the due sessions, the one with the later half might lock the counters first.
  if not pg_try_advisory_xact_lock(hashtextextended('start_scheduled', 0)) then return '[]'; end if;
  -- Lock sessions, then counters in one order, then the rows that the launches need.
  v_due := array(select s.id from public.interview_sessions s
    where s.status = 'scheduled' and s.scheduled_at <= clock_timestamp() + app.interval_ms(p_lead_ms)
      and exists (select from public.tenants t where t.id = s.tenant_id and t.status = 'active')
    order by s.scheduled_at, s.id limit p_limit for update of s skip locked);
  perform 1 from public.tenant_counters where tenant_id in (select tenant_id from public.interview_sessions
    where id = any (v_due)) order by tenant_id for update;
  foreach v_id in array v_due loop
    perform app.move_session(v_id, 'pending');
    v_results := v_results || app.admit(v_id, p_launch, p_queue_ms);
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.start_scheduled(jsonb, integer, integer, integer) is
  'Starts scheduled sessions whose time is near; called by the orchestrator''s planner. Sessions over the tenant''s '
  'limit are queued. Returns an array of {kind, session_id, intent}.';
grant execute on function public.start_scheduled(jsonb, integer, integer, integer) to orchestrator;

create function public.admit_queued(p_launch jsonb, p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_late uuid[];
  v_tenants uuid[];
  v_waiting uuid[];
  v_id uuid;
  v_admitted jsonb;
  v_results jsonb[] := '{}';
begin
  -- Two steps: in one, the planner may look for them in the order of all ids.
  v_late := array(select id from public.interview_sessions where queue_deadline_at < now() limit p_limit);
  v_late := array(select id from public.interview_sessions where id = any (v_late) and queue_deadline_at < now()
    order by id for update skip locked);
  v_tenants := array(select distinct s.tenant_id from public.interview_sessions s
    join public.tenants t on t.id = s.tenant_id and t.status = 'active'
    join public.tenant_counters c on c.tenant_id = s.tenant_id and c.live_sessions < t.max_live_sessions
    where s.queue_deadline_at is not null);
  perform 1 from public.tenant_counters where tenant_id = any (v_tenants) or tenant_id in (
    select tenant_id from public.interview_sessions where id = any (v_late)) order by tenant_id for update;
  foreach v_id in array v_late loop
    perform app.end_session(v_id, 'expired', 'admission_timeout');
    v_results := v_results || jsonb_build_object('kind', 'expired', 'session_id', v_id);
  end loop;
  -- Chosen under the counters' locks, or two orchestrators would each take a part of a queue, and the later part could
  -- be admitted first.
  v_waiting := array(select w.id from public.tenant_counters c join public.tenants t on t.id = c.tenant_id
    cross join lateral (select s.id, s.queued_at from public.interview_sessions s
      where s.tenant_id = c.tenant_id and s.queue_deadline_at >= clock_timestamp() order by s.queued_at, s.id
      limit least(p_limit, greatest(t.max_live_sessions - c.live_sessions, 0)) for update skip locked) w
    where c.tenant_id = any (v_tenants) order by c.tenant_id, w.queued_at, w.id);
  foreach v_id in array v_waiting loop
    v_admitted := app.admit(v_id, p_launch, 0);
    continue when v_admitted ->> 'kind' = 'queued';
    v_results := v_results || v_admitted;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.admit_queued(jsonb, integer) is
  'Starts queued sessions in their order as places become free, and ends those past their deadline; called by the '
  'orchestrator''s planner. Returns an array of {kind, session_id, intent}.';
grant execute on function public.admit_queued(jsonb, integer) to orchestrator;

create function public.begin_on_join(p_session_id uuid, p_regions text[], p_region_reason text, p_launch jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_regions text[];
  s public.interview_sessions;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.status <> 'pending' or s.placement <> 'on_join' or not s.counted then
    return jsonb_build_object('kind', 'not_waiting');
  end if;
  -- Never outside the tenant's regions. Without a known region, the requested ones stay.
  v_regions := array(select r from unnest(p_regions) with ordinality as x (r, n)
    join public.tenants t on t.id = s.tenant_id
    where t.allowed_regions is null or r = any (t.allowed_regions) order by n);
  if cardinality(v_regions) > 0 then
    update public.interview_sessions set regions = v_regions, region_reason = p_region_reason where id = s.id
      returning * into s;
  end if;
  s := app.begin_trace(s);
  v_intent := app.give_machine(s, null, p_launch);
  if v_intent is null then return jsonb_build_object('kind', 'no_app'); end if;
  return jsonb_build_object('kind', 'launched', 'intent', v_intent);
end $$;
comment on function public.begin_on_join(uuid, text[], text, jsonb) is
  'Starts a session with placement on_join because its candidate has arrived; called by the API and the edge. '
  'p_regions: the regions near the candidate, empty if unknown. Returns kind: launched (intent), no_app, '
  'not_waiting.';
grant execute on function public.begin_on_join(uuid, text[], text, jsonb) to orchestrator;
