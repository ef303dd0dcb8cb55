import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type pg from 'pg';
import { type CandidateInterview, startCandidate } from '../demo/interview.ts';
import { createPlatform, type Platform } from '../demo/platform.ts';
import type { SeededTenant } from '../stack/seed.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { until } from './wait.ts';

/**
 * A busy fleet on the local cloud, for the metrics: two orchestrators, two tenants, every way to start, interviews that run, ended
 * ones with results and webhooks, a lost worker, refusals by Fly, and three faults that must raise an alert.
 */
export interface BusyFleet {
  stack: Stack;
  /** Host and port of each orchestrator's `/metrics`. */
  targets: string[];
  /** Does everything that happens in this fleet. Begin it once the scrapers run, so that they see counters grow. */
  work(say: (line: string) => void): Promise<void>;
  /** Makes what the alerts EntriesLost, OrphanMachine and WorkDead are about. */
  breakIt(): Promise<void>;
  stop(): Promise<void>;
}

const environment = {
  LOG_LEVEL: 'error',
  POOL_TICK_MS: '500',
  RECONCILE_TICK_MS: '1000',
  SCHEDULE_LEAD_MS: '1500',
  ABSENCE_GRACE_MS: '400',
  LEASE_MS: '5000',
  HEARTBEAT_MS: '1000',
};

const body = {
  candidate: { name: 'Ada Lovelace', email: 'ada@example.com' },
  position: { title: 'Backend engineer' },
  region: 'fra',
};

interface Interview extends CandidateInterview {
  session: SessionView;
  platform: Platform;
  /** Number of finished sentences that the candidate saw. */
  said(): number;
}

/** Creates a session and lets its candidate join as soon as it may. */
async function interview(stack: Stack, tenant: SeededTenant, extra: Record<string, unknown> = {}): Promise<Interview> {
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const created = await platform.createSession({ ...body, ...extra });
  const session = await platform.waitFor(created.session_id, ({ join_token }) => join_token !== null, 60_000);
  let said = 0;
  const candidate = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token as string,
    onStep: (step) => {
      if (step === 'said') said += 1;
    },
  });
  return { ...candidate, session, platform, said: () => said };
}

/** An endpoint for webhooks that accepts everything but every fifth delivery. */
async function startWebhook(stack: Stack): Promise<() => void> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    request.resume().on('end', () => response.writeHead(requests % 5 === 0 ? 503 : 204).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const answer = await fetch(`${stack.publicUrl}/api/webhooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url }),
  });
  if (!answer.ok) throw new Error(`POST /api/webhooks: ${answer.status} ${await answer.text()}`);
  return () => {
    server.closeAllConnections();
    server.close();
  };
}

const workerOf = (stack: Stack, { session }: Interview) =>
  stack.cloud.fly
    .machines()
    .find(({ metadata, state }) => metadata.session_id === session.session_id && state === 'started');

/** Runs interviews on every path; the ones it returns are still running. */
async function runInterviews(stack: Stack, pooled: SeededTenant, say: (line: string) => void): Promise<Interview[]> {
  const { fly, voice } = stack.cloud;
  say('interviews on every path: cold, from a pool, scheduled, queued');
  voice.faults.add({ on: 'realtime.client_secrets', action: { kind: 'status', status: 503 } });
  fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'no_host' }, times: 2 });
  fly.faults.add({ on: 'machines.list', action: { kind: 'status', status: 500 } });
  const running = await Promise.all([
    interview(stack, stack.tenant),
    interview(stack, stack.tenant, { region: 'iad' }),
    interview(stack, stack.tenant, { scheduled_at: new Date(Date.now() + 5_000).toISOString() }),
    // The pool has one machine: one of the two finds it, the other one does not.
    interview(stack, pooled, { admission: 'queue' }),
    interview(stack, pooled, { admission: 'queue' }),
  ]);
  await until('every candidate was answered', () => running.every(({ said }) => said() >= 4));
  return running;
}

/** One worker is killed; its session continues on another machine. */
async function loseWorker(stack: Stack, victim: Interview, say: (line: string) => void): Promise<void> {
  say('a worker is killed and replaced');
  const lost = workerOf(stack, victim);
  if (!lost) throw new Error('the session has no running worker');
  stack.cloud.fly.killMachineProcess(lost.id, 'SIGKILL');
  await until('another machine has the session', () => {
    const now = workerOf(stack, victim);
    return now !== undefined && now.id !== lost.id;
  });
  const before = victim.said();
  await until('the interview goes on', () => victim.said() > before);
}

/** Ends interviews and waits for their results. */
async function finish(ending: Interview[], say: (line: string) => void): Promise<void> {
  say('interviews end and get their results');
  for (const { platform, session, ended } of ending) {
    await platform.deleteSession(session.session_id);
    await ended;
    await platform.result(session.session_id, 120_000);
  }
}

/** The worker acknowledged an entry that is not stored when its interview ends. */
async function loseEntry(db: pg.Pool, { session, platform, ended }: Interview): Promise<void> {
  await until('the worker reported what it acknowledged', async () => {
    const { rows } = await db.query<{ count: number | null }>(
      "select (counts ->> 'entries_acknowledged')::int as count from public.machines where session_id = $1",
      [session.session_id],
    );
    return rows.some(({ count }) => (count ?? 0) >= 2);
  });
  await db.query('delete from public.transcript_entries where session_id = $1', [session.session_id]);
  await platform.deleteSession(session.session_id);
  await ended;
}

/** Fly destroys nothing any more, and a machine is past its hard deadline. */
async function keepMachine(stack: Stack, db: pg.Pool, { session }: Interview): Promise<void> {
  stack.cloud.fly.faults.add({ on: 'machines.destroy', action: { kind: 'status', status: 500 }, times: Infinity });
  await db.query(
    "update public.machines set hard_deadline_at = now() - interval '1 hour' where session_id = $1 and state = 'claimed'",
    [session.session_id],
  );
}

export async function startFleet(): Promise<BusyFleet> {
  const stack = await startStack({ voice: { turns: 5_000, paceMs: 80 }, orchestrators: 0, environment });
  const targets: string[] = [];
  for (const _ of [1, 2]) {
    const port = await freePort();
    await stack.addOrchestrator({ OPS_PORT: String(port) });
    targets.push(`127.0.0.1:${port}`);
  }
  const db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
  const pooled = await stack.addTenant('pooled', 'Pooled');
  await db.query("insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'fra', 1, 1)", [
    pooled.id,
  ]);
  const stopWebhook = await startWebhook(stack);
  let running: Interview[] = [];
  return {
    stack,
    targets,
    work: async (say) => {
      await until('the pool is full', async () => {
        const { rows } = await db.query("select 1 from public.machines where tenant_id = $1 and state = 'created'", [
          pooled.id,
        ]);
        return rows.length > 0;
      });
      running = await runInterviews(stack, pooled, say);
      await loseWorker(stack, running[0] as Interview, say);
      await finish(running.splice(1, 2), say);
    },
    breakIt: async () => {
      const [, lossy, kept] = running as [Interview, Interview, Interview];
      for (const { platform, session } of [lossy, kept]) {
        const { status } = await platform.getSession(session.session_id);
        if (status !== 'in_progress') throw new Error(`an interview must run when its fault is made, and is ${status}`);
      }
      await loseEntry(db, lossy);
      await db.query("update public.interview_results set status = 'dead', failure = 'internal_error'");
      await keepMachine(stack, db, kept);
    },
    stop: async () => {
      for (const { client } of running) client.leave();
      stopWebhook();
      stack.cloud.fly.faults.clear();
      await db.end();
      await stack.stop();
    },
  };
}
