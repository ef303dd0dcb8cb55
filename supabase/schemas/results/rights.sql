alter table public.interview_results enable row level security;
grant select on public.interview_results to orchestrator;
create policy "orchestrators read all rows" on public.interview_results for select to orchestrator using (true);
grant select on public.interview_results to authenticated;
create policy "members read their tenant's rows" on public.interview_results for select to authenticated
  using (tenant_id in (select app.my_tenants()));
