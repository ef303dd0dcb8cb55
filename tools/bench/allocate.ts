import path from 'node:path';
import { startStack } from '../stack/stack.ts';
import { type CpuTimes, cpuTimes } from './allocate/cpu.ts';
import type { LoadReport } from './allocate/load.ts';
import { type AllocateWorld, createAllocateWorld } from './allocate/world.ts';
import type { Benchmark, Figure } from './figures.ts';

/**
 * `bench allocate`: sessions accepted per second. Each is an authenticated POST that is counted against the tenant's quota,
 * gets a standby machine, is committed and answered with 201. Postgres, PostgREST, the orchestrator and the load generator are
 * separate processes on the same cores. Candidate and position are given by id; the log level is `warn`.
 *
 * It runs twice: with the start of each machine at a stand-in without latency, and without requests to Fly.
 * The baseline is the same orchestrator with one rpc per session instead of one per batch.
 */
const server = path.join(import.meta.dirname, 'allocate/server.ts');
const image = `registry.fly.io/bench@sha256:${'b'.repeat(64)}`;
const measureMs = 30_000;
const baselineMs = 6_000;
const startMs = 15_000;
const warmUpMs = 3_000;

type Measured = LoadReport & { cpu: CpuTimes };

const perSession = (before: CpuTimes, after: CpuTimes, sessions: number): CpuTimes => {
  const of = (part: keyof CpuTimes) => Number(((after[part] - before[part]) / sessions).toFixed(3));
  return { orchestrator: of('orchestrator'), postgrest: of('postgrest'), postgres: of('postgres') };
};

const show = (what: string, { perSecond, p50Ms, p99Ms, errors, sample }: LoadReport): string =>
  `${what}: ${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, errors ${JSON.stringify(errors)}${sample === null ? '' : ` ${sample}`}`;
const errorsOf = (report: LoadReport): number => Object.values(report.errors).reduce((sum, count) => sum + count, 0);

export const allocate: Benchmark = async (progress) => {
  const stack = await startStack({
    orchestrators: 0,
    flyLatency: 'zero',
    flyLimits: false,
    environment: {
      WORKER_IMAGE: image,
      LOG_LEVEL: 'warn',
      API_CALLER_PER_MINUTE: '10000000',
      API_TENANT_PER_MINUTE: '10000000',
      // No machine is claimed in this benchmark: do not treat that as a failure.
      CREATE_MS: '600000',
      STANDBY_START_MS: '600000',
      // `bench reconcile` measures the comparison with Fly.
      RECONCILE_TICK_MS: '600000',
    },
  });
  let world: AllocateWorld | undefined;
  try {
    stack.cloud.fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
    world = await createAllocateWorld(stack, image, stack.flyToken);
    const run = async (what: string, environment: Record<string, string>, forMs: number, script?: string) => {
      const here = world as AllocateWorld;
      const orchestrator = await stack.addOrchestrator(environment, script);
      const before = { cpu: cpuTimes(stack.dir, orchestrator.pid), ...(await here.assigned()) };
      const report = await here.load(orchestrator.url, { concurrency: 96, warmUpMs, measureMs: forMs });
      const after = { cpu: cpuTimes(stack.dir, orchestrator.pid), ...(await here.assigned()) };
      const cpu = perSession(before.cpu, after.cpu, after.assigned - before.assigned);
      progress(`${show(what, report)}; CPU a session ${JSON.stringify(cpu)}; ${after.left} machines left`);
      await orchestrator.stop();
      stack.orchestrators.splice(0);
      return { ...report, cpu };
    };
    // This part comes first, while every machine row has a machine at Fly: otherwise reconciling would search for the others.
    await world.addMachines(26_000);
    const started = await run('accepting and starting', {}, startMs);
    await world.addRows(100_000);
    const single = await run('one rpc each', { BENCH_MODE: 'one-by-one' }, baselineMs, server);
    const accept = await run('accepting', { BENCH_MODE: 'accept' }, measureMs, server);
    return figuresOf(single, accept, started);
  } finally {
    await world?.end();
    await stack.stop();
  }
};

const figuresOf = (single: Measured, accept: Measured, started: Measured): Figure[] => [
  {
    name: 'accepted, sustained 30 s',
    value: accept.perSecond,
    unit: '/s',
    target: 1_000,
    baseline: single.perSecond,
    atLeast: true,
  },
  { name: 'accepted, p50', value: accept.p50Ms, unit: 'ms', target: null, baseline: single.p50Ms },
  { name: 'accepted, p99', value: accept.p99Ms, unit: 'ms', target: 250, baseline: single.p99Ms },
  { name: 'errors', value: errorsOf(accept) + errorsOf(started), unit: '', target: 0, baseline: errorsOf(single) },
  {
    name: 'accepted with the start at Fly',
    value: started.perSecond,
    unit: '/s',
    target: 500,
    baseline: null,
    atLeast: true,
  },
  { name: 'accepted with the start at Fly, p99', value: started.p99Ms, unit: 'ms', target: null, baseline: null },
  ...(['orchestrator', 'postgrest', 'postgres'] as const).map((part) => ({
    name: `CPU a session, ${part}`,
    value: accept.cpu[part],
    unit: 'ms',
    target: null,
    baseline: single.cpu[part],
  })),
];
