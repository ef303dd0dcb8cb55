-- Defaults of columns.

create function app.new_candidate() returns uuid
language sql volatile security definer set search_path = '' as $$ insert into public.candidates default values
  returning id $$;
comment on function app.new_candidate() is
  'Makes a new person. Default of tenant_candidates.candidate_id: a tenant can name no person but its own.';
grant execute on function app.new_candidate() to authenticated;
