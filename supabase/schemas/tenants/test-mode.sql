create function public.plan_test_tenant(p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  t public.tenants;
  v_id uuid;
  v_slug text;
begin
  select * into t from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if t.test then return jsonb_build_object('kind', 'is_test'); end if;
  select id into v_id from public.tenants where live_tenant_id = t.id;
  if found then return jsonb_build_object('kind', 'known', 'tenant', app.tenant_json(v_id)); end if;
  -- Slugs have at most 40 characters and are unique, also among tenants that chose such a slug themselves.
  v_slug := rtrim(left(t.slug, 35), '-') || '-test';
  if exists (select from public.tenants where slug = v_slug) then
    v_slug := rtrim(left(t.slug, 26), '-') || '-test-' || substr(replace(t.id::text, '-', ''), 1, 8);
  end if;
  insert into public.tenants (slug, name, status, settings, max_live_sessions, max_duration_ms, allowed_regions,
    allowed_origins, require_consent, consent_text_version, transcript_days, video_days, audit_days,
    on_consent_withdrawn, live_tenant_id)
    values (v_slug, left(t.name, 192) || ' (test)', t.status, t.settings, least(t.max_live_sessions, 10),
      t.max_duration_ms, t.allowed_regions, t.allowed_origins, t.require_consent, t.consent_text_version,
      t.transcript_days, t.video_days, t.audit_days, t.on_consent_withdrawn, t.id)
    returning id into v_id;
  insert into public.tenant_counters (tenant_id) values (v_id);
  insert into public.consent_texts (tenant_id, version, text)
    select v_id, c.version, c.text from public.consent_texts c where c.tenant_id = t.id;
  perform app.audit(p_by, t.id, 'tenant.test_mode', v_id::text);
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_test_tenant(uuid, jsonb) is
  'Returns the test mode of a tenant, or creates it with the tenant''s settings and at most 10 live sessions; called '
  'by the API. Later changes of the tenant do not affect it, except its status. Returns kind: planned, known, is_test '
  '(it is the test mode of another tenant), not_found.';
grant execute on function public.plan_test_tenant(uuid, jsonb) to orchestrator;

create function app.follow_live_tenant() returns trigger language plpgsql set search_path = '' as $$
begin
  update public.tenants set status = new.status
    where live_tenant_id = new.id and status <> new.status and status <> 'removed'
      and new.status in ('active', 'suspended', 'removing');
  if new.status = 'removing' then
    update public.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
      where tenant_id = (select t.id from public.tenants t where t.live_tenant_id = new.id);
  end if;
  return null;
end $$;
comment on function app.follow_live_tenant() is
  'Suspends and resumes the test mode with its tenant, and starts its removal: the onboarding job continues that '
  '(removals_under_way). Trigger of tenants.';
create trigger follow_live_tenant after update of status on public.tenants for each row
  when (not new.test and old.status is distinct from new.status) execute function app.follow_live_tenant();
