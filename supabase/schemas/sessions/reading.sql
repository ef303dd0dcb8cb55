create function app.session_json(p_session_id uuid, p_brief boolean default false) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s public.interview_sessions;
  p record;
begin
  -- Two reads by key instead of a join: the plan of a join would be made while the tables are small, and then kept.
  select * into s from public.interview_sessions where id = p_session_id;
  if not found then return null; end if;
  select id, title, description into p from public.positions where id = s.position_id;
  return jsonb_build_object(
    'session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status, 'outcome', s.outcome, 'reason', s.reason,
    'presence', s.presence, 'region', s.region, 'region_reason', s.region_reason, 'fly_machine_id', s.fly_machine_id,
    'epoch', s.epoch, 'simulated', s.simulated, 'test', s.test, 'metadata', s.metadata,
    'settings', case when p_brief then '{}' else s.settings end,
    'max_duration_ms', s.max_duration_ms, 'end_requested_at', s.end_requested_at,
    'transcript_revision', s.transcript_revision,
    'transcript_complete', s.transcript_complete, 'video_recording_url', s.video_recording_url,
    'placement', s.placement, 'admission', s.admission, 'scheduled_at', s.scheduled_at,
    'queue', case when s.queue_deadline_at is not null then app.queue_json(s) end,
    'created_at', s.created_at, 'updated_at', s.updated_at, 'expires_at', s.expires_at,
    'ready_at', s.ready_at, 'started_at', s.started_at,
    'completed_at', s.completed_at, 'consent_withdrawn_at', s.consent_withdrawn_at,
    'interview_context', jsonb_build_object(
      'position', jsonb_build_object('id', p.id, 'title', p.title,
        'description', case when not p_brief then p.description end),
      'candidate', jsonb_build_object('id', s.candidate_id, 'name', null, 'email', null, 'external_id', null)
        || s.candidate));
end $$;
comment on function app.session_json(uuid, boolean) is
  'Returns a session as the platform API shows it, without tokens and URLs. Brief: leaves out the settings and the '
  'description of the position, which are large, without reading them.';

create function app.expanded(p_session_id uuid, p_expand text[]) returns jsonb
language sql stable set search_path = '' as $$
  select case when 'result' = any (p_expand)
      then jsonb_build_object('result', public.get_result(s.id) -> 'result') else '{}' end
    || case when 'candidate' = any (p_expand) then jsonb_build_object('candidate', (select app.candidate_json(c)
      from public.tenant_candidates c where c.tenant_id = s.tenant_id and c.candidate_id = s.candidate_id
        and c.erased_at is null)) else '{}' end
    || case when 'position' = any (p_expand) then jsonb_build_object('position', (select to_jsonb(p)
      from public.positions p where p.id = s.position_id)) else '{}' end
  from public.interview_sessions s where s.id = p_session_id and p_expand <> '{}'
$$;
comment on function app.expanded(uuid, text[]) is
  'Returns what belongs to a session, as its own routes show it: any of result, candidate and position. Null where '
  'there is none, as for the candidate after an erasure. Null instead of an object if nothing is asked for.';

create function public.get_session(p_session_id uuid, p_tenant_id uuid default null, p_expand text[] default '{}')
  returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.session_json(s.id) || jsonb_build_object('usage', app.session_usage(s.id))
    || coalesce(app.expanded(s.id, p_expand), '{}') from public.interview_sessions s
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_session(uuid, uuid, text[]) is
  'Returns a session, only of this tenant if one is given, with the parts in p_expand; called by the API. Null if '
  'there is none.';
grant execute on function public.get_session(uuid, uuid, text[]) to orchestrator;

create function public.list_sessions(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_after_at timestamptz default null, p_after_id uuid default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_order text := coalesce(p_filters ->> 'order', '-created_at');
  v_at text := case when v_order like '%scheduled_at' then 'scheduled_at' else 'created_at' end;
  v_way text := case when v_order like '-%' then 'desc' else 'asc' end;
  v_ids uuid[];
  v_expand text[] := array(select jsonb_array_elements_text(p_filters -> 'expand'));
begin
  -- Dynamic, so that each call is planned for the filters that it has: the values are constants to the planner.
  execute format('select array(select s.id from public.interview_sessions s
    where s.tenant_id = $1 and s.%1$I is not null
      and ($2 is null or s.status = any ($2)) and ($3 is null or s.region = any ($3))
      and ($4 is null or s.candidate_id = $4) and ($5 is null or s.position_id = $5)
      and ($6 is null or s.candidate_id = (select c.candidate_id from public.tenant_candidates c
        where c.tenant_id = $1 and c.external_id = $6))
      and ($7 is null or s.metadata @> $7)
      and ($8 is null or s.created_at >= $8) and ($9 is null or s.created_at < $9)
      and ($10 is null or s.scheduled_at >= $10) and ($11 is null or s.scheduled_at < $11)
      and ($12 is null or (s.%1$I, s.id) %3$s ($12, $13))
    order by s.%1$I %2$s, s.id %2$s limit $14)', v_at, v_way, case v_way when 'desc' then '<' else '>' end)
  into v_ids
  using p_tenant_id,
    case when p_filters ? 'status' then array(select jsonb_array_elements_text(p_filters -> 'status')) end,
    case when p_filters ? 'region' then array(select jsonb_array_elements_text(p_filters -> 'region')) end,
    (p_filters ->> 'candidate_id')::uuid, (p_filters ->> 'position_id')::uuid,
    p_filters ->> 'candidate_external_id', p_filters -> 'metadata',
    (p_filters ->> 'created_from')::timestamptz, (p_filters ->> 'created_until')::timestamptz,
    (p_filters ->> 'scheduled_from')::timestamptz, (p_filters ->> 'scheduled_until')::timestamptz,
    p_after_at, p_after_id, p_limit;
  return (select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select i.n, app.session_json(i.id, true) || coalesce(app.expanded(i.id, v_expand), '{}') as shown
      from unnest(v_ids) with ordinality as i (id, n)) x) y
  where y.before <= app.max_list_bytes());
end $$;
comment on function public.list_sessions(uuid, integer, jsonb, timestamptz, uuid) is
  'Lists a tenant''s sessions; called by the API. p_filters: status, region (arrays: any of them), candidate_id, '
  'position_id, candidate_external_id, metadata (contains all), created_from, created_until, scheduled_from, '
  'scheduled_until (from is included, until is not), expand (array), order (created_at or scheduled_at, with - the '
  'latest first; default -created_at). In the order of scheduled_at only scheduled sessions are listed. '
  'p_after_at, p_after_id: where the page before ended. Settings and the description of the position are left empty. '
  'Returns at most max_list_bytes plus one session.';
grant execute on function public.list_sessions(uuid, integer, jsonb, timestamptz, uuid) to orchestrator;

create function public.session_routes(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status,
    'state_rank', s.state_rank,
    'epoch', s.epoch, 'machine_id', m.id, 'machine_state', m.state, 'app_name', m.app_name,
    'fly_machine_id', m.fly_machine_id, 'unconfirmed', coalesce(m.hot and m.confirmed_at is null, false),
    'silent', coalesce(m.lease_expires_at < now(), false), 'traceparent', s.traceparent)), '[]')
  from public.interview_sessions s left join public.machines m on m.id = s.machine_id
  where s.id = any (p_session_ids)
$$;
comment on function public.session_routes(uuid[]) is
  'Returns for each of these sessions the machine that serves it, if any; called by the edge, many sessions in one '
  'call.';
grant execute on function public.session_routes(uuid[]) to orchestrator;

create function app.event_settles() returns interval
language sql immutable set search_path = '' as $$ select interval '10 seconds' $$;
comment on function app.event_settles() is
  'How long after an event others of the same tenant with smaller ids may still be committed: longer than the '
  'statement timeout of all who write events.';

create function public.session_events_after(p_cursors jsonb, p_limit integer default 200) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'session_id', e.session_id, 'type', e.type, 'data', e.data,
    'created_at', e.created_at)
    order by e.id), '[]')
  from jsonb_array_elements(p_cursors) c
  cross join lateral (select * from public.session_events x
    where x.session_id = (c ->> 'session_id')::uuid and x.id > (c ->> 'after')::bigint order by x.id limit p_limit) e
$$;
comment on function public.session_events_after(jsonb, integer) is
  'Lists events of several sessions, each after its own cursor, at most p_limit of each; called by the API''s event '
  'streams.';
grant execute on function public.session_events_after(jsonb, integer) to orchestrator;

create function public.tenant_events_after(p_tenant_id uuid, p_after bigint, p_seen bigint[], p_limit integer)
returns jsonb language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'session_id', e.session_id, 'type', e.type, 'data', e.data,
    'created_at', e.created_at, 'settled', e.created_at < clock_timestamp() - app.event_settles())
    order by e.id), '[]')
  from (select * from public.session_events x where x.tenant_id = p_tenant_id and x.id > p_after
    and app.event_audience(x.type) = 'tenant' and not x.id = any (p_seen) order by x.id limit p_limit) e
$$;
comment on function public.tenant_events_after(uuid, bigint, bigint[], integer) is
  'Lists a tenant''s events with a larger id than p_after, except those in p_seen; called by the API''s event streams. '
  'settled: no event with a smaller id can be committed any more.';
grant execute on function public.tenant_events_after(uuid, bigint, bigint[], integer) to orchestrator;

create function public.tenant_events_start(p_tenant_id uuid, p_after bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
  with since as (
    select coalesce((select created_at from public.session_events where tenant_id = p_tenant_id and id = p_after),
      case when p_after is null then clock_timestamp() end) - app.event_settles() as at
  ), start as (
    select case when s.at is null then p_after else coalesce((select x.id from public.session_events x
      where x.tenant_id = p_tenant_id and x.id <= coalesce(p_after, x.id) and x.created_at < s.at
      order by x.id desc limit 1), 0) end as after from since s
  )
  select jsonb_build_object('after', s.after, 'seen', case when p_after is not null then '[]' else
    (select coalesce(jsonb_agg(x.id order by x.id), '[]') from public.session_events x
      where x.tenant_id = p_tenant_id and x.id > s.after) end) from start s
$$;
comment on function public.tenant_events_start(uuid, bigint) is
  'Returns where a reader of a tenant''s events begins: {after, seen} for tenant_events_after. p_after: the last event '
  'that the reader knows; null: only events from now on. After p_after, a slower transaction may have committed events '
  'with smaller ids, so the reader goes back far enough to meet them and may get events again.';
grant execute on function public.tenant_events_start(uuid, bigint) to orchestrator;

create function app.queue_json(s public.interview_sessions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('position', q.position, 'deadline', s.queue_deadline_at,
    'estimate_ms', ceil(q.position * case
    when e.ended > 0 then 600000.0 / e.ended else t.max_duration_ms::numeric / greatest(t.max_live_sessions, 1) end))
  from public.tenants t
  cross join lateral (select count(*) as position from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.queue_deadline_at is not null and (o.queued_at, o.id) <= (s.queued_at,
      s.id)) q
  cross join lateral (select count(*) as ended from public.interview_sessions o
    where o.tenant_id = s.tenant_id and o.state_rank >= app.rank_of('ended')
      and o.completed_at > clock_timestamp() - interval '10 minutes'
      and o.created_at > clock_timestamp() - interval '1 day') e
  where t.id = s.tenant_id
$$;
comment on function app.queue_json(public.interview_sessions) is
  'Returns the position of a queued session and an estimate of when it may begin, from how fast the tenant''s '
  'sessions have ended lately, or else from its longest interview.';
