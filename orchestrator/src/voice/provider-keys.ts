import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Config } from '../config.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { createCache } from '../runtime/cache.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';

/**
 * The provider key for a tenant's calls: the tenant's own if it has one, otherwise the deployment's. If a stored key cannot be
 * decrypted, that is an error; we never fall back to our key. A key for one provider is never sent to another.
 */
export interface ProviderKeys {
  /** The tenant's own key; undefined if it has none. Cached for ten seconds. */
  of(tenantId: string): Promise<string | undefined>;
  forget(tenantId: string): void;
}

export interface ProviderKeysDeps {
  tenants: Pick<TenantStore, 'credential'>;
  vault: Vault;
  clock: Clock;
  /** The provider of this deployment. Keys for other providers are ignored. */
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
