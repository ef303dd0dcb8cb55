create function public.exchange_invitation(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
  s public.interview_sessions;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash
    and session_id = p_session_id for update;
  if not found or i.revoked_at is not null or i.expires_at < clock_timestamp() then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.browser_hash is not null and i.browser_hash <> p_browser_hash then
    return jsonb_build_object('kind', 'used');
  end if;
  select * into s from public.interview_sessions where id = p_session_id;
  if s.state_rank >= app.rank_of('finalizing') then
    return jsonb_build_object('kind', 'ended', 'session', app.session_json(s.id));
  end if;
  update public.session_invitations set browser_hash = p_browser_hash, used_at = coalesce(used_at, clock_timestamp())
    where id = i.id;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id));
end $$;
comment on function public.exchange_invitation(uuid, text, text) is
  'Checks an invitation code and binds it to the browser; called by join_session and give_consent. The same browser '
  'may exchange it again. Returns kind: accepted (with session), used (by another browser), ended, invalid.';
grant execute on function public.exchange_invitation(uuid, text, text) to orchestrator;

create function app.invitation_json(i public.session_invitations) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', i.id, 'session_id', i.session_id, 'created_at', i.created_at,
    'expires_at', i.expires_at, 'used_at', i.used_at,
    'revoked_at', i.revoked_at, 'replaces', i.replaces, 'status', case when i.revoked_at is not null then 'revoked'
      when i.expires_at <= clock_timestamp() then 'expired' when i.used_at is not null then 'used' else 'open' end)
$$;
comment on function app.invitation_json(public.session_invitations) is
  'Returns an invitation as the API shows it, without its code. status: open, used, expired, revoked.';

create function app.invite(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint, p_replaces uuid,
  p_by jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 100;
  s public.interview_sessions;
  i public.session_invitations;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if (select count(*) from public.session_invitations x where x.session_id = s.id) >= v_limit then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit);
  end if;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at, replaces)
    values (s.id, s.tenant_id, p_code_hash, clock_timestamp() + app.interval_ms(p_expires_ms), p_replaces)
      returning * into i;
  perform app.audit(p_by, p_tenant_id, case when p_replaces is null then 'invitation.create'
    else 'invitation.resend' end, i.id::text,
    jsonb_build_object('session_id', s.id));
  return jsonb_build_object('kind', 'created', 'invitation', app.invitation_json(i));
end $$;
comment on function app.invite(uuid, uuid, text, bigint, uuid, jsonb) is
  'Adds an invitation to a session that has not ended. A session has at most 100 invitations, revoked ones included. '
  'Returns kind: created, limit_exceeded, ended, not_found.';

create function public.create_invitation(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint,
  p_by jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  select app.invite(p_session_id, p_tenant_id, p_code_hash, p_expires_ms, null, p_by)
$$;
comment on function public.create_invitation(uuid, uuid, text, bigint, jsonb) is
  'Stores the hash of a new invitation code; called by the API. Returns kind: created, limit_exceeded, ended, '
  'not_found.';
grant execute on function public.create_invitation(uuid, uuid, text, bigint, jsonb) to orchestrator;

create function public.resend_invitation(p_session_id uuid, p_invitation_id uuid, p_tenant_id uuid, p_code_hash text,
  p_expires_ms bigint, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_result jsonb;
begin
  if not exists (select from public.session_invitations where id = p_invitation_id and session_id = p_session_id
    and tenant_id = p_tenant_id) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  v_result := app.invite(p_session_id, p_tenant_id, p_code_hash, p_expires_ms, p_invitation_id, p_by);
  if v_result ->> 'kind' = 'created' then
    update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp())
      where id = p_invitation_id;
  end if;
  return v_result;
end $$;
comment on function public.resend_invitation(uuid, uuid, uuid, text, bigint, jsonb) is
  'Creates a new invitation code and revokes the old one; called by the API. Only hashes are stored, so the old code '
  'cannot be shown again. Returns kind: created, limit_exceeded, ended, not_found.';
grant execute on function public.resend_invitation(uuid, uuid, uuid, text, bigint, jsonb) to orchestrator;

create function public.revoke_invitation(p_session_id uuid, p_invitation_id uuid, p_tenant_id uuid, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
begin
  select * into i from public.session_invitations where id = p_invitation_id and session_id = p_session_id
    and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if i.revoked_at is null then
    update public.session_invitations set revoked_at = clock_timestamp() where id = i.id returning * into i;
    perform app.audit(p_by, p_tenant_id, 'invitation.revoke', i.id::text,
      jsonb_build_object('session_id', i.session_id));
  end if;
  return jsonb_build_object('kind', 'revoked', 'invitation', app.invitation_json(i));
end $$;
comment on function public.revoke_invitation(uuid, uuid, uuid, jsonb) is
  'Revokes an invitation; called by the API. Its code is refused from now on; a browser that has already joined is '
  'not affected. Returns kind: revoked, not_found.';
grant execute on function public.revoke_invitation(uuid, uuid, uuid, jsonb) to orchestrator;

create function public.list_invitations(p_session_id uuid, p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.invitation_json(i) order by i.created_at, i.id), '[]')
  from public.session_invitations i where i.session_id = p_session_id and i.tenant_id = p_tenant_id
$$;
comment on function public.list_invitations(uuid, uuid) is
  'Lists a session''s invitations (at most 100), oldest first; called by the API.';
grant execute on function public.list_invitations(uuid, uuid) to orchestrator;

create function public.join_session(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb;
  v_may jsonb;
begin
  -- A resend locks the session before its invitations. The same order here keeps the two from a deadlock.
  perform 1 from public.interview_sessions where id = p_session_id for key share;
  v_exchange := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
  if v_exchange ->> 'kind' <> 'accepted' then return v_exchange; end if;
  v_may := public.session_may_start(p_session_id);
  if v_may ->> 'kind' = 'consent_required' then return v_may; end if;
  perform app.note_candidate(p_session_id, true);
  return v_exchange;
end $$;
comment on function public.join_session(uuid, text, text) is
  'Exchanges an invitation code as exchange_invitation does; called by the API. Returns kind: consent_required (with '
  'text_version) while a required consent is missing.';
grant execute on function public.join_session(uuid, text, text) to orchestrator;

create function public.look_at_invitation(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language sql volatile security definer set search_path = '' as $$
  select app.note_candidate(i.session_id, false) from public.session_invitations i
    where i.code_hash = p_code_hash and i.session_id = p_session_id and i.revoked_at is null
      and i.expires_at >= clock_timestamp();
  select coalesce((
    select jsonb_build_object('kind', 'found', 'session', app.session_json(s.id), 'organiser', t.name,
      'starts_at', s.scheduled_at, 'records_video', coalesce((s.settings ->> 'record_video')::boolean, false),
      'consent', app.consent_json(s.id), 'now', clock_timestamp(),
      'ending', case when s.outcome is not null then jsonb_build_object('outcome', s.outcome, 'reason', s.reason) end,
      'bound', case when i.browser_hash is null then 'no' when i.browser_hash = p_browser_hash then 'here'
        else 'elsewhere' end)
    from public.session_invitations i join public.interview_sessions s on s.id = i.session_id
      join public.tenants t on t.id = s.tenant_id
    where i.code_hash = p_code_hash and i.session_id = p_session_id and i.revoked_at is null
      and (i.expires_at >= clock_timestamp() or i.browser_hash = p_browser_hash and s.outcome is not null)
  ), '{"kind": "invalid"}')
$$;
comment on function public.look_at_invitation(uuid, text, text) is
  'Returns what a candidate sees before joining, without binding the invitation, and stores when the page was first '
  'opened; called by the API. bound: no, here or elsewhere. After the session''s end the bound browser may look as '
  'long as the invitation is kept, because the candidate may still withdraw consent. Returns kind: found, invalid.';
grant execute on function public.look_at_invitation(uuid, text, text) to orchestrator;

create function public.offer_handover(p_session_id uuid, p_code_hash text, p_browser_hash text, p_handover_hash text,
  p_expires_ms bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_expires_at timestamptz := clock_timestamp() + app.interval_ms(p_expires_ms);
begin
  update public.session_invitations set handover_hash = p_handover_hash, handover_expires_at = v_expires_at,
    handover_tries = 0, handover_at = clock_timestamp()
    where code_hash = p_code_hash and session_id = p_session_id and browser_hash = p_browser_hash
      and revoked_at is null and expires_at >= clock_timestamp();
  if not found then return jsonb_build_object('kind', 'invalid'); end if;
  return jsonb_build_object('kind', 'offered', 'expires_at', v_expires_at);
end $$;
comment on function public.offer_handover(uuid, text, text, text, bigint) is
  'Stores a short code with which another browser may take the place of the bound one; called by the API for the '
  'bound browser. It replaces an earlier code. Returns kind: offered, invalid.';
grant execute on function public.offer_handover(uuid, text, text, text, bigint) to orchestrator;

create function public.take_handover(p_session_id uuid, p_code_hash text, p_browser_hash text, p_handover_hash text,
  p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash and session_id = p_session_id
    for update;
  if not found or i.revoked_at is not null or i.expires_at < clock_timestamp() then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.handover_hash is null or i.handover_expires_at < clock_timestamp() or i.handover_tries >= 5 then
    return jsonb_build_object('kind', 'wrong', 'tries_left', 0);
  end if;
  if i.handover_hash <> p_handover_hash then
    update public.session_invitations set handover_tries = handover_tries + 1 where id = i.id returning * into i;
    return jsonb_build_object('kind', 'wrong', 'tries_left', 5 - i.handover_tries);
  end if;
  update public.session_invitations set browser_hash = p_browser_hash, handover_hash = null,
    handover_expires_at = null, handover_tries = 0 where id = i.id;
  perform app.audit(p_by, i.tenant_id, 'invitation.continue', i.id::text,
    jsonb_build_object('session_id', i.session_id));
  return jsonb_build_object('kind', 'moved');
end $$;
comment on function public.take_handover(uuid, text, text, text, jsonb) is
  'Binds the invitation to the browser that presents the short code, in place of the first browser; called by the '
  'API. A code is valid once and for five attempts. Returns kind: moved, wrong (with tries_left), invalid.';
grant execute on function public.take_handover(uuid, text, text, text, jsonb) to orchestrator;

create function app.moving_ms(s public.interview_sessions) returns integer
language plpgsql set search_path = '' as $$
declare
  v_since timestamptz;
begin
  with moved as (
    update public.session_invitations i set handover_at = null from public.session_invitations old
      where i.id = old.id and i.session_id = s.id and i.handover_at is not null and i.handover_hash is null
      returning old.handover_at as since
  )
  select greatest(max(m.since), s.started_at, (select max(e.created_at) from public.transcript_entries e
    where e.session_id = s.id and e.speaker = 'candidate')) into v_since from moved m having count(*) > 0;
  if v_since is null or s.started_at is null then return 0; end if;
  return least(600000, greatest(0, extract(epoch from clock_timestamp() - v_since) * 1000));
end $$;
comment on function app.moving_ms(public.interview_sessions) is
  'Returns once for each change of browsers how long it took, milliseconds: since the short code was shown or, if that '
  'was later, since the candidate''s last stored answer; at most ten minutes. 0 before the interview began.';
