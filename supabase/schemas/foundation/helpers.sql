-- Helper functions for all domains.

create function app.interval_ms(p_ms double precision) returns interval
language sql immutable parallel safe return make_interval(secs => p_ms / 1000.0);
comment on function app.interval_ms(double precision) is 'Converts milliseconds to an interval.';

create function app.touch() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.touch() is 'Sets updated_at before each update of a row. Trigger.';

create function app.refuse_row(p_sqlstate text, p_constraint text) returns void
language plpgsql set search_path = '' as $$
begin
  raise exception 'refused by %', coalesce(nullif(p_constraint, ''), 'a rule of the table') using errcode = p_sqlstate;
end $$;
comment on function app.refuse_row(text, text) is
  'Raises the error of a violated constraint again without its details, which would show the whole row to a caller '
  'who may read only some columns.';

create function app.max_list_bytes() returns integer language sql immutable set search_path = '' as 'select 524288';
comment on function app.max_list_bytes() is
  'Returns how many bytes of a list, as JSON text, one call returns. This is twice what a page of the API holds '
  '(maxPageBytes), so that a full page is always followed by one more row.';

create function app.texts_of(p jsonb) returns text[]
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p) = 'array' then array(select jsonb_array_elements_text(p)) end
$$;
comment on function app.texts_of(jsonb) is 'Converts a JSON array of strings to an array. Null if it is none.';
