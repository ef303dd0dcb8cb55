-- Functions that are defaults of columns.

create function app.new_candidate() returns uuid
language sql volatile security definer set search_path = '' as $$ insert into public.candidates default values
  returning id $$;
comment on function app.new_candidate() is
  'Creates a person and returns its id. It is the default of tenant_candidates.candidate_id, so that a tenant cannot '
  'refer to another tenant''s person.';
grant execute on function app.new_candidate() to authenticated;
