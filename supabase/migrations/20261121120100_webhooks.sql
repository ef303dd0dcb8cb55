-- Webhooks: an outbox that is filled in the transaction that makes an event true, and emptied by whoever takes from it.
--
-- K1  What machines do is ours; a tenant hears of sessions, candidates, transcripts, results and recordings.
-- K2  A delivery is taken by moving next_attempt_at: a taker that dies is replaced when that has passed. Its report counts
--     only for the attempt it took, so a replay in between is not overwritten.
-- K3  A payload holds ids and states, no name and no word that was said.

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

create function app.webhook_json(e public.webhook_endpoints) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', e.id, 'url', e.url, 'events', to_jsonb(e.events), 'enabled', e.enabled, 'disabled_reason', e.disabled_reason,
    'previous_secret_until', e.previous_secret_until, 'created_at', e.created_at, 'updated_at', e.updated_at)
$$;
comment on function app.webhook_json(public.webhook_endpoints) is 'An endpoint as the API shows it: never its secret.';

create function app.delivery_json(d public.webhook_deliveries) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', d.id, 'webhook_id', d.endpoint_id, 'session_id', d.session_id, 'type', d.type, 'status', d.status,
    'attempts', d.attempts, 'next_attempt_at', case when d.status = 'pending' then d.next_attempt_at end, 'last_status', d.last_status,
    'last_error', d.last_error, 'delivered_at', d.delivered_at, 'created_at', d.created_at)
$$;
comment on function app.delivery_json(public.webhook_deliveries) is 'A delivery as the API shows it.';

create function public.create_webhook(p_tenant_id uuid, p_id uuid, p_url text, p_events text[], p_secret_ciphertext text, p_key_id text, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  perform 1 from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if (select count(*) from public.webhook_endpoints where tenant_id = p_tenant_id) >= 10 then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', 10);
  end if;
  insert into public.webhook_endpoints (id, tenant_id, url, events, secret_ciphertext, key_id)
    values (p_id, p_tenant_id, p_url, p_events, p_secret_ciphertext, p_key_id) returning * into e;
  perform app.audit(p_by, p_tenant_id, 'webhook.create', e.id::text, jsonb_build_object('url', p_url));
  return jsonb_build_object('kind', 'created', 'webhook', app.webhook_json(e));
end $$;
comment on function public.create_webhook(uuid, uuid, text, text[], text, text, jsonb) is
  'Stores an endpoint with its encrypted secret, at most ten per tenant. kind: created, limit_exceeded, not_found.';

create function public.list_webhooks(p_tenant_id uuid, p_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.webhook_json(e) order by e.created_at, e.id), '[]')
  from public.webhook_endpoints e where e.tenant_id = p_tenant_id and (p_id is null or e.id = p_id)
$$;
comment on function public.list_webhooks(uuid, uuid) is 'A tenant''s endpoints, or the one with this id.';

create function public.change_webhook(p_tenant_id uuid, p_id uuid, p_changes jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints w set
      url = coalesce(p_changes ->> 'url', w.url),
      events = case when p_changes ? 'events' then (select coalesce(array_agg(x), '{}') from jsonb_array_elements_text(p_changes -> 'events') x) else w.events end,
      enabled = coalesce((p_changes ->> 'enabled')::boolean, w.enabled),
      disabled_reason = case (p_changes ->> 'enabled')::boolean when true then null when false then 'by the tenant' else w.disabled_reason end
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.update', e.id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'changed', 'webhook', app.webhook_json(e));
end $$;
comment on function public.change_webhook(uuid, uuid, jsonb, jsonb) is 'Changes url, events or enabled. kind: changed, not_found.';

create function public.rotate_webhook_secret(p_tenant_id uuid, p_id uuid, p_secret_ciphertext text, p_key_id text, p_overlap_ms bigint, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints w set previous_secret_ciphertext = w.secret_ciphertext, secret_ciphertext = p_secret_ciphertext,
      previous_secret_until = clock_timestamp() + app.interval_ms(p_overlap_ms), key_id = p_key_id
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.rotate_secret', e.id::text);
  return jsonb_build_object('kind', 'rotated', 'webhook', app.webhook_json(e));
end $$;
comment on function public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb) is
  'A new secret; for p_overlap_ms deliveries are signed with both. kind: rotated, not_found.';

create function public.delete_webhook(p_tenant_id uuid, p_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.webhook_endpoints where tenant_id = p_tenant_id and id = p_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.delete', p_id::text);
  return true;
end $$;
comment on function public.delete_webhook(uuid, uuid, jsonb) is 'Forgets an endpoint and its deliveries; false when there was none.';

create function public.test_webhook(p_tenant_id uuid, p_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, type, payload)
    select e.tenant_id, e.id, 'webhook.test', jsonb_build_object('type', 'webhook.test', 'timestamp', clock_timestamp(), 'data', '{}'::jsonb)
    from public.webhook_endpoints e where e.tenant_id = p_tenant_id and e.id = p_id returning * into d;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.test_webhook(uuid, uuid) is 'Queues a message that says nothing. kind: queued, not_found.';

create function public.list_webhook_deliveries(p_tenant_id uuid, p_webhook_id uuid, p_limit integer, p_status text default null,
  p_before timestamptz default null, p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.delivery_json(x) order by x.created_at desc, x.id desc), '[]') from (
    select d.* from public.webhook_deliveries d
    where d.tenant_id = p_tenant_id and d.endpoint_id = p_webhook_id and (p_status is null or d.status = p_status)
      and (p_before is null or (d.created_at, d.id) < (p_before, p_before_id))
    order by d.created_at desc, d.id desc limit p_limit) x
$$;
comment on function public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid) is 'Deliveries of an endpoint, newest first.';
create index webhook_deliveries_endpoint on public.webhook_deliveries (endpoint_id, created_at desc, id desc);

create function public.replay_webhook_delivery(p_tenant_id uuid, p_webhook_id uuid, p_delivery_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  select * into d from public.webhook_deliveries
    where id = p_delivery_id and tenant_id = p_tenant_id and endpoint_id = p_webhook_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if d.payload = '{}' then return jsonb_build_object('kind', 'erased'); end if;
  update public.webhook_deliveries set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), delivered_at = null
    where id = d.id returning * into d;
  perform app.audit(p_by, p_tenant_id, 'webhook.replay', d.id::text);
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) is
  'Sends a delivery again, under the same message id. kind: queued, erased (its content was erased), not_found.';

-- ── the senders' side ──────────────────────────────────────────────────────────────────────────────────────────────
create function public.take_webhook_deliveries(p_limit integer, p_taken_ms integer) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select d.id from public.webhook_deliveries d join public.webhook_endpoints e on e.id = d.endpoint_id
    where d.status = 'pending' and d.next_attempt_at <= clock_timestamp() and e.enabled
    order by d.next_attempt_at limit p_limit for update of d skip locked
  ), taken as (
    update public.webhook_deliveries d set attempts = d.attempts + 1, next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where d.id = due.id returning d.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'tenant_id', d.tenant_id, 'webhook_id', e.id, 'url', e.url, 'attempt', d.attempts,
    'payload', d.payload, 'secret_ciphertext', e.secret_ciphertext,
    'previous_secret_ciphertext', case when e.previous_secret_until > clock_timestamp() then e.previous_secret_ciphertext end)), '[]')
  from taken d join public.webhook_endpoints e on e.id = d.endpoint_id
$$;
comment on function public.take_webhook_deliveries(integer, integer) is 'K2: due deliveries, taken for one attempt.';

create function public.record_webhook_delivery(p_id uuid, p_attempt integer, p_outcome text, p_status integer, p_error text, p_retry_ms bigint)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_endpoint uuid;
begin
  update public.webhook_deliveries set
      status = case p_outcome when 'delivered' then 'delivered' when 'retry' then 'pending' else 'dead' end,
      delivered_at = case p_outcome when 'delivered' then clock_timestamp() end,
      next_attempt_at = case p_outcome when 'retry' then clock_timestamp() + app.interval_ms(p_retry_ms) else next_attempt_at end,
      last_status = p_status, last_error = p_error
    where id = p_id and attempts = p_attempt and status = 'pending' returning endpoint_id into v_endpoint;
  if not found then return false; end if;
  if p_outcome = 'gone' then
    update public.webhook_endpoints set enabled = false, disabled_reason = 'answered 410 Gone' where id = v_endpoint and enabled;
  end if;
  return true;
end $$;
comment on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint) is
  'What came of an attempt: delivered, retry (after p_retry_ms), dead, or gone (dead, and the endpoint is switched off). False when it was not this attempt''s any more (K2).';

create function public.prune_webhook_deliveries(p_days integer default 30, p_limit integer default 1000) returns integer
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries where id in (select d.id from public.webhook_deliveries d
      where d.status <> 'pending' and d.created_at < clock_timestamp() - make_interval(days => p_days) limit p_limit) returning 1)
  select count(*)::integer from gone
$$;
comment on function public.prune_webhook_deliveries(integer, integer) is 'Forgets deliveries that were settled long ago.';

create function public.webhook_secrets_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'ciphertext', x.secret_ciphertext)), '[]')
  from (select * from public.webhook_endpoints where key_id <> p_key_id order by id limit p_limit) x
$$;
comment on function public.webhook_secrets_to_rotate(text, integer) is 'Secrets that are not yet encrypted under this key.';

create function public.rotate_webhook_ciphertext(p_id uuid, p_old_ciphertext text, p_ciphertext text, p_key_id text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.webhook_endpoints set secret_ciphertext = p_ciphertext, key_id = p_key_id, previous_secret_ciphertext = null, previous_secret_until = null
    where id = p_id and secret_ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_webhook_ciphertext(uuid, text, text, text) is
  'The same secret under another key, by compare-and-set; the overlap of an earlier rotation ends. False when it was replaced meanwhile.';

grant execute on function
  public.create_webhook(uuid, uuid, text, text[], text, text, jsonb), public.list_webhooks(uuid, uuid),
  public.change_webhook(uuid, uuid, jsonb, jsonb), public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb),
  public.delete_webhook(uuid, uuid, jsonb), public.test_webhook(uuid, uuid),
  public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid), public.replay_webhook_delivery(uuid, uuid, uuid, jsonb),
  public.take_webhook_deliveries(integer, integer), public.record_webhook_delivery(uuid, integer, text, integer, text, bigint),
  public.prune_webhook_deliveries(integer, integer), public.webhook_secrets_to_rotate(text, integer),
  public.rotate_webhook_ciphertext(uuid, text, text, text)
to orchestrator;
