import { loadavg } from 'node:os';
import { followStream } from '@greenroom/shared/runtime/event-stream.ts';
import { againMs } from '../../orchestrator/dashboard/src/changes.ts';
import { startStack } from '../stack/stack.ts';
import { cpuTimes } from './allocate/cpu.ts';
import { createAllocateWorld } from './allocate/world.ts';
import { type Benchmark, type Figure, median } from './figures.ts';

/**
 * `bench dashboards`: what ten open dashboards and a scrape every 5 s cost. CPU of orchestrator, PostgREST and Postgres per accepted
 * session, with them and without, in alternating pairs.
 *
 * A dashboard is played by the requests of its page (orchestrator/dashboard/src/live.tsx): the stream with the topics of the view, and
 * the readings of the view beside it, at the rate of a busy fleet.
 */
const image = `registry.fly.io/bench@sha256:${'e'.repeat(64)}`;
const pairs = 6;
const measureMs = 5_000;
const warmUpMs = 1_000;
/** Each run uses up some thousand. They have no socket each, so that the limit of open files does not matter. */
const standby = 60_000;
const scrapeMs = 5_000;
const most = 1.1;

interface View {
  topics: string;
  /** Path below `/ops/api/` and how often it is read, ms. */
  reads: Array<[path: string, everyMs: number]>;
}
const overview: View = {
  topics: 'overview',
  reads: [
    ['overview', 10_000],
    ['regions', againMs],
  ],
};
const sessions: View = { topics: 'sessions', reads: [['sessions?limit=100', againMs]] };
const machines: View = { topics: 'machines', reads: [['machines?limit=100', againMs]] };
const events: View = { topics: 'events', reads: [['events?limit=100', 5_000]] };
const views = [overview, overview, overview, overview, sessions, sessions, sessions, machines, machines, events];

/** Opens the dashboards. @returns a function that closes them */
function watch(ops: string, token: string): () => void {
  const headers = { authorization: `Bearer ${token}` };
  const leaving = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const read = (url: string) =>
    void fetch(url, { headers, signal: leaving.signal })
      .then((answer) => answer.arrayBuffer())
      .catch(() => undefined);
  const every = (ms: number, url: string) => {
    read(url);
    timers.push(setInterval(() => read(url), ms));
  };
  for (const { topics, reads } of views) {
    void followStream({
      ...{ signal: leaving.signal, onMessage: () => undefined },
      open: (_after, signal) =>
        fetch(`${ops}/ops/api/stream?topics=${topics}`, { headers, signal }).catch(() => undefined),
    });
    for (const [path, everyMs] of reads) every(everyMs, `${ops}/ops/api/${path}`);
    every(30_000, `${ops}/ops/api/me`);
  }
  every(scrapeMs, `${ops}/metrics`);
  return () => {
    leaving.abort();
    for (const timer of timers) clearInterval(timer);
  };
}

export const dashboards: Benchmark = async (progress) => {
  const stack = await startStack({
    ...{ orchestrators: 0, dashboard: true, flyLatency: 'zero', flyLimits: false },
    environment: {
      ...{ WORKER_IMAGE: image, LOG_LEVEL: 'warn', CREATE_MS: '600000', STANDBY_START_MS: '600000' },
      ...{ API_CALLER_PER_MINUTE: '10000000', API_TENANT_PER_MINUTE: '10000000', RECONCILE_TICK_MS: '600000' },
    },
  });
  let world: Awaited<ReturnType<typeof createAllocateWorld>> | undefined;
  try {
    stack.cloud.fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
    world = await createAllocateWorld(stack, image, stack.flyToken);
    const orchestrator = await stack.addOrchestrator();
    await world.addMachines(standby);
    const here = world;
    /** CPU ms per accepted session. */
    const run = async (watched: boolean): Promise<number> => {
      const stop = watched ? watch(orchestrator.opsUrl as string, stack.operatorToken) : () => undefined;
      const before = { cpu: cpuTimes(stack.dir, orchestrator.pid), ...(await here.assigned()) };
      const { perSecond } = await here.load(orchestrator.url, { concurrency: 32, warmUpMs, measureMs });
      const after = { cpu: cpuTimes(stack.dir, orchestrator.pid), ...(await here.assigned()) };
      stop();
      if (after.left === 0) throw new Error('no standby machine is left: the last run measured cold starts');
      const accepted = after.assigned - before.assigned;
      const ofPart = (part: keyof typeof after.cpu) => (after.cpu[part] - before.cpu[part]) / accepted;
      const parts = [ofPart('orchestrator'), ofPart('postgrest'), ofPart('postgres')];
      const cpu = parts.reduce((sum, part) => sum + part, 0);
      progress(
        `${watched ? 'ten dashboards' : 'none'}: ${cpu.toFixed(3)} ms a session (orchestrator, PostgREST, Postgres: ${parts
          .map((part) => part.toFixed(3))
          .join(', ')}), ${perSecond.toFixed(0)}/s`,
      );
      return cpu;
    };
    await run(false);
    const [with_, without]: [number[], number[]] = [[], []];
    for (let pair = 0; pair < pairs; pair += 1)
      for (const watched of pair % 2 === 0 ? [true, false] : [false, true])
        (watched ? with_ : without).push(await run(watched));
    return figuresOf(with_, without);
  } finally {
    await world?.end();
    await stack.stop();
  }
};

const figuresOf = (watched: number[], alone: number[]): Figure[] => [
  {
    ...{ name: 'CPU a session, ten dashboards and a scrape, beside none', unit: '×', target: most, baseline: 1 },
    value: median(watched.map((value, pair) => value / (alone[pair] ?? Number.NaN))),
  },
  {
    ...{ name: 'CPU a session with them', unit: 'ms', target: null },
    ...{ value: median(watched), baseline: median(alone) },
  },
  { name: 'load of the machine after', value: loadavg()[0] ?? 0, unit: '', target: null, baseline: null },
];
