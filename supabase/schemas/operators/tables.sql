-- Operators: what the people who run a deployment see of all tenants, and what they decide.
--
-- - The functions ops_… return no names, no spoken text and none of a platform's own data.
-- - A list is read by the key of its last row. Each call is planned for its own filters: by a dynamic query
--   (lists.sql) or with the call's values (force_custom_plan). A filter that is not given costs nothing.
-- - The rows of a list are those of a view, as json: a function call for each row, or jsonb, costs more than the query.
-- - Rows since a time are found with now(): it is stable, so an index can be searched for it; clock_timestamp() is not.
-- - An act and its audit entry are one transaction. p_by is {actor, remote_address, request_id, why}; the entry says
--   what it was before and after.
-- - A drained region gets no new machine, except for a session that may run nowhere else. Interviews there go on.
-- - A brake hold lists the machines that an orchestrator would have ended. Its release admits the ends of these
--   machines and of no others.

create table public.region_drains (
  region text primary key check (region ~ '^[a-z]{3}$'),
  why text not null check (char_length(why) between 1 and 500),
  drained_by text not null,
  drained_at timestamptz not null default clock_timestamp(),
  until timestamptz
);
comment on table public.region_drains is 'Regions in which no new machine may be created or assigned.';
comment on column public.region_drains.region is 'Fly''s code of the region.';
comment on column public.region_drains.why is 'The operator''s reason.';
comment on column public.region_drains.drained_by is 'The operator.';
comment on column public.region_drains.drained_at is 'Since when.';
comment on column public.region_drains.until is 'The region is open again from this time on; null: until it is opened.';

create table public.brake_holds (
  id uuid primary key default gen_random_uuid(),
  app_name text not null unique,
  orchestrator_id uuid not null,
  ends jsonb not null check (jsonb_typeof(ends) = 'array'),
  ceiling integer not null,
  held_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  released_at timestamptz,
  released_by text,
  carried_out_at timestamptz
);
comment on table public.brake_holds is
  'What the brake of the reconciler holds: one row per app whose machines it did not end because they were too many.';
comment on column public.brake_holds.app_name is 'The Fly app.';
comment on column public.brake_holds.orchestrator_id is 'The orchestrator whose brake held last.';
comment on column public.brake_holds.ends is
  'The machines that it would have ended: [{machine_id, fly_machine_id, session_id, what}].';
comment on column public.brake_holds.ceiling is 'How many ends it would have admitted.';
comment on column public.brake_holds.held_at is 'Since when it holds.';
comment on column public.brake_holds.seen_at is 'When it held last.';
comment on column public.brake_holds.released_at is 'When an operator released it.';
comment on column public.brake_holds.released_by is 'The operator.';
comment on column public.brake_holds.carried_out_at is 'When the released machines were ended.';
