create function public.create_sessions(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
  v_places bigint[];
  v_requests jsonb;
  v_answers jsonb;
  v_results jsonb := '{}';
begin
  -- Lock the counters of the whole batch in one order: otherwise two batches could deadlock.
  for v_tenant, v_places, v_requests in select (x ->> 'tenant_id')::uuid as id, array_agg(n order by n),
      jsonb_agg(x order by n)
      from jsonb_array_elements(p_requests) with ordinality as e (x, n) group by 1 order by id loop
    v_answers := app.create_for_tenant(v_tenant, v_requests);
    v_results := v_results || (select jsonb_object_agg(v_places[k::integer], v) from jsonb_each(v_answers) as a (k, v));
  end loop;
  return (select jsonb_agg(v order by k::bigint) from jsonb_each(v_results) as a (k, v));
end $$;
comment on function public.create_sessions(jsonb) is
  'Creates sessions from an array of requests; called by the API. Returns an array of results in the same order, '
  'with kind: created (intent unless it waits; ahead when scheduled), replayed, idempotency_mismatch, '
  'quota_exceeded, queue_full, rate_limited (retry_after_ms), duration_exceeded, candidate_not_found, '
  'candidate_conflict (fields), position_not_found, no_app, no_capacity, tenant_inactive.';
grant execute on function public.create_sessions(jsonb) to orchestrator;

create function app.schedule_ahead(p_tenant_id uuid, p_due timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'ahead', (select count(*) from public.interview_sessions s
      where s.tenant_id = p_tenant_id and s.status = 'scheduled' and s.placement = 'now' and s.scheduled_at <= p_due),
    'standby', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.session_id is null
      and m.state in ('reserved', 'created') and not m.hot),
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a
      where a.tenant_id = p_tenant_id and a.status = 'ready'),
    'now', clock_timestamp())
$$;
comment on function app.schedule_ahead(uuid, timestamptz) is
  'Returns the facts that decide whether a start time can be met: the sessions due until then, the machines ready or '
  'being prepared, and how fast more can be created.';

create function app.judge_creation(r jsonb, t public.tenants, p_live integer, p_queued integer) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_due timestamptz := (r ->> 'scheduled_at')::timestamptz;
begin
  if (r ->> 'max_duration_ms')::integer > t.max_duration_ms then
    return jsonb_build_object('kind', 'duration_exceeded', 'limit', t.max_duration_ms);
  end if;
  if v_due > clock_timestamp() + app.interval_ms(coalesce((r ->> 'start_lead_ms')::numeric, 0)) then
    return '{"begin": "scheduled"}';
  end if;
  -- Queued sessions come before new ones.
  if p_live + p_queued < t.max_live_sessions then
    return case when r ->> 'placement' = 'on_join' then '{"begin": "on_join"}' else '{"begin": "now"}' end::jsonb;
  end if;
  if r ->> 'admission' is distinct from 'queue' then
    return jsonb_build_object('kind', 'quota_exceeded', 'limit', t.max_live_sessions);
  end if;
  if p_queued >= (r ->> 'max_queued')::integer then
    return jsonb_build_object('kind', 'queue_full', 'limit', p_queued);
  end if;
  return '{"begin": "queued"}';
end $$;
comment on function app.judge_creation(jsonb, public.tenants, integer, integer) is
  'Decides how a session begins: {begin: now, scheduled, on_join or queued}, or refuses it with {kind}.';

create function app.store_creations(p_accepted jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  r jsonb;
  v_prepared uuid[] := array(select (x ->> 'prepared')::uuid from jsonb_array_elements(p_accepted) x
    where x ? 'prepared');
  v_ready uuid[];
begin
  -- Inserted in its state: no other transaction can know the row yet, so it needs no move and no order of writers.
  with stored as (insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, user_id,
    api_key_id, status, settings, metadata, regions, region, region_reason, simulated, test, max_duration_ms, placement,
    admission, scheduled_at, counted, queued_at, queue_deadline_at, expires_at, ready_at, epoch, machine_id,
    fly_machine_id, traceparent)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, (x ->> 'candidate_id')::uuid,
      (select jsonb_build_object('name', c.name, 'email', c.email, 'external_id', c.external_id)
        from public.tenant_candidates c
        where (c.tenant_id, c.candidate_id) = ((x ->> 'tenant_id')::uuid, (x ->> 'candidate_id')::uuid)),
      (x ->> 'position_id')::uuid, (x ->> 'user_id')::uuid,
      (x ->> 'api_key_id')::uuid, case when h.id is not null then 'ready' when x ->> 'begin' = 'now' then 'provisioning'
        when x ->> 'begin' = 'scheduled' then 'scheduled' else 'pending' end,
      coalesce(x -> 'settings', '{}'), coalesce(x -> 'metadata', '{}'),
      array(select jsonb_array_elements_text(x -> 'regions')), x ->> 'region',
      x ->> 'region_reason', (x ->> 'simulated')::boolean or (x ->> 'test')::boolean, (x ->> 'test')::boolean,
      (x ->> 'max_duration_ms')::integer, coalesce(x ->> 'placement', 'now'),
      coalesce(x ->> 'admission', 'reject'), d.due, x ->> 'begin' in ('now', 'on_join'),
      case x ->> 'begin' when 'queued' then clock_timestamp() end,
      case x ->> 'begin' when 'queued' then clock_timestamp() + app.interval_ms((x ->> 'queue_ms')::numeric) end,
      greatest(d.due, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric),
      case when h.id is not null then clock_timestamp() end, case when h.id is null then 0 else 1 end, h.id,
      h.fly_machine_id, x ->> 'traceparent'
    from jsonb_array_elements(p_accepted) x cross join lateral (select (x ->> 'scheduled_at')::timestamptz as due) d
    left join public.machines h on h.id = any (v_prepared) and h.id = (x ->> 'prepared')::uuid and h.hot
    returning id, status)
    select array_agg(id) into v_ready from stored where status = 'ready';
  if v_ready is not null then
    perform app.record_hot_starts(v_ready);
    perform app.tally_hot_starts(v_ready);
  end if;
  update public.machines m set session_id = (x ->> 'session_id')::uuid, assigned_at = clock_timestamp(),
      state = case when m.hot then 'claimed' else m.state end, epoch = case when m.hot then 1 end,
      claimed_at = case when m.hot then clock_timestamp() end,
      lease_expires_at = case when m.hot then clock_timestamp() + app.interval_ms((x ->> 'lease_ms')::numeric) end,
      taken_by = case when not m.hot then (x ->> 'orchestrator_id')::uuid end,
      taken_until = case when not m.hot then clock_timestamp() + app.interval_ms((x ->> 'taken_ms')::numeric) end,
      hard_deadline_at = app.machine_deadline(clock_timestamp(), (x ->> 'life_ms')::numeric,
        (x ->> 'max_duration_ms')::integer)
    -- Read by key: with a join to the batch only, the plan would read all machines.
    from jsonb_array_elements(p_accepted) x where m.id = any (v_prepared) and m.id = (x ->> 'prepared')::uuid;
  for r in select x from jsonb_array_elements(p_accepted) x
    where x ->> 'begin' = 'now' and x ->> 'prepared' is null loop
    perform app.reserve_machine((r ->> 'machine_id')::uuid, (r ->> 'tenant_id')::uuid, (r ->> 'session_id')::uuid,
      r ->> 'region', 1, (r ->> 'max_duration_ms')::integer, r);
  end loop;
  insert into public.session_events (session_id, tenant_id, type, data)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, e.type, e.data
    from jsonb_array_elements(p_accepted) with ordinality as a (x, n)
    left join public.machines h on h.id = any (v_prepared) and h.id = (x ->> 'prepared')::uuid and h.hot
    cross join lateral (values
      (1, case x ->> 'begin' when 'scheduled' then 'session.scheduled' else 'session.pending' end,
        jsonb_strip_nulls(jsonb_build_object('to', case x ->> 'begin' when 'scheduled' then 'scheduled'
          else 'pending' end,
          'scheduled_at', x -> 'scheduled_at', 'waits_for', case x ->> 'begin' when 'queued' then 'admission'
            when 'on_join' then 'candidate' end))),
      (2, case when x ->> 'prepared' is null then 'machine.reserved' else 'machine.assigned' end,
        jsonb_build_object('machine_id', x -> 'machine_id', 'region', x -> 'region', 'attempt', 1)),
      (3, 'session.provisioning', '{"from": "pending", "to": "provisioning"}'),
      (4, 'machine.claimed', jsonb_build_object('machine_id', x -> 'machine_id', 'fly_machine_id', h.fly_machine_id,
        'region', x -> 'region', 'attempt', 1)),
      (5, 'session.ready', '{"from": "provisioning", "to": "ready"}')) as e (k, type, data)
    where e.k = 1 or x ->> 'begin' = 'now' and (e.k <= 3 or h.id is not null) order by n, e.k;
  insert into public.idempotency_keys (scope, tenant_id, key, request_hash, session_id, sealed_code)
    select x ->> 'tenant_id', (x ->> 'tenant_id')::uuid, x ->> 'idempotency_key', x ->> 'request_hash',
      (x ->> 'session_id')::uuid, x ->> 'sealed_code'
    from jsonb_array_elements(p_accepted) x where x ->> 'idempotency_key' is not null
    on conflict (scope, key) do update set session_id = excluded.session_id, sealed_code = excluded.sealed_code;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, x ->> 'invitation_hash',
      greatest((x ->> 'scheduled_at')::timestamptz, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric)
    from jsonb_array_elements(p_accepted) x where x ->> 'invitation_hash' is not null;
end $$;
comment on function app.store_creations(jsonb) is
  'Writes accepted sessions with one statement per table, so that a large batch does not need a statement per '
  'session.';

create function app.tell_quota_reached(t public.tenants, p_live integer, p_queued integer) returns void
language plpgsql set search_path = '' as $$
begin
  update public.tenant_counters set quota_reached_at = clock_timestamp()
    where tenant_id = t.id and quota_reached_at < clock_timestamp() - interval '1 hour';
  if found then
    perform app.emit(null, t.id, 'quota.reached', jsonb_build_object('quota', 'max_live_sessions',
      'limit', t.max_live_sessions, 'live', p_live, 'queued', p_queued));
  end if;
end $$;
comment on function app.tell_quota_reached(public.tenants, integer, integer) is
  'Emits quota.reached, at most once an hour. The caller has locked the tenant''s counter.';

create function app.create_for_tenant(p_tenant_id uuid, p_requests jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t public.tenants;
  r jsonb;
  v_n bigint;
  v_judged jsonb;
  v_full boolean := false;
  v_live integer;
  v_queued integer;
  v_wait integer;
  v_has_app boolean;
  v_has_standby boolean;
  v_has_hot boolean;
  v_open boolean := not app.is_drained(p_requests #>> '{0,regions,0}');
  v_hot uuid[] := '{}';
  v_people uuid[];
  v_positions uuid[];
  v_pool uuid[];
  v_pool_region text := p_requests #>> '{0,regions,0}';
  v_pool_image text := p_requests #>> '{0,image}';
  v_seen uuid[];
  v_prepared uuid;
  v_alike boolean;
  v_region text;
  v_known record;
  v_keys jsonb := '{}';
  v_accepted jsonb[] := '{}';
  v_results jsonb := '{}';
begin
  -- Lock the tenant's counter first. It serialises two requests with the same key, so the second finds the first's row.
  select c.live_sessions into v_live from public.tenant_counters c where c.tenant_id = p_tenant_id for update;
  select * into t from public.tenants where id = p_tenant_id and status = 'active';
  if v_live is null or t.id is null then
    return (select jsonb_object_agg(n, '{"kind": "tenant_inactive"}'::jsonb)
      from jsonb_array_elements(p_requests) with ordinality as x (x, n));
  end if;
  v_queued := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id
    and queue_deadline_at is not null);
  v_has_app := exists (select from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready');
  v_people := array(select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id
    and candidate_id in (select (x ->> 'candidate_id')::uuid from jsonb_array_elements(p_requests) x));
  v_positions := array(select id from public.positions where tenant_id = p_tenant_id
    and id in (select (x ->> 'position_id')::uuid from jsonb_array_elements(p_requests) x));
  -- Most requests of a batch want the same, so their machines are taken with one query. Its order is that of the index,
  -- which the planner would otherwise not use while the table is full of standby machines.
  perform 1 from public.machines where tenant_id = p_tenant_id and session_id is null and state = 'started' and hot
    order by tenant_id, region, started_at limit 1;
  v_has_hot := found;
  if v_has_hot and v_open is true then
    v_hot := array(select id from public.machines where tenant_id = p_tenant_id and region = v_pool_region
      and session_id is null and state = 'started' and hot and image = v_pool_image
      and lease_expires_at > clock_timestamp() order by started_at
        limit jsonb_array_length(p_requests) for update skip locked);
  end if;
  perform 1 from public.machines where tenant_id = p_tenant_id and session_id is null and state = 'created' and not hot
    order by tenant_id, region, created_at limit 1;
  v_has_standby := found;
  v_seen := v_hot;
  if v_has_standby and v_open is true then
    v_pool := array(select id from public.machines where tenant_id = p_tenant_id and region = v_pool_region
      and session_id is null
      and state = 'created' and not hot and image = v_pool_image order by created_at
        limit jsonb_array_length(p_requests) for update skip locked);
    v_seen := v_seen || v_pool;
  end if;

  for r, v_n in select x, n from jsonb_array_elements(p_requests) with ordinality as e (x, n) loop
    if r ->> 'idempotency_key' is not null then
      select k.request_hash, k.session_id, k.sealed_code into v_known from public.idempotency_keys k
        where k.scope = p_tenant_id::text and k.key = r ->> 'idempotency_key' and k.session_id is not null;
      if not found and v_keys ? (r ->> 'idempotency_key') then
        select * into v_known from jsonb_to_record(v_keys -> (r ->> 'idempotency_key')) as k (request_hash text,
          session_id uuid, sealed_code text);
      end if;
      if v_known.session_id is not null then
        v_results := v_results || jsonb_build_object(v_n, case when v_known.request_hash = r ->> 'request_hash'
          then jsonb_build_object('kind', 'replayed', 'session_id', v_known.session_id,
            'sealed_code', v_known.sealed_code)
            else '{"kind": "idempotency_mismatch"}' end);
        continue;
      end if;
    end if;
    v_judged := app.judge_creation(r, t, v_live, v_queued);
    v_full := v_full or coalesce(v_judged ->> 'kind', v_judged ->> 'begin') in ('quota_exceeded', 'queue_full',
      'queued');
    if v_judged ->> 'kind' is null then
      v_judged := v_judged || case
        when r ? 'candidate_id' and not (r ->> 'candidate_id')::uuid = any (v_people)
          then '{"kind": "candidate_not_found"}'
        when r ? 'position_id' and not (r ->> 'position_id')::uuid = any (v_positions)
          then '{"kind": "position_not_found"}'
        when r ? 'candidate' and app.match_candidate(p_tenant_id, r -> 'candidate') ? 'kind'
          then app.match_candidate(p_tenant_id, r -> 'candidate')::text
        when not v_has_app then '{"kind": "no_app"}' else '{}' end::jsonb;
    end if;
    v_prepared := null;
    v_alike := r #>> '{regions,0}' = v_pool_region and r ->> 'image' = v_pool_image;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_has_hot then
      if cardinality(v_hot) > 0 and v_alike then
        v_prepared := v_hot[1];
      else
        v_prepared := app.take_hot(p_tenant_id, array(select jsonb_array_elements_text(r -> 'regions')),
          r ->> 'image', v_seen);
      end if;
    end if;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_prepared is null and v_has_standby then
      if cardinality(v_pool) > 0 and v_alike then
        v_prepared := v_pool[1];
      else
        v_prepared := app.take_standby(p_tenant_id, array(select jsonb_array_elements_text(r -> 'regions')),
          r ->> 'image', v_seen);
      end if;
    end if;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_prepared is null
      and (r ->> 'all_closed')::boolean then
      v_judged := '{"kind": "no_capacity"}';
    end if;
    if v_judged ->> 'kind' is null then
      v_wait := case when t.starts_per_minute is null then 0 else app.draw_start(p_tenant_id) end;
      if v_wait > 0 then v_judged := jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
    end if;
    if v_judged ->> 'kind' is not null then
      v_results := v_results || jsonb_build_object(v_n, v_judged - 'begin');
      continue;
    end if;

    v_region := coalesce(r ->> 'first_region', r #>> '{regions,0}', r ->> 'default_region');
    if v_prepared is not null then
      if v_prepared = v_hot[1] then
        v_hot := v_hot[2:];
        v_region := v_pool_region;
      elsif v_prepared = v_pool[1] then
        v_pool := v_pool[2:];
        v_region := v_pool_region;
      else
        v_seen := v_seen || v_prepared;
        v_region := (select region from public.machines where id = v_prepared);
      end if;
      r := r || jsonb_build_object('prepared', v_prepared, 'machine_id', v_prepared);
      if v_region is distinct from r #>> '{regions,0}' then r := r || '{"region_reason": "standby"}'; end if;
    end if;
    if not r ? 'candidate_id' then
      r := r || jsonb_build_object('candidate_id', app.store_candidate(p_tenant_id, r -> 'candidate'));
    end if;
    if not r ? 'position_id' then
      r := r || jsonb_build_object('position_id', gen_random_uuid());
      insert into public.positions (id, tenant_id, title, description)
        values ((r ->> 'position_id')::uuid, p_tenant_id, r #>> '{position,title}', r #>> '{position,description}');
    end if;
    v_accepted := v_accepted || (r || v_judged || jsonb_build_object('region', v_region, 'n', v_n, 'test', t.test));
    if v_judged ->> 'begin' in ('now', 'on_join') then v_live := v_live + 1; end if;
    if v_judged ->> 'begin' = 'queued' then v_queued := v_queued + 1; end if;
    if r ->> 'idempotency_key' is not null then
      v_keys := v_keys || jsonb_build_object(r ->> 'idempotency_key',
        jsonb_build_object('request_hash', r ->> 'request_hash', 'session_id', r ->> 'session_id',
          'sealed_code', r ->> 'sealed_code'));
    end if;
  end loop;

  if v_full then perform app.tell_quota_reached(t, v_live, v_queued); end if;
  if v_accepted <> '{}' then
    perform app.store_creations(to_jsonb(v_accepted));
    update public.tenant_counters set live_sessions = v_live where tenant_id = p_tenant_id and live_sessions <> v_live;
  end if;
  return v_results
    || coalesce(
      (select jsonb_object_agg(k,
      jsonb_build_object('kind', 'replayed', 'session', app.session_json((v ->> 'session_id')::uuid),
        'sealed_code', v -> 'sealed_code'))
      from jsonb_each(v_results) e (k, v) where v ->> 'kind' = 'replayed'), '{}')
    || coalesce(
      (select jsonb_object_agg(a ->> 'n',
      jsonb_build_object('kind', 'created', 'session', app.session_json((a ->> 'session_id')::uuid),
        'intent', case a ->> 'begin' when 'now' then app.intent_json((a ->> 'machine_id')::uuid) end,
        'ahead', case a ->> 'begin' when 'scheduled' then app.schedule_ahead(p_tenant_id,
          (a ->> 'scheduled_at')::timestamptz) end))
      from unnest(v_accepted) a), '{}');
end $$;
comment on function app.create_for_tenant(uuid, jsonb) is
  'Creates the sessions of one tenant in one transaction. A refusal is a result and not an error, so one refused '
  'request does not undo the batch. Returns the results by position in the array, from 1.';
