-- Helpers of every domain.

create function app.interval_ms(p_ms double precision) returns interval
language sql immutable parallel safe return make_interval(secs => p_ms / 1000.0);
comment on function app.interval_ms(double precision) is 'Turns milliseconds into an interval.';

create function app.touch() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.touch() is 'Sets updated_at before every update of a row.';

create function app.refuse_row(p_sqlstate text, p_constraint text) returns void
language plpgsql set search_path = '' as $$
begin
  raise exception 'refused by %', coalesce(nullif(p_constraint, ''), 'a rule of the table') using errcode = p_sqlstate;
end $$;
comment on function app.refuse_row(text, text) is
  'Raises the error of a constraint again without its details. They would show the whole row to a caller who may read '
  'some of its columns only.';

create function app.max_list_bytes() returns integer language sql immutable set search_path = '' as 'select 1048576';
comment on function app.max_list_bytes() is
  'How much of a list one call answers, as JSON text. Twice what a page of the API holds (maxPageBytes), so that a page '
  'that is full is always followed by one row more.';
