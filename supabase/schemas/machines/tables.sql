-- Machines: the lives of VMs, from the intent to create one to its bill.
--
-- - Served once: machines.session_id is written once. A machine serves at most one session, ever.
-- - Assignment kept: the machine that holds the assignment keeps it while it is claimed. Once that machine is draining
--   or further, the assignment passes to the next claim. An expired lease alone moves nothing.
-- - Second boot: a machine that Fly migrated boots again under its name with another nonce. Its row continues at the
--   next epoch when the earlier boot handed over or has been silent for a whole lease; until then the new boot is told
--   to ask again. If both boots are alive, the epoch fences the earlier one.
-- - Judged at epoch: a machine is judged at its epoch. A claim in between makes the judgement stale.
-- - Next attempt: a session that has no machine left and no decided ending gets its next attempt in the transaction
--   that takes the last machine away. settle_sessions finds sessions that a crash left without one.
-- - Lost lives: lost lives limit the number of attempts. A lost life is a machine that came to exist and ended without
--   a hand-over.

create table public.machines (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id),
  session_id uuid references public.interview_sessions (id),
  app_name text not null references public.tenant_apps (name),
  name text not null unique generated always as ('gr-' || id::text) stored,
  fly_machine_id text,
  region text not null,
  image text not null,
  state text not null default 'reserved' check (app.life_rank_of(state) is not null),
  life_rank smallint not null generated always as (app.life_rank_of(state)) stored,
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
  assigned_at timestamptz,
  start_requested_at timestamptz,
  billed_at timestamptz,
  host_bad_since timestamptz,
  unreachable_since timestamptz,
  constraint ended_machine_says_why check (app.life_rank_of(state) < app.life_rank_of('draining')
    or reason is not null),
  constraint machine_reason_is_known check (reason in (
    'session_ended', 'session_gone', 'worker_exited', 'worker_lost', 'boot_timeout', 'create_failed', 'start_failed',
    'superseded', 'handed_over', 'host_lost', 'unreachable', 'hard_deadline', 'orphan', 'image_replaced', 'pool_shrunk',
    'operator_stopped'))
);
comment on table public.machines is 'One life of one VM each; also the intent to create it. Named gr-<id> on Fly.';
comment on column public.machines.session_id is
  'Written once: a machine serves at most one session, ever. Null while standby.';
comment on column public.machines.app_name is 'The Fly app it is in.';
comment on column public.machines.name is 'Its name at Fly, derived from the row''s id: a second try finds the first.';
comment on column public.machines.fly_machine_id is
  'Written by the create''s answer, or by the first claim when that answer was lost.';
comment on column public.machines.region is 'Where it runs, or was asked for.';
comment on column public.machines.image is 'Image of the worker, with its digest.';
comment on column public.machines.state is
  'reserved, created, started, claimed, draining, destroying, destroyed; only forward.';
comment on column public.machines.life_rank is 'Rank of the state; may only grow.';
comment on column public.machines.reason is 'Why its life ended.';
comment on column public.machines.epoch is 'The epoch its claim took.';
comment on column public.machines.boot_nonce is
  'Made by the worker at boot: the same nonce may repeat its claim, another may not.';
comment on column public.machines.attempt is 'Which try of its session this is: 1, 2, …';
comment on column public.machines.not_before is 'The time slot of its create, drawn from the app''s rate row.';
comment on column public.machines.taken_by is
  'The orchestrator that is executing the intent, until taken_until; then another may.';
comment on column public.machines.taken_until is 'Until then the intent is taken_by''s; later anybody''s.';
comment on column public.machines.fly_request_id is 'Fly''s id of the request that made it, for support.';
comment on column public.machines.reserved_at is 'Phase: the intent was written.';
comment on column public.machines.started_at is 'Phase: Fly says it runs.';
comment on column public.machines.claimed_at is 'Phase: its worker claimed a session.';
comment on column public.machines.draining_at is 'Phase: its worker said its last word.';
comment on column public.machines.destroying_at is 'Phase: committed before Fly was asked to destroy it.';
comment on column public.machines.destroyed_at is 'Phase: it is gone, on evidence.';
comment on column public.machines.last_heartbeat_at is 'When its worker was last heard, as written in batches.';
comment on column public.machines.lease_expires_at is 'Later its worker is suspected, never condemned.';
comment on column public.machines.hard_deadline_at is 'After this the reaper destroys it, whatever it is doing.';
comment on column public.machines.first_absent_at is
  'Since when Fly does not find it. A heartbeat, a claim or Fly finding it again takes that back.';
comment on column public.machines.rss_bytes is 'Memory of its worker, bytes, as last heard.';
comment on column public.machines.unsaved_entries is 'Entries its worker has not yet stored, as last heard.';
comment on column public.machines.assigned_at is
  'When a standby machine was given its session; null for one that was made for its session.';
comment on column public.machines.start_requested_at is 'Fly accepted the start of an assigned standby machine.';
comment on column public.machines.billed_at is 'Its usage is in machine_usage.';
comment on column public.machines.host_bad_since is
  'Since when Fly says that its host is not ok; null while it does not.';
comment on column public.machines.unreachable_since is 'When a returning browser could first not be connected to it.';
create index machines_session on public.machines (session_id, attempt);
create index machines_intents on public.machines (not_before) where state = 'reserved';
create index machines_alive on public.machines (app_name) where state <> 'destroyed';
create index machines_fly on public.machines (fly_machine_id) where fly_machine_id is not null;
create index machines_tenant on public.machines (tenant_id);
create index machines_standby on public.machines (tenant_id, region, created_at) where session_id is null
  and state = 'created';
create index machines_building on public.machines (tenant_id, region) where session_id is null and state = 'reserved';
create index machines_to_start on public.machines (assigned_at) where state = 'created' and assigned_at is not null;
create index machines_to_bill on public.machines (destroyed_at) where state = 'destroyed' and billed_at is null
  and created_at is not null;

create table public.machine_usage (
  machine_id uuid primary key references public.machines (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  session_id uuid references public.interview_sessions (id) on delete set null,
  region text not null,
  size text not null,
  started_seconds numeric not null check (started_seconds >= 0),
  standby_seconds numeric not null default 0 check (standby_seconds >= 0),
  cost_usd numeric not null check (cost_usd >= 0),
  recorded_at timestamptz not null default now(),
  standby_cost_usd numeric not null default 0 check (standby_cost_usd >= 0)
);
comment on table public.machine_usage is 'What a machine used and cost, written once when it is gone.';
comment on column public.machine_usage.machine_id is 'The machine.';
comment on column public.machine_usage.session_id is 'The session it served, if any.';
comment on column public.machine_usage.region is 'Where it ran: prices differ.';
comment on column public.machine_usage.size is 'Its size, such as shared-cpu-1x:512MB.';
comment on column public.machine_usage.started_seconds is 'How long it ran.';
comment on column public.machine_usage.standby_seconds is 'How long it stood by, not running.';
comment on column public.machine_usage.cost_usd is
  'What its running cost, US dollars, at the list price of its region and size.';
comment on column public.machine_usage.recorded_at is 'When this was written.';
comment on column public.machine_usage.standby_cost_usd is
  'What its time as standby cost, US dollars; not contained in cost_usd.';
create index machine_usage_tenant on public.machine_usage (tenant_id, recorded_at);
create index machine_usage_session on public.machine_usage (session_id);

alter table public.interview_sessions add foreign key (machine_id) references public.machines (id);
