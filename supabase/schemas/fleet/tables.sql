-- Fleet: the orchestrators, the duties they share, and the pools they fill.
--
-- - One holder: at most one orchestrator holds a duty. A duty is a lease on the database's clock with a fence that
--   grows with each change of holder. A duty's destroys and end-of-life records carry the fence, and the same
--   transaction checks it, so an orchestrator whose lease expired unnoticed changes nothing.
-- - Any number: every tick may run on any number of orchestrators at once. It skips rows that another tick has locked,
--   and what it hands out is taken until taken_until.
-- - Skip locked: standby machines are taken with SKIP LOCKED, nearest region first, so two creations never wait for
--   the same machine.
-- - Sessions first: filling a pool uses a create slot only while no session waits for one, and never uses the burst.

create table public.orchestrators (
  id uuid primary key,
  url text not null,
  version text not null,
  started_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  draining boolean not null default false,
  worker_image text
);
comment on table public.orchestrators is 'Running orchestrators. Leases are judged on the database''s clock alone.';
comment on column public.orchestrators.url is 'Where it listens.';
comment on column public.orchestrators.version is 'Version it runs.';
comment on column public.orchestrators.started_at is 'When it first said it was there.';
comment on column public.orchestrators.last_seen_at is 'When it last said so.';
comment on column public.orchestrators.draining is 'It takes no new work.';
comment on column public.orchestrators.worker_image is
  'The worker image it was started with. The newest orchestrator''s is the one pools are filled with.';

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
comment on table public.pool_policies is
  'How many standby machines a tenant keeps in a region. The target moves between floor and ceiling.';
comment on column public.pool_policies.region is 'Fly region code.';
comment on column public.pool_policies.floor is 'Standby machines kept without any demand.';
comment on column public.pool_policies.ceiling is
  'The most standby machines, whatever the demand. The sum over regions is bounded by tenants.max_standby.';
create trigger touch before update on public.pool_policies for each row execute function app.touch();

create table public.duties (
  name text primary key check (name ~ '^[a-z]+(:[0-9]+)?$'),
  holder uuid,
  fence bigint not null default 0 check (fence >= 0),
  expires_at timestamptz not null default '-infinity'
);
comment on table public.duties is
  'Regular work that one orchestrator does at a time, each a lease on the database''s clock.';
comment on column public.duties.name is 'What is to be done, with its shard: reconcile:3, housekeeping.';
comment on column public.duties.holder is 'The orchestrator that holds it; null when it was given back.';
comment on column public.duties.fence is 'Grows with each change of hands.';
comment on column public.duties.expires_at is 'The holder''s lease; after this anybody may take it.';
