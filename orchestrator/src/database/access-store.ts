import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { type MembershipRow, membershipRow } from './rows.ts';

/** What one scope used up since the last booking. */
export interface Booking {
  scope: string;
  cost: number;
  per_minute: number;
  burst: number;
}

/** What the door of the API asks for. Throws DatabaseError. */
export function createAccessStore(database: Database) {
  const call = callerOf(database);
  return {
    /** The tenants a user belongs to; none for a stranger. */
    memberships: (userId: string): Promise<MembershipRow[]> =>
      call('tenants_of_user', { p_user_id: userId }, z.array(membershipRow)),
    /** Tenants that name browser origins. */
    origins: () =>
      call('tenant_origins', {}, z.array(z.object({ tenant_id: z.string(), origins: z.array(z.string()) }))),
    /** Books served requests for all processes; answers how long each scope must rest. */
    spend: (bookings: Booking[]) =>
      call('spend_rate_limits', { p_spent: bookings }, z.array(z.object({ scope: z.string(), wait_ms: z.number() }))),
  };
}
