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
