import { randomBytes, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';

/** New secrets for one deployment. In production an operator generates them. */
export interface DeploymentKeys {
  /** Private JWK that signs tokens for Supabase (`DB_SIGNING_KEY`). */
  db: JWK;
  dbPublic: JWK;
  /** Private JWK set that signs browser tokens (`JOIN_SIGNING_KEYS`). */
  join: { keys: JWK[] };
  /** AES-256 key for credentials at rest, base64 (`CREDENTIALS_KEY`). */
  credentials: string;
}

async function signingKey(): Promise<{ privateJwk: JWK; publicJwk: JWK }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const names = { kid: randomUUID(), alg: 'ES256', use: 'sig' };
  return {
    privateJwk: { ...(await exportJWK(privateKey)), ...names },
    publicJwk: { ...(await exportJWK(publicKey)), ...names },
  };
}

export async function makeDeploymentKeys(): Promise<DeploymentKeys> {
  const [db, join] = [await signingKey(), await signingKey()];
  return {
    db: db.privateJwk,
    dbPublic: db.publicJwk,
    join: { keys: [join.privateJwk] },
    credentials: randomBytes(32).toString('base64'),
  };
}
