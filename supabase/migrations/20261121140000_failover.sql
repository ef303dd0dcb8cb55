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

create or replace function app.guard_machine() returns trigger language plpgsql set search_path = '' as $$
begin
  if old.session_id is not null and new.session_id is distinct from old.session_id then
    raise exception 'a machine serves at most one session' using errcode = 'GR004';
  end if;
  -- O5: the only way back, and it takes a new boot and a higher epoch.
  if old.state = 'draining' and old.reason = 'handed_over' and new.state = 'claimed' and new.epoch > old.epoch
     and new.boot_nonce is distinct from old.boot_nonce then
    return new;
  end if;
  if array_position(array['reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed'], new.state)
     < array_position(array['reserved', 'created', 'started', 'claimed', 'draining', 'destroying', 'destroyed'], old.state) then
    raise exception 'a machine only goes forward: % → %', old.state, new.state using errcode = 'GR005';
  end if;
  return new;
end $$;
comment on function app.guard_machine() is 'T4, and machines only go forward; one that handed over may be claimed again by its next boot.';

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

create or replace function public.record_create_failed(p_machine_id uuid, p_reason text, p_next_machine_id uuid default null, p_next_region text default null,
  p_orchestrator_id uuid default null, p_taken_ms integer default 0) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_slot record;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if not app.move_machine(p_machine_id, 'destroyed', 'create_failed') then return jsonb_build_object('kind', 'stale'); end if;
  if s.id is null or s.state_rank >= 70 or s.end_requested_at is not null then
    if s.id is not null then perform app.settle_session(s.id, p_reason, '{}'); end if;
    return jsonb_build_object('kind', 'session_over');
  end if;
  -- Without a next attempt no slot is drawn: it would delay somebody else's.
  select d.app_name, d.not_before into v_slot from app.draw_create_slot(m.tenant_id) d where p_next_machine_id is not null;
  if v_slot.app_name is null then
    -- Beside a hedge, or the machine it hedges, nothing is lost yet.
    if exists (select from public.machines o where o.session_id = s.id and o.state_rank < 50) then
      return jsonb_build_object('kind', 'stale');
    end if;
    perform app.end_session(s.id, 'failed', p_reason);
    return jsonb_build_object('kind', 'ended');
  end if;
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, attempt, not_before, taken_by, taken_until, hard_deadline_at)
    values (p_next_machine_id, m.tenant_id, s.id, v_slot.app_name, p_next_region, m.image, m.attempt + 1, v_slot.not_before, p_orchestrator_id,
      v_slot.not_before + app.interval_ms(p_taken_ms), m.hard_deadline_at);
  if s.machine_id is null then update public.interview_sessions set region = p_next_region, region_reason = 'capacity' where id = s.id; end if;
  perform app.emit(s.id, s.tenant_id, 'machine.reserved', jsonb_build_object('machine_id', p_next_machine_id, 'region', p_next_region,
    'attempt', m.attempt + 1, 'because', p_reason));
  return jsonb_build_object('kind', 'next', 'intent', app.intent_json(p_next_machine_id));
end $$;
comment on function public.record_create_failed(uuid, text, uuid, text, uuid, integer) is
  'Fly surely did not make this machine. Reserves the next attempt when one is given, taken by this orchestrator; else, when no other attempt is under way, ends the session with the reason.';

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

create or replace function public.claim_session(p_machine_name text, p_app_name text, p_fly_machine_id text, p_boot_nonce text, p_lease_ms integer, p_life_ms integer,
  p_image_digest text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_refusal jsonb;
  v_losers jsonb := '[]';
begin
  select * into m from public.machines where name = p_machine_name and app_name = p_app_name;
  if not found then return jsonb_build_object('kind', 'refused', 'why', 'unknown machine'); end if;
  if p_image_digest is not null and m.image like '%@%' and split_part(m.image, '@', 2) <> p_image_digest then
    return jsonb_build_object('kind', 'refused', 'why', 'another image');
  end if;
  if m.session_id is null then return jsonb_build_object('kind', 'refused', 'why', 'not assigned'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = m.id for update;
  v_refusal := app.claim_refusal(s, m, p_fly_machine_id, p_boot_nonce);
  if v_refusal is not null then
    -- A loser is on its way out from here on; the worker exits by itself.
    if v_refusal ->> 'retry' is null then perform app.move_machine(m.id, 'draining', 'superseded') where m.state_rank < 40; end if;
    return v_refusal;
  end if;
  if m.boot_nonce is distinct from p_boot_nonce then
    -- F3: the epoch changes under FOR UPDATE of the session.
    update public.interview_sessions set epoch = epoch + 1, machine_id = m.id, fly_machine_id = p_fly_machine_id, region = m.region
      where id = s.id returning * into s;
    update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce, epoch = s.epoch,
      state = case state when 'draining' then 'claimed' else state end, reason = null,
      last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
      draining_at = null, first_absent_at = null, host_bad_since = null, unreachable_since = null,
      hard_deadline_at = coalesce(s.started_at, clock_timestamp()) + app.interval_ms(p_life_ms + s.max_duration_ms)
      where id = m.id;
    if not app.move_machine(m.id, 'claimed') then
      perform app.emit(s.id, s.tenant_id, 'machine.claimed', jsonb_build_object('machine_id', m.id, 'fly_machine_id', p_fly_machine_id,
        'region', m.region, 'attempt', m.attempt, 'epoch', s.epoch));
    end if;
    perform app.move_session(s.id, 'ready');
    with losers as (
      select o.id, app.move_machine(o.id, 'destroying', 'superseded') from public.machines o
      where o.session_id = s.id and o.id <> m.id and o.state_rank < 40)
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', o.id, 'app_name', o.app_name, 'fly_machine_id', o.fly_machine_id)), '[]')
      into v_losers from losers l join public.machines o on o.id = l.id;
    select * into m from public.machines where id = m.id;
    select * into s from public.interview_sessions where id = s.id;
  end if;
  return jsonb_build_object('kind', 'claimed', 'machine_id', m.id, 'session', app.session_json(s.id),
    'allowed_origins', (select to_jsonb(t.allowed_origins) from public.tenants t where t.id = s.tenant_id),
    'open_call', (select jsonb_build_object('ordinal', c.ordinal, 'call_id', c.call_id, 'credential_ciphertext', c.credential_ciphertext)
      from public.realtime_calls c where c.session_id = s.id and c.hung_up_at is null order by c.ordinal desc limit 1),
    'losers', v_losers,
    'directive', app.directive_of(s, m));
end $$;
comment on function public.claim_session(text, text, text, text, integer, integer, text) is
  'A booted worker takes its session at the next epoch. The same nonce again gets the same answer; everything else is refused with why, and retry when it may be granted in a moment. losers: attempts that came too late, already committed to be destroyed.';

create or replace function public.record_heartbeats(p_beats jsonb, p_lease_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- Sessions before machines (F2), both in one order, so that two batches cannot wait for each other.
  perform 1 from public.interview_sessions s
    where s.machine_id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b)
      and exists (select from jsonb_array_elements(p_beats) b where (b ->> 'machine_id')::uuid = s.machine_id and b ->> 'presence' <> s.presence)
    order by s.id for update;
  with beats as (
    select distinct on ((b ->> 'machine_id')::uuid, b ->> 'epoch') (b ->> 'machine_id')::uuid as machine_id, (b ->> 'epoch')::integer as epoch,
      b ->> 'presence' as presence
    from jsonb_array_elements(p_beats) b
  )
  update public.interview_sessions s set presence = b.presence from beats b
    where s.machine_id = b.machine_id and s.epoch = b.epoch and s.presence <> b.presence and s.state_rank < 90;
  perform 1 from public.machines m where m.id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b) order by m.id for update;
  update public.machines m set last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
      rss_bytes = (b ->> 'rss_bytes')::bigint, unsaved_entries = (b ->> 'unsaved_entries')::integer, first_absent_at = null
    from jsonb_array_elements(p_beats) b where m.id = (b ->> 'machine_id')::uuid and m.epoch = (b ->> 'epoch')::integer and m.state_rank < 70;
  return (select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'epoch', (b ->> 'epoch')::integer,
      'directive', case when m.epoch = (b ->> 'epoch')::integer then app.directive_of(s, m) else '{"kind": "fenced"}' end)), '[]')
    from jsonb_array_elements(p_beats) b join public.machines m on m.id = (b ->> 'machine_id')::uuid
    join public.interview_sessions s on s.id = m.session_id);
end $$;
comment on function public.record_heartbeats(jsonb, integer) is
  'Renews leases in one batch; answers the directive of each machine and epoch. An earlier boot of a machine that serves on is fenced (O5).';

create or replace function public.request_end(p_session_id uuid, p_tenant_id uuid, p_outcome text, p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
begin
  select * into s from public.interview_sessions where id = p_session_id and (p_tenant_id is null or tenant_id = p_tenant_id) for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= 70 then return jsonb_build_object('kind', 'already', 'session', app.session_json(s.id)); end if;
  if s.machine_id is null or not exists (select from public.machines m where m.id = s.machine_id and m.state_rank < 50) then
    -- Nobody serves it just now: it ends here, and its machines are not wanted any more.
    perform app.end_session(s.id, p_outcome, p_reason);
    perform app.move_machine(id, case when fly_machine_id is null and state = 'reserved' and taken_until is null then 'destroyed' else 'destroying' end,
      'session_gone') from public.machines where session_id = s.id;
  else
    update public.interview_sessions set end_requested_at = clock_timestamp(), outcome = p_outcome, reason = p_reason where id = s.id;
    perform app.emit(s.id, s.tenant_id, 'session.end_requested', jsonb_build_object('outcome', p_outcome, 'reason', p_reason));
  end if;
  return jsonb_build_object('kind', 'accepted', 'session', app.session_json(s.id), 'machines', (
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id, 'state', m.state)), '[]')
    from public.machines m where m.session_id = s.id and m.state <> 'destroyed'));
end $$;
comment on function public.request_end(uuid, uuid, text, text) is
  'Asks for the end of a session. One that nobody serves, or that is between two machines, ends at once; a served one gets the directive, which its worker carries out.';

-- ── leaving ────────────────────────────────────────────────────────────────────────────────────────────────────────
drop function public.finish_session(uuid, integer, text, text, text, boolean);
create function public.finish_session(p_machine_id uuid, p_epoch integer, p_kind text, p_outcome text default null, p_reason text default null,
  p_transcript_complete boolean default null, p_next jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_where jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id;
  v_where := jsonb_build_object('app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  if s.machine_id is distinct from m.id or s.epoch <> p_epoch then
    -- An earlier boot of a machine that serves on has nothing to say about it.
    if m.epoch is not distinct from p_epoch then perform app.move_machine(m.id, 'draining', 'superseded'); end if;
    return jsonb_build_object('kind', 'fenced') || v_where;
  end if;
  if p_kind = 'draining' then
    if app.move_machine(m.id, 'draining', 'handed_over') then
      return jsonb_build_object('kind', 'draining', 'next', app.settle_session(s.id, 'worker_lost', p_next) -> 'intent') || v_where;
    end if;
    return jsonb_build_object('kind', 'draining') || v_where;
  end if;
  update public.interview_sessions set transcript_complete = coalesce(p_transcript_complete, transcript_complete) where id = s.id;
  perform app.move_session(s.id, 'finalizing', p_outcome, p_reason);
  perform app.end_session(s.id, p_outcome, p_reason);
  perform app.move_machine(m.id, 'draining', 'session_ended');
  return jsonb_build_object('kind', 'ended') || v_where;
end $$;
comment on function public.finish_session(uuid, integer, text, text, text, boolean, jsonb) is
  'A worker''s last word: ended (the session ends with the ending already decided, else with this one) or draining (the session goes on elsewhere: next is the attempt that was reserved for it).';

drop function public.record_machine_destroying(uuid, text);
create function public.record_machine_destroying(p_machine_id uuid, p_reason text, p_epoch integer default null, p_judged boolean default false,
  p_next jsonb default null, p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_next jsonb;
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty', 'state', null); end if;
  perform 1 from public.interview_sessions s join public.machines x on x.session_id = s.id where x.id = p_machine_id for update of s;
  select * into m from public.machines where id = p_machine_id for update;
  if not found then return jsonb_build_object('kind', 'unknown', 'state', null); end if;
  if p_judged and m.state_rank < 60 and m.epoch is distinct from p_epoch then return jsonb_build_object('kind', 'stale', 'state', m.state); end if;
  if app.move_machine(m.id, 'destroying', p_reason) and p_next is not null and m.session_id is not null then
    v_next := app.settle_session(m.session_id, null, p_next) -> 'intent';
  end if;
  return jsonb_build_object('kind', 'done', 'state', (select state from public.machines where id = p_machine_id), 'next', v_next);
end $$;
comment on function public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint) is
  'Committed before any DELETE is sent to Fly, on the lock that assignment takes. p_judged: only at the epoch it was judged at (O6). p_next: its session''s next attempt is reserved at once. kind: done, stale, off_duty, unknown.';

drop function public.record_machine_gone(uuid, text, text);
create function public.record_machine_gone(p_machine_id uuid, p_machine_reason text, p_session_reason text default null, p_next jsonb default '{}',
  p_duty text default null, p_fence bigint default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  v_settled jsonb := '{}';
begin
  if not app.on_duty(p_duty, p_fence) then return jsonb_build_object('kind', 'off_duty'); end if;
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'unknown'); end if;
  perform 1 from public.interview_sessions where id = m.session_id for update;
  perform app.move_machine(m.id, 'destroyed', p_machine_reason);
  if m.session_id is not null then v_settled := app.settle_session(m.session_id, p_session_reason, p_next); end if;
  return jsonb_build_object('kind', 'recorded', 'session_ended', coalesce(v_settled ->> 'kind' = 'ended', false), 'session_id', m.session_id,
    'next', v_settled -> 'intent');
end $$;
comment on function public.record_machine_gone(uuid, text, text, jsonb, text, bigint) is
  'Fly''s evidence: the machine is gone. A session that only it served gets its next attempt, or ends with the ending already decided, or with this reason when too many lives were lost.';

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

drop function public.machines_alive();
create function public.machines_alive(p_apps text[] default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  -- state_ms: a standby machine may have rested for hours; what it is judged by begins when it gets its session.
  select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'name', m.name, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id,
    'state', m.state, 'reason', m.reason, 'epoch', m.epoch, 'session_id', m.session_id, 'session_rank', s.state_rank, 'serves', s.machine_id = m.id,
    'session_over_ms', floor(extract(epoch from clock_timestamp() - s.completed_at) * 1000),
    'state_ms', floor(extract(epoch from clock_timestamp()
      - coalesce(m.destroying_at, m.draining_at, m.claimed_at, greatest(m.created_at, m.assigned_at), greatest(m.reserved_at, m.not_before))) * 1000),
    'asked_ms', floor(extract(epoch from clock_timestamp() - greatest(m.reserved_at, m.not_before, m.assigned_at)) * 1000),
    'last_heartbeat_at', m.last_heartbeat_at, 'hard_deadline_at', m.hard_deadline_at,
    'lease_lapsed', m.lease_expires_at < clock_timestamp(),
    'past_deadline', m.hard_deadline_at < clock_timestamp(),
    'host_bad_ms', floor(extract(epoch from clock_timestamp() - m.host_bad_since) * 1000),
    'absent_ms', floor(extract(epoch from clock_timestamp() - m.first_absent_at) * 1000))), '[]')
  from public.machines m left join public.interview_sessions s on s.id = m.session_id
  where m.state <> 'destroyed' and (p_apps is null or m.app_name = any (p_apps))
$$;
comment on function public.machines_alive(text[]) is 'Every machine, of these apps, that may exist at Fly, with what the reconciler and the reaper judge by.';

create or replace function app.directive_of(s public.interview_sessions, m public.machines) returns jsonb
language sql stable set search_path = '' as $$
  select case
    when s.machine_id is distinct from m.id or s.epoch is distinct from m.epoch then jsonb_build_object('kind', 'fenced')
    when s.state_rank >= 90 or s.end_requested_at is not null then
      jsonb_build_object('kind', 'end', 'outcome', s.outcome, 'reason', s.reason)
    else jsonb_build_object('kind', 'continue') end
$$;
comment on function app.directive_of(public.interview_sessions, public.machines) is 'What a worker is asked to do: continue, end, or exit because it is fenced.';

create or replace function public.calls_to_hang_up(p_limit integer default 20, p_retry_ms integer default 5000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with due as (
    select c.id from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
    left join public.machines m on m.id = s.machine_id
    where c.hung_up_at is null
      and (s.state_rank >= 90 and (m.id is null or m.state_rank >= 60 or c.epoch < m.epoch)
        -- Of a session that goes on, a call that a later one has replaced and that its own worker is not there to end.
        or c.epoch < s.epoch and exists (select from public.realtime_calls l where l.session_id = c.session_id and l.ordinal > c.ordinal and l.answered_at is not null))
      and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
    order by c.opened_at limit p_limit for update of c skip locked
  ), taken as (
    update public.realtime_calls c set hang_up_attempts = hang_up_attempts + 1,
      next_hang_up_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(hang_up_attempts, 8)))
    from due where c.id = due.id returning c.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'session_id', session_id, 'ordinal', ordinal, 'call_id', call_id,
    'credential_ciphertext', credential_ciphertext, 'attempts', hang_up_attempts, 'age_ms', floor(extract(epoch from clock_timestamp() - opened_at) * 1000))), '[]')
  from taken
$$;
comment on function public.calls_to_hang_up(integer, integer) is 'Calls whose worker is gone and that nobody took over: taken for one try, then again after a growing while.';

grant execute on function
  public.keep_duties(uuid, text, text, text[], integer, boolean), public.settle_sessions(jsonb, text, bigint),
  public.hedge_machine(uuid, jsonb, text, bigint), public.machine_intent(uuid),
  public.finish_session(uuid, integer, text, text, text, boolean, jsonb),
  public.record_machine_destroying(uuid, text, integer, boolean, jsonb, text, bigint),
  public.record_machine_gone(uuid, text, text, jsonb, text, bigint), public.record_unreachable(uuid, integer, integer, integer, jsonb),
  public.record_host(uuid, boolean), public.machines_alive(text[])
to orchestrator;
