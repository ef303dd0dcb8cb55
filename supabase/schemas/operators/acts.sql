create function public.ops_end_session(p_session_id uuid, p_outcome text, p_reason text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  v_result jsonb;
begin
  select * into s from public.interview_sessions where id = p_session_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if s.state_rank >= app.rank_of('finalizing') or s.end_requested_at is not null then
    return jsonb_build_object('kind', 'already', 'status', s.status, 'reason', s.reason,
      'at', coalesce(s.completed_at, s.end_requested_at));
  end if;
  v_result := public.request_end(s.id, null, p_outcome, p_reason);
  perform app.audit(p_by, s.tenant_id, 'session.end', s.id::text, jsonb_build_object(
    'before', jsonb_build_object('status', s.status, 'presence', s.presence),
    'after', jsonb_build_object('status', v_result -> 'session' -> 'status', 'outcome', p_outcome,
      'reason', p_reason)));
  return jsonb_build_object('kind', 'done', 'status', v_result -> 'session' -> 'status',
    'machines', v_result -> 'machines');
end $$;
comment on function public.ops_end_session(uuid, text, text, jsonb) is
  'Requests the end of a session for an operator. Returns kind: done (with the machines that must be stopped), already '
  '(with its status, reason and since when), not_found.';
grant execute on function public.ops_end_session(uuid, text, text, jsonb) to orchestrator;

create function app.serves_now(m public.machines, s public.interview_sessions) returns boolean
language sql stable set search_path = '' as $$
  select s.id is not null and s.state_rank < app.rank_of('finalizing') and s.end_requested_at is null
    and m.life_rank < app.life_rank_of('draining') and (s.machine_id is null or s.machine_id = m.id)
$$;
comment on function app.serves_now(public.machines, public.interview_sessions) is
  'Returns whether a session that goes on has this machine, or waits for it.';

create function public.ops_stop_machine(p_machine_id uuid, p_replace boolean, p_outcome text, p_reason text,
  p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  m public.machines;
  s public.interview_sessions;
  v_end jsonb;
  v_before jsonb;
  v_where jsonb;
begin
  select * into m from public.machines where id = p_machine_id;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  select * into s from public.interview_sessions where id = m.session_id for update;
  select * into m from public.machines where id = p_machine_id for update;
  if m.life_rank >= app.life_rank_of('destroying') or m.session_id is not null
    and m.life_rank >= app.life_rank_of('draining') and p_replace then
    return jsonb_build_object('kind', 'already', 'state', m.state, 'reason', m.reason,
      'at', coalesce(m.destroyed_at, m.destroying_at, m.draining_at));
  end if;
  v_where := jsonb_build_object('machine_id', m.id, 'app_name', m.app_name, 'fly_machine_id', m.fly_machine_id);
  v_before := jsonb_build_object('state', m.state, 'session_id', s.id, 'status', s.status);
  if p_replace and (m.state <> 'claimed' or not app.serves_now(m, s)) then
    return jsonb_build_object('kind', 'serves_nothing', 'state', m.state);
  end if;
  if p_replace then
    perform app.audit(p_by, m.tenant_id, 'machine.replace', m.id::text, jsonb_build_object('before', v_before));
    return jsonb_build_object('kind', 'replacing') || v_where;
  end if;
  if app.serves_now(m, s) then
    v_end := public.request_end(s.id, null, p_outcome, p_reason);
    perform app.audit(p_by, m.tenant_id, 'machine.stop', m.id::text, jsonb_build_object('before', v_before,
      'after', jsonb_build_object('status', v_end -> 'session' -> 'status', 'reason', p_reason)));
    return jsonb_build_object('kind', 'session_ended', 'machines', v_end -> 'machines');
  end if;
  perform app.keep_evidence(m.id, (p_by ->> 'actor') || ': ' || coalesce(p_by ->> 'why', ''));
  perform app.move_machine(m.id, case when m.fly_machine_id is null and m.state = 'reserved' and m.taken_until is null
    then 'destroyed' else 'destroying' end, 'operator_stopped');
  perform app.audit(p_by, m.tenant_id, 'machine.stop', m.id::text, jsonb_build_object('before', v_before,
    'after', jsonb_build_object('state', 'destroying')));
  return jsonb_build_object('kind', 'stopped') || v_where;
end $$;
comment on function public.ops_stop_machine(uuid, boolean, text, text, jsonb) is
  'Stops a machine for an operator. Returns kind: replacing (with p_replace: its worker must be told to hand over), '
  'session_ended (it served a session, whose end is requested; with the machines that must be stopped), stopped (it '
  'must be destroyed), already, serves_nothing (p_replace, but no worker serves a session on it), not_found.';
grant execute on function public.ops_stop_machine(uuid, boolean, text, text, jsonb) to orchestrator;

create function public.ops_drain_region(p_region text, p_until timestamptz, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.region_drains;
begin
  perform pg_advisory_xact_lock(hashtextextended('region_drains', 0));
  select * into d from public.region_drains where region = p_region and (until is null or until > clock_timestamp());
  if found and d.until is not distinct from p_until then
    return jsonb_build_object('kind', 'already', 'at', d.drained_at, 'by', d.drained_by);
  end if;
  insert into public.region_drains (region, why, drained_by, until)
    values (p_region, p_by ->> 'why', p_by ->> 'actor', p_until)
    on conflict (region) do update set why = excluded.why, drained_by = excluded.drained_by, until = excluded.until,
      drained_at = clock_timestamp();
  perform app.audit(p_by, null, 'region.drain', p_region, jsonb_build_object('before', to_jsonb(d),
    'after', jsonb_build_object('until', p_until)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_drain_region(text, timestamptz, jsonb) is
  'Drains a region for an operator, or changes until when. Returns kind: done, already.';
grant execute on function public.ops_drain_region(text, timestamptz, jsonb) to orchestrator;

create function public.ops_open_region(p_region text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.region_drains;
begin
  delete from public.region_drains where region = p_region returning * into d;
  if d.region is null or d.until <= clock_timestamp() then return jsonb_build_object('kind', 'already'); end if;
  perform app.audit(p_by, null, 'region.open', p_region, jsonb_build_object('before', to_jsonb(d)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_open_region(text, jsonb) is
  'Opens a drained region for an operator. Returns kind: done, already.';
grant execute on function public.ops_open_region(text, jsonb) to orchestrator;

create function app.is_drained(p_region text) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from public.region_drains d where d.region = p_region
    and (d.until is null or d.until > clock_timestamp()))
$$;
comment on function app.is_drained(text) is 'Returns whether a region may get no new machine now.';

create function app.open_regions(p_regions text[]) returns text[]
language sql stable set search_path = '' as $$
  select coalesce(array_agg(r.code order by r.place), '{}') from unnest(p_regions) with ordinality r (code, place)
  where not app.is_drained(r.code)
$$;
comment on function app.open_regions(text[]) is 'Returns these regions, in their order, without the drained ones.';

create function public.drained_regions() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(d.region order by d.region), '[]') from public.region_drains d
  where d.until is null or d.until > clock_timestamp()
$$;
comment on function public.drained_regions() is
  'Returns the codes of the drained regions; read by every orchestrator every few seconds.';
grant execute on function public.drained_regions() to orchestrator;

create function public.record_brake_hold(p_app_name text, p_orchestrator_id uuid, p_ends jsonb, p_ceiling integer)
  returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  b public.brake_holds;
  v_same boolean;
begin
  perform pg_advisory_xact_lock(hashtextextended('brake ' || p_app_name, 0));
  select * into b from public.brake_holds where app_name = p_app_name for update;
  if b.released_at > clock_timestamp() - interval '10 minutes' and b.carried_out_at is null and b.ends @> p_ends then
    update public.brake_holds set carried_out_at = clock_timestamp() where id = b.id;
    return true;
  end if;
  v_same := b.carried_out_at is null and b.ends @> p_ends and p_ends @> b.ends
    and b.seen_at > clock_timestamp() - interval '10 minutes';
  if v_same is true then
    update public.brake_holds set seen_at = clock_timestamp(), orchestrator_id = p_orchestrator_id where id = b.id;
    return false;
  end if;
  delete from public.brake_holds where app_name = p_app_name;
  insert into public.brake_holds (app_name, orchestrator_id, ends, ceiling)
    values (p_app_name, p_orchestrator_id, p_ends, p_ceiling);
  return false;
end $$;
comment on function public.record_brake_hold(text, uuid, jsonb, integer) is
  'Stores which machines of an app the brake did not end; called by the reconciler. Returns true if an operator '
  'released exactly these machines, or more, in the last 10 minutes: then they may be ended, once. Another list is a '
  'new hold with another id, so a release never ends a machine that the operator did not see.';
grant execute on function public.record_brake_hold(text, uuid, jsonb, integer) to orchestrator;

create function public.ops_brake() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('hold_id', b.id, 'app_name', b.app_name, 'tenant_id', a.tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = a.tenant_id), 'ends', b.ends, 'ceiling', b.ceiling,
    'held_at', b.held_at, 'seen_at', b.seen_at, 'released_at', b.released_at, 'released_by', b.released_by)
    order by b.held_at), '[]')
  from public.brake_holds b join public.tenant_apps a on a.name = b.app_name
  where b.carried_out_at is null and b.seen_at > clock_timestamp() - interval '1 minute'
$$;
comment on function public.ops_brake() is
  'Returns what the brake holds now: for each app the machines that it did not end, for operators.';
grant execute on function public.ops_brake() to orchestrator;

create function public.ops_release_brake(p_hold_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  b public.brake_holds;
begin
  select * into b from public.brake_holds where id = p_hold_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if b.released_at is not null then
    return jsonb_build_object('kind', 'already', 'at', b.released_at, 'by', b.released_by);
  end if;
  update public.brake_holds set released_at = clock_timestamp(), released_by = p_by ->> 'actor' where id = b.id;
  perform app.audit(p_by, (select tenant_id from public.tenant_apps where name = b.app_name), 'brake.release',
    b.app_name, jsonb_build_object('before', jsonb_build_object('ends', b.ends, 'held_at', b.held_at)));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_release_brake(uuid, jsonb) is
  'Releases a hold of the brake for an operator: the next round ends the machines of its list. Returns kind: done, '
  'already, not_found.';
grant execute on function public.ops_release_brake(uuid, jsonb) to orchestrator;

create function public.ops_put_pool(p_tenant_id uuid, p_region text, p_pool jsonb, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p public.pool_policies;
  v_floor integer;
  v_ceiling integer;
  v_hot_floor integer;
  v_hot_ceiling integer;
begin
  -- The tenant's row and not the pool's: the pool may not exist yet, and put_pool_policy locks the tenant first too.
  perform from public.tenants where id = p_tenant_id for no key update;
  select * into p from public.pool_policies where tenant_id = p_tenant_id and region = p_region;
  v_floor := coalesce((p_pool ->> 'floor')::integer, p.floor, 0);
  v_ceiling := coalesce((p_pool ->> 'ceiling')::integer, p.ceiling, 0);
  v_hot_floor := coalesce((p_pool ->> 'hot_floor')::integer, p.hot_floor, 0);
  v_hot_ceiling := coalesce((p_pool ->> 'hot_ceiling')::integer, p.hot_ceiling, 0);
  if v_floor > v_ceiling or v_hot_floor > v_hot_ceiling then
    return jsonb_build_object('kind', 'floor_above_ceiling');
  end if;
  if (coalesce(p.floor, 0), coalesce(p.ceiling, 0), coalesce(p.hot_floor, 0), coalesce(p.hot_ceiling, 0))
    = (v_floor, v_ceiling, v_hot_floor, v_hot_ceiling)
    and exists (select from public.tenants where id = p_tenant_id) then
    return jsonb_build_object('kind', 'already', 'at', p.updated_at);
  end if;
  return public.put_pool_policy(p_tenant_id, p_region, v_floor, v_ceiling, p_by, v_hot_floor, v_hot_ceiling)
    - 'tenant';
end $$;
comment on function public.ops_put_pool(uuid, text, jsonb, jsonb) is
  'Sets a pool for an operator: p_pool {floor, ceiling, hot_floor, hot_ceiling}; a missing number stays. Returns '
  'kind: updated, already, limit_exceeded, floor_above_ceiling, not_found.';
grant execute on function public.ops_put_pool(uuid, text, jsonb, jsonb) to orchestrator;

create function app.retry_result(p_session_id uuid, p_by jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_before jsonb;
  v_tenant uuid;
  v_kind text;
begin
  select jsonb_build_object('status', r.status, 'failure', r.failure), r.tenant_id into v_before, v_tenant
    from public.interview_results r where r.session_id = p_session_id;
  v_kind := public.rerun_result(p_session_id, null, p_by ->> 'actor');
  if v_kind <> 'queued' then
    return jsonb_build_object('kind', case when v_kind = 'running' then 'already' else v_kind end);
  end if;
  perform app.audit(p_by, v_tenant, 'result.retry', p_session_id::text, jsonb_build_object('before', v_before,
    'after', jsonb_build_object('status', 'pending')));
  return jsonb_build_object('kind', 'done');
end $$;
comment on function app.retry_result(uuid, jsonb) is
  'Queues an evaluation again for an operator. Returns kind: done, already (one runs), withdrawn, nothing, not_found.';

create function public.ops_retry_work(p_kind text, p_id text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant uuid;
  v_session uuid := case when split_part(p_id, '/', 1) ~ '^[0-9a-f-]{36}$' then split_part(p_id, '/', 1)::uuid end;
  v_ordinal integer := case when split_part(p_id, '/', 2) ~ '^\d{1,6}$' then split_part(p_id, '/', 2)::integer end;
begin
  if p_kind = 'result' then return app.retry_result(v_session, p_by); end if;
  if p_kind = 'recording' then
    update public.video_jobs set next_attempt_at = clock_timestamp() where session_id = v_session
      and ordinal = v_ordinal and state in ('wanted', 'closing', 'processing') returning tenant_id into v_tenant;
  elsif p_kind = 'recording_deletion' then
    update public.video_deletions set next_attempt_at = clock_timestamp() where video_id = p_id
      and deleted_at is null returning tenant_id into v_tenant;
  elsif p_kind = 'hang_up' then
    update public.realtime_calls set next_hang_up_at = clock_timestamp() where session_id = v_session
      and ordinal = v_ordinal and hung_up_at is null returning tenant_id into v_tenant;
  end if;
  if v_tenant is null then return jsonb_build_object('kind', 'not_found'); end if;
  perform app.audit(p_by, v_tenant, p_kind || '.retry', p_id);
  return jsonb_build_object('kind', 'done');
end $$;
comment on function public.ops_retry_work(text, text, jsonb) is
  'Makes owed work due at once for an operator: result, recording, recording_deletion or hang_up. Returns kind: done, '
  'already (it runs now), withdrawn (the candidate withdrew consent), nothing (there is no result), not_found.';
grant execute on function public.ops_retry_work(text, text, jsonb) to orchestrator;

create function public.ops_replay_delivery(p_id uuid, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  d public.webhook_deliveries;
begin
  select * into d from public.webhook_deliveries where id = p_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if d.status = 'pending' then
    return jsonb_build_object('kind', 'already', 'at', d.next_attempt_at);
  end if;
  return public.replay_webhook_delivery(d.tenant_id, d.endpoint_id, d.id, p_by) - 'delivery';
end $$;
comment on function public.ops_replay_delivery(uuid, jsonb) is
  'Queues a webhook delivery again for an operator. Returns kind: queued, already (it is waiting to be sent), erased, '
  'not_found.';
grant execute on function public.ops_replay_delivery(uuid, jsonb) to orchestrator;
