create view app.open_work with (security_invoker = true) as
  select 'result' as kind, r.session_id::text as id, r.tenant_id, r.session_id, r.status as state, r.attempts,
      r.next_attempt_at as due_at, coalesce(r.last_error, r.failure) as last_error, r.created_at as since
    from public.interview_results r where r.status in ('pending', 'running')
  union all
  select 'result', r.session_id::text, r.tenant_id, r.session_id, r.status, r.attempts, r.updated_at,
      coalesce(r.last_error, r.failure), r.created_at
    from public.interview_results r where r.status = 'dead'
  union all
  select 'recording', v.session_id::text || '/' || v.ordinal, v.tenant_id, v.session_id, 'pending', v.attempts,
      v.next_attempt_at, v.failure, v.created_at
    from public.video_jobs v where v.state in ('wanted', 'closing', 'processing')
  union all
  select 'recording_deletion', d.video_id, d.tenant_id, null, 'pending', d.attempts, d.next_attempt_at, d.last_error,
      d.created_at
    from public.video_deletions d where d.deleted_at is null
  union all
  select 'hang_up', c.session_id::text || '/' || c.ordinal, c.tenant_id, c.session_id, 'pending', c.hang_up_attempts,
      coalesce(c.next_hang_up_at, s.completed_at), null, s.completed_at
    from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
      and s.state_rank >= app.rank_of('ended') where c.hung_up_at is null
  union all
  select 'erasure', e.candidate_id::text, e.tenant_id, null, 'pending', 0, e.erasure_requested_at, null,
      e.erasure_requested_at
    from public.tenant_candidates e where e.erasure_requested_at is not null and e.erased_at is null
  union all
  select 'webhook', w.id::text, w.tenant_id, null,
      case when w.enabled then 'failing' else 'dead' end, w.failures, w.failing_since, w.disabled_reason,
      w.failing_since
    from public.webhook_endpoints w where w.failing_since is not null;
comment on view app.open_work is
  'The work that is still owed for sessions and tenants, of every kind. A webhook is listed while nothing '
  'reaches its endpoint.';

create function public.ops_work(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
declare
  v_kind text := p_filter ->> 'kind';
  v_states text[] := app.texts_of(p_filter -> 'state');
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_key text := p_after ->> 'key';
begin
  return (select coalesce(json_agg(row_to_json(y) order by y.due_at, y.key), '[]') from (
    select x.*, t.slug as tenant from (
      select w.*, w.kind || ' ' || w.id as key from app.open_work w
      where (v_kind is null or w.kind = v_kind) and (v_states is null or w.state = any (v_states))
        and (v_tenant is null or w.tenant_id = v_tenant)
        and (v_key is null or (w.due_at, w.kind || ' ' || w.id) > (v_at, v_key))
      order by w.due_at, w.kind || ' ' || w.id limit p_limit) x
    left join public.tenants t on t.id = x.tenant_id) y);
end $$;
comment on function public.ops_work(jsonb, jsonb, integer) is
  'Lists owed work of all tenants for operators, the longest due first, that after p_after {at, key}. p_filter: kind, '
  'state[] (pending, running, failing, dead), tenant.';
grant execute on function public.ops_work(jsonb, jsonb, integer) to orchestrator;

create view app.ops_delivery_rows with (security_invoker = true) as
  select d.id, d.endpoint_id as webhook_id, d.session_id, d.type, d.status, d.attempts,
    case when d.status = 'pending' then d.next_attempt_at end as next_attempt_at, d.last_status, d.last_error,
    d.delivered_at, d.created_at, d.tenant_id, t.slug as tenant
  from public.webhook_deliveries d join public.tenants t on t.id = d.tenant_id;
comment on view app.ops_delivery_rows is 'A webhook delivery as operators see it in a list.';

create function app.delivery_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_delivery_rows v on v.id = g.id);
end $$;
comment on function app.delivery_rows(uuid[]) is 'Returns the webhook deliveries with these ids, in their order.';

create function public.ops_deliveries(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  v_all jsonb := jsonb_strip_nulls(jsonb_build_object(
    'session', 'd.session_id = ' || quote_literal(p_filter ->> 'session'),
    'webhook', 'd.endpoint_id = ' || quote_literal(p_filter ->> 'webhook'),
    'tenant', 'd.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'status', 'd.status = ' || quote_literal(p_filter ->> 'status'),
    'after', '(d.created_at, d.id) < (' || quote_literal(p_after ->> 'at') || ', '
      || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'd.created_at desc, d.id desc';
  v_walk text[] := app.walk_of(v_all, '{session, webhook, tenant}') || '{after}'::text[];
  v_page record;
begin
  v_page := app.page_of(
    format('select d.id, d.created_at, d.tenant_id, d.endpoint_id, d.status from public.webhook_deliveries d '
      'where %s order by %s', app.conditions(v_all, v_walk, true), v_order),
    format('select d.id from walked d where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', created_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else app.walk_window() end, p_limit);
  return json_build_object('rows', app.delivery_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function public.ops_deliveries(jsonb, jsonb, integer) is
  'Lists webhook deliveries for operators, newest first, those after p_after {at, id}. p_filter: one of tenant, '
  'webhook and session, and status. Without their payloads. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_deliveries(jsonb, jsonb, integer) to orchestrator;

create function public.ops_delivery(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select app.delivery_json(d) || jsonb_build_object('tenant_id', d.tenant_id, 'log', d.log,
    'erased', d.payload = '{}')
  from public.webhook_deliveries d where d.id = p_id);
end $$;
comment on function public.ops_delivery(uuid) is
  'Returns a webhook delivery with the log of its attempts for operators. Null if there is none.';
grant execute on function public.ops_delivery(uuid) to orchestrator;
