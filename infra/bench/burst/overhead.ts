import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, median, percentile } from '../figures.ts';
import { type Bench, image, onStack, post, readyAt, spread, withPool } from './fleet.ts';

/**
 * What we add to Fly's own time: from the POST until the session is ready, less what the stand-in took from our request to
 * `started` (by its own events). The worker is a lightweight one that boots in no time, so its boot is not in either.
 */
const runs = 15;

interface FlyEvent {
  type: string;
  status: string;
  timestamp: number;
}

/** From the event that our request made until `started`, ms. */
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
  for (let run = 0; run < runs; run += 1) {
    const { startedAtMs, sessions } = await post(bench, tenant, 1);
    const totalMs = spread(await readyAt(bench, sessions, 60_000), startedAtMs);
    overheads.push(totalMs - (await flyMs(bench, sessions[0]?.session_id ?? '', begins)));
    await sleep(pauseMs);
  }
  return overheads;
}

export const overhead = (progress: (line: string) => void): Promise<Figure[]> =>
  onStack({ WORKER_IMAGE: image }, progress, async (bench) => {
    const warm = await measure(
      bench,
      await withPool(bench, 'warm', runs + 2),
      (event) => event.status === 'starting',
      100,
    );
    progress(`over Fly's own time, standby: p50 ${median(warm).toFixed(0)} ms`);
    const cold = await measure(
      bench,
      await bench.stack.addTenant('chilly', 'chilly'),
      (event) => event.type === 'launch',
      1_000,
    );
    progress(`over Fly's own time, cold: p50 ${median(cold).toFixed(0)} ms`);
    return [
      { name: "over Fly's time, standby, p50", value: median(warm), unit: 'ms', target: 60, baseline: null },
      { name: "over Fly's time, standby, p99", value: percentile(warm, 99), unit: 'ms', target: 150, baseline: null },
      { name: "over Fly's time, cold, p50", value: median(cold), unit: 'ms', target: 60, baseline: null },
      { name: "over Fly's time, cold, p99", value: percentile(cold, 99), unit: 'ms', target: 150, baseline: null },
    ];
  });
