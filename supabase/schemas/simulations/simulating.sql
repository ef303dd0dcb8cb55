create function app.simulation_json(x public.simulations) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('session_id', x.session_id, 'script', x.script, 'status', x.status, 'failure', x.failure,
    'created_at', x.created_at, 'ended_at', x.ended_at)
$$;
comment on function app.simulation_json(public.simulations) is 'Returns a simulation as the API shows it.';

create function public.plan_simulation(p_session_id uuid, p_tenant_id uuid, p_script text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  x public.simulations;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if not s.test then return jsonb_build_object('kind', 'not_test'); end if;
  select * into x from public.simulations where session_id = s.id;
  if found then
    return jsonb_build_object('kind', case when x.script = p_script then 'known' else 'other_script' end,
      'simulation', app.simulation_json(x));
  end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is not null then perform public.record_consent(s.id, s.consent_text_version); end if;
  insert into public.simulations (session_id, tenant_id, script) values (s.id, s.tenant_id, p_script)
    returning * into x;
  return jsonb_build_object('kind', 'planned', 'simulation', app.simulation_json(x));
end $$;
comment on function public.plan_simulation(uuid, uuid, text) is
  'Plans the synthetic candidate of a test session, who consents if the session requires it; called by the API. '
  'Returns kind: planned, known (the same was planned before), other_script, ended, not_test, not_found.';
grant execute on function public.plan_simulation(uuid, uuid, text) to orchestrator;

create function public.get_simulation(p_session_id uuid, p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.simulation_json(x) from public.simulations x
  where x.session_id = p_session_id and x.tenant_id = p_tenant_id
$$;
comment on function public.get_simulation(uuid, uuid) is
  'Returns the simulation of a session; called by the API. Null if there is none.';
grant execute on function public.get_simulation(uuid, uuid) to orchestrator;

create function public.take_simulations(p_taken_ms integer, p_limit integer) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select x.session_id from public.simulations x
    join public.interview_sessions s on s.id = x.session_id
    where x.status in ('waiting', 'running') and coalesce(x.taken_until <= clock_timestamp(), true)
      and (s.state_rank >= app.rank_of('provisioning')
        or s.status = 'pending' and s.placement = 'on_join' and s.queue_deadline_at is null)
    order by x.created_at limit p_limit for update of x skip locked
  ), taken as (
    update public.simulations x set status = 'running', takes = takes + 1,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where x.session_id = due.session_id returning x.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'tenant_id', t.tenant_id,
    'script', t.script, 'take', t.takes, 'was_cut', t.cut_at is not null)), '[]')
  from taken t
$$;
comment on function public.take_simulations(integer, integer) is
  'Takes simulations that nobody runs and whose session can be joined or has ended, oldest first; called by the '
  'simulations job.';
grant execute on function public.take_simulations(integer, integer) to orchestrator;

create function public.keep_simulation(p_session_id uuid, p_take integer, p_taken_ms integer,
  p_cut boolean default false) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update public.simulations set taken_until = clock_timestamp() + app.interval_ms(p_taken_ms),
    cut_at = case when p_cut then coalesce(cut_at, clock_timestamp()) else cut_at end
    where session_id = p_session_id and takes = p_take and status = 'running';
  return found;
end $$;
comment on function public.keep_simulation(uuid, integer, integer, boolean) is
  'Renews a take, or gives it back with p_taken_ms 0; called by the orchestrator that runs it. p_cut: its network is '
  'cut now. Returns false if the take is stale.';
grant execute on function public.keep_simulation(uuid, integer, integer, boolean) to orchestrator;

create function public.end_simulation(p_session_id uuid, p_take integer, p_failure text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update public.simulations set status = case when p_failure is null then 'done' else 'failed' end,
    failure = left(p_failure, 500), taken_until = null, ended_at = clock_timestamp()
    where session_id = p_session_id and takes = p_take and status = 'running';
  return found;
end $$;
comment on function public.end_simulation(uuid, integer, text) is
  'Records that a simulation''s script is over, or why it failed; called by the orchestrator that runs it. Returns '
  'false if the take is stale.';
grant execute on function public.end_simulation(uuid, integer, text) to orchestrator;
