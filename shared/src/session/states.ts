/**
 * The states of a session.
 *
 * S1  A session only goes forward: its rank may only grow. A late or repeated report is a no-op, not an error.
 * S2  The database enforces S1 (`app.move_session`); this table and that function are compared by a test.
 * S3  `finalizing` is entered with the outcome and reason decided; whoever ends the session copies them.
 *
 * Ranks have gaps, to leave room for states to come.
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

/** Whether the candidate's socket is there. Apart from the status, so that a reconnect never moves a session back. */
export const presences = ['absent', 'present', 'lost'] as const;
export type Presence = (typeof presences)[number];

/** The life of a machine: one VM, one life, at most one session. Ranks only grow here too. */
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
