create function app.guard_machine() returns trigger language plpgsql set search_path = '' as $$
begin
  if old.session_id is not null and new.session_id is distinct from old.session_id then
    raise exception 'a machine serves at most one session' using errcode = 'GR004';
  end if;
  -- The only step back: a machine that handed over boots again and is claimed at a higher epoch.
  if old.state = 'draining' and old.reason = 'handed_over' and new.state = 'claimed' and new.epoch > old.epoch
     and new.boot_nonce is distinct from old.boot_nonce then
    return new;
  end if;
  if app.life_rank_of(new.state) < app.life_rank_of(old.state) then
    raise exception 'a machine only goes forward: % → %', old.state, new.state using errcode = 'GR005';
  end if;
  return new;
end $$;
comment on function app.guard_machine() is
  'Refuses a second session for a machine and any backward step of its state, whoever writes. Trigger of machines. A '
  'machine that handed over may be claimed again by its next boot.';
create trigger guard before update on public.machines for each row execute function app.guard_machine();

create function app.move_machine(p_machine_id uuid, p_state text, p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  m public.machines;
begin
  select * into m from public.machines where id = p_machine_id for update;
  if not found or app.life_rank_of(p_state) <= m.life_rank then
    return false;
  end if;
  update public.machines set
    state = p_state,
    reason = coalesce(reason, p_reason),
    created_at = case when p_state = 'created' then coalesce(created_at, clock_timestamp()) else created_at end,
    started_at = case when p_state = 'started' then coalesce(started_at, clock_timestamp()) else started_at end,
    claimed_at = case when p_state = 'claimed' then coalesce(claimed_at, clock_timestamp()) else claimed_at end,
    draining_at = case when p_state = 'draining' then coalesce(draining_at, clock_timestamp()) else draining_at end,
    destroying_at = case when p_state = 'destroying' then coalesce(destroying_at, clock_timestamp())
      else destroying_at end,
    destroyed_at = case when p_state = 'destroyed' then coalesce(destroyed_at, clock_timestamp()) else destroyed_at end,
    taken_by = null, taken_until = null
  where id = p_machine_id;
  if m.session_id is not null then
    perform app.emit(m.session_id, m.tenant_id, 'machine.' || p_state, jsonb_strip_nulls(jsonb_build_object(
      'machine_id', m.id, 'fly_machine_id', m.fly_machine_id, 'region', m.region, 'attempt', m.attempt,
      'reason', coalesce(m.reason, p_reason))));
  end if;
  return true;
end $$;
comment on function app.move_machine(uuid, text, text) is
  'Moves a machine forward, sets the timestamp of the phase and appends the event. Returns false if the machine has '
  'already reached or passed the state.';
