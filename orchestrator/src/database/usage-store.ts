import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/** What machines used and cost. Throws DatabaseError. */
const machineToBill = z.object({
  machine_id: z.string(),
  region: z.string(),
  started_seconds: z.number(),
  standby_seconds: z.number(),
});
export type MachineToBill = z.output<typeof machineToBill>;

export interface Bill extends MachineToBill {
  size: string;
  cost_usd: number;
  standby_cost_usd: number;
}

const sums = { machines: z.number(), started_seconds: z.number(), standby_seconds: z.number(), cost_usd: z.number() };
export const tenantUsage = z.object({
  ...sums,
  sessions: z.number(),
  /** Time as standby, of machines that served and of those that never did. Not contained in `cost_usd`. */
  standby_cost_usd: z.number(),
  /** Of it, what machines cost that never served anybody. */
  unused_standby_cost_usd: z.number(),
  regions: z.array(z.object({ ...sums, region: z.string(), size: z.string(), standby_cost_usd: z.number() })),
});

export type UsageStore = ReturnType<typeof createUsageStore>;

export function createUsageStore(database: Database) {
  const call = callerOf(database);
  return {
    /** Machines that are gone and not billed yet. */
    toBill: (limit: number): Promise<MachineToBill[]> =>
      call('machines_to_bill', { p_limit: limit }, z.array(machineToBill)),
    /** Writes each once; answers how many were new. */
    record: (bills: Bill[]): Promise<number> => call('record_usage', { p_rows: bills }, z.number()),
    /** Machines that went between these times. */
    ofTenant: (tenantId: string, from: string, until: string) =>
      call('tenant_usage', { p_tenant_id: tenantId, p_from: from, p_until: until }, tenantUsage),
  };
}
