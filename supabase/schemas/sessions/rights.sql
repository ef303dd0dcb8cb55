alter table public.interview_sessions enable row level security;
grant select on public.interview_sessions to orchestrator;
create policy "orchestrators read all rows" on public.interview_sessions for select to orchestrator using (true);
grant select on public.interview_sessions to authenticated;
create policy "members read their tenant's rows" on public.interview_sessions for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant select (id, tenant_id, status, outcome, reason, epoch, machine_id) on public.interview_sessions to session_worker;
create policy "a worker reads its own session" on public.interview_sessions for select to session_worker
  using ((select app.worker_serves(id)));

alter table public.session_events enable row level security;
grant select on public.session_events to orchestrator;
create policy "orchestrators read all rows" on public.session_events for select to orchestrator using (true);
grant select on public.session_events to authenticated;
create policy "members read their tenant's rows, but none of machines" on public.session_events
  for select to authenticated
  using (tenant_id in (select app.my_tenants()) and app.event_audience(type) = 'tenant');

alter table public.idempotency_keys enable row level security;
grant select on public.idempotency_keys to orchestrator;
create policy "orchestrators read all rows" on public.idempotency_keys for select to orchestrator using (true);

alter table public.session_invitations enable row level security;
grant select on public.session_invitations to orchestrator;
create policy "orchestrators read all rows" on public.session_invitations for select to orchestrator using (true);

alter table public.consents enable row level security;
grant select on public.consents to orchestrator;
create policy "orchestrators read all rows" on public.consents for select to orchestrator using (true);
grant select on public.consents to authenticated;
create policy "members read their tenant's rows" on public.consents for select to authenticated
  using (tenant_id in (select app.my_tenants()));
