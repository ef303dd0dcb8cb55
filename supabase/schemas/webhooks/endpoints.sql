create function app.webhook_json(e public.webhook_endpoints) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', e.id, 'url', e.url, 'events', to_jsonb(e.events), 'payload', e.payload,
    'enabled', e.enabled,
    'disabled_reason', e.disabled_reason, 'failing_since', e.failing_since,
    'previous_secret_until', e.previous_secret_until, 'created_at', e.created_at, 'updated_at', e.updated_at)
$$;
comment on function app.webhook_json(public.webhook_endpoints) is
  'Returns an endpoint as the API shows it, without its secret.';

create function public.create_webhook(p_tenant_id uuid, p_id uuid, p_url text, p_events text[], p_payload text,
  p_secret_ciphertext text, p_key_id text, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  perform 1 from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if (select count(*) from public.webhook_endpoints where tenant_id = p_tenant_id) >= 10 then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', 10);
  end if;
  insert into public.webhook_endpoints (id, tenant_id, url, events, payload, secret_ciphertext, key_id)
    values (p_id, p_tenant_id, p_url, p_events, p_payload, p_secret_ciphertext, p_key_id) returning * into e;
  perform app.audit(p_by, p_tenant_id, 'webhook.create', e.id::text, jsonb_build_object('url', p_url));
  return jsonb_build_object('kind', 'created', 'webhook', app.webhook_json(e));
end $$;
comment on function public.create_webhook(uuid, uuid, text, text[], text, text, text, jsonb) is
  'Stores an endpoint with its encrypted secret, at most ten per tenant; called by the API. Returns kind: created, '
  'limit_exceeded, not_found.';
grant execute on function public.create_webhook(uuid, uuid, text, text[], text, text, text, jsonb) to orchestrator;

create function public.list_webhooks(p_tenant_id uuid, p_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.webhook_json(e) order by e.created_at, e.id), '[]')
  from public.webhook_endpoints e where e.tenant_id = p_tenant_id and (p_id is null or e.id = p_id)
$$;
comment on function public.list_webhooks(uuid, uuid) is
  'Lists a tenant''s endpoints, or only the one with this id; called by the API.';
grant execute on function public.list_webhooks(uuid, uuid) to orchestrator;

create function public.change_webhook(p_tenant_id uuid, p_id uuid, p_changes jsonb, p_by jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
  v_anew boolean := p_changes ? 'url' or coalesce((p_changes ->> 'enabled')::boolean, false);
begin
  select * into e from public.webhook_endpoints where tenant_id = p_tenant_id and id = p_id for update;
  if e.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  update public.webhook_endpoints w set
      url = coalesce(p_changes ->> 'url', w.url),
      events = case when p_changes ? 'events' then (select coalesce(array_agg(x), '{}')
        from jsonb_array_elements_text(p_changes -> 'events') x) else w.events end,
      payload = coalesce(p_changes ->> 'payload', w.payload),
      enabled = coalesce((p_changes ->> 'enabled')::boolean, w.enabled),
      disabled_reason = case (p_changes ->> 'enabled')::boolean when true then null when false then 'by the tenant'
        else w.disabled_reason end,
      -- Switched on or moved: the failures so far no longer count.
      failures = case when v_anew then 0 else w.failures end,
      failing_since = case when not v_anew then w.failing_since end,
      warned_at = case when not v_anew then w.warned_at end
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.update', e.id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'changed', 'webhook', app.webhook_json(e));
end $$;
comment on function public.change_webhook(uuid, uuid, jsonb, jsonb, timestamptz) is
  'Changes url, events, payload or enabled of an endpoint; called by the API. Returns kind: changed, changed_meanwhile '
  '(p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_webhook(uuid, uuid, jsonb, jsonb, timestamptz) to orchestrator;

create function public.rotate_webhook_secret(p_tenant_id uuid, p_id uuid, p_secret_ciphertext text, p_key_id text,
  p_overlap_ms bigint, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints w set previous_secret_ciphertext = w.secret_ciphertext,
    secret_ciphertext = p_secret_ciphertext,
    previous_secret_until = clock_timestamp() + app.interval_ms(p_overlap_ms), key_id = p_key_id
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.rotate_secret', e.id::text);
  return jsonb_build_object('kind', 'rotated', 'webhook', app.webhook_json(e));
end $$;
comment on function public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb) is
  'Stores a new secret; called by the API. For p_overlap_ms, deliveries are signed with both secrets. Returns kind: '
  'rotated, not_found.';
grant execute on function public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb) to orchestrator;

create function public.delete_webhook(p_tenant_id uuid, p_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.webhook_endpoints where tenant_id = p_tenant_id and id = p_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.delete', p_id::text);
  return true;
end $$;
comment on function public.delete_webhook(uuid, uuid, jsonb) is
  'Deletes an endpoint and its deliveries; called by the API. Returns false if there was none.';
grant execute on function public.delete_webhook(uuid, uuid, jsonb) to orchestrator;

create function public.webhook_secrets_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'ciphertext', x.secret_ciphertext)), '[]')
  from (select * from public.webhook_endpoints where key_id <> p_key_id order by id limit p_limit) x
$$;
comment on function public.webhook_secrets_to_rotate(text, integer) is
  'Lists secrets that are not yet encrypted with this key; called by the key rotation command.';
grant execute on function public.webhook_secrets_to_rotate(text, integer) to orchestrator;

create function public.rotate_webhook_ciphertext(p_id uuid, p_old_ciphertext text, p_ciphertext text, p_key_id text)
  returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.webhook_endpoints set secret_ciphertext = p_ciphertext, key_id = p_key_id,
      previous_secret_ciphertext = null, previous_secret_until = null
    where id = p_id and secret_ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_webhook_ciphertext(uuid, text, text, text) is
  'Replaces a secret''s ciphertext by one made with another key, if the stored one is still the given one; called by '
  'the key rotation command. The overlap of an earlier secret rotation ends. Returns false if the secret was '
  'replaced in the meantime.';
grant execute on function public.rotate_webhook_ciphertext(uuid, text, text, text) to orchestrator;
