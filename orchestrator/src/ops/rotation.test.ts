import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createVault, providerContext, webhookContext } from '../tokens/vault.ts';
import { rotateCredentials } from './rotation.ts';

const [oldKey, newKey, lostKey] = [randomBytes(32), randomBytes(32), randomBytes(32)];

/** Rows as the database keeps them, with its compare-and-set. */
function makeRows(size: number, seal: (id: string) => { ciphertext: string; key_id: string }) {
  const rows = new Map(Array.from({ length: size }, (_, n) => [`row-${n}`, seal(`row-${n}`)]));
  return {
    rows,
    due: (keyId: string) => [...rows].filter(([, row]) => row.key_id !== keyId).slice(0, 100),
    replace: (id: string, old: string, ciphertext: string, keyId: string) => {
      if (rows.get(id)?.ciphertext !== old) return false;
      rows.set(id, { ciphertext, key_id: keyId });
      return true;
    },
  };
}

/** Half of them name a base URL of their own. */
const baseUrlOf = (id: string) => (Number(id.slice(-1)) % 2 === 0 ? 'https://eu.api.openai.com/v1' : null);

test('everything is under the new key afterwards, page by page; what no key opens is named and left alone', async () => {
  const [before, lost] = [createVault(oldKey), createVault(lostKey)];
  const vault = createVault(newKey, oldKey);
  const credentials = makeRows(250, (id) => {
    const by = id === 'row-7' ? lost : before;
    return { ciphertext: by.seal(`sk-${id}`, providerContext(id, 'openai', baseUrlOf(id))), key_id: by.keyId };
  });
  const secrets = makeRows(3, (id) => ({
    ciphertext: before.seal(`whsec-${id}`, webhookContext(id)),
    key_id: before.keyId,
  }));
  const result = await rotateCredentials({
    vault,
    tenants: {
      credentialsToRotate: async (keyId) =>
        credentials
          .due(keyId)
          .map(([id, row]) => ({ tenant_id: id, provider: 'openai', base_url: baseUrlOf(id), ...row })),
      rotateCredential: async (id, _provider, old, ciphertext, keyId) =>
        credentials.replace(id, old, ciphertext, keyId),
    },
    webhooks: {
      secretsToRotate: async (keyId) => secrets.due(keyId).map(([id, { ciphertext }]) => ({ id, ciphertext })),
      rotateCiphertext: async (id, old, { ciphertext, keyId }) => secrets.replace(id, old, ciphertext, keyId),
    },
  });
  expect(result).toEqual({ credentials: 249, secrets: 3, failed: ['the openai credential of tenant row-7'] });
  const alone = createVault(newKey);
  const opened = [...credentials.rows].filter(([id]) => id !== 'row-7');
  for (const [id, { ciphertext }] of opened)
    expect(alone.open(ciphertext, providerContext(id, 'openai', baseUrlOf(id)))).toBe(`sk-${id}`);
  for (const [id, { ciphertext }] of secrets.rows)
    expect(alone.open(ciphertext, webhookContext(id))).toBe(`whsec-${id}`);
});
