alter table public.region_drains enable row level security;
grant select on public.region_drains to orchestrator;
create policy "orchestrators read all rows" on public.region_drains for select to orchestrator using (true);

alter table public.brake_holds enable row level security;
grant select on public.brake_holds to orchestrator;
create policy "orchestrators read all rows" on public.brake_holds for select to orchestrator using (true);
