-- A demo tenant for a hosted development project: `supabase db push --include-seed`, or `supabase db reset`.
-- It can be run again. It holds no credential: make an API key for it with the API.

do $$
declare
  v_tenant uuid;
begin
  v_tenant := public.plan_tenant('demo', '{"name": "Demo", "max_live_sessions": 5, "max_standby": 2}',
    '{"actor": "operator:seed"}') #>> '{tenant,id}';
  perform public.plan_app(v_tenant, 'greenroom-demo-1', 'greenroom-demo', '{"actor": "operator:seed"}');
  if not exists (select from public.positions where tenant_id = v_tenant) then
    perform public.create_position(v_tenant,
      '{"title": "Line cook", "description": "Evenings, a small kitchen, four people."}');
    perform public.create_candidate(v_tenant,
      '{"name": "Ada Example", "email": "ada@example.org", "external_id": "demo-1"}');
  end if;
end $$;
