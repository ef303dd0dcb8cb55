import type pg from 'pg';
import type { Stack } from '../stack/stack.ts';

/** What must hold of sessions that are over, whatever happened on the way. */
export interface Wrongs {
  /** Sentences; empty when all holds. */
  violations: string[];
  /** Sessions or servers that are there twice. */
  duplicates: number;
  /** Machines that Fly still has. */
  orphans: number;
  /** Sessions that have not ended. */
  stuck: number;
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

const wrongsOf = (session: SessionFacts): string[] => [
  ...(session.outcome === null ? [`is ${session.status}`] : []),
  // One claim for each epoch: nobody served beside another.
  ...(session.claimed === session.epoch ? [] : [`was claimed ${session.claimed} times in ${session.epoch} epochs`]),
  ...(session.rows_left === 0 ? [] : [`has ${session.rows_left} machines that are not gone`]),
  ...(session.debts === 0 ? [] : [`has ${session.debts} calls that are not hung up`]),
];

/** @param ids the sessions that were asked for; others of the same stack are not looked at. */
export async function findWrongs(stack: Stack, db: pg.Pool, ids: readonly string[]): Promise<Wrongs> {
  const { rows } = await db.query<SessionFacts>(factsQuery, [ids]);
  const { rows: counters } = await db.query<{ slug: string }>(countersQuery);
  const left = stack.cloud.fly
    .machines()
    .filter((machine) => machine.metadata.session_id !== undefined && ids.includes(machine.metadata.session_id));
  return {
    violations: [
      ...rows.flatMap((session) => wrongsOf(session).map((wrong) => `session ${session.id} ${wrong}`)),
      ...left.map(
        (machine) => `Fly still has ${machine.id} of session ${machine.metadata.session_id}, ${machine.state}`,
      ),
      ...counters.map(({ slug }) => `the counter of tenant ${slug} is wrong`),
      ...(rows.length === ids.length ? [] : [`${rows.length} sessions are there, ${ids.length} were asked for`]),
    ],
    duplicates: rows.filter((session) => session.claimed > session.epoch).length,
    orphans: left.length,
    stuck: rows.filter((session) => session.outcome === null).length,
  };
}
