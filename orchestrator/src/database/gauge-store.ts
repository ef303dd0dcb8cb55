import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/** Figures of the whole fleet, for the metrics. Throws DatabaseError. */
const count = z.number();

const fleetGauges = z.object({
  sessions: z.array(z.object({ tenant: z.string(), status: z.string(), region: z.string(), count })),
  queued: z.array(z.object({ tenant: z.string(), count })),
  /** Live sessions that run on a replacement machine. */
  replaced: count,
  /** Candidates whose socket is open. */
  present: count,
  /** Scheduled sessions that begin within an hour. */
  due: z.array(z.object({ region: z.string(), count })),
  /** Machines per second that Fly's limit lets us create in all apps together. */
  creates_per_second: count,
  /** How long the app with the longest queue needs for the creates that wait for their turn, seconds. */
  create_backlog_s: count,
  machines: z.array(z.object({ state: z.string(), region: z.string(), count })),
  work: z.array(z.object({ kind: z.string(), pending: count, dead: count })),
  duties_without_holder: count,
  orchestrators: count,
  /** Entries that workers have not stored yet, and the memory of the largest worker. */
  unsaved_entries: count,
  worker_memory_bytes: count,
  /** Machines that should be gone by now. */
  unwanted: count,
});
export type FleetGauges = z.output<typeof fleetGauges>;

export const createReadGauges = (database: Database) => (): Promise<FleetGauges> =>
  callFunction(database, 'fleet_gauges', {}, fleetGauges);

const fleetTotals = z.object({
  /** Upper bounds of the histograms' buckets. */
  bounds: z.record(z.string(), z.array(z.number())),
  totals: z.array(
    z.object({
      name: z.string(),
      tenant: z.string().nullable(),
      labels: z.record(z.string(), z.string()),
      /** Index of the smallest bound that is not below the value; 0 for a counter. */
      bucket: z.number().int(),
      count,
      sum: z.number(),
    }),
  ),
});
export type FleetTotals = z.output<typeof fleetTotals>;

/** Adds the counts since the last call to the totals, and returns the totals. */
export const createReadTotals = (database: Database) => (): Promise<FleetTotals> =>
  callFunction(database, 'fleet_totals', {}, fleetTotals);
