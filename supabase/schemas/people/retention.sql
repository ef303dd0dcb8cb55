create function app.expire_transcripts(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.transcript_days is not null and x.state_rank >= app.rank_of('ended') and x.transcript_erased_at is null
      and x.completed_at < clock_timestamp() - make_interval(days => t.transcript_days)
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
      and x.completed_at < clock_timestamp() - make_interval(days => t.video_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_video(s.id, 'retention');
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_videos(integer) is 'Moves recordings whose retention time is over to video_deletions.';

create function public.expire_retained(p_limit integer default 100) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_transcripts integer := app.expire_transcripts(p_limit);
  v_videos integer := app.expire_videos(p_limit);
  v_audit integer;
  v_limits integer;
begin
  delete from public.audit_log where id in (
    select a.id from public.tenants t join public.audit_log a on a.tenant_id = t.id
    where t.audit_days is not null and a.created_at < clock_timestamp() - make_interval(days => t.audit_days)
      limit p_limit);
  get diagnostics v_audit = row_count;
  -- A limit that is full again needs no row: the next request creates it.
  delete from public.rate_limits where scope in (
    select scope from public.rate_limits where next_at < clock_timestamp() - interval '1 hour'
      limit p_limit for update skip locked);
  get diagnostics v_limits = row_count;
  return jsonb_build_object('transcripts', v_transcripts, 'videos', v_videos, 'audit_entries', v_audit,
    'rate_limits', v_limits,
    'more', greatest(v_transcripts, v_videos, v_audit, v_limits) >= p_limit);
end $$;
comment on function public.expire_retained(integer) is
  'Applies the retention rules of all tenants, and deletes unused rate limits, at most '
  'p_limit of each kind; called by the regular job. more says whether to call again at once.';
grant execute on function public.expire_retained(integer) to orchestrator;
