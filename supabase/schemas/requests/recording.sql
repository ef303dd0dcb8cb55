create function public.record_api_requests(p_requests jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.api_requests (tenant_id, actor, request_id, method, path, status, code, took_ms, created_at)
  select r.tenant_id, r.actor, r.request_id, r.method, r.path, r.status, r.code, r.took_ms, r.created_at
  from jsonb_to_recordset(p_requests) as r (tenant_id uuid, actor text, request_id text, method text, path text,
    status smallint, code text, took_ms integer, created_at timestamptz)
$$;
comment on function public.record_api_requests(jsonb) is
  'Stores a batch of answered requests, in the order of the answers; called by the orchestrator once a second.';
grant execute on function public.record_api_requests(jsonb) to orchestrator;

create function public.list_api_requests(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_before_id bigint default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'request_id', x.request_id, 'actor', x.actor,
    'method', x.method, 'path', x.path, 'status', x.status, 'code', x.code, 'took_ms', x.took_ms,
    'created_at', x.created_at) order by x.id desc), '[]') from (
    select * from public.api_requests r
    where r.tenant_id = p_tenant_id and (p_before_id is null or r.id < p_before_id)
      and r.request_id = coalesce(p_filters ->> 'request_id', r.request_id)
      and r.actor = coalesce(p_filters ->> 'actor', r.actor)
      and r.method = coalesce(p_filters ->> 'method', r.method)
      and r.path = coalesce(p_filters ->> 'path', r.path)
      and (not p_filters ? 'code' or r.code = p_filters ->> 'code')
      and r.status between coalesce((p_filters ->> 'status_from')::integer, 0)
        and coalesce((p_filters ->> 'status_to')::integer, 999)
      and (not p_filters ? 'from' or r.created_at >= (p_filters ->> 'from')::timestamptz)
      and (not p_filters ? 'until' or r.created_at < (p_filters ->> 'until')::timestamptz)
    order by r.id desc limit p_limit) x
$$;
comment on function public.list_api_requests(uuid, integer, jsonb, bigint) is
  'Lists a tenant''s requests, newest first, those before p_before_id; called by the API. p_filters: request_id, '
  'actor, method, path, code, status_from and status_to (both included), from (included), until (not included).';
grant execute on function public.list_api_requests(uuid, integer, jsonb, bigint) to orchestrator;

create function public.expire_api_requests(p_limit integer default 5000, p_most integer default 100000) returns integer
language sql volatile security definer set search_path = '' as $$
  -- The ids of a tenant are nearly in the order of their times: the oldest come first.
  with gone as (
    delete from public.api_requests d using (
      select t.id as tenant_id, r.id from public.tenants t
      left join lateral (select x.id from public.api_requests x where x.tenant_id = t.id
        order by x.id desc offset p_most limit 1) beyond on true
      cross join lateral (select x.id, x.created_at from public.api_requests x where x.tenant_id = t.id
        order by x.id limit p_limit) r
      where r.created_at < clock_timestamp() - interval '7 days' or r.id <= beyond.id limit p_limit) old
    where d.tenant_id = old.tenant_id and d.id = old.id returning 1)
  select count(*)::integer from gone
$$;
comment on function public.expire_api_requests(integer, integer) is
  'Deletes requests that are seven days old, and the oldest of a tenant that has more than p_most: at most p_limit '
  'rows; called by the regular job. Returns how many.';
grant execute on function public.expire_api_requests(integer, integer) to orchestrator;
