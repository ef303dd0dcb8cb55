import type { Outcome } from './states.ts';

/**
 * Why a session ended: a closed list. Each reason has its outcome and the sentence shown to people.
 * Tests compare it with `docs/lifecycle.md` and with the database's check.
 */
export const sessionReasons = {
  ended_by_candidate: { outcome: 'completed', text: 'The candidate ended the interview.' },
  interviewer_finished: { outcome: 'completed', text: 'The interviewer finished the interview.' },
  max_duration: { outcome: 'completed', text: 'The interview reached its maximum duration.' },
  ended_by_platform: { outcome: 'cancelled', text: 'The platform ended the session.' },
  operator_stopped: { outcome: 'cancelled', text: 'An operator stopped the session.' },
  consent_declined: { outcome: 'cancelled', text: 'The candidate did not consent to the interview.' },
  consent_withdrawn: { outcome: 'cancelled', text: 'The candidate withdrew consent.' },
  candidate_never_joined: { outcome: 'expired', text: 'The candidate did not join in time.' },
  candidate_silent: { outcome: 'expired', text: 'The candidate said nothing until the maximum duration.' },
  schedule_expired: { outcome: 'expired', text: 'The session was not used before it expired.' },
  admission_timeout: { outcome: 'expired', text: 'The session waited too long at the tenant’s limit.' },
  candidate_left: { outcome: 'disconnected', text: 'The candidate left and did not come back in time.' },
  worker_lost: { outcome: 'failed', text: 'The machine serving the interview was lost.' },
  boot_timeout: { outcome: 'failed', text: 'No machine became ready in time.' },
  no_capacity: { outcome: 'failed', text: 'No region had room for a machine.' },
  quota_exceeded: { outcome: 'failed', text: 'A quota at Fly or at the voice provider was exceeded.' },
  fly_refused: { outcome: 'failed', text: 'Fly refused to create the machine.' },
  provider_auth_failed: { outcome: 'failed', text: 'The voice provider rejected the API key.' },
  provider_rate_limited: { outcome: 'failed', text: 'The rate limit of the voice provider was exceeded.' },
  provider_unavailable: { outcome: 'failed', text: 'The voice provider was unavailable.' },
  call_not_established: { outcome: 'failed', text: 'The browser and the voice provider could not be connected.' },
  transcript_incomplete: { outcome: 'failed', text: 'The transcript could not be saved completely.' },
  internal_error: { outcome: 'failed', text: 'An internal error in Greenroom ended the session.' },
} as const satisfies Record<string, { outcome: Outcome; text: string }>;

export type SessionReason = keyof typeof sessionReasons;
export const sessionReasonNames = Object.keys(sessionReasons) as [SessionReason, ...SessionReason[]];

/** How a session ended: outcome and reason. Both are required. */
export interface Ending {
  outcome: Outcome;
  reason: SessionReason;
}

/** The ending of a reason. */
export const endingOf = (reason: SessionReason): Ending => ({ outcome: sessionReasons[reason].outcome, reason });

/** Why a machine's life ended. Like session reasons: closed, documented, compared by a test. */
export const machineReasons = {
  session_ended: 'Its session ended.',
  session_gone: 'Its session ended before the machine was used.',
  worker_exited: 'The worker process exited by itself.',
  worker_lost: 'The worker stopped answering and Fly says the machine is gone.',
  boot_timeout: 'It was not claimed in time.',
  create_failed: 'Fly did not create it.',
  start_failed: 'Fly could not start it: its host was full, or it was gone.',
  superseded: 'Another machine won the session.',
  handed_over: 'It handed its session over (host migration or deploy).',
  host_lost: 'Its host is unreachable.',
  unreachable: 'A returning browser did not reach it.',
  hard_deadline: 'It still existed after its hard deadline.',
  orphan: 'It existed at Fly, but no row in the database needed it.',
  image_replaced: 'A standby or hot machine of an older image was replaced.',
  pool_shrunk: 'The pool needed fewer standby or hot machines.',
  recycled: 'A hot machine that had waited for long was replaced by a new one.',
  operator_stopped: 'An operator destroyed it.',
} as const;
export type MachineReason = keyof typeof machineReasons;
export const machineReasonNames = Object.keys(machineReasons) as [MachineReason, ...MachineReason[]];
