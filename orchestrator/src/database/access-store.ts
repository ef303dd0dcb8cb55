import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { type MembershipRow, membershipRow } from './rows.ts';

/** Requests of one scope since the last report. */
export interface Booking {
  scope: string;
  cost: number;
  per_minute: number;
  burst: number;
}

/** Reads that the API's authentication needs. Throws DatabaseError. */
export function createAccessStore(database: Database) {
  const call = callerOf(database);
  return {
    /** The tenants that a user belongs to; empty for an unknown user. */
    memberships: (userId: string): Promise<MembershipRow[]> =>
      call('tenants_of_user', { p_user_id: userId }, z.array(membershipRow)),
    /** Tenants that name browser origins. */
    origins: () =>
      call('tenant_origins', {}, z.array(z.object({ tenant_id: z.string(), origins: z.array(z.string()) }))),
    /** Reports served requests, so that all processes share the limits. Returns how long each scope must be refused. */
    spend: (bookings: Booking[]) =>
      call('spend_rate_limits', { p_spent: bookings }, z.array(z.object({ scope: z.string(), wait_ms: z.number() }))),
  };
}
