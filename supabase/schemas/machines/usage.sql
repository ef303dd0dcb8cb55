create function app.sum_costs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- In one order: two statements that add to the same sums wait for each other, and never both.
  insert into app.daily_costs as d (day, tenant_id, machines, run_usd, standby_usd, hot_usd)
    select (a.recorded_at at time zone 'UTC')::date, a.tenant_id, count(*), sum(a.cost_usd), sum(a.standby_cost_usd),
      sum(a.hot_cost_usd) from added a where not a.test group by 1, 2 order by 1, 2
    on conflict (day, tenant_id) do update set machines = d.machines + excluded.machines,
      run_usd = d.run_usd + excluded.run_usd, standby_usd = d.standby_usd + excluded.standby_usd,
      hot_usd = d.hot_usd + excluded.hot_usd;
  return null;
end $$;
comment on function app.sum_costs() is 'Adds new usage to daily_costs. Trigger of machine_usage.';
create trigger sum_costs after insert on public.machine_usage referencing new table as added for each statement
  execute function app.sum_costs();

create function public.machines_to_bill(p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'tenant_id', m.tenant_id, 'session_id', m.session_id,
    'region', m.region,
    -- A standby machine counts as running from its start, other machines from their creation. Fly bills a little less.
    'started_seconds', round(case when m.session_id is null then 0
      else extract(epoch from m.destroyed_at - coalesce(m.start_requested_at, m.assigned_at, m.created_at))
        end::numeric, 3),
    'standby_seconds', round(case when m.hot then 0 else waited.seconds end::numeric, 3),
    'hot_seconds', round(case when m.hot then waited.seconds else 0 end::numeric, 3))), '[]')
  from (select * from public.machines where state = 'destroyed' and billed_at is null and created_at is not null
    order by destroyed_at limit p_limit) m
  cross join lateral (select case when m.session_id is not null and m.assigned_at is null then 0
    else extract(epoch from coalesce(m.start_requested_at, m.assigned_at, m.destroyed_at) - m.created_at)
      end as seconds) waited
$$;
comment on function public.machines_to_bill(integer) is
  'Lists destroyed machines whose usage is not recorded yet, with the seconds for which they served, stood '
  'by and were hot; called by the usage job.';
grant execute on function public.machines_to_bill(integer) to orchestrator;

create function public.record_usage(p_rows jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_count integer;
begin
  -- In one order: two reports about the same machines wait for each other, and never both.
  perform from public.machines where id in (select (r ->> 'machine_id')::uuid from jsonb_array_elements(p_rows) r)
    order by id for no key update;
  insert into public.machine_usage (machine_id, tenant_id, session_id, region, size, started_seconds, standby_seconds,
    cost_usd, standby_cost_usd, hot_seconds, hot_cost_usd, test)
    select (r ->> 'machine_id')::uuid, m.tenant_id, m.session_id, m.region, r ->> 'size',
      greatest(0, (r ->> 'started_seconds')::numeric),
      greatest(0, (r ->> 'standby_seconds')::numeric), (r ->> 'cost_usd')::numeric, (r ->> 'standby_cost_usd')::numeric,
      greatest(0, (r ->> 'hot_seconds')::numeric), (r ->> 'hot_cost_usd')::numeric, t.test
    from jsonb_array_elements(p_rows) r join public.machines m on m.id = (r ->> 'machine_id')::uuid
      and m.state = 'destroyed'
      join public.tenants t on t.id = m.tenant_id
    on conflict (machine_id) do nothing;
  get diagnostics v_count = row_count;
  update public.machines set billed_at = clock_timestamp() where id in (select (r ->> 'machine_id')::uuid
    from jsonb_array_elements(p_rows) r) and billed_at is null;
  return v_count;
end $$;
comment on function public.record_usage(jsonb) is
  'Stores the usage and cost of machines, once per machine; called by the usage job. Returns how many were new.';
grant execute on function public.record_usage(jsonb) to orchestrator;

create function app.session_usage(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select case when count(*) > 0 then jsonb_build_object('machines', count(*), 'started_seconds', sum(u.started_seconds),
    'standby_seconds', sum(u.standby_seconds), 'hot_seconds', sum(u.hot_seconds), 'cost_usd', sum(u.cost_usd),
    'standby_cost_usd', sum(u.standby_cost_usd), 'hot_cost_usd', sum(u.hot_cost_usd)) end
  from public.machine_usage u where u.session_id = p_session_id
$$;
comment on function app.session_usage(uuid) is
  'Returns the usage and cost of a session''s machines. Null until the first of them has been recorded.';

create function public.tenant_usage(p_tenant_id uuid, p_from timestamptz, p_until timestamptz) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with u as (select * from public.machine_usage where tenant_id = p_tenant_id and recorded_at >= p_from
    and recorded_at < p_until)
  select jsonb_build_object('machines', count(*), 'sessions', count(distinct session_id),
    'started_seconds', coalesce(sum(started_seconds), 0),
    'standby_seconds', coalesce(sum(standby_seconds), 0), 'cost_usd', coalesce(sum(cost_usd), 0),
    'standby_cost_usd', coalesce(sum(standby_cost_usd), 0),
    'unused_standby_cost_usd', coalesce(sum(standby_cost_usd) filter (where session_id is null), 0),
    'hot_seconds', coalesce(sum(hot_seconds), 0), 'hot_cost_usd', coalesce(sum(hot_cost_usd), 0),
    'unused_hot_cost_usd', coalesce(sum(hot_cost_usd) filter (where session_id is null), 0),
    'regions', (select coalesce(jsonb_agg(jsonb_build_object('region', x.region, 'size', x.size, 'machines', x.machines,
      'started_seconds', x.started_seconds,
      'standby_seconds', x.standby_seconds, 'cost_usd', x.cost_usd, 'standby_cost_usd', x.standby_cost_usd,
      'hot_seconds', x.hot_seconds, 'hot_cost_usd', x.hot_cost_usd)
        order by x.region, x.size), '[]')
      from (select region, size, count(*) as machines, sum(started_seconds) as started_seconds,
        sum(standby_seconds) as standby_seconds,
        sum(cost_usd) as cost_usd, sum(standby_cost_usd) as standby_cost_usd, sum(hot_seconds) as hot_seconds,
        sum(hot_cost_usd) as hot_cost_usd from u group by 1, 2) x))
  from u);
end $$;
comment on function public.tenant_usage(uuid, timestamptz, timestamptz) is
  'Returns the usage and cost of a tenant''s machines that were recorded in this time, in total and by region and '
  'size, with standby and hot time listed separately; called by the API.';
grant execute on function public.tenant_usage(uuid, timestamptz, timestamptz) to orchestrator;
