alter table public.api_requests enable row level security;
grant select on public.api_requests to orchestrator;
create policy "orchestrators read all rows" on public.api_requests for select to orchestrator using (true);
