import type { Scope } from '@greenroom/shared/protocol/access.ts';

/** Who calls the platform API on behalf of a tenant: an API key, or a user with a role. */
export interface Caller {
  tenantId: string;
  /** The key's id; null for a user. */
  keyId: string | null;
  /** The user's id; null for a key. */
  userId: string | null;
  /** For the audit log: `key:<id>` or `user:<id>`. */
  actor: string;
  scopes: readonly Scope[];
  /** Regions the tenant may use; null: any. */
  allowedRegions: string[] | null;
}
