-- Members and admins of a tenant write candidates and positions directly. Columns are granted one by one: no user can
-- move a row to another tenant or choose a person's id.

alter table public.candidates enable row level security;
grant select on public.candidates to orchestrator;
create policy "orchestrators read all rows" on public.candidates for select to orchestrator using (true);

alter table public.tenant_candidates enable row level security;
grant select on public.tenant_candidates to orchestrator;
create policy "orchestrators read all rows" on public.tenant_candidates for select to orchestrator using (true);
-- Who requested an erasure, and from where, is in the audit log, which only admins can read.
grant select (tenant_id, candidate_id, name, email, external_id, status, created_at, updated_at, erased_at,
  erasure_requested_at) on public.tenant_candidates to authenticated;
create policy "members read their tenant's rows" on public.tenant_candidates for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, name, email, external_id, status),
  update (name, email, external_id, status) on public.tenant_candidates to authenticated;
create policy "members add candidates" on public.tenant_candidates for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change candidates" on public.tenant_candidates for update to authenticated
  using (erased_at is null and tenant_id in (select app.my_tenants(array['admin', 'member'])));

alter table public.positions enable row level security;
grant select on public.positions to orchestrator;
create policy "orchestrators read all rows" on public.positions for select to orchestrator using (true);
grant select on public.positions to authenticated;
create policy "members read their tenant's rows" on public.positions for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, title, description), update (title, description) on public.positions to authenticated;
create policy "members add positions" on public.positions for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change positions" on public.positions for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin', 'member'])));
