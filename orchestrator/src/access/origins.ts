/**
 * The browser origins that tenants allow, all of them, in memory: a preflight names no tenant, and the edge must not read
 * a row before it refuses.
 *
 * G1  Read again every few seconds; while that fails, what was read last holds. A change takes that long to be believed.
 * G2  Our own origin is allowed to everybody: the room page is served from it.
 * G3  A tenant without a list: any origin may open a candidate's socket, none may call the API across origins.
 */
export interface Origins {
  /** Whether a candidate's socket of this tenant may be opened from there. No origin: no browser, its token decides. */
  admitsSocket(tenantId: string, origin: string | undefined): boolean;
  /** Whether the API may be called from there on behalf of this tenant. */
  admitsApi(tenantId: string, origin: string | undefined): boolean;
  /** Whether some tenant allows it: what a preflight can be told. */
  knows(origin: string): boolean;
  /** Reads them again. */
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
