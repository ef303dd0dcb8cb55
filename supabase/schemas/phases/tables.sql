-- Phases: when each step of a session's start and of its first call took place. Operators read from them why an
-- interview began slowly.
--
-- - A session has one row. app.record_start writes the start when the session becomes ready, or when it ends before
--   that; app.record_hot_starts does so for sessions that are ready at once. What happens later, or is reported later,
--   fills columns that are still empty.
-- - A time that is written stays: a report that arrives twice, or from the session's next machine, changes nothing.
-- - Nothing is called only for phases. They travel with claims, heartbeats, final reports and records of Fly's answers.
-- - Workers and orchestrators report ages in milliseconds, so all times are on the database's clock.

create table public.session_phases (
  session_id uuid primary key references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  path text check (path in ('hot', 'standby', 'cold')),
  machine_id uuid,
  attempts integer not null default 0 check (attempts >= 0),
  earlier jsonb not null default '[]'::jsonb check (jsonb_typeof(earlier) = 'array'),
  wanted_region text,
  region text,
  standby_kept integer,
  slot_place integer,
  slot_count integer,
  fly_request_id text,
  due_at timestamptz,
  begun_at timestamptz,
  reserved_at timestamptz,
  slot_at timestamptz,
  asked_at timestamptz,
  answered_at timestamptz,
  started_at timestamptz,
  booted_at timestamptz,
  ready_at timestamptz,
  looked_at timestamptz,
  joined_at timestamptz,
  edge_wait_ms integer check (edge_wait_ms >= 0),
  socket_at timestamptz,
  offered_at timestamptz,
  credential_at timestamptz,
  call_answered_at timestamptz,
  connected_at timestamptz,
  spoke_at timestamptz,
  start_ms integer generated always as (
    case when ready_at >= due_at then least(2147483647, round(extract(epoch from ready_at - due_at) * 1000))
      when ready_at < due_at then 0 end::integer) stored,
  voice_ms integer generated always as (
    case when spoke_at >= joined_at then least(2147483647, round(extract(epoch from spoke_at - joined_at) * 1000))
      when spoke_at < joined_at then 0 end::integer) stored
);
comment on table public.session_phases is
  'When each step of a session''s start and of its first call took place. One row per session.';
comment on column public.session_phases.session_id is 'The session.';
comment on column public.session_phases.path is
  'How it got its machine: hot (already running), standby (assigned and started), cold (created for it).';
comment on column public.session_phases.machine_id is
  'The machine that first served it; of a session that was never ready, its last attempt.';
comment on column public.session_phases.attempts is 'Number of machines it was given until it was ready.';
comment on column public.session_phases.earlier is
  'The attempts before that machine: region, reason (null: a hedge was faster), evidence, from and until.';
comment on column public.session_phases.wanted_region is 'The region in which its first machine was wanted.';
comment on column public.session_phases.region is 'The region of the machine.';
comment on column public.session_phases.standby_kept is
  'Ceiling of the tenant''s pool in the wanted region at that time; null without a pool there.';
comment on column public.session_phases.slot_place is
  'Its place among the creations that waited for Fly''s create limit in the same app and minute; null if it did not '
  'wait a second.';
comment on column public.session_phases.slot_count is 'The number of those creations.';
comment on column public.session_phases.fly_request_id is
  'Fly''s id of the request that created or started the machine, for support.';
comment on column public.session_phases.due_at is
  'When it should have been ready: its creation or scheduled time; with placement on_join, the candidate''s arrival.';
comment on column public.session_phases.begun_at is
  'When its first machine was reserved or assigned. A queued session waited until then.';
comment on column public.session_phases.reserved_at is 'When this machine was reserved, or assigned from the pool.';
comment on column public.session_phases.slot_at is 'The time slot that Fly''s create limit allowed.';
comment on column public.session_phases.asked_at is 'When the request to Fly began.';
comment on column public.session_phases.answered_at is 'When Fly had answered it.';
comment on column public.session_phases.started_at is 'When the VM started.';
comment on column public.session_phases.booted_at is 'When the worker''s process started.';
comment on column public.session_phases.ready_at is 'When the worker had claimed the session.';
comment on column public.session_phases.looked_at is 'When the candidate first opened the page.';
comment on column public.session_phases.joined_at is 'When the candidate first pressed Start.';
comment on column public.session_phases.edge_wait_ms is
  'How long the edge held the candidate''s first socket until a worker was ready, ms.';
comment on column public.session_phases.socket_at is 'When the first socket reached the worker.';
comment on column public.session_phases.offered_at is 'When the browser sent its first SDP offer.';
comment on column public.session_phases.credential_at is 'When the worker had a credential for the call.';
comment on column public.session_phases.call_answered_at is 'When the offer was answered.';
comment on column public.session_phases.connected_at is 'When the browser reported that the call is connected.';
comment on column public.session_phases.spoke_at is 'When the interviewer''s first words arrived.';
comment on column public.session_phases.start_ms is 'From due_at to ready_at, ms.';
comment on column public.session_phases.voice_ms is 'From joined_at to spoke_at, ms.';
create index session_phases_tenant on public.session_phases (tenant_id, start_ms desc, session_id desc);
create index session_phases_path on public.session_phases (path, start_ms desc, session_id desc)
  where start_ms is not null;
create index session_phases_ready on public.session_phases (ready_at) where ready_at is not null;
create index session_phases_slowest on public.session_phases (start_ms desc, session_id desc)
  where start_ms is not null;
