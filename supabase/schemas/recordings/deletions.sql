create function public.videos_to_delete(p_limit integer default 20, p_retry_ms integer default 60000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select video_id from public.video_deletions where deleted_at is null and next_attempt_at <= clock_timestamp()
    order by next_attempt_at limit p_limit for update skip locked
  ), taken as (
    update public.video_deletions v set attempts = attempts + 1,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(attempts, 8)))
    from due where v.video_id = due.video_id returning v.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('video_id', video_id, 'tenant_id', tenant_id, 'attempts', attempts,
    'last_error', last_error)), '[]') from taken
$$;
comment on function public.videos_to_delete(integer, integer) is
  'Takes recordings that must be deleted at api.video, for one attempt each; called by the recordings job. A failed '
  'one is due again after a growing delay.';
grant execute on function public.videos_to_delete(integer, integer) to orchestrator;

create function public.record_video_deleted(p_video_id text, p_error text default null) returns void
language sql volatile security definer set search_path = '' as $$
  update public.video_deletions set last_error = p_error, deleted_at = case
    when p_error is null then coalesce(deleted_at, clock_timestamp()) else deleted_at end
  where video_id = p_video_id
$$;
comment on function public.record_video_deleted(text, text) is
  'Records that api.video has deleted a recording, or why the attempt failed; called by the recordings job.';
grant execute on function public.record_video_deleted(text, text) to orchestrator;
