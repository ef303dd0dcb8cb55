-- Generated from supabase/schemas by `npm run generate:database`: edit the files there.

-- ── schemas/foundation/schema.sql ──
-- Foundation: the private schema, the roles, and what every role may do by default.
--
-- Nothing is granted by default. Every table has row level security. There is one policy per operation, and its name
-- says what it permits. A function's grant is below the function; a table's grants and policies are in rights.sql of
-- its domain.
--
-- - orchestrator: reads everything, and writes only through the functions granted to it.
-- - session_worker: has access to its own session only (claims session_id, machine_id, epoch), through a few functions
--   and two readable tables.
-- - authenticated: members of a tenant read their tenant's rows; the platform API writes on their behalf.
-- - anon: nothing.

-- Function bodies may refer to tables and functions of domains that are applied later. A test checks all bodies.
set check_function_bodies = off;

create schema app;
comment on schema app is 'Internal functions of the product. The API does not expose this schema.';

create role orchestrator nologin noinherit;
create role session_worker nologin noinherit;
grant orchestrator, session_worker to authenticator;
grant usage on schema public, app to orchestrator, session_worker, authenticated;
alter role orchestrator set statement_timeout = '8s';
alter role session_worker set statement_timeout = '8s';

-- PostgreSQL grants EXECUTE to everybody by default; here a role has it only by an explicit grant. This statement must
-- not have `in schema`, because default privileges of a schema can only add rights.
alter default privileges revoke execute on functions from public;
-- Older hosted projects and self-hosted ones grant everything new in schema public to the API's roles. Rights must not
-- depend on the kind of project.
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;

-- ── schemas/foundation/callers.sql ──
-- The caller: functions with which the policies and functions of all domains read the request's token.

create function app.claims() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb)
$$;
comment on function app.claims() is
  'Returns the claims of the request''s token. (The roles of this project may not use the schema auth on hosted '
  'Supabase.)';
grant execute on function app.claims() to authenticated, orchestrator, session_worker;

create function app.my_tenants(p_roles text[] default array['admin', 'member', 'viewer']) returns setof uuid
language sql stable security definer set search_path = '' as $$
  select u.tenant_id from public.tenant_users u join public.tenants t on t.id = u.tenant_id
  where u.role = any (p_roles) and u.user_id = (app.claims() ->> 'sub')::uuid and t.status = 'active'
$$;
comment on function app.my_tenants(text[]) is
  'Returns the active tenants in which the caller has one of these roles; used by row level security. Data of a '
  'suspended or removed tenant is therefore closed to its users, as in the platform API. SECURITY DEFINER, so that '
  'the policy of tenant_users does not call itself.';
grant execute on function app.my_tenants(text[]) to authenticated, orchestrator, session_worker;

create function app.worker_session() returns uuid
language sql stable set search_path = '' as $$ select (app.claims() ->> 'session_id')::uuid $$;
comment on function app.worker_session() is
  'Returns the id of the one session for which a worker''s token was issued.';
grant execute on function app.worker_session() to session_worker;

create function app.worker_serves(p_session_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.interview_sessions s where s.id = p_session_id and s.id = app.worker_session()
    and s.machine_id = (app.claims() ->> 'machine_id')::uuid and s.epoch = (app.claims() ->> 'epoch')::integer
    and not app.worker_is_over(s))
$$;
comment on function app.worker_serves(uuid) is
  'Returns whether the calling worker serves this session at its current epoch and still has authority; used by row '
  'level security.';
grant execute on function app.worker_serves(uuid) to session_worker;

-- ── schemas/foundation/helpers.sql ──
-- Helper functions for all domains.

create function app.interval_ms(p_ms double precision) returns interval
language sql immutable parallel safe return make_interval(secs => p_ms / 1000.0);
comment on function app.interval_ms(double precision) is 'Converts milliseconds to an interval.';

create function app.touch() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.touch() is 'Sets updated_at before each update of a row. Trigger.';

create function app.refuse_row(p_sqlstate text, p_constraint text) returns void
language plpgsql set search_path = '' as $$
begin
  raise exception 'refused by %', coalesce(nullif(p_constraint, ''), 'a rule of the table') using errcode = p_sqlstate;
end $$;
comment on function app.refuse_row(text, text) is
  'Raises the error of a violated constraint again without its details, which would show the whole row to a caller '
  'who may read only some columns.';

create function app.max_list_bytes() returns integer language sql immutable set search_path = '' as 'select 524288';
comment on function app.max_list_bytes() is
  'Returns how many bytes of a list, as JSON text, one call returns. This is twice what a page of the API holds '
  '(maxPageBytes), so that a full page is always followed by one more row.';

create function app.texts_of(p jsonb) returns text[]
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p) = 'array' then array(select jsonb_array_elements_text(p)) end
$$;
comment on function app.texts_of(jsonb) is 'Converts a JSON array of strings to an array. Null if it is none.';

-- ── schemas/foundation/ids.sql ──
-- Functions that are defaults of columns.

create function app.new_candidate() returns uuid
language sql volatile security definer set search_path = '' as $$ insert into public.candidates default values
  returning id $$;
comment on function app.new_candidate() is
  'Creates a person and returns its id. It is the default of tenant_candidates.candidate_id, so that a tenant cannot '
  'refer to another tenant''s person.';
grant execute on function app.new_candidate() to authenticated;

-- ── schemas/foundation/states.sql ──
-- The states of sessions and machines with their ranks. The two scales must not be compared with each other.

-- This form of body is parsed when the function is created, so it needs no search_path and can be inlined. Checks call
-- it a dozen times per session. Indexes use it with the rights of the caller, so every role may call it.
create function app.rank_of(p_status text) returns smallint
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return case p_status
    when 'scheduled' then 10 when 'pending' then 20 when 'provisioning' then 30 when 'ready' then 40
    when 'connecting' then 50 when 'in_progress' then 60 when 'finalizing' then 70
    when 'ended' then 90
    when 'completed' then 90 when 'disconnected' then 90 when 'failed' then 90 when 'expired' then 90
    when 'cancelled' then 90
  end::smallint;
end $$;
comment on function app.rank_of(text) is
  'Returns the rank of a session status, null for any other text. The ranks equal sessionRanks in '
  'shared/src/session/states.ts. "ended" stands for the rank that all outcomes share; no session has this status.';
grant execute on function app.rank_of(text) to anon, authenticated, service_role, orchestrator, session_worker;

create function app.life_rank_of(p_state text) returns smallint
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return case p_state
    when 'reserved' then 10 when 'created' then 20 when 'started' then 30 when 'claimed' then 40
    when 'draining' then 50 when 'destroying' then 60 when 'destroyed' then 70
  end::smallint;
end $$;
comment on function app.life_rank_of(text) is
  'Returns the rank of a machine state, null for any other text. The ranks equal machineRanks in '
  'shared/src/session/states.ts.';
grant execute on function app.life_rank_of(text) to anon, authenticated, service_role, orchestrator, session_worker;

-- ── schemas/foundation/texts.sql ──
-- Rules for texts that people write. They equal those of shared/src/protocol/names.ts and hold for every way in.
--
-- Those of checks are in PL/pgSQL: each INSERT prepares the checks of its table anew and expands functions in SQL,
-- which took half of the time in which a candidate is stored.

create function app.is_name(p_text text, p_max integer) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return char_length(p_text) <= p_max
    and p_text !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f]'
    -- A visible character: something other than white space, joiners, direction marks, variation selectors, fillers and
    -- tags.
    and p_text ~ ('[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
      || '\u2000-\u200f\u2028-\u202f\u205f-\u206f'
      || '\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]');
end $$;
comment on function app.is_name(text, integer) is
  'Returns whether a text is valid as a name, title, status or id: not longer than allowed, with at least one '
  'visible character and without control characters other than tabs and line breaks.';

create function app.is_email(p_text text) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return char_length(p_text) <= 254
    and p_text !~ ('[\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
      || '\u2000-\u200f\u2028-\u202f\u205f-\u206f'
      || '\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]')
    and p_text ~ (
      '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+)*'
      || '@([A-Za-z0-9\u0080-\U0010ffff]+(-+[A-Za-z0-9\u0080-\U0010ffff]+)*\.)+'
      || '[A-Za-z\u0080-\U0010ffff][A-Za-z0-9\u0080-\U0010ffff]*(-+[A-Za-z0-9\u0080-\U0010ffff]+)*$');
end $$;
comment on function app.is_email(text) is
  'Returns whether a text has the form of an e-mail address. Letters of any script are allowed on both sides of the '
  '@.';

create function app.folded(p_text text) returns text
language sql immutable parallel safe return lower(normalize(p_text, nfc));
comment on function app.folded(text) is
  'Returns a text in the form used for comparison: without case, and with composed and combined accents treated '
  'alike.';

-- Checks use these functions for candidates and positions, which members of a tenant may write directly.
grant execute on function app.is_name(text, integer), app.is_email(text), app.folded(text)
  to authenticated, orchestrator;

-- ── schemas/tenants/tables.sql ──
-- Tenants: customer organisations, their Fly apps, their quotas and limits.
--
-- - Every row that belongs to a tenant carries tenant_id. Every table has row level security.
-- - Every function takes the tenant as an argument. A row of another tenant is answered as if it did not exist.
-- - An administrative act and its audit entry are one transaction. p_by = {actor, remote_address, request_id}.
-- - Every step of onboarding and removal may be repeated; it continues from what exists.
-- - Test mode is a tenant of its own that belongs to a live one (live_tenant_id), so that no query needs a condition to
--   keep live and test rows apart.
-- - A tenant's row is locked FOR NO KEY UPDATE. A stronger lock would block every insert that refers to it.

create table public.tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null check (char_length(name) between 1 and 200),
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
  status text not null default 'active' check (status in ('active', 'suspended', 'removing', 'removed')),
  settings jsonb not null default '{}'::jsonb check (jsonb_typeof(settings) = 'object'),
  max_live_sessions integer not null default 50 check (max_live_sessions >= 0),
  max_duration_ms integer not null default 10800000 check (max_duration_ms between 60000 and 10800000),
  allowed_regions text[] check (allowed_regions is null or cardinality(allowed_regions) > 0),
  allowed_origins text[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  starts_per_minute integer check (starts_per_minute >= 1),
  max_standby integer not null default 0 check (max_standby >= 0),
  require_consent boolean not null default false,
  consent_text_version text check (char_length(consent_text_version) between 1 and 100),
  transcript_days integer check (transcript_days >= 1),
  video_days integer check (video_days >= 1),
  audit_days integer check (audit_days >= 30),
  event_days integer default 90 check (event_days >= 30),
  usage_days integer default 800 check (usage_days >= 90),
  on_consent_withdrawn text not null default 'erase_interview' check (on_consent_withdrawn in ('erase_interview',
    'erase_candidate', 'review')),
  live_tenant_id uuid unique references public.tenants (id),
  test boolean not null generated always as (live_tenant_id is not null) stored,
  constraint required_consent_has_a_text check (not require_consent or consent_text_version is not null)
);
comment on table public.tenants is 'Customer organisations. Each has its own Fly apps, network, keys, quotas and rows.';
comment on column public.tenants.name is 'The tenant''s name for people.';
comment on column public.tenants.slug is 'Short name used in names of Fly apps and networks.';
comment on column public.tenants.status is 'active, suspended (nothing starts), removing, removed.';
comment on column public.tenants.settings is 'Tenant-wide defaults, such as the interviewer template. Never secrets.';
comment on column public.tenants.max_live_sessions is
  'Quota: sessions that have not ended, counted atomically in tenant_counters.';
comment on column public.tenants.max_duration_ms is
  'Quota: the longest interview that may be requested, milliseconds.';
comment on column public.tenants.allowed_regions is 'Regions in which its machines may run; null: any.';
comment on column public.tenants.allowed_origins is
  'Browser origins that may open a candidate''s socket; empty: any.';
comment on column public.tenants.starts_per_minute is
  'Quota: number of sessions that may be started per minute, counted in tenant_counters; null: no limit.';
comment on column public.tenants.max_standby is
  'Quota: the maximum sum of the ceilings of its pools, for standby and hot machines together.';
comment on column public.tenants.require_consent is
  'Whether an interview may start only after the candidate''s recorded consent. Copied to new sessions.';
comment on column public.tenants.consent_text_version is
  'The tenant''s name for the text to which its candidates consent.';
comment on column public.tenants.transcript_days is
  'Transcripts and results are erased this many days after a session''s end; null keeps them.';
comment on column public.tenants.video_days is
  'Recordings are deleted this many days after a session''s end; null keeps them.';
comment on column public.tenants.audit_days is
  'Audit entries are deleted after this many days, at least 30; null keeps them.';
comment on column public.tenants.event_days is
  'Events are deleted after this many days, at least 30; null keeps them.';
comment on column public.tenants.usage_days is
  'Usage and cost of machines are deleted after this many days, at least 90; null keeps them.';
comment on column public.tenants.on_consent_withdrawn is
  'What follows when a candidate withdraws consent: erase_interview, erase_candidate or review (an operator decides). '
  'Copied to new sessions.';
comment on column public.tenants.live_tenant_id is
  'Set for the test mode of a tenant: the live tenant to which it belongs. Never changes.';
comment on column public.tenants.test is 'True for the test mode of a tenant. Its keys begin with gr_test_.';
create trigger touch before update on public.tenants for each row execute function app.touch();

create table public.consent_texts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  version text not null check (char_length(version) between 1 and 100),
  text text not null check (char_length(text) between 1 and 20000),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, version)
);
comment on table public.consent_texts is
  'The texts to which a tenant''s candidates consent, at most 100 per tenant. A stored text never changes, because '
  'candidates must be shown the text to which they agreed.';
comment on column public.consent_texts.version is 'The tenant''s name for the text.';
comment on column public.consent_texts.text is 'The text that the candidate is shown.';

create table public.tenant_counters (
  tenant_id uuid primary key references public.tenants (id) on delete cascade,
  live_sessions integer not null default 0 check (live_sessions >= 0),
  next_start_at timestamptz not null default '-infinity',
  quota_reached_at timestamptz not null default '-infinity'
);
comment on table public.tenant_counters is
  'Frequently updated counters of a tenant. They are separate from its row, because every creation and every ending '
  'of a session locks them.';
comment on column public.tenant_counters.live_sessions is
  'Number of sessions that count as live: begun and not ended.';
comment on column public.tenant_counters.next_start_at is
  'GCRA of starts_per_minute: the theoretical arrival time of the next start.';
comment on column public.tenant_counters.quota_reached_at is
  'When quota.reached was last emitted. It is emitted at most once an hour.';

create table public.tenant_apps (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'),
  tenant_id uuid not null references public.tenants (id),
  network text not null,
  status text not null default 'planned' check (status in ('planned', 'ready', 'removing', 'removed')),
  creates_per_second numeric not null default 1 check (creates_per_second > 0),
  create_burst integer not null default 3 check (create_burst >= 1),
  next_create_at timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  next_list_at timestamptz not null default '-infinity'
);
comment on table public.tenant_apps is
  'Fly apps of a tenant. Several apps multiply its create rate, because Fly limits it per app.';
comment on column public.tenant_apps.name is 'Name of the app at Fly.';
comment on column public.tenant_apps.network is
  'Name of the private network on which the app was created. It cannot be changed at Fly.';
comment on column public.tenant_apps.status is 'planned (being created), ready, removing, removed.';
comment on column public.tenant_apps.creates_per_second is 'Fly''s documented limit: 1 create per second and app.';
comment on column public.tenant_apps.create_burst is 'Fly''s documented short-term burst: 3.';
comment on column public.tenant_apps.next_create_at is
  'GCRA: the theoretical arrival time of the next create; every orchestrator draws from this row.';
comment on column public.tenant_apps.next_list_at is
  'GCRA of list requests, which Fly limits per app too: every orchestrator draws from this row.';
create index tenant_apps_tenant on public.tenant_apps (tenant_id);
create trigger touch before update on public.tenant_apps for each row execute function app.touch();

-- Unlogged, to save writes to the log. After a crash of the database every limit starts again, which does no harm.
create unlogged table public.rate_limits (
  scope text primary key check (char_length(scope) between 1 and 200),
  next_at timestamptz not null
);
comment on table public.rate_limits is
  'GCRA of limits that all orchestrators share, one row per scope such as key:<id> or tenant:<id>.';
comment on column public.rate_limits.scope is 'What the limit applies to.';
comment on column public.rate_limits.next_at is 'Theoretical arrival time of the next request.';

-- ── schemas/access/tables.sql ──
-- Access: members of a tenant, API keys, credentials at providers, invitations.
--
-- - A secret is stored hashed, or encrypted with the id of its key; never in plain text.

create table public.tenant_users (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member' check (role in ('admin', 'member', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
comment on table public.tenant_users is 'Members of tenants and their roles: admin, member or viewer.';
comment on column public.tenant_users.user_id is 'The user in Supabase Auth.';
comment on column public.tenant_users.role is
  'viewer can read; member can also write candidates and positions; admin can also manage users.';
create index tenant_users_user on public.tenant_users (user_id);

create table public.api_keys (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 200),
  prefix text not null,
  key_hash text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
  scopes text[] not null default '{sessions:read,sessions:write}',
  created_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  replaced_by uuid references public.api_keys (id) on delete set null,
  api_version text check (api_version ~ '^\d{4}-\d{2}-\d{2}$')
);
comment on table public.api_keys is
  'A tenant''s keys for the platform API. The key itself is shown once and is not stored.';
comment on column public.api_keys.name is 'The tenant''s name for the key.';
comment on column public.api_keys.prefix is 'The first characters of the key, by which people recognise it.';
comment on column public.api_keys.key_hash is
  'SHA-256 of the key, hex. The key has 256 bits of entropy, so no slow hash is needed.';
comment on column public.api_keys.scopes is 'What the key may be used for, such as sessions:read.';
comment on column public.api_keys.created_by is
  'The user who created the key; null if an API key or an operator did.';
comment on column public.api_keys.expires_at is 'The key is refused from this time on; null: never.';
comment on column public.api_keys.revoked_at is 'The key is refused from this time on.';
comment on column public.api_keys.replaced_by is
  'The key that replaced this one in a rotation. This one stays valid until expires_at.';
comment on column public.api_keys.api_version is
  'The version of the platform API that requests with this key get; null: the newest.';
create index api_keys_tenant on public.api_keys (tenant_id, created_at desc, id desc);
create index api_keys_replaced_by on public.api_keys (replaced_by) where replaced_by is not null;

create table public.provider_credentials (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
  base_url text check (char_length(base_url) between 1 and 300),
  ciphertext text not null,
  key_id text not null check (char_length(key_id) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (tenant_id, provider)
);
comment on table public.provider_credentials is
  'A tenant''s own credentials for providers. No role can read the table; functions return a credential to '
  'orchestrators only.';
comment on column public.provider_credentials.provider is 'The provider, such as openai.';
comment on column public.provider_credentials.base_url is
  'Where the credential is valid: a project of a region, or an Azure resource, has a base URL of its own. Null: the '
  'deployment''s.';
comment on column public.provider_credentials.ciphertext is
  'AES-256-GCM, bound to tenant, provider and base URL; the key is in the orchestrators'' environment.';
comment on column public.provider_credentials.key_id is
  'The key with which the credential is encrypted. The rotation looks for others than the current one.';
comment on column public.provider_credentials.rotated_at is
  'When the credential was last encrypted with another key.';
create index provider_credentials_key on public.provider_credentials (key_id);
create trigger touch before update on public.provider_credentials for each row execute function app.touch();

-- ── schemas/people/tables.sql ──
-- People: candidates, positions, consent, erasure and retention of personal data.
--
-- - What a tenant knows of a candidate is in tenant_candidates. An e-mail address is unique within a tenant, not
--   across tenants. An erasure touches only the tenant's own rows; another tenant that knows the same person
--   keeps its data.
-- - After its candidate is erased, a session keeps times, region, ending, usage and cost, which accounting
--   needs. No name, nothing that was said and none of the platform's metadata remain.
-- - Erased data does not come back. Late writers are refused with PT410.
-- - A withdrawal of consent is stored on the session, because it remains after the consent and the candidate are
--   erased. It stops recording and evaluating at once. The interview is erased when the session has ended.

create table public.candidates (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now()
);
comment on table public.candidates is
  'Persons who are interviewed. A tenant''s data about a person is in tenant_candidates.';

create table public.tenant_candidates (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  candidate_id uuid not null default app.new_candidate() references public.candidates (id) on delete cascade,
  name text not null check (app.is_name(name, 200)),
  email text check (app.is_email(email)),
  external_id text check (app.is_name(external_id, 200)),
  status text check (app.is_name(status, 100)),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  erased_at timestamptz,
  erasure_requested_at timestamptz,
  erasure_requested_by jsonb,
  primary key (tenant_id, candidate_id)
);
comment on table public.tenant_candidates is
  'One tenant''s data about a candidate. Two tenants that know the same person cannot see each other''s data.';
comment on column public.tenant_candidates.candidate_id is 'The person.';
comment on column public.tenant_candidates.name is 'The person''s name, as this tenant knows it.';
comment on column public.tenant_candidates.email is 'E-mail address; unique within the tenant, regardless of case.';
comment on column public.tenant_candidates.external_id is 'The tenant''s own id of the candidate.';
comment on column public.tenant_candidates.status is 'The tenant''s own status of the candidate, as free text.';
comment on column public.tenant_candidates.erased_at is
  'When all personal data was erased. The row remains because sessions refer to it.';
comment on column public.tenant_candidates.erasure_requested_at is
  'When erasure was requested. It is done as soon as the candidate''s sessions have ended.';
comment on column public.tenant_candidates.erasure_requested_by is
  'Who requested the erasure: {actor, remote_address, request_id}, for the audit log.';
create unique index tenant_candidates_email on public.tenant_candidates (tenant_id, app.folded(email))
  where email is not null;
create unique index tenant_candidates_external on public.tenant_candidates (external_id, tenant_id)
  where external_id is not null;
create index tenant_candidates_candidate on public.tenant_candidates (candidate_id);
create index tenant_candidates_newest on public.tenant_candidates (tenant_id, created_at desc, candidate_id desc);
create index tenant_candidates_to_erase on public.tenant_candidates (erasure_requested_at)
  where erasure_requested_at is not null and erased_at is null;
create trigger touch before update on public.tenant_candidates for each row execute function app.touch();

create table public.positions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  title text not null check (app.is_name(title, 200)),
  description text check (char_length(description) <= 10000
    and description !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f]'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (tenant_id, id)
);
comment on table public.positions is 'Job openings for which a tenant interviews.';
comment on column public.positions.title is 'Title of the opening.';
comment on column public.positions.description is
  'Description for the interviewer. It must not contain expected answers, because candidates can read it.';
create index positions_newest on public.positions (tenant_id, created_at desc, id desc);
create trigger touch before update on public.positions for each row execute function app.touch();

-- ── schemas/sessions/tables.sql ──
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

-- ── schemas/machines/tables.sql ──
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

-- ── schemas/fleet/tables.sql ──
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

-- ── schemas/phases/tables.sql ──
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

-- ── schemas/conversation/tables.sql ──
-- Conversation: the realtime calls of a session and the transcript.
--
-- - The sideband's text is trusted and takes precedence. A browser's copy fills gaps and is stored as
--   unverified.
-- - A copy never changes a verified entry: not its text, link, times or place. Nor does it change another copy.
-- - A candidate's correction stands beside the text of an entry and never changes it.
-- - An entry is identified by (session, call ordinal, provider item id). Its place in the conversation is computed
--   on reading and not stored.
-- - A row of realtime_calls without hung_up_at is a call that must still be hung up.

create table public.realtime_calls (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  ordinal integer not null check (ordinal >= 1),
  epoch integer not null,
  provider text not null,
  call_id text,
  credential_ciphertext text,
  credential_expires_at timestamptz,
  opened_at timestamptz not null default now(),
  answered_at timestamptz,
  hung_up_at timestamptz,
  hang_up_attempts integer not null default 0,
  next_hang_up_at timestamptz,
  missing_since timestamptz,
  unique (session_id, ordinal)
);
comment on table public.realtime_calls is
  'WebRTC calls between browser and voice provider. A row without hung_up_at is a call that must still be hung up.';
comment on column public.realtime_calls.session_id is 'The session of the call.';
comment on column public.realtime_calls.ordinal is 'The number of the call within its session: 1, 2, …';
comment on column public.realtime_calls.epoch is 'The epoch of the worker that created the row or last reused it.';
comment on column public.realtime_calls.provider is 'The voice provider of the call.';
comment on column public.realtime_calls.call_id is
  'The provider''s id of the call; null until an offer was answered.';
comment on column public.realtime_calls.credential_ciphertext is
  'The ephemeral credential that created the call, AES-256-GCM. Only it can hang up the call. Cleared after the '
  'hang-up.';
comment on column public.realtime_calls.credential_expires_at is 'When the credential expires.';
comment on column public.realtime_calls.opened_at is 'When the row was created, before any offer was sent.';
comment on column public.realtime_calls.answered_at is 'When the provider answered the offer.';
comment on column public.realtime_calls.hung_up_at is
  'When the call was over at the provider. Null: it must still be hung up.';
comment on column public.realtime_calls.hang_up_attempts is 'How often orchestrators have tried to hang up.';
comment on column public.realtime_calls.next_hang_up_at is 'When the next attempt to hang up is due.';
comment on column public.realtime_calls.missing_since is
  'Since when the provider has answered every hang-up with "no such call". After long enough the call counts as '
  'over.';
create index realtime_calls_call on public.realtime_calls (call_id) where call_id is not null;
create index realtime_calls_open on public.realtime_calls (session_id) where hung_up_at is null;
create index realtime_calls_tenant on public.realtime_calls (tenant_id);

create table public.transcript_entries (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  call_ordinal integer not null check (call_ordinal >= 1),
  item_id text not null check (char_length(item_id) between 1 and 128),
  previous_item_id text check (char_length(previous_item_id) <= 128),
  speaker text not null check (speaker in ('ai', 'candidate')),
  text text not null check (char_length(text) <= 20000),
  confidence numeric check (confidence between 0 and 1),
  start_ms bigint check (start_ms >= 0),
  end_ms bigint check (end_ms >= 0),
  interrupted boolean not null default false,
  verified boolean not null,
  correction text check (char_length(correction) between 1 and 2000),
  corrected_at timestamptz,
  arrival bigint generated by default as identity,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (session_id, call_ordinal, item_id)
);
comment on table public.transcript_entries is
  'Transcript entries. Identity: (session, call ordinal, provider item id). sequence_number is computed on reading.';
comment on column public.transcript_entries.session_id is
  'The session; part of the identity with call_ordinal and item_id.';
comment on column public.transcript_entries.call_ordinal is 'The number of the call within its session.';
comment on column public.transcript_entries.item_id is 'The provider''s id of the conversation item.';
comment on column public.transcript_entries.previous_item_id is
  'The preceding item of the same call, as the provider names it; null for the first.';
comment on column public.transcript_entries.speaker is 'ai or candidate.';
comment on column public.transcript_entries.text is
  'The words that were spoken. Empty for an item that only keeps its place in the order.';
comment on column public.transcript_entries.confidence is
  'The transcriber''s confidence, 0 to 1; null if it gave none.';
comment on column public.transcript_entries.start_ms is
  'When the entry began, milliseconds since the interview started.';
comment on column public.transcript_entries.end_ms is
  'When the entry ended, milliseconds since the interview started.';
comment on column public.transcript_entries.interrupted is
  'True if the candidate spoke over the entry and did not hear it to the end.';
comment on column public.transcript_entries.verified is 'False if only the candidate''s browser reported the entry.';
comment on column public.transcript_entries.correction is
  'What the candidate says they really said. It stands beside the text and never replaces it; null: no correction.';
comment on column public.transcript_entries.corrected_at is 'When the candidate corrected the entry.';
comment on column public.transcript_entries.arrival is
  'Order of arrival. It decides the order only where the links between entries do not.';
create index transcript_entries_tenant on public.transcript_entries (tenant_id);
create trigger touch before update on public.transcript_entries for each row execute function app.touch();

-- The CHECKs of this table limit the size of a session's transcript. A write that would exceed them changes nothing.
create table public.transcript_writes (
  session_id uuid primary key references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  entries integer not null default 0 check (entries <= 50000),
  characters bigint not null default 0 check (characters <= 50000000),
  copies integer not null default 0 check (copies <= 3000),
  copied_characters bigint not null default 0 check (copied_characters <= 2000000),
  late_copies integer not null default 0 check (late_copies <= 15),
  late_entries integer not null default 0 check (late_entries <= 100),
  corrections integer not null default 0 check (corrections <= 300)
);
comment on table public.transcript_writes is
  'How much has been written to each session''s transcript; updated by app.merge_transcript.';
comment on column public.transcript_writes.session_id is 'The session of the transcript.';
comment on column public.transcript_writes.entries is 'Number of verified entries that were stored or changed.';
comment on column public.transcript_writes.characters is 'Number of characters of these entries.';
comment on column public.transcript_writes.copies is
  'Number of copies of the candidate''s browser that were stored, including those that a verified entry has '
  'replaced.';
comment on column public.transcript_writes.copied_characters is 'Number of characters of these copies.';
comment on column public.transcript_writes.late_copies is
  'Number of writes after the session''s end that contained copies only. Each is an event and requests a new '
  'evaluation.';
comment on column public.transcript_writes.late_entries is
  'The same for writes with verified entries. Counted separately, so that copies cannot use up what a teardown '
  'needs.';
comment on column public.transcript_writes.corrections is
  'Number of changes by correct_entry. Each change after the session''s end requests a new evaluation.';
create index transcript_writes_tenant on public.transcript_writes (tenant_id);

-- ── schemas/results/tables.sql ──
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

-- ── schemas/recordings/tables.sql ──
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

-- ── schemas/webhooks/tables.sql ──
-- Webhooks: an outbox. Deliveries are written in the transaction of their event, and any orchestrator sends them.
--
-- - A tenant receives the events that app.event_audience allows: all except those of machines.
-- - A delivery is taken until taken_until. If its taker dies, another orchestrator takes it after that time. A
--   report counts only for the attempt that was taken, so it cannot overwrite a replay.
-- - An endpoint receives the deliveries of one session in the order of its events. A later delivery waits while
--   an earlier one is new, under way, or failed once; after the second failure it no longer waits (holds). The
--   ids of a session's events follow their commits (app.emit).
-- - The number of deliveries under way is limited per endpoint and per tenant, across all orchestrators. An
--   endpoint that keeps failing gets one at a time. After a day without a success the tenant is told
--   (webhook.failing), after three days the endpoint is disabled (webhook.disabled).
-- - A payload contains ids and states. It contains no names and no text of the conversation.

create table public.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  url text not null check (url ~ '^https?://' and char_length(url) <= 2000),
  events text[] not null default '{}',
  payload text not null default 'full' check (payload in ('full', 'thin')),
  secret_ciphertext text not null,
  previous_secret_ciphertext text,
  previous_secret_until timestamptz,
  key_id text not null,
  enabled boolean not null default true,
  disabled_reason text,
  failures integer not null default 0 check (failures >= 0),
  failing_since timestamptz,
  warned_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.webhook_endpoints is 'URLs at which a tenant receives events of its sessions.';
comment on column public.webhook_endpoints.url is
  'The URL. It must pass the SSRF guard at each delivery, not only when it is stored.';
comment on column public.webhook_endpoints.events is 'Event types to deliver; empty: all.';
comment on column public.webhook_endpoints.payload is
  'full: the data of the event. thin: only its type, its time and the session''s id.';
comment on column public.webhook_endpoints.secret_ciphertext is
  'The signing secret (Standard Webhooks), AES-256-GCM; shown once.';
comment on column public.webhook_endpoints.previous_secret_ciphertext is
  'The secret before a rotation; deliveries are signed with both until previous_secret_until.';
comment on column public.webhook_endpoints.previous_secret_until is 'End of the overlap of a rotation.';
comment on column public.webhook_endpoints.key_id is 'The key with which the secrets are encrypted.';
comment on column public.webhook_endpoints.enabled is 'False: nothing is delivered, and due deliveries wait.';
comment on column public.webhook_endpoints.disabled_reason is
  'Why it was disabled: by the tenant, because it answered 410 Gone, or because nothing was delivered for days.';
comment on column public.webhook_endpoints.failures is
  'Failed attempts since the last success, counted up to 100. From the third on, only one delivery at a time is '
  'tried.';
comment on column public.webhook_endpoints.failing_since is
  'The first failed attempt since the last success, or since it was enabled; null if there is none.';
comment on column public.webhook_endpoints.warned_at is
  'When webhook.failing was emitted; null until then, and again after a success.';
create index webhook_endpoints_failing on public.webhook_endpoints (failing_since) where failing_since is not null;
create index webhook_endpoints_tenant on public.webhook_endpoints (tenant_id);
create trigger touch before update on public.webhook_endpoints for each row execute function app.touch();

create table public.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  endpoint_id uuid not null references public.webhook_endpoints (id) on delete cascade,
  session_id uuid references public.interview_sessions (id) on delete cascade,
  event_id bigint references public.session_events (id) on delete cascade,
  type text not null,
  payload jsonb not null check (jsonb_typeof(payload) = 'object'),
  status text not null default 'pending' check (status in ('pending', 'delivered', 'dead')),
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  taken_until timestamptz,
  holds boolean not null default false check (not holds or (session_id is not null and event_id is not null)),
  last_status integer,
  last_error text,
  log jsonb not null default '[]' check (jsonb_typeof(log) = 'array'),
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  unique (endpoint_id, event_id)
);
comment on table public.webhook_deliveries is
  'Outbox of webhooks: one row per endpoint and event, retried until delivered or dead. It can be replayed.';
comment on column public.webhook_deliveries.endpoint_id is 'The endpoint to which it is delivered.';
comment on column public.webhook_deliveries.session_id is
  'The session of the event; null for a test message and an event of the tenant.';
comment on column public.webhook_deliveries.event_id is
  'The event that caused it. Endpoint and event identify the delivery.';
comment on column public.webhook_deliveries.type is 'The event type.';
comment on column public.webhook_deliveries.payload is
  'The body as it is signed and sent. Deleted when the candidate is erased.';
comment on column public.webhook_deliveries.status is 'pending, delivered, or dead after the last attempt.';
comment on column public.webhook_deliveries.attempts is 'Number of attempts so far.';
comment on column public.webhook_deliveries.next_attempt_at is
  'When the next attempt is due. Whoever takes the delivery moves it forward first.';
comment on column public.webhook_deliveries.taken_until is 'An attempt is in progress until then; null if none is.';
comment on column public.webhook_deliveries.holds is
  'Whether later deliveries of its session to the same endpoint wait for it. False from its second failure on, in a '
  'replay and in a test message.';
comment on column public.webhook_deliveries.last_status is
  'HTTP status of the last attempt; null if there was no answer.';
comment on column public.webhook_deliveries.last_error is 'The last error, without bodies or secrets.';
comment on column public.webhook_deliveries.log is
  'The last 20 attempts, oldest first: {at, ms, status, error, answer}. ms: how long it took. answer: the first 500 '
  'characters of the answer''s body. Emptied when the candidate is erased.';
comment on column public.webhook_deliveries.delivered_at is 'When an answer with status 2xx was received.';
create index webhook_deliveries_in_order on public.webhook_deliveries (endpoint_id, session_id, event_id)
  where status = 'pending' and holds;
create index webhook_deliveries_loose on public.webhook_deliveries (endpoint_id, next_attempt_at)
  where status = 'pending' and not holds;
create index webhook_deliveries_under_way on public.webhook_deliveries (endpoint_id)
  where status = 'pending' and taken_until is not null;
create index webhook_deliveries_tenant on public.webhook_deliveries (tenant_id, created_at);
create index webhook_deliveries_session on public.webhook_deliveries (session_id) where session_id is not null;
create index webhook_deliveries_event on public.webhook_deliveries (event_id) where event_id is not null;
create index webhook_deliveries_endpoint on public.webhook_deliveries (endpoint_id, created_at desc, id desc);

-- ── schemas/audit/tables.sql ──
-- Audit: who did what to which tenant.

create table public.audit_log (
  id bigint generated always as identity primary key,
  tenant_id uuid references public.tenants (id) on delete cascade,
  actor text not null,
  action text not null,
  target text,
  outcome text not null check (outcome in ('done', 'refused')),
  remote_address text,
  request_id text,
  details jsonb not null default '{}'::jsonb,
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.audit_log is
  'Administrative acts and refused credentials: actor, action, target, address, time and request id. Append-only.';
comment on column public.audit_log.actor is
  'Who acted: user:<id>, key:<id>, worker:<machine>, operator:<name>, retention, webhooks.';
comment on column public.audit_log.action is 'What was done or refused, such as api_key.create.';
comment on column public.audit_log.target is 'What the action was applied to.';
comment on column public.audit_log.outcome is 'done or refused.';
comment on column public.audit_log.remote_address is 'The address from which the request came.';
comment on column public.audit_log.request_id is 'The request in which it happened.';
comment on column public.audit_log.details is 'Further details. Never secrets.';
create index audit_log_tenant on public.audit_log (tenant_id, id);
create index audit_log_actor on public.audit_log (actor, id);
create index audit_log_target on public.audit_log (target, id) where target is not null;
create index audit_log_request on public.audit_log (request_id) where request_id is not null;
create index audit_log_age on public.audit_log (tenant_id, created_at);

-- ── schemas/requests/tables.sql ──
-- Requests: what a tenant's keys and users have asked the platform API lately.

create table public.api_requests (
  id bigint generated always as identity,
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  actor text not null,
  request_id text not null,
  method text not null,
  path text not null,
  status smallint not null,
  code text,
  took_ms integer not null,
  created_at timestamptz not null,
  primary key (tenant_id, id)
);
comment on table public.api_requests is
  'The recent requests of each tenant to the platform API, for its developers. Written in batches; rows may be missing '
  'after a crash. No bodies, no parameters, no addresses.';
comment on column public.api_requests.actor is 'Who asked: key:<id> or user:<id>.';
comment on column public.api_requests.request_id is 'The id in the header x-request-id. A client may choose it.';
comment on column public.api_requests.method is 'The HTTP method.';
comment on column public.api_requests.path is 'The template of the path, such as /api/sessions/{id}.';
comment on column public.api_requests.status is 'The HTTP status of the answer.';
comment on column public.api_requests.code is 'The code of the problem that was answered; null if there was none.';
comment on column public.api_requests.took_ms is 'Time until the answer was sent, ms.';
comment on column public.api_requests.created_at is 'When the answer had been sent.';

-- ── schemas/operators/tables.sql ──
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

-- ── schemas/simulations/tables.sql ──
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

-- ── schemas/access/api-keys.sql ──
create function public.authenticate_api_keys(p_hashes text[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('key_hash', k.key_hash, 'key_id', k.id, 'tenant_id', k.tenant_id,
    'scopes', to_jsonb(k.scopes), 'tenant_status', t.status, 'test', t.test,
    'allowed_regions', to_jsonb(t.allowed_regions), 'api_version', k.api_version)), '[]')
  from public.api_keys k join public.tenants t on t.id = k.tenant_id
  where k.key_hash = any (p_hashes) and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function public.authenticate_api_keys(text[]) is
  'Returns the valid keys among these hashes, with tenant, scopes and the regions the tenant may use. The API calls '
  'it to authenticate requests, many keys in one call. Revoked and expired keys are left out.';
grant execute on function public.authenticate_api_keys(text[]) to orchestrator;

create function app.api_key_json(k public.api_keys) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'name', k.name, 'prefix', k.prefix,
    'scopes', to_jsonb(k.scopes),
    'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
    'replaced_by', k.replaced_by, 'api_version', k.api_version)
$$;
comment on function app.api_key_json(public.api_keys) is
  'Returns an API key as the API shows it. The hash is never part of it.';

create function app.max_valid_keys() returns integer language sql immutable set search_path = '' as 'select 200';
comment on function app.max_valid_keys() is 'Returns how many valid API keys a tenant may have.';

create function app.valid_keys(p_tenant_id uuid) returns bigint
language sql stable set search_path = '' as $$
  select count(*) from public.api_keys k where k.tenant_id = p_tenant_id and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;
comment on function app.valid_keys(uuid) is
  'Counts a tenant''s API keys that are neither revoked nor expired. A replaced key counts until it expires.';

create function public.create_api_key(p_tenant_id uuid, p_name text, p_prefix text, p_key_hash text, p_scopes text[],
  p_by jsonb,
  p_created_by uuid default null, p_expires_ms bigint default null, p_api_version text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  k public.api_keys;
begin
  perform 1 from public.tenants where id = p_tenant_id and status in ('active', 'suspended')
    and test = (p_prefix like 'gr\_test\_%') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if app.valid_keys(p_tenant_id) >= app.max_valid_keys() then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', app.max_valid_keys());
  end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at, api_version)
    values (p_tenant_id, p_name, p_prefix, p_key_hash, p_scopes, p_created_by,
      clock_timestamp() + app.interval_ms(p_expires_ms), p_api_version) returning * into k;
  perform app.audit(p_by, p_tenant_id, 'api_key.create', k.id::text,
    jsonb_build_object('prefix', p_prefix, 'scopes', to_jsonb(p_scopes)));
  return jsonb_build_object('kind', 'created', 'key', app.api_key_json(k));
end $$;
comment on function public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint, text) is
  'Stores the hash of a new API key; called by the API. Returns kind: created, limit_exceeded (the tenant has '
  'max_valid_keys), not_found (also when the '
  'prefix is not that of the tenant''s mode).';
grant execute on function public.create_api_key(uuid, text, text, text, text[], jsonb, uuid, bigint, text)
  to orchestrator;

create function public.rotate_api_key(p_tenant_id uuid, p_key_id uuid, p_prefix text, p_key_hash text,
  p_overlap_ms bigint, p_by jsonb, p_api_version text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  o public.api_keys;
  k public.api_keys;
begin
  perform 1 from public.tenants where id = p_tenant_id for no key update;
  select * into o from public.api_keys where id = p_key_id and tenant_id = p_tenant_id for update;
  if not found or o.revoked_at is not null or o.expires_at <= clock_timestamp() then
    return jsonb_build_object('kind', 'not_found');
  end if;
  if o.replaced_by is not null then
    return jsonb_build_object('kind', 'already_rotated', 'replaced_by', o.replaced_by);
  end if;
  -- Without an overlap the old key ends now, so the number of valid keys stays the same.
  if p_overlap_ms > 0 and app.valid_keys(p_tenant_id) >= app.max_valid_keys() then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', app.max_valid_keys());
  end if;
  insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at, api_version)
    values (p_tenant_id, o.name, p_prefix, p_key_hash, o.scopes, o.created_by, o.expires_at,
      coalesce(p_api_version, o.api_version)) returning * into k;
  update public.api_keys set replaced_by = k.id,
    expires_at = least(expires_at, clock_timestamp() + app.interval_ms(p_overlap_ms))
    where id = o.id returning * into o;
  perform app.audit(p_by, p_tenant_id, 'api_key.rotate', o.id::text, jsonb_build_object('replaced_by', k.id));
  return jsonb_build_object('kind', 'rotated', 'key', app.api_key_json(k), 'previous', app.api_key_json(o));
end $$;
comment on function public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb, text) is
  'Creates a new API key in place of an old one, which stays valid for p_overlap_ms at most; called by the API. The '
  'new key keeps the API version unless p_api_version is given. '
  'Returns kind: rotated, already_rotated, limit_exceeded (the tenant has max_valid_keys; a rotation without overlap '
  'is possible), not_found (also for a revoked or expired key).';
grant execute on function public.rotate_api_key(uuid, uuid, text, text, bigint, jsonb, text) to orchestrator;

create function public.revoke_api_key(p_tenant_id uuid, p_key_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  k public.api_keys;
begin
  select * into k from public.api_keys where id = p_key_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if k.revoked_at is null then
    update public.api_keys set revoked_at = clock_timestamp() where id = k.id returning * into k;
    perform app.audit(p_by, p_tenant_id, 'api_key.revoke', k.id::text);
  end if;
  return jsonb_build_object('kind', 'revoked', 'key', app.api_key_json(k));
end $$;
comment on function public.revoke_api_key(uuid, uuid, jsonb) is
  'Revokes an API key as soon as the transaction commits; called by the API. A second call changes nothing. Returns '
  'kind: revoked, not_found.';
grant execute on function public.revoke_api_key(uuid, uuid, jsonb) to orchestrator;

create function public.get_api_key(p_tenant_id uuid, p_key_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.api_key_json(k) from public.api_keys k where k.tenant_id = p_tenant_id and k.id = p_key_id
$$;
comment on function public.get_api_key(uuid, uuid) is
  'Returns a tenant''s API key, also a revoked or expired one; called by the API. Null if there is none.';
grant execute on function public.get_api_key(uuid, uuid) to orchestrator;

create function public.list_api_keys(p_tenant_id uuid, p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.api_key_json(x::public.api_keys) order by x.created_at desc, x.id desc), '[]') from (
    select * from public.api_keys k
    where k.tenant_id = p_tenant_id and (p_before is null or (k.created_at, k.id) < (p_before, p_before_id))
    order by k.created_at desc, k.id desc limit p_limit) x
$$;
comment on function public.list_api_keys(uuid, integer, timestamptz, uuid) is
  'Lists a tenant''s API keys, including revoked and expired ones, newest first, after the one with this time and '
  'id; called by the API.';
grant execute on function public.list_api_keys(uuid, integer, timestamptz, uuid) to orchestrator;

-- ── schemas/access/members.sql ──
create function public.tenants_of_user(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'slug', t.slug, 'name', t.name, 'status', t.status,
    'role', u.role,
    'allowed_regions', t.allowed_regions) order by t.slug), '[]')
  from public.tenant_users u join public.tenants t on t.id = u.tenant_id
  where u.user_id = p_user_id and t.status in ('active', 'suspended')
$$;
comment on function public.tenants_of_user(uuid) is
  'Lists the tenants of a user, with the user''s role in each. The API calls it to authenticate a user and caches '
  'the result briefly. Roles are not read from the token, because a token would still carry a role after it was '
  'withdrawn.';
grant execute on function public.tenants_of_user(uuid) to orchestrator;

create function public.put_tenant_user(p_tenant_id uuid, p_user_id uuid, p_role text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_users (tenant_id, user_id, role) values (p_tenant_id, p_user_id, p_role)
    on conflict (tenant_id, user_id) do update set role = excluded.role;
  perform app.audit(p_by, p_tenant_id, 'member.put', p_user_id::text, jsonb_build_object('role', p_role));
  return jsonb_build_object('kind', 'updated');
exception when foreign_key_violation then
  return jsonb_build_object('kind', 'user_not_found');
end $$;
comment on function public.put_tenant_user(uuid, uuid, text, jsonb) is
  'Adds a user to a tenant, or changes the user''s role; called by the API. Returns kind: updated, user_not_found, '
  'not_found.';
grant execute on function public.put_tenant_user(uuid, uuid, text, jsonb) to orchestrator;

create function public.remove_tenant_user(p_tenant_id uuid, p_user_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.tenant_users where tenant_id = p_tenant_id and user_id = p_user_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'member.remove', p_user_id::text);
  return true;
end $$;
comment on function public.remove_tenant_user(uuid, uuid, jsonb) is
  'Removes a user from a tenant; called by the API. Returns false if the user was not a member.';
grant execute on function public.remove_tenant_user(uuid, uuid, jsonb) to orchestrator;

create function app.audit_member_change() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_row public.tenant_users := case tg_op when 'DELETE' then old else new end;
begin
  -- The API's functions write their own audit entry, with the request's details. A membership that is deleted together
  -- with its user or tenant needs no entry.
  if app.claims() ->> 'role' = 'authenticated' then
    perform app.audit(jsonb_build_object('actor', 'user:' || (app.claims() ->> 'sub')), v_row.tenant_id,
      case tg_op when 'DELETE' then 'member.remove' else 'member.put' end, v_row.user_id::text,
        jsonb_build_object('role', v_row.role));
  end if;
  return null;
end $$;
comment on function app.audit_member_change() is
  'Writes an audit entry when an admin changes memberships directly with SQL or PostgREST. Trigger of tenant_users.';
create trigger audit_member_change after insert or update
  or delete on public.tenant_users for each row execute function app.audit_member_change();

-- ── schemas/access/provider-credentials.sql ──
create function public.put_provider_credential(p_tenant_id uuid, p_provider text, p_base_url text, p_ciphertext text,
  p_key_id text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.provider_credentials (tenant_id, provider, base_url, ciphertext, key_id)
    values (p_tenant_id, p_provider, p_base_url, p_ciphertext, p_key_id)
    on conflict (tenant_id, provider) do update set base_url = excluded.base_url, ciphertext = excluded.ciphertext,
      key_id = excluded.key_id, rotated_at = null;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.put', p_provider);
  return jsonb_build_object('kind', 'stored');
end $$;
comment on function public.put_provider_credential(uuid, text, text, text, text, jsonb) is
  'Stores a tenant''s credential for a provider; called by the API, which encrypts it first. Returns kind: stored, '
  'not_found.';
grant execute on function public.put_provider_credential(uuid, text, text, text, text, jsonb) to orchestrator;

create function public.get_provider_credential(p_tenant_id uuid, p_provider text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('base_url', c.base_url, 'ciphertext', c.ciphertext, 'key_id', c.key_id)
  from public.provider_credentials c
  where c.tenant_id = p_tenant_id and c.provider = p_provider
$$;
comment on function public.get_provider_credential(uuid, text) is
  'Returns a tenant''s encrypted credential; called by the orchestrator before a request to the provider. Null if '
  'the tenant has none.';
grant execute on function public.get_provider_credential(uuid, text) to orchestrator;

create function public.list_provider_credentials(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('provider', c.provider, 'base_url', c.base_url,
    'created_at', c.created_at, 'updated_at', c.updated_at) order by c.provider), '[]')
  from public.provider_credentials c where c.tenant_id = p_tenant_id
$$;
comment on function public.list_provider_credentials(uuid) is
  'Lists the providers for which a tenant has a credential, without the credentials; called by the API.';
grant execute on function public.list_provider_credentials(uuid) to orchestrator;

create function public.provider_credentials_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'provider', x.provider,
    'base_url', x.base_url, 'ciphertext', x.ciphertext, 'key_id', x.key_id)), '[]')
  from (select * from public.provider_credentials where key_id <> p_key_id order by tenant_id, provider limit p_limit) x
$$;
comment on function public.provider_credentials_to_rotate(text, integer) is
  'Lists credentials that are not yet encrypted with this key; called by the key rotation command.';
grant execute on function public.provider_credentials_to_rotate(text, integer) to orchestrator;

create function public.rotate_provider_credential(p_tenant_id uuid, p_provider text, p_old_ciphertext text,
  p_ciphertext text, p_key_id text)
returns boolean language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.provider_credentials set ciphertext = p_ciphertext, key_id = p_key_id, rotated_at = clock_timestamp()
    where tenant_id = p_tenant_id and provider = p_provider and ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_provider_credential(uuid, text, text, text, text) is
  'Replaces a ciphertext by one made with another key, if the stored one is still the given one; called by the key '
  'rotation command. Returns false if the credential was replaced in the meantime.';
grant execute on function public.rotate_provider_credential(uuid, text, text, text, text) to orchestrator;

create function public.delete_provider_credential(p_tenant_id uuid, p_provider text, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.provider_credentials where tenant_id = p_tenant_id and provider = p_provider;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'provider_credential.delete', p_provider);
  return true;
end $$;
comment on function public.delete_provider_credential(uuid, text, jsonb) is
  'Deletes a tenant''s credential for a provider; called by the API. Returns false if there was none.';
grant execute on function public.delete_provider_credential(uuid, text, jsonb) to orchestrator;

-- ── schemas/access/rights.sql ──
-- In this domain users may write only memberships directly, and only admins may. Everything else goes through the
-- platform API, which checks quotas and writes the audit log.

alter table public.tenant_users enable row level security;
grant select on public.tenant_users to orchestrator;
create policy "orchestrators read all rows" on public.tenant_users for select to orchestrator using (true);
grant select on public.tenant_users to authenticated;
create policy "members read their tenant's rows" on public.tenant_users for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, user_id, role), update (role), delete on public.tenant_users to authenticated;
create policy "admins add users" on public.tenant_users for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins change users' roles" on public.tenant_users for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));
create policy "admins remove users" on public.tenant_users for delete to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));

alter table public.api_keys enable row level security;
grant select on public.api_keys to orchestrator;
create policy "orchestrators read all rows" on public.api_keys for select to orchestrator using (true);

alter table public.provider_credentials enable row level security;
-- Only functions return ciphertexts, one for each request that needs it.
grant select (tenant_id, provider, key_id, created_at, updated_at, rotated_at) on public.provider_credentials
  to orchestrator;
create policy "orchestrators read all rows" on public.provider_credentials for select to orchestrator using (true);

-- ── schemas/audit/audit.sql ──
create function public.record_audit(p_entry jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values ((p_entry ->> 'tenant_id')::uuid, p_entry ->> 'actor', p_entry ->> 'action', p_entry ->> 'target',
    p_entry ->> 'outcome',
    p_entry ->> 'remote_address', p_entry ->> 'request_id', coalesce(p_entry -> 'details', '{}'))
$$;
comment on function public.record_audit(jsonb) is
  'Appends an entry to the audit log; called by the orchestrator for acts and refusals that no function in this '
  'database records.';
grant execute on function public.record_audit(jsonb) to orchestrator;

create function app.audit(p_by jsonb, p_tenant_id uuid, p_action text, p_target text, p_details jsonb default '{}')
  returns void
language sql volatile set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values (p_tenant_id, coalesce(p_by ->> 'actor', 'unknown'), p_action, p_target, 'done', p_by ->> 'remote_address',
    p_by ->> 'request_id', p_details || jsonb_strip_nulls(jsonb_build_object('why', p_by ->> 'why')))
$$;
comment on function app.audit(jsonb, uuid, text, text, jsonb) is
  'Appends the audit entry of an administrative act, in the same transaction as the act. p_by: actor, remote_address, '
  'request_id, and why if the actor gave a reason.';

create function public.list_audit(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_before_id bigint default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'actor', x.actor, 'action', x.action, 'target', x.target,
    'outcome', x.outcome, 'remote_address', x.remote_address, 'request_id', x.request_id, 'details', x.details,
    'created_at', x.created_at) order by x.id desc), '[]') from (
    select * from public.audit_log a
    where a.tenant_id = p_tenant_id and (p_before_id is null or a.id < p_before_id)
      and a.actor = coalesce(p_filters ->> 'actor', a.actor) and a.action = coalesce(p_filters ->> 'action', a.action)
      and a.outcome = coalesce(p_filters ->> 'outcome', a.outcome)
      and (not p_filters ? 'target' or a.target = p_filters ->> 'target')
      and (not p_filters ? 'from' or a.created_at >= (p_filters ->> 'from')::timestamptz)
      and (not p_filters ? 'until' or a.created_at < (p_filters ->> 'until')::timestamptz)
    order by a.id desc limit p_limit) x
$$;
comment on function public.list_audit(uuid, integer, jsonb, bigint) is
  'Lists a tenant''s audit entries, newest first, those before p_before_id; called by the API. p_filters: actor, '
  'action, target, outcome, from (included), until (not included).';
grant execute on function public.list_audit(uuid, integer, jsonb, bigint) to orchestrator;

-- ── schemas/audit/rights.sql ──
alter table public.audit_log enable row level security;
grant select on public.audit_log to orchestrator;
create policy "orchestrators read all rows" on public.audit_log for select to orchestrator using (true);
grant select on public.audit_log to authenticated;
create policy "admins read their tenant's audit entries" on public.audit_log for select to authenticated
  using (tenant_id in (select app.my_tenants(array['admin'])));

-- ── schemas/conversation/calls.sql ──
create function app.next_ordinal(p_session_id uuid) returns integer
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce((select case when c.call_id is null and c.hung_up_at is null then c.ordinal else c.ordinal + 1 end
    from public.realtime_calls c where c.session_id = p_session_id order by c.ordinal desc limit 1), 1);
end $$;
comment on function app.next_ordinal(uuid) is
  'Returns the ordinal of a session''s next call. If the last call never received a call id, its ordinal is used '
  'again.';

create function app.interviewer_template(p_tenant_id uuid) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (select t.settings ->> 'interviewer_template' from public.tenants t where t.id = p_tenant_id);
end $$;
comment on function app.interviewer_template(uuid) is
  'Returns a tenant''s own template of the interviewer''s instructions. Null if it has none.';

create function app.open_call(p_machine_id uuid, p_epoch integer, p_ordinal integer, p_provider text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  m public.machines;
  c public.realtime_calls;
  v_wait integer;
  v_moving_ms integer;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if s.id is null or s.machine_id is distinct from p_machine_id or s.epoch <> p_epoch then
    return jsonb_build_object('kind', 'fenced');
  end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'session_over');
  end if;
  select * into c from public.realtime_calls where session_id = s.id order by ordinal desc limit 1;
  if p_ordinal <> coalesce(c.ordinal, 0) + 1 and not (p_ordinal = c.ordinal and c.call_id is null
    and c.hung_up_at is null) then
    return jsonb_build_object('kind', 'wrong_ordinal', 'next', app.next_ordinal(s.id));
  end if;
  -- Each opening costs a credential at the provider. The worker has a lower limit of its own; this one also holds for a
  -- stolen worker token. It is enough for three tries of each of the eight calls that a worker may open at once.
  v_wait := app.draw_limit('calls:' || s.id, 12, 32);
  if v_wait > 0 then return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
  insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider)
    values (s.id, s.tenant_id, p_ordinal, p_epoch, p_provider)
    on conflict (session_id, ordinal) do update set epoch = excluded.epoch;
  -- The time that a change of browsers took is added to the interview.
  v_moving_ms := app.moving_ms(s);
  if v_moving_ms > 0 then
    update public.interview_sessions set max_duration_ms = least(10800000, max_duration_ms + v_moving_ms)
      where id = s.id;
    update public.machines set hard_deadline_at = hard_deadline_at + app.interval_ms(v_moving_ms) where id = m.id;
  end if;
  return jsonb_build_object('kind', 'opened', 'session', app.session_json(s.id),
    'interviewer_template', app.interviewer_template(s.tenant_id));
end $$;
comment on function app.open_call(uuid, integer, integer, text) is
  'Creates the row of a session''s next call, or reuses the last one if it never received a call id. Returns the '
  'session and the tenant''s interviewer_template. The first call after a change of browsers extends the session by '
  'the time that the change took. Refuses a fenced worker, an ended session, and a session that opens too many calls '
  '(rate_limited).';

create function public.open_calls(p_calls jsonb, p_provider text) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- By id: two batches that lock the same sessions cannot deadlock.
  perform 1 from public.interview_sessions s where s.id in (select m.session_id from public.machines m
    where m.id = any (array(select (c ->> 'machine_id')::uuid from jsonb_array_elements(p_calls) c)))
    order by s.id for update;
  return (select jsonb_agg(app.open_call((c ->> 'machine_id')::uuid, (c ->> 'epoch')::integer,
      (c ->> 'ordinal')::integer, p_provider) order by n)
    from jsonb_array_elements(p_calls) with ordinality as e (c, n));
end $$;
comment on function public.open_calls(jsonb, text) is
  'Opens a batch of calls, each as app.open_call does; the worker API calls it before an SDP offer is sent. p_calls: '
  'an array of machine_id, epoch and ordinal. Returns the answers in the same order. A call without a required consent '
  'fails the batch (GR006).';
grant execute on function public.open_calls(jsonb, text) to orchestrator;

create function app.record_call(p_machine_id uuid, p_epoch integer, p_ordinal integer,
  p_credential_ciphertext text default null,
  p_credential_ms integer default null, p_call_id text default null, p_hung_up boolean default false) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_session uuid;
begin
  -- A fenced worker may still report the hang-up or the id of a call that it made: that only helps to hang it up.
  select session_id into v_session from public.machines where id = p_machine_id and epoch = p_epoch;
  update public.realtime_calls set
    credential_ciphertext = case when p_hung_up then null
      else coalesce(p_credential_ciphertext, credential_ciphertext) end,
    credential_expires_at = coalesce(clock_timestamp() + app.interval_ms(p_credential_ms), credential_expires_at),
    call_id = coalesce(call_id, p_call_id),
    answered_at = case when p_call_id is not null then coalesce(answered_at, clock_timestamp()) else answered_at end,
    hung_up_at = case when p_hung_up then coalesce(hung_up_at, clock_timestamp()) else hung_up_at end
  where session_id = v_session and ordinal = p_ordinal and epoch <= p_epoch;
  return found;
end $$;
comment on function app.record_call(uuid, integer, integer, text, integer, text, boolean) is
  'Stores what is known about a call: its credential, its id, or that it was hung up. Returns false if the machine has '
  'no such call at this epoch.';

create function public.record_calls(p_calls jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- In one order: two batches about the same calls cannot deadlock.
  return (select jsonb_agg(x.found order by x.n) from (
    select n, app.record_call((c ->> 'machine_id')::uuid, (c ->> 'epoch')::integer, (c ->> 'ordinal')::integer,
        c ->> 'credential_ciphertext', (c ->> 'credential_ms')::integer, c ->> 'call_id',
        (c ->> 'hung_up')::boolean) as found
      from (select c, n from jsonb_array_elements(p_calls) with ordinality as e (c, n)
        order by c ->> 'machine_id', n offset 0) sorted) x);
end $$;
comment on function public.record_calls(jsonb) is
  'Stores news about a batch of calls, each as app.record_call does; called by the worker API for the machines that '
  'serve the sessions. p_calls: an array of machine_id, epoch, ordinal, hung_up, and credential_ciphertext, '
  'credential_ms and call_id or null. Returns an array of booleans in the same order.';
grant execute on function public.record_calls(jsonb) to orchestrator;

create function public.calls_to_hang_up(p_limit integer default 20, p_retry_ms integer default 5000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with owed as (
    select c.id, row_number() over (partition by c.tenant_id order by c.opened_at) as place
    from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
    left join public.machines m on m.id = s.machine_id
    where c.hung_up_at is null
      and (s.state_rank >= app.rank_of('ended') and (m.id is null or m.life_rank >= app.life_rank_of('destroying')
        or c.epoch < m.epoch)
        -- Of a session that goes on, a call that a later one has replaced and that its own worker is not there to end.
        or c.epoch < s.epoch and exists (select from public.realtime_calls l where l.session_id = c.session_id
          and l.ordinal > c.ordinal and l.answered_at is not null))
      and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
  ), due as (
    select c.id from public.realtime_calls c join owed o on o.id = c.id
    where c.hung_up_at is null and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
    -- Tenants take turns, so that one whose hang-ups do not return cannot fill every batch.
    order by o.place, c.opened_at limit p_limit for update of c skip locked
  ), taken as (
    update public.realtime_calls c set hang_up_attempts = hang_up_attempts + 1,
      next_hang_up_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(hang_up_attempts, 8)))
    from due where c.id = due.id returning c.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'session_id', t.session_id, 'ordinal', t.ordinal,
    'call_id', t.call_id, 'tenant_id', t.tenant_id, 'credential_ciphertext', t.credential_ciphertext,
    'attempts', t.hang_up_attempts, 'test', s.test, 'traceparent', s.traceparent,
    'missing_ms', floor(extract(epoch from clock_timestamp() - t.missing_since) * 1000),
    'age_ms', floor(extract(epoch from clock_timestamp() - t.opened_at) * 1000))), '[]')
  from taken t join public.interview_sessions s on s.id = t.session_id
$$;
comment on function public.calls_to_hang_up(integer, integer) is
  'Takes calls whose worker is gone and which no other worker took over, for one attempt to hang up each; called by '
  'the orchestrator''s regular job. A failed call is due again after a growing delay.';
grant execute on function public.calls_to_hang_up(integer, integer) to orchestrator;

create function public.record_hang_up(p_call_row_id uuid) returns void
language sql volatile security definer set search_path = '' as $$
  update public.realtime_calls set hung_up_at = coalesce(hung_up_at, clock_timestamp()), credential_ciphertext = null
    where id = p_call_row_id
$$;
comment on function public.record_hang_up(uuid) is
  'Records that a call is over at the provider; called by the orchestrator after it hung up.';
grant execute on function public.record_hang_up(uuid) to orchestrator;

create function public.record_call_missing(p_call_row_id uuid, p_missing boolean) returns void
language sql volatile security definer set search_path = '' as $$
  -- Asked again soon: if the answer is wrong, the call still costs money; if it is right, it only needs to be repeated.
  update public.realtime_calls
    set missing_since = case when p_missing then coalesce(missing_since, clock_timestamp()) end,
      next_hang_up_at = case when p_missing then clock_timestamp() + interval '3 seconds' else next_hang_up_at end
    where id = p_call_row_id
$$;
comment on function public.record_call_missing(uuid, boolean) is
  'Records since when the provider answers hang-ups with "no such call"; called by the orchestrator. Any other '
  'answer clears the time.';
grant execute on function public.record_call_missing(uuid, boolean) to orchestrator;

create function app.guard_call() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.consent_text_version is not null
      and not exists (select from public.consents c where c.session_id = s.id
        and c.text_version = s.consent_text_version)) then
    raise exception 'no call before the candidate''s consent' using errcode = 'GR006';
  end if;
  return new;
end $$;
comment on function app.guard_call() is
  'Refuses a realtime call if a required consent is missing, whichever code creates the call. Trigger of '
  'realtime_calls.';
create trigger guard before insert on public.realtime_calls for each row execute function app.guard_call();

-- ── schemas/conversation/corrections.sql ──
create function public.correct_entry(p_session_id uuid, p_code_hash text, p_browser_hash text, p_ordinal integer,
  p_item_id text, p_correction text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_limit constant integer := 300;
  i public.session_invitations;
  s public.interview_sessions;
  e public.transcript_entries;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash and session_id = p_session_id;
  if i.id is null or i.revoked_at is not null then return jsonb_build_object('kind', 'invalid'); end if;
  select * into s from public.interview_sessions where id = p_session_id for update;
  if i.expires_at < clock_timestamp() and coalesce(s.completed_at < clock_timestamp() - interval '1 day', true) then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.browser_hash is distinct from p_browser_hash then return jsonb_build_object('kind', 'used'); end if;
  if s.state_rank < app.rank_of('finalizing') then return jsonb_build_object('kind', 'not_ended'); end if;
  if s.transcript_erased_at is not null or s.consent_withdrawn_at is not null then
    return jsonb_build_object('kind', 'erased');
  end if;
  select * into e from public.transcript_entries where session_id = s.id and call_ordinal = p_ordinal
    and item_id = p_item_id and speaker = 'candidate' and text <> '';
  if e.id is null then return jsonb_build_object('kind', 'unknown_entry'); end if;
  if e.correction is not distinct from p_correction then
    return jsonb_build_object('kind', 'corrected', 'corrected_at', e.corrected_at);
  end if;
  insert into public.transcript_writes (session_id, tenant_id) values (s.id, s.tenant_id) on conflict do nothing;
  update public.transcript_writes set corrections = corrections + 1
    where session_id = s.id and corrections < v_limit;
  if not found then return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit); end if;
  update public.transcript_entries set correction = p_correction,
    corrected_at = case when p_correction is not null then clock_timestamp() end
    where id = e.id returning * into e;
  -- Before the end is complete, the first evaluation reads the correction anyway.
  if s.state_rank >= app.rank_of('ended') then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', 1));
  end if;
  return jsonb_build_object('kind', 'corrected', 'corrected_at', e.corrected_at);
end $$;
comment on function public.correct_entry(uuid, text, text, integer, text, text) is
  'Stores what the candidate says they really said in one of their own entries, beside its text; null removes it. '
  'Called by the API for the browser that joined, after the interview: as long as its invitation is valid, and at '
  'least a day. The same correction again changes nothing; another one raises the transcript''s revision. Returns '
  'kind: corrected (corrected_at), not_ended, unknown_entry, limit_exceeded, erased (or the consent was '
  'withdrawn), invalid, used.';
grant execute on function public.correct_entry(uuid, text, text, integer, text, text) to orchestrator;

-- ── schemas/conversation/rights.sql ──
alter table public.realtime_calls enable row level security;
grant select on public.realtime_calls to orchestrator;
create policy "orchestrators read all rows" on public.realtime_calls for select to orchestrator using (true);

alter table public.transcript_entries enable row level security;
grant select on public.transcript_entries to orchestrator;
create policy "orchestrators read all rows" on public.transcript_entries for select to orchestrator using (true);
grant select on public.transcript_entries to authenticated;
create policy "members read their tenant's rows" on public.transcript_entries for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant select on public.transcript_entries to session_worker;
create policy "a worker reads its own session's entries" on public.transcript_entries for select to session_worker
  using (session_id = (select app.worker_session()) and (select app.worker_serves(session_id)));

alter table public.transcript_writes enable row level security;
grant select on public.transcript_writes to orchestrator;
create policy "orchestrators read all rows" on public.transcript_writes for select to orchestrator using (true);

-- ── schemas/conversation/transcript.sql ──
create function public.append_transcript(p_entries jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session(true);
  v_constraint text;
begin
  return app.merge_transcript(s, p_entries);
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.append_transcript(jsonb) is
  'Stores transcript entries of the calling worker''s session, idempotently; called by the worker. Returns the ids '
  'of the items that are now stored. Raises 23514 if the limits in transcript_writes would be exceeded.';
grant execute on function public.append_transcript(jsonb) to session_worker;

create function app.merge_transcript(s public.interview_sessions, p_entries jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_changed integer;
begin
  -- Locked first, so that writers of a session take turns and arrival is the order of their entries.
  insert into public.transcript_writes as w (session_id, tenant_id) values (s.id, s.tenant_id)
    on conflict (session_id) do update set entries = w.entries;
  with incoming as (
    select distinct on (i.ordinal, i.item_id) i.*, n
    from jsonb_array_elements(p_entries) with ordinality as x (e, n)
    cross join lateral jsonb_to_record(e) as i (ordinal integer, item_id text, previous_item_id text, speaker text,
      text text, confidence numeric, start_ms bigint, end_ms bigint, interrupted boolean, verified boolean)
    order by i.ordinal, i.item_id, i.verified desc, n desc
  ), stored as (
    insert into public.transcript_entries as t (session_id, tenant_id, call_ordinal, item_id, previous_item_id,
        speaker, text, confidence, start_ms, end_ms, interrupted, verified)
      select s.id, s.tenant_id, ordinal, item_id, previous_item_id, speaker, text, confidence, start_ms, end_ms,
        coalesce(interrupted, false), verified
      from incoming order by n
    on conflict (session_id, call_ordinal, item_id) do update set
      speaker = excluded.speaker, text = excluded.text, verified = excluded.verified,
      previous_item_id = coalesce(excluded.previous_item_id, case when t.verified then t.previous_item_id end),
      confidence = coalesce(excluded.confidence, case when t.verified then t.confidence end),
      start_ms = coalesce(excluded.start_ms, case when t.verified then t.start_ms end),
      end_ms = coalesce(excluded.end_ms, case when t.verified then t.end_ms end),
      interrupted = excluded.interrupted or (t.verified and t.interrupted),
      arrival = case when t.verified then t.arrival else excluded.arrival end,
      created_at = case when t.verified then t.created_at else excluded.created_at end
    where excluded.verified and (t.verified, t.speaker, t.text, t.interrupted, t.previous_item_id, t.confidence,
        t.start_ms, t.end_ms)
      is distinct from (true, excluded.speaker, excluded.text, excluded.interrupted or t.interrupted,
        coalesce(excluded.previous_item_id, t.previous_item_id), coalesce(excluded.confidence, t.confidence),
        coalesce(excluded.start_ms, t.start_ms), coalesce(excluded.end_ms, t.end_ms))
    returning t.verified, char_length(t.text) as length
  ), written as (
    select count(*) filter (where verified) as entries, coalesce(sum(length) filter (where verified), 0) as characters,
      count(*) filter (where not verified) as copies,
      coalesce(sum(length) filter (where not verified), 0) as copied_characters
    from stored
  )
  update public.transcript_writes w set entries = w.entries + x.entries, characters = w.characters + x.characters,
    copies = w.copies + x.copies, copied_characters = w.copied_characters + x.copied_characters,
    late_copies = w.late_copies + (s.state_rank >= app.rank_of('ended') and x.entries = 0)::integer,
    late_entries = w.late_entries + (s.state_rank >= app.rank_of('ended') and x.entries > 0)::integer
  from written x where w.session_id = s.id and x.entries + x.copies > 0 returning x.entries + x.copies into v_changed;
  if v_changed > 0 and s.state_rank >= app.rank_of('ended') then
    update public.interview_sessions set transcript_revision = transcript_revision + 1 where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'transcript.revised', jsonb_build_object('entries', v_changed));
  end if;
  return (select array_agg(distinct e ->> 'item_id') from jsonb_array_elements(p_entries) e);
end $$;
comment on function app.merge_transcript(public.interview_sessions, jsonb) is
  'Merges entries of the worker or of the browser into a transcript, idempotently. A verified entry updates an '
  'earlier verified one and replaces a browser''s copy completely; a stored copy is not changed by another copy. A '
  'change after the session has ended raises the transcript''s revision.';

create function app.follow_links(p_parents integer[], p_verified boolean[]) returns integer[]
language plpgsql immutable set search_path = '' as $$
declare
  v_count constant integer := cardinality(p_parents);
  -- Each entry's first follower, and the follower after it. The first entries follow the place v_count + 1.
  v_first integer[] := array_fill(0, array[v_count + 1]);
  v_next integer[] := array_fill(0, array[v_count + 1]);
  v_open integer[] := array_fill(0, array[v_count + 1]);
  v_depth integer := 0;
  v_order integer[] := array_fill(0, array[v_count]);
  v_placed integer := 0;
  v_entry integer;
  v_parent integer;
  v_copies boolean;
begin
  -- Each follower is put in front of the earlier ones, so those of the last loop come first: copies, then verified.
  foreach v_copies in array array[false, true] loop
    for v_entry in reverse v_count .. 1 loop
      continue when (p_parents[v_entry] > 0 and not p_verified[v_entry]) <> v_copies;
      v_parent := case p_parents[v_entry] when 0 then v_count + 1 else p_parents[v_entry] end;
      v_next[v_entry] := v_first[v_parent];
      v_first[v_parent] := v_entry;
    end loop;
  end loop;
  v_entry := v_first[v_count + 1];
  while v_entry > 0 loop
    v_placed := v_placed + 1;
    v_order[v_placed] := v_entry;
    if v_first[v_entry] > 0 and v_next[v_entry] > 0 then
      v_depth := v_depth + 1;
      v_open[v_depth] := v_next[v_entry];
    end if;
    v_entry := case when v_first[v_entry] > 0 then v_first[v_entry] else v_next[v_entry] end;
    if v_entry = 0 and v_depth > 0 then
      v_entry := v_open[v_depth];
      v_depth := v_depth - 1;
    end if;
  end loop;
  return v_order[1:v_placed];
end $$;
comment on function app.follow_links(integer[], boolean[]) is
  'Sorts the entries 1, 2, … of a conversation, given for each entry the one it follows (0: none). If several follow '
  'the same entry, copies come first, then the input order decides. Leaves out circles. Takes linear time.';

create function app.conversation_order(p_session_id uuid) returns bigint[]
-- Hash joins only, so that the time is linear in the number of entries whatever the planner estimates.
language plpgsql stable set search_path = '' set enable_nestloop = off set enable_mergejoin = off as $$
declare
  v_arrivals bigint[];
  v_parents integer[];
  v_verified boolean[];
  v_order integer[];
begin
  with entries as materialized (
    select e.call_ordinal, e.item_id, e.previous_item_id, e.arrival, e.verified,
      (row_number() over (order by e.call_ordinal, e.arrival))::integer as n
    from public.transcript_entries e where e.session_id = p_session_id
  )
  select array_agg(e.arrival order by e.n), array_agg(coalesce(p.n, 0) order by e.n), array_agg(e.verified order by e.n)
    into v_arrivals, v_parents, v_verified
  from entries e left join entries p on p.call_ordinal = e.call_ordinal and p.item_id = e.previous_item_id
    -- A verified entry follows only verified ones, so that a copy cannot move it.
    and (p.verified or not e.verified);
  if v_arrivals is null then return '{}'; end if;
  v_order := app.follow_links(v_parents, v_verified);
  if cardinality(v_order) < cardinality(v_arrivals) then
    -- Entries whose links form a circle are placed by their arrival instead, so that none is left out.
    select array_agg(case when o.n is null then 0 else v_parents[e.n] end order by e.n) into v_parents
      from generate_subscripts(v_arrivals, 1) as e (n) left join unnest(v_order) as o (n) on o.n = e.n;
    v_order := app.follow_links(v_parents, v_verified);
  end if;
  return (select array_agg(v_arrivals[o.n] order by o.place) from unnest(v_order) with ordinality as o (n, place));
end $$;
comment on function app.conversation_order(uuid) is
  'Returns the order of a session''s entries, identified by their arrival: by call ordinal; within a call each entry '
  'follows the one named in previous_item_id; by arrival if none is named. Reads with the caller''s rights.';
grant execute on function app.conversation_order(uuid), app.follow_links(integer[], boolean[])
  to authenticated, orchestrator;

create function public.transcript_of(p_session_id uuid)
returns table (ordinal integer, item_id text, previous_item_id text, speaker text, text text, confidence numeric,
  start_ms bigint, end_ms bigint, interrupted boolean, verified boolean, correction text, sequence_number bigint)
language plpgsql stable set search_path = '' set enable_nestloop = off set enable_mergejoin = off as $$
begin
  return query select e.call_ordinal, e.item_id, e.previous_item_id, e.speaker, e.text, e.confidence, e.start_ms,
      e.end_ms, e.interrupted, e.verified, e.correction, row_number() over (order by o.place)
    from unnest(app.conversation_order(p_session_id)) with ordinality as o (arrival, place)
    join public.transcript_entries e on e.session_id = p_session_id and e.arrival = o.arrival
    where e.text <> '' order by o.place;
end $$;
comment on function public.transcript_of(uuid) is
  'Returns a session''s transcript as rows in the order of the conversation, for SQL. (Through the API, PostgREST''s '
  'row limit would apply.) Items without text keep their place in the order and are not returned. Reads with the '
  'caller''s rights.';
grant execute on function public.transcript_of(uuid) to authenticated, orchestrator;

create function public.transcript_to_evaluate(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(t) order by t.sequence_number), '[]') from public.transcript_of(p_session_id) t
$$;
comment on function public.transcript_to_evaluate(uuid) is
  'Returns a session''s transcript in order as one JSON value, so that no row limit applies; called by the '
  'evaluation and by the platform API.';
grant execute on function public.transcript_to_evaluate(uuid) to orchestrator;

create function public.transcript_page(p_session_id uuid, p_limit integer, p_after jsonb default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  with t as materialized (select * from public.transcript_of(p_session_id)),
  a as (select coalesce((select t.sequence_number from t where t.ordinal = (p_after ->> 'ordinal')::integer
    and t.item_id = p_after ->> 'item_id'), (p_after ->> 'sequence_number')::bigint, 0) as n)
  select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select t.sequence_number as n, to_jsonb(t) as shown from t cross join a where t.sequence_number > a.n
      order by t.sequence_number limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.transcript_page(uuid, integer, jsonb) is
  'Returns a part of a session''s transcript in order; called by the platform API. p_after is the last entry of the '
  'part before, {ordinal, item_id, sequence_number}: it is found again also if entries came in before it meanwhile. '
  'Returns at most max_list_bytes plus one entry.';
grant execute on function public.transcript_page(uuid, integer, jsonb) to orchestrator;

create function public.own_transcript() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not app.worker_serves(app.worker_session()) then
    raise exception 'fenced' using errcode = 'PT409', hint = 'Another machine serves the session now, or it is over.';
  end if;
  return (select coalesce(jsonb_agg(jsonb_build_object('ordinal', e.call_ordinal, 'item_id', e.item_id,
      'speaker', e.speaker, 'text', e.text, 'verified', e.verified) order by o.place), '[]')
    from unnest(app.conversation_order(app.worker_session())) with ordinality as o (arrival, place)
    join public.transcript_entries e on e.session_id = app.worker_session() and e.arrival = o.arrival);
end $$;
comment on function public.own_transcript() is
  'Returns all stored entries of the calling worker''s session in order, including items without text. A replacement '
  'worker calls it to learn what is stored and what the interviewer said. Raises PT409 if the worker is fenced.';
grant execute on function public.own_transcript() to session_worker;

create function public.upload_transcript(p_session_id uuid, p_tenant_id uuid, p_entries jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_entries jsonb;
  v_wait integer;
  v_constraint text;
begin
  if jsonb_array_length(p_entries) > 1000 then
    raise exception 'at most 1000 entries at once' using errcode = '22023';
  end if;
  -- One upload of a session at a time, and few a minute: a candidate must not use up the shared connections.
  if not pg_try_advisory_xact_lock(hashtextextended('upload ' || p_session_id, 0)) then
    return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', 1000);
  end if;
  v_wait := app.draw_limit('upload:' || p_session_id, 60, 60);
  if v_wait > 0 then return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
  -- FOR UPDATE, not FOR SHARE: the merge may raise the revision, and two uploads that share the lock would deadlock.
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.transcript_erased_at is not null then return jsonb_build_object('kind', 'erased'); end if;
  if s.consent_withdrawn_at is not null then return jsonb_build_object('kind', 'withdrawn'); end if;
  -- Only for calls that took place, and always unverified, because a browser can send anything.
  select coalesce(jsonb_agg(e || '{"verified": false, "confidence": null, "interrupted": false}'), '[]') into v_entries
    from jsonb_array_elements(p_entries) e
    where exists (select from public.realtime_calls c where c.session_id = s.id
      and c.ordinal = (e ->> 'ordinal')::integer);
  return jsonb_build_object('kind', 'stored', 'item_ids', to_jsonb(coalesce(app.merge_transcript(s, v_entries), '{}')));
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  if v_constraint like 'transcript\_writes\_%' then return jsonb_build_object('kind', 'too_many'); end if;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.upload_transcript(uuid, uuid, jsonb) is
  'Stores the browser''s own copies of entries that it could not send over the socket, idempotently and always as '
  'unverified; called by the Edge Function interview-transcript. Returns kind: stored (item_ids), erased, withdrawn '
  '(the candidate withdrew consent), too_many (above the limits in transcript_writes; nothing is stored), '
  'rate_limited (retry_after_ms), not_found.';
grant execute on function public.upload_transcript(uuid, uuid, jsonb) to service_role;

create view public.interview_transcripts with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, s.status, s.transcript_revision as revision,
    s.transcript_complete as complete,
    -- One entry is one line, so that no text can look like the next speaker's turn.
    (select string_agg(case t.speaker when 'ai' then 'Interviewer: ' else 'Candidate: ' end
        || case when t.verified then '' else '[unverified] ' end
        || btrim(regexp_replace(t.text || coalesce(' [corrected by the candidate: ' || t.correction || ']', ''),
          '[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+', ' ', 'g')),
      E'\n\n' order by t.sequence_number)
     from public.transcript_of(s.id) t) as transcript,
    s.created_at, s.updated_at
  from public.interview_sessions s;
comment on view public.interview_transcripts is
  'Each session''s transcript as one text, in the conversation''s order. Entries that only the candidate''s browser '
  'reported begin with [unverified]. What a candidate has corrected ends with [corrected by the candidate: …].';

grant select on public.interview_transcripts to authenticated, orchestrator;

-- ── schemas/fleet/counts.sql ──
-- These two are asked of each prepared machine. In this form, and without a volatile function, they are inlined.
create function app.prepared_state(m public.machines) returns text
language sql stable return case when m.state = 'reserved' or m.hot and m.state = 'created' then 'building'
  when not m.hot or m.lease_expires_at > statement_timestamp() then 'ready' else 'lost' end;
comment on function app.prepared_state(public.machines) is
  'Returns whether a machine without a session is ready, building, or lost (a hot machine whose worker is not heard).';

create function app.is_stale(m public.machines, p_image text, p_hot_life_ms numeric) returns boolean
language sql stable return m.image <> p_image
  or m.hot and m.reserved_at < statement_timestamp() - app.interval_ms(p_hot_life_ms::double precision);
comment on function app.is_stale(public.machines, text, numeric) is
  'Returns whether a machine without a session must be replaced: it has another image, or is hot and too old.';

-- Two reconcile ticks are 10 s.
create function app.is_unwanted(m public.machines) returns boolean
language sql stable return (m.state <> 'destroyed' and (m.hard_deadline_at < now() - interval '10 seconds'
  or m.destroying_at < now() - interval '2 minutes')) is true;
comment on function app.is_unwanted(public.machines) is
  'Returns whether a machine should be gone by now: it is past its hard deadline, or its destruction takes minutes.';

create view app.machine_counts with (security_invoker = true) as
  select m.state, m.region, m.hot, m.session_id is not null as serving, count(*) as count,
    count(*) filter (where m.session_id is null and app.prepared_state(m) = 'ready'
      and m.state = case when m.hot then 'started' else 'created' end) as ready,
    sum(m.unsaved_entries) filter (where m.state = 'claimed') as unsaved_entries,
    max(m.rss_bytes) filter (where m.state = 'claimed') as rss_bytes,
    count(*) filter (where app.is_unwanted(m)) as unwanted
  from public.machines m where m.state <> 'destroyed' group by 1, 2, 3, 4;
comment on view app.machine_counts is
  'The machines that are not destroyed, counted in one pass. ready: those that a session can be given now.';

create view app.live_counts with (security_invoker = true) as
  select s.tenant_id, s.status, coalesce(s.region, s.regions[1]) as region, s.queue_deadline_at is not null as queued,
    count(*) as count, count(*) filter (where s.epoch > 1) as replaced,
    count(*) filter (where s.presence = 'present') as present,
    count(*) filter (where s.status = 'scheduled' and s.scheduled_at < now() + interval '1 hour') as due
  from public.interview_sessions s where s.state_rank < app.rank_of('ended') group by 1, 2, 3, 4;
comment on view app.live_counts is
  'The sessions that have not ended, counted in one pass. due: those that begin within the hour.';

-- ── schemas/fleet/gauges.sql ──
create function public.fleet_gauges() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with live as materialized (
    select t.slug as tenant, l.status, coalesce(l.region, 'none') as region, l.queued, l.count, l.replaced, l.present,
      l.due
    from app.live_counts l join public.tenants t on t.id = l.tenant_id),
  machine as materialized (select * from app.machine_counts),
  work (kind, pending, dead) as (
    -- One count per partial index.
    select 'evaluation',
      (select count(*) from public.interview_results where status in ('pending', 'running')),
      (select count(*) from public.interview_results where status = 'dead')
    union all
    select 'webhook',
      (select count(*) from public.webhook_deliveries where status = 'pending' and holds)
        + (select count(*) from public.webhook_deliveries where status = 'pending' and not holds), 0
    union all
    select 'hang_up', count(*), 0 from public.realtime_calls c
      join public.interview_sessions s on s.id = c.session_id
      where c.hung_up_at is null and s.state_rank >= app.rank_of('ended')
    union all
    select 'recording_deletion', count(*), 0 from public.video_deletions where deleted_at is null)
  select jsonb_build_object(
    'sessions', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select tenant, status, region, sum(count) as count from live group by 1, 2, 3) g),
    'queued', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select tenant, sum(count) as count from live where queued group by 1) g),
    'replaced', (select coalesce(sum(replaced), 0) from live),
    'present', (select coalesce(sum(present), 0) from live),
    'due', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select region, sum(due) as count from live where due > 0 group by 1) g),
    'creates_per_second', (select coalesce(sum(creates_per_second), 0) from public.tenant_apps where status = 'ready'),
    'create_backlog_s', (select coalesce(extract(epoch from max(next_create_at) - clock_timestamp()), 0)
      from public.tenant_apps where status = 'ready' and next_create_at > clock_timestamp()),
    'machines', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select state, region, sum(count) as count from machine group by 1, 2) g),
    'prepared', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from (
      select region, hot, serving, sum(count) as count, sum(ready) as ready from machine
      where state in ('created', 'started', 'claimed', 'draining') group by 1, 2, 3) g),
    'work', (select jsonb_agg(to_jsonb(w)) from work w),
    'duties_without_holder', (select count(*) from public.duties where expires_at <= clock_timestamp()),
    'orchestrators', (select count(*) from public.orchestrators where not draining
      and last_seen_at > clock_timestamp() - interval '30 seconds'),
    'unsaved_entries', (select coalesce(sum(unsaved_entries), 0) from machine),
    'worker_memory_bytes', (select coalesce(max(rss_bytes), 0) from machine),
    'unwanted', (select coalesce(sum(unwanted), 0) from machine)));
end $$;
comment on function public.fleet_gauges() is
  'Counts sessions, machines and owed work for the metrics; called every few seconds by the orchestrator that holds '
  'the duty housekeeping. Returns only values above zero, so a removed tenant is not in the answer.';
grant execute on function public.fleet_gauges() to orchestrator;

-- ── schemas/fleet/orchestrators.sql ──
create function public.register_orchestrator(p_id uuid, p_url text, p_version text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.orchestrators (id, url, version) values (p_id, p_url, p_version)
  on conflict (id) do update set last_seen_at = clock_timestamp(), url = excluded.url, version = excluded.version
$$;
comment on function public.register_orchestrator(uuid, text, text) is
  'Registers an orchestrator, or renews its registration; called at start-up and by its readiness check.';
grant execute on function public.register_orchestrator(uuid, text, text) to orchestrator;

create function public.announce_image(p_orchestrator_id uuid, p_image text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (update public.orchestrators set worker_image = p_image where id = p_orchestrator_id
    returning 1) select exists (select from done)
$$;
comment on function public.announce_image(uuid, text) is
  'Stores with which worker image an orchestrator was started; called by the pool planner. Returns false if the '
  'orchestrator is not registered yet.';
grant execute on function public.announce_image(uuid, text) to orchestrator;

create function public.keep_duties(p_orchestrator_id uuid, p_url text, p_version text, p_names text[],
  p_lease_ms integer, p_draining boolean default false)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  v_now timestamptz;
  v_live integer;
  v_share integer;
  v_mine integer;
begin
  -- One orchestrator at a time, because the shares are counted. It is short, and runs a few times a second in all.
  perform pg_advisory_xact_lock(hashtextextended('duties', 0));
  v_now := clock_timestamp();
  insert into public.orchestrators (id, url, version, draining) values (p_orchestrator_id, p_url, p_version, p_draining)
    on conflict (id) do update set last_seen_at = v_now, url = excluded.url, version = excluded.version,
      draining = excluded.draining;
  delete from public.orchestrators where last_seen_at < v_now - interval '1 hour';
  if p_draining then
    update public.duties set holder = null, expires_at = '-infinity' where holder = p_orchestrator_id;
    return '[]';
  end if;
  insert into public.duties (name) select unnest(p_names) on conflict do nothing;
  select count(*) into v_live from public.orchestrators where not draining
    and last_seen_at > v_now - app.interval_ms(p_lease_ms);
  v_share := ceil(cardinality(p_names)::numeric / greatest(v_live, 1));
  -- An expired lease is not renewed but taken again with a new fence, so that a holder that was suspended is noticed.
  update public.duties set expires_at = v_now + app.interval_ms(p_lease_ms)
    where holder = p_orchestrator_id and name = any (p_names) and expires_at > v_now;
  get diagnostics v_mine = row_count;
  if v_mine > v_share then
    update public.duties set holder = null, expires_at = '-infinity' where name in (
      select name from public.duties where holder = p_orchestrator_id and expires_at > v_now order by name desc
        limit v_mine - v_share);
  elsif v_mine < v_share then
    update public.duties set holder = p_orchestrator_id, fence = fence + 1,
      expires_at = v_now + app.interval_ms(p_lease_ms) where name in (
      select name from public.duties where name = any (p_names) and expires_at <= v_now order by name
        limit v_share - v_mine);
  end if;
  return (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'fence', fence) order by name), '[]')
    from public.duties where holder = p_orchestrator_id and expires_at > v_now);
end $$;
comment on function public.keep_duties(uuid, text, text, text[], integer, boolean) is
  'Renews an orchestrator''s registration and duties; called regularly by each orchestrator. It gets its fair share '
  'of the free duties and loses those above its share. A draining orchestrator loses all. Returns the duties that it '
  'now holds, with their fences.';
grant execute on function public.keep_duties(uuid, text, text, text[], integer, boolean) to orchestrator;

create function app.on_duty(p_duty text, p_fence bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  if p_duty is null then return true; end if;
  -- FOR SHARE, so that the duty cannot change its holder before this transaction ends.
  perform 1 from public.duties where name = p_duty and fence = p_fence and expires_at > clock_timestamp() for share;
  return found;
end $$;
comment on function app.on_duty(text, bigint) is
  'Returns whether the calling orchestrator still holds the duty with this fence. True for work that needs no duty.';

-- ── schemas/fleet/pools.sql ──
create function public.put_pool_policy(p_tenant_id uuid, p_region text, p_floor integer, p_ceiling integer,
  p_by jsonb, p_hot_floor integer default 0, p_hot_ceiling integer default 0) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_max integer;
  v_others bigint;
  v_before jsonb;
begin
  select max_standby into v_max from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(sum(ceiling + hot_ceiling), 0) into v_others from public.pool_policies where tenant_id = p_tenant_id
    and region <> p_region;
  if v_others + p_ceiling + p_hot_ceiling > v_max then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_max, 'left', greatest(0, v_max - v_others));
  end if;
  select jsonb_build_object('floor', floor, 'ceiling', ceiling, 'hot_floor', hot_floor, 'hot_ceiling', hot_ceiling)
    into v_before from public.pool_policies where tenant_id = p_tenant_id and region = p_region;
  insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
    values (p_tenant_id, p_region, p_floor, p_ceiling, p_hot_floor, p_hot_ceiling)
    on conflict (tenant_id, region) do update set floor = excluded.floor, ceiling = excluded.ceiling,
      hot_floor = excluded.hot_floor, hot_ceiling = excluded.hot_ceiling;
  perform app.audit(p_by, p_tenant_id, 'pool.update', p_region,
    jsonb_build_object('floor', p_floor, 'ceiling', p_ceiling, 'hot_floor', p_hot_floor,
      'hot_ceiling', p_hot_ceiling, 'before', v_before));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.put_pool_policy(uuid, text, integer, integer, jsonb, integer, integer) is
  'Sets how many standby and hot machines a tenant keeps in a region; called by the API. Returns kind: updated, '
  'limit_exceeded, not_found.';
grant execute on function public.put_pool_policy(uuid, text, integer, integer, jsonb, integer, integer) to orchestrator;

create function public.pool_facts(p_horizon_ms bigint, p_hot_life_ms bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with current as (select worker_image as image from public.orchestrators where worker_image is not null
    order by started_at desc, id limit 1),
  policies as (
    select p.tenant_id, p.region, x.hot, x.floor, x.ceiling from public.pool_policies p
    cross join lateral (values (false, p.floor, p.ceiling), (true, p.hot_floor, p.hot_ceiling)) x (hot, floor, ceiling)
    where x.ceiling > 0 or not x.hot),
  prepared as (
    select m.tenant_id, m.region, m.hot,
      count(*) filter (where app.prepared_state(m) = 'ready' and not x.stale) as ready,
      count(*) filter (where app.prepared_state(m) = 'building' and not x.stale) as building,
      count(*) filter (where app.prepared_state(m) <> 'lost' and x.stale) as stale
    from public.machines m cross join current c
    cross join lateral (select app.is_stale(m, c.image, p_hot_life_ms) as stale) x
    where m.session_id is null and m.state in ('reserved', 'created', 'started') group by 1, 2, 3),
  due as (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region,
      greatest(0, floor(extract(epoch from s.scheduled_at - clock_timestamp())))::integer * 1000 as due_in_ms,
      count(*) as sessions
    from public.interview_sessions s
    where s.status = 'scheduled' and s.placement = 'now'
      and s.scheduled_at < clock_timestamp() + app.interval_ms(p_horizon_ms) group by 1, 2, 3),
  wanted as (select tenant_id, region, hot from policies union select tenant_id, region, hot from prepared
    union select tenant_id, region, false from due),
  tenants as (select distinct tenant_id from wanted)
  select jsonb_build_object('image', (select image from current), 'tenants', coalesce(jsonb_agg(jsonb_build_object(
    'tenant_id', t.id,
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a
      where a.tenant_id = t.id and a.status = 'ready' and ten.status = 'active'),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', w.region, 'hot', w.hot,
      'floor', coalesce(p.floor, 0), 'ceiling', coalesce(p.ceiling, 0),
      'ready', coalesce(b.ready, 0), 'building', coalesce(b.building, 0), 'stale', coalesce(b.stale, 0))), '[]')
      from wanted w
      left join policies p on (p.tenant_id, p.region, p.hot) = (w.tenant_id, w.region, w.hot) and ten.status = 'active'
      left join prepared b on (b.tenant_id, b.region, b.hot) = (w.tenant_id, w.region, w.hot)
      where w.tenant_id = t.id),
    'due', (select coalesce(jsonb_agg(jsonb_build_object('region', d.region, 'due_in_ms', d.due_in_ms,
      'sessions', d.sessions) order by d.due_in_ms), '[]')
      from due d where d.tenant_id = t.id and ten.status = 'active'))), '[]'))
  from (select tenant_id as id from tenants) t join public.tenants ten on ten.id = t.id
$$;
comment on function public.pool_facts(bigint, bigint) is
  'Returns the data for planning pools; called by the pool planner. It contains the image to use and, for each '
  'tenant with a pool, a prepared machine or a session due within the horizon, the create rate, the pools (standby and '
  'hot apart) and the due sessions. stale: of another image, or a hot machine older than p_hot_life_ms.';
grant execute on function public.pool_facts(bigint, bigint) to orchestrator;

-- Planned with the window's own value: a guess would read all sessions that ever were.
create function public.pool_demand(p_window_ms bigint) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'region', x.region,
    'per_second', x.per_second)), '[]') from (
    select s.tenant_id, s.regions[1] as region,
      sum(exp(-extract(epoch from clock_timestamp() - s.created_at) * 1000 / p_window_ms)) * 1000 / p_window_ms
        as per_second
    from public.pool_policies p join public.interview_sessions s on s.tenant_id = p.tenant_id
      and s.regions[1] = p.region
    where s.created_at > now() - app.interval_ms(3 * p_window_ms) and s.scheduled_at is null group by 1,
      2) x);
end $$;
comment on function public.pool_demand(bigint) is
  'Returns for each pool how many unscheduled sessions per second it gets, as an exponentially decaying mean over '
  'the window; called by the pool planner.';
grant execute on function public.pool_demand(bigint) to orchestrator;

create function app.draw_pool_slot(p_tenant_id uuid) returns text
language sql volatile set search_path = '' as $$
  update public.tenant_apps set next_create_at = clock_timestamp() + app.interval_ms(1000 / creates_per_second)
  where name = (select name from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready'
    and next_create_at <= clock_timestamp()
    order by next_create_at, name limit 1 for update skip locked)
  returning name
$$;
comment on function app.draw_pool_slot(uuid) is
  'Draws a create slot for a standby or hot machine from an app for which no session is waiting. Null if there is '
  'none now.';

create function app.fill_pool(p jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms numeric, p_hot_life_ms numeric)
  returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid := (p ->> 'tenant_id')::uuid;
  v_hot boolean := (p ->> 'hot')::boolean;
  v_have integer;
  v_app text;
  v_id uuid;
  v_intents jsonb[] := '{}';
begin
  -- Counted again under the lock: another orchestrator may have filled it since the facts were read.
  select count(*) into v_have from public.machines m
    where m.tenant_id = v_tenant and m.region = p ->> 'region' and m.session_id is null and m.hot = v_hot
      and m.state in ('reserved', 'created', 'started') and app.prepared_state(m) <> 'lost'
      and not app.is_stale(m, p_image, p_hot_life_ms);
  for i in v_have + 1 .. (p ->> 'target')::integer loop
    v_app := app.draw_pool_slot(v_tenant);
    exit when v_app is null;
    -- A hot machine runs, so it must be gone at some time even if no plan retires it.
    insert into public.machines (tenant_id, app_name, region, image, taken_by, taken_until, hot, hard_deadline_at)
      values (v_tenant, v_app, p ->> 'region', p_image, p_orchestrator_id,
        clock_timestamp() + app.interval_ms(p_taken_ms), v_hot,
        case when v_hot then clock_timestamp() + app.interval_ms(2 * p_hot_life_ms) end) returning id into v_id;
    v_intents := v_intents || app.intent_json(v_id);
  end loop;
  return v_intents;
end $$;
comment on function app.fill_pool(jsonb, text, uuid, numeric, numeric) is
  'Reserves standby or hot machines until the target is reached or the create limit allows no more. Returns their '
  'intents.';

create function app.retire_prepared(p jsonb, p_image text, p_hot_life_ms numeric, p_stale boolean) returns jsonb[]
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_reason text;
  v_retired jsonb[] := '{}';
begin
  -- The newest first: on the hosts of the oldest the image is certainly present.
  for m in select * from public.machines x where x.tenant_id = (p ->> 'tenant_id')::uuid and x.region = p ->> 'region'
    and x.session_id is null and x.hot = (p ->> 'hot')::boolean
    and (x.state = 'created' or x.hot and x.state = 'started')
    and app.is_stale(x, p_image, p_hot_life_ms) = p_stale
    order by x.created_at desc limit (p ->> case when p_stale then 'retire_stale' else 'shrink' end)::integer
    for update skip locked loop
    v_reason := case when not p_stale then 'pool_shrunk' when m.image <> p_image then 'image_replaced'
      else 'recycled' end;
    perform app.move_machine(m.id, 'destroying', v_reason);
    v_retired := v_retired || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'reason', v_reason);
  end loop;
  return v_retired;
end $$;
comment on function app.retire_prepared(jsonb, text, numeric, boolean) is
  'Marks standby or hot machines of one pool for destruction: stale ones, or those of the current image. It takes the '
  'same lock as an assignment and commits before any DELETE is sent to Fly.';

create function public.apply_pool_plan(p_plan jsonb, p_image text, p_orchestrator_id uuid, p_taken_ms integer,
  p_hot_life_ms bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p jsonb;
  v_intents jsonb[] := '{}';
  v_retired jsonb[] := '{}';
begin
  for p in select x from jsonb_array_elements(p_plan) with ordinality as e (x, n) order by x ->> 'tenant_id', n loop
    continue when not pg_try_advisory_xact_lock(hashtextextended('pool ' || (p ->> 'tenant_id'), 0));
    v_intents := v_intents || app.fill_pool(p, p_image, p_orchestrator_id, p_taken_ms, p_hot_life_ms);
    v_retired := v_retired || app.retire_prepared(p, p_image, p_hot_life_ms, true)
      || app.retire_prepared(p, p_image, p_hot_life_ms, false);
  end loop;
  return jsonb_build_object('intents', to_jsonb(v_intents), 'retired', to_jsonb(v_retired));
end $$;
comment on function public.apply_pool_plan(jsonb, text, uuid, integer, bigint) is
  'Carries out a plan [{tenant_id, region, hot, target, shrink, retire_stale}] in the order of its pools; called by '
  'the pool planner. Returns {intents, retired: [{machine_id, app_name, fly_machine_id, reason}]}.';
grant execute on function public.apply_pool_plan(jsonb, text, uuid, integer, bigint) to orchestrator;

create view app.pools with (security_invoker = true) as
  select tenant_id, region, coalesce(p.floor, 0) as floor, coalesce(p.ceiling, 0) as ceiling,
    coalesce(b.ready, 0) as ready, coalesce(b.building, 0) as building,
    coalesce(d.scheduled, 0) as scheduled,
    jsonb_build_object('floor', coalesce(p.hot_floor, 0), 'ceiling', coalesce(p.hot_ceiling, 0),
      'ready', coalesce(b.hot_ready, 0), 'building', coalesce(b.hot_building, 0)) as hot
  from public.pool_policies p full join (
    select m.tenant_id, m.region,
      count(*) filter (where not m.hot and app.prepared_state(m) = 'ready') as ready,
      count(*) filter (where not m.hot and app.prepared_state(m) = 'building') as building,
      count(*) filter (where m.hot and app.prepared_state(m) = 'ready') as hot_ready,
      count(*) filter (where m.hot and app.prepared_state(m) = 'building') as hot_building
    from public.machines m where m.session_id is null and m.state in ('reserved', 'created', 'started')
    group by 1, 2) b using (tenant_id, region)
  left join (
    select s.tenant_id, coalesce(s.regions[1], s.region) as region, count(*) as scheduled
    from public.interview_sessions s where s.status = 'scheduled'
      and s.scheduled_at < statement_timestamp() + interval '1 hour'
    group by 1, 2) d using (tenant_id, region);
comment on view app.pools is
  'Every pool that has a policy or a prepared machine: its policy, the standby and hot machines that are ready or '
  'being prepared, and the sessions due within the hour.';

create function public.pool_of_tenant(p_tenant_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(jsonb_agg(to_jsonb(p) - 'tenant_id' order by p.region), '[]')
  from app.pools p where p.tenant_id = p_tenant_id);
end $$;
comment on function public.pool_of_tenant(uuid) is
  'Returns a tenant''s pools with their policy, the standby and hot machines that are ready or being prepared, and the '
  'sessions due within the hour; called by the API.';
grant execute on function public.pool_of_tenant(uuid) to orchestrator;

-- ── schemas/fleet/rights.sql ──
alter table public.orchestrators enable row level security;
grant select on public.orchestrators to orchestrator;
create policy "orchestrators read all rows" on public.orchestrators for select to orchestrator using (true);

alter table public.pool_policies enable row level security;
grant select on public.pool_policies to orchestrator;
create policy "orchestrators read all rows" on public.pool_policies for select to orchestrator using (true);
grant select on public.pool_policies to authenticated;
create policy "members read their tenant's rows" on public.pool_policies for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.duties enable row level security;
grant select on public.duties to orchestrator;
create policy "orchestrators read all rows" on public.duties for select to orchestrator using (true);

-- ── schemas/fleet/tallies.sql ──
-- Counters of the deployment for the metrics. A process that counts in its memory loses its counts when it is killed,
-- so the transaction that changes a session or a machine also counts the change.
--
-- - A transaction only adds rows to app.tallies, so transactions never wait for each other's counts.
-- - app.collect_tallies moves them into app.totals. Deleting and adding are one transaction: nothing is counted twice
--   or lost, whichever orchestrator collects, and whenever it is killed.
-- - Sessions, calls, results and cost of test mode are not counted: a simulated candidate that leaves would wake an
--   operator. Machines of test mode are counted, because they are real.
create table app.tallies (
  id bigint generated always as identity primary key,
  name text not null,
  tenant_id uuid references public.tenants (id) on delete cascade,
  labels jsonb not null default '{}'::jsonb,
  value numeric not null check (value >= 0)
);
create index tallies_tenant on app.tallies (tenant_id);
comment on table app.tallies is 'Counts that are not in app.totals yet.';

create table app.totals (
  name text not null,
  tenant_id uuid references public.tenants (id) on delete cascade,
  labels jsonb not null,
  bucket smallint not null,
  count bigint not null,
  sum numeric not null,
  unique nulls not distinct (name, tenant_id, labels, bucket)
);
create index totals_tenant on app.totals (tenant_id);
comment on table app.totals is
  'What happened since this database exists: one row per metric, tenant (null: all), labels and bucket of a histogram.';

-- No role has a right on these tables. Only functions with the owner's rights read and write them.
alter table app.tallies enable row level security;
alter table app.totals enable row level security;

create function app.tally(p_name text, p_value numeric, p_labels jsonb default '{}'::jsonb,
  p_tenant_id uuid default null) returns void
language plpgsql volatile set search_path = '' as $$
begin
  if p_value is null then return; end if;
  insert into app.tallies (name, tenant_id, labels, value)
    values (p_name, p_tenant_id, p_labels, greatest(0, p_value));
end $$;
comment on function app.tally(text, numeric, jsonb, uuid) is
  'Adds a value to a counter, or observes a value of a histogram. Null adds nothing.';

create function app.is_test_session(p_session_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select coalesce((select s.test from public.interview_sessions s where s.id = p_session_id), false)
$$;
comment on function app.is_test_session(uuid) is 'Returns whether the session belongs to a tenant''s test mode.';

create function app.tally_bounds() returns jsonb language sql immutable set search_path = '' as $$
  select '{
    "session_ready_seconds": [0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120],
    "start_phase_seconds": [0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120],
    "candidate_wait_seconds": [1, 5, 15, 60, 300, 900],
    "call_setup_seconds": [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30],
    "session_duration_seconds": [60, 300, 600, 1200, 1800, 2400, 3000, 3600, 7200, 10800],
    "transcript_entries_per_session": [1, 5, 10, 20, 50, 100, 200, 500, 1000],
    "result_seconds": [5, 15, 30, 60, 120, 300, 600, 1800, 3600],
    "failover_seconds": [1, 5, 10, 20, 30, 60, 120, 300]
  }'::jsonb
$$;
comment on function app.tally_bounds() is 'The histograms among the totals, with the upper bounds of their buckets.';

create function app.collect_tallies() returns void language sql volatile set search_path = '' as $$
  with taken as (
    delete from app.tallies where id in (select id from app.tallies order by id limit 20000 for update skip locked)
    returning name, tenant_id, labels, value),
  added as (
    select name, tenant_id, labels, (select count(*) from jsonb_array_elements(app.tally_bounds() -> name) x (bound)
      where x.bound::numeric < tallied.value)::smallint as bucket, count(*) as count, sum(value) as sum
    from taken tallied group by 1, 2, 3, 4)
  insert into app.totals as t (name, tenant_id, labels, bucket, count, sum)
    select name, tenant_id, labels, bucket, count, sum from added order by 1, 2, 3, 4
    on conflict (name, tenant_id, labels, bucket) do update set count = t.count + excluded.count,
      sum = t.sum + excluded.sum
$$;
comment on function app.collect_tallies() is
  'Moves up to 20,000 tallies into the totals. Several callers at once take different rows.';

create function public.fleet_totals() returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform app.collect_tallies();
  return jsonb_build_object('bounds', app.tally_bounds(), 'totals', (
    with largest as (
      select t.id, t.slug from public.tenants t join app.totals x on x.tenant_id = t.id
      where t.status <> 'removed' group by t.id order by sum(x.count) desc, t.slug limit 50)
    select coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'tenant', l.slug, 'labels', x.labels,
      'bucket', x.bucket, 'count', x.count, 'sum', x.sum)), '[]')
    from app.totals x left join largest l on l.id = x.tenant_id where x.tenant_id is null or l.id is not null));
end $$;
comment on function public.fleet_totals() is
  'Collects the tallies and returns the totals, with those of the 50 tenants that have the most; called every few '
  'seconds by the orchestrator that holds the duty housekeeping.';
grant execute on function public.fleet_totals() to orchestrator;

create function app.tally_start(s public.interview_sessions) returns void
language plpgsql volatile set search_path = '' as $$
declare
  m public.machines;
  p public.session_phases := app.record_start(s);
  v_labels jsonb := jsonb_build_object('path', case when s.scheduled_at is not null then 'scheduled' else p.path end,
    'region', coalesce(s.region, 'none'));
begin
  if s.test then return; end if;
  select * into m from public.machines where id = s.machine_id;
  if exists (select from public.pool_policies o where o.tenant_id = s.tenant_id and o.region = s.region
    and o.ceiling > 0) then
    perform app.tally('pool_starts', 1, jsonb_build_object('region', s.region, 'result',
      case when p.path = 'cold' then 'miss' else 'hit' end));
  end if;
  perform app.tally('session_ready_seconds', extract(epoch from clock_timestamp() - p.due_at), v_labels);
  perform app.tally('start_phase_seconds', extract(epoch from seconds), v_labels || jsonb_build_object('phase', phase))
  from (values
    ('limit', case when m.assigned_at is null and not m.hot then m.not_before - m.reserved_at end),
    ('create', case when m.assigned_at is null and not m.hot then
      m.created_at - greatest(m.reserved_at, m.not_before) end),
    ('start', m.start_requested_at - m.assigned_at),
    ('boot', case when not m.hot then m.claimed_at - coalesce(m.start_requested_at, m.created_at) end))
    phases (phase, seconds)
  where seconds is not null;
end $$;
comment on function app.tally_start(public.interview_sessions) is
  'Writes the phases of a session''s start, and observes for the metrics how long it waited for its worker and the '
  'phases of its machine''s start: waiting for Fly''s create limit, create, start of a standby machine, boot until '
  'the claim. Where the tenant has a pool in the region, counts whether the pool had a machine.';

create function app.tally_hot_starts(p_session_ids uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into app.tallies (name, labels, value)
    select t.name, t.labels, t.value from public.interview_sessions s cross join lateral (values
      ('pool_starts', jsonb_build_object('region', s.region, 'result', 'hit'),
        (select 1 from public.pool_policies o where o.tenant_id = s.tenant_id and o.region = s.region
          and o.ceiling > 0)),
      ('session_ready_seconds', jsonb_build_object('path', case when s.scheduled_at is not null then 'scheduled'
          else 'hot' end, 'region', coalesce(s.region, 'none')),
        greatest(0, extract(epoch from clock_timestamp() - greatest(s.created_at, s.scheduled_at)))))
      t (name, labels, value)
    where s.id = any (p_session_ids) and not s.test and t.value is not null;
end $$;
comment on function app.tally_hot_starts(uuid[]) is
  'Counts for new sessions on hot machines what app.tally_start counts for the others, with one statement.';

create function app.tally_end(s public.interview_sessions) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_entries bigint := (select count(*) from public.transcript_entries where session_id = s.id);
begin
  if s.ready_at is null then perform app.record_start(s); end if;
  if s.test then return; end if;
  perform app.tally('sessions_ended', 1, jsonb_build_object('outcome', s.outcome, 'reason', s.reason,
    'region', coalesce(s.region, 'none')));
  perform app.tally('tenant_sessions_ended', 1, jsonb_build_object('outcome', s.outcome), s.tenant_id);
  perform app.tally('transcript_entries_lost', (select greatest(0, max((m.counts ->> 'entries_acknowledged')::bigint)
    - v_entries) from public.machines m where m.session_id = s.id and m.counts ? 'entries_acknowledged'
      and s.transcript_erased_at is null));
  if s.started_at is null then return; end if;
  perform app.tally('session_duration_seconds', extract(epoch from s.completed_at - s.started_at));
  perform app.tally('tenant_interview_seconds', extract(epoch from s.completed_at - s.started_at), '{}', s.tenant_id);
  perform app.tally('transcript_entries_per_session', v_entries);
  perform app.tally('tenant_transcript_entries', v_entries, '{}', s.tenant_id);
end $$;
comment on function app.tally_end(public.interview_sessions) is
  'Counts an ended session. An entry counts as lost if a worker reported more acknowledged entries than are stored.';

create function app.tally_session() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_from smallint := old.state_rank;
begin
  if v_from < app.rank_of('ready') and new.state_rank >= app.rank_of('ready') and new.ready_at is not null then
    perform app.tally_start(new);
  end if;
  if v_from < app.rank_of('connecting') and new.state_rank = app.rank_of('connecting') and not new.test then
    perform app.tally('candidate_wait_seconds', extract(epoch from clock_timestamp() - new.ready_at));
  end if;
  if v_from < app.rank_of('ended') and new.state_rank >= app.rank_of('ended') then perform app.tally_end(new); end if;
  if old.epoch > 0 and new.epoch > old.epoch and not new.test then
    select * into m from public.machines where id = old.machine_id;
    perform app.tally('failovers', 1, jsonb_build_object('reason', coalesce(m.reason, 'booted_again')));
    perform app.tally('failover_seconds', extract(epoch from clock_timestamp()
      - coalesce(m.draining_at, m.last_heartbeat_at)));
  end if;
  return null;
end $$;
comment on function app.tally_session() is 'Counts a session''s steps for the metrics. Trigger of interview_sessions.';
create trigger tally_steps after update of status, epoch on public.interview_sessions for each row
  when (old.status is distinct from new.status or old.epoch is distinct from new.epoch)
  execute function app.tally_session();

create function app.tally_machine() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform app.tally('machines_ended', 1, jsonb_build_object('reason', new.reason, 'region', new.region));
  -- A machine must be gone two reconcile ticks (10 s) after its hard deadline.
  perform app.tally('orphan_seconds', extract(epoch from new.destroyed_at - new.hard_deadline_at) - 10);
  return null;
end $$;
comment on function app.tally_machine() is 'Counts a destroyed machine for the metrics. Trigger of machines.';
create trigger tally_end after update of state on public.machines for each row
  when (new.state = 'destroyed' and old.state <> 'destroyed') execute function app.tally_machine();

create function app.tally_usage() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform app.tally('cost_usd', new.cost_usd, jsonb_build_object('kind', 'run', 'region', new.region));
  perform app.tally('cost_usd', new.standby_cost_usd, jsonb_build_object('kind', 'standby', 'region', new.region));
  perform app.tally('cost_usd', new.hot_cost_usd, jsonb_build_object('kind', 'hot', 'region', new.region));
  perform app.tally('tenant_cost_usd', new.cost_usd + new.standby_cost_usd + new.hot_cost_usd, '{}', new.tenant_id);
  return null;
end $$;
comment on function app.tally_usage() is 'Adds up the cost of machines for the metrics. Trigger of machine_usage.';
create trigger tally_cost after insert on public.machine_usage for each row when (not new.test)
  execute function app.tally_usage();

create function app.tally_result() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if app.is_test_session(new.session_id) then return null; end if;
  perform app.tally('results', 1, jsonb_build_object('status', new.status));
  perform app.tally('result_seconds', (select extract(epoch from clock_timestamp() - s.completed_at)
    from public.interview_sessions s where s.id = new.session_id)) where new.attempts <= 1 and new.status = 'done';
  return null;
end $$;
comment on function app.tally_result() is 'Counts finished evaluations for the metrics. Trigger of interview_results.';
create trigger tally_end after update of status on public.interview_results for each row
  when (new.status in ('done', 'empty', 'dead') and old.status <> new.status) execute function app.tally_result();

create function app.tally_call() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if app.is_test_session(new.session_id) then return null; end if;
  perform app.tally('call_setup_seconds', extract(epoch from new.answered_at - new.opened_at),
    jsonb_build_object('provider', new.provider));
  return null;
end $$;
comment on function app.tally_call() is 'Observes how long a call took to be answered. Trigger of realtime_calls.';
create trigger tally_answer after update of answered_at on public.realtime_calls for each row
  when (old.answered_at is null and new.answered_at is not null) execute function app.tally_call();

create function app.worker_counts(p_counts jsonb) returns table (key text, metric text, labels jsonb,
  count bigint) language sql immutable set search_path = '' as $$
  select c.key || coalesce('.' || part.key, ''), case when part.key is not null then c.key
      when c.key like '%\_ms' then replace(c.key, '_ms', '_seconds') else 'worker' end,
    case when part.key is not null then jsonb_build_object(case c.key when 'candidate_network_reports' then 'quality'
        when 'candidate_problems' then 'problem' when 'transcript_entries' then 'speaker'
        when 'call_replacements' then 'reason' else 'code' end, part.key)
      when c.key like '%\_ms' then '{}' else jsonb_build_object('kind', c.key) end,
    coalesce(part.value, c.value #>> '{}')::bigint
  from jsonb_each(p_counts) c left join lateral jsonb_each_text(
    case jsonb_typeof(c.value) when 'object' then c.value end) part on true
  where part.key is not null or jsonb_typeof(c.value) = 'number'
$$;
comment on function app.worker_counts(jsonb) is
  'Splits the counts of a worker into one row per series. A group of counts has a metric of its own, with the name of '
  'the part as its label; a time in ms is a metric in seconds; the other counts share the metric worker.';

create function app.count_worker(p_machine_id uuid, p_epoch integer, p_counts jsonb) returns void
language plpgsql volatile set search_path = '' as $$
declare
  m public.machines;
  v_old jsonb;
  c record;
begin
  if p_counts is null then return; end if;
  select * into m from public.machines where id = p_machine_id and epoch = p_epoch for update;
  if not found or app.is_test_session(m.session_id) then return; end if;
  v_old := case when m.counts_epoch = p_epoch then m.counts else '{}' end;
  for c in select w.*, coalesce((v_old ->> w.key)::bigint, 0) as before from app.worker_counts(p_counts) w loop
    if c.count > c.before then
      perform app.tally(c.metric, (c.count - c.before)
        * case when c.key like '%\_ms' then 0.001 else 1 end, c.labels);
      v_old := v_old || jsonb_build_object(c.key, c.count);
    end if;
  end loop;
  update public.machines set counts = v_old, counts_epoch = p_epoch where id = m.id
    and (counts, counts_epoch) is distinct from (v_old, p_epoch);
end $$;
comment on function app.count_worker(uuid, integer, jsonb) is
  'Adds what a worker counted since its last report. A worker reports the counts of its whole life, and the largest '
  'are kept in the row of its machine: a report that arrives twice, late or elsewhere adds nothing twice.';

-- ── schemas/machines/claiming.sql ──
create function app.directive_of(s public.interview_sessions, m public.machines) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return case
    when s.machine_id is distinct from m.id or s.epoch is distinct
      from m.epoch then jsonb_build_object('kind', 'fenced')
    when s.state_rank >= app.rank_of('ended') or s.end_requested_at is not null then
      jsonb_build_object('kind', 'end', 'outcome', s.outcome, 'reason', s.reason)
    else jsonb_build_object('kind', 'continue') end;
end $$;
comment on function app.directive_of(public.interview_sessions, public.machines) is
  'Returns what a worker must do: continue, end, or exit because it is fenced.';

create function app.unserved_ms(s public.interview_sessions) returns integer
language sql stable set search_path = '' as $$
  select case when s.started_at is null then 0 else coalesce((
    select least(600000, greatest(0, extract(epoch from clock_timestamp() - m.last_heartbeat_at) * 1000))::integer
    from public.machines m where m.id = s.machine_id), 0) end
$$;
comment on function app.unserved_ms(public.interview_sessions) is
  'Returns how long a running interview has been without a worker, milliseconds: since the last sign of life of its '
  'machine, at most ten minutes. 0 before the interview began.';

create function app.open_epoch(p_session_id uuid, p_machine_id uuid, p_fly_machine_id text, p_boot_nonce text,
  p_lease_ms integer, p_life_ms numeric, p_vm_ms double precision default null,
  p_process_ms double precision default null) returns void
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = p_session_id;
  -- The session is locked FOR UPDATE, and transcript writes lock it FOR SHARE: no write of the old epoch can follow.
  update public.interview_sessions set epoch = epoch + 1, machine_id = m.id, fly_machine_id = p_fly_machine_id,
    region = m.region,
    -- The candidate gets back the time that an outage took.
    max_duration_ms = least(10800000, max_duration_ms + app.unserved_ms(s))
    where id = p_session_id returning * into s;
  update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce, epoch = s.epoch,
    state = case state when 'draining' then 'claimed' else state end, reason = null,
    last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
    draining_at = null, first_absent_at = null, host_bad_since = null, unreachable_since = null,
    hard_deadline_at = app.machine_deadline(coalesce(s.started_at, clock_timestamp()), p_life_ms, s.max_duration_ms),
    -- A VM that shares its host's kernel, as in the local cloud, says how long the host has been up.
    started_at = coalesce(started_at, (select at from (select clock_timestamp() - app.interval_ms(p_vm_ms)) x (at)
      where at >= coalesce(m.assigned_at, m.reserved_at))),
    booted_at = coalesce(booted_at, clock_timestamp() - app.interval_ms(p_process_ms))
    where id = m.id;
  if not app.move_machine(m.id, 'claimed') then
    perform app.emit(s.id, s.tenant_id, 'machine.claimed',
      jsonb_build_object('machine_id', m.id, 'fly_machine_id', p_fly_machine_id,
      'region', m.region, 'attempt', m.attempt, 'epoch', s.epoch));
  end if;
  perform app.move_session(s.id, 'ready');
  if s.epoch > 1 then
    perform app.emit(s.id, s.tenant_id, 'session.failed_over', jsonb_build_object('epoch', s.epoch));
  end if;
end $$;
comment on function app.open_epoch(uuid, uuid, text, text, integer, numeric, double precision,
  double precision) is
  'Makes a boot of a machine the server of a session, which the caller has locked, at the next epoch. From now on the '
  'writes of all earlier epochs are refused.';

create function app.register_hot(m public.machines, p_fly_machine_id text, p_boot_nonce text, p_lease_ms integer)
  returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_heard timestamptz := clock_timestamp();
begin
  if m.fly_machine_id is not null and m.fly_machine_id <> p_fly_machine_id then
    return jsonb_build_object('kind', 'refused', 'why', 'another machine has this name');
  end if;
  update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce,
    last_heartbeat_at = v_heard, lease_expires_at = v_heard + app.interval_ms(p_lease_ms), first_absent_at = null
    where id = m.id and session_id is null and life_rank <= app.life_rank_of('started')
      and hard_deadline_at > v_heard;
  if not found then return null; end if;
  perform app.move_machine(m.id, 'started');
  return jsonb_build_object('kind', 'waiting', 'machine_id', m.id, 'heard_at', v_heard);
end $$;
comment on function app.register_hot(public.machines, text, text, integer) is
  'Registers that the worker of a hot machine waits for a session, and renews its lease. A newer boot replaces an '
  'earlier one, which holds nothing. Returns null if the machine was assigned or given up meanwhile, or is '
  'past its hard deadline.';

create function app.claim_session(p_machine_name text, p_app_name text, p_fly_machine_id text, p_boot_nonce text,
  p_lease_ms integer, p_life_ms integer,
  p_image_digest text default null, p_vm_ms double precision default null, p_process_ms double precision default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_refusal jsonb;
  v_waiting jsonb;
  v_losers jsonb := '[]';
begin
  select * into m from public.machines where name = p_machine_name and app_name = p_app_name;
  if not found then return jsonb_build_object('kind', 'refused', 'why', 'unknown machine'); end if;
  if p_image_digest is not null and m.image like '%@%' and split_part(m.image, '@', 2) <> p_image_digest then
    return jsonb_build_object('kind', 'refused', 'why', 'another image');
  end if;
  if m.session_id is null and m.hot then
    v_waiting := app.register_hot(m, p_fly_machine_id, p_boot_nonce, p_lease_ms);
    if v_waiting is not null then return v_waiting; end if;
    select * into m from public.machines where id = m.id;
  end if;
  if m.session_id is null then return jsonb_build_object('kind', 'refused', 'why', 'not assigned'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = m.id for update;
  v_refusal := app.claim_refusal(s, m, p_fly_machine_id, p_boot_nonce);
  if v_refusal is not null then
    -- From here on a loser is being destroyed; its worker exits by itself.
    if v_refusal ->> 'retry' is null then
      perform app.move_machine(m.id, 'draining', 'superseded') where m.life_rank < app.life_rank_of('claimed');
    end if;
    return v_refusal;
  end if;
  if m.boot_nonce is distinct from p_boot_nonce then
    perform app.open_epoch(s.id, m.id, p_fly_machine_id, p_boot_nonce, p_lease_ms, p_life_ms, p_vm_ms, p_process_ms);
    with losers as (
      select o.id, app.move_machine(o.id, 'destroying', 'superseded') from public.machines o
      where o.session_id = s.id and o.id <> m.id and o.life_rank < app.life_rank_of('claimed'))
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', o.id, 'app_name', o.app_name,
      'fly_machine_id', o.fly_machine_id)), '[]')
      into v_losers from losers l join public.machines o on o.id = l.id;
    select * into m from public.machines where id = m.id;
    select * into s from public.interview_sessions where id = s.id;
  elsif m.hot and m.confirmed_at is null then
    update public.machines set confirmed_at = clock_timestamp(), last_heartbeat_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms) where id = m.id;
  end if;
  return jsonb_build_object('kind', 'claimed', 'machine_id', m.id, 'session', app.session_json(s.id),
    'allowed_origins', (select to_jsonb(t.allowed_origins) from public.tenants t where t.id = s.tenant_id),
    'open_call',
    (select jsonb_build_object('ordinal', c.ordinal, 'call_id', c.call_id,
      'credential_ciphertext', c.credential_ciphertext,
      'interviewer_template', app.interviewer_template(s.tenant_id))
      from public.realtime_calls c where c.session_id = s.id and c.hung_up_at is null order by c.ordinal desc limit 1),
    'next_ordinal', app.next_ordinal(s.id),
    'losers', v_losers, 'traceparent', s.traceparent,
    'directive', app.directive_of(s, m));
end $$;
comment on function app.claim_session(text, text, text, text, integer, integer, text, double precision,
  double precision) is
  'Gives a booted worker its session at the next epoch. The same nonce gets the same '
  'answer again. The worker of a hot machine without a session is told to wait. Every other claim is refused with a '
  'reason (why); retry says that it may succeed in a moment. '
  'losers are attempts that claimed too late; that they will be destroyed is already committed. p_vm_ms and '
  'p_process_ms: for how long the VM and the worker''s process have run.';

create function public.claim_sessions(p_claims jsonb, p_lease_ms integer, p_life_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_names text[] := array(select c ->> 'machine_name' from jsonb_array_elements(p_claims) c);
begin
  -- Sessions before machines, each by id: two batches that lock the same rows cannot deadlock.
  perform 1 from public.interview_sessions s
    where s.id in (select m.session_id from public.machines m where m.name = any (v_names)) order by s.id for update;
  perform 1 from public.machines m
    where m.name = any (v_names)
      or m.session_id in (select x.session_id from public.machines x where x.name = any (v_names))
    order by m.id for update;
  return (select jsonb_agg(app.claim_session(c ->> 'machine_name', c ->> 'app_name', c ->> 'fly_machine_id',
      c ->> 'boot_nonce', p_lease_ms, p_life_ms, c ->> 'image_digest', (c ->> 'vm_ms')::double precision,
      (c ->> 'process_ms')::double precision) order by n)
    from jsonb_array_elements(p_claims) with ordinality as e (c, n));
end $$;
comment on function public.claim_sessions(jsonb, integer, integer) is
  'Answers a batch of claims, each as app.claim_session does; called by the worker API. p_claims: an array of '
  'machine_name, app_name, fly_machine_id, boot_nonce, and image_digest, vm_ms and process_ms or null. Returns the '
  'answers in the same order.';
grant execute on function public.claim_sessions(jsonb, integer, integer) to orchestrator;

create function public.record_heartbeats(p_beats jsonb, p_lease_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- Sessions before machines, each by id: two batches that lock the same rows cannot deadlock.
  perform 1 from public.interview_sessions s
    where s.machine_id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b)
      and exists (select from jsonb_array_elements(p_beats) b where (b ->> 'machine_id')::uuid = s.machine_id
        and b ->> 'presence' <> s.presence)
    order by s.id for update;
  with beats as (
    select distinct on ((b ->> 'machine_id')::uuid, b ->> 'epoch') (b ->> 'machine_id')::uuid as machine_id,
      (b ->> 'epoch')::integer as epoch,
      b ->> 'presence' as presence
    from jsonb_array_elements(p_beats) b
  )
  update public.interview_sessions s set presence = b.presence from beats b
    where s.machine_id = b.machine_id and s.epoch = b.epoch and s.presence <> b.presence
      and s.state_rank < app.rank_of('ended');
  perform 1 from public.machines m where m.id in (select (b ->> 'machine_id')::uuid
    from jsonb_array_elements(p_beats) b) order by m.id for update;
  update public.machines m set last_heartbeat_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
    rss_bytes = (b ->> 'rss_bytes')::bigint, unsaved_entries = (b ->> 'unsaved_entries')::integer,
        first_absent_at = null
    from jsonb_array_elements(p_beats) b where m.id = (b ->> 'machine_id')::uuid and m.epoch = (b ->> 'epoch')::integer
      and m.life_rank < app.life_rank_of('destroyed');
  perform app.count_worker((b ->> 'machine_id')::uuid, (b ->> 'epoch')::integer, b -> 'counts')
    from jsonb_array_elements(p_beats) b where b ? 'counts';
  perform app.note_call((b ->> 'machine_id')::uuid, (b ->> 'epoch')::integer, b -> 'phases')
    from jsonb_array_elements(p_beats) b where b ? 'phases';
  return (select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'epoch', (b ->> 'epoch')::integer,
      'directive', case when m.epoch = (b ->> 'epoch')::integer then app.directive_of(s, m)
        else '{"kind": "fenced"}' end)), '[]')
    from jsonb_array_elements(p_beats) b join public.machines m on m.id = (b ->> 'machine_id')::uuid
    join public.interview_sessions s on s.id = m.session_id);
end $$;
comment on function public.record_heartbeats(jsonb, integer) is
  'Renews the leases of a batch of machines and returns the directive of each; called by the worker API. Returns '
  'fenced for an older epoch, and for an earlier boot of a machine that has booted again.';
grant execute on function public.record_heartbeats(jsonb, integer) to orchestrator;

create function public.record_hot_left(p_machine_id uuid, p_heard_at timestamptz) returns boolean
language sql volatile security definer set search_path = '' as $$
  with gone as (update public.machines set lease_expires_at = clock_timestamp()
    where id = p_machine_id and session_id is null and last_heartbeat_at = p_heard_at returning 1)
  select exists (select from gone)
$$;
comment on function public.record_hot_left(uuid, timestamptz) is
  'Records that the connection of a waiting hot worker closed, so that no session gets its machine until it claims '
  'again; called by the worker API. Changes nothing if the worker has claimed since p_heard_at.';
grant execute on function public.record_hot_left(uuid, timestamptz) to orchestrator;

create function public.unconfirmed_machines() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(m.id), '[]') from public.machines m where m.state = 'claimed' and m.hot
    and m.confirmed_at is null
$$;
comment on function public.unconfirmed_machines() is
  'Lists the hot machines that have been assigned and whose workers have not claimed yet; called by orchestrators '
  'whose held claims may be from them.';
grant execute on function public.unconfirmed_machines() to orchestrator;

create function public.replace_unconfirmed(p_launch jsonb, p_late_ms integer, p_machine_id uuid default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c record;
  m public.machines;
  v_settled jsonb;
  v_replaced jsonb[] := '{}';
begin
  for c in select id, session_id from public.machines where state = 'claimed' and hot and confirmed_at is null
    and (id = p_machine_id or claimed_at < clock_timestamp() - app.interval_ms(p_late_ms)) order by id loop
    perform 1 from public.interview_sessions where id = c.session_id for update skip locked;
    continue when not found;
    select * into m from public.machines where id = c.id for update;
    continue when m.state <> 'claimed' or m.confirmed_at is not null;
    perform app.move_machine(m.id, 'destroying', 'boot_timeout');
    v_settled := app.settle_session(m.session_id, p_launch);
    v_replaced := v_replaced || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'session_id', m.session_id, 'next', v_settled -> 'intent');
  end loop;
  return to_jsonb(v_replaced);
end $$;
comment on function public.replace_unconfirmed(jsonb, integer, uuid) is
  'Gives up hot machines whose workers have not claimed p_late_ms after the assignment, and p_machine_id, whose '
  'connection closed; called by orchestrators. A worker that has not claimed has no credential, so nothing has to be '
  'fenced. Each session gets its next machine. Returns [{machine_id, app_name, fly_machine_id, session_id, next}].';
grant execute on function public.replace_unconfirmed(jsonb, integer, uuid) to orchestrator;

create function app.worker_is_over(s public.interview_sessions) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  if s.state_rank < app.rank_of('ended') then return false; end if;
  return s.completed_at < clock_timestamp() - interval '2 minutes'
    or exists (select from public.machines m where m.id = s.machine_id and m.state = 'destroyed');
end $$;
comment on function app.worker_is_over(public.interview_sessions) is
  'Returns whether a session''s worker has no authority any more: its machine is gone, or the session ended two '
  'minutes ago, which is longer than a teardown takes.';

create function app.own_session(p_for_share boolean default false) returns public.interview_sessions
language plpgsql set search_path = '' as $$
declare
  c jsonb := app.claims();
  s public.interview_sessions;
begin
  if p_for_share then
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for share;
  else
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for update;
  end if;
  if s.id is null or s.machine_id is distinct from (c ->> 'machine_id')::uuid or s.epoch is distinct
    from (c ->> 'epoch')::integer then
    raise exception 'fenced' using errcode = 'PT409', hint = 'Another machine serves the session now.';
  end if;
  if app.worker_is_over(s) then
    raise exception 'fenced' using errcode = 'PT409', hint = 'The session has ended.';
  end if;
  return s;
end $$;
comment on function app.own_session(boolean) is
  'Locks and returns the session of the calling worker: FOR SHARE for transcript writes, otherwise FOR UPDATE. '
  'Raises PT409 if the worker is fenced or has no authority any more.';

create function app.claim_refusal(s public.interview_sessions, m public.machines, p_fly_machine_id text,
  p_boot_nonce text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  o public.machines;
begin
  if m.fly_machine_id is not null and m.fly_machine_id <> p_fly_machine_id then
    return jsonb_build_object('kind', 'refused', 'why', 'another machine has this name');
  end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null and s.machine_id is distinct
    from m.id then
    return jsonb_build_object('kind', 'refused', 'why', 'the session is ' || case
      when s.state_rank >= app.rank_of('finalizing') then s.status
      else 'to end' end);
  end if;
  if s.machine_id is not null and s.machine_id <> m.id then
    select * into o from public.machines where id = s.machine_id;
    if o.life_rank < app.life_rank_of('draining') or m.epoch is not null then
      return jsonb_build_object('kind', 'refused', 'why', 'another machine serves the session');
    end if;
  end if;
  if m.boot_nonce is not null and m.boot_nonce <> p_boot_nonce then
    if m.state = 'draining' and m.reason = 'handed_over' then return null; end if;
    if m.state <> 'claimed' then
      return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state);
    end if;
    if m.lease_expires_at > clock_timestamp() then
      return jsonb_build_object('kind', 'refused', 'why', 'an earlier boot may be alive', 'retry', true);
    end if;
    return null;
  end if;
  if m.life_rank > app.life_rank_of('claimed') then
    return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state);
  end if;
  return null;
end $$;
comment on function app.claim_refusal(public.interview_sessions, public.machines, text, text) is
  'Returns why this boot may not serve the session, null if it may. retry says that the worker may ask again in a '
  'moment.';

-- ── schemas/machines/ending.sql ──
create function public.finish_session(p_machine_id uuid, p_epoch integer, p_kind text, p_outcome text default null,
  p_reason text default null,
  p_transcript_complete boolean default null, p_next jsonb default '{}', p_counts jsonb default null,
  p_phases jsonb default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_where jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  v_where := jsonb_build_object('app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  perform app.count_worker(m.id, p_epoch, p_counts);
  if p_phases is not null then perform app.note_call(m.id, p_epoch, p_phases); end if;
  if s.machine_id is distinct from m.id or s.epoch <> p_epoch then
    -- A report by an earlier boot of a machine that still serves the session is ignored.
    if m.epoch is not distinct from p_epoch then perform app.move_machine(m.id, 'draining', 'superseded'); end if;
    return jsonb_build_object('kind', 'fenced') || v_where;
  end if;
  if p_kind = 'draining' then
    if app.move_machine(m.id, 'draining', 'handed_over') then
      return jsonb_build_object('kind', 'draining', 'next', app.settle_session(s.id, p_next)
        -> 'intent') || v_where;
    end if;
    return jsonb_build_object('kind', 'draining') || v_where;
  end if;
  update public.interview_sessions set transcript_complete = coalesce(p_transcript_complete, transcript_complete)
    where id = s.id;
  perform app.move_session(s.id, 'finalizing', p_outcome, p_reason);
  perform app.end_session(s.id, p_outcome, p_reason);
  perform app.move_machine(m.id, 'draining', 'session_ended');
  return jsonb_build_object('kind', 'ended') || v_where;
end $$;
comment on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb, jsonb, jsonb) is
  'Stores a worker''s final report; called by the worker API. ended: the session ends, with the ending already '
  'decided if there is one. draining: the session continues on another machine, and next is the attempt reserved for '
  'it. Changes nothing for a fenced worker.';
grant execute on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb, jsonb, jsonb)
  to orchestrator;

create function public.record_machine_destroying(p_machine_id uuid, p_reason text, p_epoch integer default null,
  p_judged boolean default false,
  p_next jsonb default null, p_duty text default null, p_fence bigint default null, p_evidence text default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_next jsonb;
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty', 'state', null); end if;
  perform 1 from public.interview_sessions s join public.machines x on x.session_id = s.id
    where x.id = p_machine_id for update of s;
  select * into m from public.machines where id = p_machine_id for update;
  if not found then return jsonb_build_object('kind', 'unknown', 'state', null); end if;
  if p_judged and m.life_rank < app.life_rank_of('destroying') and m.epoch is distinct from p_epoch then
    return jsonb_build_object('kind', 'stale', 'state', m.state);
  end if;
  perform app.keep_evidence(m.id, p_evidence);
  if app.move_machine(m.id, 'destroying', p_reason) and p_next is not null and m.session_id is not null then
    v_next := app.settle_session(m.session_id, p_next) -> 'intent';
  end if;
  return jsonb_build_object('kind', 'done', 'state', (select state from public.machines where id = p_machine_id),
    'next', v_next);
end $$;
comment on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint, text) is
  'Records that a machine will be destroyed; called by the orchestrator before it sends a DELETE to Fly. It takes '
  'the same lock as an assignment. p_judged: refuse if the machine is no longer at the epoch at which it was judged. '
  'p_next: reserve the session''s next attempt at once. p_evidence: why this is right, in words; the first is kept. '
  'Returns kind: done, stale, off_duty, unknown.';
grant execute on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint,
  text) to orchestrator;

create function app.keep_evidence(p_machine_id uuid, p_evidence text) returns void
language sql volatile set search_path = '' as $$
  update public.machines set evidence = left(p_evidence, 500)
    where id = p_machine_id and evidence is null and p_evidence is not null
$$;
comment on function app.keep_evidence(uuid, text) is
  'Stores why a machine''s end is right, in words, unless that is already stored.';

create function public.record_machine_gone(p_machine_id uuid, p_machine_reason text, p_next jsonb default '{}',
  p_duty text default null, p_fence bigint default null, p_absent_ms integer default null,
  p_silent boolean default false, p_evidence text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_settled jsonb := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty'); end if;
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  -- A heartbeat or a claim clears the absence, because the report of the absence may be late.
  if p_absent_ms is not null
    and (m.first_absent_at is null or m.first_absent_at > clock_timestamp() - app.interval_ms(p_absent_ms))
    or p_silent and m.state = 'claimed' and m.lease_expires_at > clock_timestamp() then
    return jsonb_build_object('kind', 'alive', 'session_id', m.session_id);
  end if;
  perform app.keep_evidence(m.id, p_evidence);
  perform app.move_machine(m.id, 'destroyed', p_machine_reason);
  if m.session_id is not null then v_settled := app.settle_session(m.session_id, p_next); end if;
  return jsonb_build_object('kind', 'recorded', 'session_ended', coalesce(v_settled ->> 'kind' = 'ended', false),
    'session_id', m.session_id,
    'next', v_settled -> 'intent');
end $$;
comment on function public.record_machine_gone(uuid, text, jsonb, text, bigint, integer, boolean, text) is
  'Records that Fly no longer has a machine; called by the reaper and after a destruction. If only this machine '
  'served a session, the session gets its next attempt or ends. p_absent_ms: only if the machine has been absent '
  'that long without a heartbeat. p_silent: only if its worker''s lease is not valid. Returns kind: recorded, alive, '
  'off_duty, unknown.';
grant execute on function public.record_machine_gone(uuid, text, jsonb, text, bigint, integer, boolean, text)
  to orchestrator;

create function public.machines_alive(p_apps text[] default null) returns json
-- Planned with the call's own apps: otherwise each call would read the machines of all apps. Sessions are looked up one
-- by one: a hash join would read all that ever were.
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan'
  set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  -- state_ms: a standby machine may have waited for hours, so its time counts from the assignment to its session.
  return (select coalesce(json_agg(json_build_object('machine_id', m.id, 'name', m.name, 'app_name', m.app_name,
    'fly_machine_id', m.fly_machine_id,
    'state', m.state, 'reason', m.reason, 'epoch', m.epoch, 'session_id', m.session_id, 'session_rank', s.state_rank,
    'serves', s.machine_id = m.id, 'hot', m.hot,
    'session_over_ms', floor(extract(epoch from clock_timestamp() - s.completed_at) * 1000),
    'state_ms', floor(extract(epoch from clock_timestamp()
      - coalesce(m.destroying_at, m.draining_at, m.claimed_at, greatest(m.created_at, m.assigned_at),
        greatest(m.reserved_at, m.not_before))) * 1000),
    'asked_ms', floor(extract(epoch from clock_timestamp() - greatest(m.reserved_at, m.not_before,
      m.assigned_at)) * 1000),
    'last_heartbeat_at', m.last_heartbeat_at, 'hard_deadline_at', m.hard_deadline_at,
    'lease_lapsed', m.lease_expires_at < clock_timestamp(),
    'past_deadline', m.hard_deadline_at < clock_timestamp(),
    'host_bad_ms', floor(extract(epoch from clock_timestamp() - m.host_bad_since) * 1000),
    'absent_ms', floor(extract(epoch from clock_timestamp() - m.first_absent_at) * 1000))), '[]')
  from public.machines m left join public.interview_sessions s on s.id = m.session_id
  where m.state <> 'destroyed' and (p_apps is null or m.app_name = any (p_apps)));
end $$;
comment on function public.machines_alive(text[]) is
  'Lists all machines of these apps that may exist at Fly, with the facts by which the reconciler and the reaper, '
  'who call it, judge them.';
grant execute on function public.machines_alive(text[]) to orchestrator;

create function public.record_machine_absent(p_machine_id uuid, p_absent boolean default true) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set first_absent_at = case when p_absent then coalesce(first_absent_at, clock_timestamp()) end
    where id = p_machine_id
$$;
comment on function public.record_machine_absent(uuid, boolean) is
  'Records since when Fly does not find a machine; called by the reaper. Clears the time when the machine is found '
  'again.';
grant execute on function public.record_machine_absent(uuid, boolean) to orchestrator;

create function public.record_host(p_machine_id uuid, p_ok boolean) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set host_bad_since = case when p_ok then null
    else coalesce(host_bad_since, clock_timestamp()) end where id = p_machine_id
$$;
comment on function public.record_host(uuid, boolean) is
  'Records since when Fly reports that the host of a machine is not ok; called by the reaper. Clears the time when '
  'the host is ok again.';
grant execute on function public.record_host(uuid, boolean) to orchestrator;

-- ── schemas/machines/intents.sql ──
create function app.intent_json(p_machine_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  m public.machines;
  v_regions text[];
  v_allowed text[];
  v_traceparent text;
  v_creation text;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return null; end if;
  select regions, traceparent, creation_traceparent into v_regions, v_traceparent, v_creation
    from public.interview_sessions where id = m.session_id;
  select allowed_regions into v_allowed from public.tenants where id = m.tenant_id;
  return jsonb_build_object('machine_id', m.id, 'name', m.name, 'tenant_id', m.tenant_id, 'session_id', m.session_id,
    'app_name', m.app_name,
    'region', m.region, 'image', m.image, 'attempt', m.attempt, 'fly_machine_id', m.fly_machine_id,
    'action', case when m.hot and m.session_id is not null then 'wake' when m.assigned_at is null then 'create'
      else 'start' end,
    'hot', m.hot,
    'late', m.start_requested_at is not null,
    'regions', coalesce(v_regions, '{}'), 'allowed_regions', v_allowed,
    'tried_regions', case when m.attempt = 1 then jsonb_build_array(m.region)
      else (select coalesce(jsonb_agg(distinct o.region), jsonb_build_array(m.region)) from public.machines o
        where o.session_id = m.session_id) end,
    'hard_deadline_at', m.hard_deadline_at, 'traceparent', v_traceparent, 'creation_traceparent', v_creation,
    'wait_ms', greatest(0, ceil(extract(epoch from m.not_before - clock_timestamp()) * 1000)));
end $$;
comment on function app.intent_json(uuid) is
  'Returns an intent: a machine to create, an assigned standby machine to start, or an assigned hot machine whose '
  'worker must be told (action: create, start, wake), with the wait for its slot and the data for choosing the next '
  'region.';

create function public.take_intents(p_orchestrator_id uuid, p_taken_ms integer, p_limit integer default 20)
  returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select id, row_number() over (partition by tenant_id order by not_before) as place from public.machines
    where state = 'reserved' and not_before <= clock_timestamp()
      and (taken_until is null or taken_until <= clock_timestamp())
  ), due as (
    select m.id from public.machines m join waiting w on w.id = m.id
    where m.state = 'reserved' and (m.taken_until is null or m.taken_until <= clock_timestamp())
    -- Tenants take turns, so that one whose creates do not return cannot fill every batch.
    order by w.place, m.not_before limit p_limit for update of m skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_intents(uuid, integer, integer) is
  'Takes due intents that no orchestrator is executing, or whose orchestrator has not finished in time; called by '
  'the provisioner.';
grant execute on function public.take_intents(uuid, integer, integer) to orchestrator;

create function public.keep_intent(p_machine_id uuid, p_orchestrator_id uuid, p_taken_ms integer) returns boolean
language sql volatile security definer set search_path = '' as $$
  with kept as (
    update public.machines set taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    where id = p_machine_id and (state = 'reserved' or state = 'created' and assigned_at is not null)
      and taken_by = p_orchestrator_id and taken_until > clock_timestamp() returning 1)
  select exists (select from kept)
$$;
comment on function public.keep_intent(uuid, uuid, integer) is
  'Extends the hold on a taken intent; called right before a request to Fly or a wait. Returns false if another '
  'orchestrator has taken it or it is no longer wanted.';
grant execute on function public.keep_intent(uuid, uuid, integer) to orchestrator;

create function public.record_machine_created(p_machine_id uuid, p_fly_machine_id text, p_region text,
  p_fly_request_id text default null, p_asked_ms double precision default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return 'unknown'; end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  update public.machines set fly_machine_id = coalesce(fly_machine_id, p_fly_machine_id), region = p_region
    where id = p_machine_id;
  perform app.move_machine(p_machine_id, 'created');
  perform app.record_fly_answer(p_machine_id, p_fly_request_id, p_asked_ms);
  select * into m from public.machines where id = p_machine_id;
  return m.state;
end $$;
comment on function public.record_machine_created(uuid, text, text, text, double precision) is
  'Records that Fly has created a machine; called by the provisioner. p_asked_ms: how long ago the request to Fly '
  'began. Returns the machine''s state; destroying means that it is no longer wanted.';
grant execute on function public.record_machine_created(uuid, text, text, text, double precision) to orchestrator;

create function public.record_create_failed(p_machine_id uuid, p_reason text, p_launch jsonb default '{}',
  p_evidence text default null, p_fly_request_id text default null, p_asked_ms double precision default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_intent jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if not app.move_machine(p_machine_id, 'destroyed', 'create_failed') then
    return jsonb_build_object('kind', 'stale');
  end if;
  perform app.keep_evidence(p_machine_id, p_evidence);
  perform app.record_fly_answer(p_machine_id, p_fly_request_id, p_asked_ms);
  if s.id is null or s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    if s.id is not null then perform app.settle_session(s.id, '{}'); end if;
    return jsonb_build_object('kind', 'session_over');
  end if;
  if p_launch ->> 'region' is not null and app.may_try_again(s.id, p_launch) then
    v_intent := app.give_machine(s, p_reason, p_launch);
  end if;
  if v_intent is not null then return jsonb_build_object('kind', 'next', 'intent', v_intent); end if;
  -- While a hedge or the machine that it hedges is in progress, the session is not lost.
  if exists (select from public.machines o where o.session_id = s.id and o.life_rank < app.life_rank_of('draining'))
    then
    return jsonb_build_object('kind', 'stale');
  end if;
  perform app.end_session(s.id, 'failed', p_reason);
  return jsonb_build_object('kind', 'ended');
end $$;
comment on function public.record_create_failed(uuid, text, jsonb, text, text, double precision) is
  'Records that Fly certainly did not create a machine; called by the provisioner. If p_launch names a region to try '
  'next and the session may try again, the session gets its next machine. Otherwise, if no other attempt is in '
  'progress, it ends with p_reason. Returns kind: next (intent), ended, stale, session_over, unknown.';
grant execute on function public.record_create_failed(uuid, text, jsonb, text, text, double precision) to orchestrator;

create function public.machine_intent(p_machine_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.intent_json(p_machine_id) $$;
comment on function public.machine_intent(uuid) is
  'Returns a machine as an intent; called by the reaper to choose the next region for its session. Null if there is '
  'none.';
grant execute on function public.machine_intent(uuid) to orchestrator;

-- ── schemas/machines/launching.sql ──
create function app.take_standby(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}')
  returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  foreach v_region in array app.open_regions(p_regions) loop
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created'
        and not hot and image = p_image
        and id <> all (p_except) order by created_at limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
    -- While an image is being replaced, machines with the previous image are still used.
    select id into v_id from public.machines
      where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'created' and not hot
        and id <> all (p_except) order by created_at desc limit 1 for update skip locked;
    if v_id is not null then return v_id; end if;
  end loop;
  return null;
end $$;
comment on function app.take_standby(uuid, text[], text, uuid[]) is
  'Locks a standby machine for assignment, in the first of these regions that has one, and never one of p_except, '
  'which the caller has already locked. Null if there is none.';

create function app.take_hot(p_tenant_id uuid, p_regions text[], p_image text, p_except uuid[] default '{}')
  returns uuid
language plpgsql set search_path = '' as $$
declare
  v_region text;
  v_id uuid;
begin
  p_regions := app.open_regions(p_regions);
  -- A waiting worker claims again every few seconds, and that locks its row for a moment. Such a row is tried again.
  for v_try in 1..100 loop
    foreach v_region in array p_regions loop
      -- While an image is being replaced, machines with the previous image are still used.
      select id into v_id from public.machines
        where tenant_id = p_tenant_id and region = v_region and session_id is null and state = 'started' and hot
          and lease_expires_at > clock_timestamp() and id <> all (p_except)
        order by (image = p_image) desc, started_at limit 1 for update skip locked;
      if v_id is not null then return v_id; end if;
    end loop;
    perform 1 from public.machines
      where tenant_id = p_tenant_id and region = any (p_regions) and session_id is null and state = 'started' and hot
        and lease_expires_at > clock_timestamp() and id <> all (p_except) limit 1;
    exit when not found;
    perform pg_sleep(0.005);
  end loop;
  return null;
end $$;
comment on function app.take_hot(uuid, text[], text, uuid[]) is
  'Locks a hot machine whose worker waits, for assignment, in the first of these regions that has one, and never one '
  'of p_except, which the caller has already locked. Waits up to 0.5 s while all of them are locked. Null if there is '
  'none.';

create function app.machine_deadline(p_since timestamptz, p_life_ms numeric, p_max_duration_ms integer)
  returns timestamptz
language sql immutable set search_path = '' as $$
  select p_since + app.interval_ms(p_life_ms + p_max_duration_ms)
$$;
comment on function app.machine_deadline(timestamptz, numeric, integer) is
  'Returns when a machine must be gone: its allowed life plus its session''s maximum duration, counted from its '
  'assignment or claim. The lives are unclaimedLifeMs and claimedLifeMs in deadlines.ts.';

create function app.assign_standby(p_machine_id uuid, p_session_id uuid, p_attempt integer, p_max_duration_ms integer,
  p_launch jsonb) returns text
language sql volatile set search_path = '' as $$
  update public.machines set session_id = p_session_id, assigned_at = clock_timestamp(), attempt = p_attempt,
    taken_by = (p_launch ->> 'orchestrator_id')::uuid,
    taken_until = clock_timestamp() + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
    hard_deadline_at = app.machine_deadline(clock_timestamp(), (p_launch ->> 'life_ms')::numeric, p_max_duration_ms)
  where id = p_machine_id returning region
$$;
comment on function app.assign_standby(uuid, uuid, integer, integer, jsonb) is
  'Assigns a locked standby machine to a session for good. Returns its region.';

create function app.assign_hot(p_machine_id uuid, s public.interview_sessions, p_attempt integer, p_because text,
  p_launch jsonb) returns text
language plpgsql set search_path = '' as $$
declare
  m public.machines;
begin
  update public.machines set session_id = s.id, assigned_at = clock_timestamp(), attempt = p_attempt
    where id = p_machine_id returning * into m;
  perform app.emit(s.id, s.tenant_id, 'machine.assigned',
    jsonb_strip_nulls(jsonb_build_object('machine_id', m.id, 'region', m.region, 'attempt', p_attempt,
      'because', p_because)));
  perform app.move_session(s.id, 'provisioning');
  perform app.open_epoch(s.id, m.id, m.fly_machine_id, m.boot_nonce, (p_launch ->> 'lease_ms')::integer,
    (p_launch ->> 'life_ms')::numeric);
  return m.region;
end $$;
comment on function app.assign_hot(uuid, public.interview_sessions, integer, text, jsonb) is
  'Assigns a locked hot machine to a locked session for good: the session is served by it from now on, at the next '
  'epoch. Returns its region.';

create function app.reserve_machine(p_machine_id uuid, p_tenant_id uuid, p_session_id uuid, p_region text,
  p_attempt integer, p_max_duration_ms integer, p_launch jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_slot record;
begin
  v_slot := app.draw_create_slot(p_tenant_id);
  if v_slot.app_name is null then return false; end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by,
      taken_until, hard_deadline_at)
    values (p_machine_id, p_tenant_id, p_session_id, v_slot.app_name, p_region, p_launch ->> 'image', p_attempt,
      v_slot.not_before, (p_launch ->> 'orchestrator_id')::uuid,
      v_slot.not_before + app.interval_ms((p_launch ->> 'taken_ms')::numeric),
      app.machine_deadline(clock_timestamp(), (p_launch ->> 'life_ms')::numeric, p_max_duration_ms));
  return true;
end $$;
comment on function app.reserve_machine(uuid, uuid, uuid, text, integer, integer, jsonb) is
  'Writes the intent to create a machine, with the next slot of the tenant''s create limit. Returns false if the '
  'tenant has no app.';

create function app.may_take_hot(s public.interview_sessions, p_because text) returns boolean
language sql stable set search_path = '' as $$
  select p_because is distinct from 'hedge' and p_because is distinct from 'boot_timeout'
    and p_because is distinct from 'unreachable'
    and (s.scheduled_at is null or s.machine_id is not null)
    and not exists (select from public.machines m where m.session_id = s.id
      and m.life_rank < app.life_rank_of('draining'))
$$;
comment on function app.may_take_hot(public.interview_sessions, text) is
  'Returns whether a session''s next machine may be a hot one. Not beside another machine that may still claim, not '
  'after a machine whose worker did not answer (the cause may be common to all), and not for a scheduled start, which '
  'has time.';

create function app.give_machine(s public.interview_sessions, p_because text, p_launch jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_last public.machines;
  v_attempt integer;
  v_region text;
  v_id uuid;
  v_tier text;
begin
  select * into v_last from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  v_attempt := coalesce(v_last.attempt, 0) + 1;
  v_region := coalesce(p_launch ->> 'region', v_last.region, s.regions[1], s.region, p_launch ->> 'default_region');
  if app.is_drained(v_region) then v_region := coalesce((app.open_regions(s.regions))[1], v_region); end if;
  p_launch := p_launch || jsonb_build_object('image', coalesce(p_launch ->> 'image', v_last.image));
  if app.may_take_hot(s, p_because) then
    v_id := app.take_hot(s.tenant_id, array[v_region] || s.regions, p_launch ->> 'image');
  end if;
  if v_id is not null then
    v_tier := 'hot';
    v_region := app.assign_hot(v_id, s, v_attempt, p_because, p_launch);
  else
    v_id := app.take_standby(s.tenant_id, array[v_region] || s.regions, p_launch ->> 'image');
    if v_id is not null then
      v_tier := 'standby';
      v_region := app.assign_standby(v_id, s.id, v_attempt, s.max_duration_ms, p_launch);
    else
      v_id := gen_random_uuid();
      if not app.reserve_machine(v_id, s.tenant_id, s.id, v_region, v_attempt, s.max_duration_ms, p_launch) then
        return null;
      end if;
    end if;
  end if;
  -- Not for a hedge, which may lose, nor for a session that was served, which shows its region until the next claim.
  if s.machine_id is null and p_because is distinct from 'hedge' then
    update public.interview_sessions set region = v_region, region_reason = case
        when v_last.reason in ('create_failed', 'start_failed') then 'capacity'
        when v_attempt = 1 and v_region is distinct from s.regions[1] then 'standby'
        else region_reason end
      where id = s.id;
  end if;
  if v_tier is distinct from 'hot' then
    perform app.move_session(s.id, 'provisioning');
    perform app.emit(s.id, s.tenant_id, case v_tier when 'standby' then 'machine.assigned' else 'machine.reserved' end,
      jsonb_strip_nulls(jsonb_build_object('machine_id', v_id, 'region', v_region, 'attempt', v_attempt,
        'because', p_because)));
  end if;
  return app.intent_json(v_id);
end $$;
comment on function app.give_machine(public.interview_sessions, text, jsonb) is
  'Gives a session, which the caller has locked, its first or next machine: a hot machine if there is one, else a '
  'standby machine, else a new one. All code that needs a machine uses this function. Region: the one in p_launch, '
  'otherwise that of the last machine, otherwise the session''s own. p_because: why the session needs another '
  'machine. p_launch: orchestrator_id, image, taken_ms, lease_ms, life_ms, default_region, region, max_attempts, '
  'max_failed. Returns the intent; null if the tenant has no app.';

create function app.may_try_again(p_session_id uuid, p_launch jsonb, p_under_way integer default 0) returns boolean
language sql stable set search_path = '' as $$
  select count(*) filter (where reason in ('create_failed', 'start_failed'))
      < coalesce((p_launch ->> 'max_failed')::integer, 1)
    and p_under_way + count(*) filter (where reason not in ('create_failed', 'start_failed', 'superseded',
      'handed_over')) < coalesce((p_launch ->> 'max_attempts')::integer, 1)
  from public.machines where session_id = p_session_id and life_rank >= app.life_rank_of('draining')
$$;
comment on function app.may_try_again(uuid, jsonb, integer) is
  'Returns whether a session may have another machine. This is the only place that decides it: fewer than '
  'max_attempts of its machines may be lost (hand-overs and losing hedges do not count) and fewer than max_failed '
  'may have failed to be created or started. p_under_way: machines that may still be lost.';

create function app.session_reason_of(p_machine_reason text) returns text
language sql immutable set search_path = '' as $$
  select case p_machine_reason
    when 'operator_stopped' then 'operator_stopped'
    when 'boot_timeout' then 'boot_timeout' when 'start_failed' then 'boot_timeout'
    when 'create_failed' then 'fly_refused'
    else 'worker_lost' end
$$;
comment on function app.session_reason_of(text) is
  'Returns the reason with which a session ends when its last machine ended for this reason and no ending is '
  'decided. This is the only such mapping.';

create function app.settle_session(p_session_id uuid, p_launch jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_last text;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.state_rank < app.rank_of('provisioning') or s.state_rank >= app.rank_of('ended')
    or exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('draining')) then
    return jsonb_build_object('kind', 'nothing');
  end if;
  -- The reason of the machine that served it; before the first claim, the reason of the latest attempt.
  select reason into v_last from public.machines where session_id = s.id
    order by (id = s.machine_id) is true desc, attempt desc, reserved_at desc limit 1;
  if not found then return jsonb_build_object('kind', 'nothing'); end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null
    or v_last in ('hard_deadline', 'operator_stopped') then
    -- Its worker may be carrying out the end, so the session ends here only when its machines are gone.
    if exists (select from public.machines where session_id = s.id and life_rank < app.life_rank_of('destroyed')) then
      return jsonb_build_object('kind', 'nothing');
    end if;
  elsif app.may_try_again(s.id, p_launch) then
    v_intent := app.give_machine(s, v_last, p_launch);
  end if;
  if v_intent is not null then return jsonb_build_object('kind', 'next', 'intent', v_intent); end if;
  perform app.end_session(s.id, case v_last when 'operator_stopped' then 'cancelled' else 'failed' end,
    app.session_reason_of(v_last));
  return jsonb_build_object('kind', 'ended');
end $$;
comment on function app.settle_session(uuid, jsonb) is
  'Decides what happens to a session that may have lost its machines: nothing while one may still serve it; its '
  'decided ending once all are gone; otherwise its next machine, or an ending if it may not try again.';

create function public.settle_sessions(p_next jsonb, p_duty text default null, p_fence bigint default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_result jsonb;
  v_results jsonb[] := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return '[]'; end if;
  for v_id in select s.id from public.interview_sessions s where s.state_rank >= app.rank_of('provisioning')
    and s.state_rank < app.rank_of('ended')
      and (select min(m.life_rank) from public.machines m where m.session_id = s.id) >= app.life_rank_of('draining')
    order by s.id for update skip locked loop
    v_result := app.settle_session(v_id, p_next);
    if v_result ->> 'kind' <> 'nothing' then
      v_results := v_results || (v_result || jsonb_build_object('session_id', v_id));
    end if;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.settle_sessions(jsonb, text, bigint) is
  'Settles every session that has no machine left, for example after a crash; called regularly by the orchestrator '
  'on duty. Returns what was done for which session.';
grant execute on function public.settle_sessions(jsonb, text, bigint) to orchestrator;

create function public.hedge_machine(p_machine_id uuid, p_next jsonb, p_duty text default null,
  p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
begin
  if not app.on_duty(p_duty, p_fence) then return null; end if;
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  if s.id is null or s.state_rank < app.rank_of('provisioning') or s.state_rank >= app.rank_of('finalizing')
    or s.end_requested_at is not null or m.life_rank >= app.life_rank_of('claimed') then
    return null;
  end if;
  -- One hedge at a time: any other attempt in progress for this session, apart from the late machine, is its hedge.
  if exists (select from public.machines o where o.session_id = s.id and o.id <> m.id
    and o.life_rank < app.life_rank_of('draining')) then
    return null;
  end if;
  -- The late machine and the hedge may both be lost. Without this check, hedges would follow one after another for as
  -- long as machines do not boot.
  if not app.may_try_again(s.id, p_next, 1) then return null; end if;
  return app.give_machine(s, 'hedge', p_next);
end $$;
comment on function public.hedge_machine(uuid, jsonb, text, bigint) is
  'Reserves a second attempt for the session of a late machine, if there is none yet and max_attempts allows one; '
  'called by the reaper. The first claim wins, and the other machine is refused and destroyed. Returns the intent, '
  'or null.';
grant execute on function public.hedge_machine(uuid, jsonb, text, bigint) to orchestrator;

create function public.record_unreachable(p_machine_id uuid, p_epoch integer, p_gap_ms integer, p_window_ms integer,
  p_next jsonb, p_silent boolean default false) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_now timestamptz;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  v_now := clock_timestamp();
  -- Before the candidate was connected once, the fault may lie elsewhere, and the report is ignored. A hot machine is
  -- given up: it may have died since its worker was last heard, and holds nothing that could be lost.
  if s.id is null or s.machine_id <> m.id or s.epoch <> p_epoch or m.state <> 'claimed'
    or p_silent and m.lease_expires_at > v_now
    or s.state_rank < app.rank_of('connecting') and not m.hot and not p_silent
    or s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'ignored');
  end if;
  if (p_silent or s.state_rank >= app.rank_of('connecting'))
    and (m.unreachable_since is null or m.unreachable_since < v_now - app.interval_ms(p_window_ms)) then
    update public.machines set unreachable_since = v_now where id = m.id;
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  if (p_silent or s.state_rank >= app.rank_of('connecting'))
    and m.unreachable_since > v_now - app.interval_ms(p_gap_ms) then
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  perform app.move_machine(m.id, 'destroying', 'unreachable');
  return jsonb_build_object('kind', 'replaced', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'next', app.settle_session(s.id, p_next) -> 'intent');
end $$;
comment on function public.record_unreachable(uuid, integer, integer, integer, jsonb, boolean) is
  'Records that a returning browser could not be connected to its machine; called by the edge. The first report is '
  'only stored. A second one, at least p_gap_ms and at most p_window_ms later, gives the machine up, and its session '
  'gets the next attempt. A hot machine that never had its candidate is given up at the first report. Ignored if the '
  'candidate was never connected and the machine is not hot, or the machine no longer serves the session. p_silent: '
  'the browser asks for a machine whose worker has let its lease expire. Two such reports give the machine up, also '
  'if the candidate was never connected; they are ignored when the worker has been heard again.';
grant execute on function public.record_unreachable(uuid, integer, integer, integer, jsonb, boolean) to orchestrator;

-- ── schemas/machines/rights.sql ──
alter table public.machines enable row level security;
grant select on public.machines to orchestrator;
create policy "orchestrators read all rows" on public.machines for select to orchestrator using (true);

alter table public.machine_usage enable row level security;
grant select on public.machine_usage to orchestrator;
create policy "orchestrators read all rows" on public.machine_usage for select to orchestrator using (true);
grant select on public.machine_usage to authenticated;
create policy "members read their tenant's rows" on public.machine_usage for select to authenticated
  using (tenant_id in (select app.my_tenants()));

-- No role has a right on this table. Only functions with the owner's rights read and write it.
alter table app.daily_costs enable row level security;

-- ── schemas/machines/starts.sql ──
create function public.take_starts(p_orchestrator_id uuid, p_taken_ms integer, p_late_ms integer,
  p_limit integer default 50) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select id, row_number() over (partition by tenant_id order by assigned_at) as place from public.machines
    where state = 'created' and assigned_at is not null and (taken_until is null or taken_until <= clock_timestamp())
      and (start_requested_at is null or start_requested_at < clock_timestamp() - app.interval_ms(p_late_ms))
  ), due as (
    select m.id from public.machines m join waiting w on w.id = m.id
    where m.state = 'created' and (m.taken_until is null or m.taken_until <= clock_timestamp())
    -- Tenants take turns, so that one whose starts do not return cannot fill every batch.
    order by w.place, m.assigned_at limit p_limit for update of m skip locked
  ), taken as (
    update public.machines m set taken_by = p_orchestrator_id,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where m.id = due.id returning m.id
  )
  select coalesce(jsonb_agg(app.intent_json(id)), '[]') from taken
$$;
comment on function public.take_starts(uuid, integer, integer, integer) is
  'Takes assigned standby machines that no orchestrator is starting, and those that have not started p_late_ms after '
  'the request (late); called by the starter.';
grant execute on function public.take_starts(uuid, integer, integer, integer) to orchestrator;

create function public.record_starts(p_starts jsonb) returns integer
language sql volatile security definer set search_path = '' as $$
  -- Each machine's row is changed only once. A second change in the same transaction would check its foreign keys and
  -- lock the session. Claims lock the session first and then the machine: the two could deadlock.
  with told as (
    select (x ->> 'machine_id')::uuid as id, x ->> 'fly_request_id' as fly_request_id,
      clock_timestamp() - app.interval_ms((x ->> 'asked_ms')::double precision) as asked_at,
      clock_timestamp() - app.interval_ms((x ->> 'answered_ms')::double precision) as answered_at
    from jsonb_array_elements(p_starts) x
  ), locked as (
    select m.id, m.state = 'created' and m.start_requested_at is null as is_new from public.machines m
    where m.id in (select id from told) order by m.id for update
  ), changed as (
    -- A machine may have claimed before this report; Fly's answer is stored for it too.
    update public.machines m set
      start_requested_at = case when l.is_new then clock_timestamp() else m.start_requested_at end,
      fly_request_id = coalesce(t.fly_request_id, m.fly_request_id), asked_at = coalesce(t.asked_at, m.asked_at),
      answered_at = coalesce(t.answered_at, m.answered_at)
    from locked l join told t on t.id = l.id where m.id = l.id
    returning m.id, m.session_id, m.fly_request_id, m.asked_at, m.answered_at
  ), noted as (
    update public.session_phases p set asked_at = c.asked_at, answered_at = c.answered_at,
      fly_request_id = c.fly_request_id
    from changed c where p.session_id = c.session_id and p.machine_id = c.id and p.asked_at is null
  )
  select count(*) filter (where is_new)::integer from locked
$$;
comment on function public.record_starts(jsonb) is
  'Records that Fly accepted the start of machines; called by the starter. Each start has machine_id, '
  'fly_request_id, and asked_ms and answered_ms: how long ago the request began and was answered.';
grant execute on function public.record_starts(jsonb) to orchestrator;

create function public.record_machine_started(p_machine_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform 1 from public.interview_sessions s join public.machines m on m.session_id = s.id
    where m.id = p_machine_id for update of s;
  return app.move_machine(p_machine_id, 'started');
end $$;
comment on function public.record_machine_started(uuid) is
  'Records that Fly reports a machine as running before it has claimed; called by the starter.';
grant execute on function public.record_machine_started(uuid) to orchestrator;

create function public.record_start_failed(p_machine_id uuid, p_launch jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_settled jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  if m.state not in ('created', 'started') then return jsonb_build_object('kind', 'stale'); end if;
  perform app.move_machine(m.id, 'destroying', 'start_failed');
  v_settled := app.settle_session(s.id, p_launch);
  return case v_settled ->> 'kind' when 'nothing' then jsonb_build_object('kind', 'session_over') else v_settled end;
end $$;
comment on function public.record_start_failed(uuid, jsonb) is
  'Records that a standby machine could not be started; called by the starter. The machine is given up, and its '
  'session gets the next one, standby or new. Returns kind: next (intent), ended, session_over (the session needs '
  'none), stale, unknown.';
grant execute on function public.record_start_failed(uuid, jsonb) to orchestrator;

-- ── schemas/machines/states.sql ──
create function app.guard_machine() returns trigger language plpgsql set search_path = '' as $$
begin
  if old.session_id is not null and new.session_id is distinct from old.session_id then
    raise exception 'a machine serves at most one session' using errcode = 'GR004';
  end if;
  -- The only step back: a machine that handed over boots again and is claimed at a higher epoch.
  if old.state = 'draining' and old.reason = 'handed_over' and new.state = 'claimed' and new.epoch > old.epoch
     and new.boot_nonce is distinct from old.boot_nonce then
    return new;
  end if;
  if app.life_rank_of(new.state) < app.life_rank_of(old.state) then
    raise exception 'a machine only goes forward: % → %', old.state, new.state using errcode = 'GR005';
  end if;
  return new;
end $$;
comment on function app.guard_machine() is
  'Refuses a second session for a machine and any backward step of its state, whoever writes. Trigger of machines. A '
  'machine that handed over may be claimed again by its next boot.';
create trigger guard before update on public.machines for each row execute function app.guard_machine();

create function app.move_machine(p_machine_id uuid, p_state text, p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  m public.machines;
begin
  select * into m from public.machines where id = p_machine_id for update;
  if not found or app.life_rank_of(p_state) <= m.life_rank then
    return false;
  end if;
  update public.machines set
    state = p_state,
    reason = coalesce(reason, p_reason),
    created_at = case when p_state = 'created' then coalesce(created_at, clock_timestamp()) else created_at end,
    started_at = case when p_state = 'started' then coalesce(started_at, clock_timestamp()) else started_at end,
    claimed_at = case when p_state = 'claimed' then coalesce(claimed_at, clock_timestamp()) else claimed_at end,
    draining_at = case when p_state = 'draining' then coalesce(draining_at, clock_timestamp()) else draining_at end,
    destroying_at = case when p_state = 'destroying' then coalesce(destroying_at, clock_timestamp())
      else destroying_at end,
    destroyed_at = case when p_state = 'destroyed' then coalesce(destroyed_at, clock_timestamp()) else destroyed_at end,
    taken_by = null, taken_until = null
  where id = p_machine_id;
  if m.session_id is not null then
    perform app.emit(m.session_id, m.tenant_id, 'machine.' || p_state, jsonb_strip_nulls(jsonb_build_object(
      'machine_id', m.id, 'fly_machine_id', m.fly_machine_id, 'region', m.region, 'attempt', m.attempt,
      'reason', coalesce(m.reason, p_reason))));
  end if;
  return true;
end $$;
comment on function app.move_machine(uuid, text, text) is
  'Moves a machine forward, sets the timestamp of the phase and appends the event. Returns false if the machine has '
  'already reached or passed the state.';

-- ── schemas/machines/usage.sql ──
create function app.sum_costs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- In one order: two statements that add to the same sums wait for each other, and never both.
  insert into app.daily_costs as d (day, tenant_id, machines, run_usd, standby_usd, hot_usd)
    select (a.recorded_at at time zone 'UTC')::date, a.tenant_id, count(*), sum(a.cost_usd), sum(a.standby_cost_usd),
      sum(a.hot_cost_usd) from added a where not a.test group by 1, 2 order by 1, 2
    on conflict (day, tenant_id) do update set machines = d.machines + excluded.machines,
      run_usd = d.run_usd + excluded.run_usd, standby_usd = d.standby_usd + excluded.standby_usd,
      hot_usd = d.hot_usd + excluded.hot_usd;
  return null;
end $$;
comment on function app.sum_costs() is 'Adds new usage to daily_costs. Trigger of machine_usage.';
create trigger sum_costs after insert on public.machine_usage referencing new table as added for each statement
  execute function app.sum_costs();

create function public.machines_to_bill(p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'tenant_id', m.tenant_id, 'session_id', m.session_id,
    'region', m.region,
    -- A standby machine counts as running from its start, other machines from their creation. Fly bills a little less.
    'started_seconds', round(case when m.session_id is null then 0
      else extract(epoch from m.destroyed_at - coalesce(m.start_requested_at, m.assigned_at, m.created_at))
        end::numeric, 3),
    'standby_seconds', round(case when m.hot then 0 else waited.seconds end::numeric, 3),
    'hot_seconds', round(case when m.hot then waited.seconds else 0 end::numeric, 3))), '[]')
  from (select * from public.machines where state = 'destroyed' and billed_at is null and created_at is not null
    order by destroyed_at limit p_limit) m
  cross join lateral (select case when m.session_id is not null and m.assigned_at is null then 0
    else extract(epoch from coalesce(m.start_requested_at, m.assigned_at, m.destroyed_at) - m.created_at)
      end as seconds) waited
$$;
comment on function public.machines_to_bill(integer) is
  'Lists destroyed machines whose usage is not recorded yet, with the seconds for which they served, stood '
  'by and were hot; called by the usage job.';
grant execute on function public.machines_to_bill(integer) to orchestrator;

create function public.record_usage(p_rows jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_count integer;
begin
  -- In one order: two reports about the same machines wait for each other, and never both.
  perform from public.machines where id in (select (r ->> 'machine_id')::uuid from jsonb_array_elements(p_rows) r)
    order by id for no key update;
  insert into public.machine_usage (machine_id, tenant_id, session_id, region, size, started_seconds, standby_seconds,
    cost_usd, standby_cost_usd, hot_seconds, hot_cost_usd, test)
    select (r ->> 'machine_id')::uuid, m.tenant_id, m.session_id, m.region, r ->> 'size',
      greatest(0, (r ->> 'started_seconds')::numeric),
      greatest(0, (r ->> 'standby_seconds')::numeric), (r ->> 'cost_usd')::numeric, (r ->> 'standby_cost_usd')::numeric,
      greatest(0, (r ->> 'hot_seconds')::numeric), (r ->> 'hot_cost_usd')::numeric, t.test
    from jsonb_array_elements(p_rows) r join public.machines m on m.id = (r ->> 'machine_id')::uuid
      and m.state = 'destroyed'
      join public.tenants t on t.id = m.tenant_id
    on conflict (machine_id) do nothing;
  get diagnostics v_count = row_count;
  update public.machines set billed_at = clock_timestamp() where id in (select (r ->> 'machine_id')::uuid
    from jsonb_array_elements(p_rows) r) and billed_at is null;
  return v_count;
end $$;
comment on function public.record_usage(jsonb) is
  'Stores the usage and cost of machines, once per machine; called by the usage job. Returns how many were new.';
grant execute on function public.record_usage(jsonb) to orchestrator;

create function app.session_usage(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select case when count(*) > 0 then jsonb_build_object('machines', count(*), 'started_seconds', sum(u.started_seconds),
    'standby_seconds', sum(u.standby_seconds), 'hot_seconds', sum(u.hot_seconds), 'cost_usd', sum(u.cost_usd),
    'standby_cost_usd', sum(u.standby_cost_usd), 'hot_cost_usd', sum(u.hot_cost_usd)) end
  from public.machine_usage u where u.session_id = p_session_id
$$;
comment on function app.session_usage(uuid) is
  'Returns the usage and cost of a session''s machines. Null until the first of them has been recorded.';

create function public.tenant_usage(p_tenant_id uuid, p_from timestamptz, p_until timestamptz) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with u as (select * from public.machine_usage where tenant_id = p_tenant_id and recorded_at >= p_from
    and recorded_at < p_until)
  select jsonb_build_object('machines', count(*), 'sessions', count(distinct session_id),
    'started_seconds', coalesce(sum(started_seconds), 0),
    'standby_seconds', coalesce(sum(standby_seconds), 0), 'cost_usd', coalesce(sum(cost_usd), 0),
    'standby_cost_usd', coalesce(sum(standby_cost_usd), 0),
    'unused_standby_cost_usd', coalesce(sum(standby_cost_usd) filter (where session_id is null), 0),
    'hot_seconds', coalesce(sum(hot_seconds), 0), 'hot_cost_usd', coalesce(sum(hot_cost_usd), 0),
    'unused_hot_cost_usd', coalesce(sum(hot_cost_usd) filter (where session_id is null), 0),
    'regions', (select coalesce(jsonb_agg(jsonb_build_object('region', x.region, 'size', x.size, 'machines', x.machines,
      'started_seconds', x.started_seconds,
      'standby_seconds', x.standby_seconds, 'cost_usd', x.cost_usd, 'standby_cost_usd', x.standby_cost_usd,
      'hot_seconds', x.hot_seconds, 'hot_cost_usd', x.hot_cost_usd)
        order by x.region, x.size), '[]')
      from (select region, size, count(*) as machines, sum(started_seconds) as started_seconds,
        sum(standby_seconds) as standby_seconds,
        sum(cost_usd) as cost_usd, sum(standby_cost_usd) as standby_cost_usd, sum(hot_seconds) as hot_seconds,
        sum(hot_cost_usd) as hot_cost_usd from u group by 1, 2) x))
  from u);
end $$;
comment on function public.tenant_usage(uuid, timestamptz, timestamptz) is
  'Returns the usage and cost of a tenant''s machines that were recorded in this time, in total and by region and '
  'size, with standby and hot time listed separately; called by the API.';
grant execute on function public.tenant_usage(uuid, timestamptz, timestamptz) to orchestrator;

-- ── schemas/operators/acts.sql ──
create function public.ops_end_session(p_session_id uuid, p_outcome text, p_reason text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_result jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'already', 'status', s.status, 'reason', s.reason,
      'at', coalesce(s.completed_at, s.end_requested_at));
  end if;
  v_result := public.request_end(s.id, null, p_outcome, p_reason);
  perform app.audit(p_by, s.tenant_id, 'session.end', s.id::text, jsonb_build_object(
    'before', jsonb_build_object('status', s.status, 'presence', s.presence),
    'after', jsonb_build_object('status', v_result -> 'session' -> 'status', 'outcome', p_outcome,
      'reason', p_reason)));
  return jsonb_build_object('kind', 'done', 'status', v_result -> 'session' -> 'status',
    'machines', v_result -> 'machines');
end $$;
comment on function public.ops_end_session(uuid, text, text, jsonb) is
  'Requests the end of a session for an operator. Returns kind: done (with the machines that must be stopped), already '
  '(with its status, reason and since when), not_found.';
grant execute on function public.ops_end_session(uuid, text, text, jsonb) to orchestrator;

create function app.serves_now(m public.machines, s public.interview_sessions) returns boolean
language sql stable set search_path = '' as $$
  select s.id is not null and s.state_rank < app.rank_of('finalizing') and s.end_requested_at is null
    and m.life_rank < app.life_rank_of('draining') and (s.machine_id is null or s.machine_id = m.id)
$$;
comment on function app.serves_now(public.machines, public.interview_sessions) is
  'Returns whether a session that goes on has this machine, or waits for it.';

create function public.ops_stop_machine(p_machine_id uuid, p_replace boolean, p_outcome text, p_reason text,
  p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_end jsonb;
  v_before jsonb;
  v_where jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  if m.life_rank >= app.life_rank_of('destroying') or m.session_id is not null
    and m.life_rank >= app.life_rank_of('draining') and p_replace then
    return jsonb_build_object('kind', 'already', 'state', m.state, 'reason', m.reason,
      'at', coalesce(m.destroyed_at, m.destroying_at, m.draining_at));
  end if;
  v_where := jsonb_build_object('machine_id', m.id, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  v_before := jsonb_build_object('state', m.state, 'session_id', s.id, 'status', s.status);
  if p_replace and (m.state <> 'claimed' or not app.serves_now(m, s)) then
    return jsonb_build_object('kind', 'serves_nothing', 'state', m.state);
  end if;
  if p_replace then
    perform app.audit(p_by, m.tenant_id, 'machine.replace', m.id::text, jsonb_build_object('before', v_before));
    return jsonb_build_object('kind', 'replacing') || v_where;
  end if;
  if app.serves_now(m, s) then
    v_end := public.request_end(s.id, null, p_outcome, p_reason);
    perform app.audit(p_by, m.tenant_id, 'machine.stop', m.id::text, jsonb_build_object('before', v_before,
      'after', jsonb_build_object('status', v_end -> 'session' -> 'status', 'reason', p_reason)));
    return jsonb_build_object('kind', 'session_ended', 'machines', v_end -> 'machines');
  end if;
  perform app.keep_evidence(m.id, (p_by ->> 'actor') || ': ' || coalesce(p_by ->> 'why', ''));
  perform app.move_machine(m.id, case when m.fly_machine_id is null and m.state = 'reserved' and m.taken_until is null
    then 'destroyed' else 'destroying' end, 'operator_stopped');
  perform app.audit(p_by, m.tenant_id, 'machine.stop', m.id::text, jsonb_build_object('before', v_before,
    'after', jsonb_build_object('state', 'destroying')));
  return jsonb_build_object('kind', 'stopped') || v_where;
end $$;
comment on function public.ops_stop_machine(uuid, boolean, text, text, jsonb) is
  'Stops a machine for an operator. Returns kind: replacing (with p_replace: its worker must be told to hand over), '
  'session_ended (it served a session, whose end is requested; with the machines that must be stopped), stopped (it '
  'must be destroyed), already, serves_nothing (p_replace, but no worker serves a session on it), not_found.';
grant execute on function public.ops_stop_machine(uuid, boolean, text, text, jsonb) to orchestrator;

create function public.ops_drain_region(p_region text, p_until timestamptz, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.region_drains;
begin
  perform pg_advisory_xact_lock(hashtextextended('region_drains', 0));
  select * into d from public.region_drains where region = p_region and (until is null or until > clock_timestamp());
  if found and d.until is not distinct from p_until then
    return jsonb_build_object('kind', 'already', 'at', d.drained_at, 'by', d.drained_by);
  end if;
  insert into public.region_drains (region, why, drained_by, until)
    values (p_region, p_by ->> 'why', p_by ->> 'actor', p_until)
    on conflict (region) do update set why = excluded.why, drained_by = excluded.drained_by, until = excluded.until,
      drained_at = clock_timestamp();
  perform app.audit(p_by, null, 'region.drain', p_region, jsonb_build_object('before', to_jsonb(d),
    'after', jsonb_build_object('until', p_until)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_drain_region(text, timestamptz, jsonb) is
  'Drains a region for an operator, or changes until when. Returns kind: done, already.';
grant execute on function public.ops_drain_region(text, timestamptz, jsonb) to orchestrator;

create function public.ops_open_region(p_region text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.region_drains;
begin
  delete from public.region_drains where region = p_region returning * into d;
  if d.region is null or d.until <= clock_timestamp() then return jsonb_build_object('kind', 'already'); end if;
  perform app.audit(p_by, null, 'region.open', p_region, jsonb_build_object('before', to_jsonb(d)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_open_region(text, jsonb) is
  'Opens a drained region for an operator. Returns kind: done, already.';
grant execute on function public.ops_open_region(text, jsonb) to orchestrator;

create function app.is_drained(p_region text) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from public.region_drains d where d.region = p_region
    and (d.until is null or d.until > clock_timestamp()))
$$;
comment on function app.is_drained(text) is 'Returns whether a region may get no new machine now.';

create function app.open_regions(p_regions text[]) returns text[]
language sql stable set search_path = '' as $$
  select coalesce(array_agg(r.code order by r.place), '{}') from unnest(p_regions) with ordinality r (code, place)
  where not app.is_drained(r.code)
$$;
comment on function app.open_regions(text[]) is 'Returns these regions, in their order, without the drained ones.';

create function public.drained_regions() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(d.region order by d.region), '[]') from public.region_drains d
  where d.until is null or d.until > clock_timestamp()
$$;
comment on function public.drained_regions() is
  'Returns the codes of the drained regions; read by every orchestrator every few seconds.';
grant execute on function public.drained_regions() to orchestrator;

create function public.record_brake_hold(p_app_name text, p_orchestrator_id uuid, p_ends jsonb, p_ceiling integer)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  b public.brake_holds;
  v_same boolean;
begin
  perform pg_advisory_xact_lock(hashtextextended('brake ' || p_app_name, 0));
  select * into b from public.brake_holds where app_name = p_app_name for update;
  if b.released_at > clock_timestamp() - interval '10 minutes' and b.carried_out_at is null and b.ends @> p_ends then
    update public.brake_holds set carried_out_at = clock_timestamp() where id = b.id;
    return true;
  end if;
  v_same := b.carried_out_at is null and b.ends @> p_ends and p_ends @> b.ends
    and b.seen_at > clock_timestamp() - interval '10 minutes';
  if v_same is true then
    update public.brake_holds set seen_at = clock_timestamp(), orchestrator_id = p_orchestrator_id where id = b.id;
    return false;
  end if;
  delete from public.brake_holds where app_name = p_app_name;
  insert into public.brake_holds (app_name, orchestrator_id, ends, ceiling)
    values (p_app_name, p_orchestrator_id, p_ends, p_ceiling);
  return false;
end $$;
comment on function public.record_brake_hold(text, uuid, jsonb, integer) is
  'Stores which machines of an app the brake did not end; called by the reconciler. Returns true if an operator '
  'released exactly these machines, or more, in the last 10 minutes: then they may be ended, once. Another list is a '
  'new hold with another id, so a release never ends a machine that the operator did not see.';
grant execute on function public.record_brake_hold(text, uuid, jsonb, integer) to orchestrator;

create function public.ops_brake() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('hold_id', b.id, 'app_name', b.app_name, 'tenant_id', a.tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = a.tenant_id), 'ends', b.ends, 'ceiling', b.ceiling,
    'held_at', b.held_at, 'seen_at', b.seen_at, 'released_at', b.released_at, 'released_by', b.released_by)
    order by b.held_at), '[]')
  from public.brake_holds b join public.tenant_apps a on a.name = b.app_name
  where b.carried_out_at is null and b.seen_at > clock_timestamp() - interval '1 minute'
$$;
comment on function public.ops_brake() is
  'Returns what the brake holds now: for each app the machines that it did not end, for operators.';
grant execute on function public.ops_brake() to orchestrator;

create function public.ops_release_brake(p_hold_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  b public.brake_holds;
begin
  select * into b from public.brake_holds where id = p_hold_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if b.released_at is not null then
    return jsonb_build_object('kind', 'already', 'at', b.released_at, 'by', b.released_by);
  end if;
  update public.brake_holds set released_at = clock_timestamp(), released_by = p_by ->> 'actor' where id = b.id;
  perform app.audit(p_by, (select tenant_id from public.tenant_apps where name = b.app_name), 'brake.release',
    b.app_name, jsonb_build_object('before', jsonb_build_object('ends', b.ends, 'held_at', b.held_at)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_release_brake(uuid, jsonb) is
  'Releases a hold of the brake for an operator: the next round ends the machines of its list. Returns kind: done, '
  'already, not_found.';
grant execute on function public.ops_release_brake(uuid, jsonb) to orchestrator;

create function public.ops_put_pool(p_tenant_id uuid, p_region text, p_pool jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p public.pool_policies;
  v_floor integer;
  v_ceiling integer;
  v_hot_floor integer;
  v_hot_ceiling integer;
begin
  -- The tenant's row and not the pool's: the pool may not exist yet, and put_pool_policy locks the tenant first too.
  perform from public.tenants where id = p_tenant_id for no key update;
  select * into p from public.pool_policies where tenant_id = p_tenant_id and region = p_region;
  v_floor := coalesce((p_pool ->> 'floor')::integer, p.floor, 0);
  v_ceiling := coalesce((p_pool ->> 'ceiling')::integer, p.ceiling, 0);
  v_hot_floor := coalesce((p_pool ->> 'hot_floor')::integer, p.hot_floor, 0);
  v_hot_ceiling := coalesce((p_pool ->> 'hot_ceiling')::integer, p.hot_ceiling, 0);
  if v_floor > v_ceiling or v_hot_floor > v_hot_ceiling then
    return jsonb_build_object('kind', 'floor_above_ceiling');
  end if;
  if (coalesce(p.floor, 0), coalesce(p.ceiling, 0), coalesce(p.hot_floor, 0), coalesce(p.hot_ceiling, 0))
    = (v_floor, v_ceiling, v_hot_floor, v_hot_ceiling)
    and exists (select from public.tenants where id = p_tenant_id) then
    return jsonb_build_object('kind', 'already', 'at', p.updated_at);
  end if;
  return public.put_pool_policy(p_tenant_id, p_region, v_floor, v_ceiling, p_by, v_hot_floor, v_hot_ceiling)
    - 'tenant';
end $$;
comment on function public.ops_put_pool(uuid, text, jsonb, jsonb) is
  'Sets a pool for an operator: p_pool {floor, ceiling, hot_floor, hot_ceiling}; a missing number stays. Returns '
  'kind: updated, already, limit_exceeded, floor_above_ceiling, not_found.';
grant execute on function public.ops_put_pool(uuid, text, jsonb, jsonb) to orchestrator;

create function app.retry_result(p_session_id uuid, p_by jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_before jsonb;
  v_tenant uuid;
  v_kind text;
begin
  select jsonb_build_object('status', r.status, 'failure', r.failure), r.tenant_id into v_before, v_tenant
    from public.interview_results r where r.session_id = p_session_id;
  v_kind := public.rerun_result(p_session_id, null, p_by ->> 'actor');
  if v_kind <> 'queued' then
    return jsonb_build_object('kind', case when v_kind = 'running' then 'already' else v_kind end);
  end if;
  perform app.audit(p_by, v_tenant, 'result.retry', p_session_id::text, jsonb_build_object('before', v_before,
    'after', jsonb_build_object('status', 'pending')));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function app.retry_result(uuid, jsonb) is
  'Queues an evaluation again for an operator. Returns kind: done, already (one runs), withdrawn, nothing, not_found.';

create function public.ops_retry_work(p_kind text, p_id text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
  v_session uuid := case when split_part(p_id, '/', 1) ~ '^[0-9a-f-]{36}$' then split_part(p_id, '/', 1)::uuid end;
  v_ordinal integer := case when split_part(p_id, '/', 2) ~ '^\d{1,6}$' then split_part(p_id, '/', 2)::integer end;
begin
  if p_kind = 'result' then return app.retry_result(v_session, p_by); end if;
  if p_kind = 'recording' then
    update public.video_jobs set next_attempt_at = clock_timestamp() where session_id = v_session
      and ordinal = v_ordinal and state in ('wanted', 'closing', 'processing') returning tenant_id into v_tenant;
  elsif p_kind = 'recording_deletion' then
    update public.video_deletions set next_attempt_at = clock_timestamp() where video_id = p_id
      and deleted_at is null returning tenant_id into v_tenant;
  elsif p_kind = 'hang_up' then
    update public.realtime_calls set next_hang_up_at = clock_timestamp() where session_id = v_session
      and ordinal = v_ordinal and hung_up_at is null returning tenant_id into v_tenant;
  end if;
  if v_tenant is null then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, v_tenant, p_kind || '.retry', p_id);
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_retry_work(text, text, jsonb) is
  'Makes owed work due at once for an operator: result, recording, recording_deletion or hang_up. Returns kind: done, '
  'already (it runs now), withdrawn (the candidate withdrew consent), nothing (there is no result), not_found.';
grant execute on function public.ops_retry_work(text, text, jsonb) to orchestrator;

create function public.ops_replay_delivery(p_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  select * into d from public.webhook_deliveries where id = p_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if d.status = 'pending' then
    return jsonb_build_object('kind', 'already', 'at', d.next_attempt_at);
  end if;
  return public.replay_webhook_delivery(d.tenant_id, d.endpoint_id, d.id, p_by) - 'delivery';
end $$;
comment on function public.ops_replay_delivery(uuid, jsonb) is
  'Queues a webhook delivery again for an operator. Returns kind: queued, already (it is waiting to be sent), erased, '
  'not_found.';
grant execute on function public.ops_replay_delivery(uuid, jsonb) to orchestrator;

-- ── schemas/operators/events.sql ──
create function app.scan_window() returns integer language sql immutable set search_path = '' as 'select 5000';
comment on function app.scan_window() is
  'Returns how many rows of a log one page looks through for a filter without an index. The next page continues '
  'there.';

create view app.ops_event_rows with (security_invoker = true) as
  select e.id, e.session_id, e.tenant_id, t.slug as tenant, e.type, e.data, e.created_at
  from public.session_events e join public.tenants t on t.id = e.tenant_id;
comment on view app.ops_event_rows is 'An event as operators see it.';

create function public.ops_events(p_filter jsonb, p_before bigint, p_after bigint, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_session uuid := (p_filter ->> 'session')::uuid;
  v_types text[] := app.texts_of(p_filter -> 'type');
  v_newest bigint := least(p_before - 1, (select max(id) from public.session_events));
  -- Only a filter by type alone is not supported by an index.
  v_oldest bigint := case when v_types is not null and v_session is null then v_newest - app.scan_window() end;
  v_rows json;
  v_found bigint;
begin
  if p_after is not null then
    return json_build_object('rows', (select coalesce(json_agg(row_to_json(x) order by x.id), '[]') from (
      select * from app.ops_event_rows e
      where e.id > p_after and (v_tenant is null or e.tenant_id = v_tenant)
        and (v_session is null or e.session_id = v_session) and (v_types is null or e.type = any (v_types))
      order by e.id limit p_limit) x), 'searched_to', null);
  end if;
  select coalesce(json_agg(row_to_json(x) order by x.id desc), '[]'), count(*) into v_rows, v_found from (
    select * from app.ops_event_rows e
    where e.id <= v_newest and (v_oldest is null or e.id > v_oldest)
      and (v_tenant is null or e.tenant_id = v_tenant) and (v_session is null or e.session_id = v_session)
      and (v_types is null or e.type = any (v_types))
    order by e.id desc limit p_limit) x;
  return json_build_object('rows', v_rows, 'searched_to',
    case when v_oldest > 0 and v_found < p_limit then v_oldest + 1 end);
end $$;
comment on function public.ops_events(jsonb, bigint, bigint, integer) is
  'Lists events of all tenants for operators. With p_after: those with a greater id, in their order; otherwise newest '
  'first, those before p_before. p_filter: tenant, session, type[]. Returns {rows, searched_to}: if searched_to is '
  'set, older events were not looked at, and the next page begins before it.';
grant execute on function public.ops_events(jsonb, bigint, bigint, integer) to orchestrator;

create function public.ops_new_events(p_after bigint, p_missing bigint[], p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return json_build_object('newest', coalesce((select max(id) from public.session_events), 0),
    'rows', (select coalesce(json_agg(row_to_json(x) order by x.id), '[]') from (
      select y.*, y.created_at < now() - interval '10 seconds' as settled from (
        (select * from app.ops_event_rows where id > p_after order by id limit p_limit)
        union all
        (select * from app.ops_event_rows where id = any (p_missing) and id <= p_after)) y) x));
end $$;
comment on function public.ops_new_events(bigint, bigint[], integer) is
  'Returns events of all tenants after p_after, at most p_limit, and those of p_missing, for the live stream of '
  'operators. A slower transaction may commit a smaller id later, so the reader asks again for ids that were missing; '
  'settled: no smaller id can follow any more. newest is the greatest id of all.';
grant execute on function public.ops_new_events(bigint, bigint[], integer) to orchestrator;

create view app.ops_audit_rows with (security_invoker = true) as
  select a.id, a.tenant_id, t.slug as tenant, a.actor, a.action, a.target, a.outcome, a.remote_address, a.request_id,
    a.details, a.created_at
  from public.audit_log a left join public.tenants t on t.id = a.tenant_id;
comment on view app.ops_audit_rows is 'An audit entry as operators see it.';

create function public.ops_audit(p_filter jsonb, p_before bigint, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
declare
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_actor text := p_filter ->> 'actor';
  v_action text := p_filter ->> 'action';
  v_target text := p_filter ->> 'target';
  v_outcome text := p_filter ->> 'outcome';
  v_request text := p_filter ->> 'request';
  v_newest bigint := least(p_before - 1, (select max(id) from public.audit_log));
  v_oldest bigint := case when coalesce(v_action, v_outcome) is not null
    and coalesce(v_actor, v_target, v_request) is null then v_newest - app.scan_window() end;
  v_rows json;
  v_found bigint;
begin
  select coalesce(json_agg(row_to_json(x) order by x.id desc), '[]'), count(*) into v_rows, v_found from (
    select * from app.ops_audit_rows a
    where a.id <= v_newest and (v_oldest is null or a.id > v_oldest)
      and (v_tenant is null or a.tenant_id = v_tenant) and (v_actor is null or a.actor = v_actor)
      and (v_action is null or a.action = v_action) and (v_target is null or a.target = v_target)
      and (v_outcome is null or a.outcome = v_outcome) and (v_request is null or a.request_id = v_request)
    order by a.id desc limit p_limit) x;
  return json_build_object('rows', v_rows, 'searched_to',
    case when v_oldest > 0 and v_found < p_limit then v_oldest + 1 end);
end $$;
comment on function public.ops_audit(jsonb, bigint, integer) is
  'Lists audit entries of all tenants for operators, newest first, those before p_before. p_filter: tenant, actor, '
  'action, target, outcome, request. Returns {rows, searched_to} as ops_events does.';
grant execute on function public.ops_audit(jsonb, bigint, integer) to orchestrator;

-- ── schemas/operators/find.sql ──
create function app.found(p_kind text, p_id text, p_tenant_id uuid, p_label text, p_by text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', p_kind, 'id', p_id, 'tenant_id', p_tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = p_tenant_id), 'label', p_label, 'by', p_by)
$$;
comment on function app.found(text, text, uuid, text, text) is
  'Returns one hit of ops_find. p_by: which of its ids matched.';

create function app.uuid_range(p_prefix text, out low uuid, out high uuid)
language sql immutable set search_path = '' as $$
  select rpad(x.digits, 32, '0')::uuid, rpad(x.digits, 32, 'f')::uuid
  from (select replace(lower(p_prefix), '-', '') as digits) x
  where x.digits ~ '^[0-9a-f]{8,32}$'
$$;
comment on function app.uuid_range(text) is
  'Returns the smallest and the greatest UUID that begin with these characters. Null if they are fewer than 8 or not '
  'hexadecimal.';

create function public.ops_find(p_text text) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
declare
  v_low uuid;
  v_high uuid;
  v_name uuid;
  v_hits jsonb := '[]';
begin
  select u.low, u.high into v_low, v_high from app.uuid_range(p_text) u;
  if v_low is not null then
    v_hits := v_hits
      || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'id')), '[]') from (
        select * from public.interview_sessions where id between v_low and v_high order by id limit 10) s)
      || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'id')), '[]') from (
        select * from public.machines where id between v_low and v_high order by id limit 10) m)
      || (select coalesce(jsonb_agg(app.found('tenant', t.id::text, t.id, t.slug, 'id')), '[]') from (
        select * from public.tenants where id between v_low and v_high order by id limit 10) t)
      || (select coalesce(jsonb_agg(app.found('delivery', d.id::text, d.tenant_id, d.status, 'id')), '[]') from (
        select * from public.webhook_deliveries where id between v_low and v_high order by id limit 10) d)
      || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'candidate')), '[]') from (
        select * from public.interview_sessions where candidate_id between v_low and v_high
        order by candidate_id limit 10) s);
  end if;
  if p_text ~ '^gr-[0-9a-f-]{36}$' then v_name := substring(p_text from 4)::uuid; end if;
  return v_hits
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'name')), '[]')
      from public.machines m where m.id = v_name)
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'fly machine id')), '[]')
      from (select * from public.machines where fly_machine_id = p_text limit 10) m)
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'fly request id')), '[]')
      from (select * from public.machines where fly_request_id = p_text limit 10) m)
    || (select coalesce(jsonb_agg(app.found('session', c.session_id::text, c.tenant_id, null, 'call id')), '[]')
      from (select * from public.realtime_calls where call_id = p_text limit 10) c)
    || (select coalesce(jsonb_agg(app.found('tenant', t.id::text, t.id, t.slug, 'slug')), '[]')
      from public.tenants t where t.slug = p_text)
    || (select coalesce(jsonb_agg(app.found('tenant', a.tenant_id::text, a.tenant_id, a.name, 'fly app')), '[]')
      from public.tenant_apps a where a.name = p_text)
    || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'external id')), '[]') from (
      select i.* from public.tenant_candidates c join public.interview_sessions i on i.tenant_id = c.tenant_id
        and i.candidate_id = c.candidate_id
      where c.external_id = p_text order by i.created_at desc limit 10) s)
    || (select coalesce(jsonb_agg(app.found('audit', a.id::text, a.tenant_id, a.action, 'request id')), '[]') from (
      select * from public.audit_log where request_id = p_text order by id desc limit 10) a);
end $$;
comment on function public.ops_find(text) is
  'Finds sessions, machines, tenants, deliveries and audit entries by any of their ids, for operators: a UUID or at '
  'least its first 8 digits, a machine''s name, Fly''s machine or request id, the id of a call, a slug, a Fly app, the '
  'platform''s external id of a candidate, or the id of a request. Returns at most 10 of each.';
grant execute on function public.ops_find(text) to orchestrator;

-- ── schemas/operators/lists.sql ──
-- Pages of lists whose filters can be combined freely. A page is read in two steps.
-- 1. Its ids: a dynamic query that has the conditions of the given filters and no others. It walks one index in the
--    order of the list, and looks at a limited number of rows, so no combination of filters reads a whole table.
-- 2. Its rows, from the ids: a fixed statement. Postgres keeps the plan of that, because the function is plpgsql.

create function app.walk_window() returns integer language sql immutable set search_path = '' as 'select 300';
comment on function app.walk_window() is
  'Returns how many rows one page looks through for filters that the walked index does not support.';

create function app.conditions(p_all jsonb, p_names text[], p_named boolean) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return coalesce((select string_agg(x.value, ' and ') from jsonb_each_text(p_all) x
    where (x.key = any (p_names)) = p_named), 'true');
end $$;
comment on function app.conditions(jsonb, text[], boolean) is
  'Joins those SQL conditions of p_all whose name is in p_names, or those whose name is not.';

create function app.walk_of(p_all jsonb, p_indexes text[]) returns text[]
language plpgsql immutable set search_path = '' as $$
declare
  v_index text;
begin
  foreach v_index in array p_indexes loop
    if p_all ?& string_to_array(v_index, ' ') then return string_to_array(v_index, ' '); end if;
  end loop;
  return '{}';
end $$;
comment on function app.walk_of(jsonb, text[]) is
  'Returns the first of p_indexes whose conditions are all given. Each names the conditions that it supports.';

create function app.are_few(p_from text, p_most integer) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_few boolean;
begin
  if p_from is null then return false; end if;
  execute format('select count(*) <= %1$s from (select from %2$s limit %1$s + 1) x', p_most, p_from) into v_few;
  return v_few;
end $$;
comment on function app.are_few(text, integer) is
  'Returns whether a query selects at most p_most rows. p_from: its tables and conditions.';

create function app.page_of(p_walk text, p_page text, p_place text, p_window integer, p_limit integer,
  out ids uuid[], out searched_to json)
-- Sorts and hash joins are off: where the planner expects few rows, it would otherwise read all of them and sort,
-- instead of stopping after p_window rows. A subquery that must be sorted has "offset 0".
language plpgsql stable set search_path = '' set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
  set max_parallel_workers_per_gather = 0 set jit = off as $$
begin
  execute format('with walked as materialized (%1$s limit %2$s), page as materialized (%3$s limit %4$s)
    select array(select id from page), case when (select count(*) from page) < %4$s
      then (select %5$s from walked offset %2$s - 1 limit 1) end',
    p_walk, p_window, p_page, p_limit, p_place) into ids, searched_to;
end $$;
comment on function app.page_of(text, text, text, integer, integer) is
  'Reads the ids of a page in its order. p_walk selects the next rows of an index, of which p_window are looked at; '
  'p_page selects the ids of the page from them (walked). searched_to is the place (p_place) of the last row that was '
  'looked at if the page is not full: the next page begins there.';

-- ── schemas/operators/machines.sql ──
create view app.ops_machine_rows with (security_invoker = true) as
  select m.id as machine_id, m.fly_machine_id, m.app_name, m.tenant_id, t.slug as tenant, m.region, m.state, m.reason,
    m.evidence, case when m.session_id is not null then 'session' when m.hot then 'hot' else 'standby' end as kind,
    app.is_unwanted(m) as unwanted, m.epoch, m.reserved_at, m.destroyed_at, m.last_heartbeat_at, m.rss_bytes,
    m.unsaved_entries, case when s.id is not null then row_to_json(x) end as session,
    u.cost_usd + u.standby_cost_usd + u.hot_cost_usd as cost_usd
  from public.machines m join public.tenants t on t.id = m.tenant_id
    left join public.interview_sessions s on s.id = m.session_id
    left join public.machine_usage u on u.machine_id = m.id
    cross join lateral (select s.id as session_id, s.status, s.presence,
      s.machine_id is not distinct from m.id as served_by_this) x;
comment on view app.ops_machine_rows is
  'A machine as operators see it in a list: what lists show, because each further column is written for every row.';

create view app.ops_machine_documents with (security_invoker = true) as
  select v.*, m.name, m.fly_request_id, m.image, m.hot, m.attempt, m.not_before, m.asked_at, m.answered_at,
    m.created_at, m.started_at, m.assigned_at, m.booted_at, m.claimed_at, m.draining_at, m.destroying_at,
    m.lease_expires_at, m.hard_deadline_at, m.first_absent_at, m.host_bad_since, m.unreachable_since
  from app.ops_machine_rows v join public.machines m on m.id = v.machine_id;
comment on view app.ops_machine_documents is 'A machine as operators see it by itself, and with its session.';

create function app.machine_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_machine_rows v on v.machine_id = g.id);
end $$;
comment on function app.machine_rows(uuid[]) is 'Returns the machines with these ids, in their order.';

create function app.machine_conditions(p_filter jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_states text[] := app.texts_of(p_filter -> 'state');
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'sessions', 'm.session_id = any (' || quote_literal(app.texts_of(p_filter -> 'sessions')) || ')',
    'alive', case when (p_filter ->> 'alive')::boolean or (p_filter ->> 'unwanted')::boolean
      or (p_filter ->> 'lapsed')::boolean or 'destroyed' <> all (v_states) then 'm.state <> ''destroyed''' end,
    'states', 'm.state = any (' || quote_literal(v_states) || ')',
    'kind', case p_filter ->> 'kind' when 'session' then 'm.session_id is not null'
      when 'hot' then 'm.session_id is null and m.hot' when 'standby' then 'm.session_id is null and not m.hot' end,
    'tenant', 'm.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'region', 'm.region = ' || quote_literal(p_filter ->> 'region'),
    'app', 'm.app_name = ' || quote_literal(p_filter ->> 'app'),
    -- An app has one tenant, and only the tenant has an index.
    'owner', case when p_filter ->> 'app' is not null then format('m.tenant_id = %L', (select a.tenant_id
      from public.tenant_apps a where a.name = p_filter ->> 'app')) end,
    'unwanted', case when (p_filter ->> 'unwanted')::boolean then 'app.is_unwanted(m::public.machines)' end,
    'lapsed', case when (p_filter ->> 'lapsed')::boolean
      then 'm.state = ''claimed'' and m.lease_expires_at < now()' end));
end $$;
comment on function app.machine_conditions(jsonb) is
  'Returns the SQL conditions of a filter of machines m, by name.';

create function public.ops_machines(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  v_all jsonb := app.machine_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('after',
    '(m.reserved_at, m.id) < (' || quote_literal(p_after ->> 'at') || ', ' || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'm.reserved_at desc, m.id desc';
  v_from text := 'public.machines m';
  v_walk text[] := app.walk_of(v_all, '{sessions, tenant, owner, alive, region}') || '{after}'::text[];
  v_page record;
begin
  if v_all ? 'sessions' then
    v_from := format('(select m.* from public.machines m where %s offset 0) m', v_all ->> 'sessions');
    v_all := v_all - 'sessions';
  end if;
  v_page := app.page_of(
    format('select m.* from %s where %s order by %s', v_from, app.conditions(v_all, v_walk, true), v_order),
    format('select m.id from walked m where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', reserved_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else app.walk_window() end, p_limit);
  return json_build_object('rows', app.machine_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function public.ops_machines(jsonb, jsonb, integer) is
  'Lists machines of all tenants for operators, newest first, those after p_after {at, id}. p_filter: alive (not '
  'destroyed), state[], kind (session, standby, hot), tenant, region, app, unwanted (should be gone), lapsed (its '
  'worker is not heard), sessions[]. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_machines(jsonb, jsonb, integer) to orchestrator;

create function public.ops_machine(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object('taken_by', m.taken_by, 'taken_until', m.taken_until,
    'counts', m.counts,
    'events', (select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'type', e.type, 'data', e.data,
        'created_at', e.created_at) order by e.id), '[]')
      from public.session_events e where e.session_id = m.session_id and e.data ->> 'machine_id' = m.id::text))
  from public.machines m join app.ops_machine_documents v on v.machine_id = m.id where m.id = p_id);
end $$;
comment on function public.ops_machine(uuid) is
  'Returns everything that operators see of one machine, with its events. Null if there is none.';
grant execute on function public.ops_machine(uuid) to orchestrator;

-- ── schemas/operators/overview.sql ──
create function app.start_figures(p_since timestamptz, p_budgets_ms jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select coalesce(jsonb_agg(to_jsonb(x) order by x.path), '[]') from (
    select p.path, count(*) as starts,
      round(percentile_cont(0.5) within group (order by p.start_ms)) as p50_ms,
      round(percentile_cont(0.95) within group (order by p.start_ms)) as p95_ms,
      round(percentile_cont(0.99) within group (order by p.start_ms)) as p99_ms, max(p.start_ms) as max_ms,
      count(*) filter (where p.start_ms > (p_budgets_ms ->> p.path)::integer) as slow
    from public.session_phases p where p.ready_at > p_since and p.path is not null group by p.path) x);
end $$;
comment on function app.start_figures(timestamptz, jsonb) is
  'Returns for each path how many sessions became ready since then, percentiles of how long that took, ms, and how '
  'many took longer than p_budgets_ms allows for their path.';

create function public.ops_overview(p_budgets_ms jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with fleet as materialized (select public.fleet_gauges() as gauges),
  prepared as materialized (
    select m.* from fleet, jsonb_to_recordset(gauges -> 'prepared') m (region text, hot boolean, ready integer))
  select (select gauges from fleet) || jsonb_build_object(
    'now', clock_timestamp(),
    'starts', app.start_figures(now() - interval '1 hour', p_budgets_ms),
    'ended', (select coalesce(jsonb_agg(jsonb_build_object('reason', x.reason, 'count', x.count)), '[]') from (
      select s.reason, count(*) as count from public.interview_sessions s
      where s.status in ('failed', 'disconnected', 'expired', 'cancelled')
        and s.completed_at > now() - interval '1 hour' and not s.test group by 1 order by 2 desc) x),
    'pools', (select coalesce(jsonb_agg(to_jsonb(x) order by x.region), '[]') from (
      select p.region, sum(p.floor)::integer as floor, sum(p.ceiling)::integer as ceiling,
        sum(p.hot_floor)::integer as hot_floor,
        coalesce((select sum(m.ready) from prepared m where m.region = p.region and not m.hot), 0) as ready,
        coalesce((select sum(m.ready) from prepared m where m.region = p.region and m.hot), 0) as hot_ready
      from public.pool_policies p group by p.region) x),
    'spend', (select jsonb_build_object('today_usd', coalesce(sum(d.run_usd + d.standby_usd + d.hot_usd), 0),
      'today_prepared_usd', coalesce(sum(d.standby_usd + d.hot_usd), 0))
      from app.daily_costs d where d.day = (now() at time zone 'UTC')::date),
    'duties', (select coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'holder', d.holder,
      'held', d.expires_at > clock_timestamp()) order by d.name), '[]') from public.duties d),
    'orchestrator_list', (select coalesce(jsonb_agg(jsonb_build_object('orchestrator_id', o.id, 'url', o.url,
      'version', o.version, 'started_at', o.started_at, 'last_seen_at', o.last_seen_at, 'draining', o.draining,
      'worker_image', o.worker_image) order by o.started_at), '[]')
      from public.orchestrators o where o.last_seen_at > clock_timestamp() - interval '10 minutes'),
    'drains', (select coalesce(jsonb_agg(to_jsonb(d) order by d.region), '[]') from public.region_drains d
      where d.until is null or d.until > clock_timestamp()),
    'brake_holds', (select coalesce(jsonb_agg(jsonb_build_object('hold_id', b.id, 'app_name', b.app_name,
      'ends', jsonb_array_length(b.ends), 'held_at', b.held_at, 'seen_at', b.seen_at) order by b.held_at), '[]')
      from public.brake_holds b where b.seen_at > clock_timestamp() - interval '1 minute'
        and b.carried_out_at is null),
    'webhooks_failing', (select count(*) from public.webhook_endpoints w where w.failing_since is not null)));
end $$;
comment on function public.ops_overview(jsonb) is
  'Returns the figures of the operators'' overview: fleet_gauges, and the starts and failures of the last hour, pools, '
  'cost, orchestrators with their duties, drained regions and what the brake holds. p_budgets_ms: how long a start may '
  'take, by path.';
grant execute on function public.ops_overview(jsonb) to orchestrator;

create function public.ops_costs(p_days integer) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with u as (select * from app.daily_costs where day > (now() at time zone 'UTC')::date - p_days)
  select jsonb_build_object(
    'days', (select coalesce(jsonb_agg(to_jsonb(d) order by d.day), '[]') from (
      select day, sum(run_usd) as run_usd, sum(standby_usd) as standby_usd, sum(hot_usd) as hot_usd,
        sum(machines) as machines from u group by day) d),
    'tenants', (select coalesce(jsonb_agg(to_jsonb(x) order by x.total_usd desc), '[]') from (
      select s.tenant_id, t.slug as tenant, s.run_usd, s.standby_usd, s.hot_usd,
        s.run_usd + s.standby_usd + s.hot_usd as total_usd
      from (select tenant_id, sum(run_usd) as run_usd, sum(standby_usd) as standby_usd, sum(hot_usd) as hot_usd
        from u group by tenant_id) s join public.tenants t on t.id = s.tenant_id
      order by total_usd desc limit 100) x)));
end $$;
comment on function public.ops_costs(integer) is
  'Returns what machines cost on each of the last p_days days (UTC, today included), and for the 100 tenants that cost '
  'most, without test mode. A machine counts on the day on which its usage was recorded.';
grant execute on function public.ops_costs(integer) to orchestrator;

create function public.ops_schedule(p_minutes integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(json_agg(row_to_json(y) order by y.minute, y.tenant, y.region), '[]') from (
    select x.minute, x.tenant_id, t.slug as tenant, x.region, x.sessions from (
      select date_trunc('minute', s.scheduled_at) as minute, s.tenant_id, coalesce(s.regions[1], s.region) as region,
        count(*) as sessions
      from public.interview_sessions s where s.status = 'scheduled'
        and s.scheduled_at < now() + make_interval(mins => p_minutes)
      group by 1, 2, 3) x join public.tenants t on t.id = x.tenant_id) y);
end $$;
comment on function public.ops_schedule(integer) is
  'Returns how many scheduled sessions begin in each of the next minutes, by tenant and region.';
grant execute on function public.ops_schedule(integer) to orchestrator;

-- ── schemas/operators/rights.sql ──
alter table public.region_drains enable row level security;
grant select on public.region_drains to orchestrator;
create policy "orchestrators read all rows" on public.region_drains for select to orchestrator using (true);

alter table public.brake_holds enable row level security;
grant select on public.brake_holds to orchestrator;
create policy "orchestrators read all rows" on public.brake_holds for select to orchestrator using (true);

-- ── schemas/operators/sessions.sql ──
create view app.ops_session_rows with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, t.slug as tenant, s.status, s.reason, s.presence,
    s.queue_deadline_at is not null as queued,
    coalesce(s.region, s.regions[1]) as region, s.epoch, s.machine_id, s.fly_machine_id, s.simulated, s.created_at,
    s.scheduled_at, s.ready_at, s.started_at, s.completed_at, s.end_requested_at,
    p.path, coalesce(p.attempts, 0) as attempts, p.start_ms, p.voice_ms,
    r.status as result,
    (select sum(u.cost_usd + u.standby_cost_usd + u.hot_cost_usd) from public.machine_usage u
      where u.session_id = s.id) as cost_usd,
    case when p.due_at is not null then row_to_json(x) end as phases
  from public.interview_sessions s join public.tenants t on t.id = s.tenant_id
    left join public.session_phases p on p.session_id = s.id
    left join public.interview_results r on r.session_id = s.id
    -- What the API explains a start from: every further column is written once a row.
    cross join lateral (select p.path, p.attempts, p.earlier, p.wanted_region, p.region, p.standby_kept, p.slot_place,
      p.slot_count, p.fly_request_id, p.due_at, p.begun_at, p.reserved_at, p.slot_at, p.asked_at, p.answered_at,
      p.started_at, p.booted_at, p.ready_at, p.looked_at, p.joined_at, p.edge_wait_ms, p.socket_at, p.offered_at,
      p.credential_at, p.call_answered_at, p.connected_at, p.spoke_at, s.scheduled_at is not null as scheduled,
      s.queued_at is not null as queued, s.status, s.reason, s.completed_at) x;
comment on view app.ops_session_rows is
  'A session as operators see it in a list. It contains no name, no text and nothing of the platform''s own data.';

create function app.session_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_session_rows v on v.session_id = g.id);
end $$;
comment on function app.session_rows(uuid[]) is 'Returns the sessions with these ids, in their order.';

create function app.session_conditions(p_filter jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  v_statuses text[] := app.texts_of(p_filter -> 'status');
  v_reasons text[] := app.texts_of(p_filter -> 'reason');
  v_live boolean := (p_filter ->> 'live')::boolean
    or (select bool_and(app.rank_of(x) < app.rank_of('ended')) from unnest(v_statuses) x);
  v_status text := case when cardinality(v_statuses) = 1 then 's.status = ' || quote_literal(v_statuses[1])
    else 's.status = any (' || quote_literal(v_statuses) || ')' end;
  v_unfinished boolean := coalesce(cardinality(v_statuses) = 1
    and v_statuses[1] in ('failed', 'disconnected', 'expired', 'cancelled'), false);
begin
  -- quote_literal returns null for null, so a filter that is not given has no condition.
  return jsonb_strip_nulls(jsonb_build_object(
    'ids', 's.id = any (' || quote_literal(app.texts_of(p_filter -> 'ids')) || ')',
    'live', case when v_live then 's.state_rank < app.rank_of(''ended'')' end,
    'unfinished', case when v_unfinished then v_status end,
    'status', case when not v_unfinished and cardinality(v_statuses) = 1 then v_status end,
    'statuses', case when cardinality(v_statuses) <> 1 then v_status end,
    'reason', case when cardinality(v_reasons) = 1 then 's.reason = ' || quote_literal(v_reasons[1]) end,
    'reasons', case when cardinality(v_reasons) <> 1 then 's.reason = any (' || quote_literal(v_reasons) || ')' end,
    'tenant', 's.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'region', 's.region = ' || quote_literal(p_filter ->> 'region'),
    'from', 's.created_at >= ' || quote_literal(p_filter ->> 'from'),
    'until', 's.created_at < ' || quote_literal(p_filter ->> 'until'),
    'path', 'p.path = ' || quote_literal(p_filter ->> 'path'),
    'attempts', 'p.attempts >= ' || quote_literal(p_filter ->> 'attempts'),
    'slow', 'p.start_ms >= ' || quote_literal(p_filter ->> 'slow_ms')));
end $$;
comment on function app.session_conditions(jsonb) is
  'Returns the SQL conditions of a filter of sessions, by name: those of the session s and of its phases p.';

create function app.newest_sessions(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable set search_path = '' as $$
declare
  v_all jsonb := app.session_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('after',
    '(s.created_at, s.id) < (' || quote_literal(p_after ->> 'at') || ', ' || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 's.created_at desc, s.id desc';
  v_from text := 'public.interview_sessions s';
  v_walk text[] := app.walk_of(v_all, '{ids, tenant unfinished, tenant status, tenant region, tenant, unfinished,
    reason, live, region}');
  v_window integer := app.walk_window();
  v_page record;
begin
  if v_walk = '{ids}' then
    v_from := format('(select s.* from public.interview_sessions s where %s offset 0) s', v_all ->> 'ids');
    v_all := v_all - 'ids';
    v_walk := '{}';
  elsif v_walk = '{}' and app.are_few('public.session_phases p where ' || (v_all ->> 'slow'), v_window) then
    v_from := format('(select s.* from (select p.session_id from public.session_phases p where %s offset 0) p
      join public.interview_sessions s on s.id = p.session_id offset 0) s', v_all ->> 'slow');
    v_all := v_all - 'slow';
  end if;
  v_walk := v_walk || '{from,until,after}'::text[];
  v_page := app.page_of(
    format('select s.id, s.created_at, s.tenant_id, s.status, s.state_rank, s.reason, s.region from %s where %s '
      'order by %s', v_from, app.conditions(v_all, v_walk, true), v_order),
    format('select s.id from walked s left join public.session_phases p on p.session_id = s.id where %s order by %s',
      app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', created_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else v_window end, p_limit);
  return json_build_object('rows', app.session_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function app.newest_sessions(jsonb, jsonb, integer) is 'Returns a page of ops_sessions, newest first.';

create function app.slowest_sessions(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable set search_path = '' as $$
declare
  v_all jsonb := app.session_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('tenant',
    'p.tenant_id = ' || quote_literal(p_filter ->> 'tenant'), 'started', 'p.start_ms is not null', 'after',
    '(p.start_ms, p.session_id) < (' || quote_literal(p_after ->> 'start_ms') || ', '
      || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'p.start_ms desc, p.session_id desc';
  v_from text := 'public.session_phases p';
  v_walk text[] := app.walk_of(v_all, '{tenant, path}');
  -- No index has these in the order of start times. If they select few sessions, all of them are sorted.
  v_few text[] := app.walk_of(v_all, '{ids, live, unfinished, reason, region}');
  v_window integer := app.walk_window();
  v_page record;
begin
  if v_walk = '{}' and v_few <> '{}' and app.are_few('public.interview_sessions s where '
    || app.conditions(v_all, v_few, true), v_window) then
    v_from := format('(select p.* from (select s.id from public.interview_sessions s where %s offset 0) s
      join public.session_phases p on p.session_id = s.id offset 0) p', app.conditions(v_all, v_few, true));
    v_all := v_all - v_few;
  end if;
  v_walk := v_walk || '{started,slow,after}'::text[];
  v_page := app.page_of(
    format('select p.session_id, p.start_ms, p.tenant_id, p.path, p.attempts from %s where %s order by %s', v_from,
      app.conditions(v_all, v_walk, true), v_order),
    format('select p.session_id as id from walked p left join public.interview_sessions s on s.id = p.session_id '
      'where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''start_ms'', start_ms, ''id'', session_id)',
    case when v_all - v_walk = '{}' then p_limit else v_window end, p_limit);
  return json_build_object('rows', app.session_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function app.slowest_sessions(jsonb, jsonb, integer) is
  'Returns a page of ops_sessions, those that took longest to be ready first.';

create function public.ops_sessions(p_filter jsonb, p_sort text, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  if p_sort = 'start' then return app.slowest_sessions(p_filter, p_after, p_limit); end if;
  return app.newest_sessions(p_filter, p_after, p_limit);
end $$;
comment on function public.ops_sessions(jsonb, text, jsonb, integer) is
  'Lists sessions of all tenants for operators, those after p_after. p_sort: created (newest first) or start (slowest '
  'first). p_after: {at, id} or {start_ms, id}. p_filter: live (only sessions that have not ended), status[], '
  'reason[], tenant, region, path, attempts (at least), slow_ms (at least), from (included), until (not included), '
  'ids[]. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_sessions(jsonb, text, jsonb, integer) to orchestrator;

create function public.ops_session(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object(
    'candidate_id', s.candidate_id,
    'external_id', (select c.external_id from public.tenant_candidates c where c.tenant_id = s.tenant_id
      and c.candidate_id = s.candidate_id),
    'position_id', s.position_id, 'regions', to_jsonb(s.regions), 'region_reason', s.region_reason,
    'placement', s.placement, 'max_duration_ms', s.max_duration_ms, 'expires_at', s.expires_at,
    'integrity', s.integrity, 'consent_withdrawn_at', s.consent_withdrawn_at,
    'phases', public.session_phases_of(s.id),
    'machines', (select coalesce(jsonb_agg(to_jsonb(m) order by m.attempt, m.reserved_at), '[]')
      from app.ops_machine_documents m join public.machines o on o.id = m.machine_id where o.session_id = s.id),
    'calls', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', c.ordinal, 'epoch', c.epoch,
        'provider', c.provider, 'call_id', c.call_id, 'opened_at', c.opened_at, 'answered_at', c.answered_at,
        'hung_up_at', c.hung_up_at) order by c.ordinal), '[]')
      from public.realtime_calls c where c.session_id = s.id),
    'transcript', (select jsonb_build_object('entries', count(*), 'unverified', count(*) filter (where not e.verified),
        'complete', s.transcript_complete, 'revision', s.transcript_revision, 'erased_at', s.transcript_erased_at)
      from public.transcript_entries e where e.session_id = s.id),
    'evaluation', (select jsonb_build_object('status', r.status, 'attempts', r.attempts, 'failure', r.failure,
        'last_error', r.last_error, 'model', r.model, 'evaluated_at', r.evaluated_at,
        'next_attempt_at', case when r.status in ('pending', 'running') then r.next_attempt_at end)
      from public.interview_results r where r.session_id = s.id),
    'recordings', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', v.ordinal, 'state', v.state,
        'video_id', v.video_id, 'attempts', v.attempts, 'failure', v.failure, 'started_at', v.started_at)
        order by v.ordinal), '[]')
      from public.video_jobs v where v.session_id = s.id),
    'deliveries', (select coalesce(jsonb_agg(app.delivery_json(d) order by d.created_at desc, d.id), '[]') from (
      select * from public.webhook_deliveries w where w.session_id = s.id order by w.created_at desc limit 50) d),
    'usage', app.session_usage(s.id))
  from public.interview_sessions s join app.ops_session_rows v on v.session_id = s.id where s.id = p_id);
end $$;
comment on function public.ops_session(uuid) is
  'Returns everything that operators see of one session: its row, phases, machines, calls, counts of its transcript, '
  'evaluation, recordings, newest 50 deliveries and cost. No name and no text. Null if there is none.';
grant execute on function public.ops_session(uuid) to orchestrator;

-- ── schemas/operators/tenants.sql ──
create view app.ops_tenant_rows with (security_invoker = true) as
  select t.id as tenant_id, t.slug, t.name, t.status, coalesce(c.live_sessions, 0) as live_sessions,
    t.max_live_sessions, t.starts_per_minute, t.max_standby,
    (select count(*) from public.interview_sessions s where s.tenant_id = t.id
      and s.queue_deadline_at is not null) as queued,
    (select count(*) from public.machines m where m.tenant_id = t.id and m.session_id is null
      and m.state = 'created' and not m.hot) as standby,
    (select count(*) from public.machines m where m.tenant_id = t.id and m.session_id is null
      and m.state = 'started' and m.hot) as hot,
    a.creates_per_second, a.apps,
    (select count(*) from public.api_keys k where k.tenant_id = t.id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now())) as keys,
    w.webhooks, w.webhooks_failing, nullif(c.quota_reached_at, '-infinity') as quota_reached_at, t.created_at
  from public.tenants t left join public.tenant_counters c on c.tenant_id = t.id
    cross join lateral (
      select count(*) as webhooks,
        count(*) filter (where e.failing_since is not null or not e.enabled) as webhooks_failing
      from public.webhook_endpoints e where e.tenant_id = t.id) w
    cross join lateral (
      select coalesce(sum(x.creates_per_second) filter (where x.status = 'ready'), 0) as creates_per_second,
        coalesce(json_agg(json_build_object('name', x.name, 'status', x.status) order by x.name), '[]') as apps
      from public.tenant_apps x where x.tenant_id = t.id) a;
comment on view app.ops_tenant_rows is 'A tenant as operators see it in a list.';

create function public.ops_tenants(p_filter jsonb, p_after text, p_limit integer) returns json
-- Each tenant of the page looks up its own rows: by their index, also while a table is small.
language plpgsql stable security definer set search_path = '' set enable_seqscan = off as $$
declare
  v_status text := p_filter ->> 'status';
begin
  return (select coalesce(json_agg(row_to_json(x) order by x.slug), '[]') from (
    select * from app.ops_tenant_rows t
    where (v_status is null or t.status = v_status) and t.slug > coalesce(p_after, '')
    order by t.slug limit p_limit) x);
end $$;
comment on function public.ops_tenants(jsonb, text, integer) is
  'Lists tenants for operators by slug, those after p_after. p_filter: status.';
grant execute on function public.ops_tenants(jsonb, text, integer) to orchestrator;

create function public.ops_tenant(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object(
    'allowed_regions', to_jsonb(t.allowed_regions), 'max_duration_ms', t.max_duration_ms,
    'require_consent', t.require_consent, 'transcript_days', t.transcript_days, 'video_days', t.video_days,
    'audit_days', t.audit_days,
    'pools', public.pool_of_tenant(t.id),
    'api_keys', (select coalesce(jsonb_agg(jsonb_build_object('key_id', k.id, 'name', k.name, 'prefix', k.prefix,
        'scopes', k.scopes, 'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at)
        order by k.created_at desc), '[]') from (
      select * from public.api_keys a where a.tenant_id = t.id order by a.created_at desc limit 100) k),
    'endpoints', (select coalesce(jsonb_agg(jsonb_build_object('webhook_id', w.id, 'url', w.url, 'events', w.events,
        'enabled', w.enabled, 'disabled_reason', w.disabled_reason, 'failures', w.failures,
        'failing_since', w.failing_since) order by w.created_at), '[]')
      from public.webhook_endpoints w where w.tenant_id = t.id),
    'usage_30_days', (select jsonb_build_object('machines', coalesce(sum(d.machines), 0),
        'cost_usd', coalesce(sum(d.run_usd), 0), 'standby_cost_usd', coalesce(sum(d.standby_usd), 0),
        'hot_cost_usd', coalesce(sum(d.hot_usd), 0),
        'sessions', (select count(*) from (select from public.interview_sessions s where s.tenant_id = t.id
          and s.created_at > now() - interval '30 days' limit 1001) x))
      from app.daily_costs d where d.tenant_id = t.id and d.day > (now() at time zone 'UTC')::date - 30))
  from public.tenants t join app.ops_tenant_rows v on v.tenant_id = t.id where t.id = p_id);
end $$;
comment on function public.ops_tenant(uuid) is
  'Returns everything that operators see of one tenant: limits, apps, pools, keys (never their secrets), webhooks and '
  'the cost of 30 days: the sums of ops_costs, so without test mode, and the sessions created in this time, of which '
  'at most 1,001 are counted. Null if there is none.';
grant execute on function public.ops_tenant(uuid) to orchestrator;

create function public.ops_pools(p_filter jsonb) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select coalesce(json_agg(row_to_json(x) order by x.tenant, x.region), '[]') from (
    select t.slug as tenant, p.* from app.pools p join public.tenants t on t.id = p.tenant_id
    where (not p_filter ? 'tenant' or p.tenant_id = (p_filter ->> 'tenant')::uuid)
      and (not p_filter ? 'region' or p.region = p_filter ->> 'region')) x);
end $$;
comment on function public.ops_pools(jsonb) is
  'Lists the pools of all tenants for operators, with what each has: ready, building, and due within the hour. '
  'p_filter: tenant, region.';
grant execute on function public.ops_pools(jsonb) to orchestrator;

create function public.ops_regions() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (with live as (
    select region, sum(count) as sessions, sum(present) as present from app.live_counts where status <> 'scheduled'
    group by 1),
  machine as (
    select region, sum(count) filter (where serving) as serving,
      sum(count) filter (where not serving and not hot) as standby,
      sum(count) filter (where not serving and hot) as hot
    from app.machine_counts group by 1),
  recent as (
    select region, count(*) as tries, count(*) filter (where reason in ('create_failed', 'start_failed')) as failures,
      percentile_cont(0.5) within group (order by extract(epoch from answered_at - asked_at) * 1000) as create_ms,
      max(created_at) as last_created_at
    from public.machines where reserved_at > now() - interval '1 hour' group by 1)
  select coalesce(jsonb_agg(jsonb_build_object('region', r.region,
    'sessions', coalesce(l.sessions, 0), 'present', coalesce(l.present, 0), 'serving', coalesce(m.serving, 0),
    'standby', coalesce(m.standby, 0), 'hot', coalesce(m.hot, 0), 'tries_hour', coalesce(c.tries, 0),
    'failures_hour', coalesce(c.failures, 0), 'create_ms', round(c.create_ms), 'last_created_at', c.last_created_at,
    'drain', (select to_jsonb(d) from public.region_drains d where d.region = r.region
      and (d.until is null or d.until > clock_timestamp())))
    order by r.region), '[]')
  from (select region from live union select region from machine union select region from recent
    union select region from public.region_drains) r
  left join live l using (region) left join machine m using (region) left join recent c using (region)
  where r.region is not null);
end $$;
comment on function public.ops_regions() is
  'Returns for each region that is in use: sessions, machines, the creations of the last hour with their median '
  'duration, and whether it is drained.';
grant execute on function public.ops_regions() to orchestrator;

-- ── schemas/operators/work.sql ──
create view app.open_work with (security_invoker = true) as
  select 'result' as kind, r.session_id::text as id, r.tenant_id, r.session_id, r.status as state, r.attempts,
      r.next_attempt_at as due_at, coalesce(r.last_error, r.failure) as last_error, r.created_at as since
    from public.interview_results r where r.status in ('pending', 'running')
  union all
  select 'result', r.session_id::text, r.tenant_id, r.session_id, r.status, r.attempts, r.updated_at,
      coalesce(r.last_error, r.failure), r.created_at
    from public.interview_results r where r.status = 'dead'
  union all
  select 'recording', v.session_id::text || '/' || v.ordinal, v.tenant_id, v.session_id, 'pending', v.attempts,
      v.next_attempt_at, v.failure, v.created_at
    from public.video_jobs v where v.state in ('wanted', 'closing', 'processing')
  union all
  select 'recording_deletion', d.video_id, d.tenant_id, null, 'pending', d.attempts, d.next_attempt_at, d.last_error,
      d.created_at
    from public.video_deletions d where d.deleted_at is null
  union all
  select 'hang_up', c.session_id::text || '/' || c.ordinal, c.tenant_id, c.session_id, 'pending', c.hang_up_attempts,
      coalesce(c.next_hang_up_at, s.completed_at), null, s.completed_at
    from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
      and s.state_rank >= app.rank_of('ended') where c.hung_up_at is null
  union all
  select 'erasure', e.candidate_id::text, e.tenant_id, null, 'pending', 0, e.erasure_requested_at, null,
      e.erasure_requested_at
    from public.tenant_candidates e where e.erasure_requested_at is not null and e.erased_at is null
  union all
  select 'webhook', w.id::text, w.tenant_id, null,
      case when w.enabled then 'failing' else 'dead' end, w.failures, w.failing_since, w.disabled_reason,
      w.failing_since
    from public.webhook_endpoints w where w.failing_since is not null;
comment on view app.open_work is
  'The work that is still owed for sessions and tenants, of every kind. A webhook is listed while nothing '
  'reaches its endpoint.';

create function public.ops_work(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
declare
  v_kind text := p_filter ->> 'kind';
  v_states text[] := app.texts_of(p_filter -> 'state');
  v_tenant uuid := (p_filter ->> 'tenant')::uuid;
  v_at timestamptz := (p_after ->> 'at')::timestamptz;
  v_key text := p_after ->> 'key';
begin
  return (select coalesce(json_agg(row_to_json(y) order by y.due_at, y.key), '[]') from (
    select x.*, t.slug as tenant from (
      select w.*, w.kind || ' ' || w.id as key from app.open_work w
      where (v_kind is null or w.kind = v_kind) and (v_states is null or w.state = any (v_states))
        and (v_tenant is null or w.tenant_id = v_tenant)
        and (v_key is null or (w.due_at, w.kind || ' ' || w.id) > (v_at, v_key))
      order by w.due_at, w.kind || ' ' || w.id limit p_limit) x
    left join public.tenants t on t.id = x.tenant_id) y);
end $$;
comment on function public.ops_work(jsonb, jsonb, integer) is
  'Lists owed work of all tenants for operators, the longest due first, that after p_after {at, key}. p_filter: kind, '
  'state[] (pending, running, failing, dead), tenant.';
grant execute on function public.ops_work(jsonb, jsonb, integer) to orchestrator;

create view app.ops_delivery_rows with (security_invoker = true) as
  select d.id, d.endpoint_id as webhook_id, d.session_id, d.type, d.status, d.attempts,
    case when d.status = 'pending' then d.next_attempt_at end as next_attempt_at, d.last_status, d.last_error,
    d.delivered_at, d.created_at, d.tenant_id, t.slug as tenant
  from public.webhook_deliveries d join public.tenants t on t.id = d.tenant_id;
comment on view app.ops_delivery_rows is 'A webhook delivery as operators see it in a list.';

create function app.delivery_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_delivery_rows v on v.id = g.id);
end $$;
comment on function app.delivery_rows(uuid[]) is 'Returns the webhook deliveries with these ids, in their order.';

create function public.ops_deliveries(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  v_all jsonb := jsonb_strip_nulls(jsonb_build_object(
    'session', 'd.session_id = ' || quote_literal(p_filter ->> 'session'),
    'webhook', 'd.endpoint_id = ' || quote_literal(p_filter ->> 'webhook'),
    'tenant', 'd.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'status', 'd.status = ' || quote_literal(p_filter ->> 'status'),
    'after', '(d.created_at, d.id) < (' || quote_literal(p_after ->> 'at') || ', '
      || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'd.created_at desc, d.id desc';
  v_walk text[] := app.walk_of(v_all, '{session, webhook, tenant}') || '{after}'::text[];
  v_page record;
begin
  v_page := app.page_of(
    format('select d.id, d.created_at, d.tenant_id, d.endpoint_id, d.status from public.webhook_deliveries d '
      'where %s order by %s', app.conditions(v_all, v_walk, true), v_order),
    format('select d.id from walked d where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', created_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else app.walk_window() end, p_limit);
  return json_build_object('rows', app.delivery_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function public.ops_deliveries(jsonb, jsonb, integer) is
  'Lists webhook deliveries for operators, newest first, those after p_after {at, id}. p_filter: one of tenant, '
  'webhook and session, and status. Without their payloads. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_deliveries(jsonb, jsonb, integer) to orchestrator;

create function public.ops_delivery(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select app.delivery_json(d) || jsonb_build_object('tenant_id', d.tenant_id, 'log', d.log,
    'erased', d.payload = '{}')
  from public.webhook_deliveries d where d.id = p_id);
end $$;
comment on function public.ops_delivery(uuid) is
  'Returns a webhook delivery with the log of its attempts for operators. Null if there is none.';
grant execute on function public.ops_delivery(uuid) to orchestrator;

-- ── schemas/people/candidates.sql ──
create function app.match_candidate(p_tenant_id uuid, p jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_by_id public.tenant_candidates;
  v_by_email public.tenant_candidates;
  c public.tenant_candidates;
begin
  if coalesce(p ->> 'email', p ->> 'external_id') is null then return '{}'; end if;
  select * into v_by_id from public.tenant_candidates where tenant_id = p_tenant_id
    and external_id = p ->> 'external_id';
  select * into v_by_email from public.tenant_candidates where tenant_id = p_tenant_id
    and app.folded(email) = app.folded(p ->> 'email');
  if v_by_id.candidate_id <> v_by_email.candidate_id then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["email", "external_id"]'::jsonb);
  end if;
  c := case when v_by_id.candidate_id is not null then v_by_id else v_by_email end;
  if app.folded(c.email) <> app.folded(p ->> 'email') then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["email"]'::jsonb);
  end if;
  if c.external_id <> p ->> 'external_id' then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["external_id"]'::jsonb);
  end if;
  return jsonb_build_object('candidate_id', c.candidate_id);
end $$;
comment on function app.match_candidate(uuid, jsonb) is
  'Returns which of the tenant''s candidates {name, email?, external_id?} means: {candidate_id}, null for a new one. '
  'Returns {kind: candidate_conflict, fields} if e-mail and external id belong to two people, or if the matching '
  'candidate is stored with another one of them. An e-mail never joins two external ids.';

create function app.store_candidate(p_tenant_id uuid, p jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_match jsonb := app.match_candidate(p_tenant_id, p);
  v_id uuid := (v_match ->> 'candidate_id')::uuid;
begin
  if v_id is null and not v_match ? 'kind' then
    insert into public.candidates default values returning id into v_id;
    insert into public.tenant_candidates (tenant_id, candidate_id, name, email, external_id)
      values (p_tenant_id, v_id, p ->> 'name', p ->> 'email', p ->> 'external_id') on conflict do nothing;
    if found then return v_id; end if;
    -- Another transaction has stored the same person at the same moment: use that row.
    delete from public.candidates where id = v_id;
    v_match := app.match_candidate(p_tenant_id, p);
    v_id := (v_match ->> 'candidate_id')::uuid;
  end if;
  if v_id is null then
    raise exception 'the candidate was changed at the same moment' using errcode = '40001';
  end if;
  update public.tenant_candidates t set name = p ->> 'name', email = coalesce(t.email, p ->> 'email'),
      external_id = coalesce(t.external_id, p ->> 'external_id')
    where tenant_id = p_tenant_id and candidate_id = v_id and (t.name <> p ->> 'name'
      or t.email is null and p ? 'email' or t.external_id is null and p ? 'external_id');
  return v_id;
end $$;
comment on function app.store_candidate(uuid, jsonb) is
  'Returns the candidate that match_candidate finds, with the given name and any missing e-mail or external id '
  'filled in, or creates it. To be called only if there is no conflict.';

create function app.candidate_json(c public.tenant_candidates) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', c.candidate_id, 'tenant_id', c.tenant_id, 'name', c.name, 'email', c.email,
    'external_id', c.external_id,
    'status', c.status, 'created_at', c.created_at, 'updated_at', c.updated_at)
$$;
comment on function app.candidate_json(public.tenant_candidates) is 'Returns a candidate as the API shows it.';

create function app.candidate_conflict(p_tenant_id uuid, p jsonb, p_except uuid default null) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', 'conflict', 'fields', to_jsonb(array_remove(array[
      case when bool_or(app.folded(c.email) = app.folded(p ->> 'email')) then 'email' end,
      case when bool_or(c.external_id = p ->> 'external_id') then 'external_id' end], null)))
  from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id is distinct from p_except
    and (app.folded(c.email) = app.folded(p ->> 'email') or c.external_id = p ->> 'external_id')
$$;
comment on function app.candidate_conflict(uuid, jsonb, uuid) is
  'Returns {kind: conflict, fields} if other candidates of the tenant have this e-mail or external id. It does not '
  'say which candidates.';

create function public.create_candidate(p_tenant_id uuid, p_candidate jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  insert into public.tenant_candidates (tenant_id, name, email, external_id, status)
    values (p_tenant_id, p_candidate ->> 'name', p_candidate ->> 'email', p_candidate ->> 'external_id',
      p_candidate ->> 'status') returning * into c;
  return jsonb_build_object('kind', 'created', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_candidate);
end $$;
comment on function public.create_candidate(uuid, jsonb) is
  'Stores a candidate {name, email?, external_id?, status?}; called by the API. Returns kind: created, conflict '
  '(with fields).';
grant execute on function public.create_candidate(uuid, jsonb) to orchestrator;

create function public.get_candidate(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.candidate_json(c) from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id = p_candidate_id and c.erased_at is null
$$;
comment on function public.get_candidate(uuid, uuid) is
  'Returns a tenant''s candidate; called by the API. Null if there is none or it was erased.';
grant execute on function public.get_candidate(uuid, uuid) to orchestrator;

create function public.list_candidates(p_tenant_id uuid, p_limit integer, p_search text default null,
  p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.candidate_json(x) order by x.created_at desc, x.candidate_id desc), '[]') from (
    select c.* from public.tenant_candidates c
    where c.tenant_id = p_tenant_id and c.erased_at is null
      and (p_search is null or position(app.folded(p_search) in app.folded(c.name)) > 0
        or app.folded(c.email) = app.folded(p_search) or c.external_id = p_search)
      and (p_before is null or (c.created_at, c.candidate_id) < (p_before, p_before_id))
    order by c.created_at desc, c.candidate_id desc limit p_limit) x
$$;
comment on function public.list_candidates(uuid, integer, text, timestamptz, uuid) is
  'Lists a tenant''s candidates, newest first, after the one with this time and id; called by the API. p_search '
  'matches part of a name, a complete e-mail or a complete external id.';
grant execute on function public.list_candidates(uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.change_candidate(p_tenant_id uuid, p_candidate_id uuid, p_changes jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  -- Locked before it is read: a change of another field at the same moment must not be undone.
  select * into c from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if c.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  c := jsonb_populate_record(c, p_changes);
  update public.tenant_candidates t set name = c.name, email = c.email, external_id = c.external_id, status = c.status
    where t.tenant_id = p_tenant_id and t.candidate_id = p_candidate_id returning t.* into c;
  return jsonb_build_object('kind', 'changed', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_changes, p_candidate_id);
end $$;
comment on function public.change_candidate(uuid, uuid, jsonb, timestamptz) is
  'Changes name, email, external_id or status; called by the API. Omitted fields stay. Returns kind: changed, '
  'conflict (with fields), changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_candidate(uuid, uuid, jsonb, timestamptz) to orchestrator;

-- ── schemas/people/erasure.sql ──
create function app.guard_erased_transcript() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from incoming i join public.interview_sessions s on s.id = i.session_id
    where s.transcript_erased_at is not null) then
    raise exception 'the transcript was erased' using errcode = 'PT410';
  end if;
  return null;
end $$;
comment on function app.guard_erased_transcript() is
  'Refuses (PT410) entries and results of a session whose transcript was erased, so that a late upload cannot '
  'restore it. Trigger.';
create trigger guard_insert after insert on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.transcript_entries referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_insert after insert on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();
create trigger guard_update after update on public.interview_results referencing new table as incoming
  for each statement execute function app.guard_erased_transcript();

create function app.guard_erased_video() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.video_erased_at is not null) then
    raise exception 'the recordings were erased' using errcode = 'PT410';
  end if;
  return new;
end $$;
comment on function app.guard_erased_video() is
  'Refuses (PT410) a recording of a session whose recordings were erased. Trigger of video_segments.';
create trigger guard before insert
  or update on public.video_segments for each row execute function app.guard_erased_video();

create function app.erase_transcript(p_session_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_entries integer;
begin
  update public.interview_sessions set transcript_erased_at = coalesce(transcript_erased_at, clock_timestamp())
    where id = p_session_id;
  delete from public.interview_results where session_id = p_session_id;
  delete from public.transcript_entries where session_id = p_session_id;
  get diagnostics v_entries = row_count;
  return v_entries;
end $$;
comment on function app.erase_transcript(uuid) is
  'Deletes the transcript and the result of a session. Returns the number of deleted entries.';

create function app.erase_video(p_session_id uuid, p_cause text) returns text[]
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_ids text[];
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  select coalesce(array_agg(distinct v order by v), '{}') into v_ids from (
    select s.video_recording_id as v union all select video_id from public.video_segments
      where session_id = p_session_id) x where v is not null;
  insert into public.video_deletions (video_id, tenant_id, cause) select v, s.tenant_id, p_cause from unnest(v_ids) v
    on conflict do nothing;
  delete from public.video_segments where session_id = p_session_id;
  update public.interview_sessions set video_recording_id = null, video_recording_url = null,
    video_erased_at = coalesce(video_erased_at, clock_timestamp()) where id = p_session_id;
  return v_ids;
end $$;
comment on function app.erase_video(uuid, text) is
  'Moves a session''s recordings to video_deletions. Returns their ids.';

create function app.erase_interview(p_session_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_entries integer := app.erase_transcript(p_session_id);
  v_videos text[] := app.erase_video(p_session_id, 'erasure');
begin
  update public.interview_sessions set integrity = '{}', withdrawal_settled_at = case
    when consent_withdrawn_at is not null then coalesce(withdrawal_settled_at, clock_timestamp()) end
    where id = p_session_id;
  -- The other data of events are needed to understand the course of the session, and none of them is personal.
  update public.session_events set data = data - 'kind' - 'video_id' where session_id = p_session_id
    and type in ('integrity.flagged', 'video.open', 'video.done');
  return jsonb_build_object('transcript_entries', v_entries, 'videos', to_jsonb(v_videos));
end $$;
comment on function app.erase_interview(uuid) is
  'Erases what was said, recorded, observed and evaluated in a session. The candidate, the settings and the consent '
  'remain.';

create function app.erase(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s record;
  v_erased jsonb;
  v_entries integer := 0;
  v_videos jsonb := '[]';
  v_sessions uuid[] := '{}';
begin
  for s in select id from public.interview_sessions where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    order by id for update loop
    v_sessions := v_sessions || s.id;
    v_erased := app.erase_interview(s.id);
    v_entries := v_entries + (v_erased ->> 'transcript_entries')::integer;
    v_videos := v_videos || (v_erased -> 'videos');
  end loop;
  update public.interview_sessions set settings = '{}', metadata = '{}', user_id = null,
    candidate = '{"name": "Erased"}' where id = any (v_sessions);
  delete from public.consents where session_id = any (v_sessions);
  -- After a withdrawal the link must still say that consent was withdrawn. Only hashes of code and browser remain.
  delete from public.session_invitations where session_id in (select x.id from public.interview_sessions x
    where x.id = any (v_sessions) and x.consent_withdrawn_at is null);
  delete from public.idempotency_keys where session_id = any (v_sessions)
    or (tenant_id, candidate_id) = (p_tenant_id, p_candidate_id);
  -- The platform must still learn that consent was withdrawn. That message contains ids only.
  update public.webhook_deliveries set payload = '{}', log = '[]',
      status = case status when 'pending' then 'dead' else status end
    where session_id = any (v_sessions) and type <> 'consent.withdrawn';
  delete from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and v_sessions = '{}';
  update public.tenant_candidates set name = 'Erased', email = null, external_id = null, status = null,
    erased_at = clock_timestamp()
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id;
  delete from public.candidates c where c.id = p_candidate_id and not exists (select from public.tenant_candidates t
    where t.candidate_id = c.id);
  return jsonb_build_object('sessions', cardinality(v_sessions), 'transcript_entries', v_entries,
    'videos', v_videos);
end $$;
comment on function app.erase(uuid, uuid) is
  'Erases all data that a tenant has of a candidate whose sessions have all ended. The sessions remain, without '
  'personal data, for accounting.';

create function public.erase_candidate(p_tenant_id uuid, p_candidate_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_locked uuid[];
  v_live uuid[];
  v_erased jsonb;
begin
  if not exists (select from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  -- Lock all the candidate's sessions first, before any ending locks the tenant's counter, and before the candidate's
  -- row: a withdrawal of consent locks its session, also an ended one, and then the candidate. A session created in
  -- the meantime is left to the next call, because locking it now would violate the lock order.
  v_locked := array(select id from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id order by id for update);
  for s in select id from public.interview_sessions
    where id = any (v_locked) and state_rank < app.rank_of('finalizing') and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'ended_by_platform');
  end loop;
  -- From here on no session of the candidate can be created, because it would refer to this row.
  perform 1 from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select coalesce(array_agg(id order by id), '{}') into v_live from public.interview_sessions
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and state_rank < app.rank_of('ended');
  if v_live <> '{}' then return jsonb_build_object('kind', 'ending', 'session_ids', to_jsonb(v_live)); end if;
  v_erased := app.erase(p_tenant_id, p_candidate_id);
  perform app.audit(p_by, p_tenant_id, 'candidate.erase', p_candidate_id::text,
    jsonb_build_object('sessions', v_erased -> 'sessions', 'transcript_entries', v_erased -> 'transcript_entries',
      'videos', jsonb_array_length(v_erased -> 'videos')));
  return v_erased || jsonb_build_object('kind', 'erased');
end $$;
comment on function public.erase_candidate(uuid, uuid, jsonb) is
  'Erases a candidate of a tenant; called by the API and by the regular job. Returns kind: erased (with sessions, '
  'transcript_entries and the videos to delete), ending (live sessions were asked to end; call again later), '
  'not_found.';
grant execute on function public.erase_candidate(uuid, uuid, jsonb) to orchestrator;

create function public.request_erasure(p_tenant_id uuid, p_candidate_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_candidates set erasure_requested_at = coalesce(erasure_requested_at, clock_timestamp()),
      erasure_requested_by = coalesce(erasure_requested_by, p_by)
    where tenant_id = p_tenant_id and candidate_id = p_candidate_id and erased_at is null;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'requested');
end $$;
comment on function public.request_erasure(uuid, uuid, jsonb) is
  'Records that a candidate must be erased; called by the API. erase_candidate then does it in its own transaction, '
  'because it must lock sessions first. Returns kind: requested, not_found.';
grant execute on function public.request_erasure(uuid, uuid, jsonb) to orchestrator;

create function public.erasures_requested(p_limit integer default 20) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', x.tenant_id, 'candidate_id', x.candidate_id,
    'by', x.erasure_requested_by)), '[]')
  from (select * from public.tenant_candidates where erasure_requested_at is not null and erased_at is null
    order by erasure_requested_at limit p_limit) x
$$;
comment on function public.erasures_requested(integer) is
  'Lists candidates whose erasure was requested and has not been done; called by the regular job.';
grant execute on function public.erasures_requested(integer) to orchestrator;

-- ── schemas/people/positions.sql ──
create function public.create_position(p_tenant_id uuid, p_position jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  insert into public.positions (tenant_id, title, description) values (p_tenant_id, p_position ->> 'title',
    p_position ->> 'description')
  returning jsonb_build_object('kind', 'created', 'position', to_jsonb(positions))
$$;
comment on function public.create_position(uuid, jsonb) is
  'Stores a position {title, description?}; called by the API. Returns kind: created.';
grant execute on function public.create_position(uuid, jsonb) to orchestrator;

create function public.get_position(p_tenant_id uuid, p_position_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb(p) from public.positions p where p.tenant_id = p_tenant_id and p.id = p_position_id
$$;
comment on function public.get_position(uuid, uuid) is
  'Returns a tenant''s position; called by the API. Null if there is none.';
grant execute on function public.get_position(uuid, uuid) to orchestrator;

create function public.list_positions(p_tenant_id uuid, p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select row_number() over (order by p.created_at desc, p.id desc) as n, to_jsonb(p) as shown
      from public.positions p
      where p.tenant_id = p_tenant_id and (p_before is null or (p.created_at, p.id) < (p_before, p_before_id))
      order by p.created_at desc, p.id desc limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.list_positions(uuid, integer, timestamptz, uuid) is
  'Lists a tenant''s positions, newest first, after the one with this time and id; called by the API. Returns at '
  'most max_list_bytes plus one position.';
grant execute on function public.list_positions(uuid, integer, timestamptz, uuid) to orchestrator;

create function public.change_position(p_tenant_id uuid, p_position_id uuid, p_changes jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p public.positions;
begin
  -- Locked before it is read: a change of another field at the same moment must not be undone.
  select * into p from public.positions where tenant_id = p_tenant_id and id = p_position_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if p.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  p := jsonb_populate_record(p, p_changes);
  update public.positions t set title = p.title, description = p.description
    where t.tenant_id = p_tenant_id and t.id = p_position_id returning t.* into p;
  return jsonb_build_object('kind', 'changed', 'position', to_jsonb(p));
end $$;
comment on function public.change_position(uuid, uuid, jsonb, timestamptz) is
  'Changes the title or description of a position; called by the API. Omitted fields stay. Returns kind: changed, '
  'changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_position(uuid, uuid, jsonb, timestamptz) to orchestrator;

-- ── schemas/people/retention.sql ──
-- Ages are compared with now(): it is stable, so an index can be searched for it; clock_timestamp() is not.

create function app.expire_transcripts(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.transcript_days is not null and x.state_rank >= app.rank_of('ended') and x.transcript_erased_at is null
      and x.completed_at < now() - make_interval(days => t.transcript_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_transcript(s.id);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_transcripts(integer) is 'Erases transcripts and results whose retention time is over.';

create function app.expire_videos(p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  s record;
  v_count integer := 0;
begin
  for s in select x.id from public.tenants t join public.interview_sessions x on x.tenant_id = t.id
    where t.video_days is not null and x.state_rank >= app.rank_of('ended') and x.video_erased_at is null
      and x.completed_at < now() - make_interval(days => t.video_days)
    order by x.completed_at limit p_limit for update of x skip locked loop
    perform app.erase_video(s.id, 'retention');
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.expire_videos(integer) is 'Moves recordings whose retention time is over to video_deletions.';

create function app.expire_audit(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with gone as (
    delete from public.audit_log where id = any (array(select a.id from public.tenants t
      cross join lateral (select x.id from public.audit_log x where x.tenant_id = t.id
        and x.created_at < now() - make_interval(days => t.audit_days)
        order by x.created_at limit p_limit) a
      where t.audit_days is not null limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_audit(integer) is 'Deletes audit entries whose retention time is over.';

create function app.expire_events(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  -- A tenant's events are read in the order of their ids, which is nearly that of their times: the oldest come first.
  -- Its first event shows whether the others have to be read.
  with gone as (
    delete from public.session_events where id = any (array(select e.id from public.tenants t
      cross join lateral (select x.id, x.created_at from public.session_events x where x.tenant_id = t.id
        order by x.id limit p_limit) e
      where (select x.created_at from public.session_events x where x.tenant_id = t.id order by x.id limit 1)
          < now() - make_interval(days => t.event_days)
        and e.created_at < now() - make_interval(days => t.event_days) limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_events(integer) is 'Deletes events whose retention time is over.';

create function app.expire_deliveries(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries where id = any (array(select d.id from public.webhook_endpoints e
      cross join lateral (select x.id from public.webhook_deliveries x where x.endpoint_id = e.id
        and x.created_at < now() - interval '30 days' and (x.status <> 'pending' or not e.enabled)
        order by x.created_at limit p_limit) d
      limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_deliveries(integer) is
  'Deletes webhook deliveries that are 30 days old, unless they are still tried.';

create function app.expire_usage(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  with costs as (
    delete from app.daily_costs d using public.tenants t where d.tenant_id = t.id
      and d.day < (now() at time zone 'UTC')::date - t.usage_days),
  gone as (
    delete from public.machine_usage where machine_id = any (array(select u.machine_id from public.tenants t
      cross join lateral (select x.machine_id from public.machine_usage x where x.tenant_id = t.id
        and x.recorded_at < now() - make_interval(days => t.usage_days)
        order by x.recorded_at limit p_limit) u
      where t.usage_days is not null limit p_limit)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_usage(integer) is
  'Deletes usage of machines whose retention time is over, and the sums of days of which no usage is kept.';

create function app.expire_rate_limits(p_limit integer) returns integer
language sql volatile set search_path = '' as $$
  -- A limit that is full again needs no row: the next request creates it.
  with gone as (
    delete from public.rate_limits where scope = any (array(
      select scope from public.rate_limits where next_at < now() - interval '1 hour'
        limit p_limit for update skip locked)) returning 1)
  select count(*)::integer from gone
$$;
comment on function app.expire_rate_limits(integer) is 'Deletes rate limits that have not been used for an hour.';

create function public.expire_retained(p_limit integer default 100) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  -- An erasure touches many rows, the others delete one.
  v_rows integer := p_limit * 10;
  v_transcripts integer := app.expire_transcripts(p_limit);
  v_videos integer := app.expire_videos(p_limit);
  v_audit integer := app.expire_audit(v_rows);
  v_deliveries integer := app.expire_deliveries(v_rows);
  v_events integer := app.expire_events(v_rows);
  v_usage integer := app.expire_usage(v_rows);
  v_limits integer := app.expire_rate_limits(v_rows);
begin
  return jsonb_build_object('transcripts', v_transcripts, 'videos', v_videos, 'audit_entries', v_audit,
    'deliveries', v_deliveries, 'events', v_events, 'usage', v_usage, 'rate_limits', v_limits,
    'more', greatest(v_transcripts, v_videos) >= p_limit
      or greatest(v_audit, v_deliveries, v_events, v_usage, v_limits) >= v_rows);
end $$;
comment on function public.expire_retained(integer) is
  'Applies the retention rules of all tenants, and deletes old deliveries and unused rate limits: at most p_limit '
  'transcripts and recordings, and ten times as many rows of each other kind; called by the regular job. more says '
  'whether to call again at once.';
grant execute on function public.expire_retained(integer) to orchestrator;

-- ── schemas/people/rights.sql ──
-- Members and admins of a tenant write candidates and positions directly. Columns are granted one by one: no user can
-- move a row to another tenant or choose a person's id.

alter table public.candidates enable row level security;
grant select on public.candidates to orchestrator;
create policy "orchestrators read all rows" on public.candidates for select to orchestrator using (true);

alter table public.tenant_candidates enable row level security;
grant select on public.tenant_candidates to orchestrator;
create policy "orchestrators read all rows" on public.tenant_candidates for select to orchestrator using (true);
-- Who requested an erasure, and from where, is in the audit log, which only admins can read.
grant select (tenant_id, candidate_id, name, email, external_id, status, created_at, updated_at, erased_at,
  erasure_requested_at) on public.tenant_candidates to authenticated;
create policy "members read their tenant's rows" on public.tenant_candidates for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, name, email, external_id, status),
  update (name, email, external_id, status) on public.tenant_candidates to authenticated;
create policy "members add candidates" on public.tenant_candidates for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change candidates" on public.tenant_candidates for update to authenticated
  using (erased_at is null and tenant_id in (select app.my_tenants(array['admin', 'member'])));

alter table public.positions enable row level security;
grant select on public.positions to orchestrator;
create policy "orchestrators read all rows" on public.positions for select to orchestrator using (true);
grant select on public.positions to authenticated;
create policy "members read their tenant's rows" on public.positions for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant insert (tenant_id, title, description), update (title, description) on public.positions to authenticated;
create policy "members add positions" on public.positions for insert to authenticated
  with check (tenant_id in (select app.my_tenants(array['admin', 'member'])));
create policy "members change positions" on public.positions for update to authenticated
  using (tenant_id in (select app.my_tenants(array['admin', 'member'])));

-- ── schemas/people/withdrawal.sql ──
create function app.withdrawal_json(s public.interview_sessions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'candidate_id', s.candidate_id,
    'status', s.status, 'effect', s.on_consent_withdrawn, 'withdrawn_at', s.consent_withdrawn_at,
    'settled_at', s.withdrawal_settled_at,
    'ending', jsonb_build_object('outcome', s.outcome, 'reason', s.reason))
$$;
comment on function app.withdrawal_json(public.interview_sessions) is
  'Returns a withdrawal of consent as the API shows it.';

create function app.erase_withdrawn_interview(s public.interview_sessions) returns void
language plpgsql set search_path = '' as $$
declare
  v_erased jsonb := app.erase_interview(s.id);
begin
  perform app.audit('{"actor": "candidate"}', s.tenant_id, 'interview.erase', s.id::text,
    jsonb_build_object('transcript_entries', v_erased -> 'transcript_entries',
      'videos', jsonb_array_length(v_erased -> 'videos')));
end $$;
comment on function app.erase_withdrawn_interview(public.interview_sessions) is
  'Erases the interview of a candidate who withdrew consent, and audits that.';

create function app.apply_withdrawal(p_session_id uuid, p_by jsonb) returns public.interview_sessions
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if s.on_consent_withdrawn <> 'review' then perform app.erase_video(s.id, 'erasure'); end if;
  if s.on_consent_withdrawn = 'erase_candidate' then
    perform public.request_erasure(s.tenant_id, s.candidate_id, p_by);
  elsif s.on_consent_withdrawn = 'erase_interview' and s.state_rank >= app.rank_of('ended') then
    perform app.erase_withdrawn_interview(s);
  end if;
  select * into s from public.interview_sessions where id = p_session_id;
  return s;
end $$;
comment on function app.apply_withdrawal(uuid, jsonb) is
  'Does what follows from a withdrawal of consent, as far as it can be done now. The regular jobs erase the rest when '
  'the session has ended: erase_withdrawn the interview, erase_candidate the candidate.';

create function public.withdraw_consent(p_session_id uuid, p_code_hash text, p_browser_hash text, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  i public.session_invitations;
  v_machines jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  -- An expired invitation is enough, because a consent can be withdrawn at any time. A revoked one may be in the
  -- wrong hands.
  select * into i from public.session_invitations where session_id = p_session_id and code_hash = p_code_hash;
  if not found or i.revoked_at is not null then return jsonb_build_object('kind', 'invalid'); end if;
  if i.browser_hash is distinct from p_browser_hash then return jsonb_build_object('kind', 'used'); end if;
  if s.consent_withdrawn_at is not null then
    return app.withdrawal_json(s) || '{"kind": "withdrawn", "machines": []}';
  end if;
  if s.consent_text_version is null then return jsonb_build_object('kind', 'not_required'); end if;
  if not exists (select from public.consents c where c.session_id = s.id) then
    return jsonb_build_object('kind', 'not_given');
  end if;
  update public.interview_sessions set consent_withdrawn_at = clock_timestamp() where id = s.id;
  perform app.stop_evaluation(s.id);
  perform app.stop_recording(s.id);
  perform app.emit(s.id, s.tenant_id, 'consent.withdrawn',
    jsonb_build_object('text_version', s.consent_text_version, 'effect', s.on_consent_withdrawn));
  perform app.audit(p_by, s.tenant_id, 'consent.withdraw', s.id::text,
    jsonb_build_object('text_version', s.consent_text_version, 'effect', s.on_consent_withdrawn));
  v_machines := public.request_end(s.id, s.tenant_id, 'cancelled', 'consent_withdrawn') -> 'machines';
  s := app.apply_withdrawal(s.id, p_by);
  return app.withdrawal_json(s) || jsonb_build_object('kind', 'withdrawn', 'machines', coalesce(v_machines, '[]'));
end $$;
comment on function public.withdraw_consent(uuid, text, text, jsonb) is
  'Withdraws the consent of a candidate; called by the API for the browser to which the invitation is bound, also '
  'after the end. A session that has not ended is asked to end. A second call changes nothing. Returns kind: withdrawn '
  '(with the withdrawal and the machines to stop), not_given, not_required, invalid, used.';
grant execute on function public.withdraw_consent(uuid, text, text, jsonb) to orchestrator;

create function public.erase_withdrawn(p_limit integer default 20) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_count integer := 0;
begin
  for s in select x.* from public.interview_sessions x
    where x.consent_withdrawn_at is not null and x.withdrawal_settled_at is null
      and x.on_consent_withdrawn = 'erase_interview' and x.state_rank >= app.rank_of('ended')
    order by x.consent_withdrawn_at, x.id limit p_limit for update skip locked loop
    perform app.erase_withdrawn_interview(s);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function public.erase_withdrawn(integer) is
  'Erases the interviews whose candidates withdrew consent before the session had ended; called by the regular job. '
  'Returns how many were erased.';
grant execute on function public.erase_withdrawn(integer) to orchestrator;

create function public.list_withdrawals(p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.withdrawal_json(x) order by x.consent_withdrawn_at desc, x.id desc), '[]') from (
    select * from public.interview_sessions s
    where s.consent_withdrawn_at is not null and s.withdrawal_settled_at is null
      and (p_before is null or (s.consent_withdrawn_at, s.id) < (p_before, p_before_id))
    order by s.consent_withdrawn_at desc, s.id desc limit p_limit) x
$$;
comment on function public.list_withdrawals(integer, timestamptz, uuid) is
  'Lists withdrawals of all tenants that wait for an operator''s decision or for the end of their session, newest '
  'first, after the one with this time and id; called by the API for operators.';
grant execute on function public.list_withdrawals(integer, timestamptz, uuid) to orchestrator;

create function public.decide_withdrawal(p_session_id uuid, p_decision text, p_why text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.consent_withdrawn_at is null then return jsonb_build_object('kind', 'not_found'); end if;
  if s.on_consent_withdrawn <> 'review' or s.withdrawal_settled_at is not null then
    return app.withdrawal_json(s) || '{"kind": "already"}';
  end if;
  if p_decision = 'keep' then
    update public.interview_sessions set withdrawal_settled_at = clock_timestamp() where id = s.id;
  else
    update public.interview_sessions set on_consent_withdrawn = p_decision where id = s.id;
  end if;
  perform app.audit(p_by, s.tenant_id, 'withdrawal.decide', s.id::text,
    jsonb_build_object('decision', p_decision, 'why', p_why));
  s := app.apply_withdrawal(s.id, p_by);
  return app.withdrawal_json(s) || '{"kind": "decided"}';
end $$;
comment on function public.decide_withdrawal(uuid, text, text, jsonb) is
  'Decides what follows from a withdrawal that waits for review: keep, erase_interview or erase_candidate; called by '
  'the API for operators. Returns kind: decided or already (both with the withdrawal), not_found.';
grant execute on function public.decide_withdrawal(uuid, text, text, jsonb) to orchestrator;

-- ── schemas/phases/reading.sql ──
create function public.session_phases_of(p_session_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  p public.session_phases;
begin
  select * into s from public.interview_sessions where id = p_session_id;
  if not found then return null; end if;
  select * into p from public.session_phases where session_id = s.id;
  return case when p.due_at is not null then to_jsonb(p)
    else to_jsonb(app.start_of(s)) || jsonb_build_object('looked_at', p.looked_at, 'joined_at', p.joined_at) end
    || jsonb_build_object('scheduled', s.scheduled_at is not null, 'queued', s.queued_at is not null,
      'status', s.status, 'reason', s.reason, 'completed_at', s.completed_at);
end $$;
comment on function public.session_phases_of(uuid) is
  'Returns when each step of a session took place, also of one that is not ready yet; called for operators, so of any '
  'tenant. Null if there is no such session.';
grant execute on function public.session_phases_of(uuid) to orchestrator;

-- ── schemas/phases/recording.sql ──
create function app.start_of(s public.interview_sessions) returns public.session_phases
language plpgsql stable set search_path = '' as $$
declare
  m public.machines;
  p public.session_phases;
begin
  select * into m from public.machines where id = s.machine_id;
  if m.id is null then
    select * into m from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  end if;
  p.session_id := s.id;
  p.tenant_id := s.tenant_id;
  p.machine_id := m.id;
  p.attempts := coalesce(m.attempt, 0);
  p.region := m.region;
  p.wanted_region := coalesce(s.regions[1], s.region);
  p.path := case when m.hot then 'hot' when m.assigned_at is not null then 'standby'
    when m.id is not null then 'cold' end;
  -- A hot machine waited before the session existed. The row of a new session is written before that of its machine.
  p.reserved_at := coalesce(m.assigned_at, case when m.hot then s.created_at else m.reserved_at end);
  p.begun_at := least(p.reserved_at, (select min(coalesce(o.assigned_at, o.reserved_at)) from public.machines o
    where o.session_id = s.id));
  p.due_at := greatest(s.created_at, s.scheduled_at);
  -- A session with placement on_join is due when its candidate arrives; then its first machine is reserved.
  if s.placement = 'on_join' then p.due_at := greatest(p.due_at, p.begun_at); end if;
  if m.assigned_at is null and not m.hot then p.slot_at := m.not_before; end if;
  if m.asked_at >= p.reserved_at then
    p.asked_at := m.asked_at;
    p.answered_at := m.answered_at;
    p.fly_request_id := m.fly_request_id;
  end if;
  if not m.hot then
    p.started_at := m.started_at;
    p.booted_at := m.booted_at;
  end if;
  p.ready_at := s.ready_at;
  p.earlier := coalesce((select jsonb_agg(jsonb_build_object('region', o.region, 'reason', o.reason,
      'evidence', o.evidence, 'from', coalesce(o.assigned_at, o.reserved_at),
      'until', coalesce(o.destroying_at, o.destroyed_at)) order by o.attempt)
    from public.machines o where o.session_id = s.id and o.attempt < m.attempt), '[]');
  p.standby_kept := (select nullif(ceiling, 0) from public.pool_policies where tenant_id = s.tenant_id
    and region = p.wanted_region);
  if p.slot_at >= m.reserved_at + interval '1 second' then
    select count(*) filter (where o.not_before <= m.not_before), count(*) into p.slot_place, p.slot_count
      from public.machines o where o.app_name = m.app_name and o.reserved_at between m.reserved_at - interval '1 minute'
        and m.reserved_at + interval '1 minute' and o.assigned_at is null and o.session_id is not null;
  end if;
  return p;
end $$;
comment on function app.start_of(public.interview_sessions) is
  'Returns how a session got its machine, from its row and those of its machines. Also of a session that is not '
  'ready yet.';

create function app.record_start(s public.interview_sessions) returns public.session_phases
language plpgsql volatile set search_path = '' as $$
declare
  p public.session_phases := app.start_of(s);
begin
  insert into public.session_phases as x (session_id, tenant_id, path, machine_id, attempts, earlier, wanted_region,
      region, standby_kept, slot_place, slot_count, fly_request_id, due_at, begun_at, reserved_at, slot_at, asked_at,
      answered_at, started_at, booted_at, ready_at)
    values (p.session_id, p.tenant_id, p.path, p.machine_id, p.attempts, p.earlier, p.wanted_region, p.region,
      p.standby_kept, p.slot_place, p.slot_count, p.fly_request_id, p.due_at, p.begun_at, p.reserved_at, p.slot_at,
      p.asked_at, p.answered_at, p.started_at, p.booted_at, p.ready_at)
    on conflict (session_id) do update set path = excluded.path, machine_id = excluded.machine_id,
      attempts = excluded.attempts, earlier = excluded.earlier, wanted_region = excluded.wanted_region,
      region = excluded.region, standby_kept = excluded.standby_kept, slot_place = excluded.slot_place,
      slot_count = excluded.slot_count, fly_request_id = excluded.fly_request_id, due_at = excluded.due_at,
      begun_at = excluded.begun_at, reserved_at = excluded.reserved_at, slot_at = excluded.slot_at,
      asked_at = excluded.asked_at, answered_at = excluded.answered_at, started_at = excluded.started_at,
      booted_at = excluded.booted_at, ready_at = excluded.ready_at
      where x.ready_at is null;
  return p;
end $$;
comment on function app.record_start(public.interview_sessions) is
  'Writes how a session got its machine: when it becomes ready, or when it ends without having been ready. Returns '
  'it.';

create function app.record_hot_starts(p_session_ids uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.session_phases (session_id, tenant_id, path, machine_id, attempts, wanted_region, region,
      standby_kept, due_at, begun_at, reserved_at, ready_at)
    select s.id, s.tenant_id, 'hot', s.machine_id, 1, coalesce(s.regions[1], s.region), s.region,
      (select nullif(o.ceiling, 0) from public.pool_policies o where o.tenant_id = s.tenant_id
        and o.region = coalesce(s.regions[1], s.region)),
      greatest(s.created_at, s.scheduled_at), s.created_at, s.created_at, s.ready_at
    from public.interview_sessions s where s.id = any (p_session_ids);
end $$;
comment on function app.record_hot_starts(uuid[]) is
  'Writes for new sessions on hot machines what app.record_start writes for the others, with one statement.';

create function app.record_fly_answer(p_machine_id uuid, p_fly_request_id text, p_asked_ms double precision,
  p_answered_ms double precision default 0) returns void
language plpgsql volatile set search_path = '' as $$
declare
  m public.machines;
begin
  update public.machines set fly_request_id = coalesce(p_fly_request_id, fly_request_id),
    asked_at = clock_timestamp() - app.interval_ms(p_asked_ms),
    answered_at = clock_timestamp() - app.interval_ms(p_answered_ms)
    where id = p_machine_id and p_asked_ms is not null returning * into m;
  if m.session_id is null then return; end if;
  -- The claim may have been faster than the record of Fly's answer.
  update public.session_phases set asked_at = m.asked_at, answered_at = m.answered_at,
    fly_request_id = m.fly_request_id where session_id = m.session_id and machine_id = m.id and asked_at is null;
end $$;
comment on function app.record_fly_answer(uuid, text, double precision, double precision) is
  'Stores Fly''s request id and the time of a create or start. p_asked_ms and p_answered_ms: how long ago the request '
  'began and was answered; null: nothing was asked.';

create function app.note_candidate(p_session_id uuid, p_joined boolean) returns void
language sql volatile set search_path = '' as $$
  insert into public.session_phases as x (session_id, tenant_id, looked_at, joined_at)
    select s.id, s.tenant_id, clock_timestamp(), case when p_joined then clock_timestamp() end
    -- Locked before the insert, as a claim locks it: otherwise the foreign key's check could deadlock with a claim.
    from public.interview_sessions s where s.id = p_session_id for key share of s
    on conflict (session_id) do update set looked_at = coalesce(x.looked_at, excluded.looked_at),
      joined_at = coalesce(x.joined_at, excluded.joined_at)
      where x.looked_at is null or x.joined_at is null and p_joined
$$;
comment on function app.note_candidate(uuid, boolean) is
  'Stores when the candidate first opened the page and, if p_joined, when the candidate first pressed Start.';

create function app.ago(p_ages jsonb, p_name text) returns timestamptz
language sql volatile set search_path = '' as $$
  select clock_timestamp() - app.interval_ms((p_ages ->> p_name)::double precision)
$$;
comment on function app.ago(jsonb, text) is
  'Returns the time that lies as many milliseconds in the past as p_ages says for p_name. Null if it says nothing.';

create function app.note_call(p_machine_id uuid, p_epoch integer, p_ages jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.session_phases x set
    edge_wait_ms = coalesce(x.edge_wait_ms, (p_ages ->> 'edge_wait')::integer),
    socket_at = coalesce(x.socket_at, app.ago(p_ages, 'socket')),
    offered_at = coalesce(x.offered_at, app.ago(p_ages, 'offered')),
    credential_at = coalesce(x.credential_at, app.ago(p_ages, 'credential')),
    call_answered_at = coalesce(x.call_answered_at, app.ago(p_ages, 'answered')),
    connected_at = coalesce(x.connected_at, app.ago(p_ages, 'connected')),
    spoke_at = coalesce(x.spoke_at, app.ago(p_ages, 'spoke'))
  from public.machines m
  where m.id = p_machine_id and m.epoch = p_epoch and x.session_id = m.session_id
$$;
comment on function app.note_call(uuid, integer, jsonb) is
  'Stores the steps of a session''s first call as its worker reports them: for each step, how many ms ago it was. '
  'edge_wait is the wait at the edge, ms.';

-- ── schemas/phases/rights.sql ──
alter table public.session_phases enable row level security;
grant select on public.session_phases to orchestrator;
create policy "orchestrators read all rows" on public.session_phases for select to orchestrator using (true);

-- ── schemas/recordings/deletions.sql ──
create function public.videos_to_delete(p_limit integer default 20, p_retry_ms integer default 60000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select video_id from public.video_deletions where deleted_at is null and next_attempt_at <= clock_timestamp()
    order by next_attempt_at limit p_limit for update skip locked
  ), taken as (
    update public.video_deletions v set attempts = attempts + 1,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(attempts, 8)))
    from due where v.video_id = due.video_id returning v.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('video_id', video_id, 'tenant_id', tenant_id, 'attempts', attempts,
    'last_error', last_error)), '[]') from taken
$$;
comment on function public.videos_to_delete(integer, integer) is
  'Takes recordings that must be deleted at api.video, for one attempt each; called by the recordings job. A failed '
  'one is due again after a growing delay.';
grant execute on function public.videos_to_delete(integer, integer) to orchestrator;

create function public.record_video_deleted(p_video_id text, p_error text default null) returns void
language sql volatile security definer set search_path = '' as $$
  update public.video_deletions set last_error = p_error, deleted_at = case
    when p_error is null then coalesce(deleted_at, clock_timestamp()) else deleted_at end
  where video_id = p_video_id
$$;
comment on function public.record_video_deleted(text, text) is
  'Records that api.video has deleted a recording, or why the attempt failed; called by the recordings job.';
grant execute on function public.record_video_deleted(text, text) to orchestrator;

-- ── schemas/recordings/recordings.sql ──
create function app.plan_video() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.state_rank >= app.rank_of('ended') then
    update public.video_jobs set state = 'closing', ended_at = clock_timestamp(), attempts = 0,
      next_attempt_at = clock_timestamp()
      where session_id = new.id and state in ('wanted', 'open', 'dead');
  elsif new.state_rank >= app.rank_of('ready') and new.state_rank < app.rank_of('finalizing')
    and new.consent_withdrawn_at is null then
    insert into public.video_jobs (session_id, ordinal, tenant_id) values (new.id, 1, new.tenant_id)
      on conflict do nothing;
  end if;
  return null;
end $$;
comment on function app.plan_video() is
  'Plans a session''s recording when its worker is ready, so that the upload token exists when the candidate joins, '
  'and closes the recording when the session ends. Nothing is recorded in a test session. Trigger of '
  'interview_sessions.';
create trigger plan_video after update of status on public.interview_sessions for each row
  when (new.settings ->> 'record_video' = 'true' and not new.test and new.state_rank > old.state_rank)
  execute function app.plan_video();

create function app.stop_recording(p_session_id uuid) returns void
language sql volatile set search_path = '' as $$
  update public.video_jobs set state = 'closing', ended_at = clock_timestamp(), attempts = 0,
    next_attempt_at = clock_timestamp()
  where session_id = p_session_id and state in ('wanted', 'open', 'dead')
$$;
comment on function app.stop_recording(uuid) is
  'Closes a session''s recordings because its candidate withdrew consent: their upload tokens are deleted at once.';

create function app.owe_erased_videos() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.video_deletions (video_id, tenant_id, cause)
    select j.video_id, j.tenant_id, 'erasure' from public.video_jobs j where j.session_id = new.id
      and j.video_id is not null
    on conflict do nothing;
  return null;
end $$;
comment on function app.owe_erased_videos() is
  'Adds all recordings of an erased session to video_deletions, including those without a row in video_segments. '
  'Trigger.';
create trigger owe_erased_videos after update of video_erased_at on public.interview_sessions for each row
  when (old.video_erased_at is null and new.video_erased_at is not null)
  execute function app.owe_erased_videos();

create function public.want_video(p_session_id uuid, p_ordinal integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  if not found or s.state_rank >= app.rank_of('finalizing') or s.consent_withdrawn_at is not null
    or coalesce(s.settings ->> 'record_video', '') <> 'true'
    or p_ordinal not between 2 and 20
     or not exists (select from public.video_jobs j where j.session_id = s.id and j.ordinal = p_ordinal - 1) then
    return false;
  end if;
  insert into public.video_jobs (session_id, ordinal, tenant_id) values (s.id, p_ordinal, s.tenant_id)
    on conflict do nothing;
  return true;
end $$;
comment on function public.want_video(uuid, integer) is
  'Plans the next container when a page was reloaded, because a container accepts one upload only; called by the '
  'orchestrator. Returns false if the session records no video, is over, or the previous container was never '
  'requested.';
grant execute on function public.want_video(uuid, integer) to orchestrator;

create function public.take_video_jobs(p_taken_ms integer, p_grace_ms integer, p_limit integer default 10,
  p_per_tenant integer default 10, p_under_way jsonb default '{}') returns jsonb
language sql volatile security definer set search_path = '' as $$
  with waiting as (
    select session_id, ordinal, state, next_attempt_at, row_number() over (partition by tenant_id
      order by state <> 'wanted', next_attempt_at) + coalesce((p_under_way ->> tenant_id::text)::integer, 0) as turn
    from public.video_jobs
    where state in ('wanted', 'closing', 'processing') and next_attempt_at <= clock_timestamp()
      and (state <> 'closing' or ended_at is null or ended_at <= clock_timestamp() - app.interval_ms(p_grace_ms)
        or exists (select from public.interview_sessions s where s.id = session_id
          and s.consent_withdrawn_at is not null))
  ), due as (
    select j.session_id, j.ordinal from public.video_jobs j join waiting w using (session_id, ordinal)
    where w.turn <= p_per_tenant and j.next_attempt_at <= clock_timestamp()
    order by w.state <> 'wanted', w.turn, w.next_attempt_at limit p_limit for update of j skip locked
  ), taken as (
    update public.video_jobs j set takes = takes + 1, attempts = attempts + 1,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where (j.session_id, j.ordinal) = (due.session_id, due.ordinal) returning j.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'tenant_id', t.tenant_id,
    'ordinal', t.ordinal, 'take', t.takes, 'attempt', t.attempts,
    'state', t.state, 'video_id', t.video_id, 'token_ciphertext', t.token_ciphertext,
    'token_over', coalesce(t.token_expires_at <= clock_timestamp(), false), 'erased', s.video_erased_at is not null,
    'started', t.started_at is not null,
    'max_duration_ms', s.max_duration_ms, 'traceparent', s.traceparent)), '[]')
  from taken t join public.interview_sessions s on s.id = t.session_id
$$;
comment on function public.take_video_jobs(integer, integer, integer, integer, jsonb) is
  'Takes due recordings for one attempt each, those for which a live session waits first, tenants in turn; called by '
  'the recordings job. Per tenant at most p_per_tenant, including those that the caller is working on ({tenant_id: '
  'n}). A token is deleted p_grace_ms after its session''s end, because the last parts may still be uploading, and at '
  'once when consent was withdrawn.';
grant execute on function public.take_video_jobs(integer, integer, integer, integer, jsonb) to orchestrator;

create function public.record_video_container(p_session_id uuid, p_ordinal integer, p_video_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set video_id = coalesce(video_id, p_video_id) where session_id = p_session_id
    and ordinal = p_ordinal returning * into j;
  if not found then return jsonb_build_object('video_id', null, 'state', null); end if;
  if j.video_id <> p_video_id then
    insert into public.video_deletions (video_id, tenant_id, cause) values (p_video_id, j.tenant_id, 'unused')
      on conflict do nothing;
  end if;
  if s.video_erased_at is not null then
    insert into public.video_deletions (video_id, tenant_id, cause) values (j.video_id, j.tenant_id, 'erasure')
      on conflict do nothing;
  end if;
  return jsonb_build_object('video_id', j.video_id, 'state', j.state);
end $$;
comment on function public.record_video_container(uuid, integer, text) is
  'Stores a new container; called by the recordings job. Returns the container that is used and its state; only '
  'wanted needs a token. A second container is added to video_deletions.';
grant execute on function public.record_video_container(uuid, integer, text) to orchestrator;

create function public.record_video_token(p_session_id uuid, p_ordinal integer, p_ciphertext text, p_life_ms bigint)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  perform 1 from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set state = 'open', token_ciphertext = p_ciphertext, attempts = 0, failure = null,
    token_expires_at = clock_timestamp() + app.interval_ms(p_life_ms)
    where session_id = p_session_id and ordinal = p_ordinal and state = 'wanted' and video_id is not null
      returning * into j;
  if not found then return false; end if;
  perform app.emit(j.session_id, j.tenant_id, 'video.open',
    jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id));
  return true;
end $$;
comment on function public.record_video_token(uuid, integer, text, bigint) is
  'Stores a new upload token; called by the recordings job. Returns false if the token is no longer wanted; the '
  'caller then deletes it.';
grant execute on function public.record_video_token(uuid, integer, text, bigint) to orchestrator;

create function public.record_video_closed(p_session_id uuid, p_ordinal integer, p_take integer, p_uploaded boolean,
  p_video_id text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for share;
  update public.video_jobs set state = case when p_uploaded then 'processing' else 'empty' end, token_ciphertext = null,
    attempts = 0, failure = null,
    next_attempt_at = clock_timestamp()
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take and state = 'closing' returning * into j;
  if not found then return false; end if;
  if p_uploaded and s.video_erased_at is null then
    insert into public.video_segments (session_id, tenant_id, video_id, start_ms)
      values (j.session_id, j.tenant_id, j.video_id,
        round(extract(epoch from j.started_at - s.started_at) * 1000)) on conflict do nothing;
  elsif coalesce(j.video_id, p_video_id) is not null then
    insert into public.video_deletions (video_id, tenant_id, cause)
      values (coalesce(j.video_id, p_video_id), j.tenant_id, 'unused') on conflict do nothing;
  end if;
  return true;
end $$;
comment on function public.record_video_closed(uuid, integer, integer, boolean, text) is
  'Records that the token is deleted and whether anything was uploaded; called by the recordings job. If so, a '
  'segment is stored; its URL follows when it can be played. If not, the container (the stored one, or the one found '
  'at api.video) is added to video_deletions. Returns false if the take is stale.';
grant execute on function public.record_video_closed(uuid, integer, integer, boolean, text) to orchestrator;

create function public.record_video_done(p_session_id uuid, p_ordinal integer, p_take integer, p_url text)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  update public.video_jobs set state = 'done', failure = null
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take and state = 'processing'
      returning * into j;
  if not found then return false; end if;
  if s.video_erased_at is not null then return true; end if;
  update public.video_segments set url = p_url where session_id = j.session_id and video_id = j.video_id;
  update public.interview_sessions set video_recording_id = coalesce(video_recording_id, j.video_id),
    video_recording_url = coalesce(video_recording_url, p_url) where id = j.session_id;
  perform app.emit(j.session_id, j.tenant_id, 'video.done',
    jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id));
  return true;
end $$;
comment on function public.record_video_done(uuid, integer, integer, text) is
  'Records that a recording can be played; called by the recordings job. Its segment gets the URL, and so does the '
  'session if it is the first. Returns false if the take is stale.';
grant execute on function public.record_video_done(uuid, integer, integer, text) to orchestrator;

create function public.postpone_video(p_session_id uuid, p_ordinal integer, p_take integer, p_retry_ms bigint,
  p_failure text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  perform 1 from public.interview_sessions where id = p_session_id for key share;
  update public.video_jobs set failure = p_failure, state = case when p_retry_ms is null then 'dead' else state end,
    next_attempt_at = clock_timestamp() + app.interval_ms(coalesce(p_retry_ms, 0))
    where session_id = p_session_id and ordinal = p_ordinal and takes = p_take
      and state in ('wanted', 'closing', 'processing') returning * into j;
  if not found then return false; end if;
  if p_retry_ms is null then
    perform app.emit(j.session_id, j.tenant_id, 'video.dead',
      jsonb_build_object('ordinal', j.ordinal, 'failure', p_failure));
  end if;
  return true;
end $$;
comment on function public.postpone_video(uuid, integer, integer, bigint, text) is
  'Schedules a step again after p_retry_ms, or gives the recording up if that is null; called by the recordings job. '
  'p_failure null: nothing failed, it is only too early. The session is not affected. Returns false if the take is '
  'stale.';
grant execute on function public.postpone_video(uuid, integer, integer, bigint, text) to orchestrator;

create function public.video_offers(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id,
    'records', coalesce(s.settings ->> 'record_video' = 'true', false),
    'offer', (select jsonb_build_object('ordinal', j.ordinal, 'video_id', j.video_id,
      'token_ciphertext', j.token_ciphertext,
      'expires_at_ms', floor(extract(epoch from j.token_expires_at) * 1000))
      from public.video_jobs j where j.session_id = s.id and j.state = 'open' order by j.ordinal desc limit 1))), '[]')
  from public.interview_sessions s where s.id = any (p_session_ids)
$$;
comment on function public.video_offers(uuid[]) is
  'Returns the newest open recording of each of these sessions; called by the worker API to pass it to their '
  'workers.';
grant execute on function public.video_offers(uuid[]) to orchestrator;

create function public.record_video_event(p_body_hash text, p_video_id text, p_type text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  j public.video_jobs;
begin
  select * into j from public.video_jobs where video_id = p_video_id;
  if not found then return 'unknown'; end if;
  insert into public.video_events (body_hash, session_id, ordinal, type) values (p_body_hash, j.session_id, j.ordinal,
    p_type) on conflict do nothing;
  if not found then return 'repeated'; end if;
  update public.video_jobs set next_attempt_at = clock_timestamp()
    where session_id = j.session_id and ordinal = j.ordinal and state = 'processing'
      and next_attempt_at > clock_timestamp();
  return 'recorded';
end $$;
comment on function public.record_video_event(text, text, text) is
  'Stores an event of api.video and makes its recording due at once; called by the webhook route for api.video. '
  'Returns recorded, repeated or unknown (not one of our recordings).';
grant execute on function public.record_video_event(text, text, text) to orchestrator;

create function public.note_recording_started(p_video_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
begin
  update public.video_jobs set started_at = clock_timestamp()
    where session_id = s.id and video_id = p_video_id and started_at is null;
end $$;
comment on function public.note_recording_started(text) is
  'Stores that the candidate''s browser begins one of the session''s recordings now; called by the worker. Only the '
  'first call counts.';
grant execute on function public.note_recording_started(text) to session_worker;

create function public.recordings_of(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('video_id', v.video_id, 'playable', v.url is not null,
    'created_at', v.created_at, 'started_at', j.started_at,
    'calls', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', c.ordinal,
        'begins_ms', round(extract(epoch from c.answered_at - j.started_at) * 1000)) order by c.ordinal), '[]')
      from public.realtime_calls c
      where c.session_id = v.session_id and c.answered_at is not null and j.started_at is not null))
    order by v.created_at, v.video_id), '[]')
  from public.video_segments v
  left join public.video_jobs j on j.session_id = v.session_id and j.video_id = v.video_id
  where v.session_id = p_session_id
$$;
comment on function public.recordings_of(uuid) is
  'Lists a session''s recordings, oldest first, whether each can be played, and where in it each call begins; called '
  'by the API.';
grant execute on function public.recordings_of(uuid) to orchestrator;

create function public.delete_recording(p_session_id uuid, p_tenant_id uuid, p_video_id text, p_by jsonb) returns text
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return 'no_session'; end if;
  delete from public.video_segments where session_id = s.id and video_id = p_video_id;
  if not found then
    return case when exists (select from public.video_deletions
      where video_id = p_video_id and tenant_id = s.tenant_id and cause = 'request')
      then 'deleted' else 'not_found' end;
  end if;
  insert into public.video_deletions (video_id, tenant_id, cause) values (p_video_id, s.tenant_id, 'request')
    on conflict do nothing;
  update public.video_jobs set state = 'done' where session_id = s.id and video_id = p_video_id
    and state in ('processing', 'dead');
  update public.interview_sessions set video_recording_id = null, video_recording_url = null
    where id = s.id and video_recording_id = p_video_id;
  perform app.audit(p_by, s.tenant_id, 'recording.delete', p_video_id, jsonb_build_object('session_id', s.id));
  return 'deleted';
end $$;
comment on function public.delete_recording(uuid, uuid, text, jsonb) is
  'Removes a recording and queues its deletion at api.video; called by the API. Returns deleted (also when repeated), '
  'not_found or no_session.';
grant execute on function public.delete_recording(uuid, uuid, text, jsonb) to orchestrator;

-- ── schemas/recordings/rights.sql ──
alter table public.video_segments enable row level security;
grant select on public.video_segments to orchestrator;
create policy "orchestrators read all rows" on public.video_segments for select to orchestrator using (true);
grant select on public.video_segments to authenticated;
create policy "members read their tenant's rows" on public.video_segments for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.video_deletions enable row level security;
grant select on public.video_deletions to orchestrator;
create policy "orchestrators read all rows" on public.video_deletions for select to orchestrator using (true);

alter table public.video_jobs enable row level security;
grant select (session_id, ordinal, tenant_id, state, video_id, token_expires_at, ended_at, attempts, next_attempt_at,
  failure, created_at, updated_at)
  on public.video_jobs to orchestrator;
create policy "orchestrators read all rows" on public.video_jobs for select to orchestrator using (true);

alter table public.video_events enable row level security;
grant select on public.video_events to orchestrator;
create policy "orchestrators read all rows" on public.video_events for select to orchestrator using (true);

-- ── schemas/requests/recording.sql ──
create function public.record_api_requests(p_requests jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.api_requests (tenant_id, actor, request_id, method, path, status, code, took_ms, created_at)
  select r.tenant_id, r.actor, r.request_id, r.method, r.path, r.status, r.code, r.took_ms, r.created_at
  from jsonb_to_recordset(p_requests) as r (tenant_id uuid, actor text, request_id text, method text, path text,
    status smallint, code text, took_ms integer, created_at timestamptz)
$$;
comment on function public.record_api_requests(jsonb) is
  'Stores a batch of answered requests, in the order of the answers; called by the orchestrator once a second.';
grant execute on function public.record_api_requests(jsonb) to orchestrator;

create function public.list_api_requests(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_before_id bigint default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'request_id', x.request_id, 'actor', x.actor,
    'method', x.method, 'path', x.path, 'status', x.status, 'code', x.code, 'took_ms', x.took_ms,
    'created_at', x.created_at) order by x.id desc), '[]') from (
    select * from public.api_requests r
    where r.tenant_id = p_tenant_id and (p_before_id is null or r.id < p_before_id)
      and r.request_id = coalesce(p_filters ->> 'request_id', r.request_id)
      and r.actor = coalesce(p_filters ->> 'actor', r.actor)
      and r.method = coalesce(p_filters ->> 'method', r.method)
      and r.path = coalesce(p_filters ->> 'path', r.path)
      and (not p_filters ? 'code' or r.code = p_filters ->> 'code')
      and r.status between coalesce((p_filters ->> 'status_from')::integer, 0)
        and coalesce((p_filters ->> 'status_to')::integer, 999)
      and (not p_filters ? 'from' or r.created_at >= (p_filters ->> 'from')::timestamptz)
      and (not p_filters ? 'until' or r.created_at < (p_filters ->> 'until')::timestamptz)
    order by r.id desc limit p_limit) x
$$;
comment on function public.list_api_requests(uuid, integer, jsonb, bigint) is
  'Lists a tenant''s requests, newest first, those before p_before_id; called by the API. p_filters: request_id, '
  'actor, method, path, code, status_from and status_to (both included), from (included), until (not included).';
grant execute on function public.list_api_requests(uuid, integer, jsonb, bigint) to orchestrator;

create function public.expire_api_requests(p_limit integer default 5000, p_most integer default 100000) returns integer
language sql volatile security definer set search_path = '' as $$
  -- The ids of a tenant are nearly in the order of their times: the oldest come first.
  with gone as (
    delete from public.api_requests d using (
      select t.id as tenant_id, r.id from public.tenants t
      left join lateral (select x.id from public.api_requests x where x.tenant_id = t.id
        order by x.id desc offset p_most limit 1) beyond on true
      cross join lateral (select x.id, x.created_at from public.api_requests x where x.tenant_id = t.id
        order by x.id limit p_limit) r
      where r.created_at < clock_timestamp() - interval '7 days' or r.id <= beyond.id limit p_limit) old
    where d.tenant_id = old.tenant_id and d.id = old.id returning 1)
  select count(*)::integer from gone
$$;
comment on function public.expire_api_requests(integer, integer) is
  'Deletes requests that are seven days old, and the oldest of a tenant that has more than p_most: at most p_limit '
  'rows; called by the regular job. Returns how many.';
grant execute on function public.expire_api_requests(integer, integer) to orchestrator;

-- ── schemas/requests/rights.sql ──
alter table public.api_requests enable row level security;
grant select on public.api_requests to orchestrator;
create policy "orchestrators read all rows" on public.api_requests for select to orchestrator using (true);

-- ── schemas/results/evaluating.sql ──
create function app.result_wait(p_takes integer) returns interval
language sql immutable
  set search_path = '' as $$ select app.interval_ms(least(3600000, 1000 * power(2, least(p_takes, 12)))) $$;
comment on function app.result_wait(integer) is
  'Returns how long a changed transcript waits for its next evaluation, because late entries can arrive in several '
  'uploads, and anyone with the session''s token can send more. It doubles with each evaluation, from 1 s to an '
  'hour.';

create function app.queue_result() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.transcript_erased_at is not null or new.consent_withdrawn_at is not null then return null; end if;
  if new.started_at is null and not exists (select from public.transcript_entries e where e.session_id = new.id) then
    return null;
  end if;
  insert into public.interview_results as r (session_id, tenant_id, wanted_revision)
    values (new.id, new.tenant_id, new.transcript_revision)
  on conflict (session_id) do update set
    wanted_revision = excluded.wanted_revision,
    status = case r.status when 'running' then r.status else 'pending' end,
    attempts = case r.status when 'running' then r.attempts else 0 end,
    next_attempt_at = case r.status when 'running' then r.next_attempt_at
      else clock_timestamp() + app.result_wait(r.takes) end
  where r.wanted_revision < excluded.wanted_revision;
  return null;
end $$;
comment on function app.queue_result() is
  'Queues the evaluation of a session when it has ended, and again when its transcript has changed. A session that '
  'never began, or whose candidate withdrew consent, is not evaluated. Trigger of interview_sessions.';
create trigger queue_result after update of status, transcript_revision on public.interview_sessions for each row
  when (new.state_rank >= app.rank_of('ended') and (old.state_rank < app.rank_of('ended')
    or new.transcript_revision > old.transcript_revision))
  execute function app.queue_result();

create function app.stop_evaluation(p_session_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  delete from public.interview_results where session_id = p_session_id and evaluated_at is null
    and status in ('pending', 'running', 'dead');
  -- The number of takes grows, so that an evaluation in progress is answered as stale.
  update public.interview_results set status = case when evaluation is null then 'empty' else 'done' end,
    takes = takes + 1, wanted_revision = transcript_revision
    where session_id = p_session_id and status in ('pending', 'running');
end $$;
comment on function app.stop_evaluation(uuid) is
  'Cancels the evaluation that a session waits for or that is in progress. An evaluation that was made before remains. '
  'The caller has locked the session.';

create function app.lock_result(p_session_id uuid, p_take integer) returns public.interview_results
language plpgsql set search_path = '' as $$
declare
  r public.interview_results;
begin
  perform 1 from public.interview_sessions where id = p_session_id for key share;
  select * into r from public.interview_results
    where session_id = p_session_id and takes = p_take and status = 'running' for update;
  return r;
end $$;
comment on function app.lock_result(uuid, integer) is
  'Locks and returns the result that this take holds. Null if the take is stale.';

create function app.give_up_result(p_session_id uuid, p_take integer, p_failure text, p_error text) returns boolean
language plpgsql set search_path = '' as $$
declare
  r public.interview_results := app.lock_result(p_session_id, p_take);
begin
  if r.id is null then return false; end if;
  update public.interview_results set status = 'dead', failure = p_failure, last_error = left(p_error, 1000)
    where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.dead',
    jsonb_build_object('failure', p_failure, 'attempts', r.attempts));
  return true;
end $$;
comment on function app.give_up_result(uuid, integer, text, text) is
  'Marks a result as dead with its failure and appends the event. Returns false if the take is stale.';

create function public.take_results(p_orchestrator_id uuid, p_taken_ms integer, p_limit integer default 4,
  p_max_attempts integer default 8, p_per_tenant integer default 6)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  x record;
  v_taken jsonb;
begin
  -- Only one orchestrator takes at a time. Two at once would not count each other's takes and could exceed the limit.
  perform pg_advisory_xact_lock(hashtextextended('take_results', 0));
  -- A result whose last attempt was lost with its process is given up, too.
  for x in select session_id, takes from public.interview_results
    where status = 'running' and next_attempt_at <= clock_timestamp() and attempts >= p_max_attempts limit p_limit loop
    perform app.give_up_result(x.session_id, x.takes, 'interrupted', 'The last attempt was interrupted.');
  end loop;
  with under_way as (
    select tenant_id, count(*) as n from public.interview_results
    where status = 'running' and next_attempt_at > clock_timestamp() group by tenant_id
  ), waiting as (
    select id, next_attempt_at, coalesce((select u.n from under_way u where u.tenant_id = r.tenant_id), 0)
      + row_number() over (partition by tenant_id order by next_attempt_at) as turn
    from public.interview_results r
    where status in ('pending', 'running') and next_attempt_at <= clock_timestamp()
      and (status = 'pending' or attempts < p_max_attempts)
  ), due as (
    select r.id from public.interview_results r join waiting w using (id)
    where w.turn <= p_per_tenant and r.status in ('pending', 'running') and r.next_attempt_at <= clock_timestamp()
    order by w.turn, w.next_attempt_at limit p_limit for update of r skip locked
  ), taken as (
    update public.interview_results r set status = 'running', takes = takes + 1, attempts = attempts + 1,
      taken_by = p_orchestrator_id,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where r.id = due.id returning r.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'take', t.takes, 'attempt', t.attempts,
    'revision', t.wanted_revision, 'traceparent', s.traceparent,
    'integrity_flags', app.flags_of(s.integrity), 'session', app.session_json(s.id))), '[]') into v_taken
  from taken t join public.interview_sessions s on s.id = t.session_id;
  return v_taken;
end $$;
comment on function public.take_results(uuid, integer, integer, integer, integer) is
  'Takes due results for one attempt each, tenants in turn; called by the evaluation worker. At most p_per_tenant of '
  'a tenant are in progress across all orchestrators. After p_taken_ms without a report, another orchestrator can '
  'take the result; if that was its last attempt, it is given up.';
grant execute on function public.take_results(uuid, integer, integer, integer, integer) to orchestrator;

create function public.keep_result(p_session_id uuid, p_take integer, p_taken_ms integer) returns boolean
language sql volatile security definer set search_path = '' as $$
  with kept as (
    update public.interview_results set next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    where session_id = p_session_id and takes = p_take and status = 'running' returning 1)
  select exists (select from kept)
$$;
comment on function public.keep_result(uuid, integer, integer) is
  'Extends a take before the next request to the model; called by the evaluation worker. Returns false if the take '
  'is stale, in which case no further request should be made.';
grant execute on function public.keep_result(uuid, integer, integer) to orchestrator;

create function public.record_result(p_session_id uuid, p_take integer, p_revision integer, p_result jsonb) returns text
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results := app.lock_result(p_session_id, p_take);
  v_status text := p_result ->> 'status';
begin
  if r.id is null then return 'stale'; end if;
  if v_status is null or v_status not in ('done', 'empty') then
    raise exception 'a result is done or empty' using errcode = '22023';
  end if;
  update public.interview_results set
    status = case when r.wanted_revision > p_revision then 'pending' else v_status end,
    summary = p_result ->> 'summary', evaluation = nullif(p_result -> 'evaluation', 'null'),
    model = p_result ->> 'model',
    integrity_flags = coalesce(p_result -> 'integrity_flags', '[]'), transcript_revision = p_revision,
    evaluated_at = clock_timestamp(), attempts = 0, failure = null, last_error = null,
    human_reviewed = false, reviewed_by = null, reviewed_at = null, -- a new evaluation is not yet reviewed
    next_attempt_at = clock_timestamp() + app.result_wait(r.takes)
  where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.' || v_status, jsonb_build_object('revision', p_revision));
  return case when r.wanted_revision > p_revision then 'queued_again' else 'recorded' end;
end $$;
comment on function public.record_result(uuid, integer, integer, jsonb) is
  'Stores the result of an attempt for a revision: {status: done|empty, summary, evaluation, integrity_flags, '
  'model}; called by the evaluation worker. Returns recorded, queued_again (the transcript has changed in the '
  'meantime) or stale.';
grant execute on function public.record_result(uuid, integer, integer, jsonb) to orchestrator;

create function public.record_result_failed(p_session_id uuid, p_take integer, p_failure text, p_error text,
  p_retry_ms bigint default null)
returns text language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results;
begin
  if p_retry_ms is null then
    return case when app.give_up_result(p_session_id, p_take, p_failure, p_error) then 'dead' else 'stale' end;
  end if;
  r := app.lock_result(p_session_id, p_take);
  if r.id is null then return 'stale'; end if;
  update public.interview_results set status = 'pending', failure = p_failure, last_error = left(p_error, 1000),
    next_attempt_at = clock_timestamp() + app.interval_ms(p_retry_ms) where id = r.id;
  return 'pending';
end $$;
comment on function public.record_result_failed(uuid, integer, text, text, bigint) is
  'Records a failed attempt; called by the evaluation worker. The result is due again after p_retry_ms, or given up '
  'if that is null. Returns pending, dead or stale.';
grant execute on function public.record_result_failed(uuid, integer, text, text, bigint) to orchestrator;

create function public.release_result(p_session_id uuid, p_take integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results := app.lock_result(p_session_id, p_take);
begin
  if r.id is null then return false; end if;
  update public.interview_results set status = 'pending', attempts = greatest(0, attempts - 1),
    next_attempt_at = clock_timestamp() where id = r.id;
  return true;
end $$;
comment on function public.release_result(uuid, integer) is
  'Returns an unused take when its orchestrator shuts down; called by the evaluation worker. The result is due at '
  'once, and the attempt does not count.';
grant execute on function public.release_result(uuid, integer) to orchestrator;

-- ── schemas/results/integrity.sql ──
create function app.flags_of(p_integrity jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', key, 'count', value) order by key), '[]')
    from jsonb_each(p_integrity)
$$;
comment on function app.flags_of(jsonb) is 'Returns integrity flags as a list of {kind, count}.';

create function public.flag_integrity(p_kind text, p_count integer default 1) returns void
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
begin
  if p_kind is null or p_kind !~ '^[a-z][a-z_]{0,39}$' or p_count is null or p_count not between 1 and 100000 then
    raise exception 'a flag is a word and a count' using errcode = '22023';
  end if;
  if not s.integrity ? p_kind then
    if (select count(*) from jsonb_object_keys(s.integrity)) >= 20 then return; end if;
    perform app.emit(s.id, s.tenant_id, 'integrity.flagged', jsonb_build_object('kind', p_kind));
  end if;
  update public.interview_sessions
    set integrity = integrity || jsonb_build_object(p_kind,
      least(1000000, coalesce((integrity ->> p_kind)::integer, 0) + p_count)) where id = s.id;
end $$;
comment on function public.flag_integrity(text, integer) is
  'Counts an event in the worker''s call that no part of Greenroom caused, such as foreign_item or '
  'foreign_session_update; called by the worker. The evaluation and the result show it. At most 20 kinds.';
grant execute on function public.flag_integrity(text, integer) to session_worker;

-- ── schemas/results/reading.sql ──
create function public.get_result(p_session_id uuid, p_tenant_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('session_status', s.status, 'result', case when r.id is null then null
    else jsonb_build_object(
    'session_id', s.id, 'status', r.status, 'summary', r.summary, 'evaluation', r.evaluation,
    'integrity_flags', app.flags_of(s.integrity) || r.integrity_flags,
    'unverified_entries', (select count(*) from public.transcript_entries e where e.session_id = s.id
      and not e.verified and e.text <> ''),
    'simulated', s.simulated, 'human_reviewed', r.human_reviewed, 'reviewed_by', r.reviewed_by,
    'reviewed_at', r.reviewed_at,
    'transcript_revision', r.transcript_revision, 'wanted_revision', r.wanted_revision, 'model', r.model,
    'evaluated_at', r.evaluated_at,
    'attempts', r.attempts, 'failure', r.failure, 'last_error', r.last_error,
    'next_attempt_at', case when r.status in ('pending', 'running') then r.next_attempt_at end,
    'updated_at', r.updated_at) end)
  from public.interview_sessions s left join public.interview_results r on r.session_id = s.id
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_result(uuid, uuid) is
  'Returns a session''s result as the platform API shows it, {session_status, result}; called by the API. result is '
  'null while there is none. Null if there is no such session.';
grant execute on function public.get_result(uuid, uuid) to orchestrator;

create function app.max_reruns() returns integer language sql immutable set search_path = '' as 'select 10';
comment on function app.max_reruns() is 'Returns how often a tenant may run the evaluation of one session again.';

create function public.rerun_result(p_session_id uuid, p_tenant_id uuid default null, p_by text default null)
  returns text
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  r public.interview_results;
begin
  select * into s from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for key share;
  if not found then return 'not_found'; end if;
  if s.consent_withdrawn_at is not null then return 'withdrawn'; end if;
  select * into r from public.interview_results where session_id = p_session_id for update;
  if not found then return 'nothing'; end if;
  if r.status = 'running' and r.next_attempt_at > clock_timestamp() then return 'running'; end if;
  -- Each evaluation is paid for. An operator is not bound by this.
  if p_tenant_id is not null and r.reruns >= app.max_reruns() then return 'too_many'; end if;
  update public.interview_results set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
    reruns = reruns + case when p_tenant_id is null then 0 else 1 end
    where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.rerun',
    jsonb_strip_nulls(jsonb_build_object('from', r.status, 'by', p_by)));
  return 'queued';
end $$;
comment on function public.rerun_result(uuid, uuid, text) is
  'Queues a result again with all its attempts; called by the API. Returns queued, running (one is in progress), '
  'withdrawn (the candidate withdrew consent), too_many (the tenant has used its max_reruns), nothing (the session has '
  'no result) or not_found.';
grant execute on function public.rerun_result(uuid, uuid, text) to orchestrator;

create function public.review_result(p_session_id uuid, p_tenant_id uuid, p_reviewed boolean, p_by text,
  p_if_updated_at timestamptz default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results;
begin
  perform 1 from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for key share;
  if not found then return 'not_found'; end if;
  select * into r from public.interview_results where session_id = p_session_id for update;
  if not found then return 'nothing'; end if;
  if r.updated_at <> p_if_updated_at then return 'changed_meanwhile'; end if;
  if p_reviewed and r.status not in ('done', 'empty') then return 'not_done'; end if;
  update public.interview_results set human_reviewed = p_reviewed, reviewed_by = case when p_reviewed then p_by end,
    reviewed_at = case when p_reviewed then clock_timestamp() end where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.reviewed', jsonb_build_object('reviewed', p_reviewed,
    'by', p_by));
  return 'recorded';
end $$;
comment on function public.review_result(uuid, uuid, boolean, text, timestamptz) is
  'Records that a person reviewed the result, or withdraws that; called by the API. Returns recorded, not_done (the '
  'result is not final), changed_meanwhile (p_if_updated_at is given and differs), nothing or not_found.';
grant execute on function public.review_result(uuid, uuid, boolean, text, timestamptz) to orchestrator;

-- ── schemas/results/rights.sql ──
alter table public.interview_results enable row level security;
grant select on public.interview_results to orchestrator;
create policy "orchestrators read all rows" on public.interview_results for select to orchestrator using (true);
grant select on public.interview_results to authenticated;
create policy "members read their tenant's rows" on public.interview_results for select to authenticated
  using (tenant_id in (select app.my_tenants()));

-- ── schemas/sessions/consent.sql ──
create function public.session_may_start(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select case
    when s.outcome is not null then jsonb_build_object('kind', 'ended')
    when s.consent_text_version is null or exists (select from public.consents c where c.session_id = s.id
      and c.text_version = s.consent_text_version)
      then jsonb_build_object('kind', 'may_start')
    else jsonb_build_object('kind', 'consent_required', 'text_version', s.consent_text_version) end
  from public.interview_sessions s where s.id = p_session_id
$$;
comment on function public.session_may_start(uuid) is
  'Returns whether an interview may start: may_start, consent_required (with text_version) or ended; called by '
  'join_session. Null for an unknown session.';

create function public.record_consent(p_session_id uuid, p_text_version text, p_remote_address_hash text default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.outcome is not null then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is distinct from p_text_version then
    return jsonb_build_object('kind', 'other_version', 'text_version', s.consent_text_version);
  end if;
  insert into public.consents (tenant_id, session_id, candidate_id, text_version, remote_address_hash)
    values (s.tenant_id, s.id, s.candidate_id, p_text_version, p_remote_address_hash)
      on conflict (session_id) do nothing;
  if found then
    perform app.emit(s.id, s.tenant_id, 'candidate.consented', jsonb_build_object('text_version', p_text_version));
  end if;
  return jsonb_build_object('kind', 'recorded', 'given_at', (select c.given_at from public.consents c
    where c.session_id = s.id));
end $$;
comment on function public.record_consent(uuid, text, text) is
  'Records that the candidate consents to the session''s text; called by give_consent. A second call changes '
  'nothing. Returns kind: recorded, other_version, ended, not_found.';

create function app.consent_json(p_session_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('required', s.consent_text_version is not null, 'text_version', s.consent_text_version,
    'text', (select x.text from public.consent_texts x where x.tenant_id = s.tenant_id
      and x.version = s.consent_text_version),
    'given_at', (select c.given_at from public.consents c where c.session_id = s.id
      and c.text_version = s.consent_text_version),
    'withdrawal', jsonb_build_object('effect', s.on_consent_withdrawn, 'withdrawn_at', s.consent_withdrawn_at,
      'settled_at', s.withdrawal_settled_at))
  from public.interview_sessions s where s.id = p_session_id
$$;
comment on function app.consent_json(uuid) is
  'Returns the text to which a session''s candidate must consent, when the candidate consented and withdrew that, and '
  'what follows from a withdrawal.';

create function public.read_consent(p_session_id uuid, p_code_hash text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not exists (select from public.session_invitations i where i.session_id = p_session_id
    and i.code_hash = p_code_hash
      and i.revoked_at is null and i.expires_at >= clock_timestamp()) then
    return jsonb_build_object('kind', 'invalid');
  end if;
  return app.consent_json(p_session_id) || jsonb_build_object('kind', 'found');
end $$;
comment on function public.read_consent(uuid, text) is
  'Returns the consent that a session requires; called by the API for a browser with a valid invitation. Returns '
  'kind: found, invalid.';
grant execute on function public.read_consent(uuid, text) to orchestrator;

create function public.give_consent(p_session_id uuid, p_code_hash text, p_browser_hash text, p_text_version text,
  p_remote_address_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
begin
  if v_exchange ->> 'kind' <> 'accepted' then return jsonb_build_object('kind', v_exchange ->> 'kind'); end if;
  return public.record_consent(p_session_id, p_text_version, p_remote_address_hash);
end $$;
comment on function public.give_consent(uuid, text, text, text, text) is
  'Binds the invitation to the browser, if it is not bound yet, and records the candidate''s consent; called by the '
  'API. Returns kind: recorded, other_version, ended, invalid, used.';
grant execute on function public.give_consent(uuid, text, text, text, text) to orchestrator;

create function public.decline_consent(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
  s public.interview_sessions;
begin
  if v_exchange ->> 'kind' not in ('accepted', 'ended') then
    return jsonb_build_object('kind', v_exchange ->> 'kind');
  end if;
  select * into s from public.interview_sessions where id = p_session_id for update;
  if s.reason = 'consent_declined' then
    return jsonb_build_object('kind', 'declined', 'session', app.session_json(s.id), 'machines', '[]'::jsonb);
  end if;
  if s.outcome is not null then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is null then return jsonb_build_object('kind', 'not_required'); end if;
  if exists (select from public.consents c where c.session_id = s.id) then
    return jsonb_build_object('kind', 'given');
  end if;
  perform app.emit(s.id, s.tenant_id, 'consent.declined',
    jsonb_build_object('text_version', s.consent_text_version));
  return public.request_end(s.id, s.tenant_id, 'cancelled', 'consent_declined')
    || jsonb_build_object('kind', 'declined');
end $$;
comment on function public.decline_consent(uuid, text, text) is
  'Ends a session because its candidate does not consent; called by the API for a browser with a valid invitation. '
  'A second call changes nothing. Returns kind: declined (with session and the machines to stop), given (the '
  'candidate has consented), not_required, ended, invalid, used.';
grant execute on function public.decline_consent(uuid, text, text) to orchestrator;

-- ── schemas/sessions/creation.sql ──
create function public.create_sessions(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
  v_places bigint[];
  v_requests jsonb;
  v_answers jsonb;
  v_results jsonb := '{}';
begin
  -- Lock the counters of the whole batch in one order: otherwise two batches could deadlock.
  for v_tenant, v_places, v_requests in select (x ->> 'tenant_id')::uuid as id, array_agg(n order by n),
      jsonb_agg(x order by n)
      from jsonb_array_elements(p_requests) with ordinality as e (x, n) group by 1 order by id loop
    v_answers := app.create_for_tenant(v_tenant, v_requests);
    v_results := v_results || (select jsonb_object_agg(v_places[k::integer], v) from jsonb_each(v_answers) as a (k, v));
  end loop;
  return (select jsonb_agg(v order by k::bigint) from jsonb_each(v_results) as a (k, v));
end $$;
comment on function public.create_sessions(jsonb) is
  'Creates sessions from an array of requests; called by the API. Returns an array of results in the same order, '
  'with kind: created (intent unless it waits; ahead when scheduled), replayed, idempotency_mismatch, '
  'quota_exceeded, queue_full, rate_limited (retry_after_ms), duration_exceeded, candidate_not_found, '
  'candidate_conflict (fields), position_not_found, no_app, no_capacity, tenant_inactive.';
grant execute on function public.create_sessions(jsonb) to orchestrator;

create function app.schedule_ahead(p_tenant_id uuid, p_due timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'ahead', (select count(*) from public.interview_sessions s
      where s.tenant_id = p_tenant_id and s.status = 'scheduled' and s.placement = 'now' and s.scheduled_at <= p_due),
    'standby', (select count(*) from public.machines m where m.tenant_id = p_tenant_id and m.session_id is null
      and m.state in ('reserved', 'created') and not m.hot),
    'creates_per_second', (select coalesce(sum(a.creates_per_second), 0) from public.tenant_apps a
      where a.tenant_id = p_tenant_id and a.status = 'ready'),
    'now', clock_timestamp())
$$;
comment on function app.schedule_ahead(uuid, timestamptz) is
  'Returns the facts that decide whether a start time can be met: the sessions due until then, the machines ready or '
  'being prepared, and how fast more can be created.';

create function app.judge_creation(r jsonb, t public.tenants, p_live integer, p_queued integer) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_due timestamptz := (r ->> 'scheduled_at')::timestamptz;
begin
  if (r ->> 'max_duration_ms')::integer > t.max_duration_ms then
    return jsonb_build_object('kind', 'duration_exceeded', 'limit', t.max_duration_ms);
  end if;
  if v_due > clock_timestamp() + app.interval_ms(coalesce((r ->> 'start_lead_ms')::numeric, 0)) then
    return '{"begin": "scheduled"}';
  end if;
  -- Queued sessions come before new ones.
  if p_live + p_queued < t.max_live_sessions then
    return case when r ->> 'placement' = 'on_join' then '{"begin": "on_join"}' else '{"begin": "now"}' end::jsonb;
  end if;
  if r ->> 'admission' is distinct from 'queue' then
    return jsonb_build_object('kind', 'quota_exceeded', 'limit', t.max_live_sessions);
  end if;
  if p_queued >= (r ->> 'max_queued')::integer then
    return jsonb_build_object('kind', 'queue_full', 'limit', p_queued);
  end if;
  return '{"begin": "queued"}';
end $$;
comment on function app.judge_creation(jsonb, public.tenants, integer, integer) is
  'Decides how a session begins: {begin: now, scheduled, on_join or queued}, or refuses it with {kind}.';

create function app.store_creations(p_accepted jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  r jsonb;
  v_prepared uuid[] := array(select (x ->> 'prepared')::uuid from jsonb_array_elements(p_accepted) x
    where x ? 'prepared');
  v_ready uuid[];
begin
  -- Inserted in its state: no other transaction can know the row yet, so it needs no move and no order of writers.
  with stored as (insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, user_id,
    api_key_id, status, settings, metadata, regions, region, region_reason, simulated, test, max_duration_ms, placement,
    admission, scheduled_at, counted, queued_at, queue_deadline_at, expires_at, ready_at, epoch, machine_id,
    fly_machine_id, traceparent)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, (x ->> 'candidate_id')::uuid,
      (select jsonb_build_object('name', c.name, 'email', c.email, 'external_id', c.external_id)
        from public.tenant_candidates c
        where (c.tenant_id, c.candidate_id) = ((x ->> 'tenant_id')::uuid, (x ->> 'candidate_id')::uuid)),
      (x ->> 'position_id')::uuid, (x ->> 'user_id')::uuid,
      (x ->> 'api_key_id')::uuid, case when h.id is not null then 'ready' when x ->> 'begin' = 'now' then 'provisioning'
        when x ->> 'begin' = 'scheduled' then 'scheduled' else 'pending' end,
      coalesce(x -> 'settings', '{}'), coalesce(x -> 'metadata', '{}'),
      array(select jsonb_array_elements_text(x -> 'regions')), x ->> 'region',
      x ->> 'region_reason', (x ->> 'simulated')::boolean or (x ->> 'test')::boolean, (x ->> 'test')::boolean,
      (x ->> 'max_duration_ms')::integer, coalesce(x ->> 'placement', 'now'),
      coalesce(x ->> 'admission', 'reject'), d.due, x ->> 'begin' in ('now', 'on_join'),
      case x ->> 'begin' when 'queued' then clock_timestamp() end,
      case x ->> 'begin' when 'queued' then clock_timestamp() + app.interval_ms((x ->> 'queue_ms')::numeric) end,
      greatest(d.due, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric),
      case when h.id is not null then clock_timestamp() end, case when h.id is null then 0 else 1 end, h.id,
      h.fly_machine_id, x ->> 'traceparent'
    from jsonb_array_elements(p_accepted) x cross join lateral (select (x ->> 'scheduled_at')::timestamptz as due) d
    left join public.machines h on h.id = any (v_prepared) and h.id = (x ->> 'prepared')::uuid and h.hot
    returning id, status)
    select array_agg(id) into v_ready from stored where status = 'ready';
  if v_ready is not null then
    perform app.record_hot_starts(v_ready);
    perform app.tally_hot_starts(v_ready);
  end if;
  update public.machines m set session_id = (x ->> 'session_id')::uuid, assigned_at = clock_timestamp(),
      state = case when m.hot then 'claimed' else m.state end, epoch = case when m.hot then 1 end,
      claimed_at = case when m.hot then clock_timestamp() end,
      lease_expires_at = case when m.hot then clock_timestamp() + app.interval_ms((x ->> 'lease_ms')::numeric) end,
      taken_by = case when not m.hot then (x ->> 'orchestrator_id')::uuid end,
      taken_until = case when not m.hot then clock_timestamp() + app.interval_ms((x ->> 'taken_ms')::numeric) end,
      hard_deadline_at = app.machine_deadline(clock_timestamp(), (x ->> 'life_ms')::numeric,
        (x ->> 'max_duration_ms')::integer)
    -- Read by key: with a join to the batch only, the plan would read all machines.
    from jsonb_array_elements(p_accepted) x where m.id = any (v_prepared) and m.id = (x ->> 'prepared')::uuid;
  for r in select x from jsonb_array_elements(p_accepted) x
    where x ->> 'begin' = 'now' and x ->> 'prepared' is null loop
    perform app.reserve_machine((r ->> 'machine_id')::uuid, (r ->> 'tenant_id')::uuid, (r ->> 'session_id')::uuid,
      r ->> 'region', 1, (r ->> 'max_duration_ms')::integer, r);
  end loop;
  insert into public.session_events (session_id, tenant_id, type, data)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, e.type, e.data
    from jsonb_array_elements(p_accepted) with ordinality as a (x, n)
    left join public.machines h on h.id = any (v_prepared) and h.id = (x ->> 'prepared')::uuid and h.hot
    cross join lateral (values
      (1, case x ->> 'begin' when 'scheduled' then 'session.scheduled' else 'session.pending' end,
        jsonb_strip_nulls(jsonb_build_object('to', case x ->> 'begin' when 'scheduled' then 'scheduled'
          else 'pending' end,
          'scheduled_at', x -> 'scheduled_at', 'waits_for', case x ->> 'begin' when 'queued' then 'admission'
            when 'on_join' then 'candidate' end))),
      (2, case when x ->> 'prepared' is null then 'machine.reserved' else 'machine.assigned' end,
        jsonb_build_object('machine_id', x -> 'machine_id', 'region', x -> 'region', 'attempt', 1)),
      (3, 'session.provisioning', '{"from": "pending", "to": "provisioning"}'),
      (4, 'machine.claimed', jsonb_build_object('machine_id', x -> 'machine_id', 'fly_machine_id', h.fly_machine_id,
        'region', x -> 'region', 'attempt', 1)),
      (5, 'session.ready', '{"from": "provisioning", "to": "ready"}')) as e (k, type, data)
    where e.k = 1 or x ->> 'begin' = 'now' and (e.k <= 3 or h.id is not null) order by n, e.k;
  insert into public.idempotency_keys (scope, tenant_id, key, request_hash, session_id, sealed_code)
    select x ->> 'tenant_id', (x ->> 'tenant_id')::uuid, x ->> 'idempotency_key', x ->> 'request_hash',
      (x ->> 'session_id')::uuid, x ->> 'sealed_code'
    from jsonb_array_elements(p_accepted) x where x ->> 'idempotency_key' is not null
    on conflict (scope, key) do update set session_id = excluded.session_id, sealed_code = excluded.sealed_code;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at)
    select (x ->> 'session_id')::uuid, (x ->> 'tenant_id')::uuid, x ->> 'invitation_hash',
      greatest((x ->> 'scheduled_at')::timestamptz, clock_timestamp()) + app.interval_ms((x ->> 'expires_ms')::numeric)
    from jsonb_array_elements(p_accepted) x where x ->> 'invitation_hash' is not null;
end $$;
comment on function app.store_creations(jsonb) is
  'Writes accepted sessions with one statement per table, so that a large batch does not need a statement per '
  'session.';

create function app.tell_quota_reached(t public.tenants, p_live integer, p_queued integer) returns void
language plpgsql set search_path = '' as $$
begin
  update public.tenant_counters set quota_reached_at = clock_timestamp()
    where tenant_id = t.id and quota_reached_at < clock_timestamp() - interval '1 hour';
  if found then
    perform app.emit(null, t.id, 'quota.reached', jsonb_build_object('quota', 'max_live_sessions',
      'limit', t.max_live_sessions, 'live', p_live, 'queued', p_queued));
  end if;
end $$;
comment on function app.tell_quota_reached(public.tenants, integer, integer) is
  'Emits quota.reached, at most once an hour. The caller has locked the tenant''s counter.';

create function app.create_for_tenant(p_tenant_id uuid, p_requests jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t public.tenants;
  r jsonb;
  v_n bigint;
  v_judged jsonb;
  v_full boolean := false;
  v_live integer;
  v_queued integer;
  v_wait integer;
  v_has_app boolean;
  v_has_standby boolean;
  v_has_hot boolean;
  v_open boolean := not app.is_drained(p_requests #>> '{0,regions,0}');
  v_hot uuid[] := '{}';
  v_people uuid[];
  v_positions uuid[];
  v_pool uuid[];
  v_pool_region text := p_requests #>> '{0,regions,0}';
  v_pool_image text := p_requests #>> '{0,image}';
  v_seen uuid[];
  v_prepared uuid;
  v_alike boolean;
  v_region text;
  v_known record;
  v_keys jsonb := '{}';
  v_accepted jsonb[] := '{}';
  v_results jsonb := '{}';
begin
  -- Lock the tenant's counter first. It serialises two requests with the same key, so the second finds the first's row.
  select c.live_sessions into v_live from public.tenant_counters c where c.tenant_id = p_tenant_id for update;
  select * into t from public.tenants where id = p_tenant_id and status = 'active';
  if v_live is null or t.id is null then
    return (select jsonb_object_agg(n, '{"kind": "tenant_inactive"}'::jsonb)
      from jsonb_array_elements(p_requests) with ordinality as x (x, n));
  end if;
  v_queued := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id
    and queue_deadline_at is not null);
  v_has_app := exists (select from public.tenant_apps where tenant_id = p_tenant_id and status = 'ready');
  v_people := array(select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id
    and candidate_id in (select (x ->> 'candidate_id')::uuid from jsonb_array_elements(p_requests) x));
  v_positions := array(select id from public.positions where tenant_id = p_tenant_id
    and id in (select (x ->> 'position_id')::uuid from jsonb_array_elements(p_requests) x));
  -- Most requests of a batch want the same, so their machines are taken with one query. Its order is that of the index,
  -- which the planner would otherwise not use while the table is full of standby machines.
  perform 1 from public.machines where tenant_id = p_tenant_id and session_id is null and state = 'started' and hot
    order by tenant_id, region, started_at limit 1;
  v_has_hot := found;
  if v_has_hot and v_open is true then
    v_hot := array(select id from public.machines where tenant_id = p_tenant_id and region = v_pool_region
      and session_id is null and state = 'started' and hot and image = v_pool_image
      and lease_expires_at > clock_timestamp() order by started_at
        limit jsonb_array_length(p_requests) for update skip locked);
  end if;
  perform 1 from public.machines where tenant_id = p_tenant_id and session_id is null and state = 'created' and not hot
    order by tenant_id, region, created_at limit 1;
  v_has_standby := found;
  v_seen := v_hot;
  if v_has_standby and v_open is true then
    v_pool := array(select id from public.machines where tenant_id = p_tenant_id and region = v_pool_region
      and session_id is null
      and state = 'created' and not hot and image = v_pool_image order by created_at
        limit jsonb_array_length(p_requests) for update skip locked);
    v_seen := v_seen || v_pool;
  end if;

  for r, v_n in select x, n from jsonb_array_elements(p_requests) with ordinality as e (x, n) loop
    if r ->> 'idempotency_key' is not null then
      select k.request_hash, k.session_id, k.sealed_code into v_known from public.idempotency_keys k
        where k.scope = p_tenant_id::text and k.key = r ->> 'idempotency_key' and k.session_id is not null;
      if not found and v_keys ? (r ->> 'idempotency_key') then
        select * into v_known from jsonb_to_record(v_keys -> (r ->> 'idempotency_key')) as k (request_hash text,
          session_id uuid, sealed_code text);
      end if;
      if v_known.session_id is not null then
        v_results := v_results || jsonb_build_object(v_n, case when v_known.request_hash = r ->> 'request_hash'
          then jsonb_build_object('kind', 'replayed', 'session_id', v_known.session_id,
            'sealed_code', v_known.sealed_code)
            else '{"kind": "idempotency_mismatch"}' end);
        continue;
      end if;
    end if;
    v_judged := app.judge_creation(r, t, v_live, v_queued);
    v_full := v_full or coalesce(v_judged ->> 'kind', v_judged ->> 'begin') in ('quota_exceeded', 'queue_full',
      'queued');
    if v_judged ->> 'kind' is null then
      v_judged := v_judged || case
        when r ? 'candidate_id' and not (r ->> 'candidate_id')::uuid = any (v_people)
          then '{"kind": "candidate_not_found"}'
        when r ? 'position_id' and not (r ->> 'position_id')::uuid = any (v_positions)
          then '{"kind": "position_not_found"}'
        when r ? 'candidate' and app.match_candidate(p_tenant_id, r -> 'candidate') ? 'kind'
          then app.match_candidate(p_tenant_id, r -> 'candidate')::text
        when not v_has_app then '{"kind": "no_app"}' else '{}' end::jsonb;
    end if;
    v_prepared := null;
    v_alike := r #>> '{regions,0}' = v_pool_region and r ->> 'image' = v_pool_image;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_has_hot then
      if cardinality(v_hot) > 0 and v_alike then
        v_prepared := v_hot[1];
      else
        v_prepared := app.take_hot(p_tenant_id, array(select jsonb_array_elements_text(r -> 'regions')),
          r ->> 'image', v_seen);
      end if;
    end if;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_prepared is null and v_has_standby then
      if cardinality(v_pool) > 0 and v_alike then
        v_prepared := v_pool[1];
      else
        v_prepared := app.take_standby(p_tenant_id, array(select jsonb_array_elements_text(r -> 'regions')),
          r ->> 'image', v_seen);
      end if;
    end if;
    if v_judged ->> 'kind' is null and v_judged ->> 'begin' = 'now' and v_prepared is null
      and (r ->> 'all_closed')::boolean then
      v_judged := '{"kind": "no_capacity"}';
    end if;
    if v_judged ->> 'kind' is null then
      v_wait := case when t.starts_per_minute is null then 0 else app.draw_start(p_tenant_id) end;
      if v_wait > 0 then v_judged := jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
    end if;
    if v_judged ->> 'kind' is not null then
      v_results := v_results || jsonb_build_object(v_n, v_judged - 'begin');
      continue;
    end if;

    v_region := coalesce(r ->> 'first_region', r #>> '{regions,0}', r ->> 'default_region');
    if v_prepared is not null then
      if v_prepared = v_hot[1] then
        v_hot := v_hot[2:];
        v_region := v_pool_region;
      elsif v_prepared = v_pool[1] then
        v_pool := v_pool[2:];
        v_region := v_pool_region;
      else
        v_seen := v_seen || v_prepared;
        v_region := (select region from public.machines where id = v_prepared);
      end if;
      r := r || jsonb_build_object('prepared', v_prepared, 'machine_id', v_prepared);
      if v_region is distinct from r #>> '{regions,0}' then r := r || '{"region_reason": "standby"}'; end if;
    end if;
    if not r ? 'candidate_id' then
      r := r || jsonb_build_object('candidate_id', app.store_candidate(p_tenant_id, r -> 'candidate'));
    end if;
    if not r ? 'position_id' then
      r := r || jsonb_build_object('position_id', gen_random_uuid());
      insert into public.positions (id, tenant_id, title, description)
        values ((r ->> 'position_id')::uuid, p_tenant_id, r #>> '{position,title}', r #>> '{position,description}');
    end if;
    v_accepted := v_accepted || (r || v_judged || jsonb_build_object('region', v_region, 'n', v_n, 'test', t.test));
    if v_judged ->> 'begin' in ('now', 'on_join') then v_live := v_live + 1; end if;
    if v_judged ->> 'begin' = 'queued' then v_queued := v_queued + 1; end if;
    if r ->> 'idempotency_key' is not null then
      v_keys := v_keys || jsonb_build_object(r ->> 'idempotency_key',
        jsonb_build_object('request_hash', r ->> 'request_hash', 'session_id', r ->> 'session_id',
          'sealed_code', r ->> 'sealed_code'));
    end if;
  end loop;

  if v_full then perform app.tell_quota_reached(t, v_live, v_queued); end if;
  if v_accepted <> '{}' then
    perform app.store_creations(to_jsonb(v_accepted));
    update public.tenant_counters set live_sessions = v_live where tenant_id = p_tenant_id and live_sessions <> v_live;
  end if;
  return v_results
    || coalesce(
      (select jsonb_object_agg(k,
      jsonb_build_object('kind', 'replayed', 'session', app.session_json((v ->> 'session_id')::uuid),
        'sealed_code', v -> 'sealed_code'))
      from jsonb_each(v_results) e (k, v) where v ->> 'kind' = 'replayed'), '{}')
    || coalesce(
      (select jsonb_object_agg(a ->> 'n',
      jsonb_build_object('kind', 'created', 'session', app.session_json((a ->> 'session_id')::uuid),
        'intent', case a ->> 'begin' when 'now' then app.intent_json((a ->> 'machine_id')::uuid) end,
        'ahead', case a ->> 'begin' when 'scheduled' then app.schedule_ahead(p_tenant_id,
          (a ->> 'scheduled_at')::timestamptz) end))
      from unnest(v_accepted) a), '{}');
end $$;
comment on function app.create_for_tenant(uuid, jsonb) is
  'Creates the sessions of one tenant in one transaction. A refusal is a result and not an error, so one refused '
  'request does not undo the batch. Returns the results by position in the array, from 1.';

-- ── schemas/sessions/ending.sql ──
create function public.request_end(p_session_id uuid, p_tenant_id uuid, p_outcome text, p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id
    and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  -- An ending that is already decided is kept, also while the worker still carries it out.
  if s.state_rank >= app.rank_of('finalizing') or (s.outcome, s.reason) is distinct from (p_outcome, p_reason)
    and s.outcome is not null then
    return jsonb_build_object('kind', 'already', 'session', app.session_json(s.id));
  end if;
  if s.machine_id is null or not exists (select from public.machines m where m.id = s.machine_id
    and m.life_rank < app.life_rank_of('draining') and not (m.hot and m.confirmed_at is null))
    then
    -- No machine serves it now: it ends here, and its machines are no longer wanted.
    perform app.end_session(s.id, p_outcome, p_reason);
    perform app.move_machine(id, case when fly_machine_id is null and state = 'reserved'
      and taken_until is null then 'destroyed' else 'destroying' end,
      'session_gone') from public.machines where session_id = s.id;
  else
    update public.interview_sessions set end_requested_at = clock_timestamp(), outcome = p_outcome, reason = p_reason
      where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'session.end_requested',
      jsonb_build_object('outcome', p_outcome, 'reason', p_reason));
  end if;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id), 'machines', (
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'state', m.state)), '[]')
    from public.machines m where m.session_id = s.id and m.state <> 'destroyed'));
end $$;
comment on function public.request_end(uuid, uuid, text, text) is
  'Requests the end of a session; called by the API and by other functions. A session without a serving machine, '
  'or whose hot worker has not claimed it yet, ends at once. Otherwise its worker receives the directive and ends it. '
  'Returns kind: accepted, already, not_found.';
grant execute on function public.request_end(uuid, uuid, text, text) to orchestrator;

create function public.expire_sessions() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s record;
  v_ids uuid[] := '{}';
begin
  for s in select id, machine_id from public.interview_sessions where state_rank < app.rank_of('in_progress')
    and expires_at < clock_timestamp()
    order by id for update skip locked loop
    if s.machine_id is null then
      perform public.request_end(s.id, null, 'expired', 'schedule_expired');
      v_ids := v_ids || s.id;
    end if;
  end loop;
  return to_jsonb(v_ids);
end $$;
comment on function public.expire_sessions() is
  'Ends sessions that have expired before the interview began and that no worker has claimed; called by the regular '
  'job. A claimed session is ended by its worker''s own timer.';
grant execute on function public.expire_sessions() to orchestrator;

create function public.worker_report(p_status text default null, p_outcome text default null,
  p_reason text default null, p_presence text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
  v_constraint text;
begin
  if p_status not in ('connecting', 'in_progress', 'finalizing') then
    raise exception 'a worker reports connecting, in_progress or finalizing' using errcode = '22023';
  end if;
  if p_presence is not null and s.presence <> p_presence and s.state_rank < app.rank_of('ended') then
    update public.interview_sessions set presence = p_presence where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'candidate.' || p_presence, '{}');
  end if;
  if p_status is not null then perform app.move_session(s.id, p_status, p_outcome, p_reason); end if;
  select * into s from public.interview_sessions where id = s.id;
  return jsonb_build_object('status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'started_at', floor(extract(epoch from s.started_at) * 1000));
exception when integrity_constraint_violation then
  get stacked diagnostics v_constraint = constraint_name;
  perform app.refuse_row(sqlstate, v_constraint);
end $$;
comment on function public.worker_report(text, text, text, text) is
  'Stores a worker''s report about its session: connecting, in_progress, finalizing (with the ending), and the '
  'candidate''s presence; called by the worker. A late report changes nothing. Refuses any other status (22023).';
grant execute on function public.worker_report(text, text, text, text) to session_worker;

-- ── schemas/sessions/idempotency.sql ──
create function public.take_idempotency_keys(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_n bigint;
  k public.idempotency_keys;
  v_kind text;
  v_answers jsonb := '{}';
begin
  -- In one order: otherwise two batches could deadlock.
  for r, v_n in select x, n from jsonb_array_elements(p_requests) with ordinality as e (x, n)
      order by x ->> 'scope', x ->> 'key', n loop
    insert into public.idempotency_keys (scope, tenant_id, key, request_hash, taken_by, taken_until)
      values (r ->> 'scope', (r ->> 'tenant_id')::uuid, r ->> 'key', r ->> 'request_hash', (r ->> 'taken_by')::uuid,
        clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric))
      on conflict (scope, key) do update set scope = excluded.scope returning * into k;
    if k.taken_by = (r ->> 'taken_by')::uuid then
      v_kind := 'taken';
    elsif k.created_at < clock_timestamp() - app.idempotency_life() then
      delete from public.idempotency_keys where (scope, key) = (k.scope, k.key);
      insert into public.idempotency_keys (scope, tenant_id, key, request_hash, taken_by, taken_until)
        values (k.scope, (r ->> 'tenant_id')::uuid, k.key, r ->> 'request_hash', (r ->> 'taken_by')::uuid,
          clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric));
      v_kind := 'taken';
    elsif k.request_hash <> r ->> 'request_hash' then
      v_kind := 'mismatch';
    elsif k.sealed_answer is not null then
      v_kind := 'answered';
    elsif k.taken_until > clock_timestamp() then
      v_kind := 'running';
    else
      update public.idempotency_keys set taken_by = (r ->> 'taken_by')::uuid,
          taken_until = clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric)
        where (scope, key) = (k.scope, k.key);
      v_kind := 'taken';
    end if;
    v_answers := v_answers || jsonb_build_object(v_n, jsonb_build_object('kind', v_kind)
      || case v_kind when 'answered' then jsonb_build_object('sealed_answer', k.sealed_answer) else '{}' end);
  end loop;
  return (select jsonb_agg(v order by n::bigint) from jsonb_each(v_answers) as a (n, v));
end $$;
comment on function public.take_idempotency_keys(jsonb) is
  'Takes the Idempotency-Keys of requests that are about to run; called by the API before a POST runs. An array of '
  'requests in, an array of results out, in order. kind: taken (run it; also when the hold of an earlier request has '
  'lapsed), running (another request holds the key), answered (sealed_answer), mismatch (the '
  'key was used for another request).';
grant execute on function public.take_idempotency_keys(jsonb) to orchestrator;

create function public.hold_idempotency_keys(p_taken_by uuid[], p_hold_ms integer) returns void
language sql security definer set search_path = '' as $$
  update public.idempotency_keys set taken_until = clock_timestamp() + app.interval_ms(p_hold_ms)
    where taken_by = any (p_taken_by) and sealed_answer is null
$$;
comment on function public.hold_idempotency_keys(uuid[], integer) is 
  'Prolongs the holds of requests that still run; called by their orchestrator at intervals.';
grant execute on function public.hold_idempotency_keys(uuid[], integer) to orchestrator;

create function public.store_idempotent_answers(p_answers jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_n bigint;
  v_kept text;
  v_stored jsonb := '{}';
begin
  for r, v_n in select x, n from jsonb_array_elements(p_answers) with ordinality as e (x, n)
      order by x ->> 'scope', x ->> 'key', n loop
    v_kept := null;
    if r ->> 'sealed_answer' is null then
      delete from public.idempotency_keys where (scope, key) = (r ->> 'scope', r ->> 'key')
        and taken_by = (r ->> 'taken_by')::uuid and session_id is null and sealed_answer is null;
      update public.idempotency_keys set taken_until = clock_timestamp()
        where (scope, key) = (r ->> 'scope', r ->> 'key')
          and taken_by = (r ->> 'taken_by')::uuid and sealed_answer is null;
    else
      update public.idempotency_keys set sealed_answer = coalesce(sealed_answer, r ->> 'sealed_answer'),
          sealed_code = null, session_id = coalesce(session_id, (select s.id from public.interview_sessions s
            where s.id = (r ->> 'session_id')::uuid)),
          candidate_id = coalesce(candidate_id, (select c.id from public.candidates c
            where c.id = (r ->> 'candidate_id')::uuid))
        where (scope, key) = (r ->> 'scope', r ->> 'key') and request_hash = r ->> 'request_hash'
        returning sealed_answer into v_kept;
    end if;
    v_stored := v_stored || jsonb_build_object(v_n, jsonb_build_object('sealed_answer', v_kept));
  end loop;
  return (select jsonb_agg(v order by n::bigint) from jsonb_each(v_stored) as a (n, v));
end $$;
comment on function public.store_idempotent_answers(jsonb) is
  'Stores the answers of requests that have run; called by the API before it sends an answer. Returns for each the '
  'answer that is stored: the first one stays, so that two runs of one request give the same answer. Without '
  'a sealed_answer the key becomes free again. '
  'sealed_answer is null in the result if the row is gone.';
grant execute on function public.store_idempotent_answers(jsonb) to orchestrator;

create function public.prune_idempotency_keys(p_limit integer default 500) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_count integer;
begin
  -- By row address: a join by key would read the whole table, because it has few rows for their size.
  delete from public.idempotency_keys where ctid = any (array(
    select ctid from public.idempotency_keys where created_at < now() - app.idempotency_life()
      order by created_at limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function public.prune_idempotency_keys(integer) is
  'Deletes Idempotency-Keys, with their answers, that are older than a day, at most p_limit; called by the '
  'regular job. Returns how many.';
grant execute on function public.prune_idempotency_keys(integer) to orchestrator;

-- ── schemas/sessions/invitations.sql ──
create function public.exchange_invitation(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
  s public.interview_sessions;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash
    and session_id = p_session_id for update;
  if not found or i.revoked_at is not null or i.expires_at < clock_timestamp() then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.browser_hash is not null and i.browser_hash <> p_browser_hash then
    return jsonb_build_object('kind', 'used');
  end if;
  select * into s from public.interview_sessions where id = p_session_id;
  if s.state_rank >= app.rank_of('finalizing') then
    return jsonb_build_object('kind', 'ended', 'session', app.session_json(s.id));
  end if;
  update public.session_invitations set browser_hash = p_browser_hash, used_at = coalesce(used_at, clock_timestamp())
    where id = i.id;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id));
end $$;
comment on function public.exchange_invitation(uuid, text, text) is
  'Checks an invitation code and binds it to the browser; called by join_session and give_consent. The same browser '
  'may exchange it again. Returns kind: accepted (with session), used (by another browser), ended, invalid.';
grant execute on function public.exchange_invitation(uuid, text, text) to orchestrator;

create function app.invitation_json(i public.session_invitations) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', i.id, 'session_id', i.session_id, 'created_at', i.created_at,
    'expires_at', i.expires_at, 'used_at', i.used_at,
    'revoked_at', i.revoked_at, 'replaces', i.replaces, 'status', case when i.revoked_at is not null then 'revoked'
      when i.expires_at <= clock_timestamp() then 'expired' when i.used_at is not null then 'used' else 'open' end)
$$;
comment on function app.invitation_json(public.session_invitations) is
  'Returns an invitation as the API shows it, without its code. status: open, used, expired, revoked.';

create function app.invite(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint, p_replaces uuid,
  p_by jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 100;
  s public.interview_sessions;
  i public.session_invitations;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if (select count(*) from public.session_invitations x where x.session_id = s.id) >= v_limit then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit);
  end if;
  insert into public.session_invitations (session_id, tenant_id, code_hash, expires_at, replaces)
    values (s.id, s.tenant_id, p_code_hash, clock_timestamp() + app.interval_ms(p_expires_ms), p_replaces)
      returning * into i;
  perform app.audit(p_by, p_tenant_id, case when p_replaces is null then 'invitation.create'
    else 'invitation.resend' end, i.id::text,
    jsonb_build_object('session_id', s.id));
  return jsonb_build_object('kind', 'created', 'invitation', app.invitation_json(i));
end $$;
comment on function app.invite(uuid, uuid, text, bigint, uuid, jsonb) is
  'Adds an invitation to a session that has not ended. A session has at most 100 invitations, revoked ones included. '
  'Returns kind: created, limit_exceeded, ended, not_found.';

create function public.create_invitation(p_session_id uuid, p_tenant_id uuid, p_code_hash text, p_expires_ms bigint,
  p_by jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  select app.invite(p_session_id, p_tenant_id, p_code_hash, p_expires_ms, null, p_by)
$$;
comment on function public.create_invitation(uuid, uuid, text, bigint, jsonb) is
  'Stores the hash of a new invitation code; called by the API. Returns kind: created, limit_exceeded, ended, '
  'not_found.';
grant execute on function public.create_invitation(uuid, uuid, text, bigint, jsonb) to orchestrator;

create function public.resend_invitation(p_session_id uuid, p_invitation_id uuid, p_tenant_id uuid, p_code_hash text,
  p_expires_ms bigint, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_result jsonb;
begin
  if not exists (select from public.session_invitations where id = p_invitation_id and session_id = p_session_id
    and tenant_id = p_tenant_id) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  v_result := app.invite(p_session_id, p_tenant_id, p_code_hash, p_expires_ms, p_invitation_id, p_by);
  if v_result ->> 'kind' = 'created' then
    update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp())
      where id = p_invitation_id;
  end if;
  return v_result;
end $$;
comment on function public.resend_invitation(uuid, uuid, uuid, text, bigint, jsonb) is
  'Creates a new invitation code and revokes the old one; called by the API. Only hashes are stored, so the old code '
  'cannot be shown again. Returns kind: created, limit_exceeded, ended, not_found.';
grant execute on function public.resend_invitation(uuid, uuid, uuid, text, bigint, jsonb) to orchestrator;

create function public.revoke_invitation(p_session_id uuid, p_invitation_id uuid, p_tenant_id uuid, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
begin
  select * into i from public.session_invitations where id = p_invitation_id and session_id = p_session_id
    and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if i.revoked_at is null then
    update public.session_invitations set revoked_at = clock_timestamp() where id = i.id returning * into i;
    perform app.audit(p_by, p_tenant_id, 'invitation.revoke', i.id::text,
      jsonb_build_object('session_id', i.session_id));
  end if;
  return jsonb_build_object('kind', 'revoked', 'invitation', app.invitation_json(i));
end $$;
comment on function public.revoke_invitation(uuid, uuid, uuid, jsonb) is
  'Revokes an invitation; called by the API. Its code is refused from now on; a browser that has already joined is '
  'not affected. Returns kind: revoked, not_found.';
grant execute on function public.revoke_invitation(uuid, uuid, uuid, jsonb) to orchestrator;

create function public.list_invitations(p_session_id uuid, p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.invitation_json(i) order by i.created_at, i.id), '[]')
  from public.session_invitations i where i.session_id = p_session_id and i.tenant_id = p_tenant_id
$$;
comment on function public.list_invitations(uuid, uuid) is
  'Lists a session''s invitations (at most 100), oldest first; called by the API.';
grant execute on function public.list_invitations(uuid, uuid) to orchestrator;

create function public.join_session(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_exchange jsonb;
  v_may jsonb;
begin
  -- A resend locks the session before its invitations. The same order here keeps the two from a deadlock.
  perform 1 from public.interview_sessions where id = p_session_id for key share;
  v_exchange := public.exchange_invitation(p_session_id, p_code_hash, p_browser_hash);
  if v_exchange ->> 'kind' <> 'accepted' then return v_exchange; end if;
  v_may := public.session_may_start(p_session_id);
  if v_may ->> 'kind' = 'consent_required' then return v_may; end if;
  perform app.note_candidate(p_session_id, true);
  return v_exchange;
end $$;
comment on function public.join_session(uuid, text, text) is
  'Exchanges an invitation code as exchange_invitation does; called by the API. Returns kind: consent_required (with '
  'text_version) while a required consent is missing.';
grant execute on function public.join_session(uuid, text, text) to orchestrator;

create function public.look_at_invitation(p_session_id uuid, p_code_hash text, p_browser_hash text) returns jsonb
language sql volatile security definer set search_path = '' as $$
  select app.note_candidate(i.session_id, false) from public.session_invitations i
    where i.code_hash = p_code_hash and i.session_id = p_session_id and i.revoked_at is null
      and i.expires_at >= clock_timestamp();
  select coalesce((
    select jsonb_build_object('kind', 'found', 'session', app.session_json(s.id), 'organiser', t.name,
      'starts_at', s.scheduled_at, 'records_video', coalesce((s.settings ->> 'record_video')::boolean, false),
      'consent', app.consent_json(s.id), 'now', clock_timestamp(),
      'ending', case when s.outcome is not null then jsonb_build_object('outcome', s.outcome, 'reason', s.reason) end,
      'bound', case when i.browser_hash is null then 'no' when i.browser_hash = p_browser_hash then 'here'
        else 'elsewhere' end)
    from public.session_invitations i join public.interview_sessions s on s.id = i.session_id
      join public.tenants t on t.id = s.tenant_id
    where i.code_hash = p_code_hash and i.session_id = p_session_id and i.revoked_at is null
      and (i.expires_at >= clock_timestamp() or i.browser_hash = p_browser_hash and s.outcome is not null)
  ), '{"kind": "invalid"}')
$$;
comment on function public.look_at_invitation(uuid, text, text) is
  'Returns what a candidate sees before joining, without binding the invitation, and stores when the page was first '
  'opened; called by the API. bound: no, here or elsewhere. After the session''s end the bound browser may look as '
  'long as the invitation is kept, because the candidate may still withdraw consent. Returns kind: found, invalid.';
grant execute on function public.look_at_invitation(uuid, text, text) to orchestrator;

create function public.offer_handover(p_session_id uuid, p_code_hash text, p_browser_hash text, p_handover_hash text,
  p_expires_ms bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_expires_at timestamptz := clock_timestamp() + app.interval_ms(p_expires_ms);
begin
  update public.session_invitations set handover_hash = p_handover_hash, handover_expires_at = v_expires_at,
    handover_tries = 0, handover_at = clock_timestamp()
    where code_hash = p_code_hash and session_id = p_session_id and browser_hash = p_browser_hash
      and revoked_at is null and expires_at >= clock_timestamp();
  if not found then return jsonb_build_object('kind', 'invalid'); end if;
  return jsonb_build_object('kind', 'offered', 'expires_at', v_expires_at);
end $$;
comment on function public.offer_handover(uuid, text, text, text, bigint) is
  'Stores a short code with which another browser may take the place of the bound one; called by the API for the '
  'bound browser. It replaces an earlier code. Returns kind: offered, invalid.';
grant execute on function public.offer_handover(uuid, text, text, text, bigint) to orchestrator;

create function public.take_handover(p_session_id uuid, p_code_hash text, p_browser_hash text, p_handover_hash text,
  p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  i public.session_invitations;
begin
  select * into i from public.session_invitations where code_hash = p_code_hash and session_id = p_session_id
    for update;
  if not found or i.revoked_at is not null or i.expires_at < clock_timestamp() then
    return jsonb_build_object('kind', 'invalid');
  end if;
  if i.handover_hash is null or i.handover_expires_at < clock_timestamp() or i.handover_tries >= 5 then
    return jsonb_build_object('kind', 'wrong', 'tries_left', 0);
  end if;
  if i.handover_hash <> p_handover_hash then
    update public.session_invitations set handover_tries = handover_tries + 1 where id = i.id returning * into i;
    return jsonb_build_object('kind', 'wrong', 'tries_left', 5 - i.handover_tries);
  end if;
  update public.session_invitations set browser_hash = p_browser_hash, handover_hash = null,
    handover_expires_at = null, handover_tries = 0 where id = i.id;
  perform app.audit(p_by, i.tenant_id, 'invitation.continue', i.id::text,
    jsonb_build_object('session_id', i.session_id));
  return jsonb_build_object('kind', 'moved');
end $$;
comment on function public.take_handover(uuid, text, text, text, jsonb) is
  'Binds the invitation to the browser that presents the short code, in place of the first browser; called by the '
  'API. A code is valid once and for five attempts. Returns kind: moved, wrong (with tries_left), invalid.';
grant execute on function public.take_handover(uuid, text, text, text, jsonb) to orchestrator;

create function app.moving_ms(s public.interview_sessions) returns integer
language plpgsql set search_path = '' as $$
declare
  v_since timestamptz;
begin
  with moved as (
    update public.session_invitations i set handover_at = null from public.session_invitations old
      where i.id = old.id and i.session_id = s.id and i.handover_at is not null and i.handover_hash is null
      returning old.handover_at as since
  )
  select greatest(max(m.since), s.started_at, (select max(e.created_at) from public.transcript_entries e
    where e.session_id = s.id and e.speaker = 'candidate')) into v_since from moved m having count(*) > 0;
  if v_since is null or s.started_at is null then return 0; end if;
  return least(600000, greatest(0, extract(epoch from clock_timestamp() - v_since) * 1000));
end $$;
comment on function app.moving_ms(public.interview_sessions) is
  'Returns once for each change of browsers how long it took, milliseconds: since the short code was shown or, if that '
  'was later, since the candidate''s last stored answer; at most ten minutes. 0 before the interview began.';

-- ── schemas/sessions/reading.sql ──
create function app.session_json(p_session_id uuid, p_brief boolean default false) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s public.interview_sessions;
  p record;
begin
  -- Two reads by key instead of a join: the plan of a join would be made while the tables are small, and then kept.
  select * into s from public.interview_sessions where id = p_session_id;
  if not found then return null; end if;
  select id, title, description into p from public.positions where id = s.position_id;
  return jsonb_build_object(
    'session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'presence', s.presence, 'region', s.region, 'region_reason', s.region_reason, 'fly_machine_id', s.fly_machine_id,
    'epoch', s.epoch, 'simulated', s.simulated, 'test', s.test, 'metadata', s.metadata,
    'settings', case when p_brief then '{}' else s.settings end,
    'max_duration_ms', s.max_duration_ms, 'end_requested_at', s.end_requested_at,
    'transcript_revision', s.transcript_revision,
    'transcript_complete', s.transcript_complete, 'video_recording_url', s.video_recording_url,
    'placement', s.placement, 'admission', s.admission, 'scheduled_at', s.scheduled_at,
    'queue', case when s.queue_deadline_at is not null then app.queue_json(s) end,
    'created_at', s.created_at, 'updated_at', s.updated_at, 'expires_at', s.expires_at,
    'ready_at', s.ready_at, 'started_at', s.started_at,
    'completed_at', s.completed_at, 'consent_withdrawn_at', s.consent_withdrawn_at,
    'interview_context', jsonb_build_object(
      'position', jsonb_build_object('id', p.id, 'title', p.title,
        'description', case when not p_brief then p.description end),
      'candidate', jsonb_build_object('id', s.candidate_id, 'name', null, 'email', null, 'external_id', null)
        || s.candidate));
end $$;
comment on function app.session_json(uuid, boolean) is
  'Returns a session as the platform API shows it, without tokens and URLs. Brief: leaves out the settings and the '
  'description of the position, which are large, without reading them.';

create function app.expanded(p_session_id uuid, p_expand text[]) returns jsonb
language sql stable set search_path = '' as $$
  select case when 'result' = any (p_expand)
      then jsonb_build_object('result', public.get_result(s.id) -> 'result') else '{}' end
    || case when 'candidate' = any (p_expand) then jsonb_build_object('candidate', (select app.candidate_json(c)
      from public.tenant_candidates c where c.tenant_id = s.tenant_id and c.candidate_id = s.candidate_id
        and c.erased_at is null)) else '{}' end
    || case when 'position' = any (p_expand) then jsonb_build_object('position', (select to_jsonb(p)
      from public.positions p where p.id = s.position_id)) else '{}' end
  from public.interview_sessions s where s.id = p_session_id and p_expand <> '{}'
$$;
comment on function app.expanded(uuid, text[]) is
  'Returns what belongs to a session, as its own routes show it: any of result, candidate and position. Null where '
  'there is none, as for the candidate after an erasure. Null instead of an object if nothing is asked for.';

create function public.get_session(p_session_id uuid, p_tenant_id uuid default null, p_expand text[] default '{}')
  returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.session_json(s.id) || jsonb_build_object('usage', app.session_usage(s.id))
    || coalesce(app.expanded(s.id, p_expand), '{}') from public.interview_sessions s
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_session(uuid, uuid, text[]) is
  'Returns a session, only of this tenant if one is given, with the parts in p_expand; called by the API. Null if '
  'there is none.';
grant execute on function public.get_session(uuid, uuid, text[]) to orchestrator;

create function public.list_sessions(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_after_at timestamptz default null, p_after_id uuid default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_order text := coalesce(p_filters ->> 'order', '-created_at');
  v_at text := case when v_order like '%scheduled_at' then 'scheduled_at' else 'created_at' end;
  v_way text := case when v_order like '-%' then 'desc' else 'asc' end;
  v_ids uuid[];
  v_expand text[] := array(select jsonb_array_elements_text(p_filters -> 'expand'));
begin
  -- Dynamic, so that each call is planned for the filters that it has: the values are constants to the planner.
  execute format('select array(select s.id from public.interview_sessions s
    where s.tenant_id = $1 and s.%1$I is not null
      and ($2 is null or s.status = any ($2)) and ($3 is null or s.region = any ($3))
      and ($4 is null or s.candidate_id = $4) and ($5 is null or s.position_id = $5)
      and ($6 is null or s.candidate_id = (select c.candidate_id from public.tenant_candidates c
        where c.tenant_id = $1 and c.external_id = $6))
      and ($7 is null or s.metadata @> $7)
      and ($8 is null or s.created_at >= $8) and ($9 is null or s.created_at < $9)
      and ($10 is null or s.scheduled_at >= $10) and ($11 is null or s.scheduled_at < $11)
      and ($12 is null or (s.%1$I, s.id) %3$s ($12, $13))
    order by s.%1$I %2$s, s.id %2$s limit $14)', v_at, v_way, case v_way when 'desc' then '<' else '>' end)
  into v_ids
  using p_tenant_id,
    case when p_filters ? 'status' then array(select jsonb_array_elements_text(p_filters -> 'status')) end,
    case when p_filters ? 'region' then array(select jsonb_array_elements_text(p_filters -> 'region')) end,
    (p_filters ->> 'candidate_id')::uuid, (p_filters ->> 'position_id')::uuid,
    p_filters ->> 'candidate_external_id', p_filters -> 'metadata',
    (p_filters ->> 'created_from')::timestamptz, (p_filters ->> 'created_until')::timestamptz,
    (p_filters ->> 'scheduled_from')::timestamptz, (p_filters ->> 'scheduled_until')::timestamptz,
    p_after_at, p_after_id, p_limit;
  return (select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select i.n, app.session_json(i.id, true) || coalesce(app.expanded(i.id, v_expand), '{}') as shown
      from unnest(v_ids) with ordinality as i (id, n)) x) y
  where y.before <= app.max_list_bytes());
end $$;
comment on function public.list_sessions(uuid, integer, jsonb, timestamptz, uuid) is
  'Lists a tenant''s sessions; called by the API. p_filters: status, region (arrays: any of them), candidate_id, '
  'position_id, candidate_external_id, metadata (contains all), created_from, created_until, scheduled_from, '
  'scheduled_until (from is included, until is not), expand (array), order (created_at or scheduled_at, with - the '
  'latest first; default -created_at). In the order of scheduled_at only scheduled sessions are listed. '
  'p_after_at, p_after_id: where the page before ended. Settings and the description of the position are left empty. '
  'Returns at most max_list_bytes plus one session.';
grant execute on function public.list_sessions(uuid, integer, jsonb, timestamptz, uuid) to orchestrator;

create function public.session_routes(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status,
    'state_rank', s.state_rank,
    'epoch', s.epoch, 'machine_id', m.id, 'machine_state', m.state, 'app_name', m.app_name,
    'fly_machine_id', m.fly_machine_id, 'unconfirmed', coalesce(m.hot and m.confirmed_at is null, false),
    'silent', coalesce(m.lease_expires_at < now(), false), 'traceparent', s.traceparent)), '[]')
  from public.interview_sessions s left join public.machines m on m.id = s.machine_id
  where s.id = any (p_session_ids)
$$;
comment on function public.session_routes(uuid[]) is
  'Returns for each of these sessions the machine that serves it, if any; called by the edge, many sessions in one '
  'call.';
grant execute on function public.session_routes(uuid[]) to orchestrator;

create function app.event_settles() returns interval
language sql immutable set search_path = '' as $$ select interval '10 seconds' $$;
comment on function app.event_settles() is
  'How long after an event others of the same tenant with smaller ids may still be committed: longer than the '
  'statement timeout of all who write events.';

create function public.session_events_after(p_cursors jsonb, p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'session_id', e.session_id, 'type', e.type, 'data', e.data,
    'created_at', e.created_at)
    order by e.id), '[]')
  from jsonb_array_elements(p_cursors) c
  cross join lateral (select * from public.session_events x
    where x.session_id = (c ->> 'session_id')::uuid and x.id > (c ->> 'after')::bigint order by x.id limit p_limit) e
$$;
comment on function public.session_events_after(jsonb, integer) is
  'Lists events of several sessions, each after its own cursor, at most p_limit of each; called by the API''s event '
  'streams.';
grant execute on function public.session_events_after(jsonb, integer) to orchestrator;

create function public.tenant_events_after(p_tenant_id uuid, p_after bigint, p_seen bigint[], p_limit integer)
returns jsonb language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'session_id', e.session_id, 'type', e.type, 'data', e.data,
    'created_at', e.created_at, 'settled', e.created_at < clock_timestamp() - app.event_settles())
    order by e.id), '[]')
  from (select * from public.session_events x where x.tenant_id = p_tenant_id and x.id > p_after
    and app.event_audience(x.type) = 'tenant' and not x.id = any (p_seen) order by x.id limit p_limit) e
$$;
comment on function public.tenant_events_after(uuid, bigint, bigint[], integer) is
  'Lists a tenant''s events with a larger id than p_after, except those in p_seen; called by the API''s event streams. '
  'settled: no event with a smaller id can be committed any more.';
grant execute on function public.tenant_events_after(uuid, bigint, bigint[], integer) to orchestrator;

create function public.tenant_events_start(p_tenant_id uuid, p_after bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with since as (
    select coalesce((select created_at from public.session_events where tenant_id = p_tenant_id and id = p_after),
      case when p_after is null then clock_timestamp() end) - app.event_settles() as at
  ), start as (
    select case when s.at is null then p_after else coalesce((select x.id from public.session_events x
      where x.tenant_id = p_tenant_id and x.id <= coalesce(p_after, x.id) and x.created_at < s.at
      order by x.id desc limit 1), 0) end as after from since s
  )
  select jsonb_build_object('after', s.after, 'seen', case when p_after is not null then '[]' else
    (select coalesce(jsonb_agg(x.id order by x.id), '[]') from public.session_events x
      where x.tenant_id = p_tenant_id and x.id > s.after) end) from start s
$$;
comment on function public.tenant_events_start(uuid, bigint) is
  'Returns where a reader of a tenant''s events begins: {after, seen} for tenant_events_after. p_after: the last event '
  'that the reader knows; null: only events from now on. After p_after, a slower transaction may have committed events '
  'with smaller ids, so the reader goes back far enough to meet them and may get events again.';
grant execute on function public.tenant_events_start(uuid, bigint) to orchestrator;

create function app.queue_json(s public.interview_sessions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('position', q.position, 'deadline', s.queue_deadline_at,
    'estimate_ms', ceil(q.position * case
    when e.ended > 0 then 600000.0 / e.ended else t.max_duration_ms::numeric / greatest(t.max_live_sessions, 1) end))
  from public.tenants t
  cross join lateral (select count(*) as position from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.queue_deadline_at is not null and (o.queued_at, o.id) <= (s.queued_at,
      s.id)) q
  cross join lateral (select count(*) as ended from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.state_rank >= app.rank_of('ended')
      and o.completed_at > clock_timestamp() - interval '10 minutes'
      and o.created_at > clock_timestamp() - interval '1 day') e
  where t.id = s.tenant_id
$$;
comment on function app.queue_json(public.interview_sessions) is
  'Returns the position of a queued session and an estimate of when it may begin, from how fast the tenant''s '
  'sessions have ended lately, or else from its longest interview.';

-- ── schemas/sessions/rights.sql ──
alter table public.interview_sessions enable row level security;
grant select on public.interview_sessions to orchestrator;
create policy "orchestrators read all rows" on public.interview_sessions for select to orchestrator using (true);
grant select on public.interview_sessions to authenticated;
create policy "members read their tenant's rows" on public.interview_sessions for select to authenticated
  using (tenant_id in (select app.my_tenants()));
grant select (id, tenant_id, status, outcome, reason, epoch, machine_id) on public.interview_sessions to session_worker;
create policy "a worker reads its own session" on public.interview_sessions for select to session_worker
  using ((select app.worker_serves(id)));

alter table public.session_events enable row level security;
grant select on public.session_events to orchestrator;
create policy "orchestrators read all rows" on public.session_events for select to orchestrator using (true);
grant select on public.session_events to authenticated;
create policy "members read their tenant's rows, but none of machines" on public.session_events
  for select to authenticated
  using (tenant_id in (select app.my_tenants()) and app.event_audience(type) = 'tenant');

alter table public.idempotency_keys enable row level security;
grant select on public.idempotency_keys to orchestrator;
create policy "orchestrators read all rows" on public.idempotency_keys for select to orchestrator using (true);

alter table public.session_invitations enable row level security;
grant select on public.session_invitations to orchestrator;
create policy "orchestrators read all rows" on public.session_invitations for select to orchestrator using (true);

alter table public.consents enable row level security;
grant select on public.consents to orchestrator;
create policy "orchestrators read all rows" on public.consents for select to orchestrator using (true);
grant select on public.consents to authenticated;
create policy "members read their tenant's rows" on public.consents for select to authenticated
  using (tenant_id in (select app.my_tenants()));

-- ── schemas/sessions/states.sql ──
create function app.guard_session() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A generated column is not computed yet in a BEFORE trigger, hence rank_of.
  if app.rank_of(new.status) < app.rank_of(old.status) or (app.rank_of(old.status) >= app.rank_of('ended')
    and new.status <> old.status)
    then
    raise exception 'a session only goes forward: % → %', old.status, new.status using errcode = 'GR001';
  end if;
  if old.outcome is not null and (new.outcome, new.reason) is distinct from (old.outcome, old.reason) then
    raise exception 'an ending is decided once: %/% → %/%', old.outcome, old.reason, new.outcome, new.reason
      using errcode = 'GR002';
  end if;
  if new.epoch < old.epoch then
    raise exception 'an epoch only grows: % → %', old.epoch, new.epoch using errcode = 'GR003';
  end if;
  return new;
end $$;
comment on function app.guard_session() is
  'Refuses a backward step of a session''s status, a change of its decided ending, and a smaller epoch, whoever '
  'writes. Trigger of interview_sessions.';
create trigger guard before update on public.interview_sessions for each row execute function app.guard_session();

create function app.emit(p_session_id uuid, p_tenant_id uuid, p_type text, p_data jsonb default '{}'::jsonb)
  returns void
language plpgsql set search_path = '' as $$
begin
  -- Writers of a session take turns. Ids are not assigned in commit order, and otherwise a reader with a cursor would
  -- skip the event of a slower transaction.
  perform pg_advisory_xact_lock(hashtextextended(coalesce(p_session_id, p_tenant_id)::text, 0));
  insert into public.session_events (session_id, tenant_id, type, data) values (p_session_id, p_tenant_id, p_type,
    p_data);
end $$;
comment on function app.emit(uuid, uuid, text, jsonb) is
  'Appends an event of a session, or of the tenant if p_session_id is null. The ids of a session''s events follow the '
  'order of their commits.';

create function app.move_session(p_session_id uuid, p_status text, p_outcome text default null,
  p_reason text default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or app.rank_of(p_status) <= s.state_rank then
    return false;
  end if;
  update public.interview_sessions set
    status = p_status,
    outcome = coalesce(outcome, p_outcome),
    reason = coalesce(reason, p_reason),
    ready_at = case when p_status = 'ready' then coalesce(ready_at, clock_timestamp()) else ready_at end,
    started_at = case when p_status = 'in_progress' then coalesce(started_at, clock_timestamp()) else started_at end,
    completed_at = case when app.rank_of(p_status) >= app.rank_of('ended') then coalesce(completed_at,
      clock_timestamp())
      else completed_at end,
    presence = case when app.rank_of(p_status) >= app.rank_of('ended') then 'absent' else presence end,
    counted = counted and app.rank_of(p_status) < app.rank_of('ended'),
    queue_deadline_at = case when app.rank_of(p_status) >= app.rank_of('ended') then null else queue_deadline_at end
  where id = p_session_id;
  if s.counted and app.rank_of(p_status) >= app.rank_of('ended') then
    update public.tenant_counters set live_sessions = live_sessions - 1 where tenant_id = s.tenant_id;
  end if;
  perform app.emit(s.id, s.tenant_id, 'session.' || p_status, jsonb_strip_nulls(jsonb_build_object(
    'from', s.status, 'to', p_status, 'outcome', coalesce(s.outcome, p_outcome),
    'reason', coalesce(s.reason, p_reason))));
  return true;
end $$;
comment on function app.move_session(uuid, text, text, text) is
  'Moves a session forward and appends the event. An ending that is already decided is kept. Returns false if the '
  'session has already reached or passed the status.';

create function app.end_session(p_session_id uuid, p_outcome text, p_reason text) returns boolean
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return false; end if;
  return app.move_session(p_session_id, coalesce(s.outcome, p_outcome), p_outcome, p_reason);
end $$;
comment on function app.end_session(uuid, text, text) is
  'Ends a session with the ending that is already decided, otherwise with this one.';

create function app.copy_tenant_rules() returns trigger language plpgsql set search_path = '' as $$
begin
  select case when t.require_consent then t.consent_text_version end, t.on_consent_withdrawn
    into new.consent_text_version, new.on_consent_withdrawn from public.tenants t where t.id = new.tenant_id;
  return new;
end $$;
comment on function app.copy_tenant_rules() is
  'Copies the tenant''s current rules of consent to a new session, so that later changes of the tenant do not affect '
  'it. Trigger of interview_sessions.';
create trigger copy_tenant_rules before insert on public.interview_sessions
  for each row execute function app.copy_tenant_rules();

-- ── schemas/sessions/waiting.sql ──
create function public.reschedule_session(p_session_id uuid, p_tenant_id uuid, p_scheduled_at timestamptz,
  p_expires_ms bigint, p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if s.status <> 'scheduled' then return jsonb_build_object('kind', 'begun', 'session', app.session_json(s.id)); end if;
  update public.interview_sessions set scheduled_at = p_scheduled_at,
    expires_at = p_scheduled_at + app.interval_ms(p_expires_ms) where id = s.id;
  update public.session_invitations set expires_at = p_scheduled_at + app.interval_ms(p_expires_ms)
    where session_id = s.id and revoked_at is null;
  perform app.emit(s.id, s.tenant_id, 'session.rescheduled', jsonb_build_object('from', s.scheduled_at,
    'to', p_scheduled_at));
  return jsonb_build_object('kind', 'rescheduled', 'session', app.session_json(s.id),
    'ahead', app.schedule_ahead(p_tenant_id, p_scheduled_at));
end $$;
comment on function public.reschedule_session(uuid, uuid, timestamptz, bigint, timestamptz) is
  'Changes the start time of a session, and with it the expiry of the session and its invitations; called by the '
  'API. Returns kind: rescheduled (ahead), begun (too late), ended, changed_meanwhile '
  '(p_if_updated_at is given and differs), not_found.';
grant execute on function public.reschedule_session(uuid, uuid, timestamptz, bigint, timestamptz) to orchestrator;

create function app.begin_trace(s public.interview_sessions) returns public.interview_sessions
language sql volatile set search_path = '' as $$
  update public.interview_sessions set creation_traceparent = coalesce(s.creation_traceparent, s.traceparent),
    traceparent = case when s.creation_traceparent is not null then s.traceparent
      else '00-' || replace(gen_random_uuid()::text, '-', '') || '-'
        || left(replace(gen_random_uuid()::text, '-', ''), 16) || right(s.traceparent, 3) end
    where id = s.id returning *
$$;
comment on function app.begin_trace(public.interview_sessions) is
  'Gives a session, which the caller has locked and which begins after the request that created it, a trace of its '
  'own. It is recorded if the request was. A second call changes nothing. Returns the row. A session without a trace '
  'context keeps none.';

create function app.admit(p_session_id uuid, p_launch jsonb, p_queue_ms numeric) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_free integer;
  v_ahead bigint;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id;
  select t.max_live_sessions - c.live_sessions into v_free from public.tenant_counters c
    join public.tenants t on t.id = c.tenant_id
    where c.tenant_id = s.tenant_id for update of c;
  -- Counted under the counter's lock, so that a session whose row is locked by another transaction keeps its place.
  select count(*) into v_ahead from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.queue_deadline_at is not null and o.id <> s.id
      and (s.queue_deadline_at is null or (o.queued_at, o.id) < (s.queued_at, s.id));
  if v_free <= v_ahead then
    if s.queue_deadline_at is null then
      update public.interview_sessions set queued_at = clock_timestamp(),
        queue_deadline_at = clock_timestamp() + app.interval_ms(p_queue_ms) where id = s.id;
      perform app.emit(s.id, s.tenant_id, 'session.queued', '{}');
    end if;
    return jsonb_build_object('kind', 'queued', 'session_id', s.id);
  end if;
  if s.queue_deadline_at is not null then perform app.emit(s.id, s.tenant_id, 'session.admitted', '{}'); end if;
  update public.interview_sessions set counted = true, queue_deadline_at = null where id = s.id;
  update public.tenant_counters set live_sessions = live_sessions + 1 where tenant_id = s.tenant_id;
  if s.placement = 'on_join' then return jsonb_build_object('kind', 'waits', 'session_id', s.id); end if;
  s := app.begin_trace(s);
  v_intent := app.give_machine(s, null, p_launch);
  if v_intent is null then
    perform app.end_session(s.id, 'failed', 'fly_refused');
    return jsonb_build_object('kind', 'no_app', 'session_id', s.id);
  end if;
  return jsonb_build_object('kind', 'launched', 'session_id', s.id, 'intent', v_intent);
end $$;
comment on function app.admit(uuid, jsonb, numeric) is
  'Counts a locked pending session as live and gives it its machine, or queues it if the tenant''s limit is reached. '
  'Returns kind: launched, waits, queued, no_app.';

create function public.start_scheduled(p_launch jsonb, p_lead_ms integer, p_queue_ms integer,
  p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_due uuid[];
  v_id uuid;
  v_results jsonb[] := '{}';
begin
  -- One at a time: if two shared the due sessions, the one with the later half might lock the counters first.
  if not pg_try_advisory_xact_lock(hashtextextended('start_scheduled', 0)) then return '[]'; end if;
  -- Lock sessions, then counters in one order, then the rows that the launches need.
  v_due := array(select s.id from public.interview_sessions s
    where s.status = 'scheduled' and s.scheduled_at <= clock_timestamp() + app.interval_ms(p_lead_ms)
      and exists (select from public.tenants t where t.id = s.tenant_id and t.status = 'active')
    order by s.scheduled_at, s.id limit p_limit for update of s skip locked);
  perform 1 from public.tenant_counters where tenant_id in (select tenant_id from public.interview_sessions
    where id = any (v_due)) order by tenant_id for update;
  foreach v_id in array v_due loop
    perform app.move_session(v_id, 'pending');
    v_results := v_results || app.admit(v_id, p_launch, p_queue_ms);
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.start_scheduled(jsonb, integer, integer, integer) is
  'Starts scheduled sessions whose time is near; called by the orchestrator''s planner. Sessions over the tenant''s '
  'limit are queued. Returns an array of {kind, session_id, intent}.';
grant execute on function public.start_scheduled(jsonb, integer, integer, integer) to orchestrator;

create function public.admit_queued(p_launch jsonb, p_limit integer default 50) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_late uuid[];
  v_tenants uuid[];
  v_waiting uuid[];
  v_id uuid;
  v_admitted jsonb;
  v_results jsonb[] := '{}';
begin
  -- Two steps: in one, the planner may look for them in the order of all ids.
  v_late := array(select id from public.interview_sessions where queue_deadline_at < now() limit p_limit);
  v_late := array(select id from public.interview_sessions where id = any (v_late) and queue_deadline_at < now()
    order by id for update skip locked);
  v_tenants := array(select distinct s.tenant_id from public.interview_sessions s
    join public.tenants t on t.id = s.tenant_id and t.status = 'active'
    join public.tenant_counters c on c.tenant_id = s.tenant_id and c.live_sessions < t.max_live_sessions
    where s.queue_deadline_at is not null);
  perform 1 from public.tenant_counters where tenant_id = any (v_tenants) or tenant_id in (
    select tenant_id from public.interview_sessions where id = any (v_late)) order by tenant_id for update;
  foreach v_id in array v_late loop
    perform app.end_session(v_id, 'expired', 'admission_timeout');
    v_results := v_results || jsonb_build_object('kind', 'expired', 'session_id', v_id);
  end loop;
  -- Chosen under the counters' locks, or two orchestrators would each take a part of a queue, and the later part could
  -- be admitted first.
  v_waiting := array(select w.id from public.tenant_counters c join public.tenants t on t.id = c.tenant_id
    cross join lateral (select s.id, s.queued_at from public.interview_sessions s
      where s.tenant_id = c.tenant_id and s.queue_deadline_at >= clock_timestamp() order by s.queued_at, s.id
      limit least(p_limit, greatest(t.max_live_sessions - c.live_sessions, 0)) for update skip locked) w
    where c.tenant_id = any (v_tenants) order by c.tenant_id, w.queued_at, w.id);
  foreach v_id in array v_waiting loop
    v_admitted := app.admit(v_id, p_launch, 0);
    continue when v_admitted ->> 'kind' = 'queued';
    v_results := v_results || v_admitted;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.admit_queued(jsonb, integer) is
  'Starts queued sessions in their order as places become free, and ends those past their deadline; called by the '
  'orchestrator''s planner. Returns an array of {kind, session_id, intent}.';
grant execute on function public.admit_queued(jsonb, integer) to orchestrator;

create function public.begin_on_join(p_session_id uuid, p_regions text[], p_region_reason text, p_launch jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_regions text[];
  s public.interview_sessions;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.status <> 'pending' or s.placement <> 'on_join' or not s.counted then
    return jsonb_build_object('kind', 'not_waiting');
  end if;
  -- Never outside the tenant's regions. Without a known region, the requested ones stay.
  v_regions := array(select r from unnest(p_regions) with ordinality as x (r, n)
    join public.tenants t on t.id = s.tenant_id
    where t.allowed_regions is null or r = any (t.allowed_regions) order by n);
  if cardinality(v_regions) > 0 then
    update public.interview_sessions set regions = v_regions, region_reason = p_region_reason where id = s.id
      returning * into s;
  end if;
  s := app.begin_trace(s);
  v_intent := app.give_machine(s, null, p_launch);
  if v_intent is null then return jsonb_build_object('kind', 'no_app'); end if;
  return jsonb_build_object('kind', 'launched', 'intent', v_intent);
end $$;
comment on function public.begin_on_join(uuid, text[], text, jsonb) is
  'Starts a session with placement on_join because its candidate has arrived; called by the API and the edge. '
  'p_regions: the regions near the candidate, empty if unknown. Returns kind: launched (intent), no_app, '
  'not_waiting.';
grant execute on function public.begin_on_join(uuid, text[], text, jsonb) to orchestrator;

-- ── schemas/simulations/rights.sql ──
alter table public.simulations enable row level security;
grant select on public.simulations to orchestrator;
create policy "orchestrators read all rows" on public.simulations for select to orchestrator using (true);

-- ── schemas/simulations/simulating.sql ──
create function app.simulation_json(x public.simulations) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('session_id', x.session_id, 'script', x.script, 'status', x.status, 'failure', x.failure,
    'created_at', x.created_at, 'ended_at', x.ended_at)
$$;
comment on function app.simulation_json(public.simulations) is 'Returns a simulation as the API shows it.';

create function public.plan_simulation(p_session_id uuid, p_tenant_id uuid, p_script text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  x public.simulations;
begin
  select * into s from public.interview_sessions where id = p_session_id and tenant_id = p_tenant_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if not s.test then return jsonb_build_object('kind', 'not_test'); end if;
  select * into x from public.simulations where session_id = s.id;
  if found then
    return jsonb_build_object('kind', case when x.script = p_script then 'known' else 'other_script' end,
      'simulation', app.simulation_json(x));
  end if;
  if s.state_rank >= app.rank_of('finalizing') then return jsonb_build_object('kind', 'ended'); end if;
  if s.consent_text_version is not null then perform public.record_consent(s.id, s.consent_text_version); end if;
  insert into public.simulations (session_id, tenant_id, script) values (s.id, s.tenant_id, p_script)
    returning * into x;
  return jsonb_build_object('kind', 'planned', 'simulation', app.simulation_json(x));
end $$;
comment on function public.plan_simulation(uuid, uuid, text) is
  'Plans the synthetic candidate of a test session, who consents if the session requires it; called by the API. '
  'Returns kind: planned, known (the same was planned before), other_script, ended, not_test, not_found.';
grant execute on function public.plan_simulation(uuid, uuid, text) to orchestrator;

create function public.get_simulation(p_session_id uuid, p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.simulation_json(x) from public.simulations x
  where x.session_id = p_session_id and x.tenant_id = p_tenant_id
$$;
comment on function public.get_simulation(uuid, uuid) is
  'Returns the simulation of a session; called by the API. Null if there is none.';
grant execute on function public.get_simulation(uuid, uuid) to orchestrator;

create function public.take_simulations(p_taken_ms integer, p_limit integer) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select x.session_id from public.simulations x
    join public.interview_sessions s on s.id = x.session_id
    where x.status in ('waiting', 'running') and coalesce(x.taken_until <= clock_timestamp(), true)
      and (s.state_rank >= app.rank_of('provisioning')
        or s.status = 'pending' and s.placement = 'on_join' and s.queue_deadline_at is null)
    order by x.created_at limit p_limit for update of x skip locked
  ), taken as (
    update public.simulations x set status = 'running', takes = takes + 1,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where x.session_id = due.session_id returning x.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'tenant_id', t.tenant_id,
    'script', t.script, 'take', t.takes, 'was_cut', t.cut_at is not null)), '[]')
  from taken t
$$;
comment on function public.take_simulations(integer, integer) is
  'Takes simulations that nobody runs and whose session can be joined or has ended, oldest first; called by the '
  'simulations job.';
grant execute on function public.take_simulations(integer, integer) to orchestrator;

create function public.keep_simulation(p_session_id uuid, p_take integer, p_taken_ms integer,
  p_cut boolean default false) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update public.simulations set taken_until = clock_timestamp() + app.interval_ms(p_taken_ms),
    cut_at = case when p_cut then coalesce(cut_at, clock_timestamp()) else cut_at end
    where session_id = p_session_id and takes = p_take and status = 'running';
  return found;
end $$;
comment on function public.keep_simulation(uuid, integer, integer, boolean) is
  'Renews a take, or gives it back with p_taken_ms 0; called by the orchestrator that runs it. p_cut: its network is '
  'cut now. Returns false if the take is stale.';
grant execute on function public.keep_simulation(uuid, integer, integer, boolean) to orchestrator;

create function public.end_simulation(p_session_id uuid, p_take integer, p_failure text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update public.simulations set status = case when p_failure is null then 'done' else 'failed' end,
    failure = left(p_failure, 500), taken_until = null, ended_at = clock_timestamp()
    where session_id = p_session_id and takes = p_take and status = 'running';
  return found;
end $$;
comment on function public.end_simulation(uuid, integer, text) is
  'Records that a simulation''s script is over, or why it failed; called by the orchestrator that runs it. Returns '
  'false if the take is stale.';
grant execute on function public.end_simulation(uuid, integer, text) to orchestrator;

-- ── schemas/tenants/apps.sql ──
create function app.draw_create_slot(p_tenant_id uuid, out app_name text, out not_before timestamptz)
language plpgsql set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz := clock_timestamp();
  v_step interval;
  v_tat timestamptz;
  v_at timestamptz;
begin
  select * into a from public.tenant_apps t where t.tenant_id = p_tenant_id and t.status = 'ready'
    order by t.next_create_at, t.name limit 1 for update;
  if not found then return; end if;
  v_step := app.interval_ms(1000 / a.creates_per_second);
  v_tat := greatest(a.next_create_at, v_now);
  update public.tenant_apps set next_create_at = v_tat + v_step where name = a.name;
  app_name := a.name;
  -- GCRA: a request conforms while it is at most (burst − 1) steps ahead of its theoretical time.
  v_at := v_tat - v_step * (a.create_burst - 1);
  -- A request that must wait waits a quarter step longer: travel times differ, and Fly would refuse a request that
  -- arrives a millisecond before the one ahead of it.
  not_before := case when v_at > v_now then v_at + v_step / 4 else v_now end;
end $$;
comment on function app.draw_create_slot(uuid) is
  'Draws the next create slot of the tenant''s least busy app, so that all orchestrators together stay within Fly''s '
  'limit. Null if the tenant has no app.';

create function public.plan_app(p_tenant_id uuid, p_name text, p_network text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_apps (name, tenant_id, network) values (p_name, p_tenant_id, p_network)
    on conflict (name) do nothing returning * into a;
  if a.name is not null then
    perform app.audit(p_by, p_tenant_id, 'app.plan', p_name);
    return jsonb_build_object('kind', 'planned', 'app', to_jsonb(a));
  end if;
  select * into a from public.tenant_apps where name = p_name;
  if a.tenant_id <> p_tenant_id or a.status in ('removing', 'removed') then
    return jsonb_build_object('kind', 'name_taken');
  end if;
  return jsonb_build_object('kind', 'known', 'app', to_jsonb(a));
end $$;
comment on function public.plan_app(uuid, text, text, jsonb) is
  'Records an app before Fly is asked to create it; called by onboarding. Returns kind: planned, known, name_taken, '
  'not_found.';
grant execute on function public.plan_app(uuid, text, text, jsonb) to orchestrator;

create function public.rename_planned_app(p_name text, p_new_name text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.tenant_apps where name = p_new_name) then return false; end if;
  update public.tenant_apps set name = p_new_name where name = p_name and status = 'planned';
  return found;
end $$;
comment on function public.rename_planned_app(text, text) is
  'Gives a planned app another name, because someone else has the name at Fly, where names are global; called by '
  'onboarding. Returns false if the new name is already known here or the app is no longer only planned.';
grant execute on function public.rename_planned_app(text, text) to orchestrator;

create function public.app_ready(p_name text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.tenant_apps set status = 'ready' where name = p_name and status in ('planned', 'ready') returning 1)
  select exists (select from done)
$$;
comment on function public.app_ready(text) is
  'Records that the app exists at Fly and machines may be created in it; called by onboarding. Returns false if it '
  'is unknown or being removed.';
grant execute on function public.app_ready(text) to orchestrator;

create function public.onboarding_debts(p_limit integer default 50) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'tenant_id', x.tenant_id, 'network', x.network,
    'status', x.status)), '[]')
  from (select * from public.tenant_apps where status in ('planned', 'removing') order by updated_at limit p_limit) x
$$;
comment on function public.onboarding_debts(integer) is
  'Lists apps that must still be created at Fly (planned) or deleted there (removing), for example after a crash; '
  'called by the onboarding job.';
grant execute on function public.onboarding_debts(integer) to orchestrator;

create function public.app_removed(p_name text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
begin
  update public.tenant_apps set status = 'removed' where name = p_name and status in ('removing', 'removed')
    returning tenant_id into v_tenant;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform 1 from public.tenants where id = v_tenant and status = 'removing' for no key update;
  if not found then return jsonb_build_object('kind', 'removed'); end if;
  return app.finish_removal(v_tenant);
end $$;
comment on function public.app_removed(text) is
  'Records that Fly has deleted the app, and finishes the removal of its tenant if it was the last one; called by '
  'onboarding.';
grant execute on function public.app_removed(text) to orchestrator;

create function public.draw_list_slots(p_apps text[], p_urgent boolean default false,
  p_max_wait_ms integer default 1000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  a public.tenant_apps;
  v_now timestamptz;
  v_tat timestamptz;
  v_at timestamptz;
  v_result jsonb := '{}';
begin
  for a in select * from public.tenant_apps where name = any (p_apps) order by name for update loop
    v_now := clock_timestamp();
    v_tat := greatest(a.next_list_at, v_now);
    -- A lookup for a waiting candidate may use the burst; the reconciler's lists leave it alone.
    v_at := v_tat - case when p_urgent then interval '2 seconds' else interval '0' end;
    -- A quarter step longer, as with creates, because travel times differ.
    v_at := case when v_at > v_now then v_at + interval '250 milliseconds' else v_now end;
    continue when v_at > v_now + app.interval_ms(p_max_wait_ms);
    update public.tenant_apps set next_list_at = v_tat + interval '1 second' where name = a.name;
    v_result := v_result || jsonb_build_object(a.name, ceil(extract(epoch from v_at - v_now) * 1000));
  end loop;
  return v_result;
end $$;
comment on function public.draw_list_slots(text[], boolean, integer) is
  'Draws slots of Fly''s limit on list requests (1 a second per app, burst 3); called by the Fly client. Returns the '
  'milliseconds to wait for each app. An app that is missing in the result must not be listed now.';
grant execute on function public.draw_list_slots(text[], boolean, integer) to orchestrator;

create function public.slow_app(p_app_name text, p_action text, p_retry_ms integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_burst interval;
  v_until timestamptz := clock_timestamp() + app.interval_ms(p_retry_ms);
begin
  if p_action = 'list' then
    update public.tenant_apps set next_list_at = greatest(next_list_at, v_until + interval '3 seconds')
      where name = p_app_name;
    return p_retry_ms;
  end if;
  -- Fly's count differs from ours, so no request may use the burst until both agree again. The refused request gets the
  -- first slot.
  update public.tenant_apps set next_create_at = greatest(next_create_at,
    v_until + app.interval_ms(1000 / creates_per_second) * (create_burst - 1))
      + app.interval_ms(1000 / creates_per_second)
    where name = p_app_name
    returning next_create_at - app.interval_ms(1000 / creates_per_second) * create_burst - clock_timestamp()
      into v_burst;
  return greatest(p_retry_ms, ceil(extract(epoch from v_burst) * 1000));
end $$;
comment on function public.slow_app(text, text, integer) is
  'Records that Fly answered a create or list request with 429, so that further requests of this kind wait for the '
  'Retry-After time; called by the Fly client. Returns the caller''s own wait in milliseconds.';
grant execute on function public.slow_app(text, text, integer) to orchestrator;

create function public.apps_with_machines() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', name, 'tenant_id', tenant_id) order by name), '[]')
  from public.tenant_apps where status in ('ready', 'removing')
$$;
comment on function public.apps_with_machines() is
  'Lists the Fly apps that may have machines, [{name, tenant_id}], as one value, so that no row limit applies; '
  'called by the reconciler.';
grant execute on function public.apps_with_machines() to orchestrator;

-- ── schemas/tenants/rate-limits.sql ──
create function app.draw_start(p_tenant_id uuid) returns integer
language plpgsql set search_path = '' as $$
declare
  v_rate integer := (select starts_per_minute from public.tenants where id = p_tenant_id);
  v_now timestamptz := clock_timestamp();
  v_next timestamptz;
begin
  if v_rate is null then return 0; end if;
  select greatest(next_start_at, v_now) into v_next from public.tenant_counters
    where tenant_id = p_tenant_id for update;
  -- GCRA with a burst of one minute's starts: the next is due one step later, and may be drawn a minute early.
  v_next := v_next + app.interval_ms(60000.0 / v_rate);
  if v_next > v_now + interval '1 minute' then
    return ceil(extract(epoch from v_next - v_now - interval '1 minute') * 1000);
  end if;
  update public.tenant_counters set next_start_at = v_next where tenant_id = p_tenant_id;
  return 0;
end $$;
comment on function app.draw_start(uuid) is
  'Draws one start from the tenant''s limit of starts per minute. Returns 0 if the start is allowed, otherwise the '
  'milliseconds to wait. Locks the counters.';

create function app.draw_limit(p_scope text, p_per_minute numeric, p_burst integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_step interval := app.interval_ms(60000.0 / p_per_minute);
  v_next timestamptz;
begin
  -- GCRA: each request moves next_at by one step, and it may be at most a burst of steps ahead.
  insert into public.rate_limits as x (scope, next_at) values (p_scope, v_now + v_step)
    on conflict (scope) do update set next_at = greatest(x.next_at, v_now) + v_step
    where greatest(x.next_at, v_now) + v_step <= v_now + p_burst * v_step;
  if found then return 0; end if;
  select next_at into v_next from public.rate_limits where scope = p_scope;
  return greatest(1, ceil(extract(epoch from v_next + v_step - v_now - p_burst * v_step) * 1000));
end $$;
comment on function app.draw_limit(text, numeric, integer) is
  'Draws one request from a shared limit. Returns 0 if the request is allowed, otherwise the milliseconds to wait. '
  'Locks the limit''s row.';

create function public.draw_rate_limits(p_limits jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  l record;
  v_wait integer := 0;
begin
  -- Always in the order of their scopes: otherwise two calls could wait for each other.
  for l in select * from jsonb_to_recordset(p_limits) as x (scope text, per_minute numeric, burst integer)
    order by scope loop
    v_wait := greatest(v_wait, app.draw_limit(l.scope, l.per_minute, l.burst));
  end loop;
  if v_wait > 0 then raise exception 'used up' using errcode = 'GR004'; end if;
  return 0;
exception when sqlstate 'GR004' then
  -- What was drawn from the other limits is undone.
  return v_wait;
end $$;
comment on function public.draw_rate_limits(jsonb) is
  'Draws one request from each of the shared limits [{scope, per_minute, burst}], or from none of them; called by the '
  'video client. Returns 0 if the request is allowed, otherwise the milliseconds to wait.';
grant execute on function public.draw_rate_limits(jsonb) to orchestrator;

create function public.spend_rate_limits(p_spent jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with spent as (
    select e ->> 'scope' as scope, (e ->> 'cost')::integer as cost,
      60000.0 / (e ->> 'per_minute')::double precision as step_ms,
      (e ->> 'burst')::integer as burst
    from jsonb_array_elements(p_spent) e
  ), drawn as (
    insert into public.rate_limits as x (scope, next_at)
      -- Always in the order of their scopes: otherwise two batches could wait for each other.
      select scope, now() + app.interval_ms(cost * step_ms) from spent order by scope
    on conflict (scope) do update set next_at = greatest(x.next_at, now()) + (excluded.next_at - now())
    returning x.scope, x.next_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('scope', d.scope,
    'wait_ms', greatest(0, ceil(extract(epoch from d.next_at - now()) * 1000 - (s.burst - 1) * s.step_ms)))), '[]')
  from drawn d join spent s on s.scope = d.scope
$$;
comment on function public.spend_rate_limits(jsonb) is
  'Adds requests that were already served to their limits, [{scope, cost, per_minute, burst}] with each scope once; '
  'called by the API once a second. Returns [{scope, wait_ms}]: how long the scope must be refused.';
grant execute on function public.spend_rate_limits(jsonb) to orchestrator;

-- ── schemas/tenants/removal.sql ──
create function public.remove_tenant(p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_status text;
  v_locked uuid[];
  s record;
begin
  -- Lock all its sessions first, before any ending locks the counter. A session created in the meantime is left to the
  -- next call, because locking it now would violate the lock order.
  v_locked := array(select id from public.interview_sessions
    where tenant_id = p_tenant_id and state_rank < app.rank_of('ended') order by id for update);
  select status into v_status from public.tenants where id = p_tenant_id for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if v_status = 'removed' then return jsonb_build_object('kind', 'removed'); end if;
  if v_status <> 'removing' then
    update public.tenants set status = 'removing' where id = p_tenant_id;
    perform app.audit(p_by, p_tenant_id, 'tenant.remove', p_tenant_id::text);
  end if;
  update public.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where tenant_id = p_tenant_id;
  update public.session_invitations set revoked_at = coalesce(revoked_at, clock_timestamp())
    where tenant_id = p_tenant_id;
  for s in select id from public.interview_sessions
    where id = any (v_locked) and state_rank < app.rank_of('finalizing') and end_requested_at is null order by id loop
    perform public.request_end(s.id, p_tenant_id, 'cancelled', 'operator_stopped');
  end loop;
  return app.finish_removal(p_tenant_id);
end $$;
comment on function public.remove_tenant(uuid, jsonb) is
  'Starts or continues the removal of a tenant; called by the API and by the onboarding job. Nothing starts any '
  'more, keys and invitations are revoked, and sessions are asked to end. Returns kind: removing (with the remaining '
  'live_sessions, machines and apps), removed, not_found.';
grant execute on function public.remove_tenant(uuid, jsonb) to orchestrator;

create function app.finish_removal(p_tenant_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_live integer := (select count(*) from public.interview_sessions where tenant_id = p_tenant_id
    and state_rank < app.rank_of('ended'));
  v_machines integer := (select count(*) from public.machines where tenant_id = p_tenant_id and state <> 'destroyed');
  v_apps text[];
  c record;
begin
  if v_live + v_machines = 0 then
    update public.tenant_apps set status = case status when 'planned' then 'removing' when 'ready' then 'removing'
      else status end
      where tenant_id = p_tenant_id and status in ('planned', 'ready');
  end if;
  select coalesce(array_agg(name order by name), '{}') into v_apps from public.tenant_apps
    where tenant_id = p_tenant_id and status <> 'removed';
  if v_live + v_machines > 0 or v_apps <> '{}' then
    return jsonb_build_object('kind', 'removing', 'live_sessions', v_live, 'machines', v_machines,
      'apps', to_jsonb(v_apps));
  end if;
  for c in select candidate_id from public.tenant_candidates where tenant_id = p_tenant_id and erased_at is null
    order by candidate_id loop
    perform app.erase(p_tenant_id, c.candidate_id);
  end loop;
  delete from public.provider_credentials where tenant_id = p_tenant_id;
  delete from public.webhook_endpoints where tenant_id = p_tenant_id;
  delete from public.consent_texts where tenant_id = p_tenant_id;
  delete from public.pool_policies where tenant_id = p_tenant_id;
  delete from public.tenant_users where tenant_id = p_tenant_id;
  update public.tenants set status = 'removed', settings = '{}' where id = p_tenant_id;
  return jsonb_build_object('kind', 'removed');
end $$;
comment on function app.finish_removal(uuid) is
  'Marks a tenant''s apps for removal when they have no machines left. When the apps are gone, erases the tenant''s '
  'candidates and deletes its secrets. Usage and audit entries stay.';

create function public.removals_under_way(p_limit integer default 20) returns uuid[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(x.id), '{}') from (select id from public.tenants where status = 'removing'
    order by updated_at limit p_limit) x
$$;
comment on function public.removals_under_way(integer) is
  'Lists tenants whose removal is not complete; called by the onboarding job, which then calls remove_tenant.';
grant execute on function public.removals_under_way(integer) to orchestrator;

-- ── schemas/tenants/rights.sql ──
alter table public.tenants enable row level security;
grant select on public.tenants to orchestrator;
create policy "orchestrators read all rows" on public.tenants for select to orchestrator using (true);
grant select on public.tenants to authenticated;
create policy "members read their own tenant" on public.tenants for select to authenticated
  using (id in (select app.my_tenants()));

alter table public.consent_texts enable row level security;
grant select on public.consent_texts to orchestrator;
create policy "orchestrators read all rows" on public.consent_texts for select to orchestrator using (true);
grant select on public.consent_texts to authenticated;
create policy "members read their tenant's rows" on public.consent_texts for select to authenticated
  using (tenant_id in (select app.my_tenants()));

alter table public.tenant_counters enable row level security;
grant select on public.tenant_counters to orchestrator;
create policy "orchestrators read all rows" on public.tenant_counters for select to orchestrator using (true);

alter table public.tenant_apps enable row level security;
grant select on public.tenant_apps to orchestrator;
create policy "orchestrators read all rows" on public.tenant_apps for select to orchestrator using (true);

alter table public.rate_limits enable row level security;
grant select on public.rate_limits to orchestrator;
create policy "orchestrators read all rows" on public.rate_limits for select to orchestrator using (true);

-- ── schemas/tenants/tenants.sql ──
create function app.tenant_json(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(t) || jsonb_build_object(
    'consent_text', (select c.text from public.consent_texts c where c.tenant_id = t.id
      and c.version = t.consent_text_version),
    'live_sessions', coalesce((select c.live_sessions from public.tenant_counters c where c.tenant_id = t.id), 0),
    'apps', (select coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'network', a.network, 'status', a.status)
      order by a.name), '[]')
      from public.tenant_apps a where a.tenant_id = t.id),
    'pools', (select coalesce(jsonb_agg(jsonb_build_object('region', p.region, 'floor', p.floor, 'ceiling', p.ceiling,
      'hot', jsonb_build_object('floor', p.hot_floor, 'ceiling', p.hot_ceiling))
      order by p.region), '[]')
      from public.pool_policies p where p.tenant_id = t.id))
  from public.tenants t where t.id = p_tenant_id
$$;
comment on function app.tenant_json(uuid) is
  'Returns a tenant as the API shows it: its row, current consent text, number of live sessions, apps and pools.';

create function public.get_tenant(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.tenant_json(p_tenant_id) $$;
comment on function public.get_tenant(uuid) is
  'Returns a tenant with its apps and pools; called by the API. Null if there is none.';
grant execute on function public.get_tenant(uuid) to orchestrator;

create function public.list_tenants(p_limit integer, p_after_slug text default '') returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(y.shown order by y.slug), '[]') from (
    select x.slug, x.shown,
      sum(octet_length(x.shown::text)) over (order by x.slug) - octet_length(x.shown::text) as before
    from (
      select t.slug, app.tenant_json(t.id) as shown
      from public.tenants t where t.slug > p_after_slug order by t.slug limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.list_tenants(integer, text) is
  'Lists tenants by slug, after the given one; called by the API. Returns at most max_list_bytes plus one tenant.';
grant execute on function public.list_tenants(integer, text) to orchestrator;

create function app.add_consent_text(p_tenant_id uuid, p_changes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 100;
  v_version text := p_changes ->> 'consent_text_version';
  v_text text := p_changes ->> 'consent_text';
  v_stored text;
begin
  if v_version is null or v_text is null then return null; end if;
  select c.text into v_stored from public.consent_texts c where c.tenant_id = p_tenant_id and c.version = v_version;
  if v_stored = v_text then return null; end if;
  if v_stored is not null or exists (select from public.consents c where c.tenant_id = p_tenant_id
    and c.text_version = v_version) then
    return jsonb_build_object('kind', 'consent_text_fixed', 'text_version', v_version);
  end if;
  if (select count(*) from public.consent_texts c where c.tenant_id = p_tenant_id) >= v_limit then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', v_limit);
  end if;
  insert into public.consent_texts (tenant_id, version, text) values (p_tenant_id, v_version, v_text);
  return null;
end $$;
comment on function app.add_consent_text(uuid, jsonb) is
  'Stores the consent text among the changes of a tenant. The caller has locked the tenant. Returns null, or why the '
  'text is refused: consent_text_fixed (another text is stored under this text_version, or a candidate consented to '
  'it while no text was stored) or limit_exceeded (the tenant has as many texts as it may have).';

create function app.change_tenant(p_tenant_id uuid, p_changes jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.tenants t set name = n.name, max_live_sessions = n.max_live_sessions,
    max_duration_ms = n.max_duration_ms,
    settings = jsonb_strip_nulls(t.settings || coalesce(p_changes -> 'settings', '{}')),
    starts_per_minute = n.starts_per_minute, max_standby = n.max_standby, allowed_regions = n.allowed_regions,
    allowed_origins = n.allowed_origins,
    require_consent = n.require_consent, consent_text_version = n.consent_text_version,
    transcript_days = n.transcript_days,
    video_days = n.video_days, audit_days = n.audit_days, event_days = n.event_days, usage_days = n.usage_days,
    on_consent_withdrawn = n.on_consent_withdrawn,
    status = case when t.status in ('active', 'suspended') and n.status in ('active', 'suspended') then n.status
      else t.status end
  from (select r.* from public.tenants o cross join lateral jsonb_populate_record(o, p_changes - 'settings') r
    where o.id = p_tenant_id) n
  where t.id = p_tenant_id
$$;
comment on function app.change_tenant(uuid, jsonb) is
  'Applies the given fields to a tenant. Within settings, omitted fields stay and null removes a field. id, slug and '
  'dates never change, and a tenant that is being removed keeps that status.';

create function public.plan_tenant(p_slug text, p_settings jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_status text;
begin
  insert into public.tenants (slug, name) values (p_slug, coalesce(p_settings ->> 'name', p_slug))
    on conflict (slug) do nothing returning id into v_id;
  if v_id is null then
    select id, status into v_id, v_status from public.tenants where slug = p_slug;
    if v_status in ('removing', 'removed') then return jsonb_build_object('kind', 'slug_taken'); end if;
    return jsonb_build_object('kind', 'known', 'tenant', app.tenant_json(v_id));
  end if;
  insert into public.tenant_counters (tenant_id) values (v_id);
  perform app.add_consent_text(v_id, p_settings);
  perform app.change_tenant(v_id, p_settings);
  perform app.audit(p_by, v_id, 'tenant.create', v_id::text, jsonb_build_object('slug', p_slug));
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_tenant(text, jsonb, jsonb) is
  'Returns the tenant with this slug, or creates it; called by the API. Returns kind: planned, known (nothing was '
  'changed), slug_taken (the slug belonged to a removed tenant).';
grant execute on function public.plan_tenant(text, jsonb, jsonb) to orchestrator;

create function public.update_tenant(p_tenant_id uuid, p_changes jsonb, p_by jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_refusal jsonb;
  v_updated_at timestamptz;
begin
  select updated_at into v_updated_at from public.tenants where id = p_tenant_id
    and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if v_updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  v_refusal := app.add_consent_text(p_tenant_id, p_changes);
  if v_refusal is not null then return v_refusal; end if;
  perform app.change_tenant(p_tenant_id, p_changes);
  perform app.audit(p_by, p_tenant_id, 'tenant.update', p_tenant_id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'updated', 'tenant', app.tenant_json(p_tenant_id));
end $$;
comment on function public.update_tenant(uuid, jsonb, jsonb, timestamptz) is
  'Changes name, settings, quotas, allowed regions and origins, consent, retention or status (active, suspended); '
  'called by the API. Omitted fields stay, also within settings. consent_text is stored under consent_text_version. '
  'Returns kind: updated, consent_text_fixed (text_version: its text cannot be changed), limit_exceeded (too many '
  'consent texts), changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.update_tenant(uuid, jsonb, jsonb, timestamptz) to orchestrator;

create function public.tenant_origins() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'origins', to_jsonb(t.allowed_origins))), '[]')
  from public.tenants t where t.status in ('active', 'suspended') and t.allowed_origins <> '{}'
$$;
comment on function public.tenant_origins() is
  'Lists tenants that have a list of browser origins, with the origins; called regularly by the API. The edge and '
  'CORS need them before a caller is authenticated.';
grant execute on function public.tenant_origins() to orchestrator;

-- ── schemas/tenants/test-mode.sql ──
create function public.plan_test_tenant(p_tenant_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  t public.tenants;
  v_id uuid;
  v_slug text;
begin
  select * into t from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if t.test then return jsonb_build_object('kind', 'is_test'); end if;
  select id into v_id from public.tenants where live_tenant_id = t.id;
  if found then return jsonb_build_object('kind', 'known', 'tenant', app.tenant_json(v_id)); end if;
  -- Slugs have at most 40 characters and are unique, also among tenants that chose such a slug themselves.
  v_slug := rtrim(left(t.slug, 35), '-') || '-test';
  if exists (select from public.tenants where slug = v_slug) then
    v_slug := rtrim(left(t.slug, 26), '-') || '-test-' || substr(replace(t.id::text, '-', ''), 1, 8);
  end if;
  insert into public.tenants (slug, name, status, settings, max_live_sessions, max_duration_ms, allowed_regions,
    allowed_origins, require_consent, consent_text_version, transcript_days, video_days, audit_days,
    on_consent_withdrawn, live_tenant_id)
    values (v_slug, left(t.name, 192) || ' (test)', t.status, t.settings, least(t.max_live_sessions, 10),
      t.max_duration_ms, t.allowed_regions, t.allowed_origins, t.require_consent, t.consent_text_version,
      t.transcript_days, t.video_days, t.audit_days, t.on_consent_withdrawn, t.id)
    returning id into v_id;
  insert into public.tenant_counters (tenant_id) values (v_id);
  insert into public.consent_texts (tenant_id, version, text)
    select v_id, c.version, c.text from public.consent_texts c where c.tenant_id = t.id;
  perform app.audit(p_by, t.id, 'tenant.test_mode', v_id::text);
  return jsonb_build_object('kind', 'planned', 'tenant', app.tenant_json(v_id));
end $$;
comment on function public.plan_test_tenant(uuid, jsonb) is
  'Returns the test mode of a tenant, or creates it with the tenant''s settings and at most 10 live sessions; called '
  'by the API. Later changes of the tenant do not affect it, except its status. Returns kind: planned, known, is_test '
  '(it is the test mode of another tenant), not_found.';
grant execute on function public.plan_test_tenant(uuid, jsonb) to orchestrator;

create function app.follow_live_tenant() returns trigger language plpgsql set search_path = '' as $$
begin
  update public.tenants set status = new.status
    where live_tenant_id = new.id and status <> new.status and status <> 'removed'
      and new.status in ('active', 'suspended', 'removing');
  if new.status = 'removing' then
    update public.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
      where tenant_id = (select t.id from public.tenants t where t.live_tenant_id = new.id);
  end if;
  return null;
end $$;
comment on function app.follow_live_tenant() is
  'Suspends and resumes the test mode with its tenant, and starts its removal: the onboarding job continues that '
  '(removals_under_way). Trigger of tenants.';
create trigger follow_live_tenant after update of status on public.tenants for each row
  when (not new.test and old.status is distinct from new.status) execute function app.follow_live_tenant();

-- ── schemas/webhooks/deliveries.sql ──
create function app.queue_webhooks() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, session_id, event_id, holds, type, payload)
    select n.tenant_id, e.id, n.session_id, n.id, n.session_id is not null, n.type, jsonb_build_object('type', n.type,
      'timestamp', n.created_at, 'data', case e.payload when 'thin' then '{}' else n.data end
        || jsonb_strip_nulls(jsonb_build_object('session_id', n.session_id)))
    from incoming n join public.webhook_endpoints e on e.tenant_id = n.tenant_id
    where app.event_audience(n.type) = 'tenant' and e.enabled and (e.events = '{}' or n.type = any (e.events));
  return null;
end $$;
comment on function app.queue_webhooks() is
  'Queues one delivery for each enabled endpoint that wants the event. Trigger of session_events.';
-- Per statement, because sessions are created in batches, together with their events.
create trigger queue_webhooks after insert on public.session_events referencing new table as incoming
  for each statement execute function app.queue_webhooks();

create function app.delivery_json(d public.webhook_deliveries) returns jsonb
language sql stable return jsonb_build_object('id', d.id, 'webhook_id', d.endpoint_id, 'session_id', d.session_id,
  'type', d.type, 'status', d.status, 'attempts', d.attempts,
  'next_attempt_at', case when d.status = 'pending' then d.next_attempt_at end, 'last_status', d.last_status,
  'last_error', d.last_error, 'delivered_at', d.delivered_at, 'created_at', d.created_at);
comment on function app.delivery_json(public.webhook_deliveries) is 'Returns a delivery as the API shows it.';

create function public.webhook_delivery(p_tenant_id uuid, p_webhook_id uuid, p_delivery_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.delivery_json(d) || jsonb_build_object('payload', d.payload, 'log', d.log)
  from public.webhook_deliveries d
  where d.id = p_delivery_id and d.tenant_id = p_tenant_id and d.endpoint_id = p_webhook_id
$$;
comment on function public.webhook_delivery(uuid, uuid, uuid) is
  'Returns a delivery with its payload and the log of its attempts; called by the API. Null if there is none.';
grant execute on function public.webhook_delivery(uuid, uuid, uuid) to orchestrator;

create function public.test_webhook(p_tenant_id uuid, p_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  insert into public.webhook_deliveries (tenant_id, endpoint_id, type, payload)
    select e.tenant_id, e.id, 'webhook.test', jsonb_build_object('type', 'webhook.test', 'timestamp', clock_timestamp(),
      'data', '{}'::jsonb)
    from public.webhook_endpoints e where e.tenant_id = p_tenant_id and e.id = p_id returning * into d;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.test_webhook(uuid, uuid) is
  'Queues an empty test message for an endpoint; called by the API. Returns kind: queued, not_found.';
grant execute on function public.test_webhook(uuid, uuid) to orchestrator;

create function public.list_webhook_deliveries(p_tenant_id uuid, p_webhook_id uuid, p_limit integer,
  p_status text default null,
  p_before timestamptz default null, p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.delivery_json(x) order by x.created_at desc, x.id desc), '[]') from (
    select d.* from public.webhook_deliveries d
    where d.tenant_id = p_tenant_id and d.endpoint_id = p_webhook_id and (p_status is null or d.status = p_status)
      and (p_before is null or (d.created_at, d.id) < (p_before, p_before_id))
    order by d.created_at desc, d.id desc limit p_limit) x
$$;
comment on function public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid) is
  'Lists the deliveries of an endpoint, newest first; called by the API.';
grant execute on function public.list_webhook_deliveries(uuid, uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.replay_webhook_delivery(p_tenant_id uuid, p_webhook_id uuid, p_delivery_id uuid, p_by jsonb)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  select * into d from public.webhook_deliveries
    where id = p_delivery_id and tenant_id = p_tenant_id and endpoint_id = p_webhook_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if d.payload = '{}' then return jsonb_build_object('kind', 'erased'); end if;
  update public.webhook_deliveries set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
    taken_until = null, holds = false, delivered_at = null
    where id = d.id returning * into d;
  perform app.audit(p_by, p_tenant_id, 'webhook.replay', d.id::text);
  return jsonb_build_object('kind', 'queued', 'delivery', app.delivery_json(d));
end $$;
comment on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) is
  'Queues a delivery again under the same message id; called by the API. No other delivery waits for it. Returns '
  'kind: queued, erased (its payload was deleted), not_found.';
grant execute on function public.replay_webhook_delivery(uuid, uuid, uuid, jsonb) to orchestrator;

create function app.due_deliveries(p_endpoint_id uuid, p_limit integer)
  returns table (id uuid, next_attempt_at timestamptz)
language sql stable set search_path = '' as $$
  with recursive first_of_session as (
    (select d.session_id, d.id, d.next_attempt_at from public.webhook_deliveries d
      where d.endpoint_id = p_endpoint_id and d.status = 'pending' and d.holds
      order by d.session_id, d.event_id limit 1)
    union all
    select n.session_id, n.id, n.next_attempt_at from first_of_session f cross join lateral (
      select d.session_id, d.id, d.next_attempt_at from public.webhook_deliveries d
      where d.endpoint_id = p_endpoint_id and d.status = 'pending' and d.holds and d.session_id > f.session_id
      order by d.session_id, d.event_id limit 1) n
  ), loose as (
    select d.id, d.next_attempt_at from public.webhook_deliveries d
    where d.endpoint_id = p_endpoint_id and d.status = 'pending' and not d.holds
      and d.next_attempt_at <= clock_timestamp()
    order by d.next_attempt_at limit p_limit
  ), in_order as (
    -- Not sorted, so that the scan over the sessions ends with the last row that is needed.
    select f.id, f.next_attempt_at from first_of_session f where f.next_attempt_at <= clock_timestamp() limit p_limit
  )
  select x.id, x.next_attempt_at from (table loose union all table in_order) x order by x.next_attempt_at limit p_limit
$$;
comment on function app.due_deliveries(uuid, integer) is
  'Returns the due deliveries of an endpoint: the first of each session whose later deliveries wait, and those for '
  'which none waits.';

create function app.deliveries_to_take(p_limit integer, p_per_endpoint integer, p_per_tenant integer) returns uuid[]
language sql stable set search_path = '' as $$
  with under_way as (
    select d.tenant_id, d.endpoint_id, count(*)::integer as n from public.webhook_deliveries d
    where d.status = 'pending' and d.taken_until > clock_timestamp() group by d.tenant_id, d.endpoint_id
  ), candidate as (
    select d.id, e.tenant_id, d.next_attempt_at,
      row_number() over (partition by e.tenant_id order by d.next_attempt_at, d.id) as turn
    from public.webhook_endpoints e
    cross join lateral (
      select case when e.failures > 2 then 1 else p_per_endpoint end
        - coalesce((select u.n from under_way u where u.endpoint_id = e.id), 0) as n) free
    cross join lateral app.due_deliveries(e.id, free.n) d
    where e.enabled and free.n > 0
      and exists (select from public.webhook_deliveries w where w.endpoint_id = e.id and w.status = 'pending')
  )
  select coalesce(array_agg(x.id), '{}') from (
    select c.id from candidate c
    where c.turn + coalesce((select sum(u.n) from under_way u where u.tenant_id = c.tenant_id), 0) <= p_per_tenant
    order by c.turn, c.next_attempt_at limit p_limit) x
$$;
comment on function app.deliveries_to_take(integer, integer, integer) is
  'Returns the deliveries that may be started now, tenants in turn, within the limits per endpoint and tenant.';

create function public.take_webhook_deliveries(p_limit integer, p_taken_ms integer, p_per_endpoint integer default 8,
  p_per_tenant integer default 16) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_ids uuid[];
  v_taken jsonb;
begin
  -- Only one orchestrator takes at a time. Two at once would not count each other's takes and could exceed the limits.
  perform pg_advisory_xact_lock(hashtextextended('take_webhook_deliveries', 0));
  v_ids := app.deliveries_to_take(p_limit, p_per_endpoint, p_per_tenant);
  with due as (
    select d.id from public.webhook_deliveries d
    where d.id = any (v_ids) and d.status = 'pending' and d.next_attempt_at <= clock_timestamp()
    for update of d skip locked
  ), taken as (
    update public.webhook_deliveries d set attempts = d.attempts + 1,
      taken_until = clock_timestamp() + app.interval_ms(p_taken_ms),
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where d.id = due.id returning d.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'tenant_id', d.tenant_id, 'webhook_id', e.id,
    'url', e.url, 'attempt', d.attempts, 'payload', d.payload, 'secret_ciphertext', e.secret_ciphertext,
    'previous_secret_ciphertext', case when e.previous_secret_until > clock_timestamp()
      then e.previous_secret_ciphertext end, 'session_id', d.session_id, 'traceparent', s.traceparent)
    order by d.event_id), '[]') into v_taken
  from taken d join public.webhook_endpoints e on e.id = d.endpoint_id
  left join public.interview_sessions s on s.id = d.session_id;
  return v_taken;
end $$;
comment on function public.take_webhook_deliveries(integer, integer, integer, integer) is
  'Takes due deliveries for one attempt each, tenants in turn; called by the webhook sender. After p_taken_ms '
  'without a report, another orchestrator can take a delivery. At most p_per_endpoint and p_per_tenant are in '
  'progress at once, across all orchestrators.';
grant execute on function public.take_webhook_deliveries(integer, integer, integer, integer) to orchestrator;

create function app.disable_webhook(p_id uuid, p_why text, p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints set enabled = false, disabled_reason = p_reason where id = p_id and enabled
    returning * into e;
  if not found then return; end if;
  perform app.emit(null, e.tenant_id, 'webhook.disabled', jsonb_build_object('webhook_id', e.id, 'reason', p_why));
  perform app.audit('{"actor": "webhooks"}', e.tenant_id, 'webhook.disable', e.id::text,
    jsonb_build_object('reason', p_why));
end $$;
comment on function app.disable_webhook(uuid, text, text) is
  'Disables an endpoint that no longer works, and tells the tenant by an event, which its other endpoints receive. '
  'p_why: gone or not_delivering. p_reason: the same in words.';

create function app.count_webhook_failure(p_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  e public.webhook_endpoints;
  v_since interval;
begin
  update public.webhook_endpoints set failures = least(failures + 1, 100),
    failing_since = coalesce(failing_since, clock_timestamp()) where id = p_id and enabled returning * into e;
  if not found then return; end if;
  v_since := clock_timestamp() - e.failing_since;
  -- A few failures far apart are no sustained failure.
  if e.failures < 5 then return; end if;
  if v_since >= interval '3 days' then
    perform app.disable_webhook(p_id, 'not_delivering', 'nothing was delivered for 3 days');
  elsif v_since >= interval '1 day' and e.warned_at is null then
    update public.webhook_endpoints set warned_at = clock_timestamp() where id = p_id;
    perform app.emit(null, e.tenant_id, 'webhook.failing', jsonb_build_object('webhook_id', e.id,
      'since', e.failing_since, 'disabled_at', e.failing_since + interval '3 days'));
  end if;
end $$;
comment on function app.count_webhook_failure(uuid) is
  'Counts a failed attempt. After a day of at least five failures without a success it emits webhook.failing, once; '
  'after three days it disables the endpoint.';

create function public.record_webhook_delivery(p_id uuid, p_attempt integer, p_outcome text, p_status integer,
  p_error text, p_retry_ms bigint, p_ms integer, p_answer text)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_endpoint uuid;
  v_entry jsonb := jsonb_build_object('at', clock_timestamp(), 'ms', p_ms, 'status', p_status, 'error', p_error,
    'answer', left(p_answer, 500));
begin
  update public.webhook_deliveries set
      status = case p_outcome when 'delivered' then 'delivered' when 'retry' then 'pending' else 'dead' end,
      delivered_at = case p_outcome when 'delivered' then clock_timestamp() end,
      next_attempt_at = case p_outcome when 'retry' then clock_timestamp() + app.interval_ms(p_retry_ms)
        else next_attempt_at end,
      taken_until = null, holds = holds and attempts < 2, last_status = p_status, last_error = p_error,
      -- After an erasure nothing is logged: the receiver's answer may repeat personal data.
      log = case payload when '{}' then '[]' else
        case when jsonb_array_length(log) >= 20 then log - 0 else log end || v_entry end
    where id = p_id and attempts = p_attempt and status = 'pending' returning endpoint_id into v_endpoint;
  if not found then return false; end if;
  if p_outcome = 'delivered' then
    update public.webhook_endpoints set failures = 0, failing_since = null, warned_at = null
      where id = v_endpoint and failures > 0;
  elsif p_outcome = 'gone' then
    perform app.disable_webhook(v_endpoint, 'gone', 'answered 410 Gone');
  else
    perform app.count_webhook_failure(v_endpoint);
  end if;
  return true;
end $$;
comment on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint, integer, text) is
  'Records the outcome of an attempt; called by the webhook sender: delivered, retry (after p_retry_ms), dead, or '
  'gone (dead, and the endpoint is disabled). p_ms: how long it took. p_answer: the beginning of the answer''s body. '
  'Returns false if another attempt has begun in the meantime.';
grant execute on function public.record_webhook_delivery(uuid, integer, text, integer, text, bigint, integer, text)
  to orchestrator;

-- ── schemas/webhooks/endpoints.sql ──
create function app.webhook_json(e public.webhook_endpoints) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', e.id, 'url', e.url, 'events', to_jsonb(e.events), 'payload', e.payload,
    'enabled', e.enabled,
    'disabled_reason', e.disabled_reason, 'failing_since', e.failing_since,
    'previous_secret_until', e.previous_secret_until, 'created_at', e.created_at, 'updated_at', e.updated_at)
$$;
comment on function app.webhook_json(public.webhook_endpoints) is
  'Returns an endpoint as the API shows it, without its secret.';

create function public.create_webhook(p_tenant_id uuid, p_id uuid, p_url text, p_events text[], p_payload text,
  p_secret_ciphertext text, p_key_id text, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  perform 1 from public.tenants where id = p_tenant_id and status in ('active', 'suspended') for no key update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if (select count(*) from public.webhook_endpoints where tenant_id = p_tenant_id) >= 10 then
    return jsonb_build_object('kind', 'limit_exceeded', 'limit', 10);
  end if;
  insert into public.webhook_endpoints (id, tenant_id, url, events, payload, secret_ciphertext, key_id)
    values (p_id, p_tenant_id, p_url, p_events, p_payload, p_secret_ciphertext, p_key_id) returning * into e;
  perform app.audit(p_by, p_tenant_id, 'webhook.create', e.id::text, jsonb_build_object('url', p_url));
  return jsonb_build_object('kind', 'created', 'webhook', app.webhook_json(e));
end $$;
comment on function public.create_webhook(uuid, uuid, text, text[], text, text, text, jsonb) is
  'Stores an endpoint with its encrypted secret, at most ten per tenant; called by the API. Returns kind: created, '
  'limit_exceeded, not_found.';
grant execute on function public.create_webhook(uuid, uuid, text, text[], text, text, text, jsonb) to orchestrator;

create function public.list_webhooks(p_tenant_id uuid, p_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.webhook_json(e) order by e.created_at, e.id), '[]')
  from public.webhook_endpoints e where e.tenant_id = p_tenant_id and (p_id is null or e.id = p_id)
$$;
comment on function public.list_webhooks(uuid, uuid) is
  'Lists a tenant''s endpoints, or only the one with this id; called by the API.';
grant execute on function public.list_webhooks(uuid, uuid) to orchestrator;

create function public.change_webhook(p_tenant_id uuid, p_id uuid, p_changes jsonb, p_by jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
  v_anew boolean := p_changes ? 'url' or coalesce((p_changes ->> 'enabled')::boolean, false);
begin
  select * into e from public.webhook_endpoints where tenant_id = p_tenant_id and id = p_id for update;
  if e.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  update public.webhook_endpoints w set
      url = coalesce(p_changes ->> 'url', w.url),
      events = case when p_changes ? 'events' then (select coalesce(array_agg(x), '{}')
        from jsonb_array_elements_text(p_changes -> 'events') x) else w.events end,
      payload = coalesce(p_changes ->> 'payload', w.payload),
      enabled = coalesce((p_changes ->> 'enabled')::boolean, w.enabled),
      disabled_reason = case (p_changes ->> 'enabled')::boolean when true then null when false then 'by the tenant'
        else w.disabled_reason end,
      -- Switched on or moved: the failures so far no longer count.
      failures = case when v_anew then 0 else w.failures end,
      failing_since = case when not v_anew then w.failing_since end,
      warned_at = case when not v_anew then w.warned_at end
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.update', e.id::text,
    jsonb_build_object('fields', (select coalesce(jsonb_agg(k), '[]') from jsonb_object_keys(p_changes) k)));
  return jsonb_build_object('kind', 'changed', 'webhook', app.webhook_json(e));
end $$;
comment on function public.change_webhook(uuid, uuid, jsonb, jsonb, timestamptz) is
  'Changes url, events, payload or enabled of an endpoint; called by the API. Returns kind: changed, changed_meanwhile '
  '(p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_webhook(uuid, uuid, jsonb, jsonb, timestamptz) to orchestrator;

create function public.rotate_webhook_secret(p_tenant_id uuid, p_id uuid, p_secret_ciphertext text, p_key_id text,
  p_overlap_ms bigint, p_by jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  e public.webhook_endpoints;
begin
  update public.webhook_endpoints w set previous_secret_ciphertext = w.secret_ciphertext,
    secret_ciphertext = p_secret_ciphertext,
    previous_secret_until = clock_timestamp() + app.interval_ms(p_overlap_ms), key_id = p_key_id
    where w.tenant_id = p_tenant_id and w.id = p_id returning * into e;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.rotate_secret', e.id::text);
  return jsonb_build_object('kind', 'rotated', 'webhook', app.webhook_json(e));
end $$;
comment on function public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb) is
  'Stores a new secret; called by the API. For p_overlap_ms, deliveries are signed with both secrets. Returns kind: '
  'rotated, not_found.';
grant execute on function public.rotate_webhook_secret(uuid, uuid, text, text, bigint, jsonb) to orchestrator;

create function public.delete_webhook(p_tenant_id uuid, p_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.webhook_endpoints where tenant_id = p_tenant_id and id = p_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'webhook.delete', p_id::text);
  return true;
end $$;
comment on function public.delete_webhook(uuid, uuid, jsonb) is
  'Deletes an endpoint and its deliveries; called by the API. Returns false if there was none.';
grant execute on function public.delete_webhook(uuid, uuid, jsonb) to orchestrator;

create function public.webhook_secrets_to_rotate(p_key_id text, p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'ciphertext', x.secret_ciphertext)), '[]')
  from (select * from public.webhook_endpoints where key_id <> p_key_id order by id limit p_limit) x
$$;
comment on function public.webhook_secrets_to_rotate(text, integer) is
  'Lists secrets that are not yet encrypted with this key; called by the key rotation command.';
grant execute on function public.webhook_secrets_to_rotate(text, integer) to orchestrator;

create function public.rotate_webhook_ciphertext(p_id uuid, p_old_ciphertext text, p_ciphertext text, p_key_id text)
  returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (
    update public.webhook_endpoints set secret_ciphertext = p_ciphertext, key_id = p_key_id,
      previous_secret_ciphertext = null, previous_secret_until = null
    where id = p_id and secret_ciphertext = p_old_ciphertext returning 1)
  select exists (select from done)
$$;
comment on function public.rotate_webhook_ciphertext(uuid, text, text, text) is
  'Replaces a secret''s ciphertext by one made with another key, if the stored one is still the given one; called by '
  'the key rotation command. The overlap of an earlier secret rotation ends. Returns false if the secret was '
  'replaced in the meantime.';
grant execute on function public.rotate_webhook_ciphertext(uuid, text, text, text) to orchestrator;

-- ── schemas/webhooks/rights.sql ──
alter table public.webhook_endpoints enable row level security;
grant select (id, tenant_id, url, events, key_id, enabled, disabled_reason, previous_secret_until, created_at,
  updated_at)
  on public.webhook_endpoints to orchestrator;
create policy "orchestrators read all rows" on public.webhook_endpoints for select to orchestrator using (true);

alter table public.webhook_deliveries enable row level security;
grant select on public.webhook_deliveries to orchestrator;
create policy "orchestrators read all rows" on public.webhook_deliveries for select to orchestrator using (true);
