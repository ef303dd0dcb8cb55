-- Access: members of a tenant, API keys, credentials at providers, invitations.
--
-- - Nothing readable: a secret is stored hashed, or encrypted with the id of its key; never in plain text.

create table public.tenant_users (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member' check (role in ('admin', 'member', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
comment on table public.tenant_users is 'Who belongs to a tenant, and as what: admin, member or viewer.';
comment on column public.tenant_users.user_id is 'A user of Supabase Auth.';
comment on column public.tenant_users.role is
  'viewer reads; member also writes candidates and positions; admin also manages users.';
create index tenant_users_user on public.tenant_users (user_id);

create table public.api_keys (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 200),
  prefix text not null,
  key_hash text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
  scopes text[] not null default '{sessions:read,sessions:write}',
  created_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  replaced_by uuid references public.api_keys (id) on delete set null
);
comment on table public.api_keys is
  'A tenant''s keys for the platform API. The key itself is shown once and never stored.';
comment on column public.api_keys.name is 'The tenant''s name for it.';
comment on column public.api_keys.prefix is 'The key''s first characters, to recognise it by.';
comment on column public.api_keys.key_hash is
  'SHA-256 of the key, hex. The key has 256 bits of entropy, so no slow hash is needed.';
comment on column public.api_keys.scopes is 'What it may be used for, such as sessions:read.';
comment on column public.api_keys.created_by is 'The user who made it, if a user did.';
comment on column public.api_keys.expires_at is 'From then on it is refused; null means never.';
comment on column public.api_keys.revoked_at is 'From then on it is refused.';
comment on column public.api_keys.replaced_by is
  'The key that a rotation made in its place; this one ends at expires_at.';
create index api_keys_tenant on public.api_keys (tenant_id);
create index api_keys_replaced_by on public.api_keys (replaced_by) where replaced_by is not null;

create table public.provider_credentials (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
  ciphertext text not null,
  key_id text not null check (char_length(key_id) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (tenant_id, provider)
);
comment on table public.provider_credentials is
  'A tenant''s own credential at a provider. Read by no role; handed out by app functions to orchestrators alone.';
comment on column public.provider_credentials.provider is 'Which provider it is for, such as openai.';
comment on column public.provider_credentials.ciphertext is
  'AES-256-GCM, bound to tenant and provider; the key is in the orchestrators'' environment.';
comment on column public.provider_credentials.key_id is 'Which key encrypted it: rotation looks for the others.';
comment on column public.provider_credentials.rotated_at is 'When it was last encrypted again under another key.';
create index provider_credentials_key on public.provider_credentials (key_id);
create trigger touch before update on public.provider_credentials for each row execute function app.touch();
