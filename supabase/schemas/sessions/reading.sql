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
    'epoch', s.epoch, 'simulated', s.simulated, 'metadata', s.metadata,
    'settings', case when p_brief then '{}' else s.settings end,
    'max_duration_ms', s.max_duration_ms, 'end_requested_at', s.end_requested_at,
    'transcript_revision', s.transcript_revision,
    'transcript_complete', s.transcript_complete, 'video_recording_url', s.video_recording_url,
    'placement', s.placement, 'admission', s.admission, 'scheduled_at', s.scheduled_at,
    'queue', case when s.queue_deadline_at is not null then app.queue_json(s) end,
    'created_at', s.created_at, 'expires_at', s.expires_at, 'ready_at', s.ready_at, 'started_at', s.started_at,
    'completed_at', s.completed_at,
    'interview_context', jsonb_build_object(
      'position', jsonb_build_object('id', p.id, 'title', p.title,
        'description', case when not p_brief then p.description end),
      'candidate', jsonb_build_object('id', s.candidate_id, 'name', null, 'email', null, 'external_id', null)
        || s.candidate));
end $$;
comment on function app.session_json(uuid, boolean) is
  'Returns a session as the platform API shows it, without tokens and URLs. Brief: leaves out the settings and the '
  'description of the position, which are large, without reading them.';

create function public.get_session(p_session_id uuid, p_tenant_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.session_json(s.id) || jsonb_build_object('usage', app.session_usage(s.id)) from public.interview_sessions s
  where s.id = p_session_id and (p_tenant_id is null or s.tenant_id = p_tenant_id)
$$;
comment on function public.get_session(uuid, uuid) is
  'Returns a session, only of this tenant if one is given; called by the API. Null if there is none.';
grant execute on function public.get_session(uuid, uuid) to orchestrator;

create function public.list_sessions(p_tenant_id uuid, p_limit integer, p_status text default null,
  p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.session_json(x.id, true) order by x.created_at desc, x.id desc), '[]') from (
    select s.id, s.created_at from public.interview_sessions s
    where s.tenant_id = p_tenant_id and (p_status is null or s.status = p_status)
      and (p_before is null or (s.created_at, s.id) < (p_before, p_before_id))
    order by s.created_at desc, s.id desc limit p_limit) x
$$;
comment on function public.list_sessions(uuid, integer, text, timestamptz, uuid) is
  'Lists a tenant''s sessions, newest first, after the one with this time and id if given; called by the API. '
  'Settings and the description of the position are left empty, because a page of 100 would otherwise have '
  'megabytes.';
grant execute on function public.list_sessions(uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.session_routes(p_session_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('session_id', s.id, 'tenant_id', s.tenant_id, 'status', s.status,
    'state_rank', s.state_rank,
    'epoch', s.epoch, 'machine_id', m.id, 'machine_state', m.state, 'app_name', m.app_name,
    'fly_machine_id', m.fly_machine_id)), '[]')
  from public.interview_sessions s left join public.machines m on m.id = s.machine_id
  where s.id = any (p_session_ids)
$$;
comment on function public.session_routes(uuid[]) is
  'Returns for each of these sessions the machine that serves it, if any; called by the edge, many sessions in one '
  'call.';
grant execute on function public.session_routes(uuid[]) to orchestrator;

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
