import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineReason, SessionReason } from '@greenroom/shared/session/reasons.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';

/**
 * What should be done about a machine: pure, from its row and from what Fly's list says of it.
 *
 * J1  A list and a lapsed lease are suspicion, never evidence: they lead to a probe (GETs), and only that to an end.
 * J2  A destruction names its evidence.
 * J3  `braked` destructions count for the brake: those that a wrong view of the world could make us do to machines in
 *     use. Not counted are ends that were decided and committed before, machines that never served anybody, and hard
 *     deadlines, which are a promise.
 */
export type Verdict =
  | { kind: 'leave' }
  /** Ask Fly: is it gone? */
  | { kind: 'probe'; reason: MachineReason; sessionReason: SessionReason; evidence: string }
  | { kind: 'destroy'; reason: MachineReason; sessionReason: SessionReason; evidence: string; braked: boolean };

/** Fly's list of the machine's app: the machine in it, `missing` from it, or there was no good list. */
export type Listed = FlyMachine | 'missing' | 'unknown';

/** The end of a session whose machine ended so, when none is decided. */
export const sessionReasonOf = (reason: string | null): SessionReason => {
  if (reason === 'boot_timeout') return 'boot_timeout';
  return reason === 'create_failed' ? 'fly_refused' : 'worker_lost';
};

const leave: Verdict = { kind: 'leave' };
const deadStates = new Set(['stopped', 'failed', 'destroyed', 'suspended', 'launch_failed']);

const destroy = (reason: MachineReason, evidence: string, braked = false): Verdict => ({
  kind: 'destroy',
  reason,
  sessionReason: sessionReasonOf(reason),
  evidence,
  braked,
});
const probe = (reason: MachineReason, evidence: string): Verdict => ({
  kind: 'probe',
  reason,
  sessionReason: sessionReasonOf(reason),
  evidence,
});

/** What about its listing is suspicious, if anything (J1). */
function suspicion(listed: Listed): string | undefined {
  if (listed === 'unknown') return undefined;
  if (listed === 'missing') return 'not in the list';
  if (deadStates.has(listed.state)) return `listed as ${listed.state}`;
  return listed.hostStatus === 'ok' ? undefined : `host is ${listed.hostStatus}`;
}

function judgeUnclaimed(row: AliveRow, listed: Listed, { createMs, claimMs }: Deadlines): Verdict {
  if (row.session_rank !== null && row.session_rank >= 70) return destroy('session_gone', 'its session is over');
  if (row.state_ms > createMs + claimMs) return destroy('boot_timeout', `${row.state} for ${row.state_ms} ms`);
  if (row.fly_machine_id === null) return leave;
  const why = suspicion(listed);
  return why === undefined ? leave : probe('boot_timeout', why);
}

function judgeClaimed(row: AliveRow, listed: Listed, { stopTimeoutMs }: Deadlines): Verdict {
  if (row.session_over_ms !== null && row.session_over_ms > stopTimeoutMs)
    return destroy('session_gone', `its session ended ${row.session_over_ms} ms ago`);
  const why = suspicion(listed) ?? (row.lease_lapsed ? `no heartbeat since ${row.last_heartbeat_at}` : undefined);
  return why === undefined ? leave : probe('worker_lost', why);
}

export function judge(row: AliveRow, listed: Listed, deadlines: Deadlines): Verdict {
  const known = (row.reason ?? 'session_ended') as MachineReason;
  if (row.state === 'destroying') return destroy(known, 'already decided');
  if (row.past_deadline) return destroy('hard_deadline', `hard deadline ${row.hard_deadline_at}`);
  if (row.state === 'draining')
    return row.state_ms > deadlines.drainingMs
      ? destroy(known, `draining for ${row.state_ms} ms`)
      : probe(known, 'draining');
  return row.state === 'claimed' ? judgeClaimed(row, listed, deadlines) : judgeUnclaimed(row, listed, deadlines);
}

/** What a probe's finding means for a machine that Fly still has. */
export function judgeFound(row: AliveRow, machine: FlyMachine, reason: MachineReason): Verdict {
  // No policy restarts our machines: one that stands still is over.
  if (deadStates.has(machine.state)) return destroy(reason, `Fly says ${machine.state}`);
  if (machine.hostStatus === 'unreachable' && row.lease_lapsed)
    return destroy('host_lost', `host unreachable, no heartbeat since ${row.last_heartbeat_at}`, true);
  return leave;
}

/** Most machines that one tick may destroy of those that count (J3). */
export const brakeLimit = (machines: number): number => Math.max(5, Math.floor(machines * 0.05));
