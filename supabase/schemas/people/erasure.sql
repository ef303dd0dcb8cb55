create function app.guard_erased_transcript() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from incoming i join public.interview_sessions s on s.id = i.session_id
    where s.transcript_erased_at is not null) then
    raise exception 'the transcript was erased' using errcode = 'PT410';
  end if;
  return null;
end $$;
comment on function app.guard_erased_transcript() is
  'Refuses (PT410) entries and results of a session whose transcript was erased, so that a late upload cannot '
  'restore it. Trigger.';
create trigger guard_insert after insert on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_insert after insert on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();

create function app.guard_erased_video() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.video_erased_at is not null) then
    raise exception 'the recordings were erased' using errcode = 'PT410';
  end if;
  return new;
end $$;
comment on function app.guard_erased_video() is
  'Refuses (PT410) a recording of a session whose recordings were erased. Trigger of video_segments.';
create trigger guard before insert
  or update on public.video_segments for each row execute function app.guard_erased_video();

create function app.erase_transcript(p_session_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_entries integer;
begin
  update public.interview_sessions set transcript_erased_at = coalesce(transcript_erased_at, clock_timestamp())
    where id = p_session_id;
  delete from public.interview_results where session_id = p_session_id;
  delete from public.transcript_entries where session_id = p_session_id;
  get diagnostics v_entries = row_count;
  return v_entries;
end $$;
comment on function app.erase_transcript(uuid) is
  'Deletes the transcript and the result of a session. Returns the number of deleted entries.';

create function app.erase_video(p_session_id uuid, p_cause text) returns text[]
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_ids text[];
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  select coalesce(array_agg(distinct v order by v), '{}') into v_ids from (
    select s.video_recording_id as v union all select video_id from public.video_segments
      where session_id = p_session_id) x where v is not null;
  insert into public.video_deletions (video_id, tenant_id, cause) select v, s.tenant_id, p_cause from unnest(v_ids) v
    on conflict do nothing;
  delete from public.video_segments where session_id = p_session_id;
  update public.interview_sessions set video_recording_id = null, video_recording_url = null,
    video_erased_at = coalesce(video_erased_at, clock_timestamp()) where id = p_session_id;
  return v_ids;
end $$;
comment on function app.erase_video(uuid, text) is
  'Moves a session''s recordings to video_deletions. Returns their ids.';

create function app.erase_interview(p_session_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_entries integer := app.erase_transcript(p_session_id);
  v_videos text[] := app.erase_video(p_session_id, 'erasure');
begin
  update public.interview_sessions set integrity = '{}', withdrawal_settled_at = case
    when consent_withdrawn_at is not null then coalesce(withdrawal_settled_at, clock_timestamp()) end
    where id = p_session_id;
  -- The other data of events are needed to understand the course of the session, and none of them is personal.
  update public.session_events set data = data - 'kind' - 'video_id' where session_id = p_session_id
    and type in ('integrity.flagged', 'video.open', 'video.done');
  return jsonb_build_object('transcript_entries', v_entries, 'videos', to_jsonb(v_videos));
end $$;
comment on function app.erase_interview(uuid) is
  'Erases what was said, recorded, observed and evaluated in a session. The candidate, the settings and the consent '
  'remain.';

create function app.erase(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s record;
  v_erased jsonb;
  v_entries integer := 0;
  v_videos jsonb := '[]';
  v_sessions uuid[] := '{}';
begin
  for s in select id from public.interview_sessions where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    order by id for update loop
    v_sessions := v_sessions || s.id;
    v_erased := app.erase_interview(s.id);
    v_entries := v_entries + (v_erased ->> 'transcript_entries')::integer;
    v_videos := v_videos || (v_erased -> 'videos');
  end loop;
  update public.interview_sessions set settings = '{}', metadata = '{}', user_id = null,
    candidate = '{"name": "Erased"}' where id = any (v_sessions);
  delete from public.consents where session_id = any (v_sessions);
  -- After a withdrawal the link must still say that consent was withdrawn. Only hashes of code and browser remain.
  delete from public.session_invitations where session_id in (select x.id from public.interview_sessions x
    where x.id = any (v_sessions) and x.consent_withdrawn_at is null);
  delete from public.idempotency_keys where session_id = any (v_sessions)
    or (tenant_id, candidate_id) = (p_tenant_id, p_candidate_id);
  -- The platform must still learn that consent was withdrawn. That message contains ids only.
  update public.webhook_deliveries set payload = '{}', log = '[]',
      status = case status when 'pending' then 'dead' else status end
    where session_id = any (v_sessions) and type <> 'consent.withdrawn';
  delete from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and v_sessions = '{}';
  update public.tenant_candidates set name = 'Erased', email = null, external_id = null, status = null,
    erased_at = clock_timestamp()
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id;
  delete from public.candidates c where c.id = p_candidate_id and not exists (select from public.tenant_candidates t
    where t.candidate_id = c.id);
  return jsonb_build_object('sessions', cardinality(v_sessions), 'transcript_entries', v_entries,
    'videos', v_videos);
end $$;
comment on function app.erase(uuid, uuid) is
  'Erases all data that a tenant has of a candidate whose sessions have all ended. The sessions remain, without '
  'personal data, for accounting.';

create function public.erase_candidate(p_tenant_id uuid, p_candidate_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_locked uuid[];
  v_live uuid[];
  v_erased jsonb;
begin
  if not exists (select from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  -- Lock all the candidate's sessions first, before any ending locks the tenant's counter, and before the candidate's
  -- row: a withdrawal of consent locks its session, also an ended one, and then the candidate. A session created in
  -- the meantime is left to the next call, because locking it now would violate the lock order.
  v_locked := array(select id from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id order by id for update);
  for s in select id from public.interview_sessions
    where id = any (v_locked) and state_rank < app.rank_of('finalizing') and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'ended_by_platform');
  end loop;
  -- From here on no session of the candidate can be created, because it would refer to this row.
  perform 1 from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(array_agg(id order by id), '{}') into v_live from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and state_rank < app.rank_of('ended');
  if v_live <> '{}' then return jsonb_build_object('kind', 'ending', 'session_ids', to_jsonb(v_live)); end if;
  v_erased := app.erase(p_tenant_id, p_candidate_id);
  perform app.audit(p_by, p_tenant_id, 'candidate.erase', p_candidate_id::text,
    jsonb_build_object('sessions', v_erased -> 'sessions', 'transcript_entries', v_erased -> 'transcript_entries',
      'videos', jsonb_array_length(v_erased -> 'videos')));
  return v_erased || jsonb_build_object('kind', 'erased');
end $$;
comment on function public.erase_candidate(uuid, uuid, jsonb) is
  'Erases a candidate of a tenant; called by the API and by the regular job. Returns kind: erased (with sessions, '
  'transcript_entries and the videos to delete), ending (live sessions were asked to end; call again later), '
  'not_found.';
grant execute on function public.erase_candidate(uuid, uuid, jsonb) to orchestrator;

create function public.request_erasure(p_tenant_id uuid, p_candidate_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_candidates set erasure_requested_at = coalesce(erasure_requested_at, clock_timestamp()),
      erasure_requested_by = coalesce(erasure_requested_by, p_by)
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and erased_at is null;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'requested');
end $$;
comment on function public.request_erasure(uuid, uuid, jsonb) is
  'Records that a candidate must be erased; called by the API. erase_candidate then does it in its own transaction, '
  'because it must lock sessions first. Returns kind: requested, not_found.';
grant execute on function public.request_erasure(uuid, uuid, jsonb) to orchestrator;

create function public.erasures_requested(p_limit integer default 20) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'candidate_id', x.candidate_id,
    'by', x.erasure_requested_by)), '[]')
  from (select * from public.tenant_candidates where erasure_requested_at is not null and erased_at is null
    order by erasure_requested_at limit p_limit) x
$$;
comment on function public.erasures_requested(integer) is
  'Lists candidates whose erasure was requested and has not been done; called by the regular job.';
grant execute on function public.erasures_requested(integer) to orchestrator;
