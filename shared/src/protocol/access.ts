import * as z from 'zod';

/**
 * What each credential may do through the platform API. A route requires one scope. An API key has a list of
 * scopes, a user those of the role. `docs/security.md` shows the same table, and a test compares them.
 */
export const scopes = [
  'sessions:read',
  'sessions:write',
  'people:read',
  'people:write',
  'webhooks:read',
  'webhooks:write',
  'tenant:read',
  'tenant:admin',
] as const;
export type Scope = (typeof scopes)[number];
export const scope = z.enum(scopes);

export const roles = ['viewer', 'member', 'admin'] as const;
export type Role = (typeof roles)[number];

const reading: Scope[] = ['sessions:read', 'people:read', 'webhooks:read', 'tenant:read'];
export const scopesOfRole: Readonly<Record<Role, readonly Scope[]>> = {
  viewer: reading,
  member: [...reading, 'sessions:write', 'people:write'],
  admin: scopes,
};

/** Names the tenant when a user belongs to several: its id or its slug. */
export const tenantHeader = 'greenroom-tenant';
