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
