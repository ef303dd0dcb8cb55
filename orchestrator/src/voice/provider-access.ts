import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Config } from '../config.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { createCache } from '../runtime/cache.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';

/** A standing key at the voice provider, and where it is valid. */
export interface ProviderAccess {
  apiKey: string;
  /** `https://api.openai.com/v1` */
  baseUrl: string;
}

/**
 * What is used for a tenant's calls and evaluations: the tenant's own key if it has one, otherwise the deployment's. If a stored key
 * cannot be decrypted, that is an error; we never fall back to our key. A key for one provider is never sent to another.
 */
export interface ProviderAccesses {
  /** Cached for ten seconds. */
  of(tenantId: string): Promise<ProviderAccess>;
  forget(tenantId: string): void;
}

export interface ProviderAccessesDeps {
  tenants: Pick<TenantStore, 'credential'>;
  vault: Vault;
  clock: Clock;
  /** The deployment's. Tenants' keys for other providers are ignored. */
  voice: Pick<Config['voice'], 'provider' | 'apiKey' | 'baseUrl'>;
}

const keepMs = 10_000;

export function createProviderAccesses({ tenants, vault, clock, voice }: ProviderAccessesDeps): ProviderAccesses {
  const { provider, apiKey, baseUrl } = voice;
  const cache = createCache(
    async (tenantId) => ({ tenantId, sealed: await tenants.credential(tenantId, provider) }),
    keepMs,
    clock,
  );
  return {
    of: async (tenantId) => {
      const sealed = (await cache.get(tenantId))?.sealed;
      if (sealed === undefined) return { apiKey, baseUrl };
      const own = sealed.base_url;
      return {
        apiKey: vault.open(sealed.ciphertext, providerContext(tenantId, provider, own)),
        baseUrl: own ?? baseUrl,
      };
    },
    forget: (tenantId) => cache.forget((entry) => entry.tenantId === tenantId),
  };
}
