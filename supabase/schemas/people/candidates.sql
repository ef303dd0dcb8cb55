create function app.match_candidate(p_tenant_id uuid, p jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_by_id public.tenant_candidates;
  v_by_email public.tenant_candidates;
  c public.tenant_candidates;
begin
  if coalesce(p ->> 'email', p ->> 'external_id') is null then return '{}'; end if;
  select * into v_by_id from public.tenant_candidates where tenant_id = p_tenant_id
    and external_id = p ->> 'external_id';
  select * into v_by_email from public.tenant_candidates where tenant_id = p_tenant_id
    and app.folded(email) = app.folded(p ->> 'email');
  if v_by_id.candidate_id <> v_by_email.candidate_id then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["email", "external_id"]'::jsonb);
  end if;
  c := case when v_by_id.candidate_id is not null then v_by_id else v_by_email end;
  if app.folded(c.email) <> app.folded(p ->> 'email') then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["email"]'::jsonb);
  end if;
  if c.external_id <> p ->> 'external_id' then
    return jsonb_build_object('kind', 'candidate_conflict', 'fields', '["external_id"]'::jsonb);
  end if;
  return jsonb_build_object('candidate_id', c.candidate_id);
end $$;
comment on function app.match_candidate(uuid, jsonb) is
  'Returns which of the tenant''s candidates {name, email?, external_id?} means: {candidate_id}, null for a new one. '
  'Returns {kind: candidate_conflict, fields} if e-mail and external id belong to two people, or if the matching '
  'candidate is stored with another one of them. An e-mail never joins two external ids.';

create function app.store_candidate(p_tenant_id uuid, p jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_match jsonb := app.match_candidate(p_tenant_id, p);
  v_id uuid := (v_match ->> 'candidate_id')::uuid;
begin
  if v_id is null and not v_match ? 'kind' then
    insert into public.candidates default values returning id into v_id;
    insert into public.tenant_candidates (tenant_id, candidate_id, name, email, external_id)
      values (p_tenant_id, v_id, p ->> 'name', p ->> 'email', p ->> 'external_id') on conflict do nothing;
    if found then return v_id; end if;
    -- Another transaction has stored the same person at the same moment: use that row.
    delete from public.candidates where id = v_id;
    v_match := app.match_candidate(p_tenant_id, p);
    v_id := (v_match ->> 'candidate_id')::uuid;
  end if;
  if v_id is null then
    raise exception 'the candidate was changed at the same moment' using errcode = '40001';
  end if;
  update public.tenant_candidates t set name = p ->> 'name', email = coalesce(t.email, p ->> 'email'),
      external_id = coalesce(t.external_id, p ->> 'external_id')
    where tenant_id = p_tenant_id and candidate_id = v_id and (t.name <> p ->> 'name'
      or t.email is null and p ? 'email' or t.external_id is null and p ? 'external_id');
  return v_id;
end $$;
comment on function app.store_candidate(uuid, jsonb) is
  'Returns the candidate that match_candidate finds, with the given name and any missing e-mail or external id '
  'filled in, or creates it. To be called only if there is no conflict.';

create function app.candidate_json(c public.tenant_candidates) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', c.candidate_id, 'tenant_id', c.tenant_id, 'name', c.name, 'email', c.email,
    'external_id', c.external_id,
    'status', c.status, 'created_at', c.created_at, 'updated_at', c.updated_at)
$$;
comment on function app.candidate_json(public.tenant_candidates) is 'Returns a candidate as the API shows it.';

create function app.candidate_conflict(p_tenant_id uuid, p jsonb, p_except uuid default null) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', 'conflict', 'fields', to_jsonb(array_remove(array[
      case when bool_or(app.folded(c.email) = app.folded(p ->> 'email')) then 'email' end,
      case when bool_or(c.external_id = p ->> 'external_id') then 'external_id' end], null)))
  from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id is distinct from p_except
    and (app.folded(c.email) = app.folded(p ->> 'email') or c.external_id = p ->> 'external_id')
$$;
comment on function app.candidate_conflict(uuid, jsonb, uuid) is
  'Returns {kind: conflict, fields} if other candidates of the tenant have this e-mail or external id. It does not '
  'say which candidates.';

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
  'Stores a candidate {name, email?, external_id?, status?}; called by the API. Returns kind: created, conflict '
  '(with fields).';
grant execute on function public.create_candidate(uuid, jsonb) to orchestrator;

create function public.get_candidate(p_tenant_id uuid, p_candidate_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select app.candidate_json(c) from public.tenant_candidates c
  where c.tenant_id = p_tenant_id and c.candidate_id = p_candidate_id and c.erased_at is null
$$;
comment on function public.get_candidate(uuid, uuid) is
  'Returns a tenant''s candidate; called by the API. Null if there is none or it was erased.';
grant execute on function public.get_candidate(uuid, uuid) to orchestrator;

create function public.list_candidates(p_tenant_id uuid, p_limit integer, p_search text default null,
  p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(app.candidate_json(x) order by x.created_at desc, x.candidate_id desc), '[]') from (
    select c.* from public.tenant_candidates c
    where c.tenant_id = p_tenant_id and c.erased_at is null
      and (p_search is null or position(app.folded(p_search) in app.folded(c.name)) > 0
        or app.folded(c.email) = app.folded(p_search) or c.external_id = p_search)
      and (p_before is null or (c.created_at, c.candidate_id) < (p_before, p_before_id))
    order by c.created_at desc, c.candidate_id desc limit p_limit) x
$$;
comment on function public.list_candidates(uuid, integer, text, timestamptz, uuid) is
  'Lists a tenant''s candidates, newest first, after the one with this time and id; called by the API. p_search '
  'matches part of a name, a complete e-mail or a complete external id.';
grant execute on function public.list_candidates(uuid, integer, text, timestamptz, uuid) to orchestrator;

create function public.change_candidate(p_tenant_id uuid, p_candidate_id uuid, p_changes jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  c public.tenant_candidates;
begin
  -- Locked before it is read: a change of another field at the same moment must not be undone.
  select * into c from public.tenant_candidates where tenant_id = p_tenant_id and candidate_id = p_candidate_id
    and erased_at is null for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if c.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  c := jsonb_populate_record(c, p_changes);
  update public.tenant_candidates t set name = c.name, email = c.email, external_id = c.external_id, status = c.status
    where t.tenant_id = p_tenant_id and t.candidate_id = p_candidate_id returning t.* into c;
  return jsonb_build_object('kind', 'changed', 'candidate', app.candidate_json(c));
exception when unique_violation then
  return app.candidate_conflict(p_tenant_id, p_changes, p_candidate_id);
end $$;
comment on function public.change_candidate(uuid, uuid, jsonb, timestamptz) is
  'Changes name, email, external_id or status; called by the API. Omitted fields stay. Returns kind: changed, '
  'conflict (with fields), changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_candidate(uuid, uuid, jsonb, timestamptz) to orchestrator;
