create function app.guard_session() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A generated column is not computed yet in a BEFORE trigger, hence rank_of.
  if app.rank_of(new.status) < app.rank_of(old.status) or (app.rank_of(old.status) >= app.rank_of('ended')
    and new.status <> old.status)
    then
    raise exception 'a session only goes forward: % → %', old.status, new.status using errcode = 'GR001';
  end if;
  if old.outcome is not null and (new.outcome, new.reason) is distinct from (old.outcome, old.reason) then
    raise exception 'an ending is decided once: %/% → %/%', old.outcome, old.reason, new.outcome, new.reason
      using errcode = 'GR002';
  end if;
  if new.epoch < old.epoch then
    raise exception 'an epoch only grows: % → %', old.epoch, new.epoch using errcode = 'GR003';
  end if;
  return new;
end $$;
comment on function app.guard_session() is
  'Refuses a backward step of a session''s status, a change of its decided ending, and a smaller epoch, whoever '
  'writes. Trigger of interview_sessions.';
create trigger guard before update on public.interview_sessions for each row execute function app.guard_session();

create function app.emit(p_session_id uuid, p_tenant_id uuid, p_type text, p_data jsonb default '{}'::jsonb)
  returns void
language plpgsql set search_path = '' as $$
begin
  -- Writers of a session take turns. Ids are not assigned in commit order, and otherwise a reader with a cursor would
  -- skip the event of a slower transaction.
  perform pg_advisory_xact_lock(hashtextextended(coalesce(p_session_id, p_tenant_id)::text, 0));
  insert into public.session_events (session_id, tenant_id, type, data) values (p_session_id, p_tenant_id, p_type,
    p_data);
end $$;
comment on function app.emit(uuid, uuid, text, jsonb) is
  'Appends an event of a session, or of the tenant if p_session_id is null. The ids of a session''s events follow the '
  'order of their commits.';

create function app.move_session(p_session_id uuid, p_status text, p_outcome text default null,
  p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or app.rank_of(p_status) <= s.state_rank then
    return false;
  end if;
  update public.interview_sessions set
    status = p_status,
    outcome = coalesce(outcome, p_outcome),
    reason = coalesce(reason, p_reason),
    ready_at = case when p_status = 'ready' then coalesce(ready_at, clock_timestamp()) else ready_at end,
    started_at = case when p_status = 'in_progress' then coalesce(started_at, clock_timestamp()) else started_at end,
    completed_at = case when app.rank_of(p_status) >= app.rank_of('ended') then coalesce(completed_at,
      clock_timestamp())
      else completed_at end,
    presence = case when app.rank_of(p_status) >= app.rank_of('ended') then 'absent' else presence end,
    counted = counted and app.rank_of(p_status) < app.rank_of('ended'),
    queue_deadline_at = case when app.rank_of(p_status) >= app.rank_of('ended') then null else queue_deadline_at end
  where id = p_session_id;
  if s.counted and app.rank_of(p_status) >= app.rank_of('ended') then
    update public.tenant_counters set live_sessions = live_sessions - 1 where tenant_id = s.tenant_id;
  end if;
  perform app.emit(s.id, s.tenant_id, 'session.' || p_status, jsonb_strip_nulls(jsonb_build_object(
    'from', s.status, 'to', p_status, 'outcome', coalesce(s.outcome, p_outcome),
    'reason', coalesce(s.reason, p_reason))));
  return true;
end $$;
comment on function app.move_session(uuid, text, text, text) is
  'Moves a session forward and appends the event. An ending that is already decided is kept. Returns false if the '
  'session has already reached or passed the status.';

create function app.end_session(p_session_id uuid, p_outcome text, p_reason text) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return false; end if;
  return app.move_session(p_session_id, coalesce(s.outcome, p_outcome), p_outcome, p_reason);
end $$;
comment on function app.end_session(uuid, text, text) is
  'Ends a session with the ending that is already decided, otherwise with this one.';

create function app.copy_tenant_rules() returns trigger language plpgsql set search_path = '' as $$
begin
  select case when t.require_consent then t.consent_text_version end, t.on_consent_withdrawn
    into new.consent_text_version, new.on_consent_withdrawn from public.tenants t where t.id = new.tenant_id;
  return new;
end $$;
comment on function app.copy_tenant_rules() is
  'Copies the tenant''s current rules of consent to a new session, so that later changes of the tenant do not affect '
  'it. Trigger of interview_sessions.';
create trigger copy_tenant_rules before insert on public.interview_sessions
  for each row execute function app.copy_tenant_rules();
