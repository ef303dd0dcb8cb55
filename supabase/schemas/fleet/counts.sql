-- These two are asked of each prepared machine. In this form, and without a volatile function, they are inlined.
create function app.prepared_state(m public.machines) returns text
language sql stable return case when m.state = 'reserved' or m.hot and m.state = 'created' then 'building'
  when not m.hot or m.lease_expires_at > statement_timestamp() then 'ready' else 'lost' end;
comment on function app.prepared_state(public.machines) is
  'Returns whether a machine without a session is ready, building, or lost (a hot machine whose worker is not heard).';

create function app.is_stale(m public.machines, p_image text, p_hot_life_ms numeric) returns boolean
language sql stable return m.image <> p_image
  or m.hot and m.reserved_at < statement_timestamp() - app.interval_ms(p_hot_life_ms::double precision);
comment on function app.is_stale(public.machines, text, numeric) is
  'Returns whether a machine without a session must be replaced: it has another image, or is hot and too old.';

-- Two reconcile ticks are 10 s.
create function app.is_unwanted(m public.machines) returns boolean
language sql stable return (m.state <> 'destroyed' and (m.hard_deadline_at < now() - interval '10 seconds'
  or m.destroying_at < now() - interval '2 minutes')) is true;
comment on function app.is_unwanted(public.machines) is
  'Returns whether a machine should be gone by now: it is past its hard deadline, or its destruction takes minutes.';

create view app.machine_counts with (security_invoker = true) as
  select m.state, m.region, m.hot, m.session_id is not null as serving, count(*) as count,
    count(*) filter (where m.session_id is null and app.prepared_state(m) = 'ready'
      and m.state = case when m.hot then 'started' else 'created' end) as ready,
    sum(m.unsaved_entries) filter (where m.state = 'claimed') as unsaved_entries,
    max(m.rss_bytes) filter (where m.state = 'claimed') as rss_bytes,
    count(*) filter (where app.is_unwanted(m)) as unwanted
  from public.machines m where m.state <> 'destroyed' group by 1, 2, 3, 4;
comment on view app.machine_counts is
  'The machines that are not destroyed, counted in one pass. ready: those that a session can be given now.';

create view app.live_counts with (security_invoker = true) as
  select s.tenant_id, s.status, coalesce(s.region, s.regions[1]) as region, s.queue_deadline_at is not null as queued,
    count(*) as count, count(*) filter (where s.epoch > 1) as replaced,
    count(*) filter (where s.presence = 'present') as present,
    count(*) filter (where s.status = 'scheduled' and s.scheduled_at < now() + interval '1 hour') as due
  from public.interview_sessions s where s.state_rank < app.rank_of('ended') group by 1, 2, 3, 4;
comment on view app.live_counts is
  'The sessions that have not ended, counted in one pass. due: those that begin within the hour.';
