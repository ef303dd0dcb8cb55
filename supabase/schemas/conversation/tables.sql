-- Conversation: the realtime calls of a session and the transcript.
--
-- Two sources   The sideband's text is trusted and wins; a browser's copy fills gaps and is stored unverified.
-- Identity      An entry is (session, call ordinal, provider item id). Its place is derived on reading, never stored.
-- To hang up    A row of realtime_calls without hung_up_at is a call that still has to be hung up.

create table public.realtime_calls (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  ordinal integer not null check (ordinal >= 1),
  epoch integer not null,
  provider text not null,
  call_id text,
  credential_ciphertext text,
  credential_expires_at timestamptz,
  opened_at timestamptz not null default now(),
  answered_at timestamptz,
  hung_up_at timestamptz,
  hang_up_attempts integer not null default 0,
  next_hang_up_at timestamptz,
  unique (session_id, ordinal)
);
comment on table public.realtime_calls is
  'WebRTC calls between browser and voice provider. A row without hung_up_at is somebody''s debt.';
comment on column public.realtime_calls.session_id is 'The session it belongs to.';
comment on column public.realtime_calls.ordinal is 'Which call of its session: 1, 2, …';
comment on column public.realtime_calls.epoch is 'The epoch that opened it, or last opened it again.';
comment on column public.realtime_calls.provider is 'Whose call it is.';
comment on column public.realtime_calls.call_id is 'The provider''s id of the call; null while no offer was answered.';
comment on column public.realtime_calls.credential_ciphertext is
  'The ephemeral credential that created the call, AES-256-GCM; only it can hang up. Cleared then.';
comment on column public.realtime_calls.credential_expires_at is 'When that credential ends by itself.';
comment on column public.realtime_calls.opened_at is 'When the row was opened, before any offer was sent.';
comment on column public.realtime_calls.answered_at is 'When the provider answered the offer.';
comment on column public.realtime_calls.hung_up_at is 'When it was over at the provider; null is a debt.';
comment on column public.realtime_calls.hang_up_attempts is 'How often the orchestrators tried to hang up.';
comment on column public.realtime_calls.next_hang_up_at is 'When they try again.';
create index realtime_calls_open on public.realtime_calls (session_id) where hung_up_at is null;
create index realtime_calls_tenant on public.realtime_calls (tenant_id);

create table public.transcript_entries (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null references public.interview_sessions (id) on delete cascade,
  tenant_id uuid not null references public.tenants (id),
  call_ordinal integer not null check (call_ordinal >= 1),
  item_id text not null check (char_length(item_id) between 1 and 128),
  previous_item_id text check (char_length(previous_item_id) <= 128),
  speaker text not null check (speaker in ('ai', 'candidate')),
  text text not null check (char_length(text) <= 20000),
  confidence numeric check (confidence between 0 and 1),
  start_ms bigint check (start_ms >= 0),
  end_ms bigint check (end_ms >= 0),
  interrupted boolean not null default false,
  verified boolean not null,
  arrival bigint generated always as identity,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (session_id, call_ordinal, item_id)
);
comment on table public.transcript_entries is
  'What was said. Identity: (session, call ordinal, provider item id). sequence_number is derived on reading.';
comment on column public.transcript_entries.session_id is 'Identity, with call_ordinal and item_id.';
comment on column public.transcript_entries.call_ordinal is 'Which call of the session.';
comment on column public.transcript_entries.item_id is 'The provider''s id of the conversation item.';
comment on column public.transcript_entries.previous_item_id is
  'The item before it in the same call, by the provider''s word; null for the first.';
comment on column public.transcript_entries.speaker is 'ai or candidate.';
comment on column public.transcript_entries.text is 'What was said. Empty for an item that only holds its place.';
comment on column public.transcript_entries.confidence is 'The transcriber''s, 0 to 1; null when it gave none.';
comment on column public.transcript_entries.start_ms is 'When it began, milliseconds since the interview started.';
comment on column public.transcript_entries.end_ms is 'When it ended, milliseconds since the interview started.';
comment on column public.transcript_entries.interrupted is
  'The candidate spoke over it and did not hear it to its end.';
comment on column public.transcript_entries.verified is
  'False when the entry is known only from the candidate''s browser.';
comment on column public.transcript_entries.arrival is
  'Order of arrival: decides only where the conversation''s own links do not.';
create index transcript_entries_tenant on public.transcript_entries (tenant_id);
create trigger touch before update on public.transcript_entries for each row execute function app.touch();
