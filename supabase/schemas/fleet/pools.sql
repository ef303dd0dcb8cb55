create function public.put_pool_policy(p_tenant_id uuid, p_region text, p_floor integer, p_ceiling integer,
  p_by jsonb, p_hot_floor integer default 0, p_hot_ceiling integer default 0) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_max integer;
  v_others bigint;
  v_before jsonb;
begin
  select max_standby into v_max from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(sum(ceiling + hot_ceiling), 0) into v_others from public.pool_policies where tenant_id = p_tenant_id
    and region <> p_region;
  if v_others + p_ceiling + p_hot_ceiling > v_max then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_max, 'left', greatest(0, v_max - v_others));
  end if;
  select jsonb_build_object('floor', floor, 'ceiling', ceiling, 'hot_floor', hot_floor, 'hot_ceiling', hot_ceiling)
    into v_before from public.pool_policies where tenant_id = p_tenant_id and region = p_region;
  insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
    values (p_tenant_id, p_region, p_floor, p_ceiling, p_hot_floor, p_hot_ceiling)
    on conflict (tenant_id, region) do update set floor = excluded.floor, ceiling = excluded.ceiling,
      hot_floor = excluded.hot_floor, hot_ceiling = excluded.hot_ceiling;
  perform app.audit(p_by, p_tenant_id, 'pool.update', p_region,
    jsonb_build_object('floor', p_floor, 'ceiling', p_ceiling, 'hot_floor', p_hot_floor,
      'hot_ceiling', p_hot_ceiling, 'before', v_before));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.put_pool_policy(uuid, text, integer, integer, jsonb, integer, integer) is
  'Sets how many standby and hot machines a tenant keeps in a region; called by the API. Returns kind: updated, '
  'limit_exceeded, not_found.';
grant execute on function public.put_pool_policy(uuid, text, integer, integer, jsonb, integer, integer) to orchestrator;

create function public.pool_facts(p_horizon_ms bigint, p_hot_life_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with current as (select worker_image as image from public.orchestrators where worker_image is not null
    order by started_at desc, id limit 1),
  policies as (
    select p.tenant_id, p.region, x.hot, x.floor, x.ceiling from public.pool_policies p
    cross join lateral (values (false, p.floor, p.ceiling), (true, p.hot_floor, p.hot_ceiling)) x (hot, floor, ceiling)
    where x.ceiling > 0 or not x.hot),
  prepared as (
    select m.tenant_id, m.region, m.hot,
      count(*) filter (where app.prepared_state(m) = 'ready' and not x.stale) as ready,
      count(*) filter (where app.prepared_state(m) = 'building' and not x.stale) as building,
      count(*) filter (where app.prepared_state(m) <> 'lost' and x.stale) as stale
    from public.machines m cross join current c
    cross join lateral (select app.is_stale(m, c.image, p_hot_life_ms) as stale) x
    where m.session_id is null and m.state in ('reserved', 'created', 'started') group by 1, 2, 3),
  due as (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region,
      greatest(0, floor(extract(epoch from s.scheduled_at - clock_timestamp())))::integer * 1000 as due_in_ms,
      count(*) as sessions
    from public.interview_sessions s
    where s.status = 'scheduled' and s.placement = 'now'
      and s.scheduled_at < clock_timestamp() + app.interval_ms(p_horizon_ms) group by 1, 2, 3),
  wanted as (select tenant_id, region, hot from policies union select tenant_id, region, hot from prepared
    union select tenant_id, region, false from due),
  tenants as (select distinct tenant_id from wanted)
  select jsonb_build_object('image', (select image from current), 'tenants', coalesce(jsonb_agg(jsonb_build_object(
    'tenant_id', t.id,
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a
      where a.tenant_id = t.id and a.status = 'ready' and ten.status = 'active'),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', w.region, 'hot', w.hot,
      'floor', coalesce(p.floor, 0), 'ceiling', coalesce(p.ceiling, 0),
      'ready', coalesce(b.ready, 0), 'building', coalesce(b.building, 0), 'stale', coalesce(b.stale, 0))), '[]')
      from wanted w
      left join policies p on (p.tenant_id, p.region, p.hot) = (w.tenant_id, w.region, w.hot) and ten.status = 'active'
      left join prepared b on (b.tenant_id, b.region, b.hot) = (w.tenant_id, w.region, w.hot)
      where w.tenant_id = t.id),
    'due', (select coalesce(jsonb_agg(jsonb_build_object('region', d.region, 'due_in_ms', d.due_in_ms,
      'sessions', d.sessions) order by d.due_in_ms), '[]')
      from due d where d.tenant_id = t.id and ten.status = 'active'))), '[]'))
  from (select tenant_id as id from tenants) t join public.tenants ten on ten.id = t.id
$$;
comment on function public.pool_facts(bigint, bigint) is
  'Returns the data for planning pools; called by the pool planner. It contains the image to use and, for each '
  'tenant with a pool, a prepared machine or a session due within the horizon, the create rate, the pools (standby and '
  'hot apart) and the due sessions. stale: of another image, or a hot machine older than p_hot_life_ms.';
grant execute on function public.pool_facts(bigint, bigint) to orchestrator;

-- Planned with the window's own value: a guess would read all sessions that ever were.
create function public.pool_demand(p_window_ms bigint) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'region', x.region,
    'per_second', x.per_second)), '[]') from (
    select s.tenant_id, s.regions[1] as region,
      sum(exp(-extract(epoch from clock_timestamp() - s.created_at) * 1000 / p_window_ms)) * 1000 / p_window_ms
        as per_second
    from public.pool_policies p join public.interview_sessions s on s.tenant_id = p.tenant_id
      and s.regions[1] = p.region
    where s.created_at > now() - app.interval_ms(3 * p_window_ms) and s.scheduled_at is null group by 1,
      2) x);
end $$;
comment on function public.pool_demand(bigint) is
  'Returns for each pool how many unscheduled sessions per second it gets, as an exponentially decaying mean over '
  'the window; called by the pool planner.';
grant execute on function public.pool_demand(bigint) to orchestrator;

create function app.draw_pool_slot(p_tenant_id uuid) returns text
language sql volatile set search_path = '' as $$
  update public.tenant_apps set next_create_at = clock_timestamp() + app.interval_ms(1000 / creates_per_second)
  where name = (select name from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready'
    and next_create_at <= clock_timestamp()
    order by next_create_at, name limit 1 for update skip locked)
  returning name
$$;
comment on function app.draw_pool_slot(uuid) is
  'Draws a create slot for a standby or hot machine from an app for which no session is waiting. Null if there is '
  'none now.';

create function app.fill_pool(p jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms numeric, p_hot_life_ms numeric)
  returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid := (p ->> 'tenant_id')::uuid;
  v_hot boolean := (p ->> 'hot')::boolean;
  v_have integer;
  v_app text;
  v_id uuid;
  v_intents jsonb[] := '{}';
begin
  -- Counted again under the lock: another orchestrator may have filled it since the facts were read.
  select count(*) into v_have from public.machines m
    where m.tenant_id = v_tenant and m.region = p ->> 'region' and m.session_id is null and m.hot = v_hot
      and m.state in ('reserved', 'created', 'started') and app.prepared_state(m) <> 'lost'
      and not app.is_stale(m, p_image, p_hot_life_ms);
  for i in v_have + 1 .. (p ->> 'target')::integer loop
    v_app := app.draw_pool_slot(v_tenant);
    exit when v_app is null;
    -- A hot machine runs, so it must be gone at some time even if no plan retires it.
    insert into public.machines (tenant_id, app_name, region, image, taken_by, taken_until, hot, hard_deadline_at)
      values (v_tenant, v_app, p ->> 'region', p_image, p_orchestrator_id,
        clock_timestamp() + app.interval_ms(p_taken_ms), v_hot,
        case when v_hot then clock_timestamp() + app.interval_ms(2 * p_hot_life_ms) end) returning id into v_id;
    v_intents := v_intents || app.intent_json(v_id);
  end loop;
  return v_intents;
end $$;
comment on function app.fill_pool(jsonb, text, uuid, numeric, numeric) is
  'Reserves standby or hot machines until the target is reached or the create limit allows no more. Returns their '
  'intents.';

create function app.retire_prepared(p jsonb, p_image text, p_hot_life_ms numeric, p_stale boolean) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_reason text;
  v_retired jsonb[] := '{}';
begin
  -- The newest first: on the hosts of the oldest the image is certainly present.
  for m in select * from public.machines x where x.tenant_id = (p ->> 'tenant_id')::uuid and x.region = p ->> 'region'
    and x.session_id is null and x.hot = (p ->> 'hot')::boolean
    and (x.state = 'created' or x.hot and x.state = 'started')
    and app.is_stale(x, p_image, p_hot_life_ms) = p_stale
    order by x.created_at desc limit (p ->> case when p_stale then 'retire_stale' else 'shrink' end)::integer
    for update skip locked loop
    v_reason := case when not p_stale then 'pool_shrunk' when m.image <> p_image then 'image_replaced'
      else 'recycled' end;
    perform app.move_machine(m.id, 'destroying', v_reason);
    v_retired := v_retired || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'reason', v_reason);
  end loop;
  return v_retired;
end $$;
comment on function app.retire_prepared(jsonb, text, numeric, boolean) is
  'Marks standby or hot machines of one pool for destruction: stale ones, or those of the current image. It takes the '
  'same lock as an assignment and commits before any DELETE is sent to Fly.';

create function public.apply_pool_plan(p_plan jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms integer,
  p_hot_life_ms bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p jsonb;
  v_intents jsonb[] := '{}';
  v_retired jsonb[] := '{}';
begin
  for p in select x from jsonb_array_elements(p_plan) with ordinality as e (x, n) order by x ->> 'tenant_id', n loop
    continue when not pg_try_advisory_xact_lock(hashtextextended('pool ' || (p ->> 'tenant_id'), 0));
    v_intents := v_intents || app.fill_pool(p, p_image, p_orchestrator_id, p_taken_ms, p_hot_life_ms);
    v_retired := v_retired || app.retire_prepared(p, p_image, p_hot_life_ms, true)
      || app.retire_prepared(p, p_image, p_hot_life_ms, false);
  end loop;
  return jsonb_build_object('intents', to_jsonb(v_intents), 'retired', to_jsonb(v_retired));
end $$;
comment on function public.apply_pool_plan(jsonb, text, uuid, integer, bigint) is
  'Carries out a plan [{tenant_id, region, hot, target, shrink, retire_stale}] in the order of its pools; called by '
  'the pool planner. Returns {intents, retired: [{machine_id, app_name, fly_machine_id, reason}]}.';
grant execute on function public.apply_pool_plan(jsonb, text, uuid, integer, bigint) to orchestrator;

create view app.pools with (security_invoker = true) as
  select tenant_id, region, coalesce(p.floor, 0) as floor, coalesce(p.ceiling, 0) as ceiling,
    coalesce(b.ready, 0) as ready, coalesce(b.building, 0) as building,
    coalesce(d.scheduled, 0) as scheduled,
    jsonb_build_object('floor', coalesce(p.hot_floor, 0), 'ceiling', coalesce(p.hot_ceiling, 0),
      'ready', coalesce(b.hot_ready, 0), 'building', coalesce(b.hot_building, 0)) as hot
  from public.pool_policies p full join (
    select m.tenant_id, m.region,
      count(*) filter (where not m.hot and app.prepared_state(m) = 'ready') as ready,
      count(*) filter (where not m.hot and app.prepared_state(m) = 'building') as building,
      count(*) filter (where m.hot and app.prepared_state(m) = 'ready') as hot_ready,
      count(*) filter (where m.hot and app.prepared_state(m) = 'building') as hot_building
    from public.machines m where m.session_id is null and m.state in ('reserved', 'created', 'started')
    group by 1, 2) b using (tenant_id, region)
  left join (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region, count(*) as scheduled
    from public.interview_sessions s where s.status = 'scheduled'
      and s.scheduled_at < statement_timestamp() + interval '1 hour'
    group by 1, 2) d using (tenant_id, region);
comment on view app.pools is
  'Every pool that has a policy or a prepared machine: its policy, the standby and hot machines that are ready or '
  'being prepared, and the sessions due within the hour.';

create function public.pool_of_tenant(p_tenant_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(jsonb_agg(to_jsonb(p) - 'tenant_id' order by p.region), '[]')
  from app.pools p where p.tenant_id = p_tenant_id);
end $$;
comment on function public.pool_of_tenant(uuid) is
  'Returns a tenant''s pools with their policy, the standby and hot machines that are ready or being prepared, and the '
  'sessions due within the hour; called by the API.';
grant execute on function public.pool_of_tenant(uuid) to orchestrator;
