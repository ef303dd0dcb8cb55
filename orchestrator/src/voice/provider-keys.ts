import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Config } from '../config.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { createCache } from '../runtime/cache.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';

/**
 * The key a call of a tenant is made with: the tenant's own when it brought one, else the deployment's.
 * A key that cannot be opened is an error, never a silent fall back to ours. A key for one provider is never shown to another.
 */
export interface ProviderKeys {
  /** The tenant's own key; undefined when it brought none. Remembered for ten seconds. */
  of(tenantId: string): Promise<string | undefined>;
  forget(tenantId: string): void;
}

export interface ProviderKeysDeps {
  tenants: Pick<TenantStore, 'credential'>;
  vault: Vault;
  clock: Clock;
  /** The provider of this deployment: keys for others are of no use here. */
  provider: Config['voice']['provider'];
}

const keepMs = 10_000;

export function createProviderKeys({ tenants, vault, clock, provider }: ProviderKeysDeps): ProviderKeys {
  const cache = createCache(
    async (tenantId) => ({ tenantId, sealed: await tenants.credential(tenantId, provider) }),
    keepMs,
    clock,
  );
  return {
    of: async (tenantId) => {
      const found = await cache.get(tenantId);
      if (found?.sealed === undefined) return undefined;
      return vault.open(found.sealed.ciphertext, providerContext(tenantId, provider));
    },
    forget: (tenantId) => cache.forget((entry) => entry.tenantId === tenantId),
  };
}
