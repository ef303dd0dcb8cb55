create function app.find_or_make_candidate(p_tenant_id uuid, p jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_id uuid;
begin
  select candidate_id into v_id from public.tenant_candidates
    where tenant_id = p_tenant_id and (lower(email) = lower(p ->> 'email') or external_id = p ->> 'external_id')
      limit 1;
  if v_id is not null then return v_id; end if;
  insert into public.candidates default values returning id into v_id;
  insert into public.tenant_candidates (tenant_id, candidate_id, name, email, external_id)
    values (p_tenant_id, v_id, p ->> 'name', p ->> 'email', p ->> 'external_id') on conflict do nothing;
  if not found then
    -- Somebody else made the same person at the same moment: theirs is the one.
    delete from public.candidates where id = v_id;
    select candidate_id into v_id from public.tenant_candidates
      where tenant_id = p_tenant_id and (lower(email) = lower(p ->> 'email') or external_id = p ->> 'external_id')
        limit 1;
  end if;
  return v_id;
end $$;
comment on function app.find_or_make_candidate(uuid, jsonb) is
  'The tenant''s candidate with this e-mail or external id, made when unknown.';

create function app.candidate_json(c public.tenant_candidates) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', c.candidate_id, 'tenant_id', c.tenant_id, 'name', c.name, 'email', c.email,
    'external_id', c.external_id,
    'status', c.status, 'created_at', c.created_at, 'updated_at', c.updated_at)
$$;
comment on function app.candidate_json(public.tenant_candidates) is 'A candidate as the API shows it.';

create function app.candidate_conflict(p_tenant_id uuid, p jsonb, p_except uuid default null) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', 'conflict', 'candidate_id', c.candidate_id,
    'field', case when lower(c.email) = lower(p ->> 'email') then 'email' else 'external_id' end)
  from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id is distinct from p_except
    and (lower(c.email) = lower(p ->> 'email') or c.external_id = p ->> 'external_id') limit 1
$$;
comment on function app.candidate_conflict(uuid, jsonb, uuid) is
  'The tenant''s other candidate with this e-mail or external id; null when there is none.';

create function public.create_candidate(p_tenant_id uuid, p_candidate jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  insert into public.tenant_candidates (tenant_id, name, email, external_id, status)
    values (p_tenant_id, p_candidate ->> 'name', p_candidate ->> 'email', p_candidate ->> 'external_id',
      p_candidate ->> 'status') returning * into c;
  return jsonb_build_object('kind', 'created', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_candidate);
end $$;
comment on function public.create_candidate(uuid, jsonb) is
  'Stores {name, email?, external_id?, status?}. kind: created, conflict (with field and candidate_id).';
grant execute on function public.create_candidate(uuid, jsonb) to orchestrator;

create function public.get_candidate(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.candidate_json(c) from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id = p_candidate_id and c.erased_at is null
$$;
comment on function public.get_candidate(uuid, uuid) is
  'A tenant''s candidate; null when there is none, or not any more.';
grant execute on function public.get_candidate(uuid, uuid) to orchestrator;

create function public.list_candidates(p_tenant_id uuid, p_limit integer, p_search text default null,
  p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.candidate_json(x) order by x.created_at desc, x.candidate_id desc), '[]') from (
    select c.* from public.tenant_candidates c
    where c.tenant_id = p_tenant_id and c.erased_at is null
      and (p_search is null or position(lower(p_search) in lower(c.name)) > 0 or lower(c.email) = lower(p_search)
        or c.external_id = p_search)
      and (p_before is null or (c.created_at, c.candidate_id) < (p_before, p_before_id))
    order by c.created_at desc, c.candidate_id desc limit p_limit) x
$$;
comment on function public.list_candidates(uuid, integer, text, timestamptz, uuid) is
  'Candidates of a tenant, newest first, after the one with this time and id. p_search: part of a name, a whole '
  'e-mail or external id.';
grant execute on function public.list_candidates(uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.change_candidate(p_tenant_id uuid, p_candidate_id uuid, p_changes jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  update public.tenant_candidates t set name = n.name, email = n.email, external_id = n.external_id, status = n.status
    from (select r.* from public.tenant_candidates o cross join lateral jsonb_populate_record(o, p_changes) r
      where o.tenant_id = p_tenant_id and o.candidate_id = p_candidate_id and o.erased_at is null) n
    where t.tenant_id = p_tenant_id and t.candidate_id = p_candidate_id returning t.* into c;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  return jsonb_build_object('kind', 'changed', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_changes, p_candidate_id);
end $$;
comment on function public.change_candidate(uuid, uuid, jsonb) is
  'Changes name, email, external_id or status; fields not given stay. kind: changed, conflict (with field and '
  'candidate_id), not_found.';
grant execute on function public.change_candidate(uuid, uuid, jsonb) to orchestrator;
