alter table public.orchestrators enable row level security;
grant select on public.orchestrators to orchestrator;
create policy "orchestrators read all rows" on public.orchestrators for select to orchestrator using (true);

alter table public.pool_policies enable row level security;
grant select on public.pool_policies to orchestrator;
create policy "orchestrators read all rows" on public.pool_policies for select to orchestrator using (true);
grant select on public.pool_policies to authenticated;
create policy "members read their tenant's rows" on public.pool_policies for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.duties enable row level security;
grant select on public.duties to orchestrator;
create policy "orchestrators read all rows" on public.duties for select to orchestrator using (true);
