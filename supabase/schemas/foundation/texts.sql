-- Texts that people write: the same rules as shared/src/protocol/names.ts, whichever way a text comes in.

create function app.is_name(p_text text, p_max integer) returns boolean
language sql immutable parallel safe return char_length(p_text) <= p_max
  and p_text !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f]'
  -- It shows something: not white space, joiners, direction marks, variation selectors, fillers and tags alone.
  and p_text ~ ('[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f'
    || '\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]');
comment on function app.is_name(text, integer) is
  'Whether a text may be a name, a title, a status or an id: at most so many characters that show something, '
  'no control characters but tab and line breaks.';

create function app.is_email(p_text text) returns boolean
language sql immutable parallel safe return char_length(p_text) <= 254
  and p_text !~ ('[\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f'
    || '\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]')
  and p_text ~ (
    '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010ffff-]+)*'
    || '@([A-Za-z0-9\u0080-\U0010ffff]+(-+[A-Za-z0-9\u0080-\U0010ffff]+)*\.)+'
    || '[A-Za-z\u0080-\U0010ffff][A-Za-z0-9\u0080-\U0010ffff]*(-+[A-Za-z0-9\u0080-\U0010ffff]+)*$');
comment on function app.is_email(text) is
  'Whether a text may be an e-mail address, also with letters of other scripts on either side of the @.';

create function app.folded(p_text text) returns text
language sql immutable parallel safe return lower(normalize(p_text, nfc));
comment on function app.folded(text) is
  'For comparing what people write: without case, and accents the same whether they are written composed or combined.';

-- Members of a tenant write candidates and positions directly, and are checked by these.
grant execute on function app.is_name(text, integer), app.is_email(text), app.folded(text)
  to authenticated, orchestrator;
