/**
 * The browser origins that tenants allow. The lists of all tenants are kept in memory, because a CORS preflight
 * does not name a tenant, and because the edge must be able to refuse a socket without reading the database.
 *
 * - The lists are read again every few seconds, so a change takes that long. If a read fails, the last lists
 *   stay valid.
 * - Our own origin is allowed for every tenant, because the room page is served from it.
 * - If a tenant has no list, any origin may open a candidate's socket, and no other origin may call the API.
 */
export interface Origins {
  /**
   * Whether a page of this origin may open a candidate's socket of this tenant. A request without an origin
   * does not come from a browser; it is admitted here, and its token decides.
   */
  admitsSocket(tenantId: string, origin: string | undefined): boolean;
  /** Whether a page of this origin may call the API for this tenant. */
  admitsApi(tenantId: string, origin: string | undefined): boolean;
  /** Whether any tenant allows this origin. Used for preflights. */
  knows(origin: string): boolean;
  refresh(): Promise<void>;
}

export interface OriginsDeps {
  load: () => Promise<Array<{ tenant_id: string; origins: string[] }>>;
  publicUrl: string;
}

export function createOrigins({ load, publicUrl }: OriginsDeps): Origins {
  const own = new URL(publicUrl).origin;
  let byTenant = new Map<string, Set<string>>();
  let all = new Set<string>();
  const listed = (tenantId: string, origin: string) => byTenant.get(tenantId)?.has(origin) ?? false;
  return {
    admitsSocket: (tenantId, origin) =>
      origin === undefined || origin === own || !byTenant.has(tenantId) || listed(tenantId, origin),
    admitsApi: (tenantId, origin) => origin === undefined || origin === own || listed(tenantId, origin),
    knows: (origin) => origin === own || all.has(origin),
    refresh: async () => {
      const rows = await load();
      byTenant = new Map(rows.map((row) => [row.tenant_id, new Set(row.origins)]));
      all = new Set(rows.flatMap((row) => row.origins));
    },
  };
}
