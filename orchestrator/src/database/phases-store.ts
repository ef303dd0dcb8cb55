import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/** When each step of a session took place. Throws DatabaseError. Times are Unix ms. */
const time = z
  .string()
  .nullable()
  .transform((text) => (text === null ? null : Date.parse(text)));

/** An attempt before the machine that first served the session. */
const earlierAttempt = z.object({
  region: z.string(),
  /** Null: the machine was still starting when a hedge was faster. */
  reason: z.string().nullable(),
  evidence: z.string().nullable(),
  from: time,
  until: time,
});

/** A row of `session_phases`, with what the session itself says. */
export const phasesRow = z.object({
  status: z.string(),
  path: z.enum(['hot', 'standby', 'cold']).nullable(),
  attempts: z.number(),
  earlier: z.array(earlierAttempt),
  wanted_region: z.string().nullable(),
  region: z.string().nullable(),
  standby_kept: z.number().nullable(),
  slot_place: z.number().nullable(),
  slot_count: z.number().nullable(),
  fly_request_id: z.string().nullable(),
  /** Whether the session had a scheduled time, and waited in its tenant's queue. */
  scheduled: z.boolean(),
  queued: z.boolean(),
  /** Of an ended session. */
  reason: z.string().nullable(),
  due_at: time,
  begun_at: time,
  reserved_at: time,
  slot_at: time,
  asked_at: time,
  answered_at: time,
  started_at: time,
  booted_at: time,
  ready_at: time,
  looked_at: time,
  joined_at: time,
  edge_wait_ms: z.number().nullable(),
  socket_at: time,
  offered_at: time,
  credential_at: time,
  call_answered_at: time,
  connected_at: time,
  spoke_at: time,
  completed_at: time,
});
export type Phases = z.output<typeof phasesRow>;

export interface PhasesStore {
  /** Null if there is no such session. */
  ofSession(sessionId: string): Promise<Phases | null>;
}

export const createPhasesStore = (database: Database): PhasesStore => ({
  ofSession: (sessionId) =>
    callFunction(database, 'session_phases_of', { p_session_id: sessionId }, phasesRow.nullable()),
});
