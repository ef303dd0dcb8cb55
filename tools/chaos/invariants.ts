import type pg from 'pg';
import type { Stack } from '../stack/stack.ts';

/** What is wrong after a campaign. All counts must be 0, whatever faults were injected. */
export interface Violations {
  /** One sentence for each violation. */
  violations: string[];
  /** Sessions that more than one worker served in the same epoch. */
  duplicates: number;
  /** Machines that Fly still has, other than prepared ones. */
  orphans: number;
  /** Sessions that have not ended. */
  stuck: number;
  /** Calls and orphaned machines that still cost money although their sessions are over. */
  unpaid: number;
}

interface SessionFacts {
  id: string;
  status: string;
  outcome: string | null;
  epoch: number;
  claimed: number;
  rows_left: number;
  debts: number;
}

const factsQuery = `
  select s.id, s.status, s.outcome, s.epoch,
    (select count(distinct (e.data ->> 'machine_id', e.id))::int from public.session_events e where e.session_id = s.id and e.type = 'machine.claimed') as claimed,
    (select count(*)::int from public.machines m where m.session_id = s.id and m.state <> 'destroyed') as rows_left,
    (select count(*)::int from public.realtime_calls c where c.session_id = s.id and c.hung_up_at is null) as debts
  from public.interview_sessions s where s.id = any ($1) order by s.created_at`;

const countersQuery = `
  select t.slug from public.tenant_counters c join public.tenants t on t.id = c.tenant_id
  where c.live_sessions <> (select count(*) from public.interview_sessions s where s.tenant_id = c.tenant_id and s.counted)`;

/** Machines that are not destroyed. `prepared`: a standby or hot machine, which has no session yet. */
const aliveQuery = `select id, fly_machine_id, session_id is null
    and (state in ('reserved', 'created') or state = 'started' and hot) as prepared
  from public.machines where state <> 'destroyed'`;

interface AliveFacts {
  id: string;
  fly_machine_id: string | null;
  prepared: boolean;
}

/** `orphans`: machines at Fly that are not prepared machines. `missing`: prepared machines that Fly does not have. */
function compareWithFly(stack: Stack, rows: AliveFacts[]) {
  const prepared = new Set(rows.filter((row) => row.prepared).map((row) => row.id));
  const there = stack.cloud.fly.machines().filter(({ metadata }) => metadata.deployment_id === stack.deploymentId);
  const ids = new Set(there.map((machine) => machine.id));
  return {
    orphans: there.filter(({ metadata }) => !prepared.has(metadata.machine_id ?? '')),
    missing: rows.filter((row) => row.prepared && !ids.has(row.fly_machine_id ?? '')),
  };
}

const violationsOf = (session: SessionFacts): string[] => [
  ...(session.outcome === null ? [`is ${session.status}`] : []),
  // One claim for each epoch: no two workers served the session at once.
  ...(session.claimed === session.epoch ? [] : [`was claimed ${session.claimed} times in ${session.epoch} epochs`]),
  ...(session.rows_left === 0 ? [] : [`has ${session.rows_left} machines that are not gone`]),
  ...(session.debts === 0 ? [] : [`has ${session.debts} calls that are not hung up`]),
];

/** Calls with media. A call whose answer never reached a browser has no media and ends by itself. */
const callsUnderWay = (stack: Stack) =>
  stack.cloud.voice.calls().filter((call) => call.state === 'live' && (call.connected || call.packetsReceived > 0));

/** @param ids all sessions of the stack; all must be over */
export async function findViolations(stack: Stack, db: pg.Pool, ids: readonly string[]): Promise<Violations> {
  const { rows } = await db.query<SessionFacts>(factsQuery, [ids]);
  const { rows: counters } = await db.query<{ slug: string }>(countersQuery);
  const { rows: alive } = await db.query<AliveFacts>(aliveQuery);
  const { orphans, missing } = compareWithFly(stack, alive);
  const calls = callsUnderWay(stack);
  return {
    violations: [
      ...rows.flatMap((session) => violationsOf(session).map((wrong) => `session ${session.id} ${wrong}`)),
      ...orphans.map(({ id, name, state }) => `Fly still has ${id} (${name}), ${state}`),
      ...missing.map(({ id }) => `prepared machine ${id} is not at Fly`),
      ...calls.map(({ id }) => `the voice provider still has call ${id} open`),
      ...counters.map(({ slug }) => `the counter of tenant ${slug} is wrong`),
      ...(rows.length === ids.length ? [] : [`${rows.length} sessions exist, ${ids.length} were requested`]),
    ],
    duplicates: rows.filter((session) => session.claimed > session.epoch).length,
    orphans: orphans.length,
    stuck: rows.filter((session) => session.outcome === null).length,
    unpaid: calls.length + orphans.length,
  };
}
