-- Several orchestrators and several attempts: duties, hand-over, fail-over, hedges.
--
-- O1  A duty is held by at most one orchestrator at a time: a lease on the database's clock with a fence that grows with
--     each change of hands. What a duty destroys or declares gone is written with its fence, in the transaction that
--     checks it: an orchestrator that slept through its lease changes nothing.
-- O2  A session whose machines have all left, and whose end is not decided, gets its next attempt in the transaction that
--     takes the last one away. settle_sessions finds what a crash or an older database left without one.
-- O3  Attempts are bounded by the lives that were lost: machines that came to exist and ended without a hand-over. Creates
--     that Fly refused, losing hedges and hand-overs are not lost lives.
-- O4  Whoever holds the assignment keeps it while its machine is claimed. It passes to the next claim once that machine is
--     draining or further, never before: a lapsed lease alone moves nothing.
-- O5  A machine that Fly migrated boots again under its name with another nonce. Its row lives on at the next epoch when
--     the earlier boot handed over, or has been silent for a whole lease; until then it is told to ask again. Fly runs one
--     VM per machine id, so another boot of it is evidence; and were both alive, the epoch fences the earlier.
-- O6  A machine that is judged is judged at its epoch: a claim in between makes the judgement stale.

-- ── duties (O1) ────────────────────────────────────────────────────────────────────────────────────────────────────
create table public.duties (
  name text primary key check (name ~ '^[a-z]+(:[0-9]+)?$'),
  holder uuid,
  fence bigint not null default 0 check (fence >= 0),
  expires_at timestamptz not null default '-infinity'
);
comment on table public.duties is 'Regular work that one orchestrator does at a time, each a lease on the database''s clock.';
comment on column public.duties.name is 'What is to be done, with its shard: reconcile:3, housekeeping.';
comment on column public.duties.holder is 'The orchestrator that holds it; null when it was given back.';
comment on column public.duties.fence is 'Grows with each change of hands.';
comment on column public.duties.expires_at is 'The holder''s lease; after this anybody may take it.';
alter table public.duties enable row level security;
grant select on public.duties to orchestrator;
create policy "orchestrators read all rows" on public.duties for select to orchestrator using (true);

create function public.keep_duties(p_orchestrator_id uuid, p_url text, p_version text, p_names text[], p_lease_ms integer, p_draining boolean default false)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  v_now timestamptz;
  v_live integer;
  v_share integer;
  v_mine integer;
begin
  -- One at a time: shares are counted. Short, and a few times a second for the whole deployment.
  perform pg_advisory_xact_lock(hashtextextended('duties', 0));
  v_now := clock_timestamp();
  insert into public.orchestrators (id, url, version, draining) values (p_orchestrator_id, p_url, p_version, p_draining)
    on conflict (id) do update set last_seen_at = v_now, url = excluded.url, version = excluded.version, draining = excluded.draining;
  delete from public.orchestrators where last_seen_at < v_now - interval '1 hour';
  if p_draining then
    update public.duties set holder = null, expires_at = '-infinity' where holder = p_orchestrator_id;
    return '[]';
  end if;
  insert into public.duties (name) select unnest(p_names) on conflict do nothing;
  select count(*) into v_live from public.orchestrators where not draining and last_seen_at > v_now - app.interval_ms(p_lease_ms);
  v_share := ceil(cardinality(p_names)::numeric / greatest(v_live, 1));
  -- A lease that ran out is never renewed, only taken anew: whoever slept has another fence.
  update public.duties set expires_at = v_now + app.interval_ms(p_lease_ms)
    where holder = p_orchestrator_id and name = any (p_names) and expires_at > v_now;
  get diagnostics v_mine = row_count;
  if v_mine > v_share then
    update public.duties set holder = null, expires_at = '-infinity' where name in (
      select name from public.duties where holder = p_orchestrator_id and expires_at > v_now order by name desc limit v_mine - v_share);
  elsif v_mine < v_share then
    update public.duties set holder = p_orchestrator_id, fence = fence + 1, expires_at = v_now + app.interval_ms(p_lease_ms) where name in (
      select name from public.duties where name = any (p_names) and expires_at <= v_now order by name limit v_share - v_mine);
  end if;
  return (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'fence', fence) order by name), '[]')
    from public.duties where holder = p_orchestrator_id and expires_at > v_now);
end $$;
comment on function public.keep_duties(uuid, text, text, text[], integer, boolean) is
  'An orchestrator says that it is there, renews what it holds, takes its fair share of what nobody holds, and gives back what is more than that; draining gives back all. Answers what it holds now, with fences.';

create function app.on_duty(p_duty text, p_fence bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  if p_duty is null then return true; end if;
  -- For share: the duty cannot change hands before this transaction is over.
  perform 1 from public.duties where name = p_duty and fence = p_fence and expires_at > clock_timestamp() for share;
  return found;
end $$;
comment on function app.on_duty(text, bigint) is 'O1: whether the duty is still held with this fence; true for work that needs no duty.';

-- ── machines: what fail-over needs to know ─────────────────────────────────────────────────────────────────────────
alter table public.machines
  add column host_bad_since timestamptz,
  add column unreachable_since timestamptz,
  drop constraint machine_reason_is_known,
  -- squawk-ignore constraint-missing-not-valid
  add constraint machine_reason_is_known check (reason in (
    'session_ended', 'session_gone', 'worker_exited', 'worker_lost', 'boot_timeout', 'create_failed', 'start_failed', 'superseded', 'handed_over',
    'host_lost', 'unreachable', 'hard_deadline', 'orphan', 'image_replaced', 'pool_shrunk', 'operator_stopped'));
comment on column public.machines.host_bad_since is 'Since when Fly says that its host is not ok; null while it does not.';
comment on column public.machines.unreachable_since is 'When a returning browser could first not be connected to it.';

-- ── attempts (O2, O3) ──────────────────────────────────────────────────────────────────────────────────────────────
create function app.start_attempt(s public.interview_sessions, p_because text, p_next jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  v_region text;
  v_launch jsonb;
  v_id uuid;
  v_standby boolean;
begin
  select * into m from public.machines where session_id = s.id order by attempt desc, reserved_at desc limit 1;
  v_region := coalesce(p_next ->> 'region', m.region);
  v_launch := p_next || jsonb_build_object('image', coalesce(p_next ->> 'image', m.image),
    'machine_life_ms', coalesce((p_next ->> 'life_ms')::numeric, 3600000) + s.max_duration_ms);
  v_id := app.take_standby(s.tenant_id, array[v_region] || s.regions, v_launch ->> 'image');
  v_standby := v_id is not null;
  if v_standby then
    v_region := app.assign_standby(v_id, s.id, m.attempt + 1, v_launch);
  else
    v_id := gen_random_uuid();
    if not app.reserve_machine(v_id, s.tenant_id, s.id, v_region, m.attempt + 1, v_launch) then return null; end if;
  end if;
  perform app.emit(s.id, s.tenant_id, case when v_standby then 'machine.assigned' else 'machine.reserved' end,
    jsonb_build_object('machine_id', v_id, 'region', v_region, 'attempt', m.attempt + 1, 'because', p_because));
  return app.intent_json(v_id);
end $$;
comment on function app.start_attempt(public.interview_sessions, text, jsonb) is
  'A session''s next attempt beside or after the others, standby or new, taken by the orchestrator that p_next names. Null when the tenant has no app. The session is locked by the caller.';

create function app.lost_lives(p_session_id uuid) returns integer
language sql stable set search_path = '' as $$
  select count(*)::integer from public.machines
  where session_id = p_session_id and state_rank >= 50 and reason not in ('create_failed', 'start_failed', 'superseded', 'handed_over')
$$;
comment on function app.lost_lives(uuid) is 'O3.';

create function app.settle_session(p_session_id uuid, p_reason text, p_next jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  v_last text;
  v_intent jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found or s.state_rank < 30 or s.state_rank >= 90 then return jsonb_build_object('kind', 'nothing'); end if;
  if exists (select from public.machines where session_id = s.id and state_rank < 50) then return jsonb_build_object('kind', 'nothing'); end if;
  -- The machine that served it says why; before the first claim, the latest attempt does.
  select reason into v_last from public.machines where session_id = s.id
    order by (id = s.machine_id) is true desc, attempt desc, reserved_at desc limit 1;
  if not found then return jsonb_build_object('kind', 'nothing'); end if;
  if s.state_rank >= 70 or s.end_requested_at is not null or v_last in ('hard_deadline', 'operator_stopped') then
    -- Its worker may be carrying the end out: nobody says it for it before its machine is gone.
    if exists (select from public.machines where session_id = s.id and state_rank < 70) then return jsonb_build_object('kind', 'nothing'); end if;
    perform app.end_session(s.id, coalesce(s.outcome, case v_last when 'operator_stopped' then 'cancelled' else 'failed' end),
      coalesce(s.reason, case v_last when 'operator_stopped' then 'operator_stopped' else coalesce(p_reason, 'worker_lost') end));
    return jsonb_build_object('kind', 'ended');
  end if;
  if app.lost_lives(s.id) < coalesce((p_next ->> 'max_attempts')::integer, 1) then
    v_intent := app.start_attempt(s, coalesce(v_last, p_reason), p_next);
  end if;
  if v_intent is null then
    perform app.end_session(s.id, 'failed', coalesce(p_reason, case v_last when 'boot_timeout' then 'boot_timeout' else 'worker_lost' end));
    return jsonb_build_object('kind', 'ended');
  end if;
  return jsonb_build_object('kind', 'next', 'intent', v_intent);
end $$;
comment on function app.settle_session(uuid, text, jsonb) is
  'What becomes of a session that has lost its machines: nothing while one may still serve it; its recorded end once all are gone; else the next attempt, or the end with p_reason when too many lives were lost.';

create function public.settle_sessions(p_next jsonb, p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
  v_result jsonb;
  v_results jsonb[] := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return '[]'; end if;
  for v_id in select s.id from public.interview_sessions s where s.state_rank between 30 and 89
      and exists (select from public.machines m where m.session_id = s.id)
      and not exists (select from public.machines m where m.session_id = s.id and m.state_rank < 50)
    order by s.id for update skip locked loop
    v_result := app.settle_session(v_id, null, p_next);
    if v_result ->> 'kind' <> 'nothing' then v_results := v_results || (v_result || jsonb_build_object('session_id', v_id)); end if;
  end loop;
  return to_jsonb(v_results);
end $$;
comment on function public.settle_sessions(jsonb, text, bigint) is 'O2: sessions that were left without a machine. Answers what was done about which.';

create function public.hedge_machine(p_machine_id uuid, p_next jsonb, p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
begin
  if not app.on_duty(p_duty, p_fence) then return null; end if;
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  if s.id is null or s.state_rank not between 30 and 69 or s.end_requested_at is not null or m.state_rank >= 40 then return null; end if;
  -- One hedge at a time: what is under way for this session, beside the machine that is late, is its hedge.
  if exists (select from public.machines o where o.session_id = s.id and o.id <> m.id and o.state_rank < 50) then return null; end if;
  return app.start_attempt(s, 'hedge', p_next);
end $$;
comment on function public.hedge_machine(uuid, jsonb, text, bigint) is
  'A machine is late: a second attempt beside it, when there is none yet. Whichever is claimed first serves; the other is refused and destroyed. Answers the intent, or null.';

create function public.machine_intent(p_machine_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$ select app.intent_json(p_machine_id) $$;
comment on function public.machine_intent(uuid) is 'A machine with what the choice of the next region needs; null when there is none.';

-- ── claim (O4, O5) ─────────────────────────────────────────────────────────────────────────────────────────────────
create function app.claim_refusal(s public.interview_sessions, m public.machines, p_fly_machine_id text, p_boot_nonce text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  o public.machines;
begin
  if m.fly_machine_id is not null and m.fly_machine_id <> p_fly_machine_id then
    return jsonb_build_object('kind', 'refused', 'why', 'another machine has this name');
  end if;
  if s.state_rank >= 70 or s.end_requested_at is not null and s.machine_id is distinct from m.id then
    return jsonb_build_object('kind', 'refused', 'why', 'the session is ' || case when s.state_rank >= 70 then s.status else 'to end' end);
  end if;
  if s.machine_id is not null and s.machine_id <> m.id then
    select * into o from public.machines where id = s.machine_id;
    if o.state_rank < 50 or m.epoch is not null then
      return jsonb_build_object('kind', 'refused', 'why', 'another machine serves the session');
    end if;
  end if;
  if m.boot_nonce is not null and m.boot_nonce <> p_boot_nonce then
    if m.state = 'draining' and m.reason = 'handed_over' then return null; end if;
    if m.state <> 'claimed' then return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state); end if;
    if m.lease_expires_at > clock_timestamp() then
      return jsonb_build_object('kind', 'refused', 'why', 'an earlier boot may be alive', 'retry', true);
    end if;
    return null;
  end if;
  if m.state_rank > 40 then return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state); end if;
  return null;
end $$;
comment on function app.claim_refusal(public.interview_sessions, public.machines, text, text) is
  'Why this boot may not serve the session, or null when it may (O4, O5). retry: it may in a moment.';

-- ── leaving ────────────────────────────────────────────────────────────────────────────────────────────────────────

create function public.record_unreachable(p_machine_id uuid, p_epoch integer, p_gap_ms integer, p_window_ms integer, p_next jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_now timestamptz;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  v_now := clock_timestamp();
  -- Only for a candidate who had been in the room: at the first connection the fault may be anywhere.
  if s.id is null or s.machine_id <> m.id or s.epoch <> p_epoch or m.state <> 'claimed' or s.state_rank not between 50 and 69 or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'ignored');
  end if;
  if m.unreachable_since is null or m.unreachable_since < v_now - app.interval_ms(p_window_ms) then
    update public.machines set unreachable_since = v_now where id = m.id;
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  if m.unreachable_since > v_now - app.interval_ms(p_gap_ms) then
    return jsonb_build_object('kind', 'noted', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  end if;
  perform app.move_machine(m.id, 'destroying', 'unreachable');
  return jsonb_build_object('kind', 'replaced', 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'next', app.settle_session(s.id, 'worker_lost', p_next) -> 'intent');
end $$;
comment on function public.record_unreachable(uuid, integer, integer, integer, jsonb) is
  'A returning browser could not be connected to its machine. The first time is noted; again after p_gap_ms and within p_window_ms the machine is given up and its session gets the next attempt.';

create function public.record_host(p_machine_id uuid, p_ok boolean) returns void
language sql volatile security definer set search_path = '' as $$
  update public.machines set host_bad_since = case when p_ok then null else coalesce(host_bad_since, clock_timestamp()) end where id = p_machine_id
$$;
comment on function public.record_host(uuid, boolean) is 'What Fly says of a machine''s host: ok, or not, and since when not.';

grant execute on function
  public.keep_duties(uuid, text, text, text[], integer, boolean), public.settle_sessions(jsonb, text, bigint),
  public.hedge_machine(uuid, jsonb, text, bigint), public.machine_intent(uuid),
  public.record_unreachable(uuid, integer, integer, integer, jsonb),
  public.record_host(uuid, boolean)
to orchestrator;
