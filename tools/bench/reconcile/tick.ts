import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '@greenroom/orchestrator/config.ts';
import { createDeps } from '@greenroom/orchestrator/deps.ts';
import { createBrake } from '@greenroom/orchestrator/fleet/brake.ts';
import { dutyNames } from '@greenroom/orchestrator/fleet/duties.ts';
import { createReaper } from '@greenroom/orchestrator/fleet/reaper.ts';
import { createReconciler } from '@greenroom/orchestrator/fleet/reconciler.ts';
import { createHeartbeats } from '@greenroom/orchestrator/workers/heartbeats.ts';

/**
 * Reconciling and heartbeats of one orchestrator, in a separate process so that its CPU time can be measured. Rows and machines
 * agree, so a tick must change nothing: any change is counted and fails the run.
 */
export interface TickReport {
  machines: number;
  /** CPU time per full tick, user and system. */
  cpuMs: number[];
  wallMs: number[];
  /** Heap size after garbage collection, before the first and after the last tick. */
  heapMb: [number, number];
  /** Changes that a tick would have made. */
  acts: number;
  /** CPU time of one GET per machine, for one machine. */
  plainCpuMsPerMachine: number;
  heartbeats: { perSecond: number; rpcPerSecond: number; cpuMsPerSecond: number; slowestMs: number } | null;
}

const ticks = 6;
const plainSample = 300;
const heartbeatRunMs = 10_000;
const config = readConfig(process.env);
const deps = await createDeps(config);
const { machines, fly, clock, logger } = deps;
let acts = 0;
const act = (): never => {
  acts += 1;
  throw new Error('nothing should be done');
};
const reaper = createReaper({ machines, fly, logger, absenceGraceMs: 3_000, onAbsent: act, onGone: act });
const counted = { ...reaper, probe: async () => act(), destroy: async () => act(), destroyOrphan: async () => act() };
const held = () => dutyNames.map((name) => ({ name, fence: 1 }));
const reconciler = createReconciler({
  ...{ machines, clock, logger, reaper: counted },
  // A failed list changes nothing either, so check that the lists succeeded.
  fly: { list: (app) => fly.list(app).then((outcome) => (outcome.kind === 'listed' ? outcome : act())) },
  duties: { held },
  leases: { mayJudge: () => true, receivesHeartbeats: () => true },
  brake: createBrake({ clock, windowMs: 1, logger }),
  deploymentId: config.deploymentId,
  deadlines: { ...config.deadlines, reconcileTickMs: 0 },
});

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const heapMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1_048_576;
};

async function measureTicks() {
  const result = { cpuMs: [] as number[], wallMs: [] as number[] };
  await reconciler.tick();
  await reconciler.idle();
  const before = heapMb();
  for (let n = 0; n < ticks; n += 1) {
    await sleep(1_100); // Fly's limit of one list a second and app
    const [startedCpuMs, startedMs] = [cpuMs(), performance.now()];
    await reconciler.tick();
    await reconciler.idle();
    result.cpuMs.push(cpuMs() - startedCpuMs);
    result.wallMs.push(performance.now() - startedMs);
  }
  return { ...result, heapMb: [before, heapMb()] as [number, number] };
}

async function measureHeartbeats(ids: string[]): Promise<TickReport['heartbeats']> {
  let rpcs = 0;
  let slowestMs = 0;
  const heartbeats = createHeartbeats({
    machines: {
      recordHeartbeats: (beats) => {
        rpcs += 1;
        return machines.recordHeartbeats(beats);
      },
    },
    clock,
    flushMs: config.deadlines.heartbeatFlushMs,
  });
  const everyMs = config.deadlines.heartbeatMs;
  const underWay: Array<Promise<unknown>> = [];
  const beat = async (machine_id: string): Promise<void> => {
    const startedMs = performance.now();
    const directive = await heartbeats.record({
      machine_id,
      epoch: 1,
      presence: 'absent',
      unsaved_entries: 0,
      rss_bytes: 1,
    });
    if (directive.kind !== 'continue') act();
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
  };
  const [startedCpuMs, startedMs] = [cpuMs(), performance.now()];
  let sent = 0;
  while (performance.now() - startedMs < heartbeatRunMs) {
    const due = ((performance.now() - startedMs) / everyMs) * ids.length;
    while (sent < due) {
      underWay.push(beat(ids[sent % ids.length] as string));
      sent += 1;
    }
    await sleep(10);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  await Promise.all(underWay);
  return {
    perSecond: sent / seconds,
    rpcPerSecond: rpcs / seconds,
    cpuMsPerSecond: (cpuMs() - startedCpuMs) / seconds,
    slowestMs,
  };
}

async function plainCpu(rows: Array<{ app_name: string; fly_machine_id: string | null }>): Promise<number> {
  const startedMs = cpuMs();
  for (const row of rows.slice(0, plainSample)) await fly.get(row.app_name, row.fly_machine_id ?? '');
  return (cpuMs() - startedMs) / Math.min(plainSample, rows.length);
}

const rows = await machines.alive((await machines.apps()).map(({ name }) => name));
const measured = await measureTicks();
const report: TickReport = {
  machines: rows.length,
  ...measured,
  plainCpuMsPerMachine: await plainCpu(rows),
  heartbeats: process.env.BENCH_HEARTBEATS === 'true' ? await measureHeartbeats(rows.map((r) => r.machine_id)) : null,
  acts,
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
