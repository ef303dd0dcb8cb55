-- Webhooks: an outbox. Deliveries are written in the transaction of their event, and any orchestrator sends them.
--
-- - A tenant receives the events that app.event_audience allows: all except those of machines.
-- - A delivery is taken until taken_until. If its taker dies, another orchestrator takes it after that time. A
--   report counts only for the attempt that was taken, so it cannot overwrite a replay.
-- - An endpoint receives the deliveries of one session in the order of its events. A later delivery waits while
--   an earlier one is new, under way, or failed once; after the second failure it no longer waits (holds). The
--   ids of a session's events follow their commits (app.emit).
-- - The number of deliveries under way is limited per endpoint and per tenant, across all orchestrators. An
--   endpoint that keeps failing gets one at a time. After a day without a success the tenant is told
--   (webhook.failing), after three days the endpoint is disabled (webhook.disabled).
-- - A payload contains ids and states. It contains no names and no text of the conversation.

create table public.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  url text not null check (url ~ '^https?://' and char_length(url) <= 2000),
  events text[] not null default '{}',
  payload text not null default 'full' check (payload in ('full', 'thin')),
  secret_ciphertext text not null,
  previous_secret_ciphertext text,
  previous_secret_until timestamptz,
  key_id text not null,
  enabled boolean not null default true,
  disabled_reason text,
  failures integer not null default 0 check (failures >= 0),
  failing_since timestamptz,
  warned_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.webhook_endpoints is 'URLs at which a tenant receives events of its sessions.';
comment on column public.webhook_endpoints.url is
  'The URL. It must pass the SSRF guard at each delivery, not only when it is stored.';
comment on column public.webhook_endpoints.events is 'Event types to deliver; empty: all.';
comment on column public.webhook_endpoints.payload is
  'full: the data of the event. thin: only its type, its time and the session''s id.';
comment on column public.webhook_endpoints.secret_ciphertext is
  'The signing secret (Standard Webhooks), AES-256-GCM; shown once.';
comment on column public.webhook_endpoints.previous_secret_ciphertext is
  'The secret before a rotation; deliveries are signed with both until previous_secret_until.';
comment on column public.webhook_endpoints.previous_secret_until is 'End of the overlap of a rotation.';
comment on column public.webhook_endpoints.key_id is 'The key with which the secrets are encrypted.';
comment on column public.webhook_endpoints.enabled is 'False: nothing is delivered, and due deliveries wait.';
comment on column public.webhook_endpoints.disabled_reason is
  'Why it was disabled: by the tenant, because it answered 410 Gone, or because nothing was delivered for days.';
comment on column public.webhook_endpoints.failures is
  'Failed attempts since the last success, counted up to 100. From the third on, only one delivery at a time is '
  'tried.';
comment on column public.webhook_endpoints.failing_since is
  'The first failed attempt since the last success, or since it was enabled; null if there is none.';
comment on column public.webhook_endpoints.warned_at is
  'When webhook.failing was emitted; null until then, and again after a success.';
create index webhook_endpoints_failing on public.webhook_endpoints (failing_since) where failing_since is not null;
create index webhook_endpoints_tenant on public.webhook_endpoints (tenant_id);
create trigger touch before update on public.webhook_endpoints for each row execute function app.touch();

create table public.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  endpoint_id uuid not null references public.webhook_endpoints (id) on delete cascade,
  session_id uuid references public.interview_sessions (id) on delete cascade,
  event_id bigint references public.session_events (id) on delete cascade,
  type text not null,
  payload jsonb not null check (jsonb_typeof(payload) = 'object'),
  status text not null default 'pending' check (status in ('pending', 'delivered', 'dead')),
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  taken_until timestamptz,
  holds boolean not null default false check (not holds or (session_id is not null and event_id is not null)),
  last_status integer,
  last_error text,
  log jsonb not null default '[]' check (jsonb_typeof(log) = 'array'),
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  unique (endpoint_id, event_id)
);
comment on table public.webhook_deliveries is
  'Outbox of webhooks: one row per endpoint and event, retried until delivered or dead. It can be replayed.';
comment on column public.webhook_deliveries.endpoint_id is 'The endpoint to which it is delivered.';
comment on column public.webhook_deliveries.session_id is
  'The session of the event; null for a test message and an event of the tenant.';
comment on column public.webhook_deliveries.event_id is
  'The event that caused it. Endpoint and event identify the delivery.';
comment on column public.webhook_deliveries.type is 'The event type.';
comment on column public.webhook_deliveries.payload is
  'The body as it is signed and sent. Deleted when the candidate is erased.';
comment on column public.webhook_deliveries.status is 'pending, delivered, or dead after the last attempt.';
comment on column public.webhook_deliveries.attempts is 'Number of attempts so far.';
comment on column public.webhook_deliveries.next_attempt_at is
  'When the next attempt is due. Whoever takes the delivery moves it forward first.';
comment on column public.webhook_deliveries.taken_until is 'An attempt is in progress until then; null if none is.';
comment on column public.webhook_deliveries.holds is
  'Whether later deliveries of its session to the same endpoint wait for it. False from its second failure on, in a '
  'replay and in a test message.';
comment on column public.webhook_deliveries.last_status is
  'HTTP status of the last attempt; null if there was no answer.';
comment on column public.webhook_deliveries.last_error is 'The last error, without bodies or secrets.';
comment on column public.webhook_deliveries.log is
  'The last 20 attempts, oldest first: {at, ms, status, error, answer}. ms: how long it took. answer: the first 500 '
  'characters of the answer''s body. Emptied when the candidate is erased.';
comment on column public.webhook_deliveries.delivered_at is 'When an answer with status 2xx was received.';
create index webhook_deliveries_in_order on public.webhook_deliveries (endpoint_id, session_id, event_id)
  where status = 'pending' and holds;
create index webhook_deliveries_loose on public.webhook_deliveries (endpoint_id, next_attempt_at)
  where status = 'pending' and not holds;
create index webhook_deliveries_under_way on public.webhook_deliveries (endpoint_id)
  where status = 'pending' and taken_until is not null;
create index webhook_deliveries_tenant on public.webhook_deliveries (tenant_id, created_at);
create index webhook_deliveries_session on public.webhook_deliveries (session_id) where session_id is not null;
create index webhook_deliveries_event on public.webhook_deliveries (event_id) where event_id is not null;
create index webhook_deliveries_endpoint on public.webhook_deliveries (endpoint_id, created_at desc, id desc);
