import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import pg from 'pg';
import { createPlatform } from '../../demo/platform.ts';
import type { SeededTenant } from '../../stack/seed.ts';
import { type Stack, startStack } from '../../stack/stack.ts';
import { lightWorker } from './light-worker.ts';

/** Shared by the benchmarks `start` and `burst`: posts sessions, creates standby machines, waits until sessions are ready. */
export const image = `registry.fly.io/bench@sha256:${'e'.repeat(64)}`;

export interface Bench {
  stack: Stack;
  db: pg.Client;
  progress: (line: string) => void;
}

export const bodyOf = (extra: object = {}) => ({
  candidate: { name: 'Bench' },
  position: { title: 'Bench' },
  region: 'fra',
  ...extra,
});

export async function post({ stack }: Bench, tenant: SeededTenant, count: number, extra: object = {}) {
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const startedAtMs = Date.now();
  const sessions = await Promise.all(Array.from({ length: count }, () => platform.createSession(bodyOf(extra))));
  return { startedAtMs, sessions };
}

/** The time at which each session became ready, by the database's clock (the same machine). */
export async function readyAt({ db }: Bench, sessions: SessionView[], limitMs: number): Promise<number[]> {
  const ids = sessions.map((session) => session.session_id);
  for (const untilMs = performance.now() + limitMs; ; await sleep(100)) {
    const { rows } = await db.query(
      'select ready_at, status, reason from public.interview_sessions where id = any ($1) and (ready_at is not null or state_rank >= 90)',
      [ids],
    );
    const failed = rows.find((row) => row.ready_at === null);
    if (failed) throw new Error(`a session ${failed.status}: ${failed.reason}`);
    if (rows.length === ids.length) return rows.map((row) => (row.ready_at as Date).getTime());
    if (performance.now() > untilMs) throw new Error(`${rows.length} of ${ids.length} were ready after ${limitMs} ms`);
  }
}

/** Creates standby and hot machines while Fly's limits are off, because their creation is not measured. */
export async function withPool(bench: Bench, slug: string, count: number, hot = 0): Promise<SeededTenant> {
  const tenant = await bench.stack.addTenant(slug, slug);
  const { db, stack } = bench;
  await db.query('update public.tenant_apps set creates_per_second = 1000 where name = $1', [tenant.appName]);
  stack.cloud.fly.setLimits(false);
  await db.query('update public.tenants set max_live_sessions = 1000 where id = $1', [tenant.id]);
  await db.query(
    `insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
     values ($1, 'fra', $2, $2, $3, $3)`,
    [tenant.id, count, hot],
  );
  const ready = async () =>
    (
      await db.query(
        `select count(*)::int as n from public.machines where tenant_id = $1 and session_id is null
           and (state = 'created' and not hot or state = 'started')`,
        [tenant.id],
      )
    ).rows[0].n;
  while ((await ready()) < count + hot) await sleep(200);
  await sleep(4_000); // unpacked at Fly
  stack.cloud.fly.setLimits(true);
  await db.query('update public.tenant_apps set creates_per_second = 1, next_create_at = now() where name = $1', [
    tenant.appName,
  ]);
  return tenant;
}

/** Time until the last session is ready, ms. */
export const spread = (readyMs: number[], fromMs: number): number => Math.max(...readyMs) - fromMs;

/** A Fly stand-in with the documented latencies and limits. */
export async function onStack<T>(
  environment: Record<string, string>,
  progress: Bench['progress'],
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const stack = await startStack({ flyLatency: 'documented', environment: { LOG_LEVEL: 'warn', ...environment } });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.dbUrl });
  try {
    await db.connect();
    stack.cloud.fly.registerImage(image, { inProcess: lightWorker });
    return await work({ stack, db, progress });
  } finally {
    await db.end().catch(() => undefined);
    await stack.stop();
  }
}
