import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/** Counts of the whole fleet, for the metrics. Throws DatabaseError. */
const count = z.number();

const fleetGauges = z.object({
  sessions: z.array(z.object({ tenant: z.string(), status: z.string(), region: z.string(), count })),
  queued: z.array(z.object({ tenant: z.string(), count })),
  /** Live sessions that a replacement machine serves. */
  replaced: count,
  machines: z.array(z.object({ state: z.string(), region: z.string(), count })),
  work: z.array(z.object({ kind: z.string(), pending: count, dead: count })),
  duties_without_holder: count,
  orchestrators: count,
});
export type FleetGauges = z.output<typeof fleetGauges>;

export const createReadGauges = (database: Database) => (): Promise<FleetGauges> =>
  callFunction(database, 'fleet_gauges', {}, fleetGauges);
