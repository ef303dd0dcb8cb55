import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from '../config.ts';
import { createTenantStore } from '../database/tenant-store.ts';
import type { FlyClient } from '../fly/client.ts';
import type { Job } from '../runtime/ticker.ts';
import type { Vault } from '../tokens/vault.ts';
import { createProviderAccesses } from '../voice/provider-access.ts';
import { createOnboarding, deploymentMark } from './onboarding.ts';

/** Puts together the components for tenants: rows, Fly apps and provider keys. */
export interface TenancyDeps {
  config: Pick<Config, 'fly' | 'deadlines' | 'voice' | 'deploymentId' | 'supabase'>;
  database: Database;
  fly: Pick<FlyClient, 'apps' | 'list'>;
  vault: Vault;
  clock: Clock;
  logger: Logger;
}

export function createTenancy({ config, database, fly, vault, clock, logger }: TenancyDeps) {
  const tenants = createTenantStore(database);
  const { deploymentId } = config;
  const onboarding = createOnboarding({
    ...{ tenants, org: config.fly.org, deploymentId, logger },
    fly: { ...fly.apps, list: fly.list },
    mark: deploymentMark(deploymentId, config.supabase.url),
  });
  const jobs: Job[] = [{ name: 'onboarding', everyMs: config.deadlines.reconcileTickMs, run: onboarding.run }];
  return {
    tenants,
    onboarding,
    providerAccess: createProviderAccesses({ tenants, vault, clock, voice: config.voice }),
    jobs,
  };
}
