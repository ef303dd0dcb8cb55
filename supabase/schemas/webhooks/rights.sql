alter table public.webhook_endpoints enable row level security;
grant select (id, tenant_id, url, events, key_id, enabled, disabled_reason, previous_secret_until, created_at,
  updated_at)
  on public.webhook_endpoints to orchestrator;
create policy "orchestrators read all rows" on public.webhook_endpoints for select to orchestrator using (true);

alter table public.webhook_deliveries enable row level security;
grant select on public.webhook_deliveries to orchestrator;
create policy "orchestrators read all rows" on public.webhook_deliveries for select to orchestrator using (true);
