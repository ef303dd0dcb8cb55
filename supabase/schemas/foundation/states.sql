-- The states of sessions and machines with their ranks. The two scales must not be compared with each other.

-- This form of body is parsed when the function is created, so it needs no search_path and can be inlined. Checks call
-- it a dozen times per session. Indexes use it with the rights of the caller, so every role may call it.
create function app.rank_of(p_status text) returns smallint
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return case p_status
    when 'scheduled' then 10 when 'pending' then 20 when 'provisioning' then 30 when 'ready' then 40
    when 'connecting' then 50 when 'in_progress' then 60 when 'finalizing' then 70
    when 'ended' then 90
    when 'completed' then 90 when 'disconnected' then 90 when 'failed' then 90 when 'expired' then 90
    when 'cancelled' then 90
  end::smallint;
end $$;
comment on function app.rank_of(text) is
  'Returns the rank of a session status, null for any other text. The ranks equal sessionRanks in '
  'shared/src/session/states.ts. "ended" stands for the rank that all outcomes share; no session has this status.';
grant execute on function app.rank_of(text) to anon, authenticated, service_role, orchestrator, session_worker;

create function app.life_rank_of(p_state text) returns smallint
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return case p_state
    when 'reserved' then 10 when 'created' then 20 when 'started' then 30 when 'claimed' then 40
    when 'draining' then 50 when 'destroying' then 60 when 'destroyed' then 70
  end::smallint;
end $$;
comment on function app.life_rank_of(text) is
  'Returns the rank of a machine state, null for any other text. The ranks equal machineRanks in '
  'shared/src/session/states.ts.';
grant execute on function app.life_rank_of(text) to anon, authenticated, service_role, orchestrator, session_worker;
