alter table public.tenants enable row level security;
grant select on public.tenants to orchestrator;
create policy "orchestrators read all rows" on public.tenants for select to orchestrator using (true);
grant select on public.tenants to authenticated;
create policy "members read their own tenant" on public.tenants for select to authenticated
  using (id in (select app.my_tenants()));

alter table public.consent_texts enable row level security;
grant select on public.consent_texts to orchestrator;
create policy "orchestrators read all rows" on public.consent_texts for select to orchestrator using (true);
grant select on public.consent_texts to authenticated;
create policy "members read their tenant's rows" on public.consent_texts for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.tenant_counters enable row level security;
grant select on public.tenant_counters to orchestrator;
create policy "orchestrators read all rows" on public.tenant_counters for select to orchestrator using (true);

alter table public.tenant_apps enable row level security;
grant select on public.tenant_apps to orchestrator;
create policy "orchestrators read all rows" on public.tenant_apps for select to orchestrator using (true);

alter table public.rate_limits enable row level security;
grant select on public.rate_limits to orchestrator;
create policy "orchestrators read all rows" on public.rate_limits for select to orchestrator using (true);
