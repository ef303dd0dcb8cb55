import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';
import { heartbeatCost } from './soak/heartbeats.ts';
import { startLoad, type Timed } from './soak/load.ts';
import { databaseBytes, type Held, probe, processorSecondsOf } from './soak/probe.ts';

/**
 * `bench soak --minutes N`: a steady mix against the whole local cloud with two orchestrators. Nothing may grow: each figure of
 * the last quarter has that of the first as its baseline. A tenth of the time, at least a minute, passes before the first quarter:
 * processes that have only just started still grow.
 */
const sampleMs = 5_000;
const leastWarmMs = 60_000;
/** After the load has ended, this long for machines to be destroyed and rows to be finished. */
const settleMs = 75_000;
/** Memory and latency of the last quarter may be larger by these factors; a processor that others use, too, is not steady. */
const mostMemory = 1.1;
const mostLatency = 1.5;
const mostHandles = 10;
const mostConnections = 5;
const mebibyte = 1_048_576;

interface Quarters<T> {
  first: T[];
  last: T[];
}

function quartersOf<T extends { atMs: number }>(all: T[], fromMs: number, untilMs: number): Quarters<T> {
  const quarterMs = (untilMs - fromMs) / 4;
  const between = (from: number, until: number): T[] => all.filter(({ atMs }) => atMs >= from && atMs < until);
  return { first: between(fromMs, fromMs + quarterMs), last: between(untilMs - quarterMs, untilMs) };
}

function growthOf(held: Quarters<Held>): Figure[] {
  const of = (what: keyof Held): [first: number, last: number] => [
    median(held.first.map((one) => one[what])),
    median(held.last.map((one) => one[what])),
  ];
  const [memory, handles, connections] = [of('memoryBytes'), of('handles'), of('connections')];
  const inMiB = (bytes: number): number => bytes / mebibyte;
  return [
    {
      ...{ name: 'memory of the orchestrators', unit: 'MiB', value: inMiB(memory[1]), baseline: inMiB(memory[0]) },
      target: inMiB(memory[0]) * mostMemory,
    },
    {
      ...{ name: 'handles of the orchestrators', unit: '', value: handles[1], baseline: handles[0] },
      target: handles[0] + mostHandles,
    },
    {
      ...{ name: 'connections to the database', unit: '', value: connections[1], baseline: connections[0] },
      target: connections[0] + mostConnections,
    },
  ];
}

/**
 * Median and p95 of each kind of request. The control reads nothing from the database: by as much as it is slower in the last
 * quarter, the machine is slower, and the targets are higher.
 */
function latenciesOf({ first, last }: Quarters<Timed>): Figure[] {
  const of = (part: Timed[], what: string): number[] =>
    part.filter((one) => one.what === what).map(({ tookMs }) => tookMs);
  return [...new Set([...first, ...last].map(({ what }) => what))].toSorted().flatMap((what) =>
    [50, 95].map((p): Figure => {
      const [before, after] = [of(first, what), of(last, what)];
      const slower = Math.max(1, percentile(of(last, 'control'), p) / percentile(of(first, 'control'), p));
      const baseline = percentile(before, p);
      // Of few requests the p95 is the slowest one: it is shown, and has no target.
      const few = p === 95 && Math.min(before.length, after.length) < 100;
      const target = few || what === 'control' ? null : baseline * mostLatency * slower;
      return { name: `${what}, p${p}`, unit: 'ms', value: percentile(after, p), baseline, target };
    }),
  );
}

export const soak: Benchmark = async (progress, { minutes }) => {
  const stack = await startStack({ flyLimits: false, orchestrators: 2 });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  await db.connect();
  try {
    const load = await startLoad(stack);
    await db.query('update public.tenant_apps set creates_per_second = 1000, create_burst = 1000');
    const bytesBefore = await databaseBytes(db);
    const usedBefore = processorSecondsOf(stack);
    const startedMs = performance.now();
    const untilMs = startedMs + minutes * 60_000;
    const held: Held[] = [];
    for (let n = 0; performance.now() < untilMs; n += 1) {
      await sleep(sampleMs);
      const now = await probe(stack, db);
      held.push(now);
      if (n % 12 === 11)
        progress(
          `${Math.round((performance.now() - startedMs) / 60_000)} min: ${load.results.size} results, ${load.faults.length} faults, ${Math.round(now.memoryBytes / mebibyte)} MiB, ${now.handles} handles, ${now.connections} connections, ${now.owed} rows owed`,
        );
    }
    const endedMs = performance.now();
    await load.stop();
    const usedS = processorSecondsOf(stack) - usedBefore;
    const grownBytes = (await databaseBytes(db)) - bytesBefore;
    const missing = [...load.results].filter((id) => !load.delivered.has(id));
    await sleep(settleMs);
    const after = await probe(stack, db);
    const machines = stack.cloud.fly.machines().length;
    const heartbeatMs = await heartbeatCost(stack, db);
    for (const fault of load.faults.slice(0, 10)) progress(fault);

    const warmMs = startedMs + Math.max(leastWarmMs, (endedMs - startedMs) / 10);
    const none = { unit: '', target: 0, baseline: null };
    return [
      { name: 'interviews with a result', value: load.results.size, unit: '', target: null, baseline: null },
      { ...none, name: 'interviews and requests that failed', value: load.faults.length },
      { ...none, name: 'results without their webhook', value: missing.length },
      {
        name: 'processor time of the orchestrators for an interview, its reads, events and webhooks',
        ...{ value: (1_000 * usedS) / load.results.size, unit: 'ms', target: null, baseline: null },
      },
      {
        name: 'processor time of a heartbeat over HTTP',
        ...{ value: heartbeatMs, unit: 'ms', target: null, baseline: null },
      },
      {
        name: 'database for an interview of two questions',
        ...{ value: grownBytes / 1_024 / load.results.size, unit: 'KiB', target: null, baseline: null },
      },
      ...growthOf(quartersOf(held, warmMs, endedMs)),
      ...latenciesOf(quartersOf(load.took, warmMs, endedMs)),
      { ...none, name: 'rows that should be gone, at most', value: Math.max(...held.map(({ owed }) => owed)) },
      { ...none, name: 'rows that should be gone, afterwards', value: after.owed },
      { ...none, name: 'machines that are left', value: machines },
    ];
  } finally {
    await db.end();
    await stack.stop();
  }
};
