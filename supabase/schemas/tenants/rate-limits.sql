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

create function public.draw_rate_limits(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_results jsonb[] := '{}';
begin
  -- One order for every batch, or two could wait for each other.
  insert into public.rate_limits (scope, next_at)
    select distinct l ->> 'scope', clock_timestamp() from jsonb_array_elements(p_requests) q,
      jsonb_array_elements(q -> 'limits') l order by 1
    on conflict (scope) do nothing;
  perform 1 from public.rate_limits x
    where x.scope in (select l ->> 'scope' from jsonb_array_elements(p_requests) q,
      jsonb_array_elements(q -> 'limits') l) order by x.scope for update;
  for r in select * from jsonb_array_elements(p_requests) loop
    v_results := v_results || app.draw_limits(r -> 'limits');
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.draw_rate_limits(jsonb) is
  'Draws requests from shared rate limits, each [{limits: [{scope, per_minute, burst}]}] from all of its limits or '
  'from none; called by the video client and by upload_transcript. Returns in order {allowed, retry_after_ms, '
  'limits: [{scope, limit, remaining, reset_ms}]}.';
grant execute on function public.draw_rate_limits(jsonb) to orchestrator;

create function app.draw_limits(p_limits jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_wait double precision;
  v_limits jsonb;
begin
  select coalesce(max(d.wait_ms), 0) into v_wait from app.limits_at(p_limits, v_now, 1) d;
  if v_wait <= 0 then
    update public.rate_limits x set next_at = d.next_at from app.limits_at(p_limits, v_now, 1) d
      where x.scope = d.scope;
  end if;
  select jsonb_agg(jsonb_build_object('scope', d.scope, 'limit', d.burst, 'remaining', d.remaining,
    'reset_ms', ceil(d.reset_ms)) order by d.n)
    into v_limits from app.limits_at(p_limits, v_now, 0) d;
  return jsonb_build_object('allowed', v_wait <= 0, 'retry_after_ms', ceil(greatest(v_wait, 0)), 'limits', v_limits);
end $$;
comment on function app.draw_limits(jsonb) is
  'Draws one request from all of its limits, or from none if one of them is used up.';

create function app.limits_at(p_limits jsonb, p_now timestamptz, p_cost integer)
returns table (n bigint, scope text, burst integer, next_at timestamptz, wait_ms double precision, remaining integer,
  reset_ms double precision)
language sql stable set search_path = '' as $$
  select l.n, x.scope, l.burst, t.next_at, t.ahead_ms - l.burst * l.step_ms,
    greatest(0, floor(l.burst - t.ahead_ms / l.step_ms + 1e-6))::integer, t.ahead_ms
  from (select n, e ->> 'scope' as scope, (e ->> 'burst')::integer as burst,
    60000.0 / (e ->> 'per_minute')::double precision as step_ms
    from jsonb_array_elements(p_limits) with ordinality as q (e, n)) l
  join public.rate_limits x on x.scope = l.scope
  cross join lateral (select greatest(x.next_at, p_now) + app.interval_ms(p_cost * l.step_ms) as next_at) a
  cross join lateral (select a.next_at, (extract(epoch from a.next_at - p_now) * 1000)::double precision as ahead_ms) t
$$;
comment on function app.limits_at(jsonb, timestamptz, integer) is
  'Computes with GCRA the state of each limit after p_cost requests. wait_ms > 0: the limit is used up for that '
  'long.';

create function public.spend_rate_limits(p_spent jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with spent as (
    select e ->> 'scope' as scope, (e ->> 'cost')::integer as cost,
      60000.0 / (e ->> 'per_minute')::double precision as step_ms,
      (e ->> 'burst')::integer as burst
    from jsonb_array_elements(p_spent) e
  ), drawn as (
    insert into public.rate_limits as x (scope, next_at)
      -- One order for every batch, or two could wait for each other.
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
