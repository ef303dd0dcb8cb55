alter table public.simulations enable row level security;
grant select on public.simulations to orchestrator;
create policy "orchestrators read all rows" on public.simulations for select to orchestrator using (true);
