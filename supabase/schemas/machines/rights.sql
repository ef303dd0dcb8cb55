alter table public.machines enable row level security;
grant select on public.machines to orchestrator;
create policy "orchestrators read all rows" on public.machines for select to orchestrator using (true);

alter table public.machine_usage enable row level security;
grant select on public.machine_usage to orchestrator;
create policy "orchestrators read all rows" on public.machine_usage for select to orchestrator using (true);
grant select on public.machine_usage to authenticated;
create policy "members read their tenant's rows" on public.machine_usage for select to authenticated
  using (tenant_id in (select app.my_tenants()));

-- No role has a right on this table. Only functions with the owner's rights read and write it.
alter table app.daily_costs enable row level security;
