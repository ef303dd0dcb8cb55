import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { Demand, PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';
import type { RegionHealth } from '../regions/health.ts';
import type { Endings } from './ending.ts';
import { type PoolLevel, planPools, poolLevels } from './pool-plan.ts';

/**
 * Keeps the pools at their planned size: reads the facts, plans, lets the database apply the plan, and executes
 * the intents that the database returns. Several orchestrators may do this at once, because the database counts
 * again under a lock.
 */
export interface Pool {
  tick(): Promise<void>;
  /** What each region's pools had and should have had at the last tick. */
  levels(): PoolLevel[];
}

export interface PoolDeps {
  pool: Pick<PoolStore, 'facts' | 'demand' | 'apply' | 'announceImage'>;
  execute: (intent: Intent) => void;
  endings: Pick<Endings, 'destroy'>;
  health: Pick<RegionHealth, 'isClosed'>;
  deadlines: Pick<
    Deadlines,
    'standbyBuildMs' | 'scheduleLeadMs' | 'scheduleHorizonMs' | 'demandWindowMs' | 'reconcileTickMs'
  >;
  clock: Clock;
  logger: Logger;
}

export function createPool({ pool, execute, endings, health, deadlines, clock, logger }: PoolDeps): Pool {
  let announced = false;
  let levels: PoolLevel[] = [];
  let demand: Demand = [];
  let demandAtMs = Number.NEGATIVE_INFINITY;
  const options = {
    buildMs: deadlines.standbyBuildMs,
    leadMs: deadlines.scheduleLeadMs,
    isClosed: health.isClosed,
  };

  /** Demand changes slowly and reading it needs a table scan, so it is read less often than the other facts. */
  const freshDemand = async (): Promise<Demand> => {
    if (clock.monotonicMs() - demandAtMs >= deadlines.reconcileTickMs) {
      demand = await pool.demand(deadlines.demandWindowMs);
      demandAtMs = clock.monotonicMs();
    }
    return demand;
  };

  return {
    levels: () => levels,
    tick: async () => {
      announced = announced || (await pool.announceImage());
      const facts = await pool.facts(deadlines.scheduleHorizonMs);
      if (facts.image === null || facts.tenants.length === 0) {
        levels = [];
        return;
      }
      const expected = await freshDemand();
      levels = poolLevels(facts, expected, options);
      const orders = planPools(facts, expected, options);
      if (orders.length === 0) return;
      const { intents, retired } = await pool.apply(orders, facts.image);
      for (const intent of intents) execute(intent);
      for (const { machine_id, app_name, fly_machine_id, reason } of retired) {
        logger.info({ machine_id, fly_machine_id, app_name, reason }, 'prepared machine given up');
        if (fly_machine_id !== null)
          endings.destroy({ machine_id, app_name, fly_machine_id }, reason, `given up by the plan for ${facts.image}`);
      }
    },
  };
}
