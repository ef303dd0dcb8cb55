import { unclaimedLifeMs } from '@greenroom/shared/session/deadlines.ts';
import type { Config } from '../config.ts';
import type { LaunchParameters } from '../database/launch.ts';

/** How many machines of one session may fail to be created or started. */
const maxFailed = 5;

export const launchParameters = (config: Config, orchestratorId: string): LaunchParameters => ({
  orchestrator_id: orchestratorId,
  image: config.fly.workerImage,
  taken_ms: config.deadlines.intentTakenMs,
  lease_ms: config.deadlines.leaseMs,
  life_ms: unclaimedLifeMs(config.deadlines),
  default_region: config.fly.defaultRegion,
  max_attempts: config.maxAttempts,
  max_failed: maxFailed,
});
