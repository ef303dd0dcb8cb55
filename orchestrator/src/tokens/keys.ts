import { type CryptoKey, importJWK, type JWK } from 'jose';

/** One of our signing keys: ES256, identified by `kid`. */
export interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  publicJwk: JWK & { kty: string; kid: string; alg: string };
}

/** The first key signs, all keys verify. To rotate, put the new key in front and remove the old one later. */
export interface KeyRing {
  readonly signing: SigningKey;
  find(kid: string | undefined): SigningKey | undefined;
  /** The public keys, as `/.well-known/jwks.json` shows them. */
  readonly jwks: { keys: SigningKey['publicJwk'][] };
}

async function importSigningKey(jwk: JWK & { kid: string }): Promise<SigningKey> {
  const { x, y } = jwk as { x: string; y: string };
  const publicJwk = { kty: 'EC', crv: 'P-256', x, y, kid: jwk.kid, alg: 'ES256', use: 'sig' };
  const [privateKey, publicKey] = await Promise.all([importJWK(jwk, 'ES256'), importJWK(publicJwk, 'ES256')]);
  return { kid: jwk.kid, privateKey: privateKey as CryptoKey, publicKey: publicKey as CryptoKey, publicJwk };
}

/** @param jwks private EC P-256 keys, at least one. */
export async function createKeyRing(jwks: readonly (JWK & { kid: string })[]): Promise<KeyRing> {
  const keys = await Promise.all(jwks.map(importSigningKey));
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  const signing = keys[0];
  if (!signing) throw new Error('a key ring needs a key');
  return {
    signing,
    find: (kid) => (kid === undefined ? undefined : byKid.get(kid)),
    jwks: { keys: keys.map((key) => key.publicJwk) },
  };
}
