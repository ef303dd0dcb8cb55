-- Finishing: the evaluation of a session as durable work, and what is known of its integrity.
--
-- E1  A result is queued by the database itself, when its session ends or its transcript grows afterwards: no process can
--     forget to.
-- E2  A take is a lease (next_attempt_at) with a number that only grows (takes). Whoever reports with an older number is
--     told that it is stale and changes nothing: each revision is recorded once.
-- E3  The session is locked before its result, as everywhere (F2).
-- E4  A result is given up visibly: status dead, with the failure and an event; it can be run again by hand.
-- E5  A new evaluation has not been reviewed by anybody.

alter table public.interview_sessions
  add column integrity jsonb not null default '{}'::jsonb check (jsonb_typeof(integrity) = 'object');
comment on column public.interview_sessions.integrity is 'What the worker saw that nobody on our side did: kind → how often. Written by flag_integrity alone.';

alter table public.interview_results
  add column wanted_revision integer not null default 0 check (wanted_revision >= 0),
  add column takes integer not null default 0 check (takes >= 0),
  add column taken_by uuid,
  add column failure text check (failure in ('refused', 'incomplete', 'invalid_answer', 'rejected', 'provider_auth_failed',
    'provider_rate_limited', 'provider_unavailable', 'interrupted', 'internal_error')),
  add column model text,
  add column evaluated_at timestamptz,
  add column reviewed_by text check (char_length(reviewed_by) between 1 and 200),
  add column reviewed_at timestamptz;
comment on column public.interview_results.wanted_revision is 'The revision of the transcript it should be made from; above transcript_revision while that is still to be done.';
comment on column public.interview_results.takes is 'How often it was taken, ever: the fencing number of the one who works at it (E2).';
comment on column public.interview_results.taken_by is 'The orchestrator that took it last.';
comment on column public.interview_results.failure is 'Why the last attempt failed; null after one that did not.';
comment on column public.interview_results.model is 'The model that evaluated; null when none was asked.';
comment on column public.interview_results.evaluated_at is 'When the summary and evaluation shown were made.';
comment on column public.interview_results.reviewed_by is 'Who reviewed it: a person as the platform names them, or the API key.';
comment on column public.interview_results.reviewed_at is 'When it was reviewed.';
comment on column public.interview_results.integrity_flags is 'What the evaluation itself brought to light, [{kind, count}]. What the worker saw is on the session.';
create index interview_results_dead on public.interview_results (updated_at) where status = 'dead';

-- ── queueing (E1) ──────────────────────────────────────────────────────────────────────────────────────────────────
create function app.result_wait(p_takes integer) returns interval
language sql immutable set search_path = '' as $$ select app.interval_ms(least(3600000, 1000 * power(2, least(p_takes, 12)))) $$;
comment on function app.result_wait(integer) is
  'How long a grown transcript waits for its next evaluation: late entries come in several uploads, and whoever holds the session''s token can send more. Each evaluation so far doubles it, from 1 s to an hour.';

create function app.queue_result() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.transcript_erased_at is not null then return null; end if;
  if new.started_at is null and not exists (select from public.transcript_entries e where e.session_id = new.id) then return null; end if;
  insert into public.interview_results as r (session_id, tenant_id, wanted_revision) values (new.id, new.tenant_id, new.transcript_revision)
  on conflict (session_id) do update set
    wanted_revision = excluded.wanted_revision,
    status = case r.status when 'running' then r.status else 'pending' end,
    attempts = case r.status when 'running' then r.attempts else 0 end,
    next_attempt_at = case r.status when 'running' then r.next_attempt_at
      else clock_timestamp() + app.result_wait(r.takes) end
  where r.wanted_revision < excluded.wanted_revision;
  return null;
end $$;
comment on function app.queue_result() is 'Queues the evaluation of a session that has ended, and again when its transcript has grown. A session that never began has nothing to evaluate.';
create trigger queue_result after update of status, transcript_revision on public.interview_sessions for each row
  when (new.state_rank >= 90 and (old.state_rank < 90 or new.transcript_revision > old.transcript_revision))
  execute function app.queue_result();

-- ── working at it (E2, E3) ─────────────────────────────────────────────────────────────────────────────────────────
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
comment on function app.lock_result(uuid, integer) is 'The result as this take holds it, locked; null when the take is stale.';

create function app.flags_of(p_integrity jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', key, 'count', value) order by key), '[]') from jsonb_each(p_integrity)
$$;
comment on function app.flags_of(jsonb) is 'What the worker saw, as a list of {kind, count}.';

create function app.give_up_result(p_session_id uuid, p_take integer, p_failure text, p_error text) returns boolean
language plpgsql set search_path = '' as $$
declare
  r public.interview_results := app.lock_result(p_session_id, p_take);
begin
  if r.id is null then return false; end if;
  update public.interview_results set status = 'dead', failure = p_failure, last_error = left(p_error, 1000) where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.dead', jsonb_build_object('failure', p_failure, 'attempts', r.attempts));
  return true;
end $$;
comment on function app.give_up_result(uuid, integer, text, text) is 'E4.';

create function public.take_results(p_orchestrator_id uuid, p_taken_ms integer, p_limit integer default 4, p_max_attempts integer default 8)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  x record;
  v_taken jsonb;
begin
  -- One that has ended every process that took it is given up, too.
  for x in select session_id, takes from public.interview_results
    where status = 'running' and next_attempt_at <= clock_timestamp() and attempts >= p_max_attempts limit p_limit loop
    perform app.give_up_result(x.session_id, x.takes, 'interrupted', 'The last attempt was interrupted.');
  end loop;
  with due as (
    select id from public.interview_results
    where status in ('pending', 'running') and next_attempt_at <= clock_timestamp() and (status = 'pending' or attempts < p_max_attempts)
    order by next_attempt_at limit p_limit for update skip locked
  ), taken as (
    update public.interview_results r set status = 'running', takes = takes + 1, attempts = attempts + 1, taken_by = p_orchestrator_id,
      next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    from due where r.id = due.id returning r.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('session_id', t.session_id, 'take', t.takes, 'attempt', t.attempts, 'revision', t.wanted_revision,
    'integrity_flags', app.flags_of(s.integrity), 'session', app.session_json(s.id))), '[]') into v_taken
  from taken t join public.interview_sessions s on s.id = t.session_id;
  return v_taken;
end $$;
comment on function public.take_results(uuid, integer, integer, integer) is
  'Takes due results for one attempt each; whoever does not report within p_taken_ms has lost it to the next. One whose last attempt was lost is given up.';

create function public.keep_result(p_session_id uuid, p_take integer, p_taken_ms integer) returns boolean
language sql volatile security definer set search_path = '' as $$
  with kept as (
    update public.interview_results set next_attempt_at = clock_timestamp() + app.interval_ms(p_taken_ms)
    where session_id = p_session_id and takes = p_take and status = 'running' returning 1)
  select exists (select from kept)
$$;
comment on function public.keep_result(uuid, integer, integer) is 'Prolongs a take before the next request to the model; false means it is stale and nothing more should be paid for.';

create function public.transcript_to_evaluate(p_session_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(t) order by t.sequence_number), '[]') from public.transcript_of(p_session_id) t
$$;
comment on function public.transcript_to_evaluate(uuid) is 'The whole conversation as one value: a list of rows could be cut off by the API''s row limit, and nobody would know.';

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
    summary = p_result ->> 'summary', evaluation = nullif(p_result -> 'evaluation', 'null'), model = p_result ->> 'model',
    integrity_flags = coalesce(p_result -> 'integrity_flags', '[]'), transcript_revision = p_revision,
    evaluated_at = clock_timestamp(), attempts = 0, failure = null, last_error = null,
    human_reviewed = false, reviewed_by = null, reviewed_at = null, -- E5
    next_attempt_at = clock_timestamp() + app.result_wait(r.takes)
  where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.' || v_status, jsonb_build_object('revision', p_revision));
  return case when r.wanted_revision > p_revision then 'queued_again' else 'recorded' end;
end $$;
comment on function public.record_result(uuid, integer, integer, jsonb) is
  'What an attempt made of a revision: {status: done|empty, summary, evaluation, integrity_flags, model}. Answers recorded, queued_again (the transcript has grown meanwhile) or stale.';

create function public.record_result_failed(p_session_id uuid, p_take integer, p_failure text, p_error text, p_retry_ms bigint default null)
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
  'An attempt failed: tried again after p_retry_ms, or given up when that is null. Answers pending, dead or stale.';

create function public.release_result(p_session_id uuid, p_take integer) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results := app.lock_result(p_session_id, p_take);
begin
  if r.id is null then return false; end if;
  update public.interview_results set status = 'pending', attempts = greatest(0, attempts - 1), next_attempt_at = clock_timestamp() where id = r.id;
  return true;
end $$;
comment on function public.release_result(uuid, integer) is 'Gives a take back unused (its orchestrator shuts down): another may have it at once, and it does not count.';

-- ── reading, running again, reviewing ──────────────────────────────────────────────────────────────────────────────
create function public.get_result(p_session_id uuid, p_tenant_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('session_status', s.status, 'result', case when r.id is null then null else jsonb_build_object(
    'session_id', s.id, 'status', r.status, 'summary', r.summary, 'evaluation', r.evaluation,
    'integrity_flags', app.flags_of(s.integrity) || r.integrity_flags,
    'unverified_entries', (select count(*) from public.transcript_entries e where e.session_id = s.id and not e.verified and e.text <> ''),
    'simulated', s.simulated, 'human_reviewed', r.human_reviewed, 'reviewed_by', r.reviewed_by, 'reviewed_at', r.reviewed_at,
    'transcript_revision', r.transcript_revision, 'wanted_revision', r.wanted_revision, 'model', r.model, 'evaluated_at', r.evaluated_at,
    'attempts', r.attempts, 'failure', r.failure, 'last_error', r.last_error,
    'next_attempt_at', case when r.status in ('pending', 'running') then r.next_attempt_at end, 'updated_at', r.updated_at) end)
  from public.interview_sessions s left join public.interview_results r on r.session_id = s.id
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_result(uuid, uuid) is 'A session''s result as the platform API shows it, {session_status, result}; result is null while there is none. Null when there is no such session.';

create function public.rerun_result(p_session_id uuid, p_tenant_id uuid default null, p_by text default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results;
begin
  perform 1 from public.interview_sessions where id = p_session_id and (p_tenant_id is null or tenant_id = p_tenant_id) for key share;
  if not found then return 'not_found'; end if;
  select * into r from public.interview_results where session_id = p_session_id for update;
  if not found then return 'nothing'; end if;
  if r.status = 'running' and r.next_attempt_at > clock_timestamp() then return 'running'; end if;
  update public.interview_results set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp() where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.rerun', jsonb_strip_nulls(jsonb_build_object('from', r.status, 'by', p_by)));
  return 'queued';
end $$;
comment on function public.rerun_result(uuid, uuid, text) is
  'Queues a result again by hand, with all its attempts. Answers queued, running (one is under way), nothing (the session has none) or not_found.';

create function public.review_result(p_session_id uuid, p_tenant_id uuid, p_reviewed boolean, p_by text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  r public.interview_results;
begin
  perform 1 from public.interview_sessions where id = p_session_id and (p_tenant_id is null or tenant_id = p_tenant_id) for key share;
  if not found then return 'not_found'; end if;
  select * into r from public.interview_results where session_id = p_session_id for update;
  if not found then return 'nothing'; end if;
  if p_reviewed and r.status not in ('done', 'empty') then return 'not_done'; end if;
  update public.interview_results set human_reviewed = p_reviewed, reviewed_by = case when p_reviewed then p_by end,
    reviewed_at = case when p_reviewed then clock_timestamp() end where id = r.id;
  perform app.emit(r.session_id, r.tenant_id, 'result.reviewed', jsonb_build_object('reviewed', p_reviewed, 'by', p_by));
  return 'recorded';
end $$;
comment on function public.review_result(uuid, uuid, boolean, text) is
  'A person has looked at the result, or takes that back. Answers recorded, not_done (there is nothing final to review), nothing or not_found.';

create function public.dead_results(p_limit integer default 100) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', session_id, 'tenant_id', tenant_id, 'failure', failure, 'attempts', attempts,
    'updated_at', updated_at) order by updated_at desc), '[]')
  from (select * from public.interview_results where status = 'dead' order by updated_at desc limit p_limit) d
$$;
comment on function public.dead_results(integer) is 'Results that were given up, newest first: what an operator has to look at (E4).';

-- ── integrity ──────────────────────────────────────────────────────────────────────────────────────────────────────
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
    set integrity = integrity || jsonb_build_object(p_kind, least(1000000, coalesce((integrity ->> p_kind)::integer, 0) + p_count)) where id = s.id;
end $$;
comment on function public.flag_integrity(text, integer) is
  'A worker saw something in its session''s call that nobody on our side did, such as foreign_item or foreign_session_update: counted, told to the evaluator, shown with the result. At most 20 kinds.';

grant execute on function
  public.take_results(uuid, integer, integer, integer), public.keep_result(uuid, integer, integer), public.transcript_to_evaluate(uuid),
  public.record_result(uuid, integer, integer, jsonb), public.record_result_failed(uuid, integer, text, text, bigint),
  public.release_result(uuid, integer), public.get_result(uuid, uuid), public.rerun_result(uuid, uuid, text),
  public.review_result(uuid, uuid, boolean, text), public.dead_results(integer)
to orchestrator;
grant execute on function public.flag_integrity(text, integer) to session_worker;
