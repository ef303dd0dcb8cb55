create function app.tenant_json(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(t) || jsonb_build_object(
    'live_sessions', coalesce((select c.live_sessions from public.tenant_counters c where c.tenant_id = t.id), 0),
    'apps', (select coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'network', a.network, 'status', a.status)
      order by a.name), '[]')
      from public.tenant_apps a where a.tenant_id = t.id),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', p.region, 'floor', p.floor, 'ceiling', p.ceiling)
      order by p.region), '[]')
      from public.pool_policies p where p.tenant_id = t.id))
  from public.tenants t where t.id = p_tenant_id
$$;
comment on function app.tenant_json(uuid) is
  'Returns a tenant as the API shows it: its row, number of live sessions, apps and pools.';

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

create function app.merge_settings(p_settings jsonb, p_changes jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(p_settings || (p_changes - 'consent_texts')) || case when p_changes ? 'consent_texts'
    then jsonb_build_object('consent_texts',
      (p_changes -> 'consent_texts') || coalesce(p_settings -> 'consent_texts', '{}')) else '{}' end
$$;
comment on function app.merge_settings(jsonb, jsonb) is
  'Returns settings with these changes applied. Omitted fields stay, null removes a field, and a stored consent text '
  'is never changed.';

create function app.rewritten_consent(p_tenant_id uuid, p_changes jsonb) returns text
language sql stable set search_path = '' as $$
  select n.version from public.tenants t, jsonb_each_text(p_changes #> '{settings,consent_texts}') as n (version, text)
  where t.id = p_tenant_id and case when t.settings #> array['consent_texts', n.version] is not null
    then t.settings #>> array['consent_texts', n.version] <> n.text
    else exists (select from public.consents c where c.tenant_id = t.id and c.text_version = n.version) end
  limit 1
$$;
comment on function app.rewritten_consent(uuid, jsonb) is
  'Returns the consent text version that these changes would rewrite: another text is stored under it, or a '
  'candidate consented to it while no text was stored. Null if there is none.';

create function app.change_tenant(p_tenant_id uuid, p_changes jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.tenants t set name = n.name, max_live_sessions = n.max_live_sessions,
    max_duration_ms = n.max_duration_ms,
    settings = app.merge_settings(t.settings, coalesce(p_changes -> 'settings', '{}')),
    starts_per_minute = n.starts_per_minute, max_standby = n.max_standby, allowed_regions = n.allowed_regions,
    allowed_origins = n.allowed_origins,
    require_consent = n.require_consent, consent_text_version = n.consent_text_version,
    transcript_days = n.transcript_days,
    video_days = n.video_days, audit_days = n.audit_days,
    status = case when t.status in ('active', 'suspended') and n.status in ('active', 'suspended') then n.status
      else t.status end
  from (select r.* from public.tenants o cross join lateral jsonb_populate_record(o, p_changes - 'settings') r
    where o.id = p_tenant_id) n
  where t.id = p_tenant_id
$$;
comment on function app.change_tenant(uuid, jsonb) is
  'Applies the given fields to a tenant. id, slug and dates never change, and a tenant that is being removed keeps '
  'that status.';

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
  perform app.change_tenant(v_id, p_settings);
  perform app.audit(p_by, v_id, 'tenant.create', v_id::text, jsonb_build_object('slug', p_slug));
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_tenant(text, jsonb, jsonb) is
  'Returns the tenant with this slug, or creates it; called by the API. Returns kind: planned, known (nothing was '
  'changed), slug_taken (the slug belonged to a removed tenant).';
grant execute on function public.plan_tenant(text, jsonb, jsonb) to orchestrator;

create function public.update_tenant(p_tenant_id uuid, p_changes jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_rewritten text;
begin
  if not exists (select from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  v_rewritten := app.rewritten_consent(p_tenant_id, p_changes);
  if v_rewritten is not null then
    return jsonb_build_object('kind', 'consent_text_fixed', 'text_version', v_rewritten);
  end if;
  perform app.change_tenant(p_tenant_id, p_changes);
  perform app.audit(p_by, p_tenant_id, 'tenant.update', p_tenant_id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.update_tenant(uuid, jsonb, jsonb) is
  'Changes name, settings, quotas, allowed regions and origins, consent, retention or status (active, suspended); '
  'called by the API. Omitted fields stay, also within settings. Returns kind: updated, consent_text_fixed '
  '(text_version: its text cannot be changed), not_found.';
grant execute on function public.update_tenant(uuid, jsonb, jsonb) to orchestrator;

create function public.tenant_origins() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'origins', to_jsonb(t.allowed_origins))), '[]')
  from public.tenants t where t.status in ('active', 'suspended') and t.allowed_origins <> '{}'
$$;
comment on function public.tenant_origins() is
  'Lists tenants that have a list of browser origins, with the origins; called regularly by the API. The edge and '
  'CORS need them before a caller is authenticated.';
grant execute on function public.tenant_origins() to orchestrator;
