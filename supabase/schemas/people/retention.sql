-- Ages are compared with now(): it is stable, so an index can be searched for it; clock_timestamp() is not.

create function app.expire_transcripts(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.transcript_days is not null and x.state_rank >= app.rank_of('ended') and x.transcript_erased_at is null
      and x.completed_at < now() - make_interval(days => t.transcript_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_transcript(s.id);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_transcripts(integer) is 'Erases transcripts and results whose retention time is over.';

create function app.expire_videos(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.video_days is not null and x.state_rank >= app.rank_of('ended') and x.video_erased_at is null
      and x.completed_at < now() - make_interval(days => t.video_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_video(s.id, 'retention');
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_videos(integer) is 'Moves recordings whose retention time is over to video_deletions.';

create function app.expire_audit(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with gone as (
    delete from public.audit_log where id = any (array(select a.id from public.tenants t
      cross join lateral (select x.id from public.audit_log x where x.tenant_id = t.id
        and x.created_at < now() - make_interval(days => t.audit_days)
        order by x.created_at limit p_limit) a
      where t.audit_days is not null limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_audit(integer) is 'Deletes audit entries whose retention time is over.';

create function app.expire_events(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  -- A tenant's events are read in the order of their ids, which is nearly that of their times: the oldest come first.
  -- Its first event shows whether the others have to be read.
  with gone as (
    delete from public.session_events where id = any (array(select e.id from public.tenants t
      cross join lateral (select x.id, x.created_at from public.session_events x where x.tenant_id = t.id
        order by x.id limit p_limit) e
      where (select x.created_at from public.session_events x where x.tenant_id = t.id order by x.id limit 1)
          < now() - make_interval(days => t.event_days)
        and e.created_at < now() - make_interval(days => t.event_days) limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_events(integer) is 'Deletes events whose retention time is over.';

create function app.expire_deliveries(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries where id = any (array(select d.id from public.webhook_endpoints e
      cross join lateral (select x.id from public.webhook_deliveries x where x.endpoint_id = e.id
        and x.created_at < now() - interval '30 days' and (x.status <> 'pending' or not e.enabled)
        order by x.created_at limit p_limit) d
      limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_deliveries(integer) is
  'Deletes webhook deliveries that are 30 days old, unless they are still tried.';

create function app.expire_usage(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with costs as (
    delete from app.daily_costs d using public.tenants t where d.tenant_id = t.id
      and d.day < (now() at time zone 'UTC')::date - t.usage_days),
  gone as (
    delete from public.machine_usage where machine_id = any (array(select u.machine_id from public.tenants t
      cross join lateral (select x.machine_id from public.machine_usage x where x.tenant_id = t.id
        and x.recorded_at < now() - make_interval(days => t.usage_days)
        order by x.recorded_at limit p_limit) u
      where t.usage_days is not null limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_usage(integer) is
  'Deletes usage of machines whose retention time is over, and the sums of days of which no usage is kept.';

create function app.expire_rate_limits(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  -- A limit that is full again needs no row: the next request creates it.
  with gone as (
    delete from public.rate_limits where scope = any (array(
      select scope from public.rate_limits where next_at < now() - interval '1 hour'
        limit p_limit for update skip locked)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_rate_limits(integer) is 'Deletes rate limits that have not been used for an hour.';

create function public.expire_retained(p_limit integer default 100) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  -- An erasure touches many rows, the others delete one.
  v_rows integer := p_limit * 10;
  v_transcripts integer := app.expire_transcripts(p_limit);
  v_videos integer := app.expire_videos(p_limit);
  v_audit integer := app.expire_audit(v_rows);
  v_deliveries integer := app.expire_deliveries(v_rows);
  v_events integer := app.expire_events(v_rows);
  v_usage integer := app.expire_usage(v_rows);
  v_limits integer := app.expire_rate_limits(v_rows);
begin
  return jsonb_build_object('transcripts', v_transcripts, 'videos', v_videos, 'audit_entries', v_audit,
    'deliveries', v_deliveries, 'events', v_events, 'usage', v_usage, 'rate_limits', v_limits,
    'more', greatest(v_transcripts, v_videos) >= p_limit
      or greatest(v_audit, v_deliveries, v_events, v_usage, v_limits) >= v_rows);
end $$;
comment on function public.expire_retained(integer) is
  'Applies the retention rules of all tenants, and deletes old deliveries and unused rate limits: at most p_limit '
  'transcripts and recordings, and ten times as many rows of each other kind; called by the regular job. more says '
  'whether to call again at once.';
grant execute on function public.expire_retained(integer) to orchestrator;
