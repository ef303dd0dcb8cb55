import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/** Usage and cost of machines. Throws DatabaseError. */
const machineToBill = z.object({
  machine_id: z.string(),
  region: z.string(),
  started_seconds: z.number(),
  standby_seconds: z.number(),
  hot_seconds: z.number(),
});
export type MachineToBill = z.output<typeof machineToBill>;

export interface Bill extends MachineToBill {
  size: string;
  cost_usd: number;
  standby_cost_usd: number;
  hot_cost_usd: number;
}

const sums = { machines: z.number(), started_seconds: z.number(), standby_seconds: z.number(), cost_usd: z.number() };
export const tenantUsage = z.object({
  ...sums,
  sessions: z.number(),
  /** Cost of standby time, for all machines. Not included in `cost_usd`. */
  standby_cost_usd: z.number(),
  /** The part of it for machines that never served a session. */
  unused_standby_cost_usd: z.number(),
  /** The time that machines ran as hot machines. Not included in `started_seconds`. */
  hot_seconds: z.number(),
  /** Cost of that time. Not included in `cost_usd`. */
  hot_cost_usd: z.number(),
  /** The part of it for machines that never served a session. */
  unused_hot_cost_usd: z.number(),
  regions: z.array(
    z.object({
      ...sums,
      region: z.string(),
      size: z.string(),
      standby_cost_usd: z.number(),
      hot_seconds: z.number(),
      hot_cost_usd: z.number(),
    }),
  ),
});

export type UsageStore = ReturnType<typeof createUsageStore>;

export function createUsageStore(database: Database) {
  const call = callerOf(database);
  return {
    /** Destroyed machines whose usage is not recorded yet. */
    toBill: (limit: number): Promise<MachineToBill[]> =>
      call('machines_to_bill', { p_limit: limit }, z.array(machineToBill)),
    /** Records each machine once. Returns the number of new ones. */
    record: (bills: Bill[]): Promise<number> => call('record_usage', { p_rows: bills }, z.number()),
    /** Machines destroyed between these times. */
    ofTenant: (tenantId: string, from: string, until: string) =>
      call('tenant_usage', { p_tenant_id: tenantId, p_from: from, p_until: until }, tenantUsage),
  };
}
