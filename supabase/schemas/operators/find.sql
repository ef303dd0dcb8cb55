create function app.found(p_kind text, p_id text, p_tenant_id uuid, p_label text, p_by text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('kind', p_kind, 'id', p_id, 'tenant_id', p_tenant_id,
    'tenant', (select t.slug from public.tenants t where t.id = p_tenant_id), 'label', p_label, 'by', p_by)
$$;
comment on function app.found(text, text, uuid, text, text) is
  'Returns one hit of ops_find. p_by: which of its ids matched.';

create function app.uuid_range(p_prefix text, out low uuid, out high uuid)
language sql immutable set search_path = '' as $$
  select rpad(x.digits, 32, '0')::uuid, rpad(x.digits, 32, 'f')::uuid
  from (select replace(lower(p_prefix), '-', '') as digits) x
  where x.digits ~ '^[0-9a-f]{8,32}$'
$$;
comment on function app.uuid_range(text) is
  'Returns the smallest and the greatest UUID that begin with these characters. Null if they are fewer than 8 or not '
  'hexadecimal.';

create function public.ops_find(p_text text) returns jsonb
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_generic_plan' as $$
declare
  v_low uuid;
  v_high uuid;
  v_name uuid;
  v_hits jsonb := '[]';
begin
  select u.low, u.high into v_low, v_high from app.uuid_range(p_text) u;
  if v_low is not null then
    v_hits := v_hits
      || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'id')), '[]') from (
        select * from public.interview_sessions where id between v_low and v_high order by id limit 10) s)
      || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'id')), '[]') from (
        select * from public.machines where id between v_low and v_high order by id limit 10) m)
      || (select coalesce(jsonb_agg(app.found('tenant', t.id::text, t.id, t.slug, 'id')), '[]') from (
        select * from public.tenants where id between v_low and v_high order by id limit 10) t)
      || (select coalesce(jsonb_agg(app.found('delivery', d.id::text, d.tenant_id, d.status, 'id')), '[]') from (
        select * from public.webhook_deliveries where id between v_low and v_high order by id limit 10) d)
      || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'candidate')), '[]') from (
        select * from public.interview_sessions where candidate_id between v_low and v_high
        order by candidate_id limit 10) s);
  end if;
  if p_text ~ '^gr-[0-9a-f-]{36}$' then v_name := substring(p_text from 4)::uuid; end if;
  return v_hits
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'name')), '[]')
      from public.machines m where m.id = v_name)
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'fly machine id')), '[]')
      from (select * from public.machines where fly_machine_id = p_text limit 10) m)
    || (select coalesce(jsonb_agg(app.found('machine', m.id::text, m.tenant_id, m.state, 'fly request id')), '[]')
      from (select * from public.machines where fly_request_id = p_text limit 10) m)
    || (select coalesce(jsonb_agg(app.found('session', c.session_id::text, c.tenant_id, null, 'call id')), '[]')
      from (select * from public.realtime_calls where call_id = p_text limit 10) c)
    || (select coalesce(jsonb_agg(app.found('tenant', t.id::text, t.id, t.slug, 'slug')), '[]')
      from public.tenants t where t.slug = p_text)
    || (select coalesce(jsonb_agg(app.found('tenant', a.tenant_id::text, a.tenant_id, a.name, 'fly app')), '[]')
      from public.tenant_apps a where a.name = p_text)
    || (select coalesce(jsonb_agg(app.found('session', s.id::text, s.tenant_id, s.status, 'external id')), '[]') from (
      select i.* from public.tenant_candidates c join public.interview_sessions i on i.tenant_id = c.tenant_id
        and i.candidate_id = c.candidate_id
      where c.external_id = p_text order by i.created_at desc limit 10) s)
    || (select coalesce(jsonb_agg(app.found('audit', a.id::text, a.tenant_id, a.action, 'request id')), '[]') from (
      select * from public.audit_log where request_id = p_text order by id desc limit 10) a);
end $$;
comment on function public.ops_find(text) is
  'Finds sessions, machines, tenants, deliveries and audit entries by any of their ids, for operators: a UUID or at '
  'least its first 8 digits, a machine''s name, Fly''s machine or request id, the id of a call, a slug, a Fly app, the '
  'platform''s external id of a candidate, or the id of a request. Returns at most 10 of each.';
grant execute on function public.ops_find(text) to orchestrator;
