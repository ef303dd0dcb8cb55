import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import { createPeopleStore } from '../database/people-store.ts';
import type { Job } from '../runtime/ticker.ts';

/**
 * People's data as one part of the orchestrator: what was asked to be erased, and what is kept no longer.
 *
 * P1  An erasure that waits for live sessions is a row; any orchestrator carries it out when they have ended.
 * P2  Retention is carried out by the database in small steps; recordings leave through `video_deletions`.
 */
const retained = z.object({ more: z.boolean() });
/** P2: steps per turn, so that one turn ends. */
const maxSteps = 20;

export function createRetention(database: Database, logger: Logger) {
  const people = createPeopleStore(database);

  const erase = async (): Promise<void> => {
    for (const { tenant_id, candidate_id, by } of await people.erasuresRequested()) {
      const { kind } = await people.erase(tenant_id, candidate_id, by);
      logger.info({ tenant_id, outcome: kind }, 'an erasure went on');
    }
  };

  const expire = async (): Promise<void> => {
    for (let step = 0; step < maxSteps; step += 1)
      if (!(await callFunction(database, 'expire_retained', {}, retained)).more) return;
  };

  const jobs: Job[] = [
    { name: 'erasures', everyMs: 2_000, run: erase },
    { name: 'retention', everyMs: 600_000, run: expire },
  ];
  return { people, jobs };
}
