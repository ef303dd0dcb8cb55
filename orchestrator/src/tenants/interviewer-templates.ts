import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createCache } from '../access/cache.ts';
import type { TenantStore } from '../database/tenant-store.ts';

/** A tenant's own wording of what its interviewers are told. */
export interface InterviewerTemplates {
  /** Undefined when the tenant has none. Remembered for ten seconds. */
  of(tenantId: string): Promise<string | undefined>;
}

const keepMs = 10_000;

export function createInterviewerTemplates(tenants: Pick<TenantStore, 'get'>, clock: Clock): InterviewerTemplates {
  const cache = createCache(
    async (tenantId) => ({ template: (await tenants.get(tenantId))?.settings.interviewer_template }),
    keepMs,
    clock,
  );
  return { of: async (tenantId) => (await cache.get(tenantId))?.template };
}
