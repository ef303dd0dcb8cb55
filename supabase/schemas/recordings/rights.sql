alter table public.video_segments enable row level security;
grant select on public.video_segments to orchestrator;
create policy "orchestrators read all rows" on public.video_segments for select to orchestrator using (true);
grant select on public.video_segments to authenticated;
create policy "members read their tenant's rows" on public.video_segments for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.video_deletions enable row level security;
grant select on public.video_deletions to orchestrator;
create policy "orchestrators read all rows" on public.video_deletions for select to orchestrator using (true);

alter table public.video_jobs enable row level security;
grant select (session_id, ordinal, tenant_id, state, video_id, token_expires_at, ended_at, attempts, next_attempt_at,
  failure, created_at, updated_at)
  on public.video_jobs to orchestrator;
create policy "orchestrators read all rows" on public.video_jobs for select to orchestrator using (true);

alter table public.video_events enable row level security;
grant select on public.video_events to orchestrator;
create policy "orchestrators read all rows" on public.video_events for select to orchestrator using (true);
