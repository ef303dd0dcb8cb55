-- Sessions: one interview each, from its creation to its ending.
--
-- - Only app.move_session writes interview_sessions.status; app.store_creations writes the first value.
--   state_rank never decreases. A move that changes nothing is an ordinary result and not an error.
-- - Lock order: sessions by id, then their machines, then tenant_counters. A creation locks the counter first;
--   after that it locks only rows that no other transaction can know yet.
-- - A change of epoch locks the session FOR UPDATE. A transcript write locks it FOR SHARE and checks the epoch,
--   so no write of an old epoch can follow.
-- - All times come from the database's clock. Callers pass durations, never timestamps.
-- - An event is appended in the transaction that makes it true, in commit order per session.
-- - `counted` says whether a session counts as one of its tenant's live sessions. Scheduled and queued sessions
--   do not; they take a place when they begin, under the lock of the counter.
-- - What a candidate's browser may do is decided by its invitation or transcript token alone.
-- - A session copies its tenant's consent text version at creation, and what follows when the consent is withdrawn.
--   Later changes of the tenant do not affect it.

create table public.interview_sessions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  candidate_id uuid not null references public.candidates (id),
  candidate jsonb not null check (candidate ? 'name'),
  position_id uuid not null,
  user_id uuid references auth.users (id) on delete set null,
  api_key_id uuid references public.api_keys (id) on delete set null,
  status text not null default 'pending' check (app.rank_of(status) is not null and status <> 'ended'),
  state_rank smallint not null generated always as (app.rank_of(status)) stored,
  outcome text check (app.rank_of(outcome) is not distinct from app.rank_of('ended') and outcome <> 'ended'
    or outcome is null),
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
  test boolean not null default false,
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
  placement text not null default 'now' check (placement in ('now', 'on_join')),
  admission text not null default 'reject' check (admission in ('reject', 'queue')),
  scheduled_at timestamptz,
  consent_text_version text,
  transcript_erased_at timestamptz,
  video_erased_at timestamptz,
  integrity jsonb not null default '{}'::jsonb check (jsonb_typeof(integrity) = 'object'),
  counted boolean not null default true,
  queued_at timestamptz,
  queue_deadline_at timestamptz,
  on_consent_withdrawn text not null default 'erase_interview' check (on_consent_withdrawn in ('erase_interview',
    'erase_candidate', 'review')),
  consent_withdrawn_at timestamptz,
  withdrawal_settled_at timestamptz check (withdrawal_settled_at is null or consent_withdrawn_at is not null),
  traceparent text check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$'),
  creation_traceparent text check (creation_traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$'),
  foreign key (tenant_id, candidate_id) references public.tenant_candidates (tenant_id, candidate_id),
  foreign key (tenant_id, position_id) references public.positions (tenant_id, id),
  constraint ending_is_whole check ((outcome is null) = (reason is null)),
  constraint ended_says_why check (app.rank_of(status) < app.rank_of('finalizing') or outcome is not null),
  constraint outcome_is_status check (app.rank_of(status) < app.rank_of('ended') or status = outcome),
  constraint scheduled_has_a_time check (status <> 'scheduled' or scheduled_at is not null),
  constraint queued_is_pending check (queue_deadline_at is null or (not counted and queued_at is not null)),
  constraint reason_is_known check (reason in (
    'ended_by_candidate', 'interviewer_finished', 'max_duration', 'ended_by_platform', 'operator_stopped',
    'consent_declined', 'consent_withdrawn',
    'candidate_never_joined', 'candidate_silent', 'schedule_expired', 'admission_timeout', 'candidate_left',
    'worker_lost', 'boot_timeout', 'no_capacity', 'quota_exceeded', 'fly_refused', 'provider_auth_failed',
    'provider_rate_limited', 'provider_unavailable', 'call_not_established', 'transcript_incomplete', 'internal_error'))
);
comment on table public.interview_sessions is 'One row per interview.';
comment on column public.interview_sessions.candidate_id is 'The candidate who is interviewed.';
comment on column public.interview_sessions.candidate is
  'The candidate as described when the session was created: {name, email, external_id}. Later changes of the '
  'candidate do not affect it; an erasure does.';
comment on column public.interview_sessions.position_id is 'The position for which the candidate is interviewed.';
comment on column public.interview_sessions.user_id is 'The user who created the session; null if an API key did.';
comment on column public.interview_sessions.api_key_id is
  'The API key with which the session was created; null if a user did.';
comment on column public.interview_sessions.status is
  'Changed only by app.move_session. The status of an ended session is its outcome.';
comment on column public.interview_sessions.state_rank is 'The rank of the status. It never decreases.';
comment on column public.interview_sessions.outcome is
  'How the session ended: completed, disconnected, failed, expired or cancelled. Decided once.';
comment on column public.interview_sessions.reason is
  'Why the session ended. Decided together with the outcome on entering finalizing.';
comment on column public.interview_sessions.presence is 'State of the candidate''s socket: absent, present or lost.';
comment on column public.interview_sessions.settings is 'How the interview is conducted: language, voice, questions.';
comment on column public.interview_sessions.metadata is 'The platform''s own data, returned unchanged.';
comment on column public.interview_sessions.regions is 'Regions in the order in which they are tried; empty: any.';
comment on column public.interview_sessions.region is 'The region in which the session runs or will run.';
comment on column public.interview_sessions.region_reason is
  'Why this region was chosen: requested, coordinates, country, edge, default, health, standby or capacity.';
comment on column public.interview_sessions.epoch is
  'Fencing number of the assignment: 0 before the first claim, then 1, 2, …';
comment on column public.interview_sessions.machine_id is 'The machine that holds the assignment.';
comment on column public.interview_sessions.fly_machine_id is 'Fly''s id of the machine that serves the session.';
comment on column public.interview_sessions.simulated is
  'True if the interviewer is not a real voice provider''s: local development, or a test session.';
comment on column public.interview_sessions.test is
  'True for a session of a tenant''s test mode: interviewer and candidate are synthetic, everything else is real.';
comment on column public.interview_sessions.max_duration_ms is
  'Maximum duration of the interview, milliseconds: with extra time, and with the time that a lost worker took.';
comment on column public.interview_sessions.end_requested_at is
  'When the platform or an operator requested the end. outcome and reason say how; the worker learns it from its '
  'directive.';
comment on column public.interview_sessions.transcript_revision is
  'Number that grows when entries arrive after the end.';
comment on column public.interview_sessions.transcript_complete is
  'True if the worker reported at its end that every entry was stored.';
comment on column public.interview_sessions.video_recording_id is 'api.video''s id of the whole recording.';
comment on column public.interview_sessions.video_recording_url is 'URL at which the recording can be watched.';
comment on column public.interview_sessions.expires_at is
  'If the interview has not begun by this time, the session ends as expired.';
comment on column public.interview_sessions.ready_at is 'When its worker had claimed it and was listening.';
comment on column public.interview_sessions.started_at is 'When the first SDP offer was answered.';
comment on column public.interview_sessions.traceparent is
  'The W3C trace context in which the session runs: of the request that created it, or a new one if it began later. '
  'All its machines have the same.';
comment on column public.interview_sessions.creation_traceparent is
  'The trace context of the request that created the session, if the session began later, in a trace of its own.';
comment on column public.interview_sessions.completed_at is 'When the session ended, with any outcome.';
comment on column public.interview_sessions.placement is
  'now: a machine is requested at once. on_join: when the candidate arrives, who also decides the region.';
comment on column public.interview_sessions.admission is
  'What to do at the tenant''s limit: reject the session, or queue it as pending.';
comment on column public.interview_sessions.scheduled_at is 'When the interview is scheduled; null: at once.';
comment on column public.interview_sessions.consent_text_version is
  'The text to which the candidate must consent before the interview starts; null if the tenant requires none. '
  'Copied from the tenant at creation.';
comment on column public.interview_sessions.transcript_erased_at is
  'When transcript and result were erased, by request or by retention. Nothing may be stored again.';
comment on column public.interview_sessions.video_erased_at is
  'When the recordings were moved to video_deletions. None may be stored again.';
comment on column public.interview_sessions.integrity is
  'Events in the call that no part of Greenroom caused: kind → count. Written only by flag_integrity.';
comment on column public.interview_sessions.counted is
  'True if it counts as one of its tenant''s live sessions. Scheduled and queued sessions do not.';
comment on column public.interview_sessions.queued_at is
  'When it joined its tenant''s queue, which determines its place there.';
comment on column public.interview_sessions.queue_deadline_at is
  'Set while the session is queued. If it is not admitted by then, it ends with admission_timeout.';
comment on column public.interview_sessions.on_consent_withdrawn is
  'What follows when the candidate withdraws consent, copied from the tenant at creation. An operator''s decision '
  'replaces review.';
comment on column public.interview_sessions.consent_withdrawn_at is
  'When the candidate withdrew consent. Nothing may be evaluated, uploaded or recorded from this time on. Remains '
  'after an erasure.';
comment on column public.interview_sessions.withdrawal_settled_at is
  'When what follows from the withdrawal was done: the erasure, or an operator''s decision to keep the interview.';
create index interview_sessions_tenant on public.interview_sessions (tenant_id, created_at desc, id desc);
create index interview_sessions_status on public.interview_sessions (tenant_id, status, created_at desc, id desc);
create index interview_sessions_region on public.interview_sessions (tenant_id, region, created_at desc, id desc);
create index interview_sessions_start on public.interview_sessions (tenant_id, scheduled_at desc, id desc)
  where scheduled_at is not null;
create index interview_sessions_metadata on public.interview_sessions using gin (metadata jsonb_path_ops);
create index interview_sessions_newest on public.interview_sessions (created_at desc, id desc);
create index interview_sessions_newest_live on public.interview_sessions (created_at desc, id desc)
  where state_rank < app.rank_of('ended');
create index interview_sessions_newest_region on public.interview_sessions (region, created_at desc, id desc)
  where region is not null;
create index interview_sessions_unfinished on public.interview_sessions (status, created_at desc, id desc)
  where status in ('failed', 'disconnected', 'expired', 'cancelled');
create index interview_sessions_ended_badly on public.interview_sessions (completed_at)
  where status in ('failed', 'disconnected', 'expired', 'cancelled');
create index interview_sessions_reason on public.interview_sessions (reason, created_at desc, id desc)
  where reason is not null;
create index interview_sessions_live on public.interview_sessions (expires_at) where state_rank < app.rank_of('ended');
create index interview_sessions_candidate on public.interview_sessions (candidate_id);
create index interview_sessions_position on public.interview_sessions (tenant_id, position_id);
create index interview_sessions_user on public.interview_sessions (user_id) where user_id is not null;
create index interview_sessions_api_key on public.interview_sessions (api_key_id) where api_key_id is not null;
create index interview_sessions_machine on public.interview_sessions (machine_id) where machine_id is not null;
create index interview_sessions_scheduled on public.interview_sessions (scheduled_at) where status = 'scheduled';
create index interview_sessions_transcript_kept on public.interview_sessions (tenant_id, completed_at)
  where state_rank >= app.rank_of('ended') and transcript_erased_at is null;
create index interview_sessions_video_kept on public.interview_sessions (tenant_id, completed_at)
  where state_rank >= app.rank_of('ended') and video_erased_at is null;
create index interview_sessions_withdrawn on public.interview_sessions (consent_withdrawn_at, id)
  where consent_withdrawn_at is not null and withdrawal_settled_at is null;
create index interview_sessions_of_candidate on public.interview_sessions (tenant_id, candidate_id);
create index interview_sessions_queue on public.interview_sessions (tenant_id, queued_at)
  where queue_deadline_at is not null;
create trigger touch before update on public.interview_sessions for each row execute function app.touch();

create function app.event_audience(p_type text) returns text
language sql immutable set search_path = '' as $$
  select case when p_type like 'machine.%' then 'internal' else 'tenant' end
$$;
comment on function app.event_audience(text) is
  'Returns who receives events of this type: tenant (streams, webhooks, members) or internal (operators).';
grant execute on function app.event_audience(text) to authenticated;

create table public.session_events (
  id bigint generated always as identity primary key,
  session_id uuid references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  type text not null,
  data jsonb not null default '{}'::jsonb,
  created_at timestamptz not null default clock_timestamp(),
  -- There is one type per session status and machine state, and these. The outcomes are statuses, so there is no type
  -- session.ended.
  constraint event_type_is_known check (
    app.rank_of(substring(type from '^session\.(.+)$')) is not null and type <> 'session.ended'
    or app.life_rank_of(substring(type from '^machine\.(.+)$')) is not null
    or type in ('candidate.absent', 'candidate.present', 'candidate.lost', 'candidate.consented',
      'consent.declined', 'consent.withdrawn', 'session.queued', 'session.admitted', 'session.rescheduled',
      'session.end_requested', 'session.failed_over', 'transcript.revised', 'integrity.flagged', 'result.done',
      'result.empty', 'result.dead', 'result.rerun', 'result.reviewed', 'video.open', 'video.done', 'video.dead',
      'machine.assigned', 'webhook.failing', 'webhook.disabled', 'quota.reached')),
  constraint event_has_a_session check ((session_id is null) = (type in ('webhook.failing', 'webhook.disabled',
    'quota.reached')))
);
comment on table public.session_events is
  'Events of sessions, in commit order per session, and a few of the tenant itself. Append-only.';
comment on column public.session_events.session_id is 'The session of the event; null for an event of the tenant.';
comment on column public.session_events.type is 'The event type, such as session.ready or machine.created.';
comment on column public.session_events.data is
  'Details of the event: ids and words of closed lists, never personal data.';
create index session_events_session on public.session_events (session_id, id);
create index session_events_tenant on public.session_events (tenant_id, id);

create table public.idempotency_keys (
  scope text not null check (char_length(scope) between 1 and 64),
  key text not null check (char_length(key) between 1 and 255),
  tenant_id uuid references public.tenants (id) on delete cascade,
  request_hash text not null,
  taken_by uuid,
  taken_until timestamptz,
  sealed_answer text,
  sealed_code text,
  session_id uuid references public.interview_sessions (id) on delete cascade,
  candidate_id uuid references public.candidates (id) on delete cascade,
  created_at timestamptz not null default now(),
  primary key (scope, key)
);
comment on table public.idempotency_keys is
  'Idempotency-Keys of POST requests. The request that takes a key first runs and stores its answer; the same request '
  'gets the stored answer. A key is kept for a day.';
comment on column public.idempotency_keys.scope is
  'Whose key it is: the tenant''s id, or operator. Two tenants may use the same key.';
comment on column public.idempotency_keys.key is 'The header''s value.';
comment on column public.idempotency_keys.tenant_id is 'The tenant of the caller. Null for operators.';
comment on column public.idempotency_keys.request_hash is
  'SHA-256 of route, parameters and body: the same key with another request is refused.';
comment on column public.idempotency_keys.taken_by is 'The request that runs, or ran last.';
comment on column public.idempotency_keys.taken_until is
  'While a request runs, its orchestrator prolongs this time. After it, the same request may run again.';
comment on column public.idempotency_keys.sealed_answer is
  'Status, headers and body of the answer, encrypted by the orchestrators. Null until the request has been answered.';
comment on column public.idempotency_keys.sealed_code is
  'The invitation code of the session it made, encrypted, until the answer is stored: after a crash in between, the '
  'same request still gets the session''s link.';
comment on column public.idempotency_keys.session_id is 'The session that it made or that the answer is about.';
comment on column public.idempotency_keys.candidate_id is 'The candidate that the answer is about: erased with it.';
create index idempotency_keys_tenant on public.idempotency_keys (tenant_id);
create index idempotency_keys_session on public.idempotency_keys (session_id);
create index idempotency_keys_candidate on public.idempotency_keys (candidate_id);
create index idempotency_keys_taken on public.idempotency_keys (taken_by);
create index idempotency_keys_age on public.idempotency_keys (created_at);

create function app.idempotency_life() returns interval
language sql immutable set search_path = '' as $$ select interval '24 hours' $$;
comment on function app.idempotency_life() is 'How long an Idempotency-Key and its answer are kept.';

create table public.session_invitations (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  code_hash text not null unique check (code_hash ~ '^[0-9a-f]{64}$'),
  browser_hash text check (browser_hash ~ '^[0-9a-f]{64}$'),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz,
  replaces uuid references public.session_invitations (id) on delete set null,
  handover_hash text check (handover_hash ~ '^[0-9a-f]{64}$'),
  handover_expires_at timestamptz,
  handover_tries integer not null default 0 check (handover_tries between 0 and 5),
  handover_at timestamptz,
  check ((handover_hash is null) = (handover_expires_at is null))
);
comment on table public.session_invitations is
  'Invitation codes that a candidate''s browser exchanges for a join token. Only the hash of a code is stored.';
comment on column public.session_invitations.session_id is 'The session to which the candidate is invited.';
comment on column public.session_invitations.code_hash is 'SHA-256 of the code, hex.';
comment on column public.session_invitations.browser_hash is
  'Hash of the secret of the browser to which the code is bound. Only this browser may use the code again.';
comment on column public.session_invitations.expires_at is 'The code is refused from this time on.';
comment on column public.session_invitations.used_at is 'When a browser first exchanged it.';
comment on column public.session_invitations.revoked_at is 'The code is refused from this time on.';
comment on column public.session_invitations.replaces is 'The revoked invitation that this one replaces.';
comment on column public.session_invitations.handover_hash is
  'SHA-256 of session id and short code, hex. With the short code another browser may take the place of the bound '
  'one.';
comment on column public.session_invitations.handover_expires_at is 'The short code is refused from this time on.';
comment on column public.session_invitations.handover_tries is
  'Number of wrong short codes so far. The fifth one invalidates the code.';
comment on column public.session_invitations.handover_at is
  'When the short code was shown. It stays when the code is used, until the first call of the new browser: the '
  'candidate gets back the time in between.';
create index session_invitations_session on public.session_invitations (session_id);
create index session_invitations_tenant on public.session_invitations (tenant_id);
create index session_invitations_replaces on public.session_invitations (replaces) where replaces is not null;

create table public.consents (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  session_id uuid not null unique references public.interview_sessions (id) on delete cascade,
  candidate_id uuid not null references public.candidates (id),
  text_version text not null check (char_length(text_version) between 1 and 100),
  remote_address_hash text check (remote_address_hash ~ '^[0-9a-f]{64}$'),
  given_at timestamptz not null default clock_timestamp()
);
comment on table public.consents is 'The consents of candidates, one per session. Erased with the candidate.';
comment on column public.consents.session_id is 'The session for which the consent was given.';
comment on column public.consents.candidate_id is 'The candidate who consented.';
comment on column public.consents.text_version is 'Version of the text that was shown.';
comment on column public.consents.remote_address_hash is
  'Keyed hash of the address from which consent was given. It can be compared as evidence but does not reveal the '
  'address.';
comment on column public.consents.given_at is 'When the candidate consented, on the database''s clock.';
create index consents_tenant on public.consents (tenant_id);
create index consents_candidate on public.consents (candidate_id);
