create function public.remove_tenant(p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_status text;
  v_locked uuid[];
  s record;
begin
  -- Lock all its sessions first, before any ending locks the counter. A session created in the meantime is left to the
  -- next call, because locking it now would violate the lock order.
  v_locked := array(select id from public.interview_sessions
    where tenant_id = p_tenant_id and state_rank < app.rank_of('ended') order by id for update);
  select status into v_status from public.tenants where id = p_tenant_id for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if v_status = 'removed' then return jsonb_build_object('kind', 'removed'); end if;
  if v_status <> 'removing' then
    update public.tenants set status = 'removing' where id = p_tenant_id;
    perform app.audit(p_by, p_tenant_id, 'tenant.remove', p_tenant_id::text);
  end if;
  update public.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where tenant_id = p_tenant_id;
  update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp())
    where tenant_id = p_tenant_id;
  for s in select id from public.interview_sessions
    where id = any (v_locked) and state_rank < app.rank_of('finalizing') and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'operator_stopped');
  end loop;
  return app.finish_removal(p_tenant_id);
end $$;
comment on function public.remove_tenant(uuid, jsonb) is
  'Starts or continues the removal of a tenant; called by the API and by the onboarding job. Nothing starts any '
  'more, keys and invitations are revoked, and sessions are asked to end. Returns kind: removing (with the remaining '
  'live_sessions, machines and apps), removed, not_found.';
grant execute on function public.remove_tenant(uuid, jsonb) to orchestrator;

create function app.finish_removal(p_tenant_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_live integer := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id
    and state_rank < app.rank_of('ended'));
  v_machines integer := (select count(*) from public.machines where tenant_id = p_tenant_id and state <> 'destroyed');
  v_apps text[];
  c record;
begin
  if v_live + v_machines = 0 then
    update public.tenant_apps set status = case status when 'planned' then 'removing' when 'ready' then 'removing'
      else status end
      where tenant_id = p_tenant_id and status in ('planned', 'ready');
  end if;
  select coalesce(array_agg(name order by name), '{}') into v_apps from public.tenant_apps
    where tenant_id = p_tenant_id and status <> 'removed';
  if v_live + v_machines > 0 or v_apps <> '{}' then
    return jsonb_build_object('kind', 'removing', 'live_sessions', v_live, 'machines', v_machines,
      'apps', to_jsonb(v_apps));
  end if;
  for c in select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id and erased_at is null
    order by candidate_id loop
    perform app.erase(p_tenant_id, c.candidate_id);
  end loop;
  delete from public.provider_credentials where tenant_id = p_tenant_id;
  delete from public.webhook_endpoints where tenant_id = p_tenant_id;
  delete from public.consent_texts where tenant_id = p_tenant_id;
  delete from public.pool_policies where tenant_id = p_tenant_id;
  delete from public.tenant_users where tenant_id = p_tenant_id;
  update public.tenants set status = 'removed', settings = '{}' where id = p_tenant_id;
  return jsonb_build_object('kind', 'removed');
end $$;
comment on function app.finish_removal(uuid) is
  'Marks a tenant''s apps for removal when they have no machines left. When the apps are gone, erases the tenant''s '
  'candidates and deletes its secrets. Usage and audit entries stay.';

create function public.removals_under_way(p_limit integer default 20) returns uuid[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(x.id), '{}') from (select id from public.tenants where status = 'removing'
    order by updated_at limit p_limit) x
$$;
comment on function public.removals_under_way(integer) is
  'Lists tenants whose removal is not complete; called by the onboarding job, which then calls remove_tenant.';
grant execute on function public.removals_under_way(integer) to orchestrator;
