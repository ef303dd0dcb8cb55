import { stop as stopBuilder } from 'esbuild';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';
import { type Measured, measureMemory } from './ingest/memory.ts';
import { createIngestWorker, textOf } from './ingest/worker-of.ts';
import { type IngestWorld, type ServedSession, startIngestWorld } from './ingest/world.ts';

/**
 * `bench ingest`: storing the transcript in Postgres.
 *
 *   flood     one session, entries stored as fast as possible. Baseline: one awaited insert per entry
 *   latency   100 workers, 100 entries per second in total: time from the provider's event to the acknowledgement
 *   memory    resident memory after 1,000 turns, its growth since turn 250, and its growth per turn after that: medians of
 *             five workers, after a forced collection
 *
 * Postgres and PostgREST are real. For flood and latency, 100 instances of the worker's modules (log, transcript, writer, store)
 * run in this process. For memory, the bundled workers run as separate processes.
 */
const floodEntries = 20_000;
const seedEntries = 1_000;
const workers = 100;
const perSecond = 100;
const latencySeconds = 20;

async function flood(world: IngestWorld): Promise<number> {
  const [session] = (await world.sessions(1)) as [ServedSession];
  const worker = createIngestWorker(session, () => undefined);
  worker.say(0);
  await worker.writer.flush();
  const sinceMs = performance.now();
  for (let n = 1; n <= floodEntries; n += 1) worker.say(n);
  await worker.writer.flush();
  const tookMs = performance.now() - sinceMs;
  if ((await world.count(session.id)) !== floodEntries + 1) throw new Error('not every entry was stored once');
  return (floodEntries / tookMs) * 1_000;
}

/** The baseline: supabase-js with the service-role key, one insert per entry, awaited in a loop. */
async function floodOneByOne(world: IngestWorld): Promise<number> {
  const [session] = (await world.sessions(1)) as [ServedSession];
  const insert = async (n: number) => {
    const { error } = await world.service.from('transcript_entries').insert({
      session_id: session.id,
      tenant_id: session.tenantId,
      call_ordinal: 1,
      item_id: `item_${n}`,
      previous_item_id: n === 0 ? null : `item_${n - 1}`,
      speaker: 'ai',
      text: textOf(n),
      verified: true,
    });
    if (error) throw new Error(`the baseline's insert failed: ${error.message}`);
  };
  await insert(0);
  const sinceMs = performance.now();
  for (let n = 1; n <= seedEntries; n += 1) await insert(n);
  return (seedEntries / (performance.now() - sinceMs)) * 1_000;
}

interface Timed {
  say(): void;
  flush(): Promise<void>;
}

/** A worker that measures the time from each event to its acknowledgement. */
function createTimed(session: ServedSession, onTook: (tookMs: number) => void): Timed {
  const begun = new Map<string, number>();
  let said = 0;
  const worker = createIngestWorker(session, (itemId) => {
    const sinceMs = begun.get(itemId);
    begun.delete(itemId);
    if (sinceMs !== undefined) onTook(performance.now() - sinceMs);
  });
  return {
    say: () => {
      begun.set(`item_${said}`, performance.now());
      worker.say(said);
      said += 1;
    },
    flush: () => worker.writer.flush(),
  };
}

/** Sends one entry per interval, by each worker in turn. @returns milliseconds to each acknowledgement. */
async function latencies(world: IngestWorld): Promise<number[]> {
  let took: number[] = [];
  const sessions = await world.sessions(workers);
  const timed = sessions.map((session) => createTimed(session, (tookMs) => void took.push(tookMs)));
  // The first write loads modules and connects. A real worker has done that before its interview begins.
  for (const worker of timed) {
    worker.say();
    await worker.flush();
  }
  took = [];
  const startedMs = performance.now();
  for (let n = 0; n < perSecond * latencySeconds; n += 1) {
    const waitMs = startedMs + n * (1_000 / perSecond) - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    timed[n % workers]?.say();
  }
  await Promise.all(timed.map((worker) => worker.flush()));
  if (took.length !== perSecond * latencySeconds) throw new Error('not every entry was acknowledged once');
  return took;
}

/** Growth per turn in KB, by least squares over the second thousand turns: texts kept for a recap, and garbage. */
function slopeKb(measured: Measured[]): number {
  const points = measured.filter(({ turn }) => turn >= 1_000);
  const mean = (of: (point: Measured) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [turns, rssMb] = [mean((point) => point.turn), mean((point) => point.rssMb)];
  const together = mean((point) => (point.turn - turns) * (point.rssMb - rssMb));
  return (together / mean((point) => (point.turn - turns) ** 2)) * 1_024;
}

const memoryFigures = (measured: Measured[]): Figure[] => {
  const after = (turn: number) => measured.find((point) => point.turn === turn)?.rssMb ?? Number.NaN;
  const uncollected = measured.find((point) => point.turn === 1_000)?.uncollectedMb ?? Number.NaN;
  const figure = (name: string, value: number, unit: string, target: number) => ({
    ...{ name, value, unit, target },
    baseline: null,
  });
  return [
    figure('resident memory after 1,000 turns', after(1_000), 'MB', 90),
    { ...figure('the same of one worker without forced collections', uncollected, 'MB', 0), target: null },
    figure('its growth since turn 250', after(1_000) - after(250), 'MB', 8),
    figure('its slope from turn 1,000 to 2,000', slopeKb(measured), 'KB/turn', 4),
  ];
};

async function databaseFigures(progress: (line: string) => void): Promise<Figure[]> {
  const world = await startIngestWorld();
  try {
    const before = await floodOneByOne(world);
    progress(`one insert per entry: ${before.toFixed(0)} entries/s`);
    const ours = await flood(world);
    progress(`flood: ${ours.toFixed(0)} entries/s`);
    const took = await latencies(world);
    progress(`${workers} workers, ${perSecond} entries/s: p50 ${median(took).toFixed(1)} ms`);
    return [
      { name: 'flood throughput', value: ours, unit: 'entries/s', target: null, baseline: before },
      {
        name: 'flood throughput beside one by one',
        value: ours / before,
        unit: '×',
        target: 20,
        baseline: 1,
        atLeast: true,
      },
      { name: 'event to acknowledged, 100 workers, p50', value: median(took), unit: 'ms', target: 15, baseline: null },
      {
        name: 'event to acknowledged, 100 workers, p99',
        value: percentile(took, 99),
        unit: 'ms',
        target: 100,
        baseline: null,
      },
    ];
  } finally {
    await world.stop();
  }
}

export const ingest: Benchmark = async (progress) => {
  const memory = await measureMemory(progress);
  await stopBuilder();
  return [...(await databaseFigures(progress)), ...memoryFigures(memory)];
};
