create function public.session_phases_of(p_session_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  s public.interview_sessions;
  p public.session_phases;
begin
  select * into s from public.interview_sessions where id = p_session_id;
  if not found then return null; end if;
  select * into p from public.session_phases where session_id = s.id;
  return case when p.due_at is not null then to_jsonb(p)
    else to_jsonb(app.start_of(s)) || jsonb_build_object('looked_at', p.looked_at, 'joined_at', p.joined_at) end
    || jsonb_build_object('scheduled', s.scheduled_at is not null, 'queued', s.queued_at is not null,
      'status', s.status, 'reason', s.reason, 'completed_at', s.completed_at);
end $$;
comment on function public.session_phases_of(uuid) is
  'Returns when each step of a session took place, also of one that is not ready yet; called for operators, so of any '
  'tenant. Null if there is no such session.';
grant execute on function public.session_phases_of(uuid) to orchestrator;
