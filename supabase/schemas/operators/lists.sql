-- Pages of lists whose filters can be combined freely. A page is read in two steps.
-- 1. Its ids: a dynamic query that has the conditions of the given filters and no others. It walks one index in the
--    order of the list, and looks at a limited number of rows, so no combination of filters reads a whole table.
-- 2. Its rows, from the ids: a fixed statement. Postgres keeps the plan of that, because the function is plpgsql.

create function app.walk_window() returns integer language sql immutable set search_path = '' as 'select 300';
comment on function app.walk_window() is
  'Returns how many rows one page looks through for filters that the walked index does not support.';

create function app.conditions(p_all jsonb, p_names text[], p_named boolean) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return coalesce((select string_agg(x.value, ' and ') from jsonb_each_text(p_all) x
    where (x.key = any (p_names)) = p_named), 'true');
end $$;
comment on function app.conditions(jsonb, text[], boolean) is
  'Joins those SQL conditions of p_all whose name is in p_names, or those whose name is not.';

create function app.walk_of(p_all jsonb, p_indexes text[]) returns text[]
language plpgsql immutable set search_path = '' as $$
declare
  v_index text;
begin
  foreach v_index in array p_indexes loop
    if p_all ?& string_to_array(v_index, ' ') then return string_to_array(v_index, ' '); end if;
  end loop;
  return '{}';
end $$;
comment on function app.walk_of(jsonb, text[]) is
  'Returns the first of p_indexes whose conditions are all given. Each names the conditions that it supports.';

create function app.are_few(p_from text, p_most integer) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_few boolean;
begin
  if p_from is null then return false; end if;
  execute format('select count(*) <= %1$s from (select from %2$s limit %1$s + 1) x', p_most, p_from) into v_few;
  return v_few;
end $$;
comment on function app.are_few(text, integer) is
  'Returns whether a query selects at most p_most rows. p_from: its tables and conditions.';

create function app.page_of(p_walk text, p_page text, p_place text, p_window integer, p_limit integer,
  out ids uuid[], out searched_to json)
-- Sorts and hash joins are off: where the planner expects few rows, it would otherwise read all of them and sort,
-- instead of stopping after p_window rows. A subquery that must be sorted has "offset 0".
language plpgsql stable set search_path = '' set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
  set max_parallel_workers_per_gather = 0 set jit = off as $$
begin
  execute format('with walked as materialized (%1$s limit %2$s), page as materialized (%3$s limit %4$s)
    select array(select id from page), case when (select count(*) from page) < %4$s
      then (select %5$s from walked offset %2$s - 1 limit 1) end',
    p_walk, p_window, p_page, p_limit, p_place) into ids, searched_to;
end $$;
comment on function app.page_of(text, text, text, integer, integer) is
  'Reads the ids of a page in its order. p_walk selects the next rows of an index, of which p_window are looked at; '
  'p_page selects the ids of the page from them (walked). searched_to is the place (p_place) of the last row that was '
  'looked at if the page is not full: the next page begins there.';
