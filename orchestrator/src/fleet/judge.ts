import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineReason, SessionReason } from '@greenroom/shared/session/reasons.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';

/**
 * What should be done about a machine: pure, from its row and from what Fly's list says of it.
 *
 * J1  A list and a lapsed lease are suspicion, never evidence: they lead to a probe (GETs), and only that to an end.
 * J2  A destruction names its evidence.
 * J3  A lease is looked at only while leases may be judged at all (`leasesCount`, lease-watch.ts), and a host that is not ok
 *     is evidence only when Fly has said so for a grace and the worker's lease has lapsed too: a worker that is heard
 *     lives, whatever is said of its host.
 * J4  `braked` destructions count for the brake: those that a wrong view of the world could make us do to machines in
 *     use. Not counted are ends that were decided and committed before, machines that never served anybody, and hard
 *     deadlines, which are a promise.
 */
export type Verdict =
  | { kind: 'leave' }
  /** It is late: a second attempt beside it. */
  | { kind: 'hedge'; evidence: string }
  /** What Fly says of its host has changed. */
  | { kind: 'noteHost'; ok: boolean }
  /** Ask Fly: is it gone? */
  | { kind: 'probe'; reason: MachineReason; sessionReason: SessionReason; evidence: string }
  | { kind: 'destroy'; reason: MachineReason; sessionReason: SessionReason; evidence: string; braked: boolean };

/** What judging needs beside the machine itself. */
export interface Court {
  deadlines: Deadlines;
  /** J3. */
  leasesCount: boolean;
}

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

const lapsed = (row: AliveRow, { leasesCount }: Court): boolean => leasesCount && row.lease_lapsed === true;

/** A standby machine rests, for hours if need be; all that can be wrong with it is that it is not there any more. */
function judgeStandby(listed: Listed): Verdict {
  const why = suspicion(listed);
  return why === undefined ? leave : probe('start_failed', why);
}

function judgeUnclaimed(row: AliveRow, listed: Listed, { deadlines: { createMs, claimMs } }: Court): Verdict {
  if (row.session_rank !== null && row.session_rank >= 70) return destroy('session_gone', 'its session is over');
  if (row.session_id === null && row.state === 'created') return judgeStandby(listed);
  if (row.state_ms > createMs + claimMs) return destroy('boot_timeout', `${row.state} for ${row.state_ms} ms`);
  const why = row.fly_machine_id === null ? undefined : suspicion(listed);
  if (why !== undefined) return probe('boot_timeout', why);
  const late = row.session_id !== null && row.state_ms > createMs;
  return late ? { kind: 'hedge', evidence: `${row.state} for ${row.state_ms} ms` } : leave;
}

function judgeClaimed(row: AliveRow, listed: Listed, court: Court): Verdict {
  const { stopTimeoutMs } = court.deadlines;
  if (row.session_over_ms !== null && row.session_over_ms > stopTimeoutMs)
    return destroy('session_gone', `its session ended ${row.session_over_ms} ms ago`);
  const why = suspicion(listed) ?? (lapsed(row, court) ? `no heartbeat since ${row.last_heartbeat_at}` : undefined);
  if (why !== undefined) return probe('worker_lost', why);
  const recovered = row.host_bad_ms !== null && typeof listed === 'object';
  return recovered ? { kind: 'noteHost', ok: true } : leave;
}

export function judge(row: AliveRow, listed: Listed, court: Court): Verdict {
  const { deadlines } = court;
  const known = (row.reason ?? 'session_ended') as MachineReason;
  if (row.state === 'destroying') return destroy(known, 'already decided');
  if (row.past_deadline) return destroy('hard_deadline', `hard deadline ${row.hard_deadline_at}`);
  if (row.state === 'draining')
    return row.state_ms > deadlines.drainingMs
      ? destroy(known, `draining for ${row.state_ms} ms`)
      : probe(known, 'draining');
  return row.state === 'claimed' ? judgeClaimed(row, listed, court) : judgeUnclaimed(row, listed, court);
}

/** What a probe's finding means for a machine that Fly still has. */
export function judgeFound(row: AliveRow, machine: FlyMachine, reason: MachineReason, court: Court): Verdict {
  // No policy restarts our machines: one that stands still is over.
  if (deadStates.has(machine.state)) return destroy(reason, `Fly says ${machine.state}`);
  if (machine.hostStatus === 'ok') return row.host_bad_ms === null ? leave : { kind: 'noteHost', ok: true };
  if (row.host_bad_ms === null) return { kind: 'noteHost', ok: false };
  if (row.host_bad_ms < court.deadlines.hostGraceMs || !lapsed(row, court)) return leave;
  const said = `host ${machine.hostStatus} for ${row.host_bad_ms} ms, no heartbeat since ${row.last_heartbeat_at}`;
  return destroy('host_lost', said, true);
}

/** Ends after which the session goes on with another machine, and is not simply over. */
export const isReplaced = (reason: MachineReason): boolean =>
  ['worker_exited', 'worker_lost', 'boot_timeout', 'host_lost'].includes(reason);

/** Most machines that one tick may destroy of those that count (J3). */
export const brakeLimit = (machines: number): number => Math.max(5, Math.floor(machines * 0.05));
