-- Simulations: synthetic candidates of test sessions.
--
-- - A simulation has one row per session. The orchestrator that has taken it connects to the session as a candidate's
--   browser does. It keeps nothing that is not in the database: what the candidate has said is in the transcript.
-- - A take lasts until taken_until and is renewed while the candidate is connected. When its orchestrator dies, another
--   one takes the simulation after that time and joins again, as a candidate does whose browser crashed.
-- - A report counts only for the newest take. Session rows are locked before simulations.

create table public.simulations (
  session_id uuid primary key references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  script text not null check (script in ('completes', 'leaves', 'loses_network', 'is_silent', 'injects_prompts')),
  status text not null default 'waiting' check (status in ('waiting', 'running', 'done', 'failed')),
  takes integer not null default 0 check (takes >= 0),
  taken_until timestamptz,
  cut_at timestamptz,
  failure text,
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
comment on table public.simulations is 'Synthetic candidates of test sessions, at most one per session.';
comment on column public.simulations.session_id is 'The test session that the candidate joins.';
comment on column public.simulations.script is
  'What the candidate does: completes (answers every question), leaves (after the first answer), loses_network (once, '
  'then comes back), is_silent, injects_prompts (tries to direct the evaluation, and tampers with the call).';
comment on column public.simulations.status is
  'waiting, running (an orchestrator has taken it), done (the script is over), failed.';
comment on column public.simulations.takes is 'How often it was taken. A report of an older take is ignored.';
comment on column public.simulations.taken_until is 'Until then the newest take holds it.';
comment on column public.simulations.cut_at is 'When the script cut the candidate''s network; null: not yet.';
comment on column public.simulations.failure is 'Why it failed.';
comment on column public.simulations.ended_at is 'When it was done or failed.';
create index simulations_due on public.simulations (taken_until) where status in ('waiting', 'running');
create index simulations_tenant on public.simulations (tenant_id);
