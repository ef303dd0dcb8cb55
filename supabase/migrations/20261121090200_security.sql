-- Who may do what. Nothing is granted by default; every table has RLS; one policy per operation, named for what it permits.
--
-- orchestrator    reads everything, writes only through the functions granted to it.
-- session_worker  knows one session: its own (claims session_id, machine_id, epoch), through two functions and two reads.
-- authenticated   members of a tenant read their tenant's rows; the platform API writes on their behalf.
-- anon            nothing.

create role orchestrator nologin noinherit;
create role session_worker nologin noinherit;
grant orchestrator, session_worker to authenticator;
grant usage on schema public, app to orchestrator, session_worker, authenticated;
alter role orchestrator set statement_timeout = '8s';
alter role session_worker set statement_timeout = '8s';

create function app.my_tenants(p_roles text[] default array['admin', 'member', 'viewer']) returns setof uuid
language sql stable security definer set search_path = '' as $$
  select u.tenant_id from public.tenant_users u
  where u.role = any (p_roles) and u.user_id = (app.claims() ->> 'sub')::uuid
$$;
comment on function app.my_tenants(text[]) is
  'The tenants the caller belongs to in one of these roles. SECURITY DEFINER, so that the policy of tenant_users does not call itself.';

create function app.worker_session() returns uuid
language sql stable set search_path = '' as $$ select (app.claims() ->> 'session_id')::uuid $$;
comment on function app.worker_session() is 'The one session a worker''s token is for.';

create function app.worker_serves(p_session_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.interview_sessions s where s.id = p_session_id and s.id = app.worker_session()
    and s.machine_id = (app.claims() ->> 'machine_id')::uuid and s.epoch = (app.claims() ->> 'epoch')::integer)
$$;
comment on function app.worker_serves(uuid) is 'Whether the calling worker serves this session at its present epoch.';

do $$
declare
  t text;
begin
  foreach t in array array['tenants', 'tenant_counters', 'tenant_users', 'tenant_apps', 'api_keys', 'candidates', 'tenant_candidates', 'positions',
    'interview_sessions', 'machines', 'realtime_calls', 'session_events', 'idempotency_keys', 'session_invitations', 'transcript_entries',
    'interview_results', 'video_segments', 'machine_usage', 'orchestrators', 'audit_log'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('grant select on public.%I to orchestrator', t);
    execute format('create policy "orchestrators read all rows" on public.%I for select to orchestrator using (true)', t);
  end loop;
  -- What members of a tenant may read of it.
  foreach t in array array['tenant_users', 'tenant_candidates', 'positions', 'interview_sessions', 'session_events', 'transcript_entries',
    'interview_results', 'video_segments', 'machine_usage'] loop
    execute format('grant select on public.%I to authenticated', t);
    execute format('create policy "members read their tenant''s rows" on public.%I for select to authenticated using (tenant_id in (select app.my_tenants()))', t);
  end loop;
end $$;

grant select on public.tenants to authenticated;
create policy "members read their own tenant" on public.tenants for select to authenticated using (id in (select app.my_tenants()));
grant select on public.interview_transcripts to authenticated, orchestrator;

grant select (id, tenant_id, status, outcome, reason, epoch, machine_id) on public.interview_sessions to session_worker;
create policy "a worker reads its own session" on public.interview_sessions for select to session_worker using ((select app.worker_serves(id)));
grant select on public.transcript_entries to session_worker;
create policy "a worker reads its own session's entries" on public.transcript_entries for select to session_worker
  using (session_id = (select app.worker_session()) and (select app.worker_serves(session_id)));

-- Functions: PostgreSQL grants EXECUTE to everybody by default; here nobody has it unless named.
revoke execute on all functions in schema public from public, anon, authenticated;
revoke execute on all functions in schema app from public, anon, authenticated;
-- Also for functions of later migrations. Not `in schema`: per schema, the default for everybody can only be added to.
alter default privileges revoke execute on functions from public;

grant execute on function app.claims(), app.my_tenants(text[]) to authenticated, orchestrator, session_worker;
grant execute on function app.rank_of(text) to authenticated, orchestrator, session_worker;
grant execute on function app.worker_session(), app.worker_serves(uuid) to session_worker;
grant execute on function public.transcript_of(uuid) to authenticated, orchestrator, session_worker;
grant execute on function public.worker_report(text, text, text, text), public.append_transcript(jsonb) to session_worker;
grant execute on function
  public.authenticate_api_keys(text[]), public.create_sessions(jsonb), public.get_session(uuid, uuid), public.list_sessions(uuid, integer, text, timestamptz, uuid),
  public.session_routes(uuid[]), public.session_events_after(jsonb, integer), public.take_intents(uuid, integer, integer),
  public.keep_intent(uuid, uuid, integer), public.record_machine_created(uuid, text, text), public.record_create_failed(uuid, text, uuid, text, uuid, integer),
  public.claim_session(text, text, text, text, integer, integer, text), public.record_heartbeats(jsonb, integer),
  public.open_call(uuid, integer, integer, text), public.record_call(uuid, integer, integer, text, integer, text, boolean),
  public.finish_session(uuid, integer, text, text, text, boolean, jsonb), public.request_end(uuid, uuid, text, text),
  public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint), public.record_machine_gone(uuid, text, text, jsonb, text, bigint),
  public.machines_alive(text[]),
  public.record_machine_absent(uuid), public.calls_to_hang_up(integer, integer), public.record_hang_up(uuid), public.expire_sessions(),
  public.register_orchestrator(uuid, text, text), public.exchange_invitation(uuid, text, text), public.record_audit(jsonb)
to orchestrator;
