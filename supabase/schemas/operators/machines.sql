create function app.is_unwanted(m public.machines) returns boolean
language sql stable set search_path = '' as $$
  -- Two reconcile ticks are 10 s.
  select m.state <> 'destroyed' and (m.hard_deadline_at < clock_timestamp() - interval '10 seconds'
    or m.destroying_at < clock_timestamp() - interval '2 minutes') is true
$$;
comment on function app.is_unwanted(public.machines) is
  'Returns whether a machine should be gone by now: it is past its hard deadline, or its destruction takes minutes.';

create function app.ops_machine_json(m public.machines) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('machine_id', m.id, 'name', m.name, 'fly_machine_id', m.fly_machine_id,
    'fly_request_id', m.fly_request_id, 'app_name', m.app_name, 'tenant_id', m.tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = m.tenant_id), 'region', m.region, 'image', m.image,
    'state', m.state, 'reason', m.reason, 'evidence', m.evidence,
    'kind', case when m.session_id is not null then 'session' when m.hot then 'hot' else 'standby' end,
    'hot', m.hot, 'unwanted', app.is_unwanted(m), 'epoch', m.epoch, 'attempt', m.attempt,
    'reserved_at', m.reserved_at, 'not_before', m.not_before, 'asked_at', m.asked_at, 'answered_at', m.answered_at,
    'created_at', m.created_at, 'started_at', m.started_at, 'assigned_at', m.assigned_at, 'booted_at', m.booted_at,
    'claimed_at', m.claimed_at, 'draining_at', m.draining_at, 'destroying_at', m.destroying_at,
    'destroyed_at', m.destroyed_at, 'last_heartbeat_at', m.last_heartbeat_at, 'lease_expires_at', m.lease_expires_at,
    'hard_deadline_at', m.hard_deadline_at, 'first_absent_at', m.first_absent_at, 'host_bad_since', m.host_bad_since,
    'unreachable_since', m.unreachable_since, 'rss_bytes', m.rss_bytes, 'unsaved_entries', m.unsaved_entries,
    'session', (select jsonb_build_object('session_id', s.id, 'status', s.status, 'presence', s.presence,
        'served_by_this', s.machine_id is not distinct from m.id)
      from public.interview_sessions s where s.id = m.session_id),
    'cost_usd', (select u.cost_usd + u.standby_cost_usd + u.hot_cost_usd from public.machine_usage u
      where u.machine_id = m.id))
$$;
comment on function app.ops_machine_json(public.machines) is 'Returns a machine as operators see it.';

create function public.ops_machines(p_filter jsonb, p_after jsonb, p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_alive boolean := coalesce((p_filter ->> 'alive')::boolean, false);
  v_states text[] := app.texts_of(p_filter -> 'state');
  v_kind text := p_filter ->> 'kind';
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_region text := p_filter ->> 'region';
  v_app text := p_filter ->> 'app';
  -- An app has one tenant, and only the tenant has an index.
  v_owner uuid := (select a.tenant_id from public.tenant_apps a where a.name = v_app);
  v_unwanted boolean := coalesce((p_filter ->> 'unwanted')::boolean, false);
  v_lapsed boolean := coalesce((p_filter ->> 'lapsed')::boolean, false);
  v_sessions uuid[] := app.texts_of(p_filter -> 'sessions');
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_id uuid := (p_after ->> 'id')::uuid;
begin
  return (select coalesce(jsonb_agg(app.ops_machine_json(x.m) order by x.reserved_at desc, x.id desc), '[]') from (
    select m, m.reserved_at, m.id from public.machines m
    where (not v_alive or m.state <> 'destroyed')
      and (v_states is null or m.state = any (v_states))
      and (v_kind is null or v_kind = 'session' and m.session_id is not null
        or v_kind = 'hot' and m.session_id is null and m.hot
        or v_kind = 'standby' and m.session_id is null and not m.hot)
      and (v_tenant is null or m.tenant_id = v_tenant)
      and (v_region is null or m.region = v_region)
      and (v_app is null or m.tenant_id = v_owner and m.app_name = v_app)
      and (not v_unwanted or m.state <> 'destroyed' and app.is_unwanted(m))
      and (not v_lapsed or m.state = 'claimed' and m.lease_expires_at < clock_timestamp())
      and (v_sessions is null or m.session_id = any (v_sessions))
      and (v_id is null or (m.reserved_at, m.id) < (v_at, v_id))
    order by m.reserved_at desc, m.id desc limit p_limit) x);
end $$;
comment on function public.ops_machines(jsonb, jsonb, integer) is
  'Lists machines of all tenants for operators, newest first, those after p_after {at, id}. p_filter: alive (not '
  'destroyed), state[], kind (session, standby, hot), tenant, region, app, unwanted (should be gone), lapsed (its '
  'worker is not heard), sessions[].';
grant execute on function public.ops_machines(jsonb, jsonb, integer) to orchestrator;

create function public.ops_machine(p_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.ops_machine_json(m) || jsonb_build_object('taken_by', m.taken_by, 'taken_until', m.taken_until,
    'counts', m.counts,
    'events', (select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'type', e.type, 'data', e.data,
        'created_at', e.created_at) order by e.id), '[]')
      from public.session_events e where e.session_id = m.session_id and e.data ->> 'machine_id' = m.id::text))
  from public.machines m where m.id = p_id
$$;
comment on function public.ops_machine(uuid) is
  'Returns everything that operators see of one machine, with its events. Null if there is none.';
grant execute on function public.ops_machine(uuid) to orchestrator;
