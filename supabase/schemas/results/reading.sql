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
