-- Who is calling: what the policies and functions of every domain ask of the request's token.

create function app.claims() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb)
$$;
comment on function app.claims() is
  'Answers the claims of the request''s token. Custom roles have no access to schema auth on hosted projects.';
grant execute on function app.claims() to authenticated, orchestrator, session_worker;

create function app.my_tenants(p_roles text[] default array['admin', 'member', 'viewer']) returns setof uuid
language sql stable security definer set search_path = '' as $$
  select u.tenant_id from public.tenant_users u join public.tenants t on t.id = u.tenant_id
  where u.role = any (p_roles) and u.user_id = (app.claims() ->> 'sub')::uuid and t.status = 'active'
$$;
comment on function app.my_tenants(text[]) is
  'The active tenants the caller belongs to in one of these roles: of one that is suspended or being removed nothing '
  'is read or written, as by the platform API. SECURITY DEFINER, so that the policy of tenant_users does not call '
  'itself.';
grant execute on function app.my_tenants(text[]) to authenticated, orchestrator, session_worker;

create function app.worker_session() returns uuid
language sql stable set search_path = '' as $$ select (app.claims() ->> 'session_id')::uuid $$;
comment on function app.worker_session() is 'Answers the one session that a worker''s token is for.';
grant execute on function app.worker_session() to session_worker;

create function app.worker_serves(p_session_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.interview_sessions s where s.id = p_session_id and s.id = app.worker_session()
    and s.machine_id = (app.claims() ->> 'machine_id')::uuid and s.epoch = (app.claims() ->> 'epoch')::integer
    and not app.worker_is_over(s))
$$;
comment on function app.worker_serves(uuid) is
  'Whether the calling worker serves this session at its present epoch, and its time is not over.';
grant execute on function app.worker_serves(uuid) to session_worker;
