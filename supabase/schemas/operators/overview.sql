create function app.start_figures(p_since timestamptz, p_budgets_ms jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select coalesce(jsonb_agg(to_jsonb(x) order by x.path), '[]') from (
    select p.path, count(*) as starts,
      round(percentile_cont(0.5) within group (order by p.start_ms)) as p50_ms,
      round(percentile_cont(0.95) within group (order by p.start_ms)) as p95_ms,
      round(percentile_cont(0.99) within group (order by p.start_ms)) as p99_ms, max(p.start_ms) as max_ms,
      count(*) filter (where p.start_ms > (p_budgets_ms ->> p.path)::integer) as slow
    from public.session_phases p where p.ready_at > p_since and p.path is not null group by p.path) x);
end $$;
comment on function app.start_figures(timestamptz, jsonb) is
  'Returns for each path how many sessions became ready since then, percentiles of how long that took, ms, and how '
  'many took longer than p_budgets_ms allows for their path.';

create function public.ops_overview(p_budgets_ms jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with fleet as materialized (select public.fleet_gauges() as gauges),
  prepared as materialized (
    select m.* from fleet, jsonb_to_recordset(gauges -> 'prepared') m (region text, hot boolean, ready integer))
  select (select gauges from fleet) || jsonb_build_object(
    'now', clock_timestamp(),
    'starts', app.start_figures(now() - interval '1 hour', p_budgets_ms),
    'ended', (select coalesce(jsonb_agg(jsonb_build_object('reason', x.reason, 'count', x.count)), '[]') from (
      select s.reason, count(*) as count from public.interview_sessions s
      where s.status in ('failed', 'disconnected', 'expired', 'cancelled')
        and s.completed_at > now() - interval '1 hour' and not s.test group by 1 order by 2 desc) x),
    'pools', (select coalesce(jsonb_agg(to_jsonb(x) order by x.region), '[]') from (
      select p.region, sum(p.floor)::integer as floor, sum(p.ceiling)::integer as ceiling,
        sum(p.hot_floor)::integer as hot_floor,
        coalesce((select sum(m.ready) from prepared m where m.region = p.region and not m.hot), 0) as ready,
        coalesce((select sum(m.ready) from prepared m where m.region = p.region and m.hot), 0) as hot_ready
      from public.pool_policies p group by p.region) x),
    'spend', (select jsonb_build_object('today_usd', coalesce(sum(d.run_usd + d.standby_usd + d.hot_usd), 0),
      'today_prepared_usd', coalesce(sum(d.standby_usd + d.hot_usd), 0))
      from app.daily_costs d where d.day = (now() at time zone 'UTC')::date),
    'duties', (select coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'holder', d.holder,
      'held', d.expires_at > clock_timestamp()) order by d.name), '[]') from public.duties d),
    'orchestrator_list', (select coalesce(jsonb_agg(jsonb_build_object('orchestrator_id', o.id, 'url', o.url,
      'version', o.version, 'started_at', o.started_at, 'last_seen_at', o.last_seen_at, 'draining', o.draining,
      'worker_image', o.worker_image) order by o.started_at), '[]')
      from public.orchestrators o where o.last_seen_at > clock_timestamp() - interval '10 minutes'),
    'drains', (select coalesce(jsonb_agg(to_jsonb(d) order by d.region), '[]') from public.region_drains d
      where d.until is null or d.until > clock_timestamp()),
    'brake_holds', (select coalesce(jsonb_agg(jsonb_build_object('hold_id', b.id, 'app_name', b.app_name,
      'ends', jsonb_array_length(b.ends), 'held_at', b.held_at, 'seen_at', b.seen_at) order by b.held_at), '[]')
      from public.brake_holds b where b.seen_at > clock_timestamp() - interval '1 minute'
        and b.carried_out_at is null),
    'webhooks_failing', (select count(*) from public.webhook_endpoints w where w.failing_since is not null)));
end $$;
comment on function public.ops_overview(jsonb) is
  'Returns the figures of the operators'' overview: fleet_gauges, and the starts and failures of the last hour, pools, '
  'cost, orchestrators with their duties, drained regions and what the brake holds. p_budgets_ms: how long a start may '
  'take, by path.';
grant execute on function public.ops_overview(jsonb) to orchestrator;

create function public.ops_costs(p_days integer) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with u as (select * from app.daily_costs where day > (now() at time zone 'UTC')::date - p_days)
  select jsonb_build_object(
    'days', (select coalesce(jsonb_agg(to_jsonb(d) order by d.day), '[]') from (
      select day, sum(run_usd) as run_usd, sum(standby_usd) as standby_usd, sum(hot_usd) as hot_usd,
        sum(machines) as machines from u group by day) d),
    'tenants', (select coalesce(jsonb_agg(to_jsonb(x) order by x.total_usd desc), '[]') from (
      select s.tenant_id, t.slug as tenant, s.run_usd, s.standby_usd, s.hot_usd,
        s.run_usd + s.standby_usd + s.hot_usd as total_usd
      from (select tenant_id, sum(run_usd) as run_usd, sum(standby_usd) as standby_usd, sum(hot_usd) as hot_usd
        from u group by tenant_id) s join public.tenants t on t.id = s.tenant_id
      order by total_usd desc limit 100) x)));
end $$;
comment on function public.ops_costs(integer) is
  'Returns what machines cost on each of the last p_days days (UTC, today included), and for the 100 tenants that cost '
  'most, without test mode. A machine counts on the day on which its usage was recorded.';
grant execute on function public.ops_costs(integer) to orchestrator;

create function public.ops_schedule(p_minutes integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(json_agg(row_to_json(y) order by y.minute, y.tenant, y.region), '[]') from (
    select x.minute, x.tenant_id, t.slug as tenant, x.region, x.sessions from (
      select date_trunc('minute', s.scheduled_at) as minute, s.tenant_id, coalesce(s.regions[1], s.region) as region,
        count(*) as sessions
      from public.interview_sessions s where s.status = 'scheduled'
        and s.scheduled_at < now() + make_interval(mins => p_minutes)
      group by 1, 2, 3) x join public.tenants t on t.id = x.tenant_id) y);
end $$;
comment on function public.ops_schedule(integer) is
  'Returns how many scheduled sessions begin in each of the next minutes, by tenant and region.';
grant execute on function public.ops_schedule(integer) to orchestrator;
