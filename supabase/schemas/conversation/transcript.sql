create function public.append_transcript(p_entries jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session(true);
begin
  return app.merge_transcript(s, p_entries);
end $$;
comment on function public.append_transcript(jsonb) is
  'Stores entries of the calling worker''s session, idempotently; answers the item ids that are stored now.';
grant execute on function public.append_transcript(jsonb) to session_worker;

create function app.merge_transcript(s public.interview_sessions, p_entries jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_changed integer;
begin
  -- The sideband's text wins; a browser's copy never replaces a verified one.
  insert into public.transcript_entries as t (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker,
    text, confidence,
      start_ms, end_ms, interrupted, verified)
    select distinct on ((e ->> 'ordinal')::integer, e ->> 'item_id')
      s.id, s.tenant_id, (e ->> 'ordinal')::integer, e ->> 'item_id', e ->> 'previous_item_id', e ->> 'speaker',
        e ->> 'text',
      (e ->> 'confidence')::numeric, (e ->> 'start_ms')::bigint, (e ->> 'end_ms')::bigint,
        coalesce((e ->> 'interrupted')::boolean, false),
      (e ->> 'verified')::boolean
    from jsonb_array_elements(p_entries) with ordinality as x (e, n)
    order by (e ->> 'ordinal')::integer, e ->> 'item_id', (e ->> 'verified')::boolean desc, n desc
  on conflict (session_id, call_ordinal, item_id) do update set
    previous_item_id = coalesce(excluded.previous_item_id, t.previous_item_id), speaker = excluded.speaker,
      text = excluded.text,
    confidence = coalesce(excluded.confidence, t.confidence), start_ms = coalesce(excluded.start_ms, t.start_ms),
    end_ms = coalesce(excluded.end_ms, t.end_ms), interrupted = excluded.interrupted or t.interrupted,
      verified = excluded.verified
  where (excluded.verified or not t.verified)
    and (t.text, t.interrupted, t.verified, t.previous_item_id, t.confidence, t.start_ms, t.end_ms)
      is distinct from (excluded.text, excluded.interrupted or t.interrupted, excluded.verified,
        coalesce(excluded.previous_item_id, t.previous_item_id),
        coalesce(excluded.confidence, t.confidence), coalesce(excluded.start_ms, t.start_ms),
          coalesce(excluded.end_ms, t.end_ms));
  get diagnostics v_changed = row_count;
  if v_changed > 0 and s.state_rank >= app.rank_of('ended') then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', v_changed));
  end if;
  return (select array_agg(distinct e ->> 'item_id') from jsonb_array_elements(p_entries) e);
end $$;
comment on function app.merge_transcript(public.interview_sessions, jsonb) is
  'The idempotent merge of the two sources. Raises the revision when a session that has ended is changed.';

create function public.transcript_of(p_session_id uuid)
returns table (ordinal integer, item_id text, previous_item_id text, speaker text, text text, confidence numeric,
  start_ms bigint, end_ms bigint,
  interrupted boolean, verified boolean, sequence_number bigint)
language sql stable set search_path = '' as $$
  with recursive entries as (
    select * from public.transcript_entries where session_id = p_session_id
  ), walk as (
    -- A first item, or one whose predecessor said nothing that was stored: placed by its arrival.
    select e.*, array[e.arrival] as path from entries e
    where not exists (select from entries p where p.call_ordinal = e.call_ordinal and p.item_id = e.previous_item_id)
    union all
    select e.*, w.path || e.arrival from entries e join walk w on w.call_ordinal = e.call_ordinal
      and w.item_id = e.previous_item_id
    where not e.arrival = any (w.path)
  )
  select call_ordinal, item_id, previous_item_id, speaker, text, confidence, start_ms, end_ms, interrupted, verified,
    row_number() over (order by call_ordinal, path)
  from (select * from walk
    -- Items whose predecessors go round in a circle hang on no first item: placed by their arrival, never left out.
    union all select e.*, array[e.arrival] from entries e
      where not exists (select from walk w where w.arrival = e.arrival)) placed
  where text <> ''
$$;
comment on function public.transcript_of(uuid) is
  'The conversation in its order: calls by ordinal, items along previous_item_id. Reads with the caller''s rights. An '
  'item that said nothing holds its place and is not shown.';
grant execute on function public.transcript_of(uuid) to authenticated, orchestrator, session_worker;

create function public.upload_transcript(p_session_id uuid, p_tenant_id uuid, p_entries jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_entries jsonb;
begin
  if jsonb_array_length(p_entries) > 1000 then
    raise exception 'at most 1000 entries at once' using errcode = '22023';
  end if;
  -- FOR UPDATE, not FOR SHARE: the merge may raise the revision, and two uploads that share the lock would deadlock.
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.transcript_erased_at is not null then return jsonb_build_object('kind', 'erased'); end if;
  if (select count(*) from public.transcript_entries where session_id = s.id) > 10000 then
    return jsonb_build_object('kind', 'too_many');
  end if;
  -- Only calls that took place, and never as the sideband's word: the browser can say anything.
  select coalesce(jsonb_agg(e || '{"verified": false, "confidence": null, "interrupted": false}'), '[]') into v_entries
    from jsonb_array_elements(p_entries) e
    where exists (select from public.realtime_calls c where c.session_id = s.id
      and c.ordinal = (e ->> 'ordinal')::integer);
  return jsonb_build_object('kind', 'stored', 'item_ids', to_jsonb(coalesce(app.merge_transcript(s, v_entries), '{}')));
end $$;
comment on function public.upload_transcript(uuid, uuid, jsonb) is
  'The candidate''s own copies, late or offline: the same idempotent merge, always unverified. kind: stored '
  '(item_ids), erased, too_many, not_found.';
grant execute on function public.upload_transcript(uuid, uuid, jsonb) to service_role;

create view public.interview_transcripts with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, s.status, s.transcript_revision as revision,
    s.transcript_complete as complete,
    (select string_agg(case t.speaker when 'ai' then 'Interviewer: ' else 'Candidate: ' end || t.text, E'\n\n'
      order by t.sequence_number)
     from public.transcript_of(s.id) t) as transcript,
    s.created_at, s.updated_at
  from public.interview_sessions s;

comment on view public.interview_transcripts is 'Each session''s transcript as one text, in the conversation''s order.';

grant select on public.interview_transcripts to authenticated, orchestrator;
