create function public.fleet_gauges() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with live as materialized (
    select t.slug as tenant, l.status, coalesce(l.region, 'none') as region, l.queued, l.count, l.replaced, l.present,
      l.due
    from app.live_counts l join public.tenants t on t.id = l.tenant_id),
  machine as materialized (select * from app.machine_counts),
  work (kind, pending, dead) as (
    -- One count per partial index.
    select 'evaluation',
      (select count(*) from public.interview_results where status in ('pending', 'running')),
      (select count(*) from public.interview_results where status = 'dead')
    union all
    select 'webhook',
      (select count(*) from public.webhook_deliveries where status = 'pending' and holds)
        + (select count(*) from public.webhook_deliveries where status = 'pending' and not holds), 0
    union all
    select 'hang_up', count(*), 0 from public.realtime_calls c
      join public.interview_sessions s on s.id = c.session_id
      where c.hung_up_at is null and s.state_rank >= app.rank_of('ended')
    union all
    select 'recording_deletion', count(*), 0 from public.video_deletions where deleted_at is null)
  select jsonb_build_object(
    'sessions', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select tenant, status, region, sum(count) as count from live group by 1, 2, 3) g),
    'queued', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select tenant, sum(count) as count from live where queued group by 1) g),
    'replaced', (select coalesce(sum(replaced), 0) from live),
    'present', (select coalesce(sum(present), 0) from live),
    'due', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select region, sum(due) as count from live where due > 0 group by 1) g),
    'creates_per_second', (select coalesce(sum(creates_per_second), 0) from public.tenant_apps where status = 'ready'),
    'create_backlog_s', (select coalesce(extract(epoch from max(next_create_at) - clock_timestamp()), 0)
      from public.tenant_apps where status = 'ready' and next_create_at > clock_timestamp()),
    'machines', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select state, region, sum(count) as count from machine group by 1, 2) g),
    'prepared', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select region, hot, serving, sum(count) as count, sum(ready) as ready from machine
      where state in ('created', 'started', 'claimed', 'draining') group by 1, 2, 3) g),
    'work', (select jsonb_agg(to_jsonb(w)) from work w),
    'duties_without_holder', (select count(*) from public.duties where expires_at <= clock_timestamp()),
    'orchestrators', (select count(*) from public.orchestrators where not draining
      and last_seen_at > clock_timestamp() - interval '30 seconds'),
    'unsaved_entries', (select coalesce(sum(unsaved_entries), 0) from machine),
    'worker_memory_bytes', (select coalesce(max(rss_bytes), 0) from machine),
    'unwanted', (select coalesce(sum(unwanted), 0) from machine)));
end $$;
comment on function public.fleet_gauges() is
  'Counts sessions, machines and owed work for the metrics; called every few seconds by the orchestrator that holds '
  'the duty housekeeping. Returns only values above zero, so a removed tenant is not in the answer.';
grant execute on function public.fleet_gauges() to orchestrator;
