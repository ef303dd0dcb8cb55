/** A page of one tenant's list: at most `limit` rows, newest first, after the row with this time and id. */
export interface Page {
  tenantId: string;
  limit: number;
  before?: { createdAt: string; id: string } | undefined;
}

/** The arguments of the database's list functions for this page. */
export const pageOf = ({ tenantId, limit, before }: Page) => ({
  p_tenant_id: tenantId,
  p_limit: limit,
  p_before: before?.createdAt ?? null,
  p_before_id: before?.id ?? null,
});
