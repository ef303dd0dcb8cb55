create function app.withdrawal_json(s public.interview_sessions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'candidate_id', s.candidate_id,
    'status', s.status, 'effect', s.on_consent_withdrawn, 'withdrawn_at', s.consent_withdrawn_at,
    'settled_at', s.withdrawal_settled_at,
    'ending', jsonb_build_object('outcome', s.outcome, 'reason', s.reason))
$$;
comment on function app.withdrawal_json(public.interview_sessions) is
  'Returns a withdrawal of consent as the API shows it.';

create function app.erase_withdrawn_interview(s public.interview_sessions) returns void
language plpgsql set search_path = '' as $$
declare
  v_erased jsonb := app.erase_interview(s.id);
begin
  perform app.audit('{"actor": "candidate"}', s.tenant_id, 'interview.erase', s.id::text,
    jsonb_build_object('transcript_entries', v_erased -> 'transcript_entries',
      'videos', jsonb_array_length(v_erased -> 'videos')));
end $$;
comment on function app.erase_withdrawn_interview(public.interview_sessions) is
  'Erases the interview of a candidate who withdrew consent, and audits that.';

create function app.apply_withdrawal(p_session_id uuid, p_by jsonb) returns public.interview_sessions
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if s.on_consent_withdrawn <> 'review' then perform app.erase_video(s.id, 'erasure'); end if;
  if s.on_consent_withdrawn = 'erase_candidate' then
    perform public.request_erasure(s.tenant_id, s.candidate_id, p_by);
  elsif s.on_consent_withdrawn = 'erase_interview' and s.state_rank >= app.rank_of('ended') then
    perform app.erase_withdrawn_interview(s);
  end if;
  select * into s from public.interview_sessions where id = p_session_id;
  return s;
end $$;
comment on function app.apply_withdrawal(uuid, jsonb) is
  'Does what follows from a withdrawal of consent, as far as it can be done now. The regular jobs erase the rest when '
  'the session has ended: erase_withdrawn the interview, erase_candidate the candidate.';

create function public.withdraw_consent(p_session_id uuid, p_code_hash text, p_browser_hash text, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  i public.session_invitations;
  v_machines jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  -- An expired invitation is enough, because a consent can be withdrawn at any time. A revoked one may be in the
  -- wrong hands.
  select * into i from public.session_invitations where session_id = p_session_id and code_hash = p_code_hash;
  if not found or i.revoked_at is not null then return jsonb_build_object('kind', 'invalid'); end if;
  if i.browser_hash is distinct from p_browser_hash then return jsonb_build_object('kind', 'used'); end if;
  if s.consent_withdrawn_at is not null then
    return app.withdrawal_json(s) || '{"kind": "withdrawn", "machines": []}';
  end if;
  if s.consent_text_version is null then return jsonb_build_object('kind', 'not_required'); end if;
  if not exists (select from public.consents c where c.session_id = s.id) then
    return jsonb_build_object('kind', 'not_given');
  end if;
  update public.interview_sessions set consent_withdrawn_at = clock_timestamp() where id = s.id;
  perform app.stop_evaluation(s.id);
  perform app.stop_recording(s.id);
  perform app.emit(s.id, s.tenant_id, 'consent.withdrawn',
    jsonb_build_object('text_version', s.consent_text_version, 'effect', s.on_consent_withdrawn));
  perform app.audit(p_by, s.tenant_id, 'consent.withdraw', s.id::text,
    jsonb_build_object('text_version', s.consent_text_version, 'effect', s.on_consent_withdrawn));
  v_machines := public.request_end(s.id, s.tenant_id, 'cancelled', 'consent_withdrawn') -> 'machines';
  s := app.apply_withdrawal(s.id, p_by);
  return app.withdrawal_json(s) || jsonb_build_object('kind', 'withdrawn', 'machines', coalesce(v_machines, '[]'));
end $$;
comment on function public.withdraw_consent(uuid, text, text, jsonb) is
  'Withdraws the consent of a candidate; called by the API for the browser to which the invitation is bound, also '
  'after the end. A session that has not ended is asked to end. A second call changes nothing. Returns kind: withdrawn '
  '(with the withdrawal and the machines to stop), not_given, not_required, invalid, used.';
grant execute on function public.withdraw_consent(uuid, text, text, jsonb) to orchestrator;

create function public.erase_withdrawn(p_limit integer default 20) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_count integer := 0;
begin
  for s in select x.* from public.interview_sessions x
    where x.consent_withdrawn_at is not null and x.withdrawal_settled_at is null
      and x.on_consent_withdrawn = 'erase_interview' and x.state_rank >= app.rank_of('ended')
    order by x.consent_withdrawn_at, x.id limit p_limit for update skip locked loop
    perform app.erase_withdrawn_interview(s);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function public.erase_withdrawn(integer) is
  'Erases the interviews whose candidates withdrew consent before the session had ended; called by the regular job. '
  'Returns how many were erased.';
grant execute on function public.erase_withdrawn(integer) to orchestrator;

create function public.list_withdrawals(p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.withdrawal_json(x) order by x.consent_withdrawn_at desc, x.id desc), '[]') from (
    select * from public.interview_sessions s
    where s.consent_withdrawn_at is not null and s.withdrawal_settled_at is null
      and (p_before is null or (s.consent_withdrawn_at, s.id) < (p_before, p_before_id))
    order by s.consent_withdrawn_at desc, s.id desc limit p_limit) x
$$;
comment on function public.list_withdrawals(integer, timestamptz, uuid) is
  'Lists withdrawals of all tenants that wait for an operator''s decision or for the end of their session, newest '
  'first, after the one with this time and id; called by the API for operators.';
grant execute on function public.list_withdrawals(integer, timestamptz, uuid) to orchestrator;

create function public.decide_withdrawal(p_session_id uuid, p_decision text, p_why text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.consent_withdrawn_at is null then return jsonb_build_object('kind', 'not_found'); end if;
  if s.on_consent_withdrawn <> 'review' or s.withdrawal_settled_at is not null then
    return app.withdrawal_json(s) || '{"kind": "already"}';
  end if;
  if p_decision = 'keep' then
    update public.interview_sessions set withdrawal_settled_at = clock_timestamp() where id = s.id;
  else
    update public.interview_sessions set on_consent_withdrawn = p_decision where id = s.id;
  end if;
  perform app.audit(p_by, s.tenant_id, 'withdrawal.decide', s.id::text,
    jsonb_build_object('decision', p_decision, 'why', p_why));
  s := app.apply_withdrawal(s.id, p_by);
  return app.withdrawal_json(s) || '{"kind": "decided"}';
end $$;
comment on function public.decide_withdrawal(uuid, text, text, jsonb) is
  'Decides what follows from a withdrawal that waits for review: keep, erase_interview or erase_candidate; called by '
  'the API for operators. Returns kind: decided or already (both with the withdrawal), not_found.';
grant execute on function public.decide_withdrawal(uuid, text, text, jsonb) to orchestrator;
