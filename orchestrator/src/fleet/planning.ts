import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from '../config.ts';
import { createPoolStore } from '../database/pool-store.ts';
import { createUsageStore } from '../database/usage-store.ts';
import type { FlyClient } from '../fly/client.ts';
import type { RegionHealth } from '../regions/health.ts';
import type { Job } from '../runtime/ticker.ts';
import { createArrivals } from '../sessions/arrivals.ts';
import { createWaiting } from '../sessions/waiting.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Endings } from './ending.ts';
import { launchParameters } from './launch-parameters.ts';
import { createLauncher, type Launcher } from './launcher.ts';
import { createPool } from './pool.ts';
import { createStarter } from './starter.ts';
import { createUsage } from './usage.ts';

/** Creates the planning part of the fleet: pools, starts, waiting sessions, arrivals, usage. */
export interface PlanningDeps {
  config: Config;
  database: Database;
  orchestratorId: string;
  fly: Pick<FlyClient, 'start' | 'get'>;
  endings: Pick<Endings, 'destroy'>;
  provisioner: () => Launcher;
  hotWorkers: Launcher;
  health: RegionHealth;
  clock: Clock;
  logger: Logger;
  onChange: (sessionId: string) => void;
  tracing: Tracing;
}

function storesOf({ config, database, orchestratorId, clock, tracing }: PlanningDeps) {
  const { scheduleLeadMs: leadMs, queueMs, hotLifeMs, standbyStartMs: lateMs } = config.deadlines;
  const options = { launch: launchParameters(config, orchestratorId), leadMs, queueMs, hotLifeMs, lateMs, clock };
  const pool = createPoolStore(database, options);
  // Starts are reported in batches, so each has a span of its own here.
  const recordStart: typeof pool.recordStart = (start) =>
    tracing.span('database record_starts', { kind: 'client' }, () => pool.recordStart(start));
  return { pool: { ...pool, recordStart }, usage: createUsageStore(database) };
}

export function createPlanning(deps: PlanningDeps) {
  const { config, fly, endings, provisioner, health, clock, logger, onChange, tracing } = deps;
  const { deadlines } = config;
  const { pool, usage } = storesOf(deps);
  const launcher = createLauncher(() => ({ create: provisioner(), start: starter, wake: deps.hotWorkers }), tracing);
  const { execute } = launcher;
  const { standbyStartMs } = deadlines;
  const starter = createStarter({ pool, fly, endings, execute, clock, logger, standbyStartMs, onChange, tracing });
  const filling = createPool({ pool, execute, endings, health, deadlines, clock, logger });
  const waiting = createWaiting({ pool, execute, logger, onChange });
  const { defaultRegion, guest } = config.fly;
  const arrivals = createArrivals({ pool, health, defaultRegion, execute, logger, onChange });
  const billing = createUsage({ usage, guest });
  const everyMs = deadlines.poolTickMs;
  const jobs: Job[] = [
    { name: 'pools', everyMs, run: filling.tick },
    { name: 'waiting', everyMs, run: waiting.tick },
    { name: 'starts', everyMs, run: starter.scan },
    { name: 'usage', everyMs: deadlines.reconcileTickMs, run: billing.run },
  ];
  return { pool, usage, launcher, starter, arrivals, jobs, levels: filling.levels };
}
