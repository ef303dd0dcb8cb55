import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { MachineReason } from '@greenroom/shared/session/reasons.ts';
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
 * J4  `braked` ends are held by the brake (brake.ts): those that a wrong view of the world could make us inflict on machines
 *     in use. Not held are ends that were decided and committed before, machines that never served anybody, hard deadlines,
 *     which are a promise, and machines that Fly itself calls destroyed.
 * J5  A 404 is weaker than a life sign: Fly has answered it about machines that ran. It ends a machine that has been claimed
 *     only when its worker's lease has lapsed too, while workers could be heard; one that boots gets a second attempt
 *     beside it and its full time; one that stands by is given up when the 404 has lasted as long as a boot may take.
 */
export type Verdict =
  | { kind: 'leave' }
  /** It is late: a second attempt beside it. */
  | { kind: 'hedge'; evidence: string }
  /** What Fly says of its host has changed. */
  | { kind: 'noteHost'; ok: boolean }
  /** Ask Fly: is it gone? */
  | { kind: 'probe'; reason: MachineReason; evidence: string }
  | Ended<'destroy'>
  /** Fly has it no more: record it. */
  | Ended<'gone'>
  /** Fly did not find it. Note when that began, and look again. */
  | { kind: 'noteAbsent'; evidence: Absence };

interface Ended<Kind> {
  kind: Kind;
  reason: MachineReason;
  evidence: string;
  braked: boolean;
}

/** How Fly says that a machine is not there. */
export type Absence = 'destroyed' | '404' | 'not found by metadata';

/** What judging needs beside the machine itself. */
export interface Court {
  deadlines: Deadlines;
  /** J3. */
  leasesCount: boolean;
  /** J5: heartbeats have been taken and stored for one full lease without a break. */
  hears: boolean;
}

/** Fly's list of the machine's app: the machine in it, `missing` from it, or there was no good list. */
export type Listed = FlyMachine | 'missing' | 'unknown';

const leave: Verdict = { kind: 'leave' };
const deadStates = new Set(['stopped', 'failed', 'destroyed', 'suspended', 'launch_failed']);
/** A machine that was created and not started rests in either: flyctl waits for `stopped`, others have seen `created`. */
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
 * What about its listing is suspicious, if anything (J1).
 * @param mayRest it need not have been started yet. Default false.
 */
function suspicion(listed: Listed, mayRest = false): string | undefined {
  if (listed === 'unknown') return undefined;
  if (listed === 'missing') return 'not in the list';
  if (mayRest && restingStates.has(listed.state) && listed.hostStatus === 'ok') return undefined;
  if (deadStates.has(listed.state)) return `listed as ${listed.state}`;
  return listed.hostStatus === 'ok' ? undefined : `host is ${listed.hostStatus}`;
}

const lapsed = (row: AliveRow, { leasesCount }: Court): boolean => leasesCount && row.lease_lapsed === true;

/** A standby machine rests, for hours if need be; all that can be wrong with it is that it is not there any more. */
function judgeStandby(listed: Listed): Verdict {
  const why = suspicion(listed, true);
  return why === undefined ? leave : probe('start_failed', why);
}

function judgeUnclaimed(row: AliveRow, listed: Listed, { deadlines: { createMs, claimMs } }: Court): Verdict {
  if (row.session_rank !== null && row.session_rank >= 70) return destroy('session_gone', 'its session is over');
  if (row.session_id === null && row.state === 'created') return judgeStandby(listed);
  if (row.state_ms > createMs + claimMs) return destroy('boot_timeout', `${row.state} for ${row.state_ms} ms`);
  const why = row.fly_machine_id === null ? undefined : suspicion(listed, row.state === 'created');
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
  const rests = row.state === 'created' && restingStates.has(machine.state);
  // No policy restarts our machines: one that ran and stands still is over.
  if (deadStates.has(machine.state) && !rests) return destroy(reason, `Fly says ${machine.state}`);
  if (machine.hostStatus === 'ok') return row.host_bad_ms === null ? leave : { kind: 'noteHost', ok: true };
  if (row.host_bad_ms === null) return { kind: 'noteHost', ok: false };
  if (row.host_bad_ms < court.deadlines.hostGraceMs || !lapsed(row, court)) return leave;
  const said = `host ${machine.hostStatus} for ${row.host_bad_ms} ms, no heartbeat since ${row.last_heartbeat_at}`;
  return destroy('host_lost', said, true);
}

/** Whether its end was decided before, whatever Fly says. */
const isLeaving = ({ state }: AliveRow): boolean => state === 'draining' || state === 'destroying';

/** J5: what follows when Fly has not found a machine, now and for at least a grace before. */
function judgeMissing(row: AliveRow, said: string, reason: MachineReason, court: Court): Verdict {
  const { createMs, claimMs } = court.deadlines;
  const gone: Verdict = { ...destroy(reason, said, true), kind: 'gone' } as Verdict;
  if (row.state === 'claimed') return court.hears && row.lease_lapsed === true ? gone : leave;
  if (row.session_id !== null) return { kind: 'hedge', evidence: said };
  return (row.absent_ms ?? 0) >= createMs + claimMs ? gone : leave;
}

/** What a probe's finding means for a machine that Fly did not find. `row.absent_ms` counts from the first time, without a life sign since. */
export function judgeAbsent(row: AliveRow, evidence: Absence, reason: MachineReason, court: Court): Verdict {
  if (row.absent_ms === null || row.absent_ms < court.deadlines.absenceGraceMs) return { kind: 'noteAbsent', evidence };
  const said = `${evidence} for ${row.absent_ms} ms, last heard ${row.last_heartbeat_at ?? 'never'}`;
  if (evidence === 'destroyed' || isLeaving(row)) return { kind: 'gone', reason, evidence: said, braked: false };
  return judgeMissing(row, said, reason, court);
}

/** Ends after which the session goes on with another machine, and is not simply over. */
export const isReplaced = (reason: MachineReason): boolean =>
  ['worker_exited', 'worker_lost', 'boot_timeout', 'host_lost'].includes(reason);
