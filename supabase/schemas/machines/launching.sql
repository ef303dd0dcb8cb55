create function app.take_standby(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}')
  returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  foreach v_region in array p_regions loop
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created'
        and image = p_image
        and id <> all (p_except) order by created_at limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
    -- While an image is being replaced, the one before it still serves.
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created'
        and id <> all (p_except) order by created_at desc limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
  end loop;
  return null;
end $$;
comment on function app.take_standby(uuid, text[], text, uuid[]) is
  'Locks a standby machine for assignment: the first region that has one decides. Never one of p_except, which the '
  'caller has locked already. Null when there is none.';

create function app.assign_standby(p_machine_id uuid, p_session_id uuid, p_attempt integer, p_launch jsonb) returns text
language sql volatile set search_path = '' as $$
  update public.machines set session_id = p_session_id, assigned_at = clock_timestamp(), attempt = p_attempt,
    taken_by = (p_launch ->> 'orchestrator_id')::uuid,
      taken_until = clock_timestamp() + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
    hard_deadline_at = clock_timestamp() + app.interval_ms((p_launch ->> 'machine_life_ms')::numeric)
  where id = p_machine_id returning region
$$;
comment on function app.assign_standby(uuid, uuid, integer, jsonb) is
  'Gives a locked standby machine its session, for good; answers its region.';

create function app.reserve_machine(p_machine_id uuid, p_tenant_id uuid, p_session_id uuid, p_region text,
  p_attempt integer, p_launch jsonb)
returns boolean language plpgsql set search_path = '' as $$
declare
  v_slot record;
begin
  v_slot := app.draw_create_slot(p_tenant_id);
  if v_slot.app_name is null then return false; end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by,
    taken_until, hard_deadline_at)
    values (p_machine_id, p_tenant_id, p_session_id, v_slot.app_name, p_region, p_launch ->> 'image', p_attempt,
      v_slot.not_before,
      (p_launch ->> 'orchestrator_id')::uuid, v_slot.not_before + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
      clock_timestamp() + app.interval_ms((p_launch ->> 'machine_life_ms')::numeric));
  return true;
end $$;
comment on function app.reserve_machine(uuid, uuid, uuid, text, integer, jsonb) is
  'An intent to create a machine, with the next slot of the tenant''s create limit; false when the tenant has no app.';

create function app.launch(p_session_id uuid, p_launch jsonb, p_attempt integer default 1) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_machine uuid;
  v_region text;
  v_launch jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  v_launch := p_launch || jsonb_build_object('machine_life_ms', (p_launch ->> 'life_ms')::numeric + s.max_duration_ms);
  v_machine := app.take_standby(s.tenant_id, s.regions, p_launch ->> 'image');
  if v_machine is not null then
    v_region := app.assign_standby(v_machine, s.id, p_attempt, v_launch);
  else
    v_machine := gen_random_uuid();
    v_region := coalesce(s.regions[1], s.region, p_launch ->> 'default_region');
    if not app.reserve_machine(v_machine, s.tenant_id, s.id, v_region, p_attempt, v_launch) then
      return jsonb_build_object('kind', 'no_app');
    end if;
  end if;
  update public.interview_sessions set region = v_region, region_reason = case
      when p_attempt > 1 then 'capacity' when v_region is distinct from s.regions[1] then 'standby'
        else region_reason end where id = s.id;
  perform app.move_session(s.id, 'provisioning');
  perform app.emit(s.id, s.tenant_id, (select case when assigned_at is null then 'machine.reserved'
    else 'machine.assigned' end from public.machines where id = v_machine),
    jsonb_build_object('machine_id', v_machine, 'region', v_region, 'attempt', p_attempt));
  return jsonb_build_object('kind', 'launched', 'intent', app.intent_json(v_machine));
end $$;
comment on function app.launch(uuid, jsonb, integer) is
  'A session that waited gets its machine. p_launch: orchestrator_id, image, taken_ms, life_ms (without the '
  'interview), default_region. kind: launched (intent), no_app.';

create function app.start_attempt(s public.interview_sessions, p_because text, p_next jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_region text;
  v_launch jsonb;
  v_id uuid;
  v_standby boolean;
begin
  select * into m from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  v_region := coalesce(p_next ->> 'region', m.region);
  v_launch := p_next || jsonb_build_object('image', coalesce(p_next ->> 'image', m.image),
    'machine_life_ms', coalesce((p_next ->> 'life_ms')::numeric, 3600000) + s.max_duration_ms);
  v_id := app.take_standby(s.tenant_id, array[v_region] || s.regions, v_launch ->> 'image');
  v_standby := v_id is not null;
  if v_standby then
    v_region := app.assign_standby(v_id, s.id, m.attempt + 1, v_launch);
  else
    v_id := gen_random_uuid();
    if not app.reserve_machine(v_id, s.tenant_id, s.id, v_region, m.attempt + 1, v_launch) then return null; end if;
  end if;
  perform app.emit(s.id, s.tenant_id, case when v_standby then 'machine.assigned' else 'machine.reserved' end,
    jsonb_build_object('machine_id', v_id, 'region', v_region, 'attempt', m.attempt + 1, 'because', p_because));
  return app.intent_json(v_id);
end $$;
comment on function app.start_attempt(public.interview_sessions, text, jsonb) is
  'A session''s next attempt beside or after the others, standby or new, taken by the orchestrator that p_next names. '
  'Null when the tenant has no app. The session is locked by the caller.';

create function app.lost_lives(p_session_id uuid) returns integer
language sql stable set search_path = '' as $$
  select count(*)::integer from public.machines
  where session_id = p_session_id and life_rank >= app.life_rank_of('draining')
    and reason not in ('create_failed', 'start_failed', 'superseded', 'handed_over')
$$;
comment on function app.lost_lives(uuid) is
  'Number of machines this session has lost. Hand-overs, failed creates and starts, and losing hedges do not count.';

create function app.settle_session(p_session_id uuid, p_reason text, p_next jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_last text;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.state_rank < app.rank_of('provisioning') or s.state_rank >= app.rank_of('ended') then
    return jsonb_build_object('kind', 'nothing');
  end if;
  if exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('draining')) then
    return jsonb_build_object('kind', 'nothing');
  end if;
  -- The machine that served it says why; before the first claim, the latest attempt does.
  select reason into v_last from public.machines where session_id = s.id
    order by (id = s.machine_id) is true desc, attempt desc, reserved_at desc limit 1;
  if not found then return jsonb_build_object('kind', 'nothing'); end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null
    or v_last in ('hard_deadline', 'operator_stopped') then
    -- Its worker may be carrying the end out: nobody says it for it before its machine is gone.
    if exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('destroyed')) then
      return jsonb_build_object('kind', 'nothing');
    end if;
    perform app.end_session(s.id, coalesce(s.outcome, case v_last when 'operator_stopped' then 'cancelled'
      else 'failed' end),
      coalesce(s.reason, case v_last when 'operator_stopped' then 'operator_stopped'
        else coalesce(p_reason, 'worker_lost') end));
    return jsonb_build_object('kind', 'ended');
  end if;
  if app.lost_lives(s.id) < coalesce((p_next ->> 'max_attempts')::integer, 1) then
    v_intent := app.start_attempt(s, coalesce(v_last, p_reason), p_next);
  end if;
  if v_intent is null then
    perform app.end_session(s.id, 'failed', coalesce(p_reason, case v_last when 'boot_timeout' then 'boot_timeout'
      else 'worker_lost' end));
    return jsonb_build_object('kind', 'ended');
  end if;
  return jsonb_build_object('kind', 'next', 'intent', v_intent);
end $$;
comment on function app.settle_session(uuid, text, jsonb) is
  'What becomes of a session that has lost its machines: nothing while one may still serve it; its recorded end once '
  'all are gone; else the next attempt, or the end with p_reason when too many lives were lost.';

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
      and exists (select from public.machines m where m.session_id = s.id)
      and not exists (select from public.machines m where m.session_id = s.id
        and m.life_rank < app.life_rank_of('draining'))
    order by s.id for update skip locked loop
    v_result := app.settle_session(v_id, null, p_next);
    if v_result ->> 'kind' <> 'nothing' then
      v_results := v_results || (v_result || jsonb_build_object('session_id', v_id));
    end if;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.settle_sessions(jsonb, text, bigint) is
  'Settles every session that was left without a machine, for example by a crash. Answers what was done about which.';
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
  -- One hedge at a time: what is under way for this session, beside the machine that is late, is its hedge.
  if exists (select from public.machines o where o.session_id = s.id and o.id <> m.id
    and o.life_rank < app.life_rank_of('draining')) then
    return null;
  end if;
  return app.start_attempt(s, 'hedge', p_next);
end $$;
comment on function public.hedge_machine(uuid, jsonb, text, bigint) is
  'A machine is late: a second attempt beside it, when there is none yet. Whichever is claimed first serves; the '
  'other is refused and destroyed. Answers the intent, or null.';
grant execute on function public.hedge_machine(uuid, jsonb, text, bigint) to orchestrator;

create function public.record_unreachable(p_machine_id uuid, p_epoch integer, p_gap_ms integer, p_window_ms integer,
  p_next jsonb) returns jsonb
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
  -- Only for a candidate who had been in the room: at the first connection the fault may be anywhere.
  if s.id is null or s.machine_id <> m.id or s.epoch <> p_epoch or m.state <> 'claimed'
    or s.state_rank < app.rank_of('connecting')
    or s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'ignored');
  end if;
  if m.unreachable_since is null or m.unreachable_since < v_now - app.interval_ms(p_window_ms) then
    update public.machines set unreachable_since = v_now where id = m.id;
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  if m.unreachable_since > v_now - app.interval_ms(p_gap_ms) then
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  perform app.move_machine(m.id, 'destroying', 'unreachable');
  return jsonb_build_object('kind', 'replaced', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'next', app.settle_session(s.id, 'worker_lost', p_next) -> 'intent');
end $$;
comment on function public.record_unreachable(uuid, integer, integer, integer, jsonb) is
  'A returning browser could not be connected to its machine. The first time is noted; again after p_gap_ms and '
  'within p_window_ms the machine is given up and its session gets the next attempt.';
grant execute on function public.record_unreachable(uuid, integer, integer, integer, jsonb) to orchestrator;
