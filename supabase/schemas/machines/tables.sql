-- Machines: Fly VMs, from the intent to create one to the record of its cost.
--
-- - session_id is written once. A machine serves at most one session, ever.
-- - The machine that holds the assignment keeps it while it is claimed. Once that machine is draining or
--   further, the assignment passes to the next claim. An expired lease alone moves nothing.
-- - A machine that Fly migrated boots again under its name with another nonce. Its row continues at the next
--   epoch when the earlier boot handed over or has been silent for a whole lease; until then the new boot is
--   told to ask again. If both boots are alive, the epoch fences the earlier one.
-- - The reaper's verdict about a machine holds for the epoch at which it was made. A claim after it makes it stale.
-- - A session that has no machine left and no decided ending gets its next attempt in the transaction that takes
--   the last machine away. settle_sessions finds sessions that a crash left without one.
-- - A hot machine is assigned in the transaction that needs it: its worker registered its boot before, so the
--   assignment opens the epoch for that boot. Its worker then claims like any other, which confirms the assignment.
--   An assignment that is not confirmed in time goes to the next machine.
-- - The number of lost machines limits a session's attempts. A machine is lost if it existed at Fly and ended
--   without a hand-over.

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
  counts jsonb not null default '{}'::jsonb check (jsonb_typeof(counts) = 'object'),
  counts_epoch integer,
  asked_at timestamptz,
  answered_at timestamptz,
  booted_at timestamptz,
  evidence text check (char_length(evidence) <= 500),
  hot boolean not null default false,
  confirmed_at timestamptz,
  constraint ended_machine_says_why check (app.life_rank_of(state) < app.life_rank_of('draining')
    or reason is not null),
  constraint machine_reason_is_known check (reason in (
    'session_ended', 'session_gone', 'worker_exited', 'worker_lost', 'boot_timeout', 'create_failed', 'start_failed',
    'superseded', 'handed_over', 'host_lost', 'unreachable', 'hard_deadline', 'orphan', 'image_replaced', 'pool_shrunk',
    'recycled', 'operator_stopped'))
);
comment on table public.machines is
  'One row per machine, from the intent to create it to its end. Its name at Fly is gr-<id>.';
comment on column public.machines.session_id is
  'The session; written once, because a machine serves at most one session. Null for a standby or hot machine.';
comment on column public.machines.app_name is 'The Fly app of the machine.';
comment on column public.machines.name is
  'The machine''s name at Fly. It is derived from the id, so that a repeated create finds the first machine.';
comment on column public.machines.fly_machine_id is
  'Fly''s id of the machine; from the answer to the create, or from the first claim if that answer was lost.';
comment on column public.machines.region is 'The region in which it runs or was requested.';
comment on column public.machines.image is 'The worker image with its digest.';
comment on column public.machines.state is
  'reserved, created, started, claimed, draining, destroying or destroyed. It only moves forward.';
comment on column public.machines.life_rank is 'The rank of the state. It never decreases.';
comment on column public.machines.reason is 'Why the machine ended.';
comment on column public.machines.epoch is 'The epoch of its claim.';
comment on column public.machines.boot_nonce is
  'A random value that the worker creates at boot. A claim may be repeated with the same nonce only. A hot worker '
  'registers it before it has a session.';
comment on column public.machines.attempt is 'Number of the attempt within its session: 1, 2, …';
comment on column public.machines.not_before is 'The time slot for its creation, drawn from the limit of the app.';
comment on column public.machines.taken_by is
  'The orchestrator that executes the intent until taken_until. After that, another one may take it.';
comment on column public.machines.taken_until is 'End of the time in which taken_by executes the intent.';
comment on column public.machines.fly_request_id is
  'Fly''s id of the last request to create or start the machine, for support.';
comment on column public.machines.reserved_at is 'Phase: when the intent was written.';
comment on column public.machines.started_at is
  'Phase: when its VM started: when Fly reported that, or else reckoned from the uptime in its claim.';
comment on column public.machines.claimed_at is 'Phase: when its worker claimed a session.';
comment on column public.machines.draining_at is 'Phase: when its worker sent its final report.';
comment on column public.machines.destroying_at is
  'Phase: when its destruction was committed, before Fly was asked for it.';
comment on column public.machines.destroyed_at is 'Phase: when Fly showed that the machine is gone.';
comment on column public.machines.last_heartbeat_at is
  'When the last heartbeat of its worker was written. Heartbeats are written in batches.';
comment on column public.machines.lease_expires_at is
  'After this time the worker is probed. An expired lease alone never ends a session.';
comment on column public.machines.hard_deadline_at is 'After this time the reaper destroys the machine in any case.';
comment on column public.machines.first_absent_at is
  'Since when Fly has not found the machine. Cleared by a heartbeat, a claim, or when Fly finds it again.';
comment on column public.machines.rss_bytes is 'Memory used by its worker according to the last heartbeat, bytes.';
comment on column public.machines.unsaved_entries is
  'Number of entries that its worker had not stored yet at the last heartbeat.';
comment on column public.machines.assigned_at is
  'When a standby or hot machine was assigned to its session; null for a machine that was created for its session.';
comment on column public.machines.start_requested_at is
  'When Fly accepted the start of the assigned standby machine.';
comment on column public.machines.billed_at is 'When its usage was stored in machine_usage.';
comment on column public.machines.host_bad_since is
  'Since when Fly has reported that its host is not ok; null if the host is ok.';
comment on column public.machines.unreachable_since is
  'When a returning browser could not be connected to it for the first time.';
comment on column public.machines.counts is 'What its worker counted, as it last reported. See app.count_worker.';
comment on column public.machines.counts_epoch is 'The epoch of these counts. Each boot of a worker counts from zero.';
comment on column public.machines.asked_at is 'When the last request to Fly to create or start it began.';
comment on column public.machines.answered_at is 'When Fly had answered that request.';
comment on column public.machines.booted_at is
  'When the process of its worker started, reckoned from its uptime in the claim.';
comment on column public.machines.evidence is
  'Why its end was right, in words: what was seen of it, or who stopped it and why.';
comment on column public.machines.hot is 'True if the machine is started before it has a session.';
comment on column public.machines.confirmed_at is
  'When the worker of a hot machine first claimed the session that was assigned to it. Null for other machines.';
create index machines_session on public.machines (session_id, attempt);
create index machines_intents on public.machines (not_before) where state = 'reserved';
create index machines_alive on public.machines (app_name) where state <> 'destroyed';
create index machines_fly on public.machines (fly_machine_id) where fly_machine_id is not null;
create index machines_tenant on public.machines (tenant_id, reserved_at desc, id desc);
create index machines_newest on public.machines (reserved_at desc, id desc);
create index machines_newest_alive on public.machines (reserved_at desc, id desc) where state <> 'destroyed';
create index machines_newest_region on public.machines (region, reserved_at desc, id desc);
create index machines_fly_request on public.machines (fly_request_id) where fly_request_id is not null;
create index machines_standby on public.machines (tenant_id, region, created_at) where session_id is null
  and state = 'created' and not hot;
create index machines_hot on public.machines (tenant_id, region, started_at) where session_id is null
  and state = 'started' and hot;
create index machines_unconfirmed on public.machines (claimed_at) where state = 'claimed' and hot
  and confirmed_at is null;
create index machines_prepared on public.machines (tenant_id, region) where session_id is null
  and state in ('reserved', 'created', 'started');
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
  standby_cost_usd numeric not null default 0 check (standby_cost_usd >= 0),
  hot_seconds numeric not null default 0 check (hot_seconds >= 0),
  hot_cost_usd numeric not null default 0 check (hot_cost_usd >= 0),
  test boolean not null default false
);
comment on table public.machine_usage is 'Usage and cost of a machine, written once when the machine is gone.';
comment on column public.machine_usage.machine_id is 'The machine.';
comment on column public.machine_usage.session_id is 'The session it served, if any.';
comment on column public.machine_usage.region is 'The region in which it ran. Prices differ between regions.';
comment on column public.machine_usage.size is 'The machine''s size, such as shared-cpu-1x:512MB.';
comment on column public.machine_usage.started_seconds is
  'Seconds for which it ran, without the time as a hot machine.';
comment on column public.machine_usage.standby_seconds is 'Seconds for which it stood by without running.';
comment on column public.machine_usage.cost_usd is
  'Cost of the running time, US dollars, at the list price of its region and size.';
comment on column public.machine_usage.recorded_at is 'When this row was written.';
comment on column public.machine_usage.standby_cost_usd is
  'Cost of the standby time, US dollars. Not included in cost_usd.';
comment on column public.machine_usage.hot_seconds is
  'Seconds for which it ran as a hot machine, before it had a session.';
comment on column public.machine_usage.hot_cost_usd is
  'Cost of the time as a hot machine, US dollars. Not included in cost_usd.';
comment on column public.machine_usage.test is 'True for a machine of a tenant''s test mode. Never part of a total.';
create index machine_usage_tenant on public.machine_usage (tenant_id, recorded_at);
create index machine_usage_session on public.machine_usage (session_id);

create table app.daily_costs (
  day date not null,
  tenant_id uuid not null references public.tenants (id),
  machines bigint not null,
  run_usd numeric not null,
  standby_usd numeric not null,
  hot_usd numeric not null,
  primary key (day, tenant_id)
);
comment on table app.daily_costs is
  'The sums of machine_usage per day and tenant, without test mode. Kept by the trigger sum_costs. They stay until '
  'the tenant''s usage_days are over.';
comment on column app.daily_costs.day is 'The day on which the usage was recorded, UTC.';
comment on column app.daily_costs.machines is 'Number of machines.';
comment on column app.daily_costs.run_usd is 'Sum of cost_usd.';
comment on column app.daily_costs.standby_usd is 'Sum of standby_cost_usd.';
comment on column app.daily_costs.hot_usd is 'Sum of hot_cost_usd.';
create index daily_costs_tenant on app.daily_costs (tenant_id, day);

alter table public.interview_sessions add foreign key (machine_id) references public.machines (id);
