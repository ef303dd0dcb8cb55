-- People's data: candidates, positions, consent, erasure, retention.
--
-- P1  Erasing takes the tenant's own rows alone; another tenant that knows the same person keeps what it knows.
-- P2  A session outlives its candidate as a skeleton: times, region, ending, usage and cost, which accounting needs. No name,
--     no word that was said, no note of the platform remains; tenant_candidates keeps an empty row that the skeleton points at.
-- P3  Recordings are owed to api.video until it confirms: they leave through video_deletions, never by a call alone.
-- P4  What was erased does not come back: late writers are refused with PT410 (guards in trust_tables).

create function app.new_candidate() returns uuid
language sql volatile security definer set search_path = '' as $$ insert into public.candidates default values returning id $$;
comment on function app.new_candidate() is 'A new person. Default of tenant_candidates.candidate_id, so that a tenant names no person but its own.';
alter table public.tenant_candidates alter column candidate_id set default app.new_candidate();

-- ── candidates ─────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.candidate_json(c public.tenant_candidates) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', c.candidate_id, 'tenant_id', c.tenant_id, 'name', c.name, 'email', c.email, 'external_id', c.external_id,
    'status', c.status, 'created_at', c.created_at, 'updated_at', c.updated_at)
$$;
comment on function app.candidate_json(public.tenant_candidates) is 'A candidate as the API shows it.';

create function app.candidate_conflict(p_tenant_id uuid, p jsonb, p_except uuid default null) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', 'conflict', 'candidate_id', c.candidate_id,
    'field', case when lower(c.email) = lower(p ->> 'email') then 'email' else 'external_id' end)
  from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id is distinct from p_except
    and (lower(c.email) = lower(p ->> 'email') or c.external_id = p ->> 'external_id') limit 1
$$;
comment on function app.candidate_conflict(uuid, jsonb, uuid) is 'The tenant''s other candidate with this e-mail or external id; null when there is none.';

create function public.create_candidate(p_tenant_id uuid, p_candidate jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  insert into public.tenant_candidates (tenant_id, name, email, external_id, status)
    values (p_tenant_id, p_candidate ->> 'name', p_candidate ->> 'email', p_candidate ->> 'external_id', p_candidate ->> 'status') returning * into c;
  return jsonb_build_object('kind', 'created', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_candidate);
end $$;
comment on function public.create_candidate(uuid, jsonb) is 'Stores {name, email?, external_id?, status?}. kind: created, conflict (with field and candidate_id).';

create function public.get_candidate(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.candidate_json(c) from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id = p_candidate_id and c.erased_at is null
$$;
comment on function public.get_candidate(uuid, uuid) is 'A tenant''s candidate; null when there is none, or not any more.';

create function public.list_candidates(p_tenant_id uuid, p_limit integer, p_search text default null, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.candidate_json(x) order by x.created_at desc, x.candidate_id desc), '[]') from (
    select c.* from public.tenant_candidates c
    where c.tenant_id = p_tenant_id and c.erased_at is null
      and (p_search is null or position(lower(p_search) in lower(c.name)) > 0 or lower(c.email) = lower(p_search) or c.external_id = p_search)
      and (p_before is null or (c.created_at, c.candidate_id) < (p_before, p_before_id))
    order by c.created_at desc, c.candidate_id desc limit p_limit) x
$$;
comment on function public.list_candidates(uuid, integer, text, timestamptz, uuid) is
  'Candidates of a tenant, newest first, after the one with this time and id. p_search: part of a name, a whole e-mail or external id.';
create index tenant_candidates_newest on public.tenant_candidates (tenant_id, created_at desc, candidate_id desc);

create function public.change_candidate(p_tenant_id uuid, p_candidate_id uuid, p_changes jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  update public.tenant_candidates t set name = n.name, email = n.email, external_id = n.external_id, status = n.status
    from (select r.* from public.tenant_candidates o cross join lateral jsonb_populate_record(o, p_changes) r
      where o.tenant_id = p_tenant_id and o.candidate_id = p_candidate_id and o.erased_at is null) n
    where t.tenant_id = p_tenant_id and t.candidate_id = p_candidate_id returning t.* into c;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'changed', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_changes, p_candidate_id);
end $$;
comment on function public.change_candidate(uuid, uuid, jsonb) is
  'Changes name, email, external_id or status; fields not given stay. kind: changed, conflict (with field and candidate_id), not_found.';

-- ── positions ──────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.create_position(p_tenant_id uuid, p_position jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  insert into public.positions (tenant_id, title, description) values (p_tenant_id, p_position ->> 'title', p_position ->> 'description')
  returning jsonb_build_object('kind', 'created', 'position', to_jsonb(positions))
$$;
comment on function public.create_position(uuid, jsonb) is 'Stores {title, description?}. kind: created.';

create function public.get_position(p_tenant_id uuid, p_position_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb(p) from public.positions p where p.tenant_id = p_tenant_id and p.id = p_position_id
$$;
comment on function public.get_position(uuid, uuid) is 'A tenant''s position; null when there is none.';

create function public.list_positions(p_tenant_id uuid, p_limit integer, p_before timestamptz default null, p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(x) order by x.created_at desc, x.id desc), '[]') from (
    select p.* from public.positions p
    where p.tenant_id = p_tenant_id and (p_before is null or (p.created_at, p.id) < (p_before, p_before_id))
    order by p.created_at desc, p.id desc limit p_limit) x
$$;
comment on function public.list_positions(uuid, integer, timestamptz, uuid) is 'Positions of a tenant, newest first, after the one with this time and id.';
create index positions_newest on public.positions (tenant_id, created_at desc, id desc);

create function public.change_position(p_tenant_id uuid, p_position_id uuid, p_changes jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p public.positions;
begin
  update public.positions t set title = n.title, description = n.description
    from (select r.* from public.positions o cross join lateral jsonb_populate_record(o, p_changes) r
      where o.tenant_id = p_tenant_id and o.id = p_position_id) n
    where t.tenant_id = p_tenant_id and t.id = p_position_id returning t.* into p;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'changed', 'position', to_jsonb(p));
end $$;
comment on function public.change_position(uuid, uuid, jsonb) is 'Changes title or description; fields not given stay. kind: changed, not_found.';

-- ── consent ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.session_may_start(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select case
    when s.state_rank >= 70 then jsonb_build_object('kind', 'ended')
    when s.consent_text_version is null or exists (select from public.consents c where c.session_id = s.id and c.text_version = s.consent_text_version)
      then jsonb_build_object('kind', 'may_start')
    else jsonb_build_object('kind', 'consent_required', 'text_version', s.consent_text_version) end
  from public.interview_sessions s where s.id = p_session_id
$$;
comment on function public.session_may_start(uuid) is 'Whether the interview may start: may_start, consent_required (with text_version) or ended; null for an unknown session.';

create function public.record_consent(p_session_id uuid, p_text_version text, p_remote_address_hash text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is distinct from p_text_version then
    return jsonb_build_object('kind', 'other_version', 'text_version', s.consent_text_version);
  end if;
  insert into public.consents (tenant_id, session_id, candidate_id, text_version, remote_address_hash)
    values (s.tenant_id, s.id, s.candidate_id, p_text_version, p_remote_address_hash) on conflict (session_id) do nothing;
  if found then perform app.emit(s.id, s.tenant_id, 'candidate.consented', jsonb_build_object('text_version', p_text_version)); end if;
  return jsonb_build_object('kind', 'recorded', 'given_at', (select c.given_at from public.consents c where c.session_id = s.id));
end $$;
comment on function public.record_consent(uuid, text, text) is
  'The candidate consents to the text that the session asks for; a second time changes nothing. kind: recorded, other_version, ended, not_found.';

-- ── erasure ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.erase_transcript(p_session_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_entries integer;
begin
  update public.interview_sessions set transcript_erased_at = coalesce(transcript_erased_at, clock_timestamp()) where id = p_session_id;
  delete from public.interview_results where session_id = p_session_id;
  delete from public.transcript_entries where session_id = p_session_id;
  get diagnostics v_entries = row_count;
  return v_entries;
end $$;
comment on function app.erase_transcript(uuid) is 'Erases what was said and what was concluded from it; answers the number of entries.';

create function app.erase_video(p_session_id uuid, p_cause text) returns text[]
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_ids text[];
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  select coalesce(array_agg(distinct v order by v), '{}') into v_ids from (
    select s.video_recording_id as v union all select video_id from public.video_segments where session_id = p_session_id) x where v is not null;
  insert into public.video_deletions (video_id, tenant_id, cause) select v, s.tenant_id, p_cause from unnest(v_ids) v on conflict do nothing;
  delete from public.video_segments where session_id = p_session_id;
  update public.interview_sessions set video_recording_id = null, video_recording_url = null,
    video_erased_at = coalesce(video_erased_at, clock_timestamp()) where id = p_session_id;
  return v_ids;
end $$;
comment on function app.erase_video(uuid, text) is 'Gives a session''s recordings to video_deletions (P3); answers their ids.';

create function app.erase(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s record;
  v_entries integer := 0;
  v_videos text[] := '{}';
  v_sessions uuid[] := '{}';
begin
  for s in select id from public.interview_sessions where tenant_id = p_tenant_id and candidate_id = p_candidate_id order by id for update loop
    v_sessions := v_sessions || s.id;
    v_entries := v_entries + app.erase_transcript(s.id);
    v_videos := v_videos || app.erase_video(s.id, 'erasure');
  end loop;
  update public.interview_sessions set settings = '{}', metadata = '{}', user_id = null where id = any (v_sessions);
  delete from public.consents where session_id = any (v_sessions);
  delete from public.session_invitations where session_id = any (v_sessions);
  delete from public.idempotency_keys where session_id = any (v_sessions);
  update public.webhook_deliveries set payload = '{}', status = case status when 'pending' then 'dead' else status end where session_id = any (v_sessions);
  update public.session_events set data = (select coalesce(jsonb_object_agg(k, v), '{}') from jsonb_each(data) as d (k, v)
      where k in ('from', 'to', 'outcome', 'reason', 'machine_id', 'fly_machine_id', 'region', 'attempt', 'entries'))
    where session_id = any (v_sessions);
  delete from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id and v_sessions = '{}';
  update public.tenant_candidates set name = 'Erased', email = null, external_id = null, status = null, erased_at = clock_timestamp()
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id;
  delete from public.candidates c where c.id = p_candidate_id and not exists (select from public.tenant_candidates t where t.candidate_id = c.id);
  return jsonb_build_object('sessions', cardinality(v_sessions), 'transcript_entries', v_entries, 'videos', to_jsonb(v_videos));
end $$;
comment on function app.erase(uuid, uuid) is 'Erases what a tenant knows of a candidate whose sessions have all ended (P1, P2, P3).';

create function public.erase_candidate(p_tenant_id uuid, p_candidate_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_live uuid[];
  v_erased jsonb;
begin
  if not exists (select from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id and erased_at is null) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  -- F2: all of the candidate's sessions before any ending takes the counter.
  perform 1 from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and state_rank < 90 order by id for update;
  for s in select id from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and state_rank < 70 and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'ended_by_platform');
  end loop;
  -- From here on no new session of the candidate can come: it would refer to this row.
  perform 1 from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id and erased_at is null for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(array_agg(id order by id), '{}') into v_live from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and state_rank < 90;
  if v_live <> '{}' then return jsonb_build_object('kind', 'ending', 'session_ids', to_jsonb(v_live)); end if;
  v_erased := app.erase(p_tenant_id, p_candidate_id);
  perform app.audit(p_by, p_tenant_id, 'candidate.erase', p_candidate_id::text,
    jsonb_build_object('sessions', v_erased -> 'sessions', 'transcript_entries', v_erased -> 'transcript_entries',
      'videos', jsonb_array_length(v_erased -> 'videos')));
  return v_erased || jsonb_build_object('kind', 'erased');
end $$;
comment on function public.erase_candidate(uuid, uuid, jsonb) is
  'Erases a candidate from a tenant. kind: erased (with sessions, transcript_entries, videos to delete), ending (sessions that must end first were asked to: call again), not_found.';

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
  select coalesce(jsonb_agg(jsonb_build_object('video_id', video_id, 'tenant_id', tenant_id, 'attempts', attempts)), '[]') from taken
$$;
comment on function public.videos_to_delete(integer, integer) is 'Recordings that must go, taken for one try, then again after a growing while (P3).';

create function public.record_video_deleted(p_video_id text, p_error text default null) returns void
language sql volatile security definer set search_path = '' as $$
  update public.video_deletions set last_error = p_error, deleted_at = case when p_error is null then coalesce(deleted_at, clock_timestamp()) else deleted_at end
  where video_id = p_video_id
$$;
comment on function public.record_video_deleted(text, text) is 'api.video confirmed that a recording is gone, or what went wrong.';

-- ── retention ──────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.expire_transcripts(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.transcript_days is not null and x.state_rank >= 90 and x.transcript_erased_at is null
      and x.completed_at < clock_timestamp() - make_interval(days => t.transcript_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_transcript(s.id);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_transcripts(integer) is 'Erases transcripts and results whose tenant keeps them no longer.';

create function app.expire_videos(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.video_days is not null and x.state_rank >= 90 and x.video_erased_at is null
      and x.completed_at < clock_timestamp() - make_interval(days => t.video_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_video(s.id, 'retention');
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_videos(integer) is 'Gives recordings whose tenant keeps them no longer to video_deletions.';

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
    where t.audit_days is not null and a.created_at < clock_timestamp() - make_interval(days => t.audit_days) limit p_limit);
  get diagnostics v_audit = row_count;
  -- A limit at rest says nothing: the next request makes it again.
  delete from public.rate_limits where scope in (
    select scope from public.rate_limits where next_at < clock_timestamp() - interval '1 hour' limit p_limit for update skip locked);
  get diagnostics v_limits = row_count;
  return jsonb_build_object('transcripts', v_transcripts, 'videos', v_videos, 'audit_entries', v_audit, 'rate_limits', v_limits,
    'more', greatest(v_transcripts, v_videos, v_audit, v_limits) >= p_limit);
end $$;
comment on function public.expire_retained(integer) is
  'Carries out the retention of every tenant, at most p_limit of each kind; more says whether to call again at once.';
create index audit_log_age on public.audit_log (tenant_id, created_at);
create index interview_sessions_of_candidate on public.interview_sessions (tenant_id, candidate_id);
