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
    p_by ->> 'request_id', p_details)
$$;
comment on function app.audit(jsonb, uuid, text, text, jsonb) is
  'Appends the audit entry of an administrative act, in the same transaction as the act.';
