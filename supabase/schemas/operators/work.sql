create function app.open_work() returns table (kind text, id text, tenant_id uuid, session_id uuid, state text,
  attempts integer, due_at timestamptz, last_error text, since timestamptz)
language sql stable set search_path = '' as $$
  select 'result', r.session_id::text, r.tenant_id, r.session_id, r.status, r.attempts, r.next_attempt_at,
      coalesce(r.last_error, r.failure), r.created_at
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
    from public.webhook_endpoints w where w.failing_since is not null
$$;
comment on function app.open_work() is
  'Returns the work that is still owed for sessions and tenants, of every kind. A webhook is listed while nothing '
  'reaches its endpoint.';

create function public.ops_work(p_filter jsonb, p_after jsonb, p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_kind text := p_filter ->> 'kind';
  v_states text[] := app.texts_of(p_filter -> 'state');
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_key text := p_after ->> 'key';
begin
  return (select coalesce(jsonb_agg(to_jsonb(x) || jsonb_build_object(
      'tenant', (select t.slug from public.tenants t where t.id = x.tenant_id)) order by x.due_at, x.key), '[]') from (
    select w.*, w.kind || ' ' || w.id as key from app.open_work() w
    where (v_kind is null or w.kind = v_kind) and (v_states is null or w.state = any (v_states))
      and (v_tenant is null or w.tenant_id = v_tenant)
      and (v_key is null or (w.due_at, w.kind || ' ' || w.id) > (v_at, v_key))
    order by w.due_at, w.kind || ' ' || w.id limit p_limit) x);
end $$;
comment on function public.ops_work(jsonb, jsonb, integer) is
  'Lists owed work of all tenants for operators, the longest due first, that after p_after {at, key}. p_filter: kind, '
  'state[] (pending, running, failing, dead), tenant.';
grant execute on function public.ops_work(jsonb, jsonb, integer) to orchestrator;

create function public.ops_deliveries(p_filter jsonb, p_after jsonb, p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_webhook uuid := (p_filter ->> 'webhook')::uuid;
  v_session uuid := (p_filter ->> 'session')::uuid;
  v_status text := p_filter ->> 'status';
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_id uuid := (p_after ->> 'id')::uuid;
begin
  return (select coalesce(jsonb_agg(app.delivery_json(x.d) || jsonb_build_object('tenant_id', x.tenant_id,
      'tenant', (select t.slug from public.tenants t where t.id = x.tenant_id))
      order by x.created_at desc, x.id desc), '[]') from (
    select d, d.tenant_id, d.created_at, d.id from public.webhook_deliveries d
    where (v_tenant is null or d.tenant_id = v_tenant) and (v_webhook is null or d.endpoint_id = v_webhook)
      and (v_session is null or d.session_id = v_session) and (v_status is null or d.status = v_status)
      and (v_id is null or (d.created_at, d.id) < (v_at, v_id))
    order by d.created_at desc, d.id desc limit p_limit) x);
end $$;
comment on function public.ops_deliveries(jsonb, jsonb, integer) is
  'Lists webhook deliveries for operators, newest first, those after p_after {at, id}. p_filter: one of tenant, '
  'webhook and session, and status. Without their payloads.';
grant execute on function public.ops_deliveries(jsonb, jsonb, integer) to orchestrator;

create function public.ops_delivery(p_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.delivery_json(d) || jsonb_build_object('tenant_id', d.tenant_id, 'log', d.log,
    'erased', d.payload = '{}')
  from public.webhook_deliveries d where d.id = p_id
$$;
comment on function public.ops_delivery(uuid) is
  'Returns a webhook delivery with the log of its attempts for operators. Null if there is none.';
grant execute on function public.ops_delivery(uuid) to orchestrator;
