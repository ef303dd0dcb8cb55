-- Tenants: customer organisations, their Fly apps, their quotas and limits.
--
-- - Every row that belongs to a tenant carries tenant_id. Every table has row level security.
-- - Every function takes the tenant as an argument. A row of another tenant is answered as if it did not exist.
-- - An administrative act and its audit entry are one transaction. p_by = {actor, remote_address, request_id}.
-- - Every step of onboarding and removal may be repeated; it continues from what exists.
-- - Test mode is a tenant of its own that belongs to a live one (live_tenant_id), so that no query needs a condition to
--   keep live and test rows apart.
-- - A tenant's row is locked FOR NO KEY UPDATE. A stronger lock would block every insert that refers to it.

create table public.tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null check (char_length(name) between 1 and 200),
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
  status text not null default 'active' check (status in ('active', 'suspended', 'removing', 'removed')),
  settings jsonb not null default '{}'::jsonb check (jsonb_typeof(settings) = 'object'),
  max_live_sessions integer not null default 50 check (max_live_sessions >= 0),
  max_duration_ms integer not null default 10800000 check (max_duration_ms between 60000 and 10800000),
  allowed_regions text[] check (allowed_regions is null or cardinality(allowed_regions) > 0),
  allowed_origins text[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  starts_per_minute integer check (starts_per_minute >= 1),
  max_standby integer not null default 0 check (max_standby >= 0),
  require_consent boolean not null default false,
  consent_text_version text check (char_length(consent_text_version) between 1 and 100),
  transcript_days integer check (transcript_days >= 1),
  video_days integer check (video_days >= 1),
  audit_days integer check (audit_days >= 30),
  event_days integer default 90 check (event_days >= 30),
  usage_days integer default 800 check (usage_days >= 90),
  on_consent_withdrawn text not null default 'erase_interview' check (on_consent_withdrawn in ('erase_interview',
    'erase_candidate', 'review')),
  live_tenant_id uuid unique references public.tenants (id),
  test boolean not null generated always as (live_tenant_id is not null) stored,
  constraint required_consent_has_a_text check (not require_consent or consent_text_version is not null)
);
comment on table public.tenants is 'Customer organisations. Each has its own Fly apps, network, keys, quotas and rows.';
comment on column public.tenants.name is 'The tenant''s name for people.';
comment on column public.tenants.slug is 'Short name used in names of Fly apps and networks.';
comment on column public.tenants.status is 'active, suspended (nothing starts), removing, removed.';
comment on column public.tenants.settings is 'Tenant-wide defaults, such as the interviewer template. Never secrets.';
comment on column public.tenants.max_live_sessions is
  'Quota: sessions that have not ended, counted atomically in tenant_counters.';
comment on column public.tenants.max_duration_ms is
  'Quota: the longest interview that may be requested, milliseconds.';
comment on column public.tenants.allowed_regions is 'Regions in which its machines may run; null: any.';
comment on column public.tenants.allowed_origins is
  'Browser origins that may open a candidate''s socket; empty: any.';
comment on column public.tenants.starts_per_minute is
  'Quota: number of sessions that may be started per minute, counted in tenant_counters; null: no limit.';
comment on column public.tenants.max_standby is
  'Quota: the maximum sum of the ceilings of its pools, for standby and hot machines together.';
comment on column public.tenants.require_consent is
  'Whether an interview may start only after the candidate''s recorded consent. Copied to new sessions.';
comment on column public.tenants.consent_text_version is
  'The tenant''s name for the text to which its candidates consent.';
comment on column public.tenants.transcript_days is
  'Transcripts and results are erased this many days after a session''s end; null keeps them.';
comment on column public.tenants.video_days is
  'Recordings are deleted this many days after a session''s end; null keeps them.';
comment on column public.tenants.audit_days is
  'Audit entries are deleted after this many days, at least 30; null keeps them.';
comment on column public.tenants.event_days is
  'Events are deleted after this many days, at least 30; null keeps them.';
comment on column public.tenants.usage_days is
  'Usage and cost of machines are deleted after this many days, at least 90; null keeps them.';
comment on column public.tenants.on_consent_withdrawn is
  'What follows when a candidate withdraws consent: erase_interview, erase_candidate or review (an operator decides). '
  'Copied to new sessions.';
comment on column public.tenants.live_tenant_id is
  'Set for the test mode of a tenant: the live tenant to which it belongs. Never changes.';
comment on column public.tenants.test is 'True for the test mode of a tenant. Its keys begin with gr_test_.';
create trigger touch before update on public.tenants for each row execute function app.touch();

create table public.consent_texts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  version text not null check (char_length(version) between 1 and 100),
  text text not null check (char_length(text) between 1 and 20000),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, version)
);
comment on table public.consent_texts is
  'The texts to which a tenant''s candidates consent, at most 100 per tenant. A stored text never changes, because '
  'candidates must be shown the text to which they agreed.';
comment on column public.consent_texts.version is 'The tenant''s name for the text.';
comment on column public.consent_texts.text is 'The text that the candidate is shown.';

create table public.tenant_counters (
  tenant_id uuid primary key references public.tenants (id) on delete cascade,
  live_sessions integer not null default 0 check (live_sessions >= 0),
  next_start_at timestamptz not null default '-infinity',
  quota_reached_at timestamptz not null default '-infinity'
);
comment on table public.tenant_counters is
  'Frequently updated counters of a tenant. They are separate from its row, because every creation and every ending '
  'of a session locks them.';
comment on column public.tenant_counters.live_sessions is
  'Number of sessions that count as live: begun and not ended.';
comment on column public.tenant_counters.next_start_at is
  'GCRA of starts_per_minute: the theoretical arrival time of the next start.';
comment on column public.tenant_counters.quota_reached_at is
  'When quota.reached was last emitted. It is emitted at most once an hour.';

create table public.tenant_apps (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'),
  tenant_id uuid not null references public.tenants (id),
  network text not null,
  status text not null default 'planned' check (status in ('planned', 'ready', 'removing', 'removed')),
  creates_per_second numeric not null default 1 check (creates_per_second > 0),
  create_burst integer not null default 3 check (create_burst >= 1),
  next_create_at timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  next_list_at timestamptz not null default '-infinity'
);
comment on table public.tenant_apps is
  'Fly apps of a tenant. Several apps multiply its create rate, because Fly limits it per app.';
comment on column public.tenant_apps.name is 'Name of the app at Fly.';
comment on column public.tenant_apps.network is
  'Name of the private network on which the app was created. It cannot be changed at Fly.';
comment on column public.tenant_apps.status is 'planned (being created), ready, removing, removed.';
comment on column public.tenant_apps.creates_per_second is 'Fly''s documented limit: 1 create per second and app.';
comment on column public.tenant_apps.create_burst is 'Fly''s documented short-term burst: 3.';
comment on column public.tenant_apps.next_create_at is
  'GCRA: the theoretical arrival time of the next create; every orchestrator draws from this row.';
comment on column public.tenant_apps.next_list_at is
  'GCRA of list requests, which Fly limits per app too: every orchestrator draws from this row.';
create index tenant_apps_tenant on public.tenant_apps (tenant_id);
create trigger touch before update on public.tenant_apps for each row execute function app.touch();

-- Unlogged, to save writes to the log. After a crash of the database every limit starts again, which does no harm.
create unlogged table public.rate_limits (
  scope text primary key check (char_length(scope) between 1 and 200),
  next_at timestamptz not null
);
comment on table public.rate_limits is
  'GCRA of limits that all orchestrators share, one row per scope such as key:<id> or tenant:<id>.';
comment on column public.rate_limits.scope is 'What the limit applies to.';
comment on column public.rate_limits.next_at is 'Theoretical arrival time of the next request.';
