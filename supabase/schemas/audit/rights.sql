alter table public.audit_log enable row level security;
grant select on public.audit_log to orchestrator;
create policy "orchestrators read all rows" on public.audit_log for select to orchestrator using (true);
grant select on public.audit_log to authenticated;
create policy "admins read their tenant's audit entries" on public.audit_log for select to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));
