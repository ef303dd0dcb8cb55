import { rmSync } from 'node:fs';
import { startBudgetsMs } from '@greenroom/shared/protocol/operators.ts';
import pg from 'pg';
import { type Stack, startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, percentile } from './figures.ts';
import { type Call, callsOf, page } from './fleet/calls.ts';
import { seedLive } from './fleet/live.ts';
import { copyOf } from './growth/folder.ts';

/**
 * `bench fleet`: what operators read, on a database with 90 days of ended sessions and a live fleet. `--rows 1` is 1,000,000
 * sessions and 10,000,000 events; the default is a tenth. The data folder is that of `bench growth`.
 *
 * Each line of progress shows the p95 of a plain page, p50 and p95 of the call as its caller sees it, and p95 of what Postgres reports:
 * planning, execution and the answer as text, without its transfer. The limit of the lists counts for the latter: this process also
 * runs the local cloud, and now and then it stands still for longer than a list takes.
 *
 * Each function is called as the API calls it, with pages of its default length. The plans of all its statements, nested ones too, are
 * read from auto_explain: none may scan a big table from end to end.
 */
const allSessions = 1_000_000;
const warm = 5;
/** Enough that the few calls during which the machine does something else are not among the slowest twentieth. */
const times = 100;
const listMs = 5;
const overviewMs = 30;

/** A smaller table is read from end to end, whatever indexes it has. */
const bigRows = 10_000;

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  Plans?: Plan[];
}

const scansIn = (
  big: Set<string>,
  { 'Node Type': type, 'Relation Name': table, Plans: below = [] }: Plan,
): string[] => [
  ...(type === 'Seq Scan' && table !== undefined && big.has(table) ? [table] : []),
  ...below.flatMap((plan) => scansIn(big, plan)),
];

/** Runs a statement and returns the plans of it and of all statements below it. */
async function plansOf(db: pg.Client, { sql, values }: Call): Promise<Plan[]> {
  const plans: Plan[] = [];
  const note = ({ message }: { message?: string | undefined }) => {
    const json = /plan:\n([\s\S]+)$/.exec(message ?? '')?.[1];
    if (json !== undefined) plans.push((JSON.parse(json) as { Plan: Plan }).Plan);
  };
  db.on('notice', note);
  await db.query('set auto_explain.log_min_duration = 0');
  await db.query(sql, values);
  await db.query('set auto_explain.log_min_duration = -1');
  db.off('notice', note);
  return plans;
}

/** The answer stays text: parsing it is not the database's work. */
const types = { getTypeParser: () => (text: string) => text };

async function timesOf(db: pg.Client, { sql, values }: Call): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < warm + times; n += 1) {
    const startedMs = performance.now();
    await db.query({ text: sql, values, types });
    if (n >= warm) took.push(performance.now() - startedMs);
  }
  return took;
}

/** How long Postgres itself worked, ms. */
async function serverTimesOf(db: pg.Client, { sql, values }: Call): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < warm + times; n += 1) {
    const { rows } = await db.query(`explain (analyze, timing off, serialize text, format json) ${sql}`, values);
    const [plan] = rows[0]['QUERY PLAN'] as [{ 'Planning Time': number; 'Execution Time': number }];
    if (n >= warm) took.push(plan['Planning Time'] + plan['Execution Time']);
  }
  return took;
}

async function openDatabase(stack: Stack): Promise<pg.Client> {
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  await db.connect();
  await db.query(
    `load 'auto_explain'; set auto_explain.log_nested_statements = on; set auto_explain.log_format = 'json';
     set auto_explain.log_level = 'notice'; set client_min_messages = 'notice'`,
  );
  return db;
}

/** What the machine needs for as many rows at the same time: whole sessions in the order of an index, as JSON. */
const plainPage: Call = {
  ...{ name: 'plain page', kind: 'keyset', values: [] },
  sql: `select json_agg(row_to_json(s)) from (select * from public.interview_sessions order by created_at desc, id desc limit ${page}) s`,
};

interface Measured {
  call: Call;
  p95: number;
  p50: number;
  /** Of what Postgres reports. */
  serverP95: number;
  /** Of the plain page, measured right before. */
  plainP95: number;
  scans: string[];
}

async function measure(db: pg.Client, big: Set<string>, call: Call): Promise<Measured> {
  const plans = await plansOf(db, call);
  if (plans.length === 0) throw new Error(`no plan of ${call.name}`);
  const plain = await timesOf(db, plainPage);
  const took = await timesOf(db, call);
  const server = await serverTimesOf(db, call);
  return {
    call,
    serverP95: percentile(server, 95),
    plainP95: percentile(plain, 95),
    p95: percentile(took, 95),
    p50: percentile(took, 50),
    scans: [...new Set(plans.flatMap((plan) => scansIn(big, plan)))],
  };
}

function figuresOf(measured: Measured[], sessions: number, events: number): Figure[] {
  const overview = measured.find(({ call }) => call.name === 'overview');
  const others = measured.filter(({ call }) => call.kind === 'keyset').toSorted((a, b) => b.serverP95 - a.serverP95);
  const named = ({ name }: Call) => (name.length > 90 ? `${name.slice(0, 87)}…` : name);
  const plain = (
    name: string,
    value: number,
    unit: string,
    target: number | null,
    baseline: number | null = null,
  ): Figure => ({
    ...{ name, value, unit, target, baseline },
  });
  const plainMs = measured.map(({ plainP95 }) => plainP95);
  return [
    plain('sessions', sessions, '', null),
    plain('events', events, '', null),
    plain('lists, filters, finds and documents measured', others.length, '', null),
    ...others
      .slice(0, 10)
      .map(({ call, serverP95, plainP95 }) =>
        plain(`${named(call)}, p95 in Postgres`, serverP95, 'ms', listMs, plainP95),
      ),
    plain('lists slower than 5 ms in Postgres', others.filter(({ serverP95 }) => serverP95 > listMs).length, '', 0),
    plain(
      'the same with the way to this process and back',
      others.filter(({ p95 }) => p95 > listMs).length,
      '',
      null,
      measured.filter(({ plainP95 }) => plainP95 > listMs).length,
    ),
    plain('plain page of sessions, p95: median over the run', percentile(plainMs, 50), 'ms', null),
    plain('plain page of sessions, p95: largest of the run', Math.max(...plainMs), 'ms', null),
    plain('lists slower than three plain pages', others.filter((m) => m.p95 > 3 * m.plainP95).length, '', null),
    plain('overview, p95', overview?.p95 ?? Number.NaN, 'ms', overviewMs),
    ...measured
      .filter(({ call }) => call.kind === 'summary' && call.name !== 'overview')
      .map(({ call, p95 }) => plain(`${call.name}, p95`, p95, 'ms', overviewMs)),
    plain('calls with a sequential scan of a big table', measured.filter((m) => m.scans.length > 0).length, '', 0),
  ];
}

export const fleet: Benchmark = async (progress, { rows }) => {
  const sessions = Math.max(1_000, Math.round(allSessions * rows));
  const dir = await copyOf(sessions, progress);
  const stack = await startStack({ dir, orchestrators: 0 });
  let db: pg.Client | undefined;
  try {
    db = await openDatabase(stack);
    await seedLive(db);
    const counts = await db.query<{ events: string }>('select count(*) as events from public.session_events');
    const tables = await db.query<{ relname: string }>('select relname from pg_class where reltuples >= $1', [bigRows]);
    const big = new Set(tables.rows.map(({ relname }) => relname));
    const measured: Measured[] = [];
    for (const call of await callsOf(db, startBudgetsMs)) {
      const one = await measure(db, big, call);
      measured.push(one);
      const scans = one.scans.length > 0 ? `, scans ${one.scans.join(', ')}` : '';
      const shown = [one.plainP95, one.p50, one.p95, one.serverP95].map((ms) => ms.toFixed(1).padStart(7));
      progress(`${shown.join(' ')} ms  ${call.name}${scans}`);
    }
    return figuresOf(measured, sessions, Number(counts.rows[0]?.events));
  } finally {
    await db?.end();
    await stack.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
};
