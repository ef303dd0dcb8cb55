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
