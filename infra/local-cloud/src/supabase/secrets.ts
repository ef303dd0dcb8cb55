import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';

/** Passwords, API keys and the key that signs user tokens. Created once per project. */
export interface Secrets {
  passwords: { supabase_admin: string; postgres: string; authenticator: string; supabase_auth_admin: string };
  publishableKey: string;
  secretKey: string;
  /** Private ES256 JWK with `kid`. */
  authKey: JWK;
}

const random = (length: number): string => randomBytes(length).toString('base64url').slice(0, length);
const apiKey = (kind: 'publishable' | 'secret'): string => `sb_${kind}_${random(22)}_${random(8)}`;

async function createSecrets(): Promise<Secrets> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return {
    passwords: {
      supabase_admin: random(32),
      postgres: random(32),
      authenticator: random(32),
      supabase_auth_admin: random(32),
    },
    publishableKey: apiKey('publishable'),
    secretKey: apiKey('secret'),
    authKey: { ...(await exportJWK(privateKey)), kid: crypto.randomUUID(), alg: 'ES256', use: 'sig' },
  };
}

/** The secrets in this folder. With `keep` existing ones are used; otherwise new ones are created, readable by the owner only. */
export async function folderSecrets(dir: string, keep: boolean): Promise<Secrets> {
  const file = path.join(dir, 'secrets.json');
  if (keep && existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const secrets = await createSecrets();
  writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  return secrets;
}
