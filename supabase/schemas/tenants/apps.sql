create function app.draw_create_slot(p_tenant_id uuid, out app_name text, out not_before timestamptz)
language plpgsql set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz := clock_timestamp();
  v_step interval;
  v_tat timestamptz;
  v_at timestamptz;
begin
  select * into a from public.tenant_apps t where t.tenant_id = p_tenant_id and t.status = 'ready'
    order by t.next_create_at, t.name limit 1 for update;
  if not found then return; end if;
  v_step := app.interval_ms(1000 / a.creates_per_second);
  v_tat := greatest(a.next_create_at, v_now);
  update public.tenant_apps set next_create_at = v_tat + v_step where name = a.name;
  app_name := a.name;
  -- GCRA: a request conforms while it is at most (burst − 1) steps ahead of its theoretical time.
  v_at := v_tat - v_step * (a.create_burst - 1);
  -- A request that must wait waits a quarter step longer: travel times differ, and Fly would refuse a request that
  -- arrives a millisecond before the one ahead of it.
  not_before := case when v_at > v_now then v_at + v_step / 4 else v_now end;
end $$;
comment on function app.draw_create_slot(uuid) is
  'Draws the next create slot of the tenant''s least busy app, so that all orchestrators together stay within Fly''s '
  'limit. Null if the tenant has no app.';

create function public.plan_app(p_tenant_id uuid, p_name text, p_network text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_apps (name, tenant_id, network) values (p_name, p_tenant_id, p_network)
    on conflict (name) do nothing returning * into a;
  if a.name is not null then
    perform app.audit(p_by, p_tenant_id, 'app.plan', p_name);
    return jsonb_build_object('kind', 'planned', 'app', to_jsonb(a));
  end if;
  select * into a from public.tenant_apps where name = p_name;
  if a.tenant_id <> p_tenant_id or a.status in ('removing', 'removed') then
    return jsonb_build_object('kind', 'name_taken');
  end if;
  return jsonb_build_object('kind', 'known', 'app', to_jsonb(a));
end $$;
comment on function public.plan_app(uuid, text, text, jsonb) is
  'Records an app before Fly is asked to create it; called by onboarding. Returns kind: planned, known, name_taken, '
  'not_found.';
grant execute on function public.plan_app(uuid, text, text, jsonb) to orchestrator;

create function public.rename_planned_app(p_name text, p_new_name text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.tenant_apps where name = p_new_name) then return false; end if;
  update public.tenant_apps set name = p_new_name where name = p_name and status = 'planned';
  return found;
end $$;
comment on function public.rename_planned_app(text, text) is
  'Gives a planned app another name, because someone else has the name at Fly, where names are global; called by '
  'onboarding. Returns false if the new name is already known here or the app is no longer only planned.';
grant execute on function public.rename_planned_app(text, text) to orchestrator;

create function public.app_ready(p_name text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.tenant_apps set status = 'ready' where name = p_name and status in ('planned', 'ready') returning 1)
  select exists (select from done)
$$;
comment on function public.app_ready(text) is
  'Records that the app exists at Fly and machines may be created in it; called by onboarding. Returns false if it '
  'is unknown or being removed.';
grant execute on function public.app_ready(text) to orchestrator;

create function public.onboarding_debts(p_limit integer default 50) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'tenant_id', x.tenant_id, 'network', x.network,
    'status', x.status)), '[]')
  from (select * from public.tenant_apps where status in ('planned', 'removing') order by updated_at limit p_limit) x
$$;
comment on function public.onboarding_debts(integer) is
  'Lists apps that must still be created at Fly (planned) or deleted there (removing), for example after a crash; '
  'called by the onboarding job.';
grant execute on function public.onboarding_debts(integer) to orchestrator;

create function public.app_removed(p_name text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
begin
  update public.tenant_apps set status = 'removed' where name = p_name and status in ('removing', 'removed')
    returning tenant_id into v_tenant;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform 1 from public.tenants where id = v_tenant and status = 'removing' for no key update;
  if not found then return jsonb_build_object('kind', 'removed'); end if;
  return app.finish_removal(v_tenant);
end $$;
comment on function public.app_removed(text) is
  'Records that Fly has deleted the app, and finishes the removal of its tenant if it was the last one; called by '
  'onboarding.';
grant execute on function public.app_removed(text) to orchestrator;

create function public.draw_list_slots(p_apps text[], p_urgent boolean default false,
  p_max_wait_ms integer default 1000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz;
  v_tat timestamptz;
  v_at timestamptz;
  v_result jsonb := '{}';
begin
  for a in select * from public.tenant_apps where name = any (p_apps) order by name for update loop
    v_now := clock_timestamp();
    v_tat := greatest(a.next_list_at, v_now);
    -- A lookup for a waiting candidate may use the burst; the reconciler's lists leave it alone.
    v_at := v_tat - case when p_urgent then interval '2 seconds' else interval '0' end;
    -- A quarter step longer, as with creates, because travel times differ.
    v_at := case when v_at > v_now then v_at + interval '250 milliseconds' else v_now end;
    continue when v_at > v_now + app.interval_ms(p_max_wait_ms);
    update public.tenant_apps set next_list_at = v_tat + interval '1 second' where name = a.name;
    v_result := v_result || jsonb_build_object(a.name, ceil(extract(epoch from v_at - v_now) * 1000));
  end loop;
  return v_result;
end $$;
comment on function public.draw_list_slots(text[], boolean, integer) is
  'Draws slots of Fly''s limit on list requests (1 a second per app, burst 3); called by the Fly client. Returns the '
  'milliseconds to wait for each app. An app that is missing in the result must not be listed now.';
grant execute on function public.draw_list_slots(text[], boolean, integer) to orchestrator;

create function public.slow_app(p_app_name text, p_action text, p_retry_ms integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_burst interval;
  v_until timestamptz := clock_timestamp() + app.interval_ms(p_retry_ms);
begin
  if p_action = 'list' then
    update public.tenant_apps set next_list_at = greatest(next_list_at, v_until + interval '3 seconds')
      where name = p_app_name;
    return p_retry_ms;
  end if;
  -- Fly's count differs from ours, so no request may use the burst until both agree again. The refused request gets the
  -- first slot.
  update public.tenant_apps set next_create_at = greatest(next_create_at,
    v_until + app.interval_ms(1000 / creates_per_second) * (create_burst - 1))
      + app.interval_ms(1000 / creates_per_second)
    where name = p_app_name
    returning next_create_at - app.interval_ms(1000 / creates_per_second) * create_burst - clock_timestamp()
      into v_burst;
  return greatest(p_retry_ms, ceil(extract(epoch from v_burst) * 1000));
end $$;
comment on function public.slow_app(text, text, integer) is
  'Records that Fly answered a create or list request with 429, so that further requests of this kind wait for the '
  'Retry-After time; called by the Fly client. Returns the caller''s own wait in milliseconds.';
grant execute on function public.slow_app(text, text, integer) to orchestrator;

create function public.apps_with_machines() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', name, 'tenant_id', tenant_id) order by name), '[]')
  from public.tenant_apps where status in ('ready', 'removing')
$$;
comment on function public.apps_with_machines() is
  'Lists the Fly apps that may have machines, [{name, tenant_id}], as one value, so that no row limit applies; '
  'called by the reconciler.';
grant execute on function public.apps_with_machines() to orchestrator;
