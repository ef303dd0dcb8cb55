import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { type Stack, startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, median } from './figures.ts';
import type { TickReport } from './reconcile/tick.ts';

/**
 * `bench reconcile`: one full tick over 1,000, 10,000 and 100,000 machines that all serve a session: list every app at the Fly
 * stand-in, read every row, compare. Also the heartbeats of 10,000 workers at one orchestrator. CPU time is that of the
 * orchestrator's process. The baseline sends one GET per machine. The machines have no socket each: that many files cannot be
 * open. Making 100,000 machines takes most of the time.
 */
/** The image of the machines that `fill` makes. The stand-in must know it. */
export const servingImage = `registry.fly.io/bench@sha256:${'d'.repeat(64)}`;
const sizes = [1_000, 10_000, 100_000] as const;
const perApp = 1_000;
/** Workers whose heartbeats are measured. */
const heartbeats = 10_000;
const script = path.join(import.meta.dirname, 'reconcile/tick.ts');

const insertServing = `with given as (select * from unnest($3::uuid[], $4::text[]) as g (id, fly_id)),
  sessions as (insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, status, epoch, expires_at)
    select g.id, $1, $5, '{"name": "Bench"}', $6, 'in_progress', 1, now() + interval '1 day' from given g returning id),
  made as (insert into public.machines (id, tenant_id, session_id, app_name, region, image, state, epoch, boot_nonce, fly_machine_id,
      created_at, claimed_at, last_heartbeat_at, lease_expires_at, hard_deadline_at)
    select g.id, $1, s.id, $2, 'fra', 'x', 'claimed', 1, 'boot', g.fly_id, now(), now(), now(), now() + interval '1 day', now() + interval '1 day'
    from given g join sessions s on s.id = g.id returning id)
  select count(*) from made`;

export async function fill(stack: Stack, db: pg.Client, from: number, count: number): Promise<void> {
  const person = await db.query(
    `with c as (insert into public.candidates default values returning id)
     insert into public.tenant_candidates (tenant_id, candidate_id, name) select $1, id, 'Bench' from c returning candidate_id`,
    [stack.tenant.id],
  );
  const position = await db.query("insert into public.positions (tenant_id, title) values ($1, 'Bench') returning id", [
    stack.tenant.id,
  ]);
  const call = (method: string, at: string, body: object) =>
    fetch(`${stack.cloud.fly.apiUrl}/v1${at}`, {
      method,
      headers: { authorization: `Bearer ${stack.flyToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }).then(async (answer) => {
      if (!answer.ok) throw new Error(`${method} ${at}: HTTP ${answer.status} ${await answer.text()}`);
      return answer.json() as Promise<{ id: string }>;
    });
  const makeOne = async (app: string): Promise<[string, string]> => {
    const id = crypto.randomUUID();
    const metadata = { deployment_id: stack.deploymentId, machine_id: id };
    const config = { image: servingImage, metadata, auto_destroy: true };
    return [id, (await call('POST', `/apps/${app}/machines`, { region: 'fra', config })).id];
  };
  for (let done = from; done < from + count; done += perApp) {
    const app = `gr-bench-${done}`;
    await call('POST', '/apps', { app_name: app, org_slug: 'local', network: 'bench' });
    await db.query(
      "insert into public.tenant_apps (name, tenant_id, network, status) values ($1, $2, 'bench', 'ready')",
      [app, stack.tenant.id],
    );
    const pairs: Array<[string, string]> = [];
    const wanted = Math.min(perApp, from + count - done);
    while (pairs.length < wanted) pairs.push(...(await Promise.all(Array.from({ length: 50 }, () => makeOne(app)))));
    const ids = [pairs.map(([id]) => id), pairs.map(([, fly]) => fly)];
    await db.query(insertServing, [stack.tenant.id, app, ...ids, person.rows[0].candidate_id, position.rows[0].id]);
  }
  await db.query(`update public.interview_sessions s set machine_id = s.id
    where machine_id is null and exists (select from public.machines m where m.id = s.id)`);
  await db.query('vacuum analyze');
}

export async function measure(stack: Stack, heartbeats: boolean): Promise<TickReport> {
  const child = spawn(process.execPath, ['--expose-gc', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', ...stack.environment, BENCH_HEARTBEATS: String(heartbeats) },
  });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as TickReport;
}

export const reconcile: Benchmark = async (progress) => {
  const stack = await startStack({
    orchestrators: 0,
    flyLatency: 'zero',
    flyLimits: false,
    environment: { LOG_LEVEL: 'error' },
  });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.dbUrl });
  try {
    stack.cloud.fly.registerImage(servingImage, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
    await db.connect();
    const reports: TickReport[] = [];
    let have = 0;
    for (const size of sizes) {
      // The heartbeats of the size before gave its machines leases of seconds, which would have been probed by now.
      await db.query("update public.machines set lease_expires_at = now() + interval '1 day'");
      await fill(stack, db, have, size - have);
      have = size;
      const report = await measure(stack, size === heartbeats);
      progress(
        `${size} machines: ${median(report.cpuMs).toFixed(0)} ms of CPU, ${median(report.wallMs).toFixed(0)} ms a tick`,
      );
      reports.push(report);
    }
    return figuresOf(reports as [TickReport, TickReport, TickReport]);
  } finally {
    await db.end().catch(() => undefined);
    await stack.stop();
  }
};

function figuresOf([small, large, huge]: [TickReport, TickReport, TickReport]): Figure[] {
  const beats = large.heartbeats as NonNullable<TickReport['heartbeats']>;
  const [before, after] = large.heapMb;
  const growth = median(large.cpuMs) / median(small.cpuMs);
  return [
    {
      name: 'CPU of a tick over 1,000',
      value: median(small.cpuMs),
      unit: 'ms',
      target: null,
      baseline: small.plainCpuMsPerMachine * 1_000,
    },
    {
      name: 'CPU of a tick over 10,000',
      value: median(large.cpuMs),
      unit: 'ms',
      target: 1_000,
      baseline: large.plainCpuMsPerMachine * 10_000,
    },
    { name: 'growth of CPU from 1,000 to 10,000', value: growth, unit: '×', target: 10.5, baseline: 10 },
    { name: 'CPU of a tick over 100,000', value: median(huge.cpuMs), unit: 'ms', target: 3_000, baseline: null },
    {
      name: 'growth of CPU from 10,000 to 100,000',
      value: median(huge.cpuMs) / median(large.cpuMs),
      unit: '×',
      target: 10.5,
      baseline: 10,
    },
    {
      name: 'heap after six ticks over 10,000, beside before',
      value: after - before,
      unit: 'MB',
      target: 5,
      baseline: null,
    },
    {
      name: 'acts where nothing differs',
      value: small.acts + large.acts + huge.acts,
      unit: '',
      target: 0,
      baseline: null,
    },
    { name: 'heartbeats taken', value: beats.perSecond, unit: '/s', target: 1_990, baseline: null, atLeast: true },
    { name: 'rpcs for them', value: beats.rpcPerSecond, unit: '/s', target: 2, baseline: beats.perSecond },
    { name: 'CPU for them', value: beats.cpuMsPerSecond, unit: 'ms/s', target: null, baseline: null },
    { name: 'slowest heartbeat', value: beats.slowestMs, unit: 'ms', target: null, baseline: null },
  ];
}
