create view app.ops_machine_rows with (security_invoker = true) as
  select m.id as machine_id, m.fly_machine_id, m.app_name, m.tenant_id, t.slug as tenant, m.region, m.state, m.reason,
    m.evidence, case when m.session_id is not null then 'session' when m.hot then 'hot' else 'standby' end as kind,
    app.is_unwanted(m) as unwanted, m.epoch, m.reserved_at, m.destroyed_at, m.last_heartbeat_at, m.rss_bytes,
    m.unsaved_entries, case when s.id is not null then row_to_json(x) end as session,
    u.cost_usd + u.standby_cost_usd + u.hot_cost_usd as cost_usd
  from public.machines m join public.tenants t on t.id = m.tenant_id
    left join public.interview_sessions s on s.id = m.session_id
    left join public.machine_usage u on u.machine_id = m.id
    cross join lateral (select s.id as session_id, s.status, s.presence,
      s.machine_id is not distinct from m.id as served_by_this) x;
comment on view app.ops_machine_rows is
  'A machine as operators see it in a list: what lists show, because each further column is written for every row.';

create view app.ops_machine_documents with (security_invoker = true) as
  select v.*, m.name, m.fly_request_id, m.image, m.hot, m.attempt, m.not_before, m.asked_at, m.answered_at,
    m.created_at, m.started_at, m.assigned_at, m.booted_at, m.claimed_at, m.draining_at, m.destroying_at,
    m.lease_expires_at, m.hard_deadline_at, m.first_absent_at, m.host_bad_since, m.unreachable_since
  from app.ops_machine_rows v join public.machines m on m.id = v.machine_id;
comment on view app.ops_machine_documents is 'A machine as operators see it by itself, and with its session.';

create function app.machine_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_machine_rows v on v.machine_id = g.id);
end $$;
comment on function app.machine_rows(uuid[]) is 'Returns the machines with these ids, in their order.';

create function app.machine_conditions(p_filter jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_states text[] := app.texts_of(p_filter -> 'state');
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'sessions', 'm.session_id = any (' || quote_literal(app.texts_of(p_filter -> 'sessions')) || ')',
    'alive', case when (p_filter ->> 'alive')::boolean or (p_filter ->> 'unwanted')::boolean
      or (p_filter ->> 'lapsed')::boolean or 'destroyed' <> all (v_states) then 'm.state <> ''destroyed''' end,
    'states', 'm.state = any (' || quote_literal(v_states) || ')',
    'kind', case p_filter ->> 'kind' when 'session' then 'm.session_id is not null'
      when 'hot' then 'm.session_id is null and m.hot' when 'standby' then 'm.session_id is null and not m.hot' end,
    'tenant', 'm.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'region', 'm.region = ' || quote_literal(p_filter ->> 'region'),
    'app', 'm.app_name = ' || quote_literal(p_filter ->> 'app'),
    -- An app has one tenant, and only the tenant has an index.
    'owner', case when p_filter ->> 'app' is not null then format('m.tenant_id = %L', (select a.tenant_id
      from public.tenant_apps a where a.name = p_filter ->> 'app')) end,
    'unwanted', case when (p_filter ->> 'unwanted')::boolean then 'app.is_unwanted(m::public.machines)' end,
    'lapsed', case when (p_filter ->> 'lapsed')::boolean
      then 'm.state = ''claimed'' and m.lease_expires_at < now()' end));
end $$;
comment on function app.machine_conditions(jsonb) is
  'Returns the SQL conditions of a filter of machines m, by name.';

create function public.ops_machines(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  v_all jsonb := app.machine_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('after',
    '(m.reserved_at, m.id) < (' || quote_literal(p_after ->> 'at') || ', ' || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'm.reserved_at desc, m.id desc';
  v_from text := 'public.machines m';
  v_walk text[] := app.walk_of(v_all, '{sessions, tenant, owner, alive, region}') || '{after}'::text[];
  v_page record;
begin
  if v_all ? 'sessions' then
    v_from := format('(select m.* from public.machines m where %s offset 0) m', v_all ->> 'sessions');
    v_all := v_all - 'sessions';
  end if;
  v_page := app.page_of(
    format('select m.* from %s where %s order by %s', v_from, app.conditions(v_all, v_walk, true), v_order),
    format('select m.id from walked m where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', reserved_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else app.walk_window() end, p_limit);
  return json_build_object('rows', app.machine_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function public.ops_machines(jsonb, jsonb, integer) is
  'Lists machines of all tenants for operators, newest first, those after p_after {at, id}. p_filter: alive (not '
  'destroyed), state[], kind (session, standby, hot), tenant, region, app, unwanted (should be gone), lapsed (its '
  'worker is not heard), sessions[]. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_machines(jsonb, jsonb, integer) to orchestrator;

create function public.ops_machine(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object('taken_by', m.taken_by, 'taken_until', m.taken_until,
    'counts', m.counts,
    'events', (select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'type', e.type, 'data', e.data,
        'created_at', e.created_at) order by e.id), '[]')
      from public.session_events e where e.session_id = m.session_id and e.data ->> 'machine_id' = m.id::text))
  from public.machines m join app.ops_machine_documents v on v.machine_id = m.id where m.id = p_id);
end $$;
comment on function public.ops_machine(uuid) is
  'Returns everything that operators see of one machine, with its events. Null if there is none.';
grant execute on function public.ops_machine(uuid) to orchestrator;
