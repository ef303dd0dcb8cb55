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
