-- Tenants and trust, the tables: quotas and retention of a tenant, consent, credentials of others, webhooks, pools, limits.
--
-- R1  What can be read back by nobody is stored encrypted with the id of its key, or hashed; never plain.
-- R2  Work that must survive a crash is a row with attempts and next_attempt_at, never a queue in memory.
-- R3  A session copies the rules of its tenant when it is made: a later change of the rules does not reach into it.
--
-- Written before the first release, when every table is empty: checks and references need no second step to be validated.
-- squawk-ignore-file constraint-missing-not-valid, adding-foreign-key-constraint

-- ── tenants: quotas, consent, retention ────────────────────────────────────────────────────────────────────────────
alter table public.tenants
  add column starts_per_minute integer check (starts_per_minute >= 1),
  add column max_standby integer not null default 0 check (max_standby >= 0),
  add column require_consent boolean not null default false,
  add column consent_text_version text check (char_length(consent_text_version) between 1 and 100),
  add column transcript_days integer check (transcript_days >= 1),
  add column video_days integer check (video_days >= 1),
  add column audit_days integer check (audit_days >= 30),
  add constraint required_consent_has_a_text check (not require_consent or consent_text_version is not null);
comment on column public.tenants.starts_per_minute is 'Quota: sessions that may be started in a minute, drawn in tenant_counters; null means no limit.';
comment on column public.tenants.max_standby is 'Quota: the sum of the ceilings of its pools, machines.';
comment on column public.tenants.require_consent is 'Whether an interview may start only after the candidate''s recorded consent. Copied by new sessions (R3).';
comment on column public.tenants.consent_text_version is 'The tenant''s name for the text its candidates consent to.';
comment on column public.tenants.transcript_days is 'Transcripts and results are erased this many days after a session''s end; null keeps them.';
comment on column public.tenants.video_days is 'Recordings are deleted this many days after a session''s end; null keeps them.';
comment on column public.tenants.audit_days is 'Audit entries are deleted after this many days, at least 30; null keeps them.';

alter table public.tenant_counters add column next_start_at timestamptz not null default '-infinity';
comment on column public.tenant_counters.next_start_at is 'GCRA of starts_per_minute: the theoretical arrival time of the next start.';

alter table public.api_keys add column replaced_by uuid references public.api_keys (id) on delete set null;
comment on column public.api_keys.replaced_by is 'The key that a rotation made in its place; this one ends at expires_at.';
create index api_keys_replaced_by on public.api_keys (replaced_by) where replaced_by is not null;

alter table public.session_invitations add column replaces uuid references public.session_invitations (id) on delete set null;
comment on column public.session_invitations.replaces is 'The invitation that was sent again as this one, and revoked.';
create index session_invitations_replaces on public.session_invitations (replaces) where replaces is not null;

-- ── sessions: schedule, placement, admission, consent, erasure ─────────────────────────────────────────────────────
alter table public.interview_sessions
  add column placement text not null default 'now' check (placement in ('now', 'on_join')),
  add column admission text not null default 'reject' check (admission in ('reject', 'queue')),
  add column scheduled_at timestamptz,
  add column consent_text_version text,
  add column transcript_erased_at timestamptz,
  add column video_erased_at timestamptz,
  add constraint scheduled_has_a_time check (status <> 'scheduled' or scheduled_at is not null),
  add constraint reason_is_known check (reason in (
    'ended_by_candidate', 'interviewer_finished', 'max_duration', 'ended_by_platform', 'operator_stopped', 'candidate_never_joined',
    'schedule_expired', 'candidate_left', 'worker_lost', 'boot_timeout', 'no_capacity', 'quota_exceeded', 'fly_refused',
    'provider_auth_failed', 'provider_rate_limited', 'provider_unavailable', 'call_not_established', 'transcript_incomplete',
    'internal_error'));
comment on column public.interview_sessions.placement is 'now: a machine is asked for at once. on_join: the candidate''s arrival decides the region.';
comment on column public.interview_sessions.admission is 'At the tenant''s limit: reject the session, or queue it as pending.';
comment on column public.interview_sessions.scheduled_at is 'When the interview is due; null means at once.';
comment on column public.interview_sessions.consent_text_version is 'The text the candidate must consent to before the interview starts; null when its tenant asked for none (R3).';
comment on column public.interview_sessions.transcript_erased_at is 'Transcript and results were erased, by request or by retention. Nothing may be stored again.';
comment on column public.interview_sessions.video_erased_at is 'The recordings were given to video_deletions. None may be stored again.';
create index interview_sessions_scheduled on public.interview_sessions (scheduled_at) where status = 'scheduled';
create index interview_sessions_transcript_kept on public.interview_sessions (tenant_id, completed_at)
  where state_rank >= 90 and transcript_erased_at is null;
create index interview_sessions_video_kept on public.interview_sessions (tenant_id, completed_at)
  where state_rank >= 90 and video_erased_at is null;

alter table public.machines add constraint machine_reason_is_known check (reason in (
  'session_ended', 'session_gone', 'worker_exited', 'worker_lost', 'boot_timeout', 'create_failed', 'superseded', 'handed_over',
  'host_lost', 'hard_deadline', 'orphan', 'image_replaced', 'pool_shrunk', 'operator_stopped'));

alter table public.tenant_candidates add column erased_at timestamptz;
comment on column public.tenant_candidates.erased_at is 'Everything personal was erased; the row remains only for its sessions'' accounting.';

-- ── consent ────────────────────────────────────────────────────────────────────────────────────────────────────────
create table public.consents (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  session_id uuid not null unique references public.interview_sessions (id) on delete cascade,
  candidate_id uuid not null references public.candidates (id),
  text_version text not null check (char_length(text_version) between 1 and 100),
  remote_address_hash text check (remote_address_hash ~ '^[0-9a-f]{64}$'),
  given_at timestamptz not null default clock_timestamp()
);
comment on table public.consents is 'What a candidate consented to, when, for which session. Erased with the candidate.';
comment on column public.consents.session_id is 'The one session it is for.';
comment on column public.consents.candidate_id is 'Who consented.';
comment on column public.consents.text_version is 'Version of the text that was shown.';
comment on column public.consents.remote_address_hash is 'Keyed hash of the address it came from: comparable as evidence, not readable.';
comment on column public.consents.given_at is 'When, on the database''s clock.';
create index consents_tenant on public.consents (tenant_id);
create index consents_candidate on public.consents (candidate_id);

-- ── credentials of others (R1) ─────────────────────────────────────────────────────────────────────────────────────
create table public.provider_credentials (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
  ciphertext text not null,
  key_id text not null check (char_length(key_id) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (tenant_id, provider)
);
comment on table public.provider_credentials is 'A tenant''s own credential at a provider. Read by no role; handed out by app functions to orchestrators alone.';
comment on column public.provider_credentials.provider is 'Which provider it is for, such as openai.';
comment on column public.provider_credentials.ciphertext is 'AES-256-GCM, bound to tenant and provider; the key is in the orchestrators'' environment.';
comment on column public.provider_credentials.key_id is 'Which key encrypted it: rotation looks for the others.';
comment on column public.provider_credentials.rotated_at is 'When it was last encrypted again under another key.';
create index provider_credentials_key on public.provider_credentials (key_id);

-- ── webhooks ───────────────────────────────────────────────────────────────────────────────────────────────────────
create table public.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  url text not null check (url ~ '^https?://' and char_length(url) <= 2000),
  events text[] not null default '{}',
  secret_ciphertext text not null,
  previous_secret_ciphertext text,
  previous_secret_until timestamptz,
  key_id text not null,
  enabled boolean not null default true,
  disabled_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.webhook_endpoints is 'Where a tenant wants to hear of its sessions.';
comment on column public.webhook_endpoints.url is 'Passes the SSRF guard each time it is called, not only when it is stored.';
comment on column public.webhook_endpoints.events is 'Event types it wants; empty means all.';
comment on column public.webhook_endpoints.secret_ciphertext is 'The signing secret (Standard Webhooks), AES-256-GCM; shown once (R1).';
comment on column public.webhook_endpoints.previous_secret_ciphertext is 'The secret before a rotation; deliveries are signed with both until previous_secret_until.';
comment on column public.webhook_endpoints.previous_secret_until is 'End of the overlap of a rotation.';
comment on column public.webhook_endpoints.key_id is 'Which key encrypted the secrets.';
comment on column public.webhook_endpoints.enabled is 'False: nothing is delivered; deliveries that are due wait.';
comment on column public.webhook_endpoints.disabled_reason is 'Why it was switched off: by the tenant, or after failing for too long.';
create index webhook_endpoints_tenant on public.webhook_endpoints (tenant_id);

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
  last_status integer,
  last_error text,
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  unique (endpoint_id, event_id)
);
comment on table public.webhook_deliveries is 'Outbox of webhooks (R2): one row per endpoint and event, retried until delivered or dead, replayable.';
comment on column public.webhook_deliveries.endpoint_id is 'Where it goes.';
comment on column public.webhook_deliveries.session_id is 'What it is about; null for a test message.';
comment on column public.webhook_deliveries.event_id is 'The event that caused it; with the endpoint, its identity.';
comment on column public.webhook_deliveries.type is 'Event type, such as session.ended.';
comment on column public.webhook_deliveries.payload is 'Body as it is signed and sent. Emptied when the candidate is erased.';
comment on column public.webhook_deliveries.status is 'pending, delivered, or dead after the last attempt.';
comment on column public.webhook_deliveries.attempts is 'Attempts so far.';
comment on column public.webhook_deliveries.next_attempt_at is 'When it is due; the taker moves it forward before it tries.';
comment on column public.webhook_deliveries.last_status is 'HTTP status of the last attempt; null when there was no answer.';
comment on column public.webhook_deliveries.last_error is 'What went wrong last, without bodies or secrets.';
comment on column public.webhook_deliveries.delivered_at is 'When a 2xx came.';
create index webhook_deliveries_due on public.webhook_deliveries (next_attempt_at) where status = 'pending';
create index webhook_deliveries_tenant on public.webhook_deliveries (tenant_id, created_at);
create index webhook_deliveries_session on public.webhook_deliveries (session_id) where session_id is not null;
create index webhook_deliveries_event on public.webhook_deliveries (event_id) where event_id is not null;

-- ── recordings to delete ───────────────────────────────────────────────────────────────────────────────────────────
create table public.video_deletions (
  video_id text primary key check (char_length(video_id) between 1 and 200),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  cause text not null check (cause in ('erasure', 'retention')),
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  last_error text,
  deleted_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.video_deletions is 'Recordings that must be deleted at api.video (R2). A row without deleted_at is a debt.';
comment on column public.video_deletions.video_id is 'api.video''s id of the recording.';
comment on column public.video_deletions.cause is 'erasure: a candidate asked for it. retention: its time was over.';
comment on column public.video_deletions.attempts is 'Attempts so far.';
comment on column public.video_deletions.next_attempt_at is 'When the next attempt is due.';
comment on column public.video_deletions.last_error is 'What went wrong last.';
comment on column public.video_deletions.deleted_at is 'api.video confirmed that it is gone.';
create index video_deletions_due on public.video_deletions (next_attempt_at) where deleted_at is null;
create index video_deletions_tenant on public.video_deletions (tenant_id);

-- ── pools and limits ───────────────────────────────────────────────────────────────────────────────────────────────
create table public.pool_policies (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  region text not null check (region ~ '^[a-z]{3}$'),
  floor integer not null default 0 check (floor >= 0),
  ceiling integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, region),
  constraint floor_below_ceiling check (floor <= ceiling)
);
comment on table public.pool_policies is 'How many standby machines a tenant keeps in a region. The target moves between floor and ceiling.';
comment on column public.pool_policies.region is 'Fly region code.';
comment on column public.pool_policies.floor is 'Standby machines kept without any demand.';
comment on column public.pool_policies.ceiling is 'The most standby machines, whatever the demand. The sum over regions is bounded by tenants.max_standby.';

-- Unlogged: after a crash every limit starts afresh, which harms nobody and saves the log.
create unlogged table public.rate_limits (
  scope text primary key check (char_length(scope) between 1 and 200),
  next_at timestamptz not null
);
comment on table public.rate_limits is 'GCRA of limits that all orchestrators share, one row per scope such as key:<id> or tenant:<id>.';
comment on column public.rate_limits.scope is 'What is limited.';
comment on column public.rate_limits.next_at is 'Theoretical arrival time of the next request.';

create trigger touch before update on public.provider_credentials for each row execute function app.touch();
create trigger touch before update on public.webhook_endpoints for each row execute function app.touch();
create trigger touch before update on public.pool_policies for each row execute function app.touch();

-- ── rules that hold whoever writes ─────────────────────────────────────────────────────────────────────────────────
create function app.copy_tenant_rules() returns trigger language plpgsql set search_path = '' as $$
begin
  select t.consent_text_version into new.consent_text_version from public.tenants t where t.id = new.tenant_id and t.require_consent;
  return new;
end $$;
comment on function app.copy_tenant_rules() is 'R3: a new session asks for the consent its tenant asks for now.';
create trigger copy_tenant_rules before insert on public.interview_sessions for each row execute function app.copy_tenant_rules();

create function app.guard_call() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.consent_text_version is not null
      and not exists (select from public.consents c where c.session_id = s.id and c.text_version = s.consent_text_version)) then
    raise exception 'no call before the candidate''s consent' using errcode = 'GR006';
  end if;
  return new;
end $$;
comment on function app.guard_call() is 'No realtime call is opened before a required consent, whichever way it was asked for.';
create trigger guard before insert on public.realtime_calls for each row execute function app.guard_call();

create function app.guard_erased_transcript() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from incoming i join public.interview_sessions s on s.id = i.session_id where s.transcript_erased_at is not null) then
    raise exception 'the transcript was erased' using errcode = 'PT410';
  end if;
  return null;
end $$;
comment on function app.guard_erased_transcript() is 'A late upload or a late evaluation does not bring back what was erased; raises PT410.';
create trigger guard_insert after insert on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_insert after insert on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();

create function app.guard_erased_video() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.video_erased_at is not null) then
    raise exception 'the recordings were erased' using errcode = 'PT410';
  end if;
  return new;
end $$;
comment on function app.guard_erased_video() is 'A recording reported late is not stored beside those that were erased; raises PT410.';
create trigger guard before insert or update on public.video_segments for each row execute function app.guard_erased_video();
