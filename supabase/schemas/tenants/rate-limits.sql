create function app.draw_start(p_tenant_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_rate integer := (select starts_per_minute from public.tenants where id = p_tenant_id);
  v_now timestamptz := clock_timestamp();
  v_next timestamptz;
begin
  if v_rate is null then return 0; end if;
  select greatest(next_start_at, v_now) into v_next from public.tenant_counters
    where tenant_id = p_tenant_id for update;
  -- GCRA with a burst of one minute's starts: the next is due one step later, and may be drawn a minute early.
  v_next := v_next + app.interval_ms(60000.0 / v_rate);
  if v_next > v_now + interval '1 minute' then
    return ceil(extract(epoch from v_next - v_now - interval '1 minute') * 1000);
  end if;
  update public.tenant_counters set next_start_at = v_next where tenant_id = p_tenant_id;
  return 0;
end $$;
comment on function app.draw_start(uuid) is
  'Draws one start from the tenant''s limit of starts per minute. Returns 0 if the start is allowed, otherwise the '
  'milliseconds to wait. Locks the counters.';

create function app.draw_limit(p_scope text, p_per_minute numeric, p_burst integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_step interval := app.interval_ms(60000.0 / p_per_minute);
  v_next timestamptz;
begin
  -- GCRA: each request moves next_at by one step, and it may be at most a burst of steps ahead.
  insert into public.rate_limits as x (scope, next_at) values (p_scope, v_now + v_step)
    on conflict (scope) do update set next_at = greatest(x.next_at, v_now) + v_step
    where greatest(x.next_at, v_now) + v_step <= v_now + p_burst * v_step;
  if found then return 0; end if;
  select next_at into v_next from public.rate_limits where scope = p_scope;
  return greatest(1, ceil(extract(epoch from v_next + v_step - v_now - p_burst * v_step) * 1000));
end $$;
comment on function app.draw_limit(text, numeric, integer) is
  'Draws one request from a shared limit. Returns 0 if the request is allowed, otherwise the milliseconds to wait. '
  'Locks the limit''s row.';

create function public.draw_rate_limits(p_limits jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  l record;
  v_wait integer := 0;
begin
  -- Always in the order of their scopes: otherwise two calls could wait for each other.
  for l in select * from jsonb_to_recordset(p_limits) as x (scope text, per_minute numeric, burst integer)
    order by scope loop
    v_wait := greatest(v_wait, app.draw_limit(l.scope, l.per_minute, l.burst));
  end loop;
  if v_wait > 0 then raise exception 'used up' using errcode = 'GR004'; end if;
  return 0;
exception when sqlstate 'GR004' then
  -- What was drawn from the other limits is undone.
  return v_wait;
end $$;
comment on function public.draw_rate_limits(jsonb) is
  'Draws one request from each of the shared limits [{scope, per_minute, burst}], or from none of them; called by the '
  'video client. Returns 0 if the request is allowed, otherwise the milliseconds to wait.';
grant execute on function public.draw_rate_limits(jsonb) to orchestrator;

create function public.spend_rate_limits(p_spent jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with spent as (
    select e ->> 'scope' as scope, (e ->> 'cost')::integer as cost,
      60000.0 / (e ->> 'per_minute')::double precision as step_ms,
      (e ->> 'burst')::integer as burst
    from jsonb_array_elements(p_spent) e
  ), drawn as (
    insert into public.rate_limits as x (scope, next_at)
      -- Always in the order of their scopes: otherwise two batches could wait for each other.
      select scope, now() + app.interval_ms(cost * step_ms) from spent order by scope
    on conflict (scope) do update set next_at = greatest(x.next_at, now()) + (excluded.next_at - now())
    returning x.scope, x.next_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('scope', d.scope,
    'wait_ms', greatest(0, ceil(extract(epoch from d.next_at - now()) * 1000 - (s.burst - 1) * s.step_ms)))), '[]')
  from drawn d join spent s on s.scope = d.scope
$$;
comment on function public.spend_rate_limits(jsonb) is
  'Adds requests that were already served to their limits, [{scope, cost, per_minute, burst}] with each scope once; '
  'called by the API once a second. Returns [{scope, wait_ms}]: how long the scope must be refused.';
grant execute on function public.spend_rate_limits(jsonb) to orchestrator;
