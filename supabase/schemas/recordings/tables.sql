-- Recordings: the work to be done at api.video, stored so that it survives a crash.
--
-- - The database plans a recording when its session becomes ready and closes it when the session ends. An outage
--   of api.video delays the recording and never affects the session.
-- - One row per recording, (session, ordinal). A container accepts one source only, so a reloaded page needs the
--   next ordinal.
-- - The container's id is stored before the token is made. Whatever is made after the session's end is deleted.
-- - An upload token is stored encrypted, handed out by one function, and cleared when it is deleted. It always
--   expires.
-- - A recording that must be deleted stays in video_deletions until api.video confirms the deletion, also when
--   its id becomes known late.

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
comment on column public.video_segments.session_id is 'The session it was recorded in.';
comment on column public.video_segments.video_id is 'api.video''s id of the recording.';
comment on column public.video_segments.url is 'URL at which it can be watched.';
comment on column public.video_segments.start_ms is 'When it begins, milliseconds since the interview started.';
comment on column public.video_segments.end_ms is 'When it ends, milliseconds since the interview started.';
create index video_segments_tenant on public.video_segments (tenant_id);

create table public.video_deletions (
  video_id text primary key check (char_length(video_id) between 1 and 200),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  cause text not null check (cause in ('erasure', 'retention', 'unused', 'request')),
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  last_error text,
  deleted_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.video_deletions is
  'Recordings that must be deleted at api.video. A row without deleted_at is still to be done.';
comment on column public.video_deletions.video_id is 'api.video''s id of the recording.';
comment on column public.video_deletions.cause is
  'erasure: the interview or its candidate was erased. retention: the retention time is over. unused: an empty or '
  'second container. request: the platform deleted it.';
comment on column public.video_deletions.attempts is 'Number of attempts so far.';
comment on column public.video_deletions.next_attempt_at is 'When the next attempt is due.';
comment on column public.video_deletions.last_error is 'The last error.';
comment on column public.video_deletions.deleted_at is 'When api.video confirmed the deletion.';
create index video_deletions_due on public.video_deletions (next_attempt_at) where deleted_at is null;
create index video_deletions_tenant on public.video_deletions (tenant_id);

create table public.video_jobs (
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  ordinal integer not null check (ordinal between 1 and 20),
  tenant_id uuid not null references public.tenants (id),
  state text not null default 'wanted' check (state in ('wanted', 'open', 'closing', 'processing', 'done', 'empty',
    'dead')),
  video_id text check (char_length(video_id) between 1 and 200),
  token_ciphertext text,
  token_expires_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  attempts integer not null default 0 check (attempts >= 0),
  takes integer not null default 0 check (takes >= 0),
  next_attempt_at timestamptz not null default now(),
  failure text check (failure in ('auth_failed', 'rate_limited', 'unavailable', 'rejected', 'not_found',
    'never_playable', 'internal_error')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (session_id, ordinal)
);
comment on table public.video_jobs is
  'One row per recording, (session, ordinal), with the work that is still to be done for it at api.video.';
comment on column public.video_jobs.session_id is 'The session that is recorded.';
comment on column public.video_jobs.ordinal is
  'Number of the recording within its session: 1, and one more each time a page is reloaded.';
comment on column public.video_jobs.tenant_id is 'The tenant of the session.';
comment on column public.video_jobs.state is
  'wanted: container and token must be created. open: the browser may upload. closing: the token must be deleted. '
  'processing: uploaded, not playable yet. done, empty (nothing was uploaded), dead (given up).';
comment on column public.video_jobs.video_id is 'api.video''s id of the private container.';
comment on column public.video_jobs.token_ciphertext is
  'The upload token, AES-256-GCM, bound to session and ordinal; cleared when it is deleted.';
comment on column public.video_jobs.token_expires_at is 'When the token expires at api.video.';
comment on column public.video_jobs.started_at is
  'When the candidate''s browser began to record. Null: it did not say.';
comment on column public.video_jobs.ended_at is
  'When the session ended. The last parts may still be uploading for a while.';
comment on column public.video_jobs.attempts is 'Number of attempts at the current step.';
comment on column public.video_jobs.takes is
  'How often the row was ever taken. It is the fencing number of the worker that holds it.';
comment on column public.video_jobs.next_attempt_at is
  'When the next attempt is due. Whoever takes the row moves it forward first.';
comment on column public.video_jobs.failure is 'Why the last attempt failed.';
comment on column public.video_jobs.created_at is 'When the recording was planned.';
comment on column public.video_jobs.updated_at is 'Last change.';
create index video_jobs_due on public.video_jobs (next_attempt_at) where state in ('wanted', 'closing', 'processing');
create index video_jobs_tenant on public.video_jobs (tenant_id);
create unique index video_jobs_video on public.video_jobs (video_id) where video_id is not null;
create trigger touch before update on public.video_jobs for each row execute function app.touch();

create table public.video_events (
  body_hash text primary key check (body_hash ~ '^[0-9a-f]{64}$'),
  session_id uuid not null,
  ordinal integer not null,
  type text not null check (char_length(type) between 1 and 100),
  received_at timestamptz not null default clock_timestamp(),
  foreign key (session_id, ordinal) references public.video_jobs (session_id, ordinal) on delete cascade
);
comment on table public.video_events is
  'Webhooks received from api.video, each stored once. They have no id, so the hash of the signed body identifies '
  'them.';
comment on column public.video_events.body_hash is 'SHA-256 of the raw body, hex.';
comment on column public.video_events.session_id is 'The session of the recording.';
comment on column public.video_events.ordinal is 'Number of the recording within its session.';
comment on column public.video_events.type is 'The event type of api.video.';
comment on column public.video_events.received_at is 'When it was first received.';
create index video_events_job on public.video_events (session_id, ordinal);
