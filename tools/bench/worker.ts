import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { workerRuntime } from '@greenroom/orchestrator/fleet/machine-config.ts';
import { buildWorker } from '../../session-worker/build.ts';
import { rehearse } from '../../session-worker/rehearse.ts';
import { type Benchmark, median } from './figures.ts';

/** `bench worker`: time from spawn to listening of the bundled worker, and its resident memory at that time. */
const runs = 9;

function residentMb(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Milliseconds until a connection is accepted. */
async function untilListening(port: number, startedMs: number): Promise<number> {
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (open) return performance.now() - startedMs;
    if (performance.now() - startedMs > 10_000) throw new Error('the worker does not listen after 10 s');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

interface Boot {
  listeningMs: number;
  /** CPU time of the main thread until it listens. It depends less on other load than elapsed time does. */
  processorMs: number;
  rssMb: number;
}

const processorMs = (child: ChildProcess): number =>
  Number(readFileSync(`/proc/${child.pid}/schedstat`, 'utf8').split(' ')[0]) / 1_000_000;

async function bootOnce(file: string): Promise<Boot> {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, [file], {
    // No orchestrator answers there: the worker listens and keeps trying to claim.
    env: {
      HOST: '127.0.0.1',
      PORT: String(port),
      ORCHESTRATOR_URL: 'http://127.0.0.1:9',
      FLY_API_SOCKET: '/nonexistent',
      FLY_APP_NAME: 'bench',
      FLY_MACHINE_ID: 'bench',
      FLY_REGION: 'fra',
      LOG_LEVEL: 'warn',
      ...workerRuntime,
    },
    stdio: 'ignore',
  });
  try {
    const listeningMs = await untilListening(port, startedMs);
    return { listeningMs, processorMs: processorMs(child), rssMb: residentMb(child) };
  } finally {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

/** Time from spawn to exit of an empty Node process: the lower bound for a worker. */
async function bareNode(): Promise<number> {
  const startedMs = performance.now();
  await once(spawn(process.execPath, ['-e', ''], { stdio: 'ignore', env: {} }), 'exit');
  return performance.now() - startedMs;
}

/** Resident memory of an empty Node process. */
async function bareNodeMb(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {},
  });
  await once(child.stdout, 'data');
  const mb = residentMb(child);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  return mb;
}

export const worker: Benchmark = async (progress) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  try {
    const { file } = await buildWorker(dir);
    await rehearse(file);
    const boots: Boot[] = [];
    const bare: number[] = [];
    const bareMb: number[] = [];
    await bootOnce(file);
    for (let run = 1; run <= runs; run += 1) {
      bare.push(await bareNode());
      bareMb.push(await bareNodeMb());
      boots.push(await bootOnce(file));
      progress(
        `run ${run}/${runs}: ${boots.at(-1)?.listeningMs.toFixed(0)} ms, bare node ${bare.at(-1)?.toFixed(0)} ms`,
      );
    }
    return [
      {
        name: 'spawn to listening, p50',
        value: median(boots.map((b) => b.listeningMs)),
        unit: 'ms',
        target: 120,
        baseline: median(bare),
      },
      {
        name: 'of it on the processor, p50',
        value: median(boots.map((b) => b.processorMs)),
        unit: 'ms',
        target: null,
        baseline: null,
      },
      {
        name: 'resident memory when listening, p50',
        value: median(boots.map((b) => b.rssMb)),
        unit: 'MB',
        target: 70,
        baseline: median(bareMb),
      },
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
