-- In this domain users may write only memberships directly, and only admins may. Everything else goes through the
-- platform API, which checks quotas and writes the audit log.

alter table public.tenant_users enable row level security;
grant select on public.tenant_users to orchestrator;
create policy "orchestrators read all rows" on public.tenant_users for select to orchestrator using (true);
grant select on public.tenant_users to authenticated;
create policy "members read their tenant's rows" on public.tenant_users for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, user_id, role), update (role), delete on public.tenant_users to authenticated;
create policy "admins add users" on public.tenant_users for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins change users' roles" on public.tenant_users for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins remove users" on public.tenant_users for delete to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));

alter table public.api_keys enable row level security;
grant select on public.api_keys to orchestrator;
create policy "orchestrators read all rows" on public.api_keys for select to orchestrator using (true);

alter table public.provider_credentials enable row level security;
-- Only functions return ciphertexts, one for each request that needs it.
grant select (tenant_id, provider, key_id, created_at, updated_at, rotated_at) on public.provider_credentials
  to orchestrator;
create policy "orchestrators read all rows" on public.provider_credentials for select to orchestrator using (true);
