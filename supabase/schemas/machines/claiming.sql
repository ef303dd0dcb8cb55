create function app.directive_of(s public.interview_sessions, m public.machines) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return case
    when s.machine_id is distinct from m.id or s.epoch is distinct
      from m.epoch then jsonb_build_object('kind', 'fenced')
    when s.state_rank >= app.rank_of('ended') or s.end_requested_at is not null then
      jsonb_build_object('kind', 'end', 'outcome', s.outcome, 'reason', s.reason)
    else jsonb_build_object('kind', 'continue') end;
end $$;
comment on function app.directive_of(public.interview_sessions, public.machines) is
  'Returns what a worker must do: continue, end, or exit because it is fenced.';

create function app.unserved_ms(s public.interview_sessions) returns integer
language sql stable set search_path = '' as $$
  select case when s.started_at is null then 0 else coalesce((
    select least(600000, greatest(0, extract(epoch from clock_timestamp() - m.last_heartbeat_at) * 1000))::integer
    from public.machines m where m.id = s.machine_id), 0) end
$$;
comment on function app.unserved_ms(public.interview_sessions) is
  'Returns how long a running interview has been without a worker, milliseconds: since the last sign of life of its '
  'machine, at most ten minutes. 0 before the interview began.';

create function app.open_epoch(p_session_id uuid, p_machine_id uuid, p_fly_machine_id text, p_boot_nonce text,
  p_lease_ms integer, p_life_ms numeric, p_vm_ms double precision default null,
  p_process_ms double precision default null) returns void
language plpgsql set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = p_session_id;
  -- The session is locked FOR UPDATE, and transcript writes lock it FOR SHARE: no write of the old epoch can follow.
  update public.interview_sessions set epoch = epoch + 1, machine_id = m.id, fly_machine_id = p_fly_machine_id,
    region = m.region,
    -- The candidate gets back the time that an outage took.
    max_duration_ms = least(10800000, max_duration_ms + app.unserved_ms(s))
    where id = p_session_id returning * into s;
  update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce, epoch = s.epoch,
    state = case state when 'draining' then 'claimed' else state end, reason = null,
    last_heartbeat_at = clock_timestamp(), lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
    draining_at = null, first_absent_at = null, host_bad_since = null, unreachable_since = null,
    hard_deadline_at = app.machine_deadline(coalesce(s.started_at, clock_timestamp()), p_life_ms, s.max_duration_ms),
    -- A VM that shares its host's kernel, as in the local cloud, says how long the host has been up.
    started_at = coalesce(started_at, (select at from (select clock_timestamp() - app.interval_ms(p_vm_ms)) x (at)
      where at >= coalesce(m.assigned_at, m.reserved_at))),
    booted_at = coalesce(booted_at, clock_timestamp() - app.interval_ms(p_process_ms))
    where id = m.id;
  if not app.move_machine(m.id, 'claimed') then
    perform app.emit(s.id, s.tenant_id, 'machine.claimed',
      jsonb_build_object('machine_id', m.id, 'fly_machine_id', p_fly_machine_id,
      'region', m.region, 'attempt', m.attempt, 'epoch', s.epoch));
  end if;
  perform app.move_session(s.id, 'ready');
  if s.epoch > 1 then
    perform app.emit(s.id, s.tenant_id, 'session.failed_over', jsonb_build_object('epoch', s.epoch));
  end if;
end $$;
comment on function app.open_epoch(uuid, uuid, text, text, integer, numeric, double precision,
  double precision) is
  'Makes a boot of a machine the server of a session, which the caller has locked, at the next epoch. From now on the '
  'writes of all earlier epochs are refused.';

create function app.register_hot(m public.machines, p_fly_machine_id text, p_boot_nonce text, p_lease_ms integer)
  returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_heard timestamptz := clock_timestamp();
begin
  if m.fly_machine_id is not null and m.fly_machine_id <> p_fly_machine_id then
    return jsonb_build_object('kind', 'refused', 'why', 'another machine has this name');
  end if;
  update public.machines set fly_machine_id = p_fly_machine_id, boot_nonce = p_boot_nonce,
    last_heartbeat_at = v_heard, lease_expires_at = v_heard + app.interval_ms(p_lease_ms), first_absent_at = null
    where id = m.id and session_id is null and life_rank <= app.life_rank_of('started')
      and hard_deadline_at > v_heard;
  if not found then return null; end if;
  perform app.move_machine(m.id, 'started');
  return jsonb_build_object('kind', 'waiting', 'machine_id', m.id, 'heard_at', v_heard);
end $$;
comment on function app.register_hot(public.machines, text, text, integer) is
  'Registers that the worker of a hot machine waits for a session, and renews its lease. A newer boot replaces an '
  'earlier one, which holds nothing. Returns null if the machine was assigned or given up meanwhile, or is '
  'past its hard deadline.';

create function app.claim_session(p_machine_name text, p_app_name text, p_fly_machine_id text, p_boot_nonce text,
  p_lease_ms integer, p_life_ms integer,
  p_image_digest text default null, p_vm_ms double precision default null, p_process_ms double precision default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_refusal jsonb;
  v_waiting jsonb;
  v_losers jsonb := '[]';
begin
  select * into m from public.machines where name = p_machine_name and app_name = p_app_name;
  if not found then return jsonb_build_object('kind', 'refused', 'why', 'unknown machine'); end if;
  if p_image_digest is not null and m.image like '%@%' and split_part(m.image, '@', 2) <> p_image_digest then
    return jsonb_build_object('kind', 'refused', 'why', 'another image');
  end if;
  if m.session_id is null and m.hot then
    v_waiting := app.register_hot(m, p_fly_machine_id, p_boot_nonce, p_lease_ms);
    if v_waiting is not null then return v_waiting; end if;
    select * into m from public.machines where id = m.id;
  end if;
  if m.session_id is null then return jsonb_build_object('kind', 'refused', 'why', 'not assigned'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = m.id for update;
  v_refusal := app.claim_refusal(s, m, p_fly_machine_id, p_boot_nonce);
  if v_refusal is not null then
    -- From here on a loser is being destroyed; its worker exits by itself.
    if v_refusal ->> 'retry' is null then
      perform app.move_machine(m.id, 'draining', 'superseded') where m.life_rank < app.life_rank_of('claimed');
    end if;
    return v_refusal;
  end if;
  if m.boot_nonce is distinct from p_boot_nonce then
    perform app.open_epoch(s.id, m.id, p_fly_machine_id, p_boot_nonce, p_lease_ms, p_life_ms, p_vm_ms, p_process_ms);
    with losers as (
      select o.id, app.move_machine(o.id, 'destroying', 'superseded') from public.machines o
      where o.session_id = s.id and o.id <> m.id and o.life_rank < app.life_rank_of('claimed'))
    select coalesce(jsonb_agg(jsonb_build_object('machine_id', o.id, 'app_name', o.app_name,
      'fly_machine_id', o.fly_machine_id)), '[]')
      into v_losers from losers l join public.machines o on o.id = l.id;
    select * into m from public.machines where id = m.id;
    select * into s from public.interview_sessions where id = s.id;
  elsif m.hot and m.confirmed_at is null then
    update public.machines set confirmed_at = clock_timestamp(), last_heartbeat_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms) where id = m.id;
  end if;
  return jsonb_build_object('kind', 'claimed', 'machine_id', m.id, 'session', app.session_json(s.id),
    'allowed_origins', (select to_jsonb(t.allowed_origins) from public.tenants t where t.id = s.tenant_id),
    'open_call',
    (select jsonb_build_object('ordinal', c.ordinal, 'call_id', c.call_id,
      'credential_ciphertext', c.credential_ciphertext,
      'interviewer_template', app.interviewer_template(s.tenant_id))
      from public.realtime_calls c where c.session_id = s.id and c.hung_up_at is null order by c.ordinal desc limit 1),
    'next_ordinal', app.next_ordinal(s.id),
    'losers', v_losers, 'traceparent', s.traceparent,
    'directive', app.directive_of(s, m));
end $$;
comment on function app.claim_session(text, text, text, text, integer, integer, text, double precision,
  double precision) is
  'Gives a booted worker its session at the next epoch. The same nonce gets the same '
  'answer again. The worker of a hot machine without a session is told to wait. Every other claim is refused with a '
  'reason (why); retry says that it may succeed in a moment. '
  'losers are attempts that claimed too late; that they will be destroyed is already committed. p_vm_ms and '
  'p_process_ms: for how long the VM and the worker''s process have run.';

create function public.claim_sessions(p_claims jsonb, p_lease_ms integer, p_life_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_names text[] := array(select c ->> 'machine_name' from jsonb_array_elements(p_claims) c);
begin
  -- Sessions before machines, each by id: two batches that lock the same rows cannot deadlock.
  perform 1 from public.interview_sessions s
    where s.id in (select m.session_id from public.machines m where m.name = any (v_names)) order by s.id for update;
  perform 1 from public.machines m
    where m.name = any (v_names)
      or m.session_id in (select x.session_id from public.machines x where x.name = any (v_names))
    order by m.id for update;
  return (select jsonb_agg(app.claim_session(c ->> 'machine_name', c ->> 'app_name', c ->> 'fly_machine_id',
      c ->> 'boot_nonce', p_lease_ms, p_life_ms, c ->> 'image_digest', (c ->> 'vm_ms')::double precision,
      (c ->> 'process_ms')::double precision) order by n)
    from jsonb_array_elements(p_claims) with ordinality as e (c, n));
end $$;
comment on function public.claim_sessions(jsonb, integer, integer) is
  'Answers a batch of claims, each as app.claim_session does; called by the worker API. p_claims: an array of '
  'machine_name, app_name, fly_machine_id, boot_nonce, and image_digest, vm_ms and process_ms or null. Returns the '
  'answers in the same order.';
grant execute on function public.claim_sessions(jsonb, integer, integer) to orchestrator;

create function public.record_heartbeats(p_beats jsonb, p_lease_ms integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- Sessions before machines, each by id: two batches that lock the same rows cannot deadlock.
  perform 1 from public.interview_sessions s
    where s.machine_id in (select (b ->> 'machine_id')::uuid from jsonb_array_elements(p_beats) b)
      and exists (select from jsonb_array_elements(p_beats) b where (b ->> 'machine_id')::uuid = s.machine_id
        and b ->> 'presence' <> s.presence)
    order by s.id for update;
  with beats as (
    select distinct on ((b ->> 'machine_id')::uuid, b ->> 'epoch') (b ->> 'machine_id')::uuid as machine_id,
      (b ->> 'epoch')::integer as epoch,
      b ->> 'presence' as presence
    from jsonb_array_elements(p_beats) b
  )
  update public.interview_sessions s set presence = b.presence from beats b
    where s.machine_id = b.machine_id and s.epoch = b.epoch and s.presence <> b.presence
      and s.state_rank < app.rank_of('ended');
  perform 1 from public.machines m where m.id in (select (b ->> 'machine_id')::uuid
    from jsonb_array_elements(p_beats) b) order by m.id for update;
  update public.machines m set last_heartbeat_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + app.interval_ms(p_lease_ms),
    rss_bytes = (b ->> 'rss_bytes')::bigint, unsaved_entries = (b ->> 'unsaved_entries')::integer,
        first_absent_at = null
    from jsonb_array_elements(p_beats) b where m.id = (b ->> 'machine_id')::uuid and m.epoch = (b ->> 'epoch')::integer
      and m.life_rank < app.life_rank_of('destroyed');
  perform app.count_worker((b ->> 'machine_id')::uuid, (b ->> 'epoch')::integer, b -> 'counts')
    from jsonb_array_elements(p_beats) b where b ? 'counts';
  perform app.note_call((b ->> 'machine_id')::uuid, (b ->> 'epoch')::integer, b -> 'phases')
    from jsonb_array_elements(p_beats) b where b ? 'phases';
  return (select coalesce(jsonb_agg(jsonb_build_object('machine_id', m.id, 'epoch', (b ->> 'epoch')::integer,
      'directive', case when m.epoch = (b ->> 'epoch')::integer then app.directive_of(s, m)
        else '{"kind": "fenced"}' end)), '[]')
    from jsonb_array_elements(p_beats) b join public.machines m on m.id = (b ->> 'machine_id')::uuid
    join public.interview_sessions s on s.id = m.session_id);
end $$;
comment on function public.record_heartbeats(jsonb, integer) is
  'Renews the leases of a batch of machines and returns the directive of each; called by the worker API. Returns '
  'fenced for an older epoch, and for an earlier boot of a machine that has booted again.';
grant execute on function public.record_heartbeats(jsonb, integer) to orchestrator;

create function public.record_hot_left(p_machine_id uuid, p_heard_at timestamptz) returns boolean
language sql volatile security definer set search_path = '' as $$
  with gone as (update public.machines set lease_expires_at = clock_timestamp()
    where id = p_machine_id and session_id is null and last_heartbeat_at = p_heard_at returning 1)
  select exists (select from gone)
$$;
comment on function public.record_hot_left(uuid, timestamptz) is
  'Records that the connection of a waiting hot worker closed, so that no session gets its machine until it claims '
  'again; called by the worker API. Changes nothing if the worker has claimed since p_heard_at.';
grant execute on function public.record_hot_left(uuid, timestamptz) to orchestrator;

create function public.unconfirmed_machines() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(m.id), '[]') from public.machines m where m.state = 'claimed' and m.hot
    and m.confirmed_at is null
$$;
comment on function public.unconfirmed_machines() is
  'Lists the hot machines that have been assigned and whose workers have not claimed yet; called by orchestrators '
  'whose held claims may be from them.';
grant execute on function public.unconfirmed_machines() to orchestrator;

create function public.replace_unconfirmed(p_launch jsonb, p_late_ms integer, p_machine_id uuid default null)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c record;
  m public.machines;
  v_settled jsonb;
  v_replaced jsonb[] := '{}';
begin
  for c in select id, session_id from public.machines where state = 'claimed' and hot and confirmed_at is null
    and (id = p_machine_id or claimed_at < clock_timestamp() - app.interval_ms(p_late_ms)) order by id loop
    perform 1 from public.interview_sessions where id = c.session_id for update skip locked;
    continue when not found;
    select * into m from public.machines where id = c.id for update;
    continue when m.state <> 'claimed' or m.confirmed_at is not null;
    perform app.move_machine(m.id, 'destroying', 'boot_timeout');
    v_settled := app.settle_session(m.session_id, p_launch);
    v_replaced := v_replaced || jsonb_build_object('machine_id', m.id, 'app_name', m.app_name,
      'fly_machine_id', m.fly_machine_id, 'session_id', m.session_id, 'next', v_settled -> 'intent');
  end loop;
  return to_jsonb(v_replaced);
end $$;
comment on function public.replace_unconfirmed(jsonb, integer, uuid) is
  'Gives up hot machines whose workers have not claimed p_late_ms after the assignment, and p_machine_id, whose '
  'connection closed; called by orchestrators. A worker that has not claimed has no credential, so nothing has to be '
  'fenced. Each session gets its next machine. Returns [{machine_id, app_name, fly_machine_id, session_id, next}].';
grant execute on function public.replace_unconfirmed(jsonb, integer, uuid) to orchestrator;

create function app.worker_is_over(s public.interview_sessions) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  if s.state_rank < app.rank_of('ended') then return false; end if;
  return s.completed_at < clock_timestamp() - interval '2 minutes'
    or exists (select from public.machines m where m.id = s.machine_id and m.state = 'destroyed');
end $$;
comment on function app.worker_is_over(public.interview_sessions) is
  'Returns whether a session''s worker has no authority any more: its machine is gone, or the session ended two '
  'minutes ago, which is longer than a teardown takes.';

create function app.own_session(p_for_share boolean default false) returns public.interview_sessions
language plpgsql set search_path = '' as $$
declare
  c jsonb := app.claims();
  s public.interview_sessions;
begin
  if p_for_share then
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for share;
  else
    select * into s from public.interview_sessions where id = (c ->> 'session_id')::uuid for update;
  end if;
  if s.id is null or s.machine_id is distinct from (c ->> 'machine_id')::uuid or s.epoch is distinct
    from (c ->> 'epoch')::integer then
    raise exception 'fenced' using errcode = 'PT409', hint = 'Another machine serves the session now.';
  end if;
  if app.worker_is_over(s) then
    raise exception 'fenced' using errcode = 'PT409', hint = 'The session has ended.';
  end if;
  return s;
end $$;
comment on function app.own_session(boolean) is
  'Locks and returns the session of the calling worker: FOR SHARE for transcript writes, otherwise FOR UPDATE. '
  'Raises PT409 if the worker is fenced or has no authority any more.';

create function app.claim_refusal(s public.interview_sessions, m public.machines, p_fly_machine_id text,
  p_boot_nonce text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  o public.machines;
begin
  if m.fly_machine_id is not null and m.fly_machine_id <> p_fly_machine_id then
    return jsonb_build_object('kind', 'refused', 'why', 'another machine has this name');
  end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null and s.machine_id is distinct
    from m.id then
    return jsonb_build_object('kind', 'refused', 'why', 'the session is ' || case
      when s.state_rank >= app.rank_of('finalizing') then s.status
      else 'to end' end);
  end if;
  if s.machine_id is not null and s.machine_id <> m.id then
    select * into o from public.machines where id = s.machine_id;
    if o.life_rank < app.life_rank_of('draining') or m.epoch is not null then
      return jsonb_build_object('kind', 'refused', 'why', 'another machine serves the session');
    end if;
  end if;
  if m.boot_nonce is not null and m.boot_nonce <> p_boot_nonce then
    if m.state = 'draining' and m.reason = 'handed_over' then return null; end if;
    if m.state <> 'claimed' then
      return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state);
    end if;
    if m.lease_expires_at > clock_timestamp() then
      return jsonb_build_object('kind', 'refused', 'why', 'an earlier boot may be alive', 'retry', true);
    end if;
    return null;
  end if;
  if m.life_rank > app.life_rank_of('claimed') then
    return jsonb_build_object('kind', 'refused', 'why', 'the machine is ' || m.state);
  end if;
  return null;
end $$;
comment on function app.claim_refusal(public.interview_sessions, public.machines, text, text) is
  'Returns why this boot may not serve the session, null if it may. retry says that the worker may ask again in a '
  'moment.';
