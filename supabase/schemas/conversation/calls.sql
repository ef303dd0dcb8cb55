create function app.next_ordinal(p_session_id uuid) returns integer
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce((select case when c.call_id is null and c.hung_up_at is null then c.ordinal else c.ordinal + 1 end
    from public.realtime_calls c where c.session_id = p_session_id order by c.ordinal desc limit 1), 1);
end $$;
comment on function app.next_ordinal(uuid) is
  'Returns the ordinal of a session''s next call. If the last call never received a call id, its ordinal is used '
  'again.';

create function app.interviewer_template(p_tenant_id uuid) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (select t.settings ->> 'interviewer_template' from public.tenants t where t.id = p_tenant_id);
end $$;
comment on function app.interviewer_template(uuid) is
  'Returns a tenant''s own template of the interviewer''s instructions. Null if it has none.';

create function app.open_call(p_machine_id uuid, p_epoch integer, p_ordinal integer, p_provider text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  s public.interview_sessions;
  m public.machines;
  c public.realtime_calls;
  v_wait integer;
  v_moving_ms integer;
begin
  select * into m from public.machines where id = p_machine_id;
  select * into s from public.interview_sessions where id = m.session_id for update;
  if s.id is null or s.machine_id is distinct from p_machine_id or s.epoch <> p_epoch then
    return jsonb_build_object('kind', 'fenced');
  end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'session_over');
  end if;
  select * into c from public.realtime_calls where session_id = s.id order by ordinal desc limit 1;
  if p_ordinal <> coalesce(c.ordinal, 0) + 1 and not (p_ordinal = c.ordinal and c.call_id is null
    and c.hung_up_at is null) then
    return jsonb_build_object('kind', 'wrong_ordinal', 'next', app.next_ordinal(s.id));
  end if;
  -- Each opening costs a credential at the provider. The worker has a lower limit of its own; this one also holds for a
  -- stolen worker token. It is enough for three tries of each of the eight calls that a worker may open at once.
  v_wait := app.draw_limit('calls:' || s.id, 12, 32);
  if v_wait > 0 then return jsonb_build_object('kind', 'rate_limited', 'retry_after_ms', v_wait); end if;
  insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider)
    values (s.id, s.tenant_id, p_ordinal, p_epoch, p_provider)
    on conflict (session_id, ordinal) do update set epoch = excluded.epoch;
  -- The time that a change of browsers took is added to the interview.
  v_moving_ms := app.moving_ms(s);
  if v_moving_ms > 0 then
    update public.interview_sessions set max_duration_ms = least(10800000, max_duration_ms + v_moving_ms)
      where id = s.id;
    update public.machines set hard_deadline_at = hard_deadline_at + app.interval_ms(v_moving_ms) where id = m.id;
  end if;
  return jsonb_build_object('kind', 'opened', 'session', app.session_json(s.id),
    'interviewer_template', app.interviewer_template(s.tenant_id));
end $$;
comment on function app.open_call(uuid, integer, integer, text) is
  'Creates the row of a session''s next call, or reuses the last one if it never received a call id. Returns the '
  'session and the tenant''s interviewer_template. The first call after a change of browsers extends the session by '
  'the time that the change took. Refuses a fenced worker, an ended session, and a session that opens too many calls '
  '(rate_limited).';

create function public.open_calls(p_calls jsonb, p_provider text) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- By id: two batches that lock the same sessions cannot deadlock.
  perform 1 from public.interview_sessions s where s.id in (select m.session_id from public.machines m
    where m.id = any (array(select (c ->> 'machine_id')::uuid from jsonb_array_elements(p_calls) c)))
    order by s.id for update;
  return (select jsonb_agg(app.open_call((c ->> 'machine_id')::uuid, (c ->> 'epoch')::integer,
      (c ->> 'ordinal')::integer, p_provider) order by n)
    from jsonb_array_elements(p_calls) with ordinality as e (c, n));
end $$;
comment on function public.open_calls(jsonb, text) is
  'Opens a batch of calls, each as app.open_call does; the worker API calls it before an SDP offer is sent. p_calls: '
  'an array of machine_id, epoch and ordinal. Returns the answers in the same order. A call without a required consent '
  'fails the batch (GR006).';
grant execute on function public.open_calls(jsonb, text) to orchestrator;

create function app.record_call(p_machine_id uuid, p_epoch integer, p_ordinal integer,
  p_credential_ciphertext text default null,
  p_credential_ms integer default null, p_call_id text default null, p_hung_up boolean default false) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_session uuid;
begin
  -- A fenced worker may still report the hang-up or the id of a call that it made: that only helps to hang it up.
  select session_id into v_session from public.machines where id = p_machine_id and epoch = p_epoch;
  update public.realtime_calls set
    credential_ciphertext = case when p_hung_up then null
      else coalesce(p_credential_ciphertext, credential_ciphertext) end,
    credential_expires_at = coalesce(clock_timestamp() + app.interval_ms(p_credential_ms), credential_expires_at),
    call_id = coalesce(call_id, p_call_id),
    answered_at = case when p_call_id is not null then coalesce(answered_at, clock_timestamp()) else answered_at end,
    hung_up_at = case when p_hung_up then coalesce(hung_up_at, clock_timestamp()) else hung_up_at end
  where session_id = v_session and ordinal = p_ordinal and epoch <= p_epoch;
  return found;
end $$;
comment on function app.record_call(uuid, integer, integer, text, integer, text, boolean) is
  'Stores what is known about a call: its credential, its id, or that it was hung up. Returns false if the machine has '
  'no such call at this epoch.';

create function public.record_calls(p_calls jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- In one order: two batches about the same calls cannot deadlock.
  return (select jsonb_agg(x.found order by x.n) from (
    select n, app.record_call((c ->> 'machine_id')::uuid, (c ->> 'epoch')::integer, (c ->> 'ordinal')::integer,
        c ->> 'credential_ciphertext', (c ->> 'credential_ms')::integer, c ->> 'call_id',
        (c ->> 'hung_up')::boolean) as found
      from (select c, n from jsonb_array_elements(p_calls) with ordinality as e (c, n)
        order by c ->> 'machine_id', n offset 0) sorted) x);
end $$;
comment on function public.record_calls(jsonb) is
  'Stores news about a batch of calls, each as app.record_call does; called by the worker API for the machines that '
  'serve the sessions. p_calls: an array of machine_id, epoch, ordinal, hung_up, and credential_ciphertext, '
  'credential_ms and call_id or null. Returns an array of booleans in the same order.';
grant execute on function public.record_calls(jsonb) to orchestrator;

create function public.calls_to_hang_up(p_limit integer default 20, p_retry_ms integer default 5000) returns jsonb
language sql volatile security definer set search_path = '' as $$
  with owed as (
    select c.id, row_number() over (partition by c.tenant_id order by c.opened_at) as place
    from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
    left join public.machines m on m.id = s.machine_id
    where c.hung_up_at is null
      and (s.state_rank >= app.rank_of('ended') and (m.id is null or m.life_rank >= app.life_rank_of('destroying')
        or c.epoch < m.epoch)
        -- Of a session that goes on, a call that a later one has replaced and that its own worker is not there to end.
        or c.epoch < s.epoch and exists (select from public.realtime_calls l where l.session_id = c.session_id
          and l.ordinal > c.ordinal and l.answered_at is not null))
      and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
  ), due as (
    select c.id from public.realtime_calls c join owed o on o.id = c.id
    where c.hung_up_at is null and (c.next_hang_up_at is null or c.next_hang_up_at <= clock_timestamp())
    -- Tenants take turns, so that one whose hang-ups do not return cannot fill every batch.
    order by o.place, c.opened_at limit p_limit for update of c skip locked
  ), taken as (
    update public.realtime_calls c set hang_up_attempts = hang_up_attempts + 1,
      next_hang_up_at = clock_timestamp() + app.interval_ms(p_retry_ms * power(2, least(hang_up_attempts, 8)))
    from due where c.id = due.id returning c.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'session_id', t.session_id, 'ordinal', t.ordinal,
    'call_id', t.call_id, 'tenant_id', t.tenant_id, 'credential_ciphertext', t.credential_ciphertext,
    'attempts', t.hang_up_attempts, 'test', s.test, 'traceparent', s.traceparent,
    'missing_ms', floor(extract(epoch from clock_timestamp() - t.missing_since) * 1000),
    'age_ms', floor(extract(epoch from clock_timestamp() - t.opened_at) * 1000))), '[]')
  from taken t join public.interview_sessions s on s.id = t.session_id
$$;
comment on function public.calls_to_hang_up(integer, integer) is
  'Takes calls whose worker is gone and which no other worker took over, for one attempt to hang up each; called by '
  'the orchestrator''s regular job. A failed call is due again after a growing delay.';
grant execute on function public.calls_to_hang_up(integer, integer) to orchestrator;

create function public.record_hang_up(p_call_row_id uuid) returns void
language sql volatile security definer set search_path = '' as $$
  update public.realtime_calls set hung_up_at = coalesce(hung_up_at, clock_timestamp()), credential_ciphertext = null
    where id = p_call_row_id
$$;
comment on function public.record_hang_up(uuid) is
  'Records that a call is over at the provider; called by the orchestrator after it hung up.';
grant execute on function public.record_hang_up(uuid) to orchestrator;

create function public.record_call_missing(p_call_row_id uuid, p_missing boolean) returns void
language sql volatile security definer set search_path = '' as $$
  -- Asked again soon: if the answer is wrong, the call still costs money; if it is right, it only needs to be repeated.
  update public.realtime_calls
    set missing_since = case when p_missing then coalesce(missing_since, clock_timestamp()) end,
      next_hang_up_at = case when p_missing then clock_timestamp() + interval '3 seconds' else next_hang_up_at end
    where id = p_call_row_id
$$;
comment on function public.record_call_missing(uuid, boolean) is
  'Records since when the provider answers hang-ups with "no such call"; called by the orchestrator. Any other '
  'answer clears the time.';
grant execute on function public.record_call_missing(uuid, boolean) to orchestrator;

create function app.guard_call() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select from public.interview_sessions s where s.id = new.session_id and s.consent_text_version is not null
      and not exists (select from public.consents c where c.session_id = s.id
        and c.text_version = s.consent_text_version)) then
    raise exception 'no call before the candidate''s consent' using errcode = 'GR006';
  end if;
  return new;
end $$;
comment on function app.guard_call() is
  'Refuses a realtime call if a required consent is missing, whichever code creates the call. Trigger of '
  'realtime_calls.';
create trigger guard before insert on public.realtime_calls for each row execute function app.guard_call();
