-- Rules for texts that people write. They equal those of shared/src/protocol/names.ts and hold for every way in.
--
-- Those of checks are in PL/pgSQL: each INSERT prepares the checks of its table anew and expands functions in SQL,
-- which took half of the time in which a candidate is stored.

create function app.is_name(p_text text, p_max integer) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return char_length(p_text) <= p_max
    and p_text !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f]'
    -- A visible character: something other than white space, joiners, direction marks, variation selectors, fillers and
    -- tags.
    and p_text ~ ('[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
      || '\u2000-\u200f\u2028-\u202f\u205f-\u206f'
      || '\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]');
end $$;
comment on function app.is_name(text, integer) is
  'Returns whether a text is valid as a name, title, status or id: not longer than allowed, with at least one '
  'visible character and without control characters other than tabs and line breaks.';

create function app.is_email(p_text text) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return char_length(p_text) <= 254
    and p_text !~ ('[\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
      || '\u2000-\u200f\u2028-\u202f\u205f-\u206f'
      || '\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]')
    and p_text ~ (
      '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+)*'
      || '@([A-Za-z0-9\u0080-\U0010ffff]+(-+[A-Za-z0-9\u0080-\U0010ffff]+)*\.)+'
      || '[A-Za-z\u0080-\U0010ffff][A-Za-z0-9\u0080-\U0010ffff]*(-+[A-Za-z0-9\u0080-\U0010ffff]+)*$');
end $$;
comment on function app.is_email(text) is
  'Returns whether a text has the form of an e-mail address. Letters of any script are allowed on both sides of the '
  '@.';

create function app.folded(p_text text) returns text
language sql immutable parallel safe return lower(normalize(p_text, nfc));
comment on function app.folded(text) is
  'Returns a text in the form used for comparison: without case, and with composed and combined accents treated '
  'alike.';

-- Checks use these functions for candidates and positions, which members of a tenant may write directly.
grant execute on function app.is_name(text, integer), app.is_email(text), app.folded(text)
  to authenticated, orchestrator;
