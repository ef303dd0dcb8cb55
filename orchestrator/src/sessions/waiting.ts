import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Begun, PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';

/** Starts waiting sessions whose start time has come or that their tenant's limit now admits. */
export interface WaitingDeps {
  pool: Pick<PoolStore, 'startScheduled' | 'admitQueued'>;
  execute: (intent: Intent) => void;
  logger: Logger;
  onChange: (sessionId: string) => void;
}

/** Maximum per run. A healthy deployment stays below it; the rest follows in the next run. */
const roundsPerTurn = 20;

export function createWaiting({ pool, execute, logger, onChange }: WaitingDeps): { tick(): Promise<void> } {
  const carryOn = (results: Begun): void => {
    for (const { kind, session_id, intent } of results) {
      logger.info({ session_id, kind, machine_id: intent?.machine_id, region: intent?.region }, 'a wait is over');
      if (intent) execute(intent);
      onChange(session_id);
    }
  };

  /** Continues with the next batch at once, so that a burst does not wait for one run per batch. */
  const drain = async (take: () => Promise<Begun>): Promise<void> => {
    for (let round = 0; round < roundsPerTurn; round += 1) {
      const results = await take();
      carryOn(results);
      if (results.length === 0) return;
    }
  };

  return {
    tick: async () => {
      await drain(pool.startScheduled);
      await drain(pool.admitQueued);
    },
  };
}
