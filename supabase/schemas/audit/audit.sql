create function public.record_audit(p_entry jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values ((p_entry ->> 'tenant_id')::uuid, p_entry ->> 'actor', p_entry ->> 'action', p_entry ->> 'target',
    p_entry ->> 'outcome',
    p_entry ->> 'remote_address', p_entry ->> 'request_id', coalesce(p_entry -> 'details', '{}'))
$$;
comment on function public.record_audit(jsonb) is
  'Appends an entry to the audit log; called by the orchestrator for acts and refusals that no function in this '
  'database records.';
grant execute on function public.record_audit(jsonb) to orchestrator;

create function app.audit(p_by jsonb, p_tenant_id uuid, p_action text, p_target text, p_details jsonb default '{}')
  returns void
language sql volatile set search_path = '' as $$
  insert into public.audit_log (tenant_id, actor, action, target, outcome, remote_address, request_id, details)
  values (p_tenant_id, coalesce(p_by ->> 'actor', 'unknown'), p_action, p_target, 'done', p_by ->> 'remote_address',
    p_by ->> 'request_id', p_details || jsonb_strip_nulls(jsonb_build_object('why', p_by ->> 'why')))
$$;
comment on function app.audit(jsonb, uuid, text, text, jsonb) is
  'Appends the audit entry of an administrative act, in the same transaction as the act. p_by: actor, remote_address, '
  'request_id, and why if the actor gave a reason.';

create function public.list_audit(p_tenant_id uuid, p_limit integer, p_filters jsonb default '{}',
  p_before_id bigint default null) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'actor', x.actor, 'action', x.action, 'target', x.target,
    'outcome', x.outcome, 'remote_address', x.remote_address, 'request_id', x.request_id, 'details', x.details,
    'created_at', x.created_at) order by x.id desc), '[]') from (
    select * from public.audit_log a
    where a.tenant_id = p_tenant_id and (p_before_id is null or a.id < p_before_id)
      and a.actor = coalesce(p_filters ->> 'actor', a.actor) and a.action = coalesce(p_filters ->> 'action', a.action)
      and a.outcome = coalesce(p_filters ->> 'outcome', a.outcome)
      and (not p_filters ? 'target' or a.target = p_filters ->> 'target')
      and (not p_filters ? 'from' or a.created_at >= (p_filters ->> 'from')::timestamptz)
      and (not p_filters ? 'until' or a.created_at < (p_filters ->> 'until')::timestamptz)
    order by a.id desc limit p_limit) x
$$;
comment on function public.list_audit(uuid, integer, jsonb, bigint) is
  'Lists a tenant''s audit entries, newest first, those before p_before_id; called by the API. p_filters: actor, '
  'action, target, outcome, from (included), until (not included).';
grant execute on function public.list_audit(uuid, integer, jsonb, bigint) to orchestrator;
