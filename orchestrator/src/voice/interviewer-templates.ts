import type { TenantStore } from '../database/tenant-store.ts';

/** A tenant's own wording of what its interviewers are told. */
export interface InterviewerTemplates {
  /** Undefined when the tenant has none. Read anew for each call: a change holds for the next one. */
  of(tenantId: string): Promise<string | undefined>;
}

export const createInterviewerTemplates = (tenants: Pick<TenantStore, 'get'>): InterviewerTemplates => ({
  of: async (tenantId) => (await tenants.get(tenantId))?.settings.interviewer_template,
});
