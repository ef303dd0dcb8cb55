import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createCache } from '../access/cache.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';

/**
 * The key a call of a tenant is made with: the tenant's own when it brought one, else the deployment's.
 * A key that cannot be opened is an error, never a silent fall back to ours.
 */
export interface ProviderKeys {
  /** The tenant's own key; undefined when it brought none. Remembered for ten seconds. */
  of(tenantId: string): Promise<string | undefined>;
  forget(tenantId: string): void;
}

export const voiceProviderName = 'openai';
const keepMs = 10_000;

export function createProviderKeys(tenants: Pick<TenantStore, 'credential'>, vault: Vault, clock: Clock): ProviderKeys {
  const cache = createCache(
    async (tenantId) => ({ tenantId, sealed: await tenants.credential(tenantId, voiceProviderName) }),
    keepMs,
    clock,
  );
  return {
    of: async (tenantId) => {
      const found = await cache.get(tenantId);
      if (found?.sealed === undefined) return undefined;
      return vault.open(found.sealed.ciphertext, providerContext(tenantId, voiceProviderName));
    },
    forget: (tenantId) => cache.forget((entry) => entry.tenantId === tenantId),
  };
}
