create function app.tenant_json(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(t) || jsonb_build_object(
    'consent_text', (select c.text from public.consent_texts c where c.tenant_id = t.id
      and c.version = t.consent_text_version),
    'live_sessions', coalesce((select c.live_sessions from public.tenant_counters c where c.tenant_id = t.id), 0),
    'apps', (select coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'network', a.network, 'status', a.status)
      order by a.name), '[]')
      from public.tenant_apps a where a.tenant_id = t.id),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', p.region, 'floor', p.floor, 'ceiling', p.ceiling,
      'hot', jsonb_build_object('floor', p.hot_floor, 'ceiling', p.hot_ceiling))
      order by p.region), '[]')
      from public.pool_policies p where p.tenant_id = t.id))
  from public.tenants t where t.id = p_tenant_id
$$;
comment on function app.tenant_json(uuid) is
  'Returns a tenant as the API shows it: its row, current consent text, number of live sessions, apps and pools.';

create function public.get_tenant(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.tenant_json(p_tenant_id) $$;
comment on function public.get_tenant(uuid) is
  'Returns a tenant with its apps and pools; called by the API. Null if there is none.';
grant execute on function public.get_tenant(uuid) to orchestrator;

create function public.list_tenants(p_limit integer, p_after_slug text default '') returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(y.shown order by y.slug), '[]') from (
    select x.slug, x.shown,
      sum(octet_length(x.shown::text)) over (order by x.slug) - octet_length(x.shown::text) as before
    from (
      select t.slug, app.tenant_json(t.id) as shown
      from public.tenants t where t.slug > p_after_slug order by t.slug limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.list_tenants(integer, text) is
  'Lists tenants by slug, after the given one; called by the API. Returns at most max_list_bytes plus one tenant.';
grant execute on function public.list_tenants(integer, text) to orchestrator;

create function app.add_consent_text(p_tenant_id uuid, p_changes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 100;
  v_version text := p_changes ->> 'consent_text_version';
  v_text text := p_changes ->> 'consent_text';
  v_stored text;
begin
  if v_version is null or v_text is null then return null; end if;
  select c.text into v_stored from public.consent_texts c where c.tenant_id = p_tenant_id and c.version = v_version;
  if v_stored = v_text then return null; end if;
  if v_stored is not null or exists (select from public.consents c where c.tenant_id = p_tenant_id
    and c.text_version = v_version) then
    return jsonb_build_object('kind', 'consent_text_fixed', 'text_version', v_version);
  end if;
  if (select count(*) from public.consent_texts c where c.tenant_id = p_tenant_id) >= v_limit then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit);
  end if;
  insert into public.consent_texts (tenant_id, version, text) values (p_tenant_id, v_version, v_text);
  return null;
end $$;
comment on function app.add_consent_text(uuid, jsonb) is
  'Stores the consent text among the changes of a tenant. The caller has locked the tenant. Returns null, or why the '
  'text is refused: consent_text_fixed (another text is stored under this text_version, or a candidate consented to '
  'it while no text was stored) or limit_exceeded (the tenant has as many texts as it may have).';

create function app.change_tenant(p_tenant_id uuid, p_changes jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.tenants t set name = n.name, max_live_sessions = n.max_live_sessions,
    max_duration_ms = n.max_duration_ms,
    settings = jsonb_strip_nulls(t.settings || coalesce(p_changes -> 'settings', '{}')),
    starts_per_minute = n.starts_per_minute, max_standby = n.max_standby, allowed_regions = n.allowed_regions,
    allowed_origins = n.allowed_origins,
    require_consent = n.require_consent, consent_text_version = n.consent_text_version,
    transcript_days = n.transcript_days,
    video_days = n.video_days, audit_days = n.audit_days, event_days = n.event_days, usage_days = n.usage_days,
    on_consent_withdrawn = n.on_consent_withdrawn,
    status = case when t.status in ('active', 'suspended') and n.status in ('active', 'suspended') then n.status
      else t.status end
  from (select r.* from public.tenants o cross join lateral jsonb_populate_record(o, p_changes - 'settings') r
    where o.id = p_tenant_id) n
  where t.id = p_tenant_id
$$;
comment on function app.change_tenant(uuid, jsonb) is
  'Applies the given fields to a tenant. Within settings, omitted fields stay and null removes a field. id, slug and '
  'dates never change, and a tenant that is being removed keeps that status.';

create function public.plan_tenant(p_slug text, p_settings jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_status text;
begin
  insert into public.tenants (slug, name) values (p_slug, coalesce(p_settings ->> 'name', p_slug))
    on conflict (slug) do nothing returning id into v_id;
  if v_id is null then
    select id, status into v_id, v_status from public.tenants where slug = p_slug;
    if v_status in ('removing', 'removed') then return jsonb_build_object('kind', 'slug_taken'); end if;
    return jsonb_build_object('kind', 'known', 'tenant', app.tenant_json(v_id));
  end if;
  insert into public.tenant_counters (tenant_id) values (v_id);
  perform app.add_consent_text(v_id, p_settings);
  perform app.change_tenant(v_id, p_settings);
  perform app.audit(p_by, v_id, 'tenant.create', v_id::text, jsonb_build_object('slug', p_slug));
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_tenant(text, jsonb, jsonb) is
  'Returns the tenant with this slug, or creates it; called by the API. Returns kind: planned, known (nothing was '
  'changed), slug_taken (the slug belonged to a removed tenant).';
grant execute on function public.plan_tenant(text, jsonb, jsonb) to orchestrator;

create function public.update_tenant(p_tenant_id uuid, p_changes jsonb, p_by jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_refusal jsonb;
  v_updated_at timestamptz;
begin
  select updated_at into v_updated_at from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if v_updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  v_refusal := app.add_consent_text(p_tenant_id, p_changes);
  if v_refusal is not null then return v_refusal; end if;
  perform app.change_tenant(p_tenant_id, p_changes);
  perform app.audit(p_by, p_tenant_id, 'tenant.update', p_tenant_id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.update_tenant(uuid, jsonb, jsonb, timestamptz) is
  'Changes name, settings, quotas, allowed regions and origins, consent, retention or status (active, suspended); '
  'called by the API. Omitted fields stay, also within settings. consent_text is stored under consent_text_version. '
  'Returns kind: updated, consent_text_fixed (text_version: its text cannot be changed), limit_exceeded (too many '
  'consent texts), changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.update_tenant(uuid, jsonb, jsonb, timestamptz) to orchestrator;

create function public.tenant_origins() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'origins', to_jsonb(t.allowed_origins))), '[]')
  from public.tenants t where t.status in ('active', 'suspended') and t.allowed_origins <> '{}'
$$;
comment on function public.tenant_origins() is
  'Lists tenants that have a list of browser origins, with the origins; called regularly by the API. The edge and '
  'CORS need them before a caller is authenticated.';
grant execute on function public.tenant_origins() to orchestrator;
