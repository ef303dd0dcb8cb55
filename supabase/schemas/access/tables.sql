-- Access: members of a tenant, API keys, credentials at providers, invitations.
--
-- - A secret is stored hashed, or encrypted with the id of its key; never in plain text.

create table public.tenant_users (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member' check (role in ('admin', 'member', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
comment on table public.tenant_users is 'Members of tenants and their roles: admin, member or viewer.';
comment on column public.tenant_users.user_id is 'The user in Supabase Auth.';
comment on column public.tenant_users.role is
  'viewer can read; member can also write candidates and positions; admin can also manage users.';
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
  replaced_by uuid references public.api_keys (id) on delete set null,
  api_version text check (api_version ~ '^\d{4}-\d{2}-\d{2}$')
);
comment on table public.api_keys is
  'A tenant''s keys for the platform API. The key itself is shown once and is not stored.';
comment on column public.api_keys.name is 'The tenant''s name for the key.';
comment on column public.api_keys.prefix is 'The first characters of the key, by which people recognise it.';
comment on column public.api_keys.key_hash is
  'SHA-256 of the key, hex. The key has 256 bits of entropy, so no slow hash is needed.';
comment on column public.api_keys.scopes is 'What the key may be used for, such as sessions:read.';
comment on column public.api_keys.created_by is
  'The user who created the key; null if an API key or an operator did.';
comment on column public.api_keys.expires_at is 'The key is refused from this time on; null: never.';
comment on column public.api_keys.revoked_at is 'The key is refused from this time on.';
comment on column public.api_keys.replaced_by is
  'The key that replaced this one in a rotation. This one stays valid until expires_at.';
comment on column public.api_keys.api_version is
  'The version of the platform API that requests with this key get; null: the newest.';
create index api_keys_tenant on public.api_keys (tenant_id, created_at desc, id desc);
create index api_keys_replaced_by on public.api_keys (replaced_by) where replaced_by is not null;

create table public.provider_credentials (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
  base_url text check (char_length(base_url) between 1 and 300),
  ciphertext text not null,
  key_id text not null check (char_length(key_id) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (tenant_id, provider)
);
comment on table public.provider_credentials is
  'A tenant''s own credentials for providers. No role can read the table; functions return a credential to '
  'orchestrators only.';
comment on column public.provider_credentials.provider is 'The provider, such as openai.';
comment on column public.provider_credentials.base_url is
  'Where the credential is valid: a project of a region, or an Azure resource, has a base URL of its own. Null: the '
  'deployment''s.';
comment on column public.provider_credentials.ciphertext is
  'AES-256-GCM, bound to tenant, provider and base URL; the key is in the orchestrators'' environment.';
comment on column public.provider_credentials.key_id is
  'The key with which the credential is encrypted. The rotation looks for others than the current one.';
comment on column public.provider_credentials.rotated_at is
  'When the credential was last encrypted with another key.';
create index provider_credentials_key on public.provider_credentials (key_id);
create trigger touch before update on public.provider_credentials for each row execute function app.touch();
