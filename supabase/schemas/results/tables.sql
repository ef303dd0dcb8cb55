-- Results: the evaluation of a session, stored as work so that it survives a crash.
--
-- - The database queues an evaluation when a session ends, and again when its transcript changes afterwards.
-- - A take is a lease (next_attempt_at) with a number that only grows (takes). A report with an older number is
--   answered as stale and changes nothing, so each revision is recorded once.
-- - Lock order: the session is locked before its result.
-- - A result that is given up has the status dead, a failure and an event. The API can run it again.
-- - A new evaluation is not reviewed yet, even if the one before it was.

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
  updated_at timestamptz not null default now(),
  wanted_revision integer not null default 0 check (wanted_revision >= 0),
  takes integer not null default 0 check (takes >= 0),
  taken_by uuid,
  failure text check (failure in ('refused', 'incomplete', 'invalid_answer', 'rejected', 'provider_auth_failed',
    'provider_rate_limited', 'provider_unavailable', 'interrupted', 'internal_error')),
  model text,
  evaluated_at timestamptz,
  reviewed_by text check (char_length(reviewed_by) between 1 and 200),
  reviewed_at timestamptz,
  reruns integer not null default 0 check (reruns >= 0)
);
comment on table public.interview_results is
  'Summary and evaluation of a session, made after its end by work that is stored and retried.';
comment on column public.interview_results.session_id is 'The session of the result.';
comment on column public.interview_results.status is
  'pending, running, done, empty (nothing was said), dead (given up).';
comment on column public.interview_results.summary is 'Summary of the conversation in prose.';
comment on column public.interview_results.evaluation is 'The structured evaluation.';
comment on column public.interview_results.integrity_flags is
  'Flags found by the evaluation itself, [{kind, count}]. The worker''s flags are in interview_sessions.integrity.';
comment on column public.interview_results.human_reviewed is 'True if a person has reviewed it.';
comment on column public.interview_results.transcript_revision is 'The revision of the transcript it was made from.';
comment on column public.interview_results.attempts is 'Number of attempts so far.';
comment on column public.interview_results.next_attempt_at is 'When the next attempt is due.';
comment on column public.interview_results.last_error is 'The last error.';
comment on column public.interview_results.wanted_revision is
  'The transcript revision from which it should be made. Above transcript_revision while an evaluation is still to '
  'be done.';
comment on column public.interview_results.takes is
  'How often the row was ever taken. It is the fencing number of the worker that holds it.';
comment on column public.interview_results.taken_by is 'The orchestrator that took it last.';
comment on column public.interview_results.failure is 'Why the last attempt failed; null if it succeeded.';
comment on column public.interview_results.model is 'The model that evaluated; null if no model was used.';
comment on column public.interview_results.evaluated_at is 'When the stored summary and evaluation were made.';
comment on column public.interview_results.reviewed_by is
  'Who reviewed it: a person as the platform names them, or the API key or user.';
comment on column public.interview_results.reviewed_at is 'When it was reviewed.';
comment on column public.interview_results.reruns is 'How often the tenant has run the evaluation again.';
create index interview_results_due on public.interview_results (next_attempt_at) where status in ('pending', 'running');
create index interview_results_tenant on public.interview_results (tenant_id);
create index interview_results_dead on public.interview_results (updated_at) where status = 'dead';
create trigger touch before update on public.interview_results for each row execute function app.touch();
