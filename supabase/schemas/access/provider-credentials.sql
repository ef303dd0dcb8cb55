create function public.put_provider_credential(p_tenant_id uuid, p_provider text, p_base_url text, p_ciphertext text,
  p_key_id text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.provider_credentials (tenant_id, provider, base_url, ciphertext, key_id)
    values (p_tenant_id, p_provider, p_base_url, p_ciphertext, p_key_id)
    on conflict (tenant_id, provider) do update set base_url = excluded.base_url, ciphertext = excluded.ciphertext,
      key_id = excluded.key_id, rotated_at = null;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.put', p_provider);
  return jsonb_build_object('kind', 'stored');
end $$;
comment on function public.put_provider_credential(uuid, text, text, text, text, jsonb) is
  'Stores a tenant''s credential for a provider; called by the API, which encrypts it first. Returns kind: stored, '
  'not_found.';
grant execute on function public.put_provider_credential(uuid, text, text, text, text, jsonb) to orchestrator;

create function public.get_provider_credential(p_tenant_id uuid, p_provider text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('base_url', c.base_url, 'ciphertext', c.ciphertext, 'key_id', c.key_id)
  from public.provider_credentials c
  where c.tenant_id = p_tenant_id and c.provider = p_provider
$$;
comment on function public.get_provider_credential(uuid, text) is
  'Returns a tenant''s encrypted credential; called by the orchestrator before a request to the provider. Null if '
  'the tenant has none.';
grant execute on function public.get_provider_credential(uuid, text) to orchestrator;

create function public.list_provider_credentials(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('provider', c.provider, 'base_url', c.base_url,
    'created_at', c.created_at, 'updated_at', c.updated_at) order by c.provider), '[]')
  from public.provider_credentials c where c.tenant_id = p_tenant_id
$$;
comment on function public.list_provider_credentials(uuid) is
  'Lists the providers for which a tenant has a credential, without the credentials; called by the API.';
grant execute on function public.list_provider_credentials(uuid) to orchestrator;

create function public.provider_credentials_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'provider', x.provider,
    'base_url', x.base_url, 'ciphertext', x.ciphertext, 'key_id', x.key_id)), '[]')
  from (select * from public.provider_credentials where key_id <> p_key_id order by tenant_id, provider limit p_limit) x
$$;
comment on function public.provider_credentials_to_rotate(text, integer) is
  'Lists credentials that are not yet encrypted with this key; called by the key rotation command.';
grant execute on function public.provider_credentials_to_rotate(text, integer) to orchestrator;

create function public.rotate_provider_credential(p_tenant_id uuid, p_provider text, p_old_ciphertext text,
  p_ciphertext text, p_key_id text)
returns boolean language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.provider_credentials set ciphertext = p_ciphertext, key_id = p_key_id, rotated_at = clock_timestamp()
    where tenant_id = p_tenant_id and provider = p_provider and ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_provider_credential(uuid, text, text, text, text) is
  'Replaces a ciphertext by one made with another key, if the stored one is still the given one; called by the key '
  'rotation command. Returns false if the credential was replaced in the meantime.';
grant execute on function public.rotate_provider_credential(uuid, text, text, text, text) to orchestrator;

create function public.delete_provider_credential(p_tenant_id uuid, p_provider text, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.provider_credentials where tenant_id = p_tenant_id and provider = p_provider;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.delete', p_provider);
  return true;
end $$;
comment on function public.delete_provider_credential(uuid, text, jsonb) is
  'Deletes a tenant''s credential for a provider; called by the API. Returns false if there was none.';
grant execute on function public.delete_provider_credential(uuid, text, jsonb) to orchestrator;
