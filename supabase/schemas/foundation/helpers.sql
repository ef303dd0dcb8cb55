-- Helpers of every domain.

create function app.interval_ms(p_ms double precision) returns interval
language sql immutable parallel safe return make_interval(secs => p_ms / 1000.0);
comment on function app.interval_ms(double precision) is 'Milliseconds as an interval.';

create function app.touch() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.touch() is 'Keeps updated_at.';
