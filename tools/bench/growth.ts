import { rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createPlatform } from '../demo/platform.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { createAllocateWorld } from './allocate/world.ts';
import { upgrade } from './distance.ts';
import { type Benchmark, type Figure, median } from './figures.ts';
import { copyOf } from './growth/folder.ts';
import { fill, measure, servingImage } from './reconcile.ts';

/**
 * `bench growth`: what three months of work leave behind must not slow the next day. The hot paths on a database with ended
 * sessions beside an empty one, by turns, so that whatever else the machine does concerns both. `--rows 1` loads 1,000,000 ended
 * sessions and machines, 10,000,000 events and 9,600,000 transcript entries; the default is a tenth.
 *
 * Both sides have 200 tenants with an app each. The folder contains only rows of the database, so each run makes the 200 apps at
 * the Fly stand-in. A reconcile tick lists all of them on both sides: only the number of ended rows differs.
 *
 * The rows are loaded once (growth/folder.ts).
 */
const image = `registry.fly.io/bench@sha256:${'9'.repeat(64)}`;
const allSessions = 1_000_000;
const rounds = 80;
const serving = 500;
const most = 1.15;
/** md5 of `session 0` as a uuid: the session whose 600 entries are read. */
const longest = "md5('session 0')::uuid";
/** Tables that grow with the number of sessions. */
const growing = `'interview_sessions', 'machines', 'session_events', 'transcript_entries', 'realtime_calls', 'session_phases',
  'machine_usage', 'webhook_deliveries', 'idempotency_keys', 'audit_log'`;

interface Side {
  stack: Stack;
  db: pg.Client;
  world: Awaited<ReturnType<typeof createAllocateWorld>>;
  took: Record<'allocate' | 'edge' | 'list' | 'transcript', number[]>;
  tickMs: number[];
}

async function open(sessions: number, progress: (line: string) => void): Promise<Side & { stop(): Promise<void> }> {
  const dir = await copyOf(sessions, progress);
  const stack = await startStack({
    ...{ dir, flyLatency: 'zero', flyLimits: false },
    environment: {
      WORKER_IMAGE: image,
      LOG_LEVEL: 'warn',
      CREATE_MS: '600000',
      STANDBY_START_MS: '600000',
      CLAIM_MS: '600000',
    },
  });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  await db.connect();
  for (const one of [image, servingImage])
    stack.cloud.fly.registerImage(one, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
  await makeApps(stack, db);
  const world = await createAllocateWorld(stack, image, stack.flyToken);
  await world.addMachines(rounds + 20);
  const stop = async () => {
    await world.end();
    await db.end();
    await stack.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  const took = { allocate: [], edge: [], list: [], transcript: [] };
  return { stack, db, world, took, tickMs: [], stop };
}

/** Makes the apps of the loaded tenants at the stand-in. */
async function makeApps({ cloud, flyToken }: Stack, db: pg.Client): Promise<void> {
  const { rows } = await db.query<{ name: string }>("select name from public.tenant_apps where network = 'net'");
  for (const { name } of rows) {
    const answer = await fetch(`${cloud.fly.apiUrl}/v1/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${flyToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ app_name: name, org_slug: 'local', network: 'net' }),
    });
    if (!answer.ok) throw new Error(`the app ${name}: HTTP ${answer.status} ${await answer.text()}`);
  }
}

async function timed(into: number[], work: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  await work();
  into.push(performance.now() - startedMs);
}

async function round({ stack, db, world, took }: Side, longestId: string): Promise<void> {
  const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
  let created: Awaited<ReturnType<typeof world.createOne>> | undefined;
  await timed(took.allocate, async () => {
    created = await world.createOne(stack.publicUrl);
  });
  const { session_id, join_token } = created as NonNullable<typeof created>;
  await db.query(
    `select app.claim_session(name, app_name, coalesce(fly_machine_id, 'none'), 'boot', 3600000, 3600000)
     from public.machines where session_id = $1`,
    [session_id],
  );
  await timed(took.edge, () => upgrade(stack.publicUrl, session_id, join_token ?? ''));
  await timed(took.list, async () => {
    const authorization = `Bearer ${stack.tenant.apiKey}`;
    const answer = await fetch(`${stack.publicUrl}/api/sessions?limit=20`, { headers: { authorization } });
    if (!answer.ok) throw new Error(`the list: HTTP ${answer.status}`);
    await answer.arrayBuffer();
  });
  await timed(took.transcript, () => platform.transcript(longestId));
}

/** Sequential scans of each growing table since the start of the server. */
async function scans({ db }: Side): Promise<Map<string, number>> {
  const { rows } = await db.query<{ relname: string; seq_scan: string }>(
    `select relname, seq_scan from pg_stat_user_tables where schemaname = 'public' and relname in (${growing})`,
  );
  return new Map(rows.map(({ relname, seq_scan }) => [relname, Number(seq_scan)]));
}

export const growth: Benchmark = async (progress, { rows }) => {
  const loadBefore = loadavg()[0] ?? 0;
  const sessions = Math.max(1_000, Math.round(allSessions * rows));
  const empty = await open(1, progress);
  try {
    const full = await open(sessions, progress);
    try {
      return await compare(empty, full, sessions, loadBefore, progress);
    } finally {
      await full.stop();
    }
  } finally {
    await empty.stop();
  }
};

async function compare(
  empty: Side,
  full: Side,
  sessions: number,
  loadBefore: number,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const { rows } = await full.db.query<{ id: string; size: string }>(
    `select ${longest} as id, pg_size_pretty(pg_database_size(current_database())) as size`,
  );
  const { id, size } = rows[0] as (typeof rows)[0];
  progress(`${sessions} ended sessions, ${size}`);
  for (const side of [empty, full]) for (let n = 0; n < 10; n += 1) await round(side, id);
  for (const side of [empty, full]) for (const one of Object.values(side.took)) one.length = 0;
  const before = await scans(full);
  for (let n = 0; n < rounds; n += 1)
    for (const side of n % 2 === 0 ? [empty, full] : [full, empty]) await round(side, id);
  await sleep(2_000); // Backends report their counts after a second.
  const after = await scans(full);
  const scanned = [...after].map(([table, count]): [string, number] => [table, count - (before.get(table) ?? 0)]);
  for (const [table, count] of scanned) if (count > 0) progress(`${count} sequential scans of ${table}`);
  for (const side of [empty, full]) {
    // It would take the slots in which Fly's limits allow the measured process to list.
    await Promise.all(side.stack.orchestrators.splice(0).map((orchestrator) => orchestrator.stop()));
    await fill(side.stack, side.db, 0, serving);
    const report = await measure(side.stack, false);
    // A list that fails counts as an act too.
    if (report.acts > 0) throw new Error(`a tick would have acted, or could not list an app, ${report.acts} times`);
    side.tickMs.push(...report.wallMs);
  }
  const figure = (name: string, values: number[], baseline: number[]): Figure[] => [
    { name: `${name}, p50`, value: median(values), unit: 'ms', target: null, baseline: median(baseline) },
    {
      name: `${name}, beside an empty database`,
      value: median(values) / median(baseline),
      unit: '×',
      target: most,
      baseline: 1,
    },
  ];
  return [
    { name: 'ended sessions', value: sessions, unit: '', target: null, baseline: 1 },
    ...figure('allocate: POST to answer', full.took.allocate, empty.took.allocate),
    ...figure('edge: upgrade to fly-replay', full.took.edge, empty.took.edge),
    ...figure("the platform's list of 20", full.took.list, empty.took.list),
    ...figure('a transcript of 600 entries', full.took.transcript, empty.took.transcript),
    ...figure(`reconcile tick over ${serving} machines`, full.tickMs, empty.tickMs),
    {
      name: 'sequential scans of tables that grow, with all regular jobs',
      value: scanned.reduce((sum, [, count]) => sum + count, 0),
      unit: '',
      target: 0,
      baseline: null,
    },
    { name: 'load of the machine before', value: loadBefore, unit: '', target: null, baseline: null },
    { name: 'load of the machine after', value: loadavg()[0] ?? 0, unit: '', target: null, baseline: null },
  ];
}
