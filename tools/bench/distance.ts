import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import WebSocket from 'ws';
import { startCandidate } from '../demo/interview.ts';
import { createPlatform } from '../demo/platform.ts';
import type { OrchestratorProcess } from '../stack/orchestrator-process.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { type AllocateWorld, createAllocateWorld } from './allocate/world.ts';
import { type DistantRelay, startDistantRelay } from './distance/relay.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';

/**
 * `bench distance`: an orchestrator and the workers on another continent than the database. A relay before the Supabase
 * gateway delays every chunk by 40 ms each way. One orchestrator serves both states by turns, near and far.
 *
 * The round trips of a request are the time it takes more than in the near state (median), in units of one round trip. So
 * concurrent calls count once and a new connection costs its handshake. The figure is the largest of all requests, rounded.
 */
const oneWayMs = 40;
const roundTripMs = 2 * oneWayMs;
const requests = 20;
/** Sessions of one load, under way at once: enough to accept 1,000 a second when each takes 250 ms. */
const concurrency = 256;
const loadMs = 8_000;
const rounds = 3;
/** Standby machines at the beginning of each load: more than one load takes. A session without one waits for a new machine. */
const standbyMachines = 12_000;
const image = `registry.fly.io/bench@sha256:${'d'.repeat(64)}`;
/** How long an orchestrator keeps what it knows about a key. */
const keyCacheMs = 1_100;

interface Took {
  near: number[];
  far: number[];
}

const both = async (relay: DistantRelay, measure: () => Promise<number[]>): Promise<Took> => {
  relay.setOneWayMs(0);
  const near = await measure();
  relay.setOneWayMs(oneWayMs);
  await sleep(2 * roundTripMs);
  const far = await measure();
  relay.setOneWayMs(0);
  return { near, far };
};

const roundTripsOf = ({ near, far }: Took): number[] => {
  if (near.length === 0 || far.length === 0) throw new Error('one of the two states has no request');
  const nearMs = median(near);
  return far.map((ms) => Math.max(0, Math.round((ms - nearMs) / roundTripMs)));
};

const figureOf = (name: string, took: Took, target: number | null): Figure => ({
  name: `${name}, round trips (largest of ${took.far.length})`,
  value: Math.max(...roundTripsOf(took)),
  unit: '',
  target,
  baseline: null,
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** Times of requests that the orchestrator's log names, ms. */
function answeredIn(stack: Stack, from: number, path: string): number[] {
  return stack.logLines.slice(from).flatMap((line) => {
    if (!line.includes('request answered')) return [];
    const entry = JSON.parse(line) as { path?: string; took_ms?: number; status_code?: number };
    return entry.path === path && (entry.status_code ?? 500) < 300 && entry.took_ms !== undefined
      ? [entry.took_ms]
      : [];
  });
}

/** Opens the socket at the edge and resolves with the time until it is answered, ms. */
export const upgrade = (url: string, sessionId: string, token: string): Promise<number> =>
  timed(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/ws/sessions/${sessionId}`, [
          'greenroom.v1',
          `greenroom.token.${token}`,
        ]);
        socket.on('error', () => undefined);
        socket.on('unexpected-response', (request) => {
          request.destroy();
          resolve(undefined);
        });
        socket.on('close', resolve);
      }),
  );

async function interviews(stack: Stack, relay: DistantRelay): Promise<{ claim: Took; heartbeat: Took }> {
  const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
  const claim: Took = { near: [], far: [] };
  const heartbeat: Took = { near: [], far: [] };
  const hold = async (state: keyof Took) => {
    const from = stack.logLines.length;
    const session = await platform.createSession({ candidate: { name: 'B' }, position: { title: 'B' }, region: 'fra' });
    const { ended } = startCandidate({ websocketUrl: session.websocket_url, joinToken: session.join_token ?? '' });
    await ended;
    claim[state].push(...answeredIn(stack, from, '/worker/v1/claim'));
    heartbeat[state].push(...answeredIn(stack, from, '/worker/v1/heartbeat'));
  };
  await hold('near');
  for (let n = 0; n < 3; n += 1) {
    relay.setOneWayMs(0);
    await hold('near');
    relay.setOneWayMs(oneWayMs);
    await hold('far');
  }
  relay.setOneWayMs(0);
  return { claim, heartbeat };
}

/** The relay stands before the gateway for orchestrators and for the workers, which get its address in their claim. */
async function distantStack(environment: Record<string, string>, voice?: { turns: number; paceMs: number }) {
  const stack = await startStack({
    orchestrators: 0,
    flyLatency: 'zero',
    flyLimits: false,
    ...(voice ? { voice } : {}),
    environment,
  });
  const relay = await startDistantRelay(new URL(stack.cloud.supabase.url));
  const orchestrator = await stack.addOrchestrator({ SUPABASE_URL: relay.url });
  const stop = async () => {
    relay.setOneWayMs(0);
    await stack.stop();
    await relay.stop();
  };
  return { stack, relay, orchestrator, stop };
}

async function accepting(progress: (line: string) => void): Promise<Figure[]> {
  const { stack, relay, orchestrator, stop } = await distantStack({
    WORKER_IMAGE: image,
    LOG_LEVEL: 'warn',
    CREATE_MS: '600000',
    STANDBY_START_MS: '600000',
    RECONCILE_TICK_MS: '600000',
  });
  let opened: AllocateWorld | undefined;
  try {
    stack.cloud.fly.registerImage(image, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });
    opened = await createAllocateWorld(stack, image, stack.flyToken);
    const world = opened;
    await world.addMachines(1_000, standbyMachines);
    const { url } = orchestrator;
    await world.createOne(url);
    const post = (pauseMs: number) => async () => {
      const took: number[] = [];
      for (let n = 0; n < requests; n += 1) {
        if (pauseMs > 0) await sleep(pauseMs);
        took.push(await timed(() => world.createOne(url)));
      }
      return took;
    };
    const known = await both(relay, post(0));
    progress(`POST, near p50 ${median(known.near).toFixed(0)} ms, far p50 ${median(known.far).toFixed(0)} ms`);
    const forgotten = await both(relay, post(keyCacheMs));
    progress(`POST with a key that is looked up again, far p50 ${median(forgotten.far).toFixed(0)} ms`);
    const first: Took = { near: [], far: [] };
    const again: Took = { near: [], far: [] };
    for (const state of ['near', 'far'] as const) {
      for (let n = 0; n < requests; n += 1) {
        relay.setOneWayMs(0);
        const { session_id: id, join_token: token } = await world.createOne(url);
        await claimAll(stack);
        relay.setOneWayMs(state === 'near' ? 0 : oneWayMs);
        first[state].push(await upgrade(url, id, token ?? ''));
        again[state].push(await upgrade(url, id, token ?? ''));
      }
    }
    progress(`edge, far: first p50 ${median(first.far).toFixed(0)} ms, again p50 ${median(again.far).toFixed(0)} ms`);
    const load = await loads(orchestrator, world, relay, progress);
    return [
      figureOf('POST /api/sessions', known, 2),
      figureOf('POST with a key that must be looked up', forgotten, 2),
      figureOf('edge decision', first, 1),
      figureOf('edge decision about a claim that is known', again, 0),
      ...load,
    ];
  } finally {
    await opened?.end();
    await stop();
  }
}

async function claimAll(stack: Stack): Promise<void> {
  const db = new pg.Client({ connectionString: stack.cloud.supabase.dbUrl });
  await db.connect();
  try {
    await db.query(`select app.claim_session(name, app_name, fly_machine_id, 'boot', 3600000, 3600000)
      from public.machines where session_id is not null and claimed_at is null`);
  } finally {
    await db.end();
  }
}

async function loads(
  { url }: OrchestratorProcess,
  world: AllocateWorld,
  relay: DistantRelay,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const near: number[] = [];
  const far: number[] = [];
  for (let n = 0; n < rounds; n += 1) {
    for (const [state, ms, into] of [
      ['near', 0, near],
      ['far', oneWayMs, far],
    ] as const) {
      relay.setOneWayMs(0);
      await world.addMachines(standbyMachines - (await world.assigned()).left, standbyMachines);
      relay.setOneWayMs(ms);
      const report = await world.load(url, { concurrency, warmUpMs: 2_000, measureMs: loadMs });
      const { left } = await world.assigned();
      if (left === 0) throw new Error(`one load took all ${standbyMachines} standby machines; its figure says nothing`);
      into.push(report.perSecond);
      progress(
        `${state}, ${concurrency} at once: ${report.perSecond.toFixed(0)}/s, p50 ${report.p50Ms.toFixed(0)} ms, errors ${JSON.stringify(report.errors)}`,
      );
    }
  }
  relay.setOneWayMs(0);
  return [
    {
      name: `accepted, far, ${concurrency} at once`,
      value: percentile(far, 50),
      unit: '/s',
      target: 0.75 * percentile(near, 50),
      atLeast: true,
      baseline: percentile(near, 50),
    },
  ];
}

export const distance: Benchmark = async (progress) => {
  const figures = await accepting(progress);
  const { stack, relay, stop } = await distantStack(
    { LOG_LEVEL: 'debug' }, // The line of an answered heartbeat is a debug line.
    { turns: 6, paceMs: 200 },
  );
  try {
    const { claim, heartbeat } = await interviews(stack, relay);
    progress(`claim, near p50 ${median(claim.near)} ms, far p50 ${median(claim.far)} ms`);
    return [
      ...figures.slice(0, 4),
      figureOf('claim', claim, 2),
      figureOf('heartbeat, for which nothing in the worker waits', heartbeat, null),
      ...figures.slice(4),
    ];
  } finally {
    await stop();
  }
};
