create function public.put_pool_policy(p_tenant_id uuid, p_region text, p_floor integer, p_ceiling integer, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_max integer;
  v_others bigint;
begin
  select max_standby into v_max from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(sum(ceiling), 0) into v_others from public.pool_policies where tenant_id = p_tenant_id
    and region <> p_region;
  if v_others + p_ceiling > v_max then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_max, 'left', greatest(0, v_max - v_others));
  end if;
  insert into public.pool_policies (tenant_id, region, floor, ceiling)
    values (p_tenant_id, p_region, p_floor, p_ceiling)
    on conflict (tenant_id, region) do update set floor = excluded.floor, ceiling = excluded.ceiling;
  perform app.audit(p_by, p_tenant_id, 'pool.update', p_region,
    jsonb_build_object('floor', p_floor, 'ceiling', p_ceiling));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.put_pool_policy(uuid, text, integer, integer, jsonb) is
  'Sets how many standby machines a tenant keeps in a region; called by the API. Returns kind: updated, '
  'limit_exceeded, not_found.';
grant execute on function public.put_pool_policy(uuid, text, integer, integer, jsonb) to orchestrator;

create function public.pool_facts(p_horizon_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with current as (select worker_image as image from public.orchestrators where worker_image is not null
    order by started_at desc, id limit 1),
  pools as (
    select tenant_id, region, floor, ceiling from public.pool_policies),
  standby as (
    select m.tenant_id, m.region,
      count(*) filter (where m.state = 'created' and m.image = c.image) as ready,
      count(*) filter (where m.state = 'reserved' and m.image = c.image) as building,
      count(*) filter (where m.image <> c.image) as stale
    from public.machines m cross join current c where m.session_id is null
      and m.state in ('reserved', 'created') group by 1, 2),
  due as (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region,
      greatest(0, floor(extract(epoch from s.scheduled_at - clock_timestamp())))::integer * 1000 as due_in_ms,
      count(*) as sessions
    from public.interview_sessions s
    where s.status = 'scheduled' and s.placement = 'now'
      and s.scheduled_at < clock_timestamp() + app.interval_ms(p_horizon_ms) group by 1, 2, 3),
  tenants as (select tenant_id from pools union select tenant_id from standby union select tenant_id from due)
  select jsonb_build_object('image', (select image from current), 'tenants', coalesce(jsonb_agg(jsonb_build_object(
    'tenant_id', t.id,
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a
      where a.tenant_id = t.id and a.status = 'ready' and ten.status = 'active'),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', r.region, 'floor', coalesce(p.floor, 0),
      'ceiling', coalesce(p.ceiling, 0),
      'ready', coalesce(b.ready, 0), 'building', coalesce(b.building, 0), 'stale', coalesce(b.stale, 0))), '[]')
      from (select region from pools where tenant_id = t.id union select region from standby where tenant_id = t.id
        union select region from due where tenant_id = t.id) r
      left join pools p on p.tenant_id = t.id and p.region = r.region and ten.status = 'active'
      left join standby b on b.tenant_id = t.id and b.region = r.region),
    'due', (select coalesce(jsonb_agg(jsonb_build_object('region', d.region, 'due_in_ms', d.due_in_ms,
      'sessions', d.sessions) order by d.due_in_ms), '[]')
      from due d where d.tenant_id = t.id and ten.status = 'active'))), '[]'))
  from (select tenant_id as id from tenants) t join public.tenants ten on ten.id = t.id
$$;
comment on function public.pool_facts(bigint) is
  'Returns the data for planning pools; called by the pool planner. It contains the image to use and, for each '
  'tenant with a pool, a standby machine or a session due within the horizon, the create rate, the pools and the due '
  'sessions.';
grant execute on function public.pool_facts(bigint) to orchestrator;

create function public.pool_demand(p_window_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'region', x.region,
    'per_second', x.per_second)), '[]') from (
    select s.tenant_id, s.regions[1] as region,
      sum(exp(-extract(epoch from clock_timestamp() - s.created_at) * 1000 / p_window_ms)) * 1000 / p_window_ms
        as per_second
    from public.pool_policies p join public.interview_sessions s on s.tenant_id = p.tenant_id
      and s.regions[1] = p.region
    where s.created_at > clock_timestamp() - app.interval_ms(3 * p_window_ms) and s.scheduled_at is null group by 1,
      2) x
$$;
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
  'Draws a create slot for a standby machine from an app for which no session is waiting. Null if there is none now.';

create function app.fill_pool(p jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms numeric) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid := (p ->> 'tenant_id')::uuid;
  v_have integer;
  v_app text;
  v_id uuid;
  v_intents jsonb[] := '{}';
begin
  -- Counted again under the lock: another orchestrator may have filled it since the facts were read.
  select count(*) into v_have from public.machines
    where tenant_id = v_tenant and region = p ->> 'region' and session_id is null and state in ('reserved', 'created')
      and image = p_image;
  for i in v_have + 1 .. (p ->> 'target')::integer loop
    v_app := app.draw_pool_slot(v_tenant);
    exit when v_app is null;
    insert into public.machines (tenant_id, app_name, region, image, taken_by, taken_until)
      values (v_tenant, v_app, p ->> 'region', p_image, p_orchestrator_id,
        clock_timestamp() + app.interval_ms(p_taken_ms)) returning id into v_id;
    v_intents := v_intents || app.intent_json(v_id);
  end loop;
  return v_intents;
end $$;
comment on function app.fill_pool(jsonb, text, uuid, numeric) is
  'Reserves standby machines until the target is reached or the create limit allows no more. Returns their intents.';

create function app.retire_standby(p_tenant_id uuid, p_region text, p_image text, p_stale boolean, p_count integer,
  p_reason text) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_retired jsonb[] := '{}';
begin
  -- The newest first: on the hosts of the oldest the image is certainly present.
  for m in select * from public.machines where tenant_id = p_tenant_id and region = p_region and session_id is null
    and state = 'created'
      and (image <> p_image) = p_stale order by created_at desc limit p_count for update skip locked loop
    perform app.move_machine(m.id, 'destroying', p_reason);
    v_retired := v_retired || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'reason', p_reason);
  end loop;
  return v_retired;
end $$;
comment on function app.retire_standby(uuid, text, text, boolean, integer, text) is
  'Marks standby machines of this image, or of other images, for destruction. It takes the same lock as an '
  'assignment and commits before any DELETE is sent to Fly.';

create function public.apply_pool_plan(p_plan jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms integer)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p jsonb;
  v_intents jsonb[] := '{}';
  v_retired jsonb[] := '{}';
begin
  for p in select x from jsonb_array_elements(p_plan) with ordinality as e (x, n) order by x ->> 'tenant_id', n loop
    continue when not pg_try_advisory_xact_lock(hashtextextended('pool ' || (p ->> 'tenant_id'), 0));
    v_intents := v_intents || app.fill_pool(p, p_image, p_orchestrator_id, p_taken_ms);
    v_retired := v_retired
      || app.retire_standby((p ->> 'tenant_id')::uuid, p ->> 'region', p_image, true, (p ->> 'retire_stale')::integer,
        'image_replaced')
      || app.retire_standby((p ->> 'tenant_id')::uuid, p ->> 'region', p_image, false, (p ->> 'shrink')::integer,
        'pool_shrunk');
  end loop;
  return jsonb_build_object('intents', to_jsonb(v_intents), 'retired', to_jsonb(v_retired));
end $$;
comment on function public.apply_pool_plan(jsonb, text, uuid, integer) is
  'Carries out a plan [{tenant_id, region, target, shrink, retire_stale}] in the order of its pools; called by the '
  'pool planner. Returns {intents, retired: [{machine_id, app_name, fly_machine_id, reason}]}.';
grant execute on function public.apply_pool_plan(jsonb, text, uuid, integer) to orchestrator;

create function public.pool_of_tenant(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('region', r.region, 'floor', coalesce(p.floor, 0),
    'ceiling', coalesce(p.ceiling, 0),
    'ready', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.region = r.region
        and m.session_id is null and m.state = 'created'),
      'building', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.region = r.region
        and m.session_id is null and m.state = 'reserved'),
      'scheduled', (select count(*) from public.interview_sessions s where s.tenant_id = p_tenant_id
        and s.status = 'scheduled'
        and coalesce(s.regions[1], s.region) = r.region and s.scheduled_at < clock_timestamp() + interval '1 hour'))
          order by r.region), '[]')
  from (select region from public.pool_policies where tenant_id = p_tenant_id
    union select region from public.machines where tenant_id = p_tenant_id and session_id is null
      and state in ('reserved', 'created')) r
  left join public.pool_policies p on p.tenant_id = p_tenant_id and p.region = r.region
$$;
comment on function public.pool_of_tenant(uuid) is
  'Returns a tenant''s pools with their policy, the standby machines that are ready or being prepared, and the '
  'sessions due within the hour; called by the API.';
grant execute on function public.pool_of_tenant(uuid) to orchestrator;
