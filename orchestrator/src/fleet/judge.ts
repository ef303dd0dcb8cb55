import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineReason } from '@greenroom/shared/session/reasons.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';

/**
 * Decides what to do about a machine. Pure: it uses only the machine's row and what Fly says about the machine.
 *
 * - Fly's list and an expired lease are reasons to probe the machine (a GET), never evidence. Only a probe can
 *   show that a machine is lost.
 * - Every destruction states its evidence.
 * - A lease counts only while leases may be judged at all (lease-watch.ts). A host that is not ok is evidence
 *   only if Fly has reported it for the grace period and the worker's lease has expired too: a worker that
 *   sends heartbeats is never ended because of its host.
 * - `braked` ends can be held by the brake (brake.ts): the ones that wrong data could cause for machines in
 *   use. The brake does not hold ends that were already committed, ends of machines that never served a
 *   session, hard deadlines (a promise), and machines that Fly itself reports as `destroyed`.
 * - A heartbeat outweighs a 404, because Fly has answered 404 about running machines. `judgeMissing` decides
 *   what a 404 means for a machine that is claimed, booting or standby.
 */
export type Verdict =
  | { kind: 'leave' }
  /** It is late. Make a second attempt and keep this one. */
  | { kind: 'hedge'; evidence: string }
  /** Fly reports another status of its host. Record it. */
  | { kind: 'noteHost'; ok: boolean }
  /** Ask Fly about this machine. */
  | { kind: 'probe'; reason: MachineReason; evidence: string }
  | Ended<'destroy'>
  /** Fly no longer has it. Record it as gone. */
  | Ended<'gone'>
  /** Fly did not find it. Record when that began, and ask again later. */
  | { kind: 'noteAbsent'; evidence: Absence };

interface Ended<Kind> {
  kind: Kind;
  reason: MachineReason;
  evidence: string;
  braked: boolean;
}

/** How Fly reported that a machine does not exist. */
export type Absence = 'destroyed' | '404' | 'not found by metadata';

/** What a verdict depends on besides the machine itself. */
export interface JudgeContext {
  deadlines: Deadlines;
  /** Whether leases may be judged (`mayJudge` in lease-watch.ts). */
  leasesCount: boolean;
  /** Whether this orchestrator has stored heartbeats for one full lease without a break. */
  receivesHeartbeats: boolean;
}

/** The machine as it is in Fly's list of its app, `missing` from the list, or `unknown` if the list failed. */
export type Listed = FlyMachine | 'missing' | 'unknown';

const leave: Verdict = { kind: 'leave' };
const deadStates = new Set(['stopped', 'failed', 'destroyed', 'suspended', 'launch_failed']);
/** States of a machine that was created and not started. flyctl waits for `stopped`; others have seen `created`. */
const restingStates = new Set(['created', 'stopped']);

const destroy = (reason: MachineReason, evidence: string, braked = false): Verdict => ({
  kind: 'destroy',
  reason,
  evidence,
  braked,
});
const probe = (reason: MachineReason, evidence: string): Verdict => ({
  kind: 'probe',
  reason,
  evidence,
});

/**
 * The reason in Fly's list to probe the machine, or undefined.
 * @param mayRest whether the machine may be one that was not started yet. Default false.
 */
function suspicion(listed: Listed, mayRest = false): string | undefined {
  if (listed === 'unknown') return undefined;
  if (listed === 'missing') return 'not in the list';
  if (mayRest && restingStates.has(listed.state) && listed.hostStatus === 'ok') return undefined;
  if (deadStates.has(listed.state)) return `listed as ${listed.state}`;
  return listed.hostStatus === 'ok' ? undefined : `host is ${listed.hostStatus}`;
}

/** Whether its worker waits for a session. */
export const isHot = (row: Pick<AliveRow, 'hot' | 'session_id' | 'state'>): boolean =>
  row.hot && row.session_id === null && row.state === 'started';

const lapsed = (row: AliveRow, { leasesCount }: JudgeContext): boolean => leasesCount && row.lease_lapsed === true;

/**
 * A hot machine whose worker has registered. It serves nobody, so a lapsed lease and a machine that Fly still shows are
 * enough to replace it.
 */
function judgeHot(row: AliveRow, listed: Listed, context: JudgeContext): Verdict {
  const why = suspicion(listed);
  if (why !== undefined) return probe('worker_lost', why);
  return lapsed(row, context) ? destroy('worker_lost', `no claim since ${row.last_heartbeat_at}`, true) : leave;
}

/** A standby machine may wait for hours. It is probed if the list shows it as failed or missing, or its host as bad. */
function judgeStandby(listed: Listed): Verdict {
  const why = suspicion(listed, true);
  return why === undefined ? leave : probe('start_failed', why);
}

function judgeUnclaimed(row: AliveRow, listed: Listed, { deadlines: { createMs, claimMs } }: JudgeContext): Verdict {
  if (row.session_rank !== null && row.session_rank >= 70) return destroy('session_gone', 'its session is over');
  if (row.session_id === null && row.state === 'created' && !row.hot) return judgeStandby(listed);
  if (row.state_ms > createMs + claimMs) return destroy('boot_timeout', `${row.state} for ${row.state_ms} ms`);
  const why = row.fly_machine_id === null ? undefined : suspicion(listed, row.state === 'created');
  if (why !== undefined) return probe('boot_timeout', why);
  const late = row.session_id !== null && row.state_ms > createMs;
  return late ? { kind: 'hedge', evidence: `${row.state} for ${row.state_ms} ms` } : leave;
}

function judgeClaimed(row: AliveRow, listed: Listed, context: JudgeContext): Verdict {
  const { stopTimeoutMs } = context.deadlines;
  if (row.session_over_ms !== null && row.session_over_ms > stopTimeoutMs)
    return destroy('session_gone', `its session ended ${row.session_over_ms} ms ago`);
  const why = suspicion(listed) ?? (lapsed(row, context) ? `no heartbeat since ${row.last_heartbeat_at}` : undefined);
  if (why !== undefined) return probe('worker_lost', why);
  const recovered = row.host_bad_ms !== null && typeof listed === 'object';
  return recovered ? { kind: 'noteHost', ok: true } : leave;
}

export function judge(row: AliveRow, listed: Listed, context: JudgeContext): Verdict {
  const { deadlines } = context;
  const known = (row.reason ?? 'session_ended') as MachineReason;
  if (row.state === 'destroying') return destroy(known, 'already decided');
  if (row.past_deadline) return destroy('hard_deadline', `hard deadline ${row.hard_deadline_at}`);
  if (row.state === 'draining')
    return row.state_ms > deadlines.drainingMs
      ? destroy(known, `draining for ${row.state_ms} ms`)
      : probe(known, 'draining');
  if (row.state === 'claimed') return judgeClaimed(row, listed, context);
  return isHot(row) ? judgeHot(row, listed, context) : judgeUnclaimed(row, listed, context);
}

/** The verdict after a probe found the machine. */
export function judgeFound(row: AliveRow, machine: FlyMachine, reason: MachineReason, context: JudgeContext): Verdict {
  const rests = row.state === 'created' && restingStates.has(machine.state);
  // No restart policy: a machine that has stopped does not run again.
  if (deadStates.has(machine.state) && !rests) return destroy(reason, `Fly says ${machine.state}`);
  if (machine.hostStatus === 'ok') return row.host_bad_ms === null ? leave : { kind: 'noteHost', ok: true };
  if (row.host_bad_ms === null) return { kind: 'noteHost', ok: false };
  if (row.host_bad_ms < context.deadlines.hostGraceMs || !lapsed(row, context)) return leave;
  const said = `host ${machine.hostStatus} for ${row.host_bad_ms} ms, no heartbeat since ${row.last_heartbeat_at}`;
  return destroy('host_lost', said, true);
}

/** Whether its end was already decided. */
const isLeaving = ({ state }: AliveRow): boolean => state === 'draining' || state === 'destroying';

/**
 * The verdict on a machine that Fly has not found for at least the grace period. A claimed machine is gone only
 * if its lease has expired while heartbeats were being received. A booting machine keeps its full time and gets
 * a hedge. A standby machine is gone when it has been missing for as long as a boot may take.
 */
function judgeMissing(row: AliveRow, said: string, reason: MachineReason, context: JudgeContext): Verdict {
  const { createMs, claimMs } = context.deadlines;
  const gone: Verdict = { ...destroy(reason, said, true), kind: 'gone' } as Verdict;
  if (row.state === 'claimed') return context.receivesHeartbeats && row.lease_lapsed === true ? gone : leave;
  if (row.session_id !== null) return { kind: 'hedge', evidence: said };
  return (row.absent_ms ?? 0) >= createMs + claimMs ? gone : leave;
}

/**
 * The verdict after a probe did not find the machine. `row.absent_ms` is the time since Fly first did not find
 * it, with no heartbeat since then.
 */
export function judgeAbsent(row: AliveRow, evidence: Absence, reason: MachineReason, context: JudgeContext): Verdict {
  if (row.absent_ms === null || row.absent_ms < context.deadlines.absenceGraceMs)
    return { kind: 'noteAbsent', evidence };
  const said = `${evidence} for ${row.absent_ms} ms, last heard ${row.last_heartbeat_at ?? 'never'}`;
  if (evidence === 'destroyed' || isLeaving(row)) return { kind: 'gone', reason, evidence: said, braked: false };
  return judgeMissing(row, said, reason, context);
}

/** Whether the session continues on another machine after this end. */
export const isReplaced = (reason: MachineReason): boolean =>
  ['worker_exited', 'worker_lost', 'boot_timeout', 'host_lost'].includes(reason);
