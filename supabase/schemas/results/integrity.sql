create function app.flags_of(p_integrity jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', key, 'count', value) order by key), '[]')
    from jsonb_each(p_integrity)
$$;
comment on function app.flags_of(jsonb) is 'Returns integrity flags as a list of {kind, count}.';

create function public.flag_integrity(p_kind text, p_count integer default 1) returns void
language plpgsql security definer set search_path = '' as $$
declare
  s public.interview_sessions := app.own_session();
begin
  if p_kind is null or p_kind !~ '^[a-z][a-z_]{0,39}$' or p_count is null or p_count not between 1 and 100000 then
    raise exception 'a flag is a word and a count' using errcode = '22023';
  end if;
  if not s.integrity ? p_kind then
    if (select count(*) from jsonb_object_keys(s.integrity)) >= 20 then return; end if;
    perform app.emit(s.id, s.tenant_id, 'integrity.flagged', jsonb_build_object('kind', p_kind));
  end if;
  update public.interview_sessions
    set integrity = integrity || jsonb_build_object(p_kind,
      least(1000000, coalesce((integrity ->> p_kind)::integer, 0) + p_count)) where id = s.id;
end $$;
comment on function public.flag_integrity(text, integer) is
  'Counts an event in the worker''s call that no part of Greenroom caused, such as foreign_item or '
  'foreign_session_update; called by the worker. The evaluation and the result show it. At most 20 kinds.';
grant execute on function public.flag_integrity(text, integer) to session_worker;
