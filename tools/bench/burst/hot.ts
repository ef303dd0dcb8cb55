import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { WebSocket } from 'ws';
import { createPlatform } from '../../demo/platform.ts';
import type { SeededTenant } from '../../stack/seed.ts';
import { type Figure, percentile } from '../figures.ts';
import { type Bench, bodyOf, onStack, readyAt, spread, withPool } from './fleet.ts';

/**
 * Hot machines with real worker processes: the time until the answer that says `ready`, and until the candidate's socket is
 * open; one session after the other, and many at once; and what it costs when the machine dies right after the answer.
 * The standby path is measured in the same run.
 */
/** Hot machines: so many pools, one after the other, since the workers of one pool need 5 GB. */
const pools = 5;
const atOnce = 100;
/** Standby machines, for comparison. */
const standbyRuns = 30;
/** So many sessions are ended together, between two measurements. */
const group = 10;
/** The first sessions of a pool warm the processes up and are not counted. */
const warmUp = 2;
/** Sessions that are accepted before a crowd is measured. */
const warmUps = 200;
const kills = 10;

interface Timed {
  session: SessionView;
  answeredMs: number;
  /** By the database's clock, which is that of this machine. */
  readyMs: number;
  openMs: number;
}

/**
 * Opens the candidate's socket, with as many tries as that takes. A refusal opens the socket too and closes it at once, so only
 * the worker's first message shows that it was open at a worker.
 * @returns the socket, and when it was open
 */
async function open({ websocket_url, join_token }: SessionView): Promise<{ socket: WebSocket; openAtMs: number }> {
  for (const untilMs = performance.now() + 60_000; performance.now() < untilMs; ) {
    const socket = new WebSocket(websocket_url, ['greenroom.v1', `greenroom.token.${join_token}`]);
    socket.on('error', () => undefined);
    let openAtMs = 0;
    const ready = new Promise<boolean>((resolve) => {
      socket.once('open', () => {
        openAtMs = performance.now();
        socket.send('{"type":"init_session"}');
      });
      socket.once('message', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
    if (await ready) return { socket, openAtMs };
    await sleep(50);
  }
  throw new Error('no socket was opened within a minute');
}

/** Ends the sessions, so that their workers do not use the processor any more. */
async function end({ stack, db }: Bench, tenant: SeededTenant, sessions: SessionView[]): Promise<void> {
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const ids = sessions.map(({ session_id }) => session_id);
  await Promise.all(ids.map((id) => platform.deleteSession(id)));
  for (;;) {
    const { rows } = await db.query(
      "select 1 from public.machines where session_id = any ($1) and state <> 'destroyed' limit 1",
      [ids],
    );
    if (rows.length === 0) return;
    await sleep(100);
  }
}

async function timed(bench: Bench, tenant: SeededTenant, strike?: (session: SessionView) => void): Promise<Timed> {
  const platform = createPlatform(bench.stack.publicUrl, tenant.apiKey);
  const startedAtMs = Date.now();
  const startedMs = performance.now();
  const session = await platform.createSession(bodyOf());
  const answeredMs = performance.now() - startedMs;
  strike?.(session);
  const { socket, openAtMs } = await open(session);
  const openMs = openAtMs - startedMs;
  socket.terminate();
  await once(socket, 'close');
  const readyMs = spread(await readyAt(bench, [session], 10_000), startedAtMs);
  return { session, answeredMs, readyMs, openMs };
}

/** Sessions one after the other, all of them on machines of one pool. */
async function inTurn(bench: Bench, slug: string, count: number, hot: boolean): Promise<Timed[]> {
  const machines = count + warmUp;
  const tenant = await withPool(bench, slug, hot ? 0 : machines, hot ? machines : 0);
  const runs: Timed[] = [];
  for (let done = 0; done < machines; done += group) {
    for (let n = done; n < Math.min(done + group, machines); n += 1) runs.push(await timed(bench, tenant));
    await end(
      bench,
      tenant,
      runs.slice(done).map(({ session }) => session),
    );
  }
  await bench.db.query(
    'update public.pool_policies set floor = 0, ceiling = 0, hot_floor = 0, hot_ceiling = 0 where tenant_id = $1',
    [tenant.id],
  );
  bench.progress(`${count} sessions in turn on ${hot ? 'hot' : 'standby'} machines`);
  return runs.slice(warmUp);
}

async function one(bench: Bench): Promise<Figure[]> {
  const fast: Timed[] = [];
  for (let pool = 1; pool <= pools; pool += 1) fast.push(...(await inTurn(bench, `hot-${pool}`, atOnce, true)));
  const slow = await inTurn(bench, 'standby-one', standbyRuns, false);
  const unready = fast.filter(({ session }) => session.status !== 'ready').length;
  if (unready > 0) throw new Error(`${unready} of ${fast.length} sessions were not ready in their answer`);
  const figure = (what: 'answeredMs' | 'openMs', p: number, target: number | null): Figure => ({
    name: `hot: POST to ${what === 'openMs' ? 'open socket' : 'answer that says ready'}, p${p}`,
    value: percentile(
      fast.map((run) => run[what]),
      p,
    ),
    ...{
      unit: 'ms',
      target,
      baseline: percentile(
        slow.map((run) => (what === 'openMs' ? run.openMs : run.readyMs)),
        p,
      ),
    },
  });
  return [
    figure('answeredMs', 50, 25),
    figure('answeredMs', 99, 60),
    figure('openMs', 50, null),
    figure('openMs', 99, null),
  ];
}

/** Memory of the processes whose command line names this stack's worker: proportional share, so that common pages count once. */
function workersMemory(dir: string, pids: readonly number[]): number {
  const kb = pids.map((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir)) return 0;
      return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      return 0; // It has ended.
    }
  });
  return kb.reduce((sum, one) => sum + one, 0) / 1_024;
}

/** Time on the processor of these processes' main threads, ms. */
const processorMs = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1_000_000;
    } catch {
      return sum; // It has ended.
    }
  }, 0);

/** Waits until the workers have booted and practised: until none of them uses more than 1 ms of processor time in a second. */
async function untilIdle(pids: readonly number[]): Promise<void> {
  for (let before = 0; ; ) {
    const now = processorMs(pids);
    if (now - before < pids.length) return;
    before = now;
    await sleep(1_000);
  }
}

/** Accepts sessions that start later, so that the orchestrator, PostgREST and Postgres are as warm as they are in use. */
async function accepted(bench: Bench, count: number): Promise<void> {
  const tenant = await bench.stack.addTenant('later', 'later');
  const platform = createPlatform(bench.stack.publicUrl, tenant.apiKey);
  const scheduled_at = new Date(Date.now() + 86_400_000).toISOString();
  for (let n = 0; n < count; n += group)
    await Promise.all(Array.from({ length: group }, () => platform.createSession(bodyOf({ scheduled_at }))));
}

async function crowd(bench: Bench): Promise<Figure[]> {
  const tenant = await withPool(bench, 'hot-crowd', 0, atOnce);
  const platform = createPlatform(bench.stack.publicUrl, tenant.apiKey);
  const pids = bench.stack.cloud.fly.machines().flatMap(({ pid }) => pid ?? []);
  await untilIdle(pids);
  const memory = workersMemory(bench.stack.dir, pids);
  // A VM has its own processor: here the workers must not take that of the orchestrator and of Postgres. At a higher priority than
  // the lowest, a hundred of them together would still get most of it.
  for (const pid of pids) setPriority(pid, 19);
  await accepted(bench, warmUps);
  const startedMs = performance.now();
  const results = await Promise.all(
    Array.from({ length: atOnce }, async () => {
      const session = await platform.createSession(bodyOf());
      const answeredMs = performance.now() - startedMs;
      const { socket, openAtMs } = await open(session);
      return { session, socket, answeredMs, openMs: openAtMs - startedMs };
    }),
  );
  for (const { socket } of results) socket.terminate();
  const unready = results.filter(({ session }) => session.status !== 'ready').length;
  const ids = results.map(({ session }) => session.session_id);
  const { rows } = await bench.db.query(
    'select count(*)::int as n from public.interview_sessions where id = any ($1) and epoch > 1',
    [ids],
  );
  bench.progress(`${atOnce} at once on hot machines: ${unready} not ready in the answer, ${rows[0].n} replaced`);
  const most = (what: 'answeredMs' | 'openMs') => Math.max(...results.map((result) => result[what]));
  return [
    {
      name: `${atOnce} at once on hot machines, all answered`,
      value: most('answeredMs'),
      unit: 'ms',
      target: 300,
      baseline: null,
    },
    {
      name: `${atOnce} at once on hot machines, all sockets open`,
      value: most('openMs'),
      unit: 'ms',
      target: 1_500,
      baseline: null,
    },
    {
      name: `${atOnce} at once on hot machines, ready in the answer`,
      value: atOnce - unready,
      unit: '',
      target: atOnce,
      baseline: null,
      atLeast: true,
    },
    { name: `memory of ${atOnce} hot workers`, value: memory, unit: 'MB', target: null, baseline: null },
  ];
}

/** A hot machine dies right after the answer: with an exit event from Fly, and without. */
async function lost(bench: Bench): Promise<Figure[]> {
  const { fly } = bench.stack.cloud;
  const figures: Figure[] = [];
  for (const [how, strike] of [
    ['killed', (id: string) => fly.killMachineProcess(id)],
    ['killed without an event', (id: string) => fly.loseHost(id)],
  ] as const) {
    const tenant = await withPool(bench, `lost-${figures.length}`, kills + 1, kills);
    const opens: number[] = [];
    let wrong = 0;
    for (let run = 0; run < kills; run += 1) {
      const { session, openMs } = await timed(bench, tenant, ({ fly_machine_id }) => strike(fly_machine_id as string));
      opens.push(openMs);
      fly.restoreHost(session.fly_machine_id as string); // Until then Fly cannot destroy the machine.
      const { epoch } = await createPlatform(bench.stack.publicUrl, tenant.apiKey).getSession(session.session_id);
      if (epoch !== 2) wrong += 1;
      await end(bench, tenant, [session]);
    }
    bench.progress(`hot machine ${how} after the answer: ${wrong} of ${kills} not at epoch 2`);
    figures.push({
      name: `hot machine ${how} after the answer, socket open elsewhere, p95`,
      value: percentile(opens, 95),
      ...{ unit: 'ms', target: 3_000, baseline: null },
    });
  }
  return figures;
}

/** For `bench start`. */
export const hotInTurn = (progress: (line: string) => void): Promise<Figure[]> =>
  onStack({}, progress, async (bench) => [...(await one(bench)), ...(await lost(bench))]);

/** For `bench burst`. */
export const hotAtOnce = (progress: (line: string) => void): Promise<Figure[]> => onStack({}, progress, crowd);
