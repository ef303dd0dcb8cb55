create function public.correct_entry(p_session_id uuid, p_code_hash text, p_browser_hash text, p_ordinal integer,
  p_item_id text, p_correction text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_limit constant integer := 300;
  i public.session_invitations;
  s public.interview_sessions;
  e public.transcript_entries;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash and session_id = p_session_id;
  if i.id is null or i.revoked_at is not null then return jsonb_build_object('kind', 'invalid'); end if;
  select * into s from public.interview_sessions where id = p_session_id for update;
  if i.expires_at < clock_timestamp() and coalesce(s.completed_at < clock_timestamp() - interval '1 day', true) then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.browser_hash is distinct from p_browser_hash then return jsonb_build_object('kind', 'used'); end if;
  if s.state_rank < app.rank_of('finalizing') then return jsonb_build_object('kind', 'not_ended'); end if;
  if s.transcript_erased_at is not null or s.consent_withdrawn_at is not null then
    return jsonb_build_object('kind', 'erased');
  end if;
  select * into e from public.transcript_entries where session_id = s.id and call_ordinal = p_ordinal
    and item_id = p_item_id and speaker = 'candidate' and text <> '';
  if e.id is null then return jsonb_build_object('kind', 'unknown_entry'); end if;
  if e.correction is not distinct from p_correction then
    return jsonb_build_object('kind', 'corrected', 'corrected_at', e.corrected_at);
  end if;
  insert into public.transcript_writes (session_id, tenant_id) values (s.id, s.tenant_id) on conflict do nothing;
  update public.transcript_writes set corrections = corrections + 1
    where session_id = s.id and corrections < v_limit;
  if not found then return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit); end if;
  update public.transcript_entries set correction = p_correction,
    corrected_at = case when p_correction is not null then clock_timestamp() end
    where id = e.id returning * into e;
  -- Before the end is complete, the first evaluation reads the correction anyway.
  if s.state_rank >= app.rank_of('ended') then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', 1));
  end if;
  return jsonb_build_object('kind', 'corrected', 'corrected_at', e.corrected_at);
end $$;
comment on function public.correct_entry(uuid, text, text, integer, text, text) is
  'Stores what the candidate says they really said in one of their own entries, beside its text; null removes it. '
  'Called by the API for the browser that joined, after the interview: as long as its invitation is valid, and at '
  'least a day. The same correction again changes nothing; another one raises the transcript''s revision. Returns '
  'kind: corrected (corrected_at), not_ended, unknown_entry, limit_exceeded, erased (or the consent was '
  'withdrawn), invalid, used.';
grant execute on function public.correct_entry(uuid, text, text, integer, text, text) to orchestrator;
