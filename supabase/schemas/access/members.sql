create function public.tenants_of_user(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant_id', t.id, 'slug', t.slug, 'name', t.name, 'status', t.status,
    'role', u.role,
    'allowed_regions', t.allowed_regions) order by t.slug), '[]')
  from public.tenant_users u join public.tenants t on t.id = u.tenant_id
  where u.user_id = p_user_id and t.status in ('active', 'suspended')
$$;
comment on function public.tenants_of_user(uuid) is
  'Lists the tenants of a user, with the user''s role in each. The API calls it to authenticate a user and caches '
  'the result briefly. Roles are not read from the token, because a token would still carry a role after it was '
  'withdrawn.';
grant execute on function public.tenants_of_user(uuid) to orchestrator;

create function public.put_tenant_user(p_tenant_id uuid, p_user_id uuid, p_role text, p_by jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.tenants where id = p_tenant_id and status in ('active', 'suspended')) then
    return jsonb_build_object('kind', 'not_found');
  end if;
  insert into public.tenant_users (tenant_id, user_id, role) values (p_tenant_id, p_user_id, p_role)
    on conflict (tenant_id, user_id) do update set role = excluded.role;
  perform app.audit(p_by, p_tenant_id, 'member.put', p_user_id::text, jsonb_build_object('role', p_role));
  return jsonb_build_object('kind', 'updated');
exception when foreign_key_violation then
  return jsonb_build_object('kind', 'user_not_found');
end $$;
comment on function public.put_tenant_user(uuid, uuid, text, jsonb) is
  'Adds a user to a tenant, or changes the user''s role; called by the API. Returns kind: updated, user_not_found, '
  'not_found.';
grant execute on function public.put_tenant_user(uuid, uuid, text, jsonb) to orchestrator;

create function public.remove_tenant_user(p_tenant_id uuid, p_user_id uuid, p_by jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.tenant_users where tenant_id = p_tenant_id and user_id = p_user_id;
  if not found then return false; end if;
  perform app.audit(p_by, p_tenant_id, 'member.remove', p_user_id::text);
  return true;
end $$;
comment on function public.remove_tenant_user(uuid, uuid, jsonb) is
  'Removes a user from a tenant; called by the API. Returns false if the user was not a member.';
grant execute on function public.remove_tenant_user(uuid, uuid, jsonb) to orchestrator;

create function app.audit_member_change() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_row public.tenant_users := case tg_op when 'DELETE' then old else new end;
begin
  -- The API's functions write their own audit entry, with the request's details. A membership that is deleted together
  -- with its user or tenant needs no entry.
  if app.claims() ->> 'role' = 'authenticated' then
    perform app.audit(jsonb_build_object('actor', 'user:' || (app.claims() ->> 'sub')), v_row.tenant_id,
      case tg_op when 'DELETE' then 'member.remove' else 'member.put' end, v_row.user_id::text,
        jsonb_build_object('role', v_row.role));
  end if;
  return null;
end $$;
comment on function app.audit_member_change() is
  'Writes an audit entry when an admin changes memberships directly with SQL or PostgREST. Trigger of tenant_users.';
create trigger audit_member_change after insert or update
  or delete on public.tenant_users for each row execute function app.audit_member_change();
