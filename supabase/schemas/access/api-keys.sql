create function public.authenticate_api_keys(p_hashes text[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('key_hash', k.key_hash, 'key_id', k.id, 'tenant_id', k.tenant_id,
    'scopes', to_jsonb(k.scopes), 'tenant_status', t.status, 'test', t.test,
    'allowed_regions', to_jsonb(t.allowed_regions), 'api_version', k.api_version)), '[]')
  from public.api_keys k join public.tenants t on t.id = k.tenant_id
  where k.key_hash = any (p_hashes) and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function public.authenticate_api_keys(text[]) is
  'Returns the valid keys among these hashes, with tenant, scopes and the regions the tenant may use. The API calls '
  'it to authenticate requests, many keys in one call. Revoked and expired keys are left out.';
grant execute on function public.authenticate_api_keys(text[]) to orchestrator;

create function app.api_key_json(k public.api_keys) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'name', k.name, 'prefix', k.prefix,
    'scopes', to_jsonb(k.scopes),
    'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
    'replaced_by', k.replaced_by, 'api_version', k.api_version)
$$;
comment on function app.api_key_json(public.api_keys) is
  'Returns an API key as the API shows it. The hash is never part of it.';

create function app.max_valid_keys() returns integer language sql immutable set search_path = '' as 'select 200';
comment on function app.max_valid_keys() is 'Returns how many valid API keys a tenant may have.';

create function app.valid_keys(p_tenant_id uuid) returns bigint
language sql stable set search_path = '' as $$
  select count(*) from public.api_keys k where k.tenant_id = p_tenant_id and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;
comment on function app.valid_keys(uuid) is
  'Counts a tenant''s API keys that are neither revoked nor expired. A replaced key counts until it expires.';

create function public.create_api_key(p_tenant_id uuid, p_name text, p_prefix text, p_key_hash text, p_scopes text[],
  p_by jsonb,
  p_created_by uuid default null, p_expires_ms bigint default null, p_api_version text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  k public.api_keys;
begin
  perform 1 from public.tenants where id = p_tenant_id and status in ('active', 'suspended')
    and test = (p_prefix like 'gr\_test\_%') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if app.valid_keys(p_tenant_id) >= app.max_valid_keys() then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', app.max_valid_keys());
  end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at, api_version)
    values (p_tenant_id, p_name, p_prefix, p_key_hash, p_scopes, p_created_by,
      clock_timestamp() + app.interval_ms(p_expires_ms), p_api_version) returning * into k;
  perform app.audit(p_by, p_tenant_id, 'api_key.create', k.id::text,
    jsonb_build_object('prefix', p_prefix, 'scopes', to_jsonb(p_scopes)));
  return jsonb_build_object('kind', 'created', 'key', app.api_key_json(k));
end $$;
comment on function public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint, text) is
  'Stores the hash of a new API key; called by the API. Returns kind: created, limit_exceeded (the tenant has '
  'max_valid_keys), not_found (also when the '
  'prefix is not that of the tenant''s mode).';
grant execute on function public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint, text)
  to orchestrator;

create function public.rotate_api_key(p_tenant_id uuid, p_key_id uuid, p_prefix text, p_key_hash text,
  p_overlap_ms bigint, p_by jsonb, p_api_version text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  o public.api_keys;
  k public.api_keys;
begin
  perform 1 from public.tenants where id = p_tenant_id for no key update;
  select * into o from public.api_keys where id = p_key_id and tenant_id = p_tenant_id for update;
  if not found or o.revoked_at is not null or o.expires_at <= clock_timestamp() then
    return jsonb_build_object('kind', 'not_found');
  end if;
  if o.replaced_by is not null then
    return jsonb_build_object('kind', 'already_rotated', 'replaced_by', o.replaced_by);
  end if;
  -- Without an overlap the old key ends now, so the number of valid keys stays the same.
  if p_overlap_ms > 0 and app.valid_keys(p_tenant_id) >= app.max_valid_keys() then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', app.max_valid_keys());
  end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at, api_version)
    values (p_tenant_id, o.name, p_prefix, p_key_hash, o.scopes, o.created_by, o.expires_at,
      coalesce(p_api_version, o.api_version)) returning * into k;
  update public.api_keys set replaced_by = k.id,
    expires_at = least(expires_at, clock_timestamp() + app.interval_ms(p_overlap_ms))
    where id = o.id returning * into o;
  perform app.audit(p_by, p_tenant_id, 'api_key.rotate', o.id::text, jsonb_build_object('replaced_by', k.id));
  return jsonb_build_object('kind', 'rotated', 'key', app.api_key_json(k), 'previous', app.api_key_json(o));
end $$;
comment on function public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb, text) is
  'Creates a new API key in place of an old one, which stays valid for p_overlap_ms at most; called by the API. The '
  'new key keeps the API version unless p_api_version is given. '
  'Returns kind: rotated, already_rotated, limit_exceeded (the tenant has max_valid_keys; a rotation without overlap '
  'is possible), not_found (also for a revoked or expired key).';
grant execute on function public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb, text) to orchestrator;

create function public.revoke_api_key(p_tenant_id uuid, p_key_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  k public.api_keys;
begin
  select * into k from public.api_keys where id = p_key_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if k.revoked_at is null then
    update public.api_keys set revoked_at = clock_timestamp() where id = k.id returning * into k;
    perform app.audit(p_by, p_tenant_id, 'api_key.revoke', k.id::text);
  end if;
  return jsonb_build_object('kind', 'revoked', 'key', app.api_key_json(k));
end $$;
comment on function public.revoke_api_key(uuid, uuid, jsonb) is
  'Revokes an API key as soon as the transaction commits; called by the API. A second call changes nothing. Returns '
  'kind: revoked, not_found.';
grant execute on function public.revoke_api_key(uuid, uuid, jsonb) to orchestrator;

create function public.get_api_key(p_tenant_id uuid, p_key_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.api_key_json(k) from public.api_keys k where k.tenant_id = p_tenant_id and k.id = p_key_id
$$;
comment on function public.get_api_key(uuid, uuid) is
  'Returns a tenant''s API key, also a revoked or expired one; called by the API. Null if there is none.';
grant execute on function public.get_api_key(uuid, uuid) to orchestrator;

create function public.list_api_keys(p_tenant_id uuid, p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.api_key_json(x::public.api_keys) order by x.created_at desc, x.id desc), '[]') from (
    select * from public.api_keys k
    where k.tenant_id = p_tenant_id and (p_before is null or (k.created_at, k.id) < (p_before, p_before_id))
    order by k.created_at desc, k.id desc limit p_limit) x
$$;
comment on function public.list_api_keys(uuid, integer, timestamptz, uuid) is
  'Lists a tenant''s API keys, including revoked and expired ones, newest first, after the one with this time and '
  'id; called by the API.';
grant execute on function public.list_api_keys(uuid, integer, timestamptz, uuid) to orchestrator;
