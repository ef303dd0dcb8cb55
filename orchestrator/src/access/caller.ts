import type { Scope } from '@greenroom/shared/protocol/access.ts';

/** An authenticated caller of the platform API for one tenant: an API key, or a user with a role. */
export interface Caller {
  tenantId: string;
  /** The version of the API to which the key is pinned. Null: the newest. */
  apiVersion: string | null;
  /** The key's id; null for a user. */
  keyId: string | null;
  /** The user's id; null for a key. */
  userId: string | null;
  /** For the audit log: `key:<id>` or `user:<id>`. */
  actor: string;
  scopes: readonly Scope[];
  /** Regions that the tenant may use. Null: all. */
  allowedRegions: string[] | null;
}
