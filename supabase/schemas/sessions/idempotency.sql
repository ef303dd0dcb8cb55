create function public.take_idempotency_keys(p_requests jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_n bigint;
  k public.idempotency_keys;
  v_kind text;
  v_answers jsonb := '{}';
begin
  -- In one order: otherwise two batches could deadlock.
  for r, v_n in select x, n from jsonb_array_elements(p_requests) with ordinality as e (x, n)
      order by x ->> 'scope', x ->> 'key', n loop
    insert into public.idempotency_keys (scope, tenant_id, key, request_hash, taken_by, taken_until)
      values (r ->> 'scope', (r ->> 'tenant_id')::uuid, r ->> 'key', r ->> 'request_hash', (r ->> 'taken_by')::uuid,
        clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric))
      on conflict (scope, key) do update set scope = excluded.scope returning * into k;
    if k.taken_by = (r ->> 'taken_by')::uuid then
      v_kind := 'taken';
    elsif k.created_at < clock_timestamp() - app.idempotency_life() then
      delete from public.idempotency_keys where (scope, key) = (k.scope, k.key);
      insert into public.idempotency_keys (scope, tenant_id, key, request_hash, taken_by, taken_until)
        values (k.scope, (r ->> 'tenant_id')::uuid, k.key, r ->> 'request_hash', (r ->> 'taken_by')::uuid,
          clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric));
      v_kind := 'taken';
    elsif k.request_hash <> r ->> 'request_hash' then
      v_kind := 'mismatch';
    elsif k.sealed_answer is not null then
      v_kind := 'answered';
    elsif k.taken_until > clock_timestamp() then
      v_kind := 'running';
    else
      update public.idempotency_keys set taken_by = (r ->> 'taken_by')::uuid,
          taken_until = clock_timestamp() + app.interval_ms((r ->> 'hold_ms')::numeric)
        where (scope, key) = (k.scope, k.key);
      v_kind := 'taken';
    end if;
    v_answers := v_answers || jsonb_build_object(v_n, jsonb_build_object('kind', v_kind)
      || case v_kind when 'answered' then jsonb_build_object('sealed_answer', k.sealed_answer) else '{}' end);
  end loop;
  return (select jsonb_agg(v order by n::bigint) from jsonb_each(v_answers) as a (n, v));
end $$;
comment on function public.take_idempotency_keys(jsonb) is
  'Takes the Idempotency-Keys of requests that are about to run; called by the API before a POST runs. An array of '
  'requests in, an array of results out, in order. kind: taken (run it; also when the hold of an earlier request has '
  'lapsed), running (another request holds the key), answered (sealed_answer), mismatch (the '
  'key was used for another request).';
grant execute on function public.take_idempotency_keys(jsonb) to orchestrator;

create function public.hold_idempotency_keys(p_taken_by uuid[], p_hold_ms integer) returns void
language sql security definer set search_path = '' as $$
  update public.idempotency_keys set taken_until = clock_timestamp() + app.interval_ms(p_hold_ms)
    where taken_by = any (p_taken_by) and sealed_answer is null
$$;
comment on function public.hold_idempotency_keys(uuid[], integer) is 
  'Prolongs the holds of requests that still run; called by their orchestrator at intervals.';
grant execute on function public.hold_idempotency_keys(uuid[], integer) to orchestrator;

create function public.store_idempotent_answers(p_answers jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  r jsonb;
  v_n bigint;
  v_kept text;
  v_stored jsonb := '{}';
begin
  for r, v_n in select x, n from jsonb_array_elements(p_answers) with ordinality as e (x, n)
      order by x ->> 'scope', x ->> 'key', n loop
    v_kept := null;
    if r ->> 'sealed_answer' is null then
      delete from public.idempotency_keys where (scope, key) = (r ->> 'scope', r ->> 'key')
        and taken_by = (r ->> 'taken_by')::uuid and session_id is null and sealed_answer is null;
      update public.idempotency_keys set taken_until = clock_timestamp()
        where (scope, key) = (r ->> 'scope', r ->> 'key')
          and taken_by = (r ->> 'taken_by')::uuid and sealed_answer is null;
    else
      update public.idempotency_keys set sealed_answer = coalesce(sealed_answer, r ->> 'sealed_answer'),
          sealed_code = null, session_id = coalesce(session_id, (select s.id from public.interview_sessions s
            where s.id = (r ->> 'session_id')::uuid)),
          candidate_id = coalesce(candidate_id, (select c.id from public.candidates c
            where c.id = (r ->> 'candidate_id')::uuid))
        where (scope, key) = (r ->> 'scope', r ->> 'key') and request_hash = r ->> 'request_hash'
        returning sealed_answer into v_kept;
    end if;
    v_stored := v_stored || jsonb_build_object(v_n, jsonb_build_object('sealed_answer', v_kept));
  end loop;
  return (select jsonb_agg(v order by n::bigint) from jsonb_each(v_stored) as a (n, v));
end $$;
comment on function public.store_idempotent_answers(jsonb) is
  'Stores the answers of requests that have run; called by the API before it sends an answer. Returns for each the '
  'answer that is stored: the first one stays, so that two runs of one request give the same answer. Without '
  'a sealed_answer the key becomes free again. '
  'sealed_answer is null in the result if the row is gone.';
grant execute on function public.store_idempotent_answers(jsonb) to orchestrator;

create function public.prune_idempotency_keys(p_limit integer default 500) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_count integer;
begin
  -- By row address: a join by key would read the whole table, because it has few rows for their size.
  delete from public.idempotency_keys where ctid = any (array(
    select ctid from public.idempotency_keys where created_at < now() - app.idempotency_life()
      order by created_at limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function public.prune_idempotency_keys(integer) is
  'Deletes Idempotency-Keys, with their answers, that are older than a day, at most p_limit; called by the '
  'regular job. Returns how many.';
grant execute on function public.prune_idempotency_keys(integer) to orchestrator;
