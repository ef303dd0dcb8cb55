alter table public.realtime_calls enable row level security;
grant select on public.realtime_calls to orchestrator;
create policy "orchestrators read all rows" on public.realtime_calls for select to orchestrator using (true);

alter table public.transcript_entries enable row level security;
grant select on public.transcript_entries to orchestrator;
create policy "orchestrators read all rows" on public.transcript_entries for select to orchestrator using (true);
grant select on public.transcript_entries to authenticated;
create policy "members read their tenant's rows" on public.transcript_entries for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant select on public.transcript_entries to session_worker;
create policy "a worker reads its own session's entries" on public.transcript_entries for select to session_worker
  using (session_id = (select app.worker_session()) and (select app.worker_serves(session_id)));

alter table public.transcript_writes enable row level security;
grant select on public.transcript_writes to orchestrator;
create policy "orchestrators read all rows" on public.transcript_writes for select to orchestrator using (true);
