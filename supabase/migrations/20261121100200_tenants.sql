-- Tenants and trust, the functions of a tenant: onboarding, quotas, members, keys, credentials, invitations, limits.
--
-- U1  An administrative act and its audit entry are one transaction: `p_by` = {actor, remote_address, request_id}.
-- U2  Refusals are values {kind}; what is raised is a surprise.
-- U3  Every function names its tenant, and a row of another tenant is answered as one that is not there.
-- U4  Onboarding and removal are steps that may be repeated: each finds what the one before it left.
-- U5  A tenant's row is locked FOR NO KEY UPDATE: a stronger lock would stop every insert that refers to it.

create function app.audit(p_by jsonb, p_tenant_id uuid, p_action text, p_target text, p_details jsonb default '{}') returns void
language sql volatile set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values (p_tenant_id, coalesce(p_by ->> 'actor', 'unknown'), p_action, p_target, 'done', p_by ->> 'remote_address', p_by ->> 'request_id', p_details)
$$;
comment on function app.audit(jsonb, uuid, text, text, jsonb) is 'U1: notes an act that is being done in this transaction.';

-- ── tenants ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.tenant_json(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(t) || jsonb_build_object(
    'live_sessions', coalesce((select c.live_sessions from public.tenant_counters c where c.tenant_id = t.id), 0),
    'apps', (select coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'network', a.network, 'status', a.status) order by a.name), '[]')
      from public.tenant_apps a where a.tenant_id = t.id),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', p.region, 'floor', p.floor, 'ceiling', p.ceiling) order by p.region), '[]')
      from public.pool_policies p where p.tenant_id = t.id))
  from public.tenants t where t.id = p_tenant_id
$$;
comment on function app.tenant_json(uuid) is 'A tenant as the API shows it: its row, live sessions, apps and pools.';

create function public.get_tenant(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.tenant_json(p_tenant_id) $$;
comment on function public.get_tenant(uuid) is 'A tenant with its apps and pools; null when there is none.';

create function public.list_tenants(p_limit integer, p_after_slug text default '') returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.tenant_json(x.id) order by x.slug), '[]')
  from (select id, slug from public.tenants where slug > p_after_slug order by slug limit p_limit) x
$$;
comment on function public.list_tenants(integer, text) is 'Tenants by slug, after this one.';

create function app.change_tenant(p_tenant_id uuid, p_changes jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.tenants t set name = n.name, settings = n.settings, max_live_sessions = n.max_live_sessions, max_duration_ms = n.max_duration_ms,
    starts_per_minute = n.starts_per_minute, max_standby = n.max_standby, allowed_regions = n.allowed_regions, allowed_origins = n.allowed_origins,
    require_consent = n.require_consent, consent_text_version = n.consent_text_version, transcript_days = n.transcript_days,
    video_days = n.video_days, audit_days = n.audit_days,
    status = case when t.status in ('active', 'suspended') and n.status in ('active', 'suspended') then n.status else t.status end
  from (select r.* from public.tenants o cross join lateral jsonb_populate_record(o, p_changes) r where o.id = p_tenant_id) n
  where t.id = p_tenant_id
$$;
comment on function app.change_tenant(uuid, jsonb) is
  'Takes over the fields that are given; id, slug and dates never change, and a tenant that is being removed stays so.';

create function public.plan_tenant(p_slug text, p_settings jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_status text;
begin
  insert into public.tenants (slug, name) values (p_slug, coalesce(p_settings ->> 'name', p_slug)) on conflict (slug) do nothing returning id into v_id;
  if v_id is null then
    select id, status into v_id, v_status from public.tenants where slug = p_slug;
    if v_status in ('removing', 'removed') then return jsonb_build_object('kind', 'slug_taken'); end if;
    return jsonb_build_object('kind', 'known', 'tenant', app.tenant_json(v_id));
  end if;
  insert into public.tenant_counters (tenant_id) values (v_id);
  perform app.change_tenant(v_id, p_settings);
  perform app.audit(p_by, v_id, 'tenant.create', v_id::text, jsonb_build_object('slug', p_slug));
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_tenant(text, jsonb, jsonb) is
  'U4: the tenant with this slug, made when unknown. kind: planned, known (settings untouched), slug_taken (a removed tenant had it).';

create function public.plan_app(p_tenant_id uuid, p_name text, p_network text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_apps (name, tenant_id, network) values (p_name, p_tenant_id, p_network) on conflict (name) do nothing returning * into a;
  if a.name is not null then
    perform app.audit(p_by, p_tenant_id, 'app.plan', p_name);
    return jsonb_build_object('kind', 'planned', 'app', to_jsonb(a));
  end if;
  select * into a from public.tenant_apps where name = p_name;
  if a.tenant_id <> p_tenant_id or a.status in ('removing', 'removed') then return jsonb_build_object('kind', 'name_taken'); end if;
  return jsonb_build_object('kind', 'known', 'app', to_jsonb(a));
end $$;
comment on function public.plan_app(uuid, text, text, jsonb) is
  'U4: written before Fly is asked to make the app. kind: planned, known, name_taken, not_found.';

create function public.app_ready(p_name text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.tenant_apps set status = 'ready' where name = p_name and status in ('planned', 'ready') returning 1)
  select exists (select from done)
$$;
comment on function public.app_ready(text) is 'Fly has the app on its network: machines may be created in it. False when it is unknown or being removed.';

create function public.onboarding_debts(p_limit integer default 50) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'tenant_id', x.tenant_id, 'network', x.network, 'status', x.status)), '[]')
  from (select * from public.tenant_apps where status in ('planned', 'removing') order by updated_at limit p_limit) x
$$;
comment on function public.onboarding_debts(integer) is 'Apps that must still be made at Fly (planned) or deleted there (removing): what a crash left half done.';

create function public.update_tenant(p_tenant_id uuid, p_changes jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  perform app.change_tenant(p_tenant_id, p_changes);
  perform app.audit(p_by, p_tenant_id, 'tenant.update', p_tenant_id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.update_tenant(uuid, jsonb, jsonb) is
  'Changes name, settings, quotas, allowed regions and origins, consent, retention, or status (active, suspended). Fields not given stay. kind: updated, not_found.';

create function public.put_pool_policy(p_tenant_id uuid, p_region text, p_floor integer, p_ceiling integer, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_max integer;
  v_others bigint;
begin
  select max_standby into v_max from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(sum(ceiling), 0) into v_others from public.pool_policies where tenant_id = p_tenant_id and region <> p_region;
  if v_others + p_ceiling > v_max then return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_max, 'left', greatest(0, v_max - v_others)); end if;
  insert into public.pool_policies (tenant_id, region, floor, ceiling) values (p_tenant_id, p_region, p_floor, p_ceiling)
    on conflict (tenant_id, region) do update set floor = excluded.floor, ceiling = excluded.ceiling;
  perform app.audit(p_by, p_tenant_id, 'pool.update', p_region, jsonb_build_object('floor', p_floor, 'ceiling', p_ceiling));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.put_pool_policy(uuid, text, integer, integer, jsonb) is
  'Sets how many standby machines a tenant keeps in a region. kind: updated, limit_exceeded, not_found.';

-- ── removal, in steps (U4) ─────────────────────────────────────────────────────────────────────────────────────────
create function public.remove_tenant(p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_status text;
  s record;
begin
  -- F2: all of its sessions before any ending takes the counter.
  perform 1 from public.interview_sessions where tenant_id = p_tenant_id and state_rank < 90 order by id for update;
  select status into v_status from public.tenants where id = p_tenant_id for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if v_status = 'removed' then return jsonb_build_object('kind', 'removed'); end if;
  if v_status <> 'removing' then
    update public.tenants set status = 'removing' where id = p_tenant_id;
    perform app.audit(p_by, p_tenant_id, 'tenant.remove', p_tenant_id::text);
  end if;
  update public.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where tenant_id = p_tenant_id;
  update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp()) where tenant_id = p_tenant_id;
  for s in select id from public.interview_sessions where tenant_id = p_tenant_id and state_rank < 70 and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'operator_stopped');
  end loop;
  return app.finish_removal(p_tenant_id);
end $$;
comment on function public.remove_tenant(uuid, jsonb) is
  'Begins or goes on with a removal: nothing starts any more, keys and invitations are revoked, sessions are asked to end. kind: removing (with what is left: live_sessions, machines, apps), removed, not_found.';

create function app.finish_removal(p_tenant_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_live integer := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id and state_rank < 90);
  v_machines integer := (select count(*) from public.machines where tenant_id = p_tenant_id and state <> 'destroyed');
  v_apps text[];
  c record;
begin
  if v_live + v_machines = 0 then
    update public.tenant_apps set status = case status when 'planned' then 'removing' when 'ready' then 'removing' else status end
      where tenant_id = p_tenant_id and status in ('planned', 'ready');
  end if;
  select coalesce(array_agg(name order by name), '{}') into v_apps from public.tenant_apps where tenant_id = p_tenant_id and status <> 'removed';
  if v_live + v_machines > 0 or v_apps <> '{}' then
    return jsonb_build_object('kind', 'removing', 'live_sessions', v_live, 'machines', v_machines, 'apps', to_jsonb(v_apps));
  end if;
  for c in select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id and erased_at is null order by candidate_id loop
    perform app.erase(p_tenant_id, c.candidate_id);
  end loop;
  delete from public.provider_credentials where tenant_id = p_tenant_id;
  delete from public.webhook_endpoints where tenant_id = p_tenant_id;
  delete from public.pool_policies where tenant_id = p_tenant_id;
  delete from public.tenant_users where tenant_id = p_tenant_id;
  update public.tenants set status = 'removed', settings = '{}' where id = p_tenant_id;
  return jsonb_build_object('kind', 'removed');
end $$;
comment on function app.finish_removal(uuid) is
  'Apps are given up when no machine is left in them; when the apps are gone, candidates are erased and the tenant''s secrets deleted. Usage and audit stay.';

create function public.app_removed(p_name text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
begin
  update public.tenant_apps set status = 'removed' where name = p_name and status in ('removing', 'removed') returning tenant_id into v_tenant;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform 1 from public.tenants where id = v_tenant and status = 'removing' for no key update;
  if not found then return jsonb_build_object('kind', 'removed'); end if;
  return app.finish_removal(v_tenant);
end $$;
comment on function public.app_removed(text) is 'Fly says that the app is gone. Finishes the removal of its tenant when it was the last.';

-- ── members ────────────────────────────────────────────────────────────────────────────────────────────────────────
create function public.tenants_of_user(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'slug', t.slug, 'name', t.name, 'status', t.status, 'role', u.role,
    'allowed_regions', t.allowed_regions) order by t.slug), '[]')
  from public.tenant_users u join public.tenants t on t.id = u.tenant_id
  where u.user_id = p_user_id and t.status in ('active', 'suspended')
$$;
comment on function public.tenants_of_user(uuid) is 'The tenants a user belongs to, with the user''s role in each. Read on every request: a role in a token would outlive its withdrawal.';

create function public.put_tenant_user(p_tenant_id uuid, p_user_id uuid, p_role text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_users (tenant_id, user_id, role) values (p_tenant_id, p_user_id, p_role)
    on conflict (tenant_id, user_id) do update set role = excluded.role;
  perform app.audit(p_by, p_tenant_id, 'member.put', p_user_id::text, jsonb_build_object('role', p_role));
  return jsonb_build_object('kind', 'updated');
exception when foreign_key_violation then
  return jsonb_build_object('kind', 'user_not_found');
end $$;
comment on function public.put_tenant_user(uuid, uuid, text, jsonb) is 'Makes a user a member of a tenant, or changes the role. kind: updated, user_not_found, not_found.';

create function public.remove_tenant_user(p_tenant_id uuid, p_user_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.tenant_users where tenant_id = p_tenant_id and user_id = p_user_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'member.remove', p_user_id::text);
  return true;
end $$;
comment on function public.remove_tenant_user(uuid, uuid, jsonb) is 'Ends a membership; false when there was none.';

-- ── API keys ───────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.api_key_json(k public.api_keys) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'name', k.name, 'prefix', k.prefix, 'scopes', to_jsonb(k.scopes),
    'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at, 'replaced_by', k.replaced_by)
$$;
comment on function app.api_key_json(public.api_keys) is 'A key as the API shows it: never its hash.';

create function public.create_api_key(p_tenant_id uuid, p_name text, p_prefix text, p_key_hash text, p_scopes text[], p_by jsonb,
  p_created_by uuid default null, p_expires_ms bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  k public.api_keys;
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at)
    values (p_tenant_id, p_name, p_prefix, p_key_hash, p_scopes, p_created_by, clock_timestamp() + app.interval_ms(p_expires_ms)) returning * into k;
  perform app.audit(p_by, p_tenant_id, 'api_key.create', k.id::text, jsonb_build_object('prefix', p_prefix, 'scopes', to_jsonb(p_scopes)));
  return jsonb_build_object('kind', 'created', 'key', app.api_key_json(k));
end $$;
comment on function public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint) is 'Stores a key''s hash. kind: created, not_found.';

create function public.rotate_api_key(p_tenant_id uuid, p_key_id uuid, p_prefix text, p_key_hash text, p_overlap_ms bigint, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  o public.api_keys;
  k public.api_keys;
begin
  select * into o from public.api_keys where id = p_key_id and tenant_id = p_tenant_id for update;
  if not found or o.revoked_at is not null or o.expires_at <= clock_timestamp() then return jsonb_build_object('kind', 'not_found'); end if;
  if o.replaced_by is not null then return jsonb_build_object('kind', 'already_rotated', 'replaced_by', o.replaced_by); end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at)
    values (p_tenant_id, o.name, p_prefix, p_key_hash, o.scopes, o.created_by, o.expires_at) returning * into k;
  update public.api_keys set replaced_by = k.id, expires_at = least(expires_at, clock_timestamp() + app.interval_ms(p_overlap_ms))
    where id = o.id returning * into o;
  perform app.audit(p_by, p_tenant_id, 'api_key.rotate', o.id::text, jsonb_build_object('replaced_by', k.id));
  return jsonb_build_object('kind', 'rotated', 'key', app.api_key_json(k), 'previous', app.api_key_json(o));
end $$;
comment on function public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb) is
  'A new key in place of an old one, which goes on for p_overlap_ms at most. kind: rotated, already_rotated, not_found (also: revoked, expired).';

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
comment on function public.revoke_api_key(uuid, uuid, jsonb) is 'From the commit on the key is refused; a second time changes nothing. kind: revoked, not_found.';

create function public.list_api_keys(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.api_key_json(k) order by k.created_at desc, k.id), '[]') from public.api_keys k where k.tenant_id = p_tenant_id
$$;
comment on function public.list_api_keys(uuid) is 'A tenant''s keys, revoked and expired ones too, newest first.';

-- ── provider credentials ───────────────────────────────────────────────────────────────────────────────────────────
create function public.put_provider_credential(p_tenant_id uuid, p_provider text, p_ciphertext text, p_key_id text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.provider_credentials (tenant_id, provider, ciphertext, key_id) values (p_tenant_id, p_provider, p_ciphertext, p_key_id)
    on conflict (tenant_id, provider) do update set ciphertext = excluded.ciphertext, key_id = excluded.key_id, rotated_at = null;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.put', p_provider);
  return jsonb_build_object('kind', 'stored');
end $$;
comment on function public.put_provider_credential(uuid, text, text, text, jsonb) is 'Stores a tenant''s credential, encrypted by the caller. kind: stored, not_found.';

create function public.get_provider_credential(p_tenant_id uuid, p_provider text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('ciphertext', c.ciphertext, 'key_id', c.key_id) from public.provider_credentials c
  where c.tenant_id = p_tenant_id and c.provider = p_provider
$$;
comment on function public.get_provider_credential(uuid, text) is 'The encrypted credential for a call that is being made; null when the tenant brought none.';

create function public.list_provider_credentials(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('provider', c.provider, 'created_at', c.created_at, 'updated_at', c.updated_at) order by c.provider), '[]')
  from public.provider_credentials c where c.tenant_id = p_tenant_id
$$;
comment on function public.list_provider_credentials(uuid) is 'Which credentials a tenant brought. Never the credentials.';

create function public.provider_credentials_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'provider', x.provider, 'ciphertext', x.ciphertext, 'key_id', x.key_id)), '[]')
  from (select * from public.provider_credentials where key_id <> p_key_id order by tenant_id, provider limit p_limit) x
$$;
comment on function public.provider_credentials_to_rotate(text, integer) is 'Credentials that are not yet encrypted under this key.';

create function public.rotate_provider_credential(p_tenant_id uuid, p_provider text, p_old_ciphertext text, p_ciphertext text, p_key_id text)
returns boolean language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.provider_credentials set ciphertext = p_ciphertext, key_id = p_key_id, rotated_at = clock_timestamp()
    where tenant_id = p_tenant_id and provider = p_provider and ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_provider_credential(uuid, text, text, text, text) is
  'The same credential under another key, by compare-and-set: false when it was replaced meanwhile.';

create function public.delete_provider_credential(p_tenant_id uuid, p_provider text, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.provider_credentials where tenant_id = p_tenant_id and provider = p_provider;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.delete', p_provider);
  return true;
end $$;
comment on function public.delete_provider_credential(uuid, text, jsonb) is 'Forgets a credential; false when there was none.';

-- ── invitations ────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.invitation_json(i public.session_invitations) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', i.id, 'session_id', i.session_id, 'created_at', i.created_at, 'expires_at', i.expires_at, 'used_at', i.used_at,
    'revoked_at', i.revoked_at, 'replaces', i.replaces, 'status', case when i.revoked_at is not null then 'revoked'
      when i.expires_at <= clock_timestamp() then 'expired' when i.used_at is not null then 'used' else 'open' end)
$$;
comment on function app.invitation_json(public.session_invitations) is 'An invitation as the API shows it: never its code. status: open, used, expired, revoked.';

create function app.invite(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint, p_replaces uuid, p_by jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  i public.session_invitations;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'ended'); end if;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at, replaces)
    values (s.id, s.tenant_id, p_code_hash, clock_timestamp() + app.interval_ms(p_expires_ms), p_replaces) returning * into i;
  perform app.audit(p_by, p_tenant_id, case when p_replaces is null then 'invitation.create' else 'invitation.resend' end, i.id::text,
    jsonb_build_object('session_id', s.id));
  return jsonb_build_object('kind', 'created', 'invitation', app.invitation_json(i));
end $$;
comment on function app.invite(uuid, uuid, text, bigint, uuid, jsonb) is 'An invitation to a session that has not ended.';

create function public.create_invitation(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint, p_by jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  select app.invite(p_session_id, p_tenant_id, p_code_hash, p_expires_ms, null, p_by)
$$;
comment on function public.create_invitation(uuid, uuid, text, bigint, jsonb) is 'Stores the hash of a new one-time code. kind: created, ended, not_found.';

create function public.resend_invitation(p_invitation_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_session uuid;
  v_result jsonb;
begin
  select session_id into v_session from public.session_invitations where id = p_invitation_id and tenant_id = p_tenant_id;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  v_result := app.invite(v_session, p_tenant_id, p_code_hash, p_expires_ms, p_invitation_id, p_by);
  if v_result ->> 'kind' = 'created' then
    update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = p_invitation_id;
  end if;
  return v_result;
end $$;
comment on function public.resend_invitation(uuid, uuid, text, bigint, jsonb) is
  'A new code in place of an old one, which is revoked: codes are stored hashed, so the old one cannot be shown again. kind: created, ended, not_found.';

create function public.revoke_invitation(p_invitation_id uuid, p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
begin
  select * into i from public.session_invitations where id = p_invitation_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if i.revoked_at is null then
    update public.session_invitations set revoked_at = clock_timestamp() where id = i.id returning * into i;
    perform app.audit(p_by, p_tenant_id, 'invitation.revoke', i.id::text, jsonb_build_object('session_id', i.session_id));
  end if;
  return jsonb_build_object('kind', 'revoked', 'invitation', app.invitation_json(i));
end $$;
comment on function public.revoke_invitation(uuid, uuid, jsonb) is 'The code is refused from now on; who is already in stays in. kind: revoked, not_found.';

create function public.list_invitations(p_session_id uuid, p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.invitation_json(i) order by i.created_at, i.id), '[]')
  from public.session_invitations i where i.session_id = p_session_id and i.tenant_id = p_tenant_id
$$;
comment on function public.list_invitations(uuid, uuid) is 'A session''s invitations, oldest first.';

-- ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────
create function app.draw_start(p_tenant_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_rate integer := (select starts_per_minute from public.tenants where id = p_tenant_id);
  v_now timestamptz := clock_timestamp();
  v_next timestamptz;
begin
  if v_rate is null then return 0; end if;
  select greatest(next_start_at, v_now) into v_next from public.tenant_counters where tenant_id = p_tenant_id for update;
  -- GCRA with a burst of one minute's starts: the next is due one step later, and may be drawn a minute early.
  v_next := v_next + app.interval_ms(60000.0 / v_rate);
  if v_next > v_now + interval '1 minute' then
    return ceil(extract(epoch from v_next - v_now - interval '1 minute') * 1000);
  end if;
  update public.tenant_counters set next_start_at = v_next where tenant_id = p_tenant_id;
  return 0;
end $$;
comment on function app.draw_start(uuid) is 'Draws one start of the tenant''s starts per minute: 0 when it may, else the milliseconds until it may. Locks the counters (F2).';

create function public.draw_rate_limits(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_results jsonb[] := '{}';
begin
  -- One order for every batch, or two could wait for each other.
  insert into public.rate_limits (scope, next_at)
    select distinct l ->> 'scope', clock_timestamp() from jsonb_array_elements(p_requests) q, jsonb_array_elements(q -> 'limits') l order by 1
    on conflict (scope) do nothing;
  perform 1 from public.rate_limits x
    where x.scope in (select l ->> 'scope' from jsonb_array_elements(p_requests) q, jsonb_array_elements(q -> 'limits') l) order by x.scope for update;
  for r in select * from jsonb_array_elements(p_requests) loop
    v_results := v_results || app.draw_limits(r -> 'limits');
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.draw_rate_limits(jsonb) is
  'Requests in, answers out, in order. A request [{limits: [{scope, per_minute, burst}]}] draws from all of its limits or from none. Answer: {allowed, retry_after_ms, limits: [{scope, limit, remaining, reset_ms}]}.';

create function app.draw_limits(p_limits jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_wait double precision;
  v_limits jsonb;
begin
  select coalesce(max(d.wait_ms), 0) into v_wait from app.limits_at(p_limits, v_now, 1) d;
  if v_wait <= 0 then
    update public.rate_limits x set next_at = d.next_at from app.limits_at(p_limits, v_now, 1) d where x.scope = d.scope;
  end if;
  select jsonb_agg(jsonb_build_object('scope', d.scope, 'limit', d.burst, 'remaining', d.remaining, 'reset_ms', ceil(d.reset_ms)) order by d.n)
    into v_limits from app.limits_at(p_limits, v_now, 0) d;
  return jsonb_build_object('allowed', v_wait <= 0, 'retry_after_ms', ceil(greatest(v_wait, 0)), 'limits', v_limits);
end $$;
comment on function app.draw_limits(jsonb) is 'One request: draws from all of its limits, or from none when one of them is used up.';

create function app.limits_at(p_limits jsonb, p_now timestamptz, p_cost integer)
returns table (n bigint, scope text, burst integer, next_at timestamptz, wait_ms double precision, remaining integer, reset_ms double precision)
language sql stable set search_path = '' as $$
  select l.n, x.scope, l.burst, t.next_at, t.ahead_ms - l.burst * l.step_ms, greatest(0, floor(l.burst - t.ahead_ms / l.step_ms + 1e-6))::integer, t.ahead_ms
  from (select n, e ->> 'scope' as scope, (e ->> 'burst')::integer as burst, 60000.0 / (e ->> 'per_minute')::double precision as step_ms
    from jsonb_array_elements(p_limits) with ordinality as q (e, n)) l
  join public.rate_limits x on x.scope = l.scope
  cross join lateral (select greatest(x.next_at, p_now) + app.interval_ms(p_cost * l.step_ms) as next_at) a
  cross join lateral (select a.next_at, (extract(epoch from a.next_at - p_now) * 1000)::double precision as ahead_ms) t
$$;
comment on function app.limits_at(jsonb, timestamptz, integer) is
  'GCRA: where each limit would stand after p_cost requests. wait_ms > 0 says that it is used up, and for how long.';
