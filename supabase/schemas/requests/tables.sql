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
