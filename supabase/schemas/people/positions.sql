create function public.create_position(p_tenant_id uuid, p_position jsonb) returns jsonb
language sql volatile security definer set search_path = '' as $$
  insert into public.positions (tenant_id, title, description) values (p_tenant_id, p_position ->> 'title',
    p_position ->> 'description')
  returning jsonb_build_object('kind', 'created', 'position', to_jsonb(positions))
$$;
comment on function public.create_position(uuid, jsonb) is
  'Stores a position {title, description?}; called by the API. Returns kind: created.';
grant execute on function public.create_position(uuid, jsonb) to orchestrator;

create function public.get_position(p_tenant_id uuid, p_position_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb(p) from public.positions p where p.tenant_id = p_tenant_id and p.id = p_position_id
$$;
comment on function public.get_position(uuid, uuid) is
  'Returns a tenant''s position; called by the API. Null if there is none.';
grant execute on function public.get_position(uuid, uuid) to orchestrator;

create function public.list_positions(p_tenant_id uuid, p_limit integer, p_before timestamptz default null,
  p_before_id uuid default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(y.shown order by y.n), '[]') from (
    select x.n, x.shown, sum(octet_length(x.shown::text)) over (order by x.n) - octet_length(x.shown::text) as before
    from (
      select row_number() over (order by p.created_at desc, p.id desc) as n, to_jsonb(p) as shown
      from public.positions p
      where p.tenant_id = p_tenant_id and (p_before is null or (p.created_at, p.id) < (p_before, p_before_id))
      order by p.created_at desc, p.id desc limit p_limit) x) y
  where y.before <= app.max_list_bytes()
$$;
comment on function public.list_positions(uuid, integer, timestamptz, uuid) is
  'Lists a tenant''s positions, newest first, after the one with this time and id; called by the API. Returns at '
  'most max_list_bytes plus one position.';
grant execute on function public.list_positions(uuid, integer, timestamptz, uuid) to orchestrator;

create function public.change_position(p_tenant_id uuid, p_position_id uuid, p_changes jsonb,
  p_if_updated_at timestamptz default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  p public.positions;
begin
  -- Locked before it is read: a change of another field at the same moment must not be undone.
  select * into p from public.positions where tenant_id = p_tenant_id and id = p_position_id for update;
  if not found then return jsonb_build_object('kind', 'not_found'); end if;
  if p.updated_at <> p_if_updated_at then return jsonb_build_object('kind', 'changed_meanwhile'); end if;
  p := jsonb_populate_record(p, p_changes);
  update public.positions t set title = p.title, description = p.description
    where t.tenant_id = p_tenant_id and t.id = p_position_id returning t.* into p;
  return jsonb_build_object('kind', 'changed', 'position', to_jsonb(p));
end $$;
comment on function public.change_position(uuid, uuid, jsonb, timestamptz) is
  'Changes the title or description of a position; called by the API. Omitted fields stay. Returns kind: changed, '
  'changed_meanwhile (p_if_updated_at is given and differs), not_found.';
grant execute on function public.change_position(uuid, uuid, jsonb, timestamptz) to orchestrator;
