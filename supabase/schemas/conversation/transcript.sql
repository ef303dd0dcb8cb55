create function public.append_transcript(p_entries jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session(true);
  v_constraint text;
begin
  return app.merge_transcript(s, p_entries);
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.append_transcript(jsonb) is
  'Stores transcript entries of the calling worker''s session, idempotently; called by the worker. Returns the ids '
  'of the items that are now stored. Raises 23514 if the limits in transcript_writes would be exceeded.';
grant execute on function public.append_transcript(jsonb) to session_worker;

create function app.merge_transcript(s public.interview_sessions, p_entries jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_changed integer;
begin
  -- Locked first, so that writers of a session take turns and arrival is the order of their entries.
  insert into public.transcript_writes as w (session_id, tenant_id) values (s.id, s.tenant_id)
    on conflict (session_id) do update set entries = w.entries;
  with incoming as (
    select distinct on (i.ordinal, i.item_id) i.*, n
    from jsonb_array_elements(p_entries) with ordinality as x (e, n)
    cross join lateral jsonb_to_record(e) as i (ordinal integer, item_id text, previous_item_id text, speaker text,
      text text, confidence numeric, start_ms bigint, end_ms bigint, interrupted boolean, verified boolean)
    order by i.ordinal, i.item_id, i.verified desc, n desc
  ), stored as (
    insert into public.transcript_entries as t (session_id, tenant_id, call_ordinal, item_id, previous_item_id,
        speaker, text, confidence, start_ms, end_ms, interrupted, verified)
      select s.id, s.tenant_id, ordinal, item_id, previous_item_id, speaker, text, confidence, start_ms, end_ms,
        coalesce(interrupted, false), verified
      from incoming order by n
    on conflict (session_id, call_ordinal, item_id) do update set
      speaker = excluded.speaker, text = excluded.text, verified = excluded.verified,
      previous_item_id = coalesce(excluded.previous_item_id, case when t.verified then t.previous_item_id end),
      confidence = coalesce(excluded.confidence, case when t.verified then t.confidence end),
      start_ms = coalesce(excluded.start_ms, case when t.verified then t.start_ms end),
      end_ms = coalesce(excluded.end_ms, case when t.verified then t.end_ms end),
      interrupted = excluded.interrupted or (t.verified and t.interrupted),
      arrival = case when t.verified then t.arrival else excluded.arrival end,
      created_at = case when t.verified then t.created_at else excluded.created_at end
    where excluded.verified and (t.verified, t.speaker, t.text, t.interrupted, t.previous_item_id, t.confidence,
        t.start_ms, t.end_ms)
      is distinct from (true, excluded.speaker, excluded.text, excluded.interrupted or t.interrupted,
        coalesce(excluded.previous_item_id, t.previous_item_id), coalesce(excluded.confidence, t.confidence),
        coalesce(excluded.start_ms, t.start_ms), coalesce(excluded.end_ms, t.end_ms))
    returning t.verified, char_length(t.text) as length
  ), written as (
    select count(*) filter (where verified) as entries, coalesce(sum(length) filter (where verified), 0) as characters,
      count(*) filter (where not verified) as copies,
      coalesce(sum(length) filter (where not verified), 0) as copied_characters
    from stored
  )
  update public.transcript_writes w set entries = w.entries + x.entries, characters = w.characters + x.characters,
    copies = w.copies + x.copies, copied_characters = w.copied_characters + x.copied_characters,
    late_copies = w.late_copies + (s.state_rank >= app.rank_of('ended') and x.entries = 0)::integer,
    late_entries = w.late_entries + (s.state_rank >= app.rank_of('ended') and x.entries > 0)::integer
  from written x where w.session_id = s.id and x.entries + x.copies > 0 returning x.entries + x.copies into v_changed;
  if v_changed > 0 and s.state_rank >= app.rank_of('ended') then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', v_changed));
  end if;
  return (select array_agg(distinct e ->> 'item_id') from jsonb_array_elements(p_entries) e);
end $$;
comment on function app.merge_transcript(public.interview_sessions, jsonb) is
  'Merges entries of the worker or of the browser into a transcript, idempotently. A verified entry updates an '
  'earlier verified one and replaces a browser''s copy completely; a stored copy is not changed by another copy. A '
  'change after the session has ended raises the transcript''s revision.';

create function app.follow_links(p_parents integer[], p_verified boolean[]) returns integer[]
language plpgsql immutable set search_path = '' as $$
declare
  v_count constant integer := cardinality(p_parents);
  -- Each entry's first follower, and the follower after it. The first entries follow the place v_count + 1.
  v_first integer[] := array_fill(0, array[v_count + 1]);
  v_next integer[] := array_fill(0, array[v_count + 1]);
  v_open integer[] := array_fill(0, array[v_count + 1]);
  v_depth integer := 0;
  v_order integer[] := array_fill(0, array[v_count]);
  v_placed integer := 0;
  v_entry integer;
  v_parent integer;
  v_copies boolean;
begin
  -- Each follower is put in front of the earlier ones, so those of the last loop come first: copies, then verified.
  foreach v_copies in array array[false, true] loop
    for v_entry in reverse v_count .. 1 loop
      continue when (p_parents[v_entry] > 0 and not p_verified[v_entry]) <> v_copies;
      v_parent := case p_parents[v_entry] when 0 then v_count + 1 else p_parents[v_entry] end;
      v_next[v_entry] := v_first[v_parent];
      v_first[v_parent] := v_entry;
    end loop;
  end loop;
  v_entry := v_first[v_count + 1];
  while v_entry > 0 loop
    v_placed := v_placed + 1;
    v_order[v_placed] := v_entry;
    if v_first[v_entry] > 0 and v_next[v_entry] > 0 then
      v_depth := v_depth + 1;
      v_open[v_depth] := v_next[v_entry];
    end if;
    v_entry := case when v_first[v_entry] > 0 then v_first[v_entry] else v_next[v_entry] end;
    if v_entry = 0 and v_depth > 0 then
      v_entry := v_open[v_depth];
      v_depth := v_depth - 1;
    end if;
  end loop;
  return v_order[1:v_placed];
end $$;
comment on function app.follow_links(integer[], boolean[]) is
  'Sorts the entries 1, 2, … of a conversation, given for each entry the one it follows (0: none). If several follow '
  'the same entry, copies come first, then the input order decides. Leaves out circles. Takes linear time.';

create function app.conversation_order(p_session_id uuid) returns bigint[]
-- Hash joins only, so that the time is linear in the number of entries whatever the planner estimates.
language plpgsql stable set search_path = '' set enable_nestloop = off set enable_mergejoin = off as $$
declare
  v_arrivals bigint[];
  v_parents integer[];
  v_verified boolean[];
  v_order integer[];
begin
  with entries as materialized (
    select e.call_ordinal, e.item_id, e.previous_item_id, e.arrival, e.verified,
      (row_number() over (order by e.call_ordinal, e.arrival))::integer as n
    from public.transcript_entries e where e.session_id = p_session_id
  )
  select array_agg(e.arrival order by e.n), array_agg(coalesce(p.n, 0) order by e.n), array_agg(e.verified order by e.n)
    into v_arrivals, v_parents, v_verified
  from entries e left join entries p on p.call_ordinal = e.call_ordinal and p.item_id = e.previous_item_id
    -- A verified entry follows only verified ones, so that a copy cannot move it.
    and (p.verified or not e.verified);
  if v_arrivals is null then return '{}'; end if;
  v_order := app.follow_links(v_parents, v_verified);
  if cardinality(v_order) < cardinality(v_arrivals) then
    -- Entries whose links form a circle are placed by their arrival instead, so that none is left out.
    select array_agg(case when o.n is null then 0 else v_parents[e.n] end order by e.n) into v_parents
      from generate_subscripts(v_arrivals, 1) as e (n) left join unnest(v_order) as o (n) on o.n = e.n;
    v_order := app.follow_links(v_parents, v_verified);
  end if;
  return (select array_agg(v_arrivals[o.n] order by o.place) from unnest(v_order) with ordinality as o (n, place));
end $$;
comment on function app.conversation_order(uuid) is
  'Returns the order of a session''s entries, identified by their arrival: by call ordinal; within a call each entry '
  'follows the one named in previous_item_id; by arrival if none is named. Reads with the caller''s rights.';
grant execute on function app.conversation_order(uuid), app.follow_links(integer[], boolean[])
  to authenticated, orchestrator;

create function public.transcript_of(p_session_id uuid)
returns table (ordinal integer, item_id text, previous_item_id text, speaker text, text text, confidence numeric,
  start_ms bigint, end_ms bigint, interrupted boolean, verified boolean, correction text, sequence_number bigint)
language plpgsql stable set search_path = '' set enable_nestloop = off set enable_mergejoin = off as $$
begin
  return query select e.call_ordinal, e.item_id, e.previous_item_id, e.speaker, e.text, e.confidence, e.start_ms,
      e.end_ms, e.interrupted, e.verified, e.correction, row_number() over (order by o.place)
    from unnest(app.conversation_order(p_session_id)) with ordinality as o (arrival, place)
    join public.transcript_entries e on e.session_id = p_session_id and e.arrival = o.arrival
    where e.text <> '' order by o.place;
end $$;
comment on function public.transcript_of(uuid) is
  'Returns a session''s transcript as rows in the order of the conversation, for SQL. (Through the API, PostgREST''s '
  'row limit would apply.) Items without text keep their place in the order and are not returned. Reads with the '
  'caller''s rights.';
grant execute on function public.transcript_of(uuid) to authenticated, orchestrator;

create function public.transcript_to_evaluate(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(t) order by t.sequence_number), '[]') from public.transcript_of(p_session_id) t
$$;
comment on function public.transcript_to_evaluate(uuid) is
  'Returns a session''s transcript in order as one JSON value, so that no row limit applies; called by the '
  'evaluation and by the platform API.';
grant execute on function public.transcript_to_evaluate(uuid) to orchestrator;

create function public.transcript_page(p_session_id uuid, p_limit integer, p_after jsonb default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  with t as materialized (select * from public.transcript_of(p_session_id)),
  a as (select coalesce((select t.sequence_number from t where t.ordinal = (p_after ->> 'ordinal')::integer
    and t.item_id = p_after ->> 'item_id'), (p_after ->> 'sequence_number')::bigint, 0) as n)
  select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select t.sequence_number as n, to_jsonb(t) as shown from t cross join a where t.sequence_number > a.n
      order by t.sequence_number limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.transcript_page(uuid, integer, jsonb) is
  'Returns a part of a session''s transcript in order; called by the platform API. p_after is the last entry of the '
  'part before, {ordinal, item_id, sequence_number}: it is found again also if entries came in before it meanwhile. '
  'Returns at most max_list_bytes plus one entry.';
grant execute on function public.transcript_page(uuid, integer, jsonb) to orchestrator;

create function public.own_transcript() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not app.worker_serves(app.worker_session()) then
    raise exception 'fenced' using errcode = 'PT409', hint = 'Another machine serves the session now, or it is over.';
  end if;
  return (select coalesce(jsonb_agg(jsonb_build_object('ordinal', e.call_ordinal, 'item_id', e.item_id,
      'speaker', e.speaker, 'text', e.text, 'verified', e.verified) order by o.place), '[]')
    from unnest(app.conversation_order(app.worker_session())) with ordinality as o (arrival, place)
    join public.transcript_entries e on e.session_id = app.worker_session() and e.arrival = o.arrival);
end $$;
comment on function public.own_transcript() is
  'Returns all stored entries of the calling worker''s session in order, including items without text. A replacement '
  'worker calls it to learn what is stored and what the interviewer said. Raises PT409 if the worker is fenced.';
grant execute on function public.own_transcript() to session_worker;

create function public.upload_transcript(p_session_id uuid, p_tenant_id uuid, p_entries jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_entries jsonb;
  v_wait integer;
  v_constraint text;
begin
  if jsonb_array_length(p_entries) > 1000 then
    raise exception 'at most 1000 entries at once' using errcode = '22023';
  end if;
  -- One upload of a session at a time, and few a minute: a candidate must not use up the shared connections.
  if not pg_try_advisory_xact_lock(hashtextextended('upload ' || p_session_id, 0)) then
    return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', 1000);
  end if;
  v_wait := app.draw_limit('upload:' || p_session_id, 60, 60);
  if v_wait > 0 then return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
  -- FOR UPDATE, not FOR SHARE: the merge may raise the revision, and two uploads that share the lock would deadlock.
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.transcript_erased_at is not null then return jsonb_build_object('kind', 'erased'); end if;
  if s.consent_withdrawn_at is not null then return jsonb_build_object('kind', 'withdrawn'); end if;
  -- Only for calls that took place, and always unverified, because a browser can send anything.
  select coalesce(jsonb_agg(e || '{"verified": false, "confidence": null, "interrupted": false}'), '[]') into v_entries
    from jsonb_array_elements(p_entries) e
    where exists (select from public.realtime_calls c where c.session_id = s.id
      and c.ordinal = (e ->> 'ordinal')::integer);
  return jsonb_build_object('kind', 'stored', 'item_ids', to_jsonb(coalesce(app.merge_transcript(s, v_entries), '{}')));
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  if v_constraint like 'transcript\_writes\_%' then return jsonb_build_object('kind', 'too_many'); end if;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.upload_transcript(uuid, uuid, jsonb) is
  'Stores the browser''s own copies of entries that it could not send over the socket, idempotently and always as '
  'unverified; called by the Edge Function interview-transcript. Returns kind: stored (item_ids), erased, withdrawn '
  '(the candidate withdrew consent), too_many (above the limits in transcript_writes; nothing is stored), '
  'rate_limited (retry_after_ms), not_found.';
grant execute on function public.upload_transcript(uuid, uuid, jsonb) to service_role;

create view public.interview_transcripts with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, s.status, s.transcript_revision as revision,
    s.transcript_complete as complete,
    -- One entry is one line, so that no text can look like the next speaker's turn.
    (select string_agg(case t.speaker when 'ai' then 'Interviewer: ' else 'Candidate: ' end
        || case when t.verified then '' else '[unverified] ' end
        || btrim(regexp_replace(t.text || coalesce(' [corrected by the candidate: ' || t.correction || ']', ''),
          '[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+', ' ', 'g')),
      E'\n\n' order by t.sequence_number)
     from public.transcript_of(s.id) t) as transcript,
    s.created_at, s.updated_at
  from public.interview_sessions s;
comment on view public.interview_transcripts is
  'Each session''s transcript as one text, in the conversation''s order. Entries that only the candidate''s browser '
  'reported begin with [unverified]. What a candidate has corrected ends with [corrected by the candidate: …].';

grant select on public.interview_transcripts to authenticated, orchestrator;
