create function app.plan_video() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.state_rank >= app.rank_of('ended') then
    update public.video_jobs set state = 'closing', ended_at = clock_timestamp(), attempts = 0,
      next_attempt_at = clock_timestamp()
      where session_id = new.id and state in ('wanted', 'open', 'dead');
  elsif new.state_rank >= app.rank_of('ready') and new.state_rank < app.rank_of('finalizing')
    and new.consent_withdrawn_at is null then
    insert into public.video_jobs (session_id, ordinal, tenant_id) values (new.id, 1, new.tenant_id)
      on conflict do nothing;
  end if;
  return null;
end $$;
comment on function app.plan_video() is
  'Plans a session''s recording when its worker is ready, so that the upload token exists when the candidate joins, '
  'and closes the recording when the session ends. Nothing is recorded in a test session. Trigger of '
  'interview_sessions.';
create trigger plan_video after update of status on public.interview_sessions for each row
  when (new.settings ->> 'record_video' = 'true' and not new.test and new.state_rank > old.state_rank)
  execute function app.plan_video();

create function app.stop_recording(p_session_id uuid) returns void
language sql volatile set search_path = '' as $$
  update public.video_jobs set state = 'closing', ended_at = clock_timestamp(), attempts = 0,
    next_attempt_at = clock_timestamp()
  where session_id = p_session_id and state in ('wanted', 'open', 'dead')
$$;
comment on function app.stop_recording(uuid) is
  'Closes a session''s recordings because its candidate withdrew consent: their upload tokens are deleted at once.';

create function app.owe_erased_videos() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.video_deletions (video_id, tenant_id, cause)
    select j.video_id, j.tenant_id, 'erasure' from public.video_jobs j where j.session_id = new.id
      and j.video_id is not null
    on conflict do nothing;
  return null;
end $$;
comment on function app.owe_erased_videos() is
  'Adds all recordings of an erased session to video_deletions, including those without a row in video_segments. '
  'Trigger.';
create trigger owe_erased_videos after update of video_erased_at on public.interview_sessions for each row
  when (old.video_erased_at is null and new.video_erased_at is not null)
  execute function app.owe_erased_videos();

create function public.want_video(p_session_id uuid, p_ordinal integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  if not found or s.state_rank >= app.rank_of('finalizing') or s.consent_withdrawn_at is not null
    or coalesce(s.settings ->> 'record_video', '') <> 'true'
    or p_ordinal not between 2 and 20
     or not exists (select from public.video_jobs j where j.session_id = s.id and j.ordinal = p_ordinal - 1) then
    return false;
  end if;
  insert into public.video_jobs (session_id, ordinal, tenant_id) values (s.id, p_ordinal, s.tenant_id)
    on conflict do nothing;
  return true;
end $$;
comment on function public.want_video(uuid, integer) is
  'Plans the next container when a page was reloaded, because a container accepts one upload only; called by the '
  'orchestrator. Returns false if the session records no video, is over, or the previous container was never '
  'requested.';
grant execute on function public.want_video(uuid, integer) to orchestrator;

create function public.take_video_jobs(p_taken_ms integer, p_grace_ms integer, p_limit integer default 10,
  p_per_tenant integer default 10, p_under_way jsonb default '{}') returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select session_id, ordinal, state, next_attempt_at, row_number() over (partition by tenant_id
      order by state <> 'wanted', next_attempt_at) + coalesce((p_under_way ->> tenant_id::text)::integer, 0) as turn
    from public.video_jobs
    where state in ('wanted', 'closing', 'processing') and next_attempt_at <= clock_timestamp()
      and (state <> 'closing' or ended_at is null or ended_at <= clock_timestamp() - app.interval_ms(p_grace_ms)
        or exists (select from public.interview_sessions s where s.id = session_id
          and s.consent_withdrawn_at is not null))
  ), due as (
    select j.session_id, j.ordinal from public.video_jobs j join waiting w using (session_id, ordinal)
    where w.turn <= p_per_tenant and j.next_attempt_at <= clock_timestamp()
    order by w.state <> 'wanted', w.turn, w.next_attempt_at limit p_limit for update of j skip locked
  ), taken as (
    update public.video_jobs j set takes = takes + 1, attempts = attempts + 1,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where (j.session_id, j.ordinal) = (due.session_id, due.ordinal) returning j.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'tenant_id', t.tenant_id,
    'ordinal', t.ordinal, 'take', t.takes, 'attempt', t.attempts,
    'state', t.state, 'video_id', t.video_id, 'token_ciphertext', t.token_ciphertext,
    'token_over', coalesce(t.token_expires_at <= clock_timestamp(), false), 'erased', s.video_erased_at is not null,
    'started', t.started_at is not null,
    'max_duration_ms', s.max_duration_ms, 'traceparent', s.traceparent)), '[]')
  from taken t join public.interview_sessions s on s.id = t.session_id
$$;
comment on function public.take_video_jobs(integer, integer, integer, integer, jsonb) is
  'Takes due recordings for one attempt each, those for which a live session waits first, tenants in turn; called by '
  'the recordings job. Per tenant at most p_per_tenant, including those that the caller is working on ({tenant_id: '
  'n}). A token is deleted p_grace_ms after its session''s end, because the last parts may still be uploading, and at '
  'once when consent was withdrawn.';
grant execute on function public.take_video_jobs(integer, integer, integer, integer, jsonb) to orchestrator;

create function public.record_video_container(p_session_id uuid, p_ordinal integer, p_video_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set video_id = coalesce(video_id, p_video_id) where session_id = p_session_id
    and ordinal = p_ordinal returning * into j;
  if not found then return jsonb_build_object('video_id', null, 'state', null); end if;
  if j.video_id <> p_video_id then
    insert into public.video_deletions (video_id, tenant_id, cause) values (p_video_id, j.tenant_id, 'unused')
      on conflict do nothing;
  end if;
  if s.video_erased_at is not null then
    insert into public.video_deletions (video_id, tenant_id, cause) values (j.video_id, j.tenant_id, 'erasure')
      on conflict do nothing;
  end if;
  return jsonb_build_object('video_id', j.video_id, 'state', j.state);
end $$;
comment on function public.record_video_container(uuid, integer, text) is
  'Stores a new container; called by the recordings job. Returns the container that is used and its state; only '
  'wanted needs a token. A second container is added to video_deletions.';
grant execute on function public.record_video_container(uuid, integer, text) to orchestrator;

create function public.record_video_token(p_session_id uuid, p_ordinal integer, p_ciphertext text, p_life_ms bigint)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  perform 1 from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set state = 'open', token_ciphertext = p_ciphertext, attempts = 0, failure = null,
    token_expires_at = clock_timestamp() + app.interval_ms(p_life_ms)
    where session_id = p_session_id and ordinal = p_ordinal and state = 'wanted' and video_id is not null
      returning * into j;
  if not found then return false; end if;
  perform app.emit(j.session_id, j.tenant_id, 'video.open',
    jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id));
  return true;
end $$;
comment on function public.record_video_token(uuid, integer, text, bigint) is
  'Stores a new upload token; called by the recordings job. Returns false if the token is no longer wanted; the '
  'caller then deletes it.';
grant execute on function public.record_video_token(uuid, integer, text, bigint) to orchestrator;

create function public.record_video_closed(p_session_id uuid, p_ordinal integer, p_take integer, p_uploaded boolean,
  p_video_id text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set state = case when p_uploaded then 'processing' else 'empty' end, token_ciphertext = null,
    attempts = 0, failure = null,
    next_attempt_at = clock_timestamp()
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take and state = 'closing' returning * into j;
  if not found then return false; end if;
  if p_uploaded and s.video_erased_at is null then
    insert into public.video_segments (session_id, tenant_id, video_id, start_ms)
      values (j.session_id, j.tenant_id, j.video_id,
        round(extract(epoch from j.started_at - s.started_at) * 1000)) on conflict do nothing;
  elsif coalesce(j.video_id, p_video_id) is not null then
    insert into public.video_deletions (video_id, tenant_id, cause)
      values (coalesce(j.video_id, p_video_id), j.tenant_id, 'unused') on conflict do nothing;
  end if;
  return true;
end $$;
comment on function public.record_video_closed(uuid, integer, integer, boolean, text) is
  'Records that the token is deleted and whether anything was uploaded; called by the recordings job. If so, a '
  'segment is stored; its URL follows when it can be played. If not, the container (the stored one, or the one found '
  'at api.video) is added to video_deletions. Returns false if the take is stale.';
grant execute on function public.record_video_closed(uuid, integer, integer, boolean, text) to orchestrator;

create function public.record_video_done(p_session_id uuid, p_ordinal integer, p_take integer, p_url text)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  update public.video_jobs set state = 'done', failure = null
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take and state = 'processing'
      returning * into j;
  if not found then return false; end if;
  if s.video_erased_at is not null then return true; end if;
  update public.video_segments set url = p_url where session_id = j.session_id and video_id = j.video_id;
  update public.interview_sessions set video_recording_id = coalesce(video_recording_id, j.video_id),
    video_recording_url = coalesce(video_recording_url, p_url) where id = j.session_id;
  perform app.emit(j.session_id, j.tenant_id, 'video.done',
    jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id));
  return true;
end $$;
comment on function public.record_video_done(uuid, integer, integer, text) is
  'Records that a recording can be played; called by the recordings job. Its segment gets the URL, and so does the '
  'session if it is the first. Returns false if the take is stale.';
grant execute on function public.record_video_done(uuid, integer, integer, text) to orchestrator;

create function public.postpone_video(p_session_id uuid, p_ordinal integer, p_take integer, p_retry_ms bigint,
  p_failure text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  perform 1 from public.interview_sessions where id = p_session_id for key share;
  update public.video_jobs set failure = p_failure, state = case when p_retry_ms is null then 'dead' else state end,
    next_attempt_at = clock_timestamp() + app.interval_ms(coalesce(p_retry_ms, 0))
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take
      and state in ('wanted', 'closing', 'processing') returning * into j;
  if not found then return false; end if;
  if p_retry_ms is null then
    perform app.emit(j.session_id, j.tenant_id, 'video.dead',
      jsonb_build_object('ordinal', j.ordinal, 'failure', p_failure));
  end if;
  return true;
end $$;
comment on function public.postpone_video(uuid, integer, integer, bigint, text) is
  'Schedules a step again after p_retry_ms, or gives the recording up if that is null; called by the recordings job. '
  'p_failure null: nothing failed, it is only too early. The session is not affected. Returns false if the take is '
  'stale.';
grant execute on function public.postpone_video(uuid, integer, integer, bigint, text) to orchestrator;

create function public.video_offers(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id,
    'records', coalesce(s.settings ->> 'record_video' = 'true', false),
    'offer', (select jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id,
      'token_ciphertext', j.token_ciphertext,
      'expires_at_ms', floor(extract(epoch from j.token_expires_at) * 1000))
      from public.video_jobs j where j.session_id = s.id and j.state = 'open' order by j.ordinal desc limit 1))), '[]')
  from public.interview_sessions s where s.id = any (p_session_ids)
$$;
comment on function public.video_offers(uuid[]) is
  'Returns the newest open recording of each of these sessions; called by the worker API to pass it to their '
  'workers.';
grant execute on function public.video_offers(uuid[]) to orchestrator;

create function public.record_video_event(p_body_hash text, p_video_id text, p_type text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  select * into j from public.video_jobs where video_id = p_video_id;
  if not found then return 'unknown'; end if;
  insert into public.video_events (body_hash, session_id, ordinal, type) values (p_body_hash, j.session_id, j.ordinal,
    p_type) on conflict do nothing;
  if not found then return 'repeated'; end if;
  update public.video_jobs set next_attempt_at = clock_timestamp()
    where session_id = j.session_id and ordinal = j.ordinal and state = 'processing'
      and next_attempt_at > clock_timestamp();
  return 'recorded';
end $$;
comment on function public.record_video_event(text, text, text) is
  'Stores an event of api.video and makes its recording due at once; called by the webhook route for api.video. '
  'Returns recorded, repeated or unknown (not one of our recordings).';
grant execute on function public.record_video_event(text, text, text) to orchestrator;

create function public.note_recording_started(p_video_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
begin
  update public.video_jobs set started_at = clock_timestamp()
    where session_id = s.id and video_id = p_video_id and started_at is null;
end $$;
comment on function public.note_recording_started(text) is
  'Stores that the candidate''s browser begins one of the session''s recordings now; called by the worker. Only the '
  'first call counts.';
grant execute on function public.note_recording_started(text) to session_worker;

create function public.recordings_of(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('video_id', v.video_id, 'playable', v.url is not null,
    'created_at', v.created_at, 'started_at', j.started_at,
    'calls', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', c.ordinal,
        'begins_ms', round(extract(epoch from c.answered_at - j.started_at) * 1000)) order by c.ordinal), '[]')
      from public.realtime_calls c
      where c.session_id = v.session_id and c.answered_at is not null and j.started_at is not null))
    order by v.created_at, v.video_id), '[]')
  from public.video_segments v
  left join public.video_jobs j on j.session_id = v.session_id and j.video_id = v.video_id
  where v.session_id = p_session_id
$$;
comment on function public.recordings_of(uuid) is
  'Lists a session''s recordings, oldest first, whether each can be played, and where in it each call begins; called '
  'by the API.';
grant execute on function public.recordings_of(uuid) to orchestrator;

create function public.delete_recording(p_session_id uuid, p_tenant_id uuid, p_video_id text, p_by jsonb) returns text
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return 'no_session'; end if;
  delete from public.video_segments where session_id = s.id and video_id = p_video_id;
  if not found then
    return case when exists (select from public.video_deletions
      where video_id = p_video_id and tenant_id = s.tenant_id and cause = 'request')
      then 'deleted' else 'not_found' end;
  end if;
  insert into public.video_deletions (video_id, tenant_id, cause) values (p_video_id, s.tenant_id, 'request')
    on conflict do nothing;
  update public.video_jobs set state = 'done' where session_id = s.id and video_id = p_video_id
    and state in ('processing', 'dead');
  update public.interview_sessions set video_recording_id = null, video_recording_url = null
    where id = s.id and video_recording_id = p_video_id;
  perform app.audit(p_by, s.tenant_id, 'recording.delete', p_video_id, jsonb_build_object('session_id', s.id));
  return 'deleted';
end $$;
comment on function public.delete_recording(uuid, uuid, text, jsonb) is
  'Removes a recording and queues its deletion at api.video; called by the API. Returns deleted (also when repeated), '
  'not_found or no_session.';
grant execute on function public.delete_recording(uuid, uuid, text, jsonb) to orchestrator;
