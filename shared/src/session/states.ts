/**
 * The states of a session.
 *
 * - A session only moves forward: its rank never decreases. A late or repeated report changes nothing and is not an error.
 *   The database enforces this (`app.move_session`); a test compares the ranks.
 * - Outcome and reason are set when a session enters `finalizing`. The component that ends the session copies them.
 *
 * Ranks have gaps, so that states can be added between them.
 */
export const sessionRanks = {
  scheduled: 10,
  pending: 20,
  provisioning: 30,
  ready: 40,
  connecting: 50,
  in_progress: 60,
  finalizing: 70,
  completed: 90,
  disconnected: 90,
  failed: 90,
  expired: 90,
  cancelled: 90,
} as const;

/** A session's status, as the API and the database spell it. The last five are the outcomes of an ended session. */
export type SessionStatus = keyof typeof sessionRanks;
export const sessionStatuses = Object.keys(sessionRanks) as [SessionStatus, ...SessionStatus[]];

/** How a session ended. */
export const outcomes = ['completed', 'disconnected', 'failed', 'expired', 'cancelled'] as const;
export type Outcome = (typeof outcomes)[number];

export const isEnded = (status: SessionStatus): boolean => sessionRanks[status] >= 90;

/** Whether the candidate's socket is open. Separate from the status, so that a reconnect never moves a session backwards. */
export const presences = ['absent', 'present', 'lost'] as const;
export type Presence = (typeof presences)[number];

/** The states of a machine: one VM, at most one session. Ranks never decrease here either. */
export const machineRanks = {
  reserved: 10,
  created: 20,
  started: 30,
  claimed: 40,
  draining: 50,
  destroying: 60,
  destroyed: 70,
} as const;
export type MachineState = keyof typeof machineRanks;
export const machineStates = Object.keys(machineRanks) as [MachineState, ...MachineState[]];
