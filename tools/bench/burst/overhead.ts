import { setTimeout as sleep } from 'node:timers/promises';
import { createPlatform } from '../../demo/platform.ts';
import { type Figure, median, percentile } from '../figures.ts';
import { type Bench, image, onStack, post, readyAt, spread, withPool } from './fleet.ts';

/**
 * The time that we add to Fly's: from the POST until the session is ready, minus the time that the stand-in took from our
 * request to `started` (by its own events). The worker is lightweight and boots at once, so boot time is in neither.
 *
 * The same run also measures a GET of the session: one request with one read through the same proxy, orchestrator and database.
 * Our overhead is about five of these in a row, so the GET shows how busy the machine was.
 */
const runs = 15;

interface FlyEvent {
  type: string;
  status: string;
  timestamp: number;
}

/** Time from the event of our request to the event `started`, ms. */
async function flyMs({ stack, db }: Bench, sessionId: string, begins: (event: FlyEvent) => boolean): Promise<number> {
  const { rows } = await db.query('select app_name, fly_machine_id from public.machines where session_id = $1', [
    sessionId,
  ]);
  const answer = await fetch(
    `${stack.cloud.fly.apiUrl}/v1/apps/${rows[0].app_name}/machines/${rows[0].fly_machine_id}/events`,
    { headers: { authorization: `Bearer ${stack.flyToken}` } },
  );
  const events = (await answer.json()) as FlyEvent[];
  const at = (found: FlyEvent | undefined): number => found?.timestamp ?? Number.NaN;
  return at(events.find(({ status }) => status === 'started')) - at(events.find(begins));
}

async function measure(
  bench: Bench,
  tenant: Parameters<typeof post>[1],
  begins: (event: FlyEvent) => boolean,
  pauseMs: number,
) {
  const overheads: number[] = [];
  const reads: number[] = [];
  const platform = createPlatform(bench.stack.publicUrl, tenant.apiKey);
  for (let run = 0; run < runs; run += 1) {
    const { startedAtMs, sessions } = await post(bench, tenant, 1);
    const totalMs = spread(await readyAt(bench, sessions, 60_000), startedAtMs);
    const sessionId = sessions[0]?.session_id ?? '';
    overheads.push(totalMs - (await flyMs(bench, sessionId, begins)));
    const sinceMs = performance.now();
    await platform.getSession(sessionId);
    reads.push(performance.now() - sinceMs);
    await sleep(pauseMs);
  }
  return { overheads, reads };
}

const figuresOf = (path: string, { overheads, reads }: Awaited<ReturnType<typeof measure>>): Figure[] => {
  const figure = (p: number, target: number): Figure => ({
    name: `over Fly's time, ${path}, p${p}`,
    value: percentile(overheads, p),
    ...{ unit: 'ms', target, baseline: percentile(reads, p) },
  });
  return [figure(50, 60), figure(99, 150)];
};

export const overhead = (progress: (line: string) => void): Promise<Figure[]> =>
  onStack({ WORKER_IMAGE: image }, progress, async (bench) => {
    const warm = await measure(
      bench,
      await withPool(bench, 'warm', runs + 2),
      (event) => event.status === 'starting',
      100,
    );
    progress(`over Fly's own time, standby: p50 ${median(warm.overheads).toFixed(0)} ms`);
    const cold = await measure(
      bench,
      await bench.stack.addTenant('chilly', 'chilly'),
      (event) => event.type === 'launch',
      1_000,
    );
    progress(`over Fly's own time, cold: p50 ${median(cold.overheads).toFixed(0)} ms`);
    return [...figuresOf('standby', warm), ...figuresOf('cold', cold)];
  });
