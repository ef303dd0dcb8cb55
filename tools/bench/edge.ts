import net from 'node:net';
import pg from 'pg';
import type { OrchestratorProcess } from '../stack/orchestrator-process.ts';
import { startStack } from '../stack/stack.ts';
import { cpuTimes } from './allocate/cpu.ts';
import { createAllocateWorld } from './allocate/world.ts';
import { type Benchmark, percentile } from './figures.ts';

/**
 * `bench edge`: time from a candidate's upgrade request to the `fly-replay` answer, sent directly to the orchestrator. Every
 * request opens its own connection, as a browser does, and carries the join token of its session. The baseline is a server that
 * answers every upgrade with a fixed header and checks nothing.
 */
const image = `registry.fly.io/bench@sha256:${'c'.repeat(64)}`;
const sessions = 200;
const steadyMs = 10_000;
const steadyPerSecond = 200;
const floodMs = 10_000;
const floodAtOnce = 32;

interface Target {
  host: string;
  port: number;
  requests: string[];
}

/** Sends one upgrade. Resolves with the time to the first byte of the answer, ms. Rejects if the answer is not a replay. */
const upgrade = ({ host, port, requests }: Target, n: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const socket = net.connect(port, host, () => socket.write(requests[n % requests.length] as string));
    socket.setNoDelay(true);
    socket.once('data', (chunk) => {
      const tookMs = performance.now() - startedMs;
      socket.destroy();
      if (/fly-replay: /i.test(chunk.toString('latin1'))) resolve(tookMs);
      else reject(new Error(`no replay: ${chunk.toString('latin1').slice(0, 200)}`));
    });
    socket.once('error', reject);
  });

/** Requests at a steady rate: the latency that a candidate notices. */
async function steady(target: Target): Promise<number[]> {
  const took: Array<Promise<number>> = [];
  const startedMs = performance.now();
  while (performance.now() - startedMs < steadyMs) {
    const due = ((performance.now() - startedMs) / 1_000) * steadyPerSecond;
    while (took.length < due) took.push(upgrade(target, took.length));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return Promise.all(took);
}

/** As many requests as the process can handle. */
async function flood(target: Target): Promise<{ done: number; perSecond: number }> {
  let done = 0;
  const startedMs = performance.now();
  const stream = async (offset: number): Promise<void> => {
    for (let n = offset; performance.now() - startedMs < floodMs; n += floodAtOnce) {
      await upgrade(target, n);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: floodAtOnce }, (_, offset) => stream(offset)));
  return { done, perSecond: (done * 1_000) / (performance.now() - startedMs) };
}

function startBaseline(): Promise<net.Server> {
  const answer =
    'HTTP/1.1 307 Temporary Redirect\r\nfly-replay: app=x;instance=y\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end(answer));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const requestOf = (sessionId: string, token: string): string =>
  [
    `GET /ws/sessions/${sessionId} HTTP/1.1`,
    'host: 127.0.0.1',
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    `sec-websocket-protocol: greenroom.v1, greenroom.token.${token}`,
    '',
    '',
  ].join('\r\n');

export const edge: Benchmark = async (progress) => {
  const environment = {
    WORKER_IMAGE: image,
    LOG_LEVEL: 'warn',
    RECONCILE_TICK_MS: '600000',
    STANDBY_START_MS: '600000',
  };
  const stack = await startStack({ flyLatency: 'zero', flyLimits: false, environment });
  try {
    stack.cloud.fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
    const world = await createAllocateWorld(stack, image, stack.flyToken);
    await world.addMachines(sessions);
    const requests: string[] = [];
    for (let n = 0; n < sessions; n += 1) {
      const session = await world.createOne(stack.publicUrl);
      requests.push(requestOf(session.session_id, session.join_token ?? ''));
    }
    // Claim the machines as their workers would.
    const db = new pg.Client({ connectionString: stack.cloud.supabase.dbUrl });
    await db.connect();
    await db.query(`select app.claim_session(name, app_name, fly_machine_id, 'boot', 3600000, 3600000)
      from public.machines where session_id is not null`);
    await db.end();
    await world.end();
    const { dir, orchestrators } = stack;
    const { url, pid } = orchestrators[0] as OrchestratorProcess;
    const { hostname: host, port } = new URL(url);
    const target: Target = { host, port: Number(port), requests };
    await Promise.all(requests.map((_, n) => upgrade(target, n)));
    const took = await steady(target);
    progress(
      `at ${steadyPerSecond}/s: p50 ${percentile(took, 50).toFixed(2)} ms, p99 ${percentile(took, 99).toFixed(2)} ms`,
    );
    const cpuMs = () => cpuTimes(dir, pid).orchestrator;
    const beforeMs = cpuMs();
    const { done, perSecond } = await flood(target);
    const cpuEach = (cpuMs() - beforeMs) / done;
    progress(`as many as it takes: ${perSecond.toFixed(0)}/s`);
    const bare = await startBaseline();
    const plain: Target = { host: '127.0.0.1', port: (bare.address() as net.AddressInfo).port, requests };
    const bareTook = await steady(plain);
    const { perSecond: barePerSecond } = await flood(plain);
    bare.close();
    return [
      {
        name: 'upgrade to fly-replay, p50',
        value: percentile(took, 50),
        unit: 'ms',
        target: 5,
        baseline: percentile(bareTook, 50),
      },
      {
        name: 'upgrade to fly-replay, p99',
        value: percentile(took, 99),
        unit: 'ms',
        target: null,
        baseline: percentile(bareTook, 99),
      },
      {
        name: 'upgrades answered',
        value: perSecond,
        unit: '/s',
        target: 1_000,
        baseline: barePerSecond,
        atLeast: true,
      },
      // Tells what an upgrade costs on a machine that is busy with other things, too.
      { name: 'CPU time of the orchestrator per upgrade', value: cpuEach, unit: 'ms', target: null, baseline: null },
    ];
  } finally {
    await stack.stop();
  }
};
