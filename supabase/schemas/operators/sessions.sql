create view app.ops_session_rows with (security_invoker = true) as
  select s.id as session_id, s.tenant_id, t.slug as tenant, s.status, s.reason, s.presence,
    s.queue_deadline_at is not null as queued,
    coalesce(s.region, s.regions[1]) as region, s.epoch, s.machine_id, s.fly_machine_id, s.simulated, s.created_at,
    s.scheduled_at, s.ready_at, s.started_at, s.completed_at, s.end_requested_at,
    p.path, coalesce(p.attempts, 0) as attempts, p.start_ms, p.voice_ms,
    r.status as result,
    (select sum(u.cost_usd + u.standby_cost_usd + u.hot_cost_usd) from public.machine_usage u
      where u.session_id = s.id) as cost_usd,
    case when p.due_at is not null then row_to_json(x) end as phases
  from public.interview_sessions s join public.tenants t on t.id = s.tenant_id
    left join public.session_phases p on p.session_id = s.id
    left join public.interview_results r on r.session_id = s.id
    -- What the API explains a start from: every further column is written once a row.
    cross join lateral (select p.path, p.attempts, p.earlier, p.wanted_region, p.region, p.standby_kept, p.slot_place,
      p.slot_count, p.fly_request_id, p.due_at, p.begun_at, p.reserved_at, p.slot_at, p.asked_at, p.answered_at,
      p.started_at, p.booted_at, p.ready_at, p.looked_at, p.joined_at, p.edge_wait_ms, p.socket_at, p.offered_at,
      p.credential_at, p.call_answered_at, p.connected_at, p.spoke_at, s.scheduled_at is not null as scheduled,
      s.queued_at is not null as queued, s.status, s.reason, s.completed_at) x;
comment on view app.ops_session_rows is
  'A session as operators see it in a list. It contains no name, no text and nothing of the platform''s own data.';

create function app.session_rows(p_ids uuid[]) returns json
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
begin
  return (select coalesce(json_agg(row_to_json(v) order by g.n), '[]')
    from unnest(p_ids) with ordinality g (id, n) join app.ops_session_rows v on v.session_id = g.id);
end $$;
comment on function app.session_rows(uuid[]) is 'Returns the sessions with these ids, in their order.';

create function app.session_conditions(p_filter jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  v_statuses text[] := app.texts_of(p_filter -> 'status');
  v_reasons text[] := app.texts_of(p_filter -> 'reason');
  v_live boolean := (p_filter ->> 'live')::boolean
    or (select bool_and(app.rank_of(x) < app.rank_of('ended')) from unnest(v_statuses) x);
  v_status text := case when cardinality(v_statuses) = 1 then 's.status = ' || quote_literal(v_statuses[1])
    else 's.status = any (' || quote_literal(v_statuses) || ')' end;
  v_unfinished boolean := coalesce(cardinality(v_statuses) = 1
    and v_statuses[1] in ('failed', 'disconnected', 'expired', 'cancelled'), false);
begin
  -- quote_literal returns null for null, so a filter that is not given has no condition.
  return jsonb_strip_nulls(jsonb_build_object(
    'ids', 's.id = any (' || quote_literal(app.texts_of(p_filter -> 'ids')) || ')',
    'live', case when v_live then 's.state_rank < app.rank_of(''ended'')' end,
    'unfinished', case when v_unfinished then v_status end,
    'status', case when not v_unfinished and cardinality(v_statuses) = 1 then v_status end,
    'statuses', case when cardinality(v_statuses) <> 1 then v_status end,
    'reason', case when cardinality(v_reasons) = 1 then 's.reason = ' || quote_literal(v_reasons[1]) end,
    'reasons', case when cardinality(v_reasons) <> 1 then 's.reason = any (' || quote_literal(v_reasons) || ')' end,
    'tenant', 's.tenant_id = ' || quote_literal(p_filter ->> 'tenant'),
    'region', 's.region = ' || quote_literal(p_filter ->> 'region'),
    'from', 's.created_at >= ' || quote_literal(p_filter ->> 'from'),
    'until', 's.created_at < ' || quote_literal(p_filter ->> 'until'),
    'path', 'p.path = ' || quote_literal(p_filter ->> 'path'),
    'attempts', 'p.attempts >= ' || quote_literal(p_filter ->> 'attempts'),
    'slow', 'p.start_ms >= ' || quote_literal(p_filter ->> 'slow_ms')));
end $$;
comment on function app.session_conditions(jsonb) is
  'Returns the SQL conditions of a filter of sessions, by name: those of the session s and of its phases p.';

create function app.newest_sessions(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable set search_path = '' as $$
declare
  v_all jsonb := app.session_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('after',
    '(s.created_at, s.id) < (' || quote_literal(p_after ->> 'at') || ', ' || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 's.created_at desc, s.id desc';
  v_from text := 'public.interview_sessions s';
  v_walk text[] := app.walk_of(v_all, '{ids, tenant unfinished, tenant status, tenant region, tenant, unfinished,
    reason, live, region}');
  v_window integer := app.walk_window();
  v_page record;
begin
  if v_walk = '{ids}' then
    v_from := format('(select s.* from public.interview_sessions s where %s offset 0) s', v_all ->> 'ids');
    v_all := v_all - 'ids';
    v_walk := '{}';
  elsif v_walk = '{}' and app.are_few('public.session_phases p where ' || (v_all ->> 'slow'), v_window) then
    v_from := format('(select s.* from (select p.session_id from public.session_phases p where %s offset 0) p
      join public.interview_sessions s on s.id = p.session_id offset 0) s', v_all ->> 'slow');
    v_all := v_all - 'slow';
  end if;
  v_walk := v_walk || '{from,until,after}'::text[];
  v_page := app.page_of(
    format('select s.id, s.created_at, s.tenant_id, s.status, s.state_rank, s.reason, s.region from %s where %s '
      'order by %s', v_from, app.conditions(v_all, v_walk, true), v_order),
    format('select s.id from walked s left join public.session_phases p on p.session_id = s.id where %s order by %s',
      app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''at'', created_at, ''id'', id)',
    case when v_all - v_walk = '{}' then p_limit else v_window end, p_limit);
  return json_build_object('rows', app.session_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function app.newest_sessions(jsonb, jsonb, integer) is 'Returns a page of ops_sessions, newest first.';

create function app.slowest_sessions(p_filter jsonb, p_after jsonb, p_limit integer) returns json
language plpgsql stable set search_path = '' as $$
declare
  v_all jsonb := app.session_conditions(p_filter) || jsonb_strip_nulls(jsonb_build_object('tenant',
    'p.tenant_id = ' || quote_literal(p_filter ->> 'tenant'), 'started', 'p.start_ms is not null', 'after',
    '(p.start_ms, p.session_id) < (' || quote_literal(p_after ->> 'start_ms') || ', '
      || quote_literal(p_after ->> 'id') || ')'));
  v_order text := 'p.start_ms desc, p.session_id desc';
  v_from text := 'public.session_phases p';
  v_walk text[] := app.walk_of(v_all, '{tenant, path}');
  -- No index has these in the order of start times. If they select few sessions, all of them are sorted.
  v_few text[] := app.walk_of(v_all, '{ids, live, unfinished, reason, region}');
  v_window integer := app.walk_window();
  v_page record;
begin
  if v_walk = '{}' and v_few <> '{}' and app.are_few('public.interview_sessions s where '
    || app.conditions(v_all, v_few, true), v_window) then
    v_from := format('(select p.* from (select s.id from public.interview_sessions s where %s offset 0) s
      join public.session_phases p on p.session_id = s.id offset 0) p', app.conditions(v_all, v_few, true));
    v_all := v_all - v_few;
  end if;
  v_walk := v_walk || '{started,slow,after}'::text[];
  v_page := app.page_of(
    format('select p.session_id, p.start_ms, p.tenant_id, p.path, p.attempts from %s where %s order by %s', v_from,
      app.conditions(v_all, v_walk, true), v_order),
    format('select p.session_id as id from walked p left join public.interview_sessions s on s.id = p.session_id '
      'where %s order by %s', app.conditions(v_all, v_walk, false), v_order),
    'json_build_object(''start_ms'', start_ms, ''id'', session_id)',
    case when v_all - v_walk = '{}' then p_limit else v_window end, p_limit);
  return json_build_object('rows', app.session_rows(v_page.ids), 'searched_to', v_page.searched_to);
end $$;
comment on function app.slowest_sessions(jsonb, jsonb, integer) is
  'Returns a page of ops_sessions, those that took longest to be ready first.';

create function public.ops_sessions(p_filter jsonb, p_sort text, p_after jsonb, p_limit integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  if p_sort = 'start' then return app.slowest_sessions(p_filter, p_after, p_limit); end if;
  return app.newest_sessions(p_filter, p_after, p_limit);
end $$;
comment on function public.ops_sessions(jsonb, text, jsonb, integer) is
  'Lists sessions of all tenants for operators, those after p_after. p_sort: created (newest first) or start (slowest '
  'first). p_after: {at, id} or {start_ms, id}. p_filter: live (only sessions that have not ended), status[], '
  'reason[], tenant, region, path, attempts (at least), slow_ms (at least), from (included), until (not included), '
  'ids[]. Returns {rows, searched_to}, see app.page_of.';
grant execute on function public.ops_sessions(jsonb, text, jsonb, integer) to orchestrator;

create function public.ops_session(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select to_jsonb(v) || jsonb_build_object(
    'candidate_id', s.candidate_id,
    'external_id', (select c.external_id from public.tenant_candidates c where c.tenant_id = s.tenant_id
      and c.candidate_id = s.candidate_id),
    'position_id', s.position_id, 'regions', to_jsonb(s.regions), 'region_reason', s.region_reason,
    'placement', s.placement, 'max_duration_ms', s.max_duration_ms, 'expires_at', s.expires_at,
    'integrity', s.integrity, 'consent_withdrawn_at', s.consent_withdrawn_at,
    'phases', public.session_phases_of(s.id),
    'machines', (select coalesce(jsonb_agg(to_jsonb(m) order by m.attempt, m.reserved_at), '[]')
      from app.ops_machine_documents m join public.machines o on o.id = m.machine_id where o.session_id = s.id),
    'calls', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', c.ordinal, 'epoch', c.epoch,
        'provider', c.provider, 'call_id', c.call_id, 'opened_at', c.opened_at, 'answered_at', c.answered_at,
        'hung_up_at', c.hung_up_at) order by c.ordinal), '[]')
      from public.realtime_calls c where c.session_id = s.id),
    'transcript', (select jsonb_build_object('entries', count(*), 'unverified', count(*) filter (where not e.verified),
        'complete', s.transcript_complete, 'revision', s.transcript_revision, 'erased_at', s.transcript_erased_at)
      from public.transcript_entries e where e.session_id = s.id),
    'evaluation', (select jsonb_build_object('status', r.status, 'attempts', r.attempts, 'failure', r.failure,
        'last_error', r.last_error, 'model', r.model, 'evaluated_at', r.evaluated_at,
        'next_attempt_at', case when r.status in ('pending', 'running') then r.next_attempt_at end)
      from public.interview_results r where r.session_id = s.id),
    'recordings', (select coalesce(jsonb_agg(jsonb_build_object('ordinal', v.ordinal, 'state', v.state,
        'video_id', v.video_id, 'attempts', v.attempts, 'failure', v.failure, 'started_at', v.started_at)
        order by v.ordinal), '[]')
      from public.video_jobs v where v.session_id = s.id),
    'deliveries', (select coalesce(jsonb_agg(app.delivery_json(d) order by d.created_at desc, d.id), '[]') from (
      select * from public.webhook_deliveries w where w.session_id = s.id order by w.created_at desc limit 50) d),
    'usage', app.session_usage(s.id))
  from public.interview_sessions s join app.ops_session_rows v on v.session_id = s.id where s.id = p_id);
end $$;
comment on function public.ops_session(uuid) is
  'Returns everything that operators see of one session: its row, phases, machines, calls, counts of its transcript, '
  'evaluation, recordings, newest 50 deliveries and cost. No name and no text. Null if there is none.';
grant execute on function public.ops_session(uuid) to orchestrator;
