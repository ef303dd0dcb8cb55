import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import { createPeopleStore } from '../database/people-store.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Job } from '../runtime/ticker.ts';

/**
 * Deletes personal data: requested erasures, and data whose retention time is over.
 *
 * - An erasure that waits for live sessions is stored as a row. Any orchestrator completes it when they have
 *   ended. The same holds for the interview of a candidate who withdrew consent.
 * - The database deletes expired data in small steps. Recordings are queued in `video_deletions`.
 */
const retained = z.object({ more: z.boolean() });
/** Maximum number of steps per run. */
const maxSteps = 20;
/** The request log grows faster than all else, and its rows are small. */
const requestStep = 5_000;
const maxRequestSteps = 100;

export function createRetention(database: Database, logger: Logger) {
  const people = createPeopleStore(database);

  const erase = async (): Promise<void> => {
    for (const { tenant_id, candidate_id, by } of await people.erasuresRequested()) {
      const { kind } = await people.erase(tenant_id, candidate_id, by);
      logger.info({ tenant_id, outcome: kind }, 'continued a requested erasure');
    }
  };

  const eraseWithdrawn = async (): Promise<void> => {
    const count = await people.eraseWithdrawn();
    if (count === 0) return;
    crashPoint('withdrawal.erased');
    logger.info({ count }, 'erased interviews whose candidates withdrew consent');
  };

  const expire = async (): Promise<void> => {
    for (let step = 0; step < maxSteps; step += 1)
      if (!(await callFunction(database, 'expire_retained', {}, retained)).more) return;
  };

  const expireRequests = async (): Promise<void> => {
    for (let step = 0; step < maxRequestSteps; step += 1)
      if ((await callFunction(database, 'expire_api_requests', { p_limit: requestStep }, z.int())) < requestStep)
        return;
  };

  const jobs: Job[] = [
    { name: 'erasures', everyMs: 2_000, run: erase },
    { name: 'withdrawals', everyMs: 2_000, run: eraseWithdrawn },
    { name: 'retention', everyMs: 600_000, run: expire },
    { name: 'request-log-retention', everyMs: 600_000, run: expireRequests },
  ];
  return { people, jobs };
}
