-- Fleet: the orchestrators, the duties they share, and the pools they fill.
--
-- - At most one orchestrator holds a duty. A duty is a lease on the database's clock with a fence that grows
--   with each change of holder. Records of destroyed and ended machines made under a duty carry the fence, and the
--   same transaction checks it, so an orchestrator whose lease expired unnoticed changes nothing.
-- - Work without a duty may run on any number of orchestrators at once. It skips rows that another one has locked,
--   and a row that it takes is reserved until taken_until.
-- - Standby and hot machines are taken with SKIP LOCKED, nearest region first, so two creations never wait for the same
--   machine.
-- - Filling a pool uses a create slot only while no session waits for one, and never uses the burst.

create table public.orchestrators (
  id uuid primary key,
  url text not null,
  version text not null,
  started_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  draining boolean not null default false,
  worker_image text
);
comment on table public.orchestrators is
  'Running orchestrators. Leases are compared with the database''s clock only.';
comment on column public.orchestrators.url is 'The URL at which it listens.';
comment on column public.orchestrators.version is 'The version that it runs.';
comment on column public.orchestrators.started_at is 'When it first registered.';
comment on column public.orchestrators.last_seen_at is 'When it last renewed its registration.';
comment on column public.orchestrators.draining is 'True if it accepts no new work.';
comment on column public.orchestrators.worker_image is
  'The worker image it was started with. Pools are filled with the image of the newest orchestrator.';

create table public.pool_policies (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  region text not null check (region ~ '^[a-z]{3}$'),
  floor integer not null default 0 check (floor >= 0),
  ceiling integer not null default 0,
  hot_floor integer not null default 0 check (hot_floor >= 0),
  hot_ceiling integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, region),
  constraint floor_below_ceiling check (floor <= ceiling and hot_floor <= hot_ceiling)
);
comment on table public.pool_policies is
  'How many standby and hot machines a tenant keeps in a region. Each target moves between its floor and ceiling.';
comment on column public.pool_policies.region is 'Fly region code.';
comment on column public.pool_policies.floor is 'Number of standby machines kept without any demand.';
comment on column public.pool_policies.ceiling is
  'Maximum number of standby machines. The sum of both ceilings over all regions is limited by tenants.max_standby.';
comment on column public.pool_policies.hot_floor is 'Number of hot machines kept without any demand.';
comment on column public.pool_policies.hot_ceiling is 'Maximum number of hot machines.';
create trigger touch before update on public.pool_policies for each row execute function app.touch();

create table public.duties (
  name text primary key check (name ~ '^[a-z]+(:[0-9]+)?$'),
  holder uuid,
  fence bigint not null default 0 check (fence >= 0),
  expires_at timestamptz not null default '-infinity'
);
comment on table public.duties is
  'Periodic work that one orchestrator does at a time. Each row is a lease on the database''s clock.';
comment on column public.duties.name is
  'The work, with its shard if it has one, such as reconcile:3 or housekeeping.';
comment on column public.duties.holder is 'The orchestrator that holds the duty; null after it was given back.';
comment on column public.duties.fence is 'A number that grows with each change of holder.';
comment on column public.duties.expires_at is
  'The end of the holder''s lease. After it, any orchestrator may take the duty.';
