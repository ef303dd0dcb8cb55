create view app.ops_tenant_rows with (security_invoker = true) as
  select t.id as tenant_id, t.slug, t.name, t.status, coalesce(c.live_sessions, 0) as live_sessions,
    t.max_live_sessions, t.starts_per_minute, t.max_standby,
    (select count(*) from public.interview_sessions s where s.tenant_id = t.id
      and s.queue_deadline_at is not null) as queued,
    (select count(*) from public.machines m where m.tenant_id = t.id and m.session_id is null
      and m.state = 'created' and not m.hot) as standby,
    (select count(*) from public.machines m where m.tenant_id = t.id and m.session_id is null
      and m.state = 'started' and m.hot) as hot,
    a.creates_per_second, a.apps,
    (select count(*) from public.api_keys k where k.tenant_id = t.id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now())) as keys,
    w.webhooks, w.webhooks_failing, nullif(c.quota_reached_at, '-infinity') as quota_reached_at, t.created_at
  from public.tenants t left join public.tenant_counters c on c.tenant_id = t.id
    cross join lateral (
      select count(*) as webhooks,
        count(*) filter (where e.failing_since is not null or not e.enabled) as webhooks_failing
      from public.webhook_endpoints e where e.tenant_id = t.id) w
    cross join lateral (
      select coalesce(sum(x.creates_per_second) filter (where x.status = 'ready'), 0) as creates_per_second,
        coalesce(json_agg(json_build_object('name', x.name, 'status', x.status) order by x.name), '[]') as apps
      from public.tenant_apps x where x.tenant_id = t.id) a;
comment on view app.ops_tenant_rows is 'A tenant as operators see it in a list.';

create function public.ops_tenants(p_filter jsonb, p_after text, p_limit integer) returns json
-- Each tenant of the page looks up its own rows: by their index, also while a table is small.
language plpgsql stable security definer set search_path = '' set enable_seqscan = off as $$
declare
  v_status text := p_filter ->> 'status';
begin
  return (select coalesce(json_agg(row_to_json(x) order by x.slug), '[]') from (
    select * from app.ops_tenant_rows t
    where (v_status is null or t.status = v_status) and t.slug > coalesce(p_after, '')
    order by t.slug limit p_limit) x);
end $$;
comment on function public.ops_tenants(jsonb, text, integer) is
  'Lists tenants for operators by slug, those after p_after. p_filter: status.';
grant execute on function public.ops_tenants(jsonb, text, integer) to orchestrator;

create function public.ops_tenant(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object(
    'allowed_regions', to_jsonb(t.allowed_regions), 'max_duration_ms', t.max_duration_ms,
    'require_consent', t.require_consent, 'transcript_days', t.transcript_days, 'video_days', t.video_days,
    'audit_days', t.audit_days,
    'pools', public.pool_of_tenant(t.id),
    'api_keys', (select coalesce(jsonb_agg(jsonb_build_object('key_id', k.id, 'name', k.name, 'prefix', k.prefix,
        'scopes', k.scopes, 'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at)
        order by k.created_at desc), '[]') from (
      select * from public.api_keys a where a.tenant_id = t.id order by a.created_at desc limit 100) k),
    'endpoints', (select coalesce(jsonb_agg(jsonb_build_object('webhook_id', w.id, 'url', w.url, 'events', w.events,
        'enabled', w.enabled, 'disabled_reason', w.disabled_reason, 'failures', w.failures,
        'failing_since', w.failing_since) order by w.created_at), '[]')
      from public.webhook_endpoints w where w.tenant_id = t.id),
    'usage_30_days', (select jsonb_build_object('machines', coalesce(sum(d.machines), 0),
        'cost_usd', coalesce(sum(d.run_usd), 0), 'standby_cost_usd', coalesce(sum(d.standby_usd), 0),
        'hot_cost_usd', coalesce(sum(d.hot_usd), 0),
        'sessions', (select count(*) from (select from public.interview_sessions s where s.tenant_id = t.id
          and s.created_at > now() - interval '30 days' limit 1001) x))
      from app.daily_costs d where d.tenant_id = t.id and d.day > (now() at time zone 'UTC')::date - 30))
  from public.tenants t join app.ops_tenant_rows v on v.tenant_id = t.id where t.id = p_id);
end $$;
comment on function public.ops_tenant(uuid) is
  'Returns everything that operators see of one tenant: limits, apps, pools, keys (never their secrets), webhooks and '
  'the cost of 30 days: the sums of ops_costs, so without test mode, and the sessions created in this time, of which '
  'at most 1,001 are counted. Null if there is none.';
grant execute on function public.ops_tenant(uuid) to orchestrator;

create function public.ops_pools(p_filter jsonb) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(json_agg(row_to_json(x) order by x.tenant, x.region), '[]') from (
    select t.slug as tenant, p.* from app.pools p join public.tenants t on t.id = p.tenant_id
    where (not p_filter ? 'tenant' or p.tenant_id = (p_filter ->> 'tenant')::uuid)
      and (not p_filter ? 'region' or p.region = p_filter ->> 'region')) x);
end $$;
comment on function public.ops_pools(jsonb) is
  'Lists the pools of all tenants for operators, with what each has: ready, building, and due within the hour. '
  'p_filter: tenant, region.';
grant execute on function public.ops_pools(jsonb) to orchestrator;

create function public.ops_regions() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with live as (
    select region, sum(count) as sessions, sum(present) as present from app.live_counts where status <> 'scheduled'
    group by 1),
  machine as (
    select region, sum(count) filter (where serving) as serving,
      sum(count) filter (where not serving and not hot) as standby,
      sum(count) filter (where not serving and hot) as hot
    from app.machine_counts group by 1),
  recent as (
    select region, count(*) as tries, count(*) filter (where reason in ('create_failed', 'start_failed')) as failures,
      percentile_cont(0.5) within group (order by extract(epoch from answered_at - asked_at) * 1000) as create_ms,
      max(created_at) as last_created_at
    from public.machines where reserved_at > now() - interval '1 hour' group by 1)
  select coalesce(jsonb_agg(jsonb_build_object('region', r.region,
    'sessions', coalesce(l.sessions, 0), 'present', coalesce(l.present, 0), 'serving', coalesce(m.serving, 0),
    'standby', coalesce(m.standby, 0), 'hot', coalesce(m.hot, 0), 'tries_hour', coalesce(c.tries, 0),
    'failures_hour', coalesce(c.failures, 0), 'create_ms', round(c.create_ms), 'last_created_at', c.last_created_at,
    'drain', (select to_jsonb(d) from public.region_drains d where d.region = r.region
      and (d.until is null or d.until > clock_timestamp())))
    order by r.region), '[]')
  from (select region from live union select region from machine union select region from recent
    union select region from public.region_drains) r
  left join live l using (region) left join machine m using (region) left join recent c using (region)
  where r.region is not null);
end $$;
comment on function public.ops_regions() is
  'Returns for each region that is in use: sessions, machines, the creations of the last hour with their median '
  'duration, and whether it is drained.';
grant execute on function public.ops_regions() to orchestrator;
