-- Who may do what with the tables and functions of tenants and trust. As in security: nothing by default, RLS on every
-- table, one policy per operation, named for what it permits.
--
-- W1  Users write directly only what is theirs alone and no machine depends on: positions and candidates (members and admins),
--     memberships (admins). Everything else goes through the platform API, which checks quotas and audits.
-- W2  Columns are granted one by one for writing: nobody moves a row to another tenant or chooses a person's id.

do $$
declare
  t text;
begin
  foreach t in array array['consents', 'provider_credentials', 'webhook_endpoints', 'webhook_deliveries', 'video_deletions', 'pool_policies',
    'rate_limits'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('create policy "orchestrators read all rows" on public.%I for select to orchestrator using (true)', t);
  end loop;
  foreach t in array array['consents', 'webhook_deliveries', 'video_deletions', 'pool_policies', 'rate_limits'] loop
    execute format('grant select on public.%I to orchestrator', t);
  end loop;
  foreach t in array array['consents', 'pool_policies'] loop
    execute format('grant select on public.%I to authenticated', t);
    execute format('create policy "members read their tenant''s rows" on public.%I for select to authenticated using (tenant_id in (select app.my_tenants()))', t);
  end loop;
end $$;

-- Ciphertexts are handed out by functions alone, for the one call that needs them.
grant select (tenant_id, provider, key_id, created_at, updated_at, rotated_at) on public.provider_credentials to orchestrator;
grant select (id, tenant_id, url, events, key_id, enabled, disabled_reason, previous_secret_until, created_at, updated_at)
  on public.webhook_endpoints to orchestrator;

grant select on public.audit_log to authenticated;
create policy "admins read their tenant's audit entries" on public.audit_log for select to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));

-- ── direct writes of users (W1, W2) ────────────────────────────────────────────────────────────────────────────────
grant insert (tenant_id, title, description), update (title, description) on public.positions to authenticated;
create policy "members add positions" on public.positions for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change positions" on public.positions for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin', 'member'])));

grant insert (tenant_id, name, email, external_id, status), update (name, email, external_id, status) on public.tenant_candidates to authenticated;
grant execute on function app.new_candidate() to authenticated;
create policy "members add candidates" on public.tenant_candidates for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change candidates" on public.tenant_candidates for update to authenticated
  using (erased_at is null and tenant_id in (select app.my_tenants(array['admin', 'member'])));

grant insert (tenant_id, user_id, role), update (role), delete on public.tenant_users to authenticated;
create policy "admins add users" on public.tenant_users for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins change users' roles" on public.tenant_users for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins remove users" on public.tenant_users for delete to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));

create function app.audit_member_change() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_row public.tenant_users := case tg_op when 'DELETE' then old else new end;
begin
  -- The API's own functions audit with the request's particulars; a membership that goes with its user or tenant is no act.
  if app.claims() ->> 'role' = 'authenticated' then
    perform app.audit(jsonb_build_object('actor', 'user:' || (app.claims() ->> 'sub')), v_row.tenant_id,
      case tg_op when 'DELETE' then 'member.remove' else 'member.put' end, v_row.user_id::text, jsonb_build_object('role', v_row.role));
  end if;
  return null;
end $$;
comment on function app.audit_member_change() is 'Audits what admins do to memberships directly.';
create trigger audit_member_change after insert or update or delete on public.tenant_users for each row execute function app.audit_member_change();

-- ── functions ──────────────────────────────────────────────────────────────────────────────────────────────────────
grant execute on function
  public.get_tenant(uuid), public.list_tenants(integer, text), public.plan_tenant(text, jsonb, jsonb), public.plan_app(uuid, text, text, jsonb),
  public.app_ready(text), public.onboarding_debts(integer), public.update_tenant(uuid, jsonb, jsonb),
  public.put_pool_policy(uuid, text, integer, integer, jsonb), public.remove_tenant(uuid, jsonb), public.app_removed(text),
  public.tenants_of_user(uuid), public.put_tenant_user(uuid, uuid, text, jsonb), public.remove_tenant_user(uuid, uuid, jsonb),
  public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint), public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb),
  public.revoke_api_key(uuid, uuid, jsonb), public.list_api_keys(uuid),
  public.put_provider_credential(uuid, text, text, text, jsonb), public.get_provider_credential(uuid, text), public.list_provider_credentials(uuid),
  public.provider_credentials_to_rotate(text, integer), public.rotate_provider_credential(uuid, text, text, text, text),
  public.delete_provider_credential(uuid, text, jsonb),
  public.create_invitation(uuid, uuid, text, bigint, jsonb), public.resend_invitation(uuid, uuid, text, bigint, jsonb),
  public.revoke_invitation(uuid, uuid, jsonb), public.list_invitations(uuid, uuid), public.draw_rate_limits(jsonb),
  public.create_candidate(uuid, jsonb), public.get_candidate(uuid, uuid), public.list_candidates(uuid, integer, text, timestamptz, uuid),
  public.change_candidate(uuid, uuid, jsonb), public.create_position(uuid, jsonb), public.get_position(uuid, uuid),
  public.list_positions(uuid, integer, timestamptz, uuid), public.change_position(uuid, uuid, jsonb),
  public.session_may_start(uuid), public.record_consent(uuid, text, text), public.erase_candidate(uuid, uuid, jsonb),
  public.videos_to_delete(integer, integer), public.record_video_deleted(text, text), public.expire_retained(integer)
to orchestrator;
