create function app.take_standby(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}')
  returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  foreach v_region in array app.open_regions(p_regions) loop
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created'
        and not hot and image = p_image
        and id <> all (p_except) order by created_at limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
    -- While an image is being replaced, machines with the previous image are still used.
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created' and not hot
        and id <> all (p_except) order by created_at desc limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
  end loop;
  return null;
end $$;
comment on function app.take_standby(uuid, text[], text, uuid[]) is
  'Locks a standby machine for assignment, in the first of these regions that has one, and never one of p_except, '
  'which the caller has already locked. Null if there is none.';

create function app.take_hot(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}')
  returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  p_regions := app.open_regions(p_regions);
  -- A waiting worker claims again every few seconds, and that locks its row for a moment. Such a row is tried again.
  for v_try in 1..100 loop
    foreach v_region in array p_regions loop
      -- While an image is being replaced, machines with the previous image are still used.
      select id into v_id from public.machines
        where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'started' and hot
          and lease_expires_at > clock_timestamp() and id <> all (p_except)
        order by (image = p_image) desc, started_at limit 1 for update skip locked;
      if v_id is not null then return v_id; end if;
    end loop;
    perform 1 from public.machines
      where tenant_id = p_tenant_id and region = any (p_regions) and session_id is null and state = 'started' and hot
        and lease_expires_at > clock_timestamp() and id <> all (p_except) limit 1;
    exit when not found;
    perform pg_sleep(0.005);
  end loop;
  return null;
end $$;
comment on function app.take_hot(uuid, text[], text, uuid[]) is
  'Locks a hot machine whose worker waits, for assignment, in the first of these regions that has one, and never one '
  'of p_except, which the caller has already locked. Waits up to 0.5 s while all of them are locked. Null if there is '
  'none.';

create function app.machine_deadline(p_since timestamptz, p_life_ms numeric, p_max_duration_ms integer)
  returns timestamptz
language sql immutable set search_path = '' as $$
  select p_since + app.interval_ms(p_life_ms + p_max_duration_ms)
$$;
comment on function app.machine_deadline(timestamptz, numeric, integer) is
  'Returns when a machine must be gone: its allowed life plus its session''s maximum duration, counted from its '
  'assignment or claim. The lives are unclaimedLifeMs and claimedLifeMs in deadlines.ts.';

create function app.assign_standby(p_machine_id uuid, p_session_id uuid, p_attempt integer, p_max_duration_ms integer,
  p_launch jsonb) returns text
language sql volatile set search_path = '' as $$
  update public.machines set session_id = p_session_id, assigned_at = clock_timestamp(), attempt = p_attempt,
    taken_by = (p_launch ->> 'orchestrator_id')::uuid,
    taken_until = clock_timestamp() + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
    hard_deadline_at = app.machine_deadline(clock_timestamp(), (p_launch ->> 'life_ms')::numeric, p_max_duration_ms)
  where id = p_machine_id returning region
$$;
comment on function app.assign_standby(uuid, uuid, integer, integer, jsonb) is
  'Assigns a locked standby machine to a session for good. Returns its region.';

create function app.assign_hot(p_machine_id uuid, s public.interview_sessions, p_attempt integer, p_because text,
  p_launch jsonb) returns text
language plpgsql set search_path = '' as $$
declare
  m public.machines;
begin
  update public.machines set session_id = s.id, assigned_at = clock_timestamp(), attempt = p_attempt
    where id = p_machine_id returning * into m;
  perform app.emit(s.id, s.tenant_id, 'machine.assigned',
    jsonb_strip_nulls(jsonb_build_object('machine_id', m.id, 'region', m.region, 'attempt', p_attempt,
      'because', p_because)));
  perform app.move_session(s.id, 'provisioning');
  perform app.open_epoch(s.id, m.id, m.fly_machine_id, m.boot_nonce, (p_launch ->> 'lease_ms')::integer,
    (p_launch ->> 'life_ms')::numeric);
  return m.region;
end $$;
comment on function app.assign_hot(uuid, public.interview_sessions, integer, text, jsonb) is
  'Assigns a locked hot machine to a locked session for good: the session is served by it from now on, at the next '
  'epoch. Returns its region.';

create function app.reserve_machine(p_machine_id uuid, p_tenant_id uuid, p_session_id uuid, p_region text,
  p_attempt integer, p_max_duration_ms integer, p_launch jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_slot record;
begin
  v_slot := app.draw_create_slot(p_tenant_id);
  if v_slot.app_name is null then return false; end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by,
      taken_until, hard_deadline_at)
    values (p_machine_id, p_tenant_id, p_session_id, v_slot.app_name, p_region, p_launch ->> 'image', p_attempt,
      v_slot.not_before, (p_launch ->> 'orchestrator_id')::uuid,
      v_slot.not_before + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
      app.machine_deadline(clock_timestamp(), (p_launch ->> 'life_ms')::numeric, p_max_duration_ms));
  return true;
end $$;
comment on function app.reserve_machine(uuid, uuid, uuid, text, integer, integer, jsonb) is
  'Writes the intent to create a machine, with the next slot of the tenant''s create limit. Returns false if the '
  'tenant has no app.';

create function app.may_take_hot(s public.interview_sessions, p_because text) returns boolean
language sql stable set search_path = '' as $$
  select p_because is distinct from 'hedge' and p_because is distinct from 'boot_timeout'
    and p_because is distinct from 'unreachable'
    and (s.scheduled_at is null or s.machine_id is not null)
    and not exists (select from public.machines m where m.session_id = s.id
      and m.life_rank < app.life_rank_of('draining'))
$$;
comment on function app.may_take_hot(public.interview_sessions, text) is
  'Returns whether a session''s next machine may be a hot one. Not beside another machine that may still claim, not '
  'after a machine whose worker did not answer (the cause may be common to all), and not for a scheduled start, which '
  'has time.';

create function app.give_machine(s public.interview_sessions, p_because text, p_launch jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_last public.machines;
  v_attempt integer;
  v_region text;
  v_id uuid;
  v_tier text;
begin
  select * into v_last from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  v_attempt := coalesce(v_last.attempt, 0) + 1;
  v_region := coalesce(p_launch ->> 'region', v_last.region, s.regions[1], s.region, p_launch ->> 'default_region');
  if app.is_drained(v_region) then v_region := coalesce((app.open_regions(s.regions))[1], v_region); end if;
  p_launch := p_launch || jsonb_build_object('image', coalesce(p_launch ->> 'image', v_last.image));
  if app.may_take_hot(s, p_because) then
    v_id := app.take_hot(s.tenant_id, array[v_region] || s.regions, p_launch ->> 'image');
  end if;
  if v_id is not null then
    v_tier := 'hot';
    v_region := app.assign_hot(v_id, s, v_attempt, p_because, p_launch);
  else
    v_id := app.take_standby(s.tenant_id, array[v_region] || s.regions, p_launch ->> 'image');
    if v_id is not null then
      v_tier := 'standby';
      v_region := app.assign_standby(v_id, s.id, v_attempt, s.max_duration_ms, p_launch);
    else
      v_id := gen_random_uuid();
      if not app.reserve_machine(v_id, s.tenant_id, s.id, v_region, v_attempt, s.max_duration_ms, p_launch) then
        return null;
      end if;
    end if;
  end if;
  -- Not for a hedge, which may lose, nor for a session that was served, which shows its region until the next claim.
  if s.machine_id is null and p_because is distinct from 'hedge' then
    update public.interview_sessions set region = v_region, region_reason = case
        when v_last.reason in ('create_failed', 'start_failed') then 'capacity'
        when v_attempt = 1 and v_region is distinct from s.regions[1] then 'standby'
        else region_reason end
      where id = s.id;
  end if;
  if v_tier is distinct from 'hot' then
    perform app.move_session(s.id, 'provisioning');
    perform app.emit(s.id, s.tenant_id, case v_tier when 'standby' then 'machine.assigned' else 'machine.reserved' end,
      jsonb_strip_nulls(jsonb_build_object('machine_id', v_id, 'region', v_region, 'attempt', v_attempt,
        'because', p_because)));
  end if;
  return app.intent_json(v_id);
end $$;
comment on function app.give_machine(public.interview_sessions, text, jsonb) is
  'Gives a session, which the caller has locked, its first or next machine: a hot machine if there is one, else a '
  'standby machine, else a new one. All code that needs a machine uses this function. Region: the one in p_launch, '
  'otherwise that of the last machine, otherwise the session''s own. p_because: why the session needs another '
  'machine. p_launch: orchestrator_id, image, taken_ms, lease_ms, life_ms, default_region, region, max_attempts, '
  'max_failed. Returns the intent; null if the tenant has no app.';

create function app.may_try_again(p_session_id uuid, p_launch jsonb, p_under_way integer default 0) returns boolean
language sql stable set search_path = '' as $$
  select count(*) filter (where reason in ('create_failed', 'start_failed'))
      < coalesce((p_launch ->> 'max_failed')::integer, 1)
    and p_under_way + count(*) filter (where reason not in ('create_failed', 'start_failed', 'superseded',
      'handed_over')) < coalesce((p_launch ->> 'max_attempts')::integer, 1)
  from public.machines where session_id = p_session_id and life_rank >= app.life_rank_of('draining')
$$;
comment on function app.may_try_again(uuid, jsonb, integer) is
  'Returns whether a session may have another machine. This is the only place that decides it: fewer than '
  'max_attempts of its machines may be lost (hand-overs and losing hedges do not count) and fewer than max_failed '
  'may have failed to be created or started. p_under_way: machines that may still be lost.';

create function app.session_reason_of(p_machine_reason text) returns text
language sql immutable set search_path = '' as $$
  select case p_machine_reason
    when 'operator_stopped' then 'operator_stopped'
    when 'boot_timeout' then 'boot_timeout' when 'start_failed' then 'boot_timeout'
    when 'create_failed' then 'fly_refused'
    else 'worker_lost' end
$$;
comment on function app.session_reason_of(text) is
  'Returns the reason with which a session ends when its last machine ended for this reason and no ending is '
  'decided. This is the only such mapping.';

create function app.settle_session(p_session_id uuid, p_launch jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_last text;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.state_rank < app.rank_of('provisioning') or s.state_rank >= app.rank_of('ended')
    or exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('draining')) then
    return jsonb_build_object('kind', 'nothing');
  end if;
  -- The reason of the machine that served it; before the first claim, the reason of the latest attempt.
  select reason into v_last from public.machines where session_id = s.id
    order by (id = s.machine_id) is true desc, attempt desc, reserved_at desc limit 1;
  if not found then return jsonb_build_object('kind', 'nothing'); end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null
    or v_last in ('hard_deadline', 'operator_stopped') then
    -- Its worker may be carrying out the end, so the session ends here only when its machines are gone.
    if exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('destroyed')) then
      return jsonb_build_object('kind', 'nothing');
    end if;
  elsif app.may_try_again(s.id, p_launch) then
    v_intent := app.give_machine(s, v_last, p_launch);
  end if;
  if v_intent is not null then return jsonb_build_object('kind', 'next', 'intent', v_intent); end if;
  perform app.end_session(s.id, case v_last when 'operator_stopped' then 'cancelled' else 'failed' end,
    app.session_reason_of(v_last));
  return jsonb_build_object('kind', 'ended');
end $$;
comment on function app.settle_session(uuid, jsonb) is
  'Decides what happens to a session that may have lost its machines: nothing while one may still serve it; its '
  'decided ending once all are gone; otherwise its next machine, or an ending if it may not try again.';

create function public.settle_sessions(p_next jsonb, p_duty text default null, p_fence bigint default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_result jsonb;
  v_results jsonb[] := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return '[]'; end if;
  for v_id in select s.id from public.interview_sessions s where s.state_rank >= app.rank_of('provisioning')
    and s.state_rank < app.rank_of('ended')
      and (select min(m.life_rank) from public.machines m where m.session_id = s.id) >= app.life_rank_of('draining')
    order by s.id for update skip locked loop
    v_result := app.settle_session(v_id, p_next);
    if v_result ->> 'kind' <> 'nothing' then
      v_results := v_results || (v_result || jsonb_build_object('session_id', v_id));
    end if;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.settle_sessions(jsonb, text, bigint) is
  'Settles every session that has no machine left, for example after a crash; called regularly by the orchestrator '
  'on duty. Returns what was done for which session.';
grant execute on function public.settle_sessions(jsonb, text, bigint) to orchestrator;

create function public.hedge_machine(p_machine_id uuid, p_next jsonb, p_duty text default null,
  p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
begin
  if not app.on_duty(p_duty, p_fence) then return null; end if;
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  if s.id is null or s.state_rank < app.rank_of('provisioning') or s.state_rank >= app.rank_of('finalizing')
    or s.end_requested_at is not null or m.life_rank >= app.life_rank_of('claimed') then
    return null;
  end if;
  -- One hedge at a time: any other attempt in progress for this session, apart from the late machine, is its hedge.
  if exists (select from public.machines o where o.session_id = s.id and o.id <> m.id
    and o.life_rank < app.life_rank_of('draining')) then
    return null;
  end if;
  -- The late machine and the hedge may both be lost. Without this check, hedges would follow one after another for as
  -- long as machines do not boot.
  if not app.may_try_again(s.id, p_next, 1) then return null; end if;
  return app.give_machine(s, 'hedge', p_next);
end $$;
comment on function public.hedge_machine(uuid, jsonb, text, bigint) is
  'Reserves a second attempt for the session of a late machine, if there is none yet and max_attempts allows one; '
  'called by the reaper. The first claim wins, and the other machine is refused and destroyed. Returns the intent, '
  'or null.';
grant execute on function public.hedge_machine(uuid, jsonb, text, bigint) to orchestrator;

create function public.record_unreachable(p_machine_id uuid, p_epoch integer, p_gap_ms integer, p_window_ms integer,
  p_next jsonb, p_silent boolean default false) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_now timestamptz;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  v_now := clock_timestamp();
  -- Before the candidate was connected once, the fault may lie elsewhere, and the report is ignored. A hot machine is
  -- given up: it may have died since its worker was last heard, and holds nothing that could be lost.
  if s.id is null or s.machine_id <> m.id or s.epoch <> p_epoch or m.state <> 'claimed'
    or p_silent and m.lease_expires_at > v_now
    or s.state_rank < app.rank_of('connecting') and not m.hot and not p_silent
    or s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'ignored');
  end if;
  if (p_silent or s.state_rank >= app.rank_of('connecting'))
    and (m.unreachable_since is null or m.unreachable_since < v_now - app.interval_ms(p_window_ms)) then
    update public.machines set unreachable_since = v_now where id = m.id;
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  if (p_silent or s.state_rank >= app.rank_of('connecting'))
    and m.unreachable_since > v_now - app.interval_ms(p_gap_ms) then
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  perform app.move_machine(m.id, 'destroying', 'unreachable');
  return jsonb_build_object('kind', 'replaced', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'next', app.settle_session(s.id, p_next) -> 'intent');
end $$;
comment on function public.record_unreachable(uuid, integer, integer, integer, jsonb, boolean) is
  'Records that a returning browser could not be connected to its machine; called by the edge. The first report is '
  'only stored. A second one, at least p_gap_ms and at most p_window_ms later, gives the machine up, and its session '
  'gets the next attempt. A hot machine that never had its candidate is given up at the first report. Ignored if the '
  'candidate was never connected and the machine is not hot, or the machine no longer serves the session. p_silent: '
  'the browser asks for a machine whose worker has let its lease expire. Two such reports give the machine up, also '
  'if the candidate was never connected; they are ignored when the worker has been heard again.';
grant execute on function public.record_unreachable(uuid, integer, integer, integer, jsonb, boolean) to orchestrator;
