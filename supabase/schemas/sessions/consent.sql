create function public.session_may_start(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select case
    when s.outcome is not null then jsonb_build_object('kind', 'ended')
    when s.consent_text_version is null or exists (select from public.consents c where c.session_id = s.id
      and c.text_version = s.consent_text_version)
      then jsonb_build_object('kind', 'may_start')
    else jsonb_build_object('kind', 'consent_required', 'text_version', s.consent_text_version) end
  from public.interview_sessions s where s.id = p_session_id
$$;
comment on function public.session_may_start(uuid) is
  'Returns whether an interview may start: may_start, consent_required (with text_version) or ended; called by '
  'join_session. Null for an unknown session.';

create function public.record_consent(p_session_id uuid, p_text_version text, p_remote_address_hash text default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.outcome is not null then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is distinct from p_text_version then
    return jsonb_build_object('kind', 'other_version', 'text_version', s.consent_text_version);
  end if;
  insert into public.consents (tenant_id, session_id, candidate_id, text_version, remote_address_hash)
    values (s.tenant_id, s.id, s.candidate_id, p_text_version, p_remote_address_hash)
      on conflict (session_id) do nothing;
  if found then
    perform app.emit(s.id, s.tenant_id, 'candidate.consented', jsonb_build_object('text_version', p_text_version));
  end if;
  return jsonb_build_object('kind', 'recorded', 'given_at', (select c.given_at from public.consents c
    where c.session_id = s.id));
end $$;
comment on function public.record_consent(uuid, text, text) is
  'Records that the candidate consents to the session''s text; called by give_consent. A second call changes '
  'nothing. Returns kind: recorded, other_version, ended, not_found.';

create function app.consent_json(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('required', s.consent_text_version is not null, 'text_version', s.consent_text_version,
    'text', (select x.text from public.consent_texts x where x.tenant_id = s.tenant_id
      and x.version = s.consent_text_version),
    'given_at', (select c.given_at from public.consents c where c.session_id = s.id
      and c.text_version = s.consent_text_version),
    'withdrawal', jsonb_build_object('effect', s.on_consent_withdrawn, 'withdrawn_at', s.consent_withdrawn_at,
      'settled_at', s.withdrawal_settled_at))
  from public.interview_sessions s where s.id = p_session_id
$$;
comment on function app.consent_json(uuid) is
  'Returns the text to which a session''s candidate must consent, when the candidate consented and withdrew that, and '
  'what follows from a withdrawal.';

create function public.read_consent(p_session_id uuid, p_code_hash text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not exists (select from public.session_invitations i where i.session_id = p_session_id
    and i.code_hash = p_code_hash
      and i.revoked_at is null and i.expires_at >= clock_timestamp()) then
    return jsonb_build_object('kind', 'invalid');
  end if;
  return app.consent_json(p_session_id) || jsonb_build_object('kind', 'found');
end $$;
comment on function public.read_consent(uuid, text) is
  'Returns the consent that a session requires; called by the API for a browser with a valid invitation. Returns '
  'kind: found, invalid.';
grant execute on function public.read_consent(uuid, text) to orchestrator;

create function public.give_consent(p_session_id uuid, p_code_hash text, p_browser_hash text, p_text_version text,
  p_remote_address_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
begin
  if v_exchange ->> 'kind' <> 'accepted' then return jsonb_build_object('kind', v_exchange ->> 'kind'); end if;
  return public.record_consent(p_session_id, p_text_version, p_remote_address_hash);
end $$;
comment on function public.give_consent(uuid, text, text, text, text) is
  'Binds the invitation to the browser, if it is not bound yet, and records the candidate''s consent; called by the '
  'API. Returns kind: recorded, other_version, ended, invalid, used.';
grant execute on function public.give_consent(uuid, text, text, text, text) to orchestrator;

create function public.decline_consent(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
  s public.interview_sessions;
begin
  if v_exchange ->> 'kind' not in ('accepted', 'ended') then
    return jsonb_build_object('kind', v_exchange ->> 'kind');
  end if;
  select * into s from public.interview_sessions where id = p_session_id for update;
  if s.reason = 'consent_declined' then
    return jsonb_build_object('kind', 'declined', 'session', app.session_json(s.id), 'machines', '[]'::jsonb);
  end if;
  if s.outcome is not null then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is null then return jsonb_build_object('kind', 'not_required'); end if;
  if exists (select from public.consents c where c.session_id = s.id) then
    return jsonb_build_object('kind', 'given');
  end if;
  perform app.emit(s.id, s.tenant_id, 'consent.declined',
    jsonb_build_object('text_version', s.consent_text_version));
  return public.request_end(s.id, s.tenant_id, 'cancelled', 'consent_declined')
    || jsonb_build_object('kind', 'declined');
end $$;
comment on function public.decline_consent(uuid, text, text) is
  'Ends a session because its candidate does not consent; called by the API for a browser with a valid invitation. '
  'A second call changes nothing. Returns kind: declined (with session and the machines to stop), given (the '
  'candidate has consented), not_required, ended, invalid, used.';
grant execute on function public.decline_consent(uuid, text, text) to orchestrator;
