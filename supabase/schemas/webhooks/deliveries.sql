create function app.queue_webhooks() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, session_id, event_id, type, payload)
    select n.tenant_id, e.id, n.session_id, n.id, n.type, jsonb_build_object('type', n.type, 'timestamp', n.created_at,
      'data', n.data || jsonb_build_object('session_id', n.session_id))
    from incoming n join public.webhook_endpoints e on e.tenant_id = n.tenant_id
    where n.type not like 'machine.%' and e.enabled and (e.events = '{}' or n.type = any (e.events));
  return null;
end $$;
comment on function app.queue_webhooks() is 'One delivery per enabled endpoint that wants the event.';
-- Per statement: sessions are created in batches, and their events come with them.
create trigger queue_webhooks after insert on public.session_events referencing new table as incoming
  for each statement execute function app.queue_webhooks();

create function app.delivery_json(d public.webhook_deliveries) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', d.id, 'webhook_id', d.endpoint_id, 'session_id', d.session_id, 'type', d.type,
    'status', d.status,
    'attempts', d.attempts, 'next_attempt_at', case when d.status = 'pending' then d.next_attempt_at end,
      'last_status', d.last_status,
    'last_error', d.last_error, 'delivered_at', d.delivered_at, 'created_at', d.created_at)
$$;
comment on function app.delivery_json(public.webhook_deliveries) is 'A delivery as the API shows it.';

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
comment on function public.test_webhook(uuid, uuid) is 'Queues a message that says nothing. kind: queued, not_found.';
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
  'Deliveries of an endpoint, newest first.';
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
    delivered_at = null
    where id = d.id returning * into d;
  perform app.audit(p_by, p_tenant_id, 'webhook.replay', d.id::text);
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) is
  'Sends a delivery again, under the same message id. kind: queued, erased (its content was erased), not_found.';
grant execute on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) to orchestrator;

create function public.take_webhook_deliveries(p_limit integer, p_taken_ms integer) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select d.id from public.webhook_deliveries d join public.webhook_endpoints e on e.id = d.endpoint_id
    where d.status = 'pending' and d.next_attempt_at <= clock_timestamp() and e.enabled
    order by d.next_attempt_at limit p_limit for update of d skip locked
  ), taken as (
    update public.webhook_deliveries d set attempts = d.attempts + 1,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where d.id = due.id returning d.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'tenant_id', d.tenant_id, 'webhook_id', e.id, 'url', e.url,
    'attempt', d.attempts,
    'payload', d.payload, 'secret_ciphertext', e.secret_ciphertext,
    'previous_secret_ciphertext', case when e.previous_secret_until > clock_timestamp()
      then e.previous_secret_ciphertext end)), '[]')
  from taken d join public.webhook_endpoints e on e.id = d.endpoint_id
$$;
comment on function public.take_webhook_deliveries(integer, integer) is
  'Takes due deliveries for one attempt each: whoever does not report within p_taken_ms loses it to the next taker.';
grant execute on function public.take_webhook_deliveries(integer, integer) to orchestrator;

create function public.record_webhook_delivery(p_id uuid, p_attempt integer, p_outcome text, p_status integer,
  p_error text, p_retry_ms bigint)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_endpoint uuid;
begin
  update public.webhook_deliveries set
      status = case p_outcome when 'delivered' then 'delivered' when 'retry' then 'pending' else 'dead' end,
      delivered_at = case p_outcome when 'delivered' then clock_timestamp() end,
      next_attempt_at = case p_outcome when 'retry' then clock_timestamp() + app.interval_ms(p_retry_ms)
        else next_attempt_at end,
      last_status = p_status, last_error = p_error
    where id = p_id and attempts = p_attempt and status = 'pending' returning endpoint_id into v_endpoint;
  if not found then return false; end if;
  if p_outcome = 'gone' then
    update public.webhook_endpoints set enabled = false, disabled_reason = 'answered 410 Gone' where id = v_endpoint
      and enabled;
  end if;
  return true;
end $$;
comment on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint) is
  'What came of an attempt: delivered, retry (after p_retry_ms), dead, or gone (dead, and the endpoint is switched '
  'off). False when it was not this attempt''s any more.';
grant execute on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint) to orchestrator;

create function public.prune_webhook_deliveries(p_days integer default 30, p_limit integer default 1000) returns integer
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries where id in (select d.id from public.webhook_deliveries d
      where d.status <> 'pending' and d.created_at < clock_timestamp() - make_interval(days => p_days) limit p_limit)
        returning 1)
  select count(*)::integer from gone
$$;
comment on function public.prune_webhook_deliveries(integer, integer) is
  'Forgets deliveries that were settled long ago.';
grant execute on function public.prune_webhook_deliveries(integer, integer) to orchestrator;
