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
