create function app.queue_webhooks() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, session_id, event_id, holds, type, payload)
    select n.tenant_id, e.id, n.session_id, n.id, n.session_id is not null, n.type, jsonb_build_object('type', n.type,
      'timestamp', n.created_at, 'data', case e.payload when 'thin' then '{}' else n.data end
        || jsonb_strip_nulls(jsonb_build_object('session_id', n.session_id)))
    from incoming n join public.webhook_endpoints e on e.tenant_id = n.tenant_id
    where app.event_audience(n.type) = 'tenant' and e.enabled and (e.events = '{}' or n.type = any (e.events));
  return null;
end $$;
comment on function app.queue_webhooks() is
  'Queues one delivery for each enabled endpoint that wants the event. Trigger of session_events.';
-- Per statement, because sessions are created in batches, together with their events.
create trigger queue_webhooks after insert on public.session_events referencing new table as incoming
  for each statement execute function app.queue_webhooks();

create function app.delivery_json(d public.webhook_deliveries) returns jsonb
language sql stable return jsonb_build_object('id', d.id, 'webhook_id', d.endpoint_id, 'session_id', d.session_id,
  'type', d.type, 'status', d.status, 'attempts', d.attempts,
  'next_attempt_at', case when d.status = 'pending' then d.next_attempt_at end, 'last_status', d.last_status,
  'last_error', d.last_error, 'delivered_at', d.delivered_at, 'created_at', d.created_at);
comment on function app.delivery_json(public.webhook_deliveries) is 'Returns a delivery as the API shows it.';

create function public.webhook_delivery(p_tenant_id uuid, p_webhook_id uuid, p_delivery_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.delivery_json(d) || jsonb_build_object('payload', d.payload, 'log', d.log)
  from public.webhook_deliveries d
  where d.id = p_delivery_id and d.tenant_id = p_tenant_id and d.endpoint_id = p_webhook_id
$$;
comment on function public.webhook_delivery(uuid, uuid, uuid) is
  'Returns a delivery with its payload and the log of its attempts; called by the API. Null if there is none.';
grant execute on function public.webhook_delivery(uuid, uuid, uuid) to orchestrator;

create function public.test_webhook(p_tenant_id uuid, p_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, type, payload)
    select e.tenant_id, e.id, 'webhook.test', jsonb_build_object('type', 'webhook.test', 'timestamp', clock_timestamp(),
      'data', '{}'::jsonb)
    from public.webhook_endpoints e where e.tenant_id = p_tenant_id and e.id = p_id returning * into d;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.test_webhook(uuid, uuid) is
  'Queues an empty test message for an endpoint; called by the API. Returns kind: queued, not_found.';
grant execute on function public.test_webhook(uuid, uuid) to orchestrator;

create function public.list_webhook_deliveries(p_tenant_id uuid, p_webhook_id uuid, p_limit integer,
  p_status text default null,
  p_before timestamptz default null, p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.delivery_json(x) order by x.created_at desc, x.id desc), '[]') from (
    select d.* from public.webhook_deliveries d
    where d.tenant_id = p_tenant_id and d.endpoint_id = p_webhook_id and (p_status is null or d.status = p_status)
      and (p_before is null or (d.created_at, d.id) < (p_before, p_before_id))
    order by d.created_at desc, d.id desc limit p_limit) x
$$;
comment on function public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid) is
  'Lists the deliveries of an endpoint, newest first; called by the API.';
grant execute on function public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.replay_webhook_delivery(p_tenant_id uuid, p_webhook_id uuid, p_delivery_id uuid, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  select * into d from public.webhook_deliveries
    where id = p_delivery_id and tenant_id = p_tenant_id and endpoint_id = p_webhook_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if d.payload = '{}' then return jsonb_build_object('kind', 'erased'); end if;
  update public.webhook_deliveries set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
    taken_until = null, holds = false, delivered_at = null
    where id = d.id returning * into d;
  perform app.audit(p_by, p_tenant_id, 'webhook.replay', d.id::text);
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) is
  'Queues a delivery again under the same message id; called by the API. No other delivery waits for it. Returns '
  'kind: queued, erased (its payload was deleted), not_found.';
grant execute on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) to orchestrator;

create function app.due_deliveries(p_endpoint_id uuid, p_limit integer)
  returns table (id uuid, next_attempt_at timestamptz)
language sql stable set search_path = '' as $$
  with recursive first_of_session as (
    (select d.session_id, d.id, d.next_attempt_at from public.webhook_deliveries d
      where d.endpoint_id = p_endpoint_id and d.status = 'pending' and d.holds
      order by d.session_id, d.event_id limit 1)
    union all
    select n.session_id, n.id, n.next_attempt_at from first_of_session f cross join lateral (
      select d.session_id, d.id, d.next_attempt_at from public.webhook_deliveries d
      where d.endpoint_id = p_endpoint_id and d.status = 'pending' and d.holds and d.session_id > f.session_id
      order by d.session_id, d.event_id limit 1) n
  ), loose as (
    select d.id, d.next_attempt_at from public.webhook_deliveries d
    where d.endpoint_id = p_endpoint_id and d.status = 'pending' and not d.holds
      and d.next_attempt_at <= clock_timestamp()
    order by d.next_attempt_at limit p_limit
  ), in_order as (
    -- Not sorted, so that the scan over the sessions ends with the last row that is needed.
    select f.id, f.next_attempt_at from first_of_session f where f.next_attempt_at <= clock_timestamp() limit p_limit
  )
  select x.id, x.next_attempt_at from (table loose union all table in_order) x order by x.next_attempt_at limit p_limit
$$;
comment on function app.due_deliveries(uuid, integer) is
  'Returns the due deliveries of an endpoint: the first of each session whose later deliveries wait, and those for '
  'which none waits.';

create function app.deliveries_to_take(p_limit integer, p_per_endpoint integer, p_per_tenant integer) returns uuid[]
language sql stable set search_path = '' as $$
  with under_way as (
    select d.tenant_id, d.endpoint_id, count(*)::integer as n from public.webhook_deliveries d
    where d.status = 'pending' and d.taken_until > clock_timestamp() group by d.tenant_id, d.endpoint_id
  ), candidate as (
    select d.id, e.tenant_id, d.next_attempt_at,
      row_number() over (partition by e.tenant_id order by d.next_attempt_at, d.id) as turn
    from public.webhook_endpoints e
    cross join lateral (
      select case when e.failures > 2 then 1 else p_per_endpoint end
        - coalesce((select u.n from under_way u where u.endpoint_id = e.id), 0) as n) free
    cross join lateral app.due_deliveries(e.id, free.n) d
    where e.enabled and free.n > 0
      and exists (select from public.webhook_deliveries w where w.endpoint_id = e.id and w.status = 'pending')
  )
  select coalesce(array_agg(x.id), '{}') from (
    select c.id from candidate c
    where c.turn + coalesce((select sum(u.n) from under_way u where u.tenant_id = c.tenant_id), 0) <= p_per_tenant
    order by c.turn, c.next_attempt_at limit p_limit) x
$$;
comment on function app.deliveries_to_take(integer, integer, integer) is
  'Returns the deliveries that may be started now, tenants in turn, within the limits per endpoint and tenant.';

create function public.take_webhook_deliveries(p_limit integer, p_taken_ms integer, p_per_endpoint integer default 8,
  p_per_tenant integer default 16) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_ids uuid[];
  v_taken jsonb;
begin
  -- Only one orchestrator takes at a time. Two at once would not count each other's takes and could exceed the limits.
  perform pg_advisory_xact_lock(hashtextextended('take_webhook_deliveries', 0));
  v_ids := app.deliveries_to_take(p_limit, p_per_endpoint, p_per_tenant);
  with due as (
    select d.id from public.webhook_deliveries d
    where d.id = any (v_ids) and d.status = 'pending' and d.next_attempt_at <= clock_timestamp()
    for update of d skip locked
  ), taken as (
    update public.webhook_deliveries d set attempts = d.attempts + 1,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms),
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where d.id = due.id returning d.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'tenant_id', d.tenant_id, 'webhook_id', e.id,
    'url', e.url, 'attempt', d.attempts, 'payload', d.payload, 'secret_ciphertext', e.secret_ciphertext,
    'previous_secret_ciphertext', case when e.previous_secret_until > clock_timestamp()
      then e.previous_secret_ciphertext end, 'session_id', d.session_id, 'traceparent', s.traceparent)
    order by d.event_id), '[]') into v_taken
  from taken d join public.webhook_endpoints e on e.id = d.endpoint_id
  left join public.interview_sessions s on s.id = d.session_id;
  return v_taken;
end $$;
comment on function public.take_webhook_deliveries(integer, integer, integer, integer) is
  'Takes due deliveries for one attempt each, tenants in turn; called by the webhook sender. After p_taken_ms '
  'without a report, another orchestrator can take a delivery. At most p_per_endpoint and p_per_tenant are in '
  'progress at once, across all orchestrators.';
grant execute on function public.take_webhook_deliveries(integer, integer, integer, integer) to orchestrator;

create function app.disable_webhook(p_id uuid, p_why text, p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints set enabled = false, disabled_reason = p_reason where id = p_id and enabled
    returning * into e;
  if not found then return; end if;
  perform app.emit(null, e.tenant_id, 'webhook.disabled', jsonb_build_object('webhook_id', e.id, 'reason', p_why));
  perform app.audit('{"actor": "webhooks"}', e.tenant_id, 'webhook.disable', e.id::text,
    jsonb_build_object('reason', p_why));
end $$;
comment on function app.disable_webhook(uuid, text, text) is
  'Disables an endpoint that no longer works, and tells the tenant by an event, which its other endpoints receive. '
  'p_why: gone or not_delivering. p_reason: the same in words.';

create function app.count_webhook_failure(p_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  e public.webhook_endpoints;
  v_since interval;
begin
  update public.webhook_endpoints set failures = least(failures + 1, 100),
    failing_since = coalesce(failing_since, clock_timestamp()) where id = p_id and enabled returning * into e;
  if not found then return; end if;
  v_since := clock_timestamp() - e.failing_since;
  -- A few failures far apart are no sustained failure.
  if e.failures < 5 then return; end if;
  if v_since >= interval '3 days' then
    perform app.disable_webhook(p_id, 'not_delivering', 'nothing was delivered for 3 days');
  elsif v_since >= interval '1 day' and e.warned_at is null then
    update public.webhook_endpoints set warned_at = clock_timestamp() where id = p_id;
    perform app.emit(null, e.tenant_id, 'webhook.failing', jsonb_build_object('webhook_id', e.id,
      'since', e.failing_since, 'disabled_at', e.failing_since + interval '3 days'));
  end if;
end $$;
comment on function app.count_webhook_failure(uuid) is
  'Counts a failed attempt. After a day of at least five failures without a success it emits webhook.failing, once; '
  'after three days it disables the endpoint.';

create function public.record_webhook_delivery(p_id uuid, p_attempt integer, p_outcome text, p_status integer,
  p_error text, p_retry_ms bigint, p_ms integer, p_answer text)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_endpoint uuid;
  v_entry jsonb := jsonb_build_object('at', clock_timestamp(), 'ms', p_ms, 'status', p_status, 'error', p_error,
    'answer', left(p_answer, 500));
begin
  update public.webhook_deliveries set
      status = case p_outcome when 'delivered' then 'delivered' when 'retry' then 'pending' else 'dead' end,
      delivered_at = case p_outcome when 'delivered' then clock_timestamp() end,
      next_attempt_at = case p_outcome when 'retry' then clock_timestamp() + app.interval_ms(p_retry_ms)
        else next_attempt_at end,
      taken_until = null, holds = holds and attempts < 2, last_status = p_status, last_error = p_error,
      -- After an erasure nothing is logged: the receiver's answer may repeat personal data.
      log = case payload when '{}' then '[]' else
        case when jsonb_array_length(log) >= 20 then log - 0 else log end || v_entry end
    where id = p_id and attempts = p_attempt and status = 'pending' returning endpoint_id into v_endpoint;
  if not found then return false; end if;
  if p_outcome = 'delivered' then
    update public.webhook_endpoints set failures = 0, failing_since = null, warned_at = null
      where id = v_endpoint and failures > 0;
  elsif p_outcome = 'gone' then
    perform app.disable_webhook(v_endpoint, 'gone', 'answered 410 Gone');
  else
    perform app.count_webhook_failure(v_endpoint);
  end if;
  return true;
end $$;
comment on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint, integer, text) is
  'Records the outcome of an attempt; called by the webhook sender: delivered, retry (after p_retry_ms), dead, or '
  'gone (dead, and the endpoint is disabled). p_ms: how long it took. p_answer: the beginning of the answer''s body. '
  'Returns false if another attempt has begun in the meantime.';
grant execute on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint, integer, text)
  to orchestrator;
