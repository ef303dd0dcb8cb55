import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';
import type { Stack } from '../../stack/stack.ts';

/** What the product holds at one moment. The load generator and the stand-ins are another process. */
export interface Held {
  atMs: number;
  /** Of all orchestrators together. */
  memoryBytes: number;
  /** Open files and sockets, of all orchestrators together. */
  handles: number;
  /** Connections to Postgres from PostgREST. */
  connections: number;
  /** Rows that should be gone or done by now. */
  owed: number;
}

const memoryOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
const handlesOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Each line counts rows that somebody should have finished a minute ago. */
const owedRows = `
  select
    (select count(*) from public.machines m join public.interview_sessions s on s.id = m.session_id
      where m.state <> 'destroyed' and s.completed_at < now() - interval '1 minute')
    + (select count(*) from public.realtime_calls c join public.interview_sessions s on s.id = c.session_id
      where c.hung_up_at is null and s.completed_at < now() - interval '1 minute')
    + (select count(*) from public.interview_sessions s
      where s.completed_at is null and s.created_at < now() - interval '5 minutes')
    + (select count(*) from public.interview_results r join public.interview_sessions s on s.id = r.session_id
      where r.status not in ('done', 'empty', 'dead') and s.completed_at < now() - interval '1 minute')
    + (select count(*) from public.webhook_deliveries
      where status = 'pending' and attempts = 0 and created_at < now() - interval '1 minute')
    + (select count(*) from public.idempotency_keys
      where sealed_answer is null and created_at < now() - interval '1 minute') as owed`;

/** Processor time that the orchestrators have used since they started, s. The kernel counts in hundredths. */
export const processorSecondsOf = ({ orchestrators }: Stack): number =>
  orchestrators.reduce((total, { pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return total + (Number(fields[11]) + Number(fields[12])) / 100;
  }, 0);

export async function databaseBytes(db: pg.Client): Promise<number> {
  const { rows } = await db.query('select pg_database_size(current_database()) as bytes');
  return Number(rows[0].bytes);
}

export async function probe(stack: Stack, db: pg.Client): Promise<Held> {
  const { rows } = await db.query(
    "select count(*)::int as n from pg_stat_activity where datname = current_database() and usename = 'authenticator'",
  );
  const { rows: owed } = await db.query(owedRows);
  const pids = stack.orchestrators.map(({ pid }) => pid);
  const sum = (of: (pid: number) => number): number => pids.reduce((total, pid) => total + of(pid), 0);
  return {
    atMs: performance.now(),
    ...{ memoryBytes: sum(memoryOf), handles: sum(handlesOf) },
    ...{ connections: rows[0].n, owed: Number(owed[0].owed) },
  };
}
