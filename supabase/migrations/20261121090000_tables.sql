-- Tables of the product. The seeds' tables keep their names and columns; ours stand beside them.
--
-- T1  Tenants are apart by row: every row that belongs to a tenant carries `tenant_id`, and RLS is on for every table.
-- T2  What a tenant sees of a candidate lives on `tenant_candidates`; an e-mail is unique within a tenant, not across.
-- T3  `interview_sessions.status` is written by `app.move_session` alone, and `state_rank` may only grow.
-- T4  `machines.session_id` is written once: a machine serves at most one session, ever.
-- T5  Text columns with closed lists have a CHECK; the lists in `shared/src/session` are compared with them by a test.

create schema app;
comment on schema app is 'Helpers of the product that the API does not expose.';

-- ── tenants ────────────────────────────────────────────────────────────────────────────────────────────────────────
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
  updated_at timestamptz not null default now()
);
comment on table public.tenants is 'Customer organisations. Each has its own Fly apps, network, keys, quotas and rows.';
comment on column public.tenants.slug is 'Short name used in names of Fly apps and networks.';
comment on column public.tenants.settings is 'Tenant-wide defaults, such as the interviewer template. Never secrets.';
comment on column public.tenants.max_live_sessions is 'Quota: sessions that have not ended, counted atomically in tenant_counters.';
comment on column public.tenants.max_duration_ms is 'Quota: the longest interview a session of this tenant may ask for, milliseconds.';
comment on column public.tenants.allowed_regions is 'Regions its machines may run in; null means any.';
comment on column public.tenants.allowed_origins is 'Browser origins that may open a candidate''s socket; empty means any.';

create table public.tenant_counters (
  tenant_id uuid primary key references public.tenants (id) on delete cascade,
  live_sessions integer not null default 0 check (live_sessions >= 0)
);
comment on table public.tenant_counters is 'Hot counters of a tenant, apart from its row: locked by every creation and ending of a session.';
comment on column public.tenant_counters.live_sessions is 'Sessions that have not ended.';

create table public.tenant_users (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member' check (role in ('admin', 'member', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
comment on table public.tenant_users is 'Who belongs to a tenant, and as what: admin, member or viewer.';
create index tenant_users_user on public.tenant_users (user_id);

create table public.tenant_apps (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'),
  tenant_id uuid not null references public.tenants (id),
  network text not null,
  status text not null default 'planned' check (status in ('planned', 'ready', 'removing', 'removed')),
  creates_per_second numeric not null default 1 check (creates_per_second > 0),
  create_burst integer not null default 3 check (create_burst >= 1),
  next_create_at timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.tenant_apps is 'Fly apps of a tenant. Several multiply its create rate, which Fly limits per app.';
comment on column public.tenant_apps.network is 'Name of the private network the app was created on; immutable at Fly.';
comment on column public.tenant_apps.creates_per_second is 'Fly''s documented limit: 1 create per second and app.';
comment on column public.tenant_apps.create_burst is 'Fly''s documented short-term burst: 3.';
comment on column public.tenant_apps.next_create_at is 'GCRA: the theoretical arrival time of the next create; every orchestrator draws from this row.';
create index tenant_apps_tenant on public.tenant_apps (tenant_id) where status = 'ready';

create table public.api_keys (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 200),
  prefix text not null,
  key_hash text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
  scopes text[] not null default '{sessions:read,sessions:write}',
  created_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
comment on table public.api_keys is 'A tenant''s keys for the platform API. The key itself is shown once and never stored.';
comment on column public.api_keys.prefix is 'The key''s first characters, to recognise it by.';
comment on column public.api_keys.key_hash is 'SHA-256 of the key, hex. The key has 256 bits of entropy, so no slow hash is needed.';
create index api_keys_tenant on public.api_keys (tenant_id);

-- ── people and positions ───────────────────────────────────────────────────────────────────────────────────────────
create table public.candidates (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now()
);
comment on table public.candidates is 'A person who is interviewed. Everything a tenant knows of them is on tenant_candidates (T2).';

create table public.tenant_candidates (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  candidate_id uuid not null references public.candidates (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 200),
  email text check (char_length(email) <= 254),
  external_id text check (char_length(external_id) <= 200),
  status text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, candidate_id)
);
comment on table public.tenant_candidates is 'What one tenant knows of a candidate. Two tenants that know the same person see nothing of each other''s.';
comment on column public.tenant_candidates.external_id is 'The tenant''s own id of the candidate.';
create unique index tenant_candidates_email on public.tenant_candidates (tenant_id, lower(email)) where email is not null;
create unique index tenant_candidates_external on public.tenant_candidates (tenant_id, external_id) where external_id is not null;
create index tenant_candidates_candidate on public.tenant_candidates (candidate_id);

create table public.positions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  title text not null check (char_length(title) between 1 and 200),
  description text check (char_length(description) <= 10000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (tenant_id, id)
);
comment on table public.positions is 'Openings a tenant interviews for.';

-- ── sessions and machines ──────────────────────────────────────────────────────────────────────────────────────────
-- A body that is parsed when it is defined needs no search_path, and is inlined: checks call this a dozen times a session.
create function app.rank_of(p_status text) returns smallint
language sql immutable parallel safe
  return case p_status
    when 'scheduled' then 10 when 'pending' then 20 when 'provisioning' then 30 when 'ready' then 40
    when 'connecting' then 50 when 'in_progress' then 60 when 'finalizing' then 70
    when 'completed' then 90 when 'disconnected' then 90 when 'failed' then 90 when 'expired' then 90 when 'cancelled' then 90
  end::smallint;
comment on function app.rank_of(text) is 'Rank of a session status; null for a word that is none. Same as sessionRanks in shared/src/session/states.ts.';

create table public.interview_sessions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  candidate_id uuid not null references public.candidates (id),
  position_id uuid not null,
  user_id uuid references auth.users (id) on delete set null,
  api_key_id uuid references public.api_keys (id) on delete set null,
  status text not null default 'pending' check (app.rank_of(status) is not null),
  state_rank smallint not null generated always as (app.rank_of(status)) stored,
  outcome text check (outcome in ('completed', 'disconnected', 'failed', 'expired', 'cancelled')),
  reason text,
  presence text not null default 'absent' check (presence in ('absent', 'present', 'lost')),
  settings jsonb not null default '{}'::jsonb check (jsonb_typeof(settings) = 'object'),
  metadata jsonb not null default '{}'::jsonb check (jsonb_typeof(metadata) = 'object'),
  regions text[] not null default '{}',
  region text,
  region_reason text,
  epoch integer not null default 0 check (epoch >= 0),
  machine_id uuid,
  fly_machine_id text,
  simulated boolean not null default false,
  max_duration_ms integer not null default 3000000 check (max_duration_ms between 1000 and 10800000),
  end_requested_at timestamptz,
  transcript_revision integer not null default 0,
  transcript_complete boolean not null default false,
  video_recording_id text,
  video_recording_url text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ready_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  foreign key (tenant_id, candidate_id) references public.tenant_candidates (tenant_id, candidate_id),
  foreign key (tenant_id, position_id) references public.positions (tenant_id, id),
  constraint ending_is_whole check ((outcome is null) = (reason is null)),
  constraint ended_says_why check (app.rank_of(status) < 70 or outcome is not null),
  constraint outcome_is_status check (app.rank_of(status) < 90 or status = outcome)
);
comment on table public.interview_sessions is 'One interview each (T3).';
comment on column public.interview_sessions.status is 'Written by app.move_session alone. An ended session''s status is its outcome.';
comment on column public.interview_sessions.state_rank is 'Rank of the status; may only grow.';
comment on column public.interview_sessions.reason is 'Why it ended, decided together with the outcome on entering finalizing.';
comment on column public.interview_sessions.presence is 'Whether the candidate''s socket is there: absent, present or lost.';
comment on column public.interview_sessions.regions is 'Regions in order of preference; empty means any.';
comment on column public.interview_sessions.region_reason is 'Why the region it runs in was chosen: requested, edge, default or capacity.';
comment on column public.interview_sessions.epoch is 'Fencing number of the assignment: 0 before the first claim, then 1, 2, …';
comment on column public.interview_sessions.machine_id is 'The machine that holds the assignment, set by its claim.';
comment on column public.interview_sessions.simulated is 'The local voice provider spoke instead of a real one.';
comment on column public.interview_sessions.end_requested_at is 'The platform or an operator asked for the end; outcome and reason say which. The worker''s directive.';
comment on column public.interview_sessions.transcript_revision is 'Grows when entries arrive after the end.';
create index interview_sessions_tenant on public.interview_sessions (tenant_id, created_at desc, id);
create index interview_sessions_live on public.interview_sessions (expires_at) where state_rank < 90;
create index interview_sessions_candidate on public.interview_sessions (candidate_id);
create index interview_sessions_position on public.interview_sessions (tenant_id, position_id);
create index interview_sessions_user on public.interview_sessions (user_id) where user_id is not null;
create index interview_sessions_api_key on public.interview_sessions (api_key_id) where api_key_id is not null;

create table public.machines (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  session_id uuid references public.interview_sessions (id),
  app_name text not null references public.tenant_apps (name),
  name text not null unique generated always as ('gr-' || id::text) stored,
  fly_machine_id text,
  region text not null,
  image text not null,
  state text not null default 'reserved' check (state in ('reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed')),
  state_rank smallint not null generated always as (case state when 'reserved' then 10 when 'created' then 20 when 'started' then 30
    when 'claimed' then 40 when 'draining' then 50 when 'destroying' then 60 else 70 end::smallint) stored,
  reason text,
  epoch integer,
  boot_nonce text,
  attempt integer not null default 1 check (attempt >= 1),
  not_before timestamptz not null default now(),
  taken_by uuid,
  taken_until timestamptz,
  fly_request_id text,
  reserved_at timestamptz not null default now(),
  created_at timestamptz,
  started_at timestamptz,
  claimed_at timestamptz,
  draining_at timestamptz,
  destroying_at timestamptz,
  destroyed_at timestamptz,
  last_heartbeat_at timestamptz,
  lease_expires_at timestamptz,
  hard_deadline_at timestamptz,
  first_absent_at timestamptz,
  rss_bytes bigint,
  unsaved_entries integer,
  constraint ended_machine_says_why check (state not in ('draining', 'destroying', 'destroyed') or reason is not null)
);
comment on table public.machines is 'One life of one VM each; also the intent to create it. Named gr-<id> on Fly.';
comment on column public.machines.session_id is 'Written once (T4). Null while standby.';
comment on column public.machines.fly_machine_id is 'Written by the create''s answer, or by the first claim when that answer was lost.';
comment on column public.machines.state is 'reserved, created, started, claimed, draining, destroying, destroyed; only forward.';
comment on column public.machines.epoch is 'The epoch its claim took.';
comment on column public.machines.boot_nonce is 'Made by the worker at boot: the same nonce may repeat its claim, another may not.';
comment on column public.machines.attempt is 'Which try of its session this is: 1, 2, …';
comment on column public.machines.not_before is 'The time slot of its create, drawn from the app''s rate row.';
comment on column public.machines.taken_by is 'The orchestrator that is executing the intent, until taken_until; then another may.';
comment on column public.machines.hard_deadline_at is 'After this the reaper destroys it, whatever it is doing.';
comment on column public.machines.first_absent_at is 'When a GET first said it is gone; a second one a grace later makes it evidence.';
create index machines_session on public.machines (session_id, attempt);
create index machines_intents on public.machines (not_before) where state = 'reserved';
create index machines_alive on public.machines (app_name) where state <> 'destroyed';
create index machines_fly on public.machines (fly_machine_id) where fly_machine_id is not null;
create index machines_tenant on public.machines (tenant_id);
alter table public.interview_sessions add foreign key (machine_id) references public.machines (id);
create index interview_sessions_machine on public.interview_sessions (machine_id) where machine_id is not null;

create table public.realtime_calls (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  ordinal integer not null check (ordinal >= 1),
  epoch integer not null,
  provider text not null,
  call_id text,
  credential_ciphertext text,
  credential_expires_at timestamptz,
  opened_at timestamptz not null default now(),
  answered_at timestamptz,
  hung_up_at timestamptz,
  hang_up_attempts integer not null default 0,
  next_hang_up_at timestamptz,
  unique (session_id, ordinal)
);
comment on table public.realtime_calls is 'WebRTC calls between browser and voice provider. A row without hung_up_at is somebody''s debt.';
comment on column public.realtime_calls.call_id is 'The provider''s id of the call; null while no offer was answered.';
comment on column public.realtime_calls.credential_ciphertext is 'The ephemeral credential that created the call, AES-256-GCM; only it can hang up. Cleared then.';
create index realtime_calls_open on public.realtime_calls (session_id) where hung_up_at is null;
create index realtime_calls_tenant on public.realtime_calls (tenant_id);

create table public.session_events (
  id bigint generated always as identity primary key,
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  type text not null,
  data jsonb not null default '{}'::jsonb,
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.session_events is 'What happened to a session, in commit order per session. Append-only.';
create index session_events_session on public.session_events (session_id, id);
create index session_events_tenant on public.session_events (tenant_id, id);

create table public.idempotency_keys (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  key text not null check (char_length(key) between 1 and 255),
  body_hash text not null,
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  created_at timestamptz not null default now(),
  primary key (tenant_id, key)
);
comment on table public.idempotency_keys is 'Idempotency-Key of POST /api/sessions: the session it made and a hash of the body. Tokens are minted again, never stored.';
create index idempotency_keys_session on public.idempotency_keys (session_id);

create table public.session_invitations (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  code_hash text not null unique check (code_hash ~ '^[0-9a-f]{64}$'),
  browser_hash text check (browser_hash ~ '^[0-9a-f]{64}$'),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz
);
comment on table public.session_invitations is 'One-time codes that a candidate''s browser exchanges for a join token. Only the hash of a code is stored.';
comment on column public.session_invitations.browser_hash is 'Hash of the browser''s own secret that used the code first: it may use it again, another may not.';
create index session_invitations_session on public.session_invitations (session_id);
create index session_invitations_tenant on public.session_invitations (tenant_id);

-- ── the conversation ───────────────────────────────────────────────────────────────────────────────────────────────
create table public.transcript_entries (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  call_ordinal integer not null check (call_ordinal >= 1),
  item_id text not null check (char_length(item_id) between 1 and 128),
  previous_item_id text check (char_length(previous_item_id) <= 128),
  speaker text not null check (speaker in ('ai', 'candidate')),
  text text not null check (char_length(text) <= 20000),
  confidence numeric check (confidence between 0 and 1),
  start_ms bigint check (start_ms >= 0),
  end_ms bigint check (end_ms >= 0),
  interrupted boolean not null default false,
  verified boolean not null,
  arrival bigint generated always as identity,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (session_id, call_ordinal, item_id)
);
comment on table public.transcript_entries is 'What was said. Identity: (session, call ordinal, provider item id). sequence_number is derived on reading.';
comment on column public.transcript_entries.verified is 'False when the entry is known only from the candidate''s browser.';
comment on column public.transcript_entries.interrupted is 'The candidate spoke over it and did not hear it to its end.';
comment on column public.transcript_entries.arrival is 'Order of arrival: decides only where the conversation''s own links do not.';
create index transcript_entries_tenant on public.transcript_entries (tenant_id);

create table public.interview_results (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null unique references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  status text not null default 'pending' check (status in ('pending', 'running', 'done', 'empty', 'dead')),
  summary text,
  evaluation jsonb,
  integrity_flags jsonb not null default '[]'::jsonb,
  human_reviewed boolean not null default false,
  transcript_revision integer not null default 0,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.interview_results is 'Summary and evaluation of a session, made by durable retried work after its end.';
create index interview_results_due on public.interview_results (next_attempt_at) where status in ('pending', 'running');
create index interview_results_tenant on public.interview_results (tenant_id);

create table public.video_segments (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  video_id text not null,
  url text,
  start_ms bigint,
  end_ms bigint,
  created_at timestamptz not null default now(),
  unique (session_id, video_id)
);
comment on table public.video_segments is 'Recordings of a session at api.video.';
create index video_segments_tenant on public.video_segments (tenant_id);

-- ── control plane ──────────────────────────────────────────────────────────────────────────────────────────────────
create table public.machine_usage (
  machine_id uuid primary key references public.machines (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  session_id uuid references public.interview_sessions (id) on delete set null,
  region text not null,
  size text not null,
  started_seconds numeric not null check (started_seconds >= 0),
  standby_seconds numeric not null default 0 check (standby_seconds >= 0),
  cost_usd numeric not null check (cost_usd >= 0),
  recorded_at timestamptz not null default now()
);
comment on table public.machine_usage is 'What a machine used and cost, written once when it is gone.';
create index machine_usage_tenant on public.machine_usage (tenant_id, recorded_at);
create index machine_usage_session on public.machine_usage (session_id);

create table public.orchestrators (
  id uuid primary key,
  url text not null,
  version text not null,
  started_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  draining boolean not null default false
);
comment on table public.orchestrators is 'Running orchestrators. Leases are judged on the database''s clock alone.';

create table public.audit_log (
  id bigint generated always as identity primary key,
  tenant_id uuid references public.tenants (id) on delete cascade,
  actor text not null,
  action text not null,
  target text,
  outcome text not null check (outcome in ('done', 'refused')),
  remote_address text,
  request_id text,
  details jsonb not null default '{}'::jsonb,
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.audit_log is 'Administrative acts and refused credentials: who, what, on what, from where, when, request id. Append-only.';
create index audit_log_tenant on public.audit_log (tenant_id, id);
