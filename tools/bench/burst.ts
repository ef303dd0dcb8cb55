import { setTimeout as sleep } from 'node:timers/promises';
import { type Bench, image, onStack, post, readyAt, spread, withPool } from './burst/fleet.ts';
import { hotAtOnce } from './burst/hot.ts';
import { type Benchmark, type Figure, median } from './figures.ts';

/**
 * `bench burst`: many sessions for one tenant at once, until the last is ready. The Fly stand-in has the documented latencies
 * and limits (one create per second and app, burst of three).
 *
 * Workers are lightweight, except for the last figure with standby and those with hot machines. The baseline is a simple runner on its own app: list, create, wait, one
 * session after the other. It runs ten sessions; the result is scaled to a hundred.
 */
const size = 100;
const real = 10;
const plainRuns = 10;
/** Time to create a hundred machines at one per second, until all are ready. */
const scheduledAheadMs = 175_000;

async function standby(bench: Bench): Promise<{ one: number; all: number }> {
  const tenant = await withPool(bench, 'standby', size + 5);
  const ones: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const { startedAtMs, sessions } = await post(bench, tenant, 1);
    ones.push(spread(await readyAt(bench, sessions, 30_000), startedAtMs));
  }
  const { startedAtMs, sessions } = await post(bench, tenant, size);
  const all = spread(await readyAt(bench, sessions, 60_000), startedAtMs);
  bench.progress(
    `${size} with standby: ${(all / 1_000).toFixed(2)} s; one alone ${(median(ones) / 1_000).toFixed(2)} s`,
  );
  return { one: median(ones), all };
}

/** The target: the last slot of the create limit plus the time of one machine. */
async function cold(bench: Bench): Promise<{ all: number; bound: number }> {
  const single = await bench.stack.addTenant('single', 'single');
  const alone: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { startedAtMs, sessions } = await post(bench, single, 1);
    alone.push(spread(await readyAt(bench, sessions, 30_000), startedAtMs));
    await sleep(3_000);
  }
  const tenant = await bench.stack.addTenant('cold', 'cold');
  const { startedAtMs, sessions } = await post(bench, tenant, size);
  const all = spread(await readyAt(bench, sessions, 200_000), startedAtMs);
  const bound = (size - 3) * 1_000 + median(alone);
  bench.progress(`${size} without: ${(all / 1_000).toFixed(1)} s, bound ${(bound / 1_000).toFixed(1)} s`);
  return { all, bound };
}

async function scheduled(bench: Bench): Promise<number> {
  const tenant = await bench.stack.addTenant('scheduled', 'scheduled');
  const dueMs = Date.now() + scheduledAheadMs;
  const { sessions } = await post(bench, tenant, size, { scheduled_at: new Date(dueMs).toISOString() });
  const late = Math.max(0, ...sessions.map((session) => session.plan?.late_by_ms ?? 0));
  const ready = await readyAt(bench, sessions, scheduledAheadMs + 60_000);
  const onTime = ready.filter((atMs) => atMs <= dueMs).length;
  bench.progress(`${size} scheduled: ${onTime} ready at the due time, planned to be ${late} ms late`);
  return onTime;
}

async function plain({ stack, progress }: Bench): Promise<number> {
  const tenant = await stack.addTenant('plain', 'plain');
  const call = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${stack.cloud.fly.apiUrl}/v1/apps/${tenant.appName}/machines${path}`, {
      method,
      headers: { authorization: `Bearer ${stack.flyToken}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    return (await answer.json()) as { id: string };
  };
  const startedMs = performance.now();
  for (let n = 0; n < plainRuns; n += 1) {
    await call('GET', '');
    const { id } = await call('POST', '', { region: 'fra', config: { image, auto_destroy: true } });
    await call('GET', `/${id}/wait?state=started&timeout=30`);
  }
  const each = (performance.now() - startedMs) / plainRuns;
  progress(`plain runner: ${(each / 1_000).toFixed(2)} s each`);
  return each;
}

async function realProcesses(bench: Bench): Promise<number> {
  const tenant = await withPool(bench, 'real', real);
  const { startedAtMs, sessions } = await post(bench, tenant, real);
  const all = spread(await readyAt(bench, sessions, 60_000), startedAtMs);
  bench.progress(`${real} with standby, real processes: ${(all / 1_000).toFixed(2)} s`);
  return all;
}

export const burst: Benchmark = async (progress): Promise<Figure[]> => {
  const light = await onStack({ WORKER_IMAGE: image }, progress, async (bench) => {
    const warm = await standby(bench);
    // Each on its own app, because the limit is per app.
    const [without, onTime, each] = await Promise.all([cold(bench), scheduled(bench), plain(bench)]);
    return { warm, without, onTime, each };
  });
  const tenReal = await onStack({}, progress, realProcesses);
  const hot = await hotAtOnce(progress);
  const { warm, without, onTime, each } = light;
  const baseline = each * size;
  return [
    { name: `${size} with standby, all ready`, value: warm.all, unit: 'ms', target: 1.4 * warm.one, baseline },
    { name: 'one with standby', value: warm.one, unit: 'ms', target: null, baseline: each },
    { name: `${size} without, all ready`, value: without.all, unit: 'ms', target: 1.05 * without.bound, baseline },
    {
      name: `${size} scheduled, ready at the due time`,
      value: onTime,
      unit: '',
      target: size,
      baseline: null,
      atLeast: true,
    },
    {
      name: `${real} with standby, real processes, all ready`,
      value: tenReal,
      unit: 'ms',
      target: null,
      baseline: each * real,
    },
    ...hot,
  ];
};
