-- The ways in: origins, shared rate limits, joining with consent, removals, late transcripts.
--
-- N1  As in tenants: refusals are values {kind}, every function names its tenant, times are durations.
-- N2  What a candidate's browser does here is judged by its invitation or its transcript token alone.

create function public.tenant_origins() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'origins', to_jsonb(t.allowed_origins))), '[]')
  from public.tenants t where t.status in ('active', 'suspended') and t.allowed_origins <> '{}'
$$;
comment on function public.tenant_origins() is 'Tenants that name browser origins, with them: for the edge and for CORS, which must know before anybody is authenticated.';

create function public.spend_rate_limits(p_spent jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with spent as (
    select e ->> 'scope' as scope, (e ->> 'cost')::integer as cost, 60000.0 / (e ->> 'per_minute')::double precision as step_ms,
      (e ->> 'burst')::integer as burst
    from jsonb_array_elements(p_spent) e
  ), drawn as (
    insert into public.rate_limits as x (scope, next_at)
      -- One order for every batch, or two could wait for each other.
      select scope, now() + app.interval_ms(cost * step_ms) from spent order by scope
    on conflict (scope) do update set next_at = greatest(x.next_at, now()) + (excluded.next_at - now())
    returning x.scope, x.next_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('scope', d.scope,
    'wait_ms', greatest(0, ceil(extract(epoch from d.next_at - now()) * 1000 - (s.burst - 1) * s.step_ms)))), '[]')
  from drawn d join spent s on s.scope = d.scope
$$;
comment on function public.spend_rate_limits(jsonb) is
  'Books requests that were already served: [{scope, cost, per_minute, burst}], each scope once. Answers [{scope, wait_ms}]: how long the scope must rest.';

-- ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.consent_json(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('required', s.consent_text_version is not null, 'text_version', s.consent_text_version,
    'text', t.settings -> 'consent_texts' ->> s.consent_text_version,
    'given_at', (select c.given_at from public.consents c where c.session_id = s.id and c.text_version = s.consent_text_version))
  from public.interview_sessions s join public.tenants t on t.id = s.tenant_id where s.id = p_session_id
$$;
comment on function app.consent_json(uuid) is 'Which text a session asks its candidate to consent to, and when that was done.';

create function public.read_consent(p_session_id uuid, p_code_hash text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not exists (select from public.session_invitations i where i.session_id = p_session_id and i.code_hash = p_code_hash
      and i.revoked_at is null and i.expires_at >= clock_timestamp()) then
    return jsonb_build_object('kind', 'invalid');
  end if;
  return app.consent_json(p_session_id) || jsonb_build_object('kind', 'found');
end $$;
comment on function public.read_consent(uuid, text) is 'N2: the consent that a session asks for, shown to who holds a valid invitation. kind: found, invalid.';

create function public.give_consent(p_session_id uuid, p_code_hash text, p_browser_hash text, p_text_version text, p_remote_address_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
begin
  if v_exchange ->> 'kind' <> 'accepted' then return jsonb_build_object('kind', v_exchange ->> 'kind'); end if;
  return public.record_consent(p_session_id, p_text_version, p_remote_address_hash);
end $$;
comment on function public.give_consent(uuid, text, text, text, text) is
  'N2: the browser that holds the invitation consents. kind: recorded, other_version, ended, invalid, used.';

create function public.join_session(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
  v_may jsonb;
begin
  if v_exchange ->> 'kind' <> 'accepted' then return v_exchange; end if;
  v_may := public.session_may_start(p_session_id);
  if v_may ->> 'kind' = 'consent_required' then return v_may; end if;
  return v_exchange;
end $$;
comment on function public.join_session(uuid, text, text) is
  'A browser shows an invitation code: as exchange_invitation, and consent_required (with text_version) until the consent is recorded.';

create function public.removals_under_way(p_limit integer default 20) returns uuid[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(x.id), '{}') from (select id from public.tenants where status = 'removing' order by updated_at limit p_limit) x
$$;
comment on function public.removals_under_way(integer) is 'Tenants whose removal has begun and is not finished: remove_tenant goes on with it.';

-- ── erasure that waits for sessions to end ─────────────────────────────────────────────────────────────────────────
alter table public.tenant_candidates add column erasure_requested_at timestamptz, add column erasure_requested_by jsonb;
comment on column public.tenant_candidates.erasure_requested_at is 'Somebody asked for erasure; it is carried out as soon as the candidate''s sessions have ended.';
comment on column public.tenant_candidates.erasure_requested_by is 'Who asked: {actor, remote_address, request_id}, for the audit log.';
create index tenant_candidates_to_erase on public.tenant_candidates (erasure_requested_at)
  where erasure_requested_at is not null and erased_at is null;

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
  'Makes the wish durable; erase_candidate carries it out, in a transaction of its own (it locks sessions first, F2). kind: requested, not_found.';

create function public.erasures_requested(p_limit integer default 20) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'candidate_id', x.candidate_id, 'by', x.erasure_requested_by)), '[]')
  from (select * from public.tenant_candidates where erasure_requested_at is not null and erased_at is null
    order by erasure_requested_at limit p_limit) x
$$;
comment on function public.erasures_requested(integer) is 'Candidates whose erasure was asked for and waits for their sessions to end.';

-- ── late transcripts ───────────────────────────────────────────────────────────────────────────────────────────────
create function public.upload_transcript(p_session_id uuid, p_tenant_id uuid, p_entries jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_entries jsonb;
begin
  if jsonb_array_length(p_entries) > 1000 then raise exception 'at most 1000 entries at once' using errcode = '22023'; end if;
  -- FOR UPDATE, not FOR SHARE (F3): the merge may raise the revision, and two uploads would wait for each other.
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.transcript_erased_at is not null then return jsonb_build_object('kind', 'erased'); end if;
  if (select count(*) from public.transcript_entries where session_id = s.id) > 10000 then return jsonb_build_object('kind', 'too_many'); end if;
  -- Only calls that took place, and never as the sideband's word: the browser can say anything.
  select coalesce(jsonb_agg(e || '{"verified": false, "confidence": null, "interrupted": false}'), '[]') into v_entries
    from jsonb_array_elements(p_entries) e
    where exists (select from public.realtime_calls c where c.session_id = s.id and c.ordinal = (e ->> 'ordinal')::integer);
  return jsonb_build_object('kind', 'stored', 'item_ids', to_jsonb(coalesce(app.merge_transcript(s, v_entries), '{}')));
end $$;
comment on function public.upload_transcript(uuid, uuid, jsonb) is
  'The candidate''s own copies, late or offline: the same idempotent merge, always unverified. kind: stored (item_ids), erased, too_many, not_found.';

grant execute on function
  public.tenant_origins(), public.spend_rate_limits(jsonb), public.read_consent(uuid, text), public.give_consent(uuid, text, text, text, text),
  public.join_session(uuid, text, text), public.removals_under_way(integer), public.request_erasure(uuid, uuid, jsonb), public.erasures_requested(integer)
to orchestrator;
-- The Edge Function interview-transcript, which has checked the token.
grant execute on function public.upload_transcript(uuid, uuid, jsonb) to service_role;
