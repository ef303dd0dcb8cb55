import type { TenantStore } from '../database/tenant-store.ts';
import type { WebhookStore } from '../database/webhook-store.ts';
import { providerContext, type Vault, webhookContext } from '../tokens/vault.ts';

/**
 * Re-encrypts credentials that are stored under another key.
 *
 * - It writes by compare-and-set. A credential that was replaced in the meantime already uses the current key.
 * - A credential that no key can decrypt is reported and left unchanged; the others are still processed.
 */
export interface RotationDeps {
  tenants: Pick<TenantStore, 'credentialsToRotate' | 'rotateCredential'>;
  webhooks: Pick<WebhookStore, 'secretsToRotate' | 'rotateCiphertext'>;
  vault: Vault;
}

export interface Rotated {
  credentials: number;
  secrets: number;
  /** Names of credentials that no key can decrypt. */
  failed: string[];
}

interface Item {
  name: string;
  ciphertext: string;
  context: string;
  replace(ciphertext: string): Promise<boolean>;
}

export async function rotateCredentials({ tenants, webhooks, vault }: RotationDeps): Promise<Rotated> {
  const failed = new Set<string>();

  const again = async ({ name, ciphertext, context, replace }: Item): Promise<boolean> => {
    let secret: string;
    try {
      secret = vault.open(ciphertext, context);
    } catch {
      failed.add(name);
      return false;
    }
    return replace(vault.seal(secret, context));
  };

  /** Reads pages until a page contains only credentials that were tried before. */
  const all = async (next: () => Promise<Item[]>): Promise<number> => {
    const tried = new Set<string>();
    let done = 0;
    for (;;) {
      const items = (await next()).filter(({ name, ciphertext }) => !tried.has(`${name} ${ciphertext}`));
      if (items.length === 0) return done;
      for (const item of items) {
        tried.add(`${item.name} ${item.ciphertext}`);
        if (await again(item)) done += 1;
      }
    }
  };

  const credentials = await all(async () =>
    (await tenants.credentialsToRotate(vault.keyId)).map(({ tenant_id, provider, base_url, ciphertext }) => ({
      name: `the ${provider} credential of tenant ${tenant_id}`,
      ciphertext,
      context: providerContext(tenant_id, provider, base_url),
      replace: (next) => tenants.rotateCredential(tenant_id, provider, ciphertext, next, vault.keyId),
    })),
  );
  const secrets = await all(async () =>
    (await webhooks.secretsToRotate(vault.keyId)).map(({ id, ciphertext }) => ({
      name: `the secret of webhook ${id}`,
      ciphertext,
      context: webhookContext(id),
      replace: (next) => webhooks.rotateCiphertext(id, ciphertext, { ciphertext: next, keyId: vault.keyId }),
    })),
  );
  return { credentials, secrets, failed: [...failed] };
}
