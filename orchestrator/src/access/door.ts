import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from '../config.ts';
import { createAccessStore } from '../database/access-store.ts';
import type { RecordAudit } from '../database/audit-store.ts';
import type { ApiKeyRow } from '../database/rows.ts';
import type { Job } from '../runtime/ticker.ts';
import { createAccess } from './authenticate.ts';
import { createOrigins } from './origins.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRefusalLog } from './refusals.ts';
import { createShares } from './shares.ts';
import { createUserVerifier } from './users.ts';

/** Puts together the components for API access: credentials, limits, origins and the log of refusals. */
export interface DoorDeps {
  config: Pick<Config, 'supabase' | 'publicUrl' | 'access'>;
  database: Database;
  findKey: (hash: string) => Promise<ApiKeyRow | undefined>;
  audit: RecordAudit;
  clock: Clock;
  logger: Logger;
}

export function createDoor({ config, database, findKey, audit, clock, logger }: DoorDeps) {
  const store = createAccessStore(database);
  const noteRefusal = createRefusalLog({ record: audit, clock, logger });
  /** For components that audit refusals only. */
  const auditRefusal: RecordAudit = async (entry) => noteRefusal(entry);
  const limits = createRateLimits({ clock, spend: store.spend });
  const origins = createOrigins({ load: store.origins, publicUrl: config.publicUrl });
  const { operators, perMinute } = config.access;
  const access = createAccess({
    findKey,
    memberships: store.memberships,
    verifyUser: createUserVerifier({ supabaseUrl: config.supabase.url, clock }),
    operators,
    limits,
    perMinute,
    origins,
    noteRefusal,
    clock,
  });
  const jobs: Job[] = [
    { name: 'origins', everyMs: 2_000, run: origins.refresh },
    { name: 'rate-limits', everyMs: 1_000, run: limits.book },
  ];
  const shares = createShares(clock);
  return { access, shares, limits, origins, noteRefusal, auditRefusal, jobs };
}
