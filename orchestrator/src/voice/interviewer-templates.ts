import type { TenantStore } from '../database/tenant-store.ts';

/** Reads a tenant's own template of the interviewer's instructions. */
export interface InterviewerTemplates {
  /** Undefined if the tenant has none. Read for each call, so a change takes effect with the next call. */
  of(tenantId: string): Promise<string | undefined>;
}

export const createInterviewerTemplates = (tenants: Pick<TenantStore, 'get'>): InterviewerTemplates => ({
  of: async (tenantId) => (await tenants.get(tenantId))?.settings.interviewer_template,
});
