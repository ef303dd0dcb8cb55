create function app.scan_window() returns integer language sql immutable set search_path = '' as 'select 5000';
comment on function app.scan_window() is
  'Returns how many rows of a log one page looks through for a filter without an index. The next page continues '
  'there.';

create view app.ops_event_rows with (security_invoker = true) as
  select e.id, e.session_id, e.tenant_id, t.slug as tenant, e.type, e.data, e.created_at
  from public.session_events e join public.tenants t on t.id = e.tenant_id;
comment on view app.ops_event_rows is 'An event as operators see it.';

create function public.ops_events(p_filter jsonb, p_before bigint, p_after bigint, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_session uuid := (p_filter ->> 'session')::uuid;
  v_types text[] := app.texts_of(p_filter -> 'type');
  v_newest bigint := least(p_before - 1, (select max(id) from public.session_events));
  -- Only a filter by type alone is not supported by an index.
  v_oldest bigint := case when v_types is not null and v_session is null then v_newest - app.scan_window() end;
  v_rows json;
  v_found bigint;
begin
  if p_after is not null then
    return json_build_object('rows', (select coalesce(json_agg(row_to_json(x) order by x.id), '[]') from (
      select * from app.ops_event_rows e
      where e.id > p_after and (v_tenant is null or e.tenant_id = v_tenant)
        and (v_session is null or e.session_id = v_session) and (v_types is null or e.type = any (v_types))
      order by e.id limit p_limit) x), 'searched_to', null);
  end if;
  select coalesce(json_agg(row_to_json(x) order by x.id desc), '[]'), count(*) into v_rows, v_found from (
    select * from app.ops_event_rows e
    where e.id <= v_newest and (v_oldest is null or e.id > v_oldest)
      and (v_tenant is null or e.tenant_id = v_tenant) and (v_session is null or e.session_id = v_session)
      and (v_types is null or e.type = any (v_types))
    order by e.id desc limit p_limit) x;
  return json_build_object('rows', v_rows, 'searched_to',
    case when v_oldest > 0 and v_found < p_limit then v_oldest + 1 end);
end $$;
comment on function public.ops_events(jsonb, bigint, bigint, integer) is
  'Lists events of all tenants for operators. With p_after: those with a greater id, in their order; otherwise newest '
  'first, those before p_before. p_filter: tenant, session, type[]. Returns {rows, searched_to}: if searched_to is '
  'set, older events were not looked at, and the next page begins before it.';
grant execute on function public.ops_events(jsonb, bigint, bigint, integer) to orchestrator;

create function public.ops_new_events(p_after bigint, p_missing bigint[], p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return json_build_object('newest', coalesce((select max(id) from public.session_events), 0),
    'rows', (select coalesce(json_agg(row_to_json(x) order by x.id), '[]') from (
      select y.*, y.created_at < now() - interval '10 seconds' as settled from (
        (select * from app.ops_event_rows where id > p_after order by id limit p_limit)
        union all
        (select * from app.ops_event_rows where id = any (p_missing) and id <= p_after)) y) x));
end $$;
comment on function public.ops_new_events(bigint, bigint[], integer) is
  'Returns events of all tenants after p_after, at most p_limit, and those of p_missing, for the live stream of '
  'operators. A slower transaction may commit a smaller id later, so the reader asks again for ids that were missing; '
  'settled: no smaller id can follow any more. newest is the greatest id of all.';
grant execute on function public.ops_new_events(bigint, bigint[], integer) to orchestrator;

create view app.ops_audit_rows with (security_invoker = true) as
  select a.id, a.tenant_id, t.slug as tenant, a.actor, a.action, a.target, a.outcome, a.remote_address, a.request_id,
    a.details, a.created_at
  from public.audit_log a left join public.tenants t on t.id = a.tenant_id;
comment on view app.ops_audit_rows is 'An audit entry as operators see it.';

create function public.ops_audit(p_filter jsonb, p_before bigint, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_actor text := p_filter ->> 'actor';
  v_action text := p_filter ->> 'action';
  v_target text := p_filter ->> 'target';
  v_outcome text := p_filter ->> 'outcome';
  v_request text := p_filter ->> 'request';
  v_newest bigint := least(p_before - 1, (select max(id) from public.audit_log));
  v_oldest bigint := case when coalesce(v_action, v_outcome) is not null
    and coalesce(v_actor, v_target, v_request) is null then v_newest - app.scan_window() end;
  v_rows json;
  v_found bigint;
begin
  select coalesce(json_agg(row_to_json(x) order by x.id desc), '[]'), count(*) into v_rows, v_found from (
    select * from app.ops_audit_rows a
    where a.id <= v_newest and (v_oldest is null or a.id > v_oldest)
      and (v_tenant is null or a.tenant_id = v_tenant) and (v_actor is null or a.actor = v_actor)
      and (v_action is null or a.action = v_action) and (v_target is null or a.target = v_target)
      and (v_outcome is null or a.outcome = v_outcome) and (v_request is null or a.request_id = v_request)
    order by a.id desc limit p_limit) x;
  return json_build_object('rows', v_rows, 'searched_to',
    case when v_oldest > 0 and v_found < p_limit then v_oldest + 1 end);
end $$;
comment on function public.ops_audit(jsonb, bigint, integer) is
  'Lists audit entries of all tenants for operators, newest first, those before p_before. p_filter: tenant, actor, '
  'action, target, outcome, request. Returns {rows, searched_to} as ops_events does.';
grant execute on function public.ops_audit(jsonb, bigint, integer) to orchestrator;
