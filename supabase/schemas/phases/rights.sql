alter table public.session_phases enable row level security;
grant select on public.session_phases to orchestrator;
create policy "orchestrators read all rows" on public.session_phases for select to orchestrator using (true);
