import { createHmac, randomBytes } from 'node:crypto';
import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet, type JWK } from 'jose';

/**
 * Does for PostgREST 12 what the built-in JWT cache does for hosted PostgREST (14 and newer).
 *
 * PostgREST 12 verifies an ES256 signature for every request. That costs 1.4 ms of CPU, four times the rest of a simple call.
 * This cache verifies the signature once per token and sends PostgREST the same claims with an HMAC.
 *
 * - Only the signature is checked here, and it never changes. PostgREST checks expiry, audience and role of the same claims.
 * - A token that fails verification here is passed on: every refusal comes from PostgREST. It goes unchanged, unless no key has
 *   the `kid` that it names. PostgREST 12 does not read `kid`, so such a token goes without its signature.
 * - The HMAC key exists only in this process and is not among the project's published keys.
 */
export interface TokenCache {
  /** PostgREST must accept this key in addition to the project's keys. */
  readonly key: JWK;
  /** The token to send to PostgREST instead of this one. Never rejects. */
  exchange(token: string): Promise<string>;
  /** Forgets every token: other keys are accepted from now on. */
  clear(): void;
}

const mostTokens = 10_000;

/** @param jwks the keys whose tokens are accepted now */
export function createTokenCache(jwks: () => JSONWebKeySet): TokenCache {
  const secret = randomBytes(32);
  const kid = `cache-${randomBytes(6).toString('hex')}`;
  const header = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'JWT', kid })).toString('base64url');
  let keySet = createLocalJWKSet(jwks());
  const known = new Map<string, Promise<string>>();

  const signAgain = (token: string): string => {
    const content = `${header}.${token.split('.')[1]}`;
    return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
  };

  const verified = (token: string): Promise<string> =>
    compactVerify(token, keySet).then(
      () => signAgain(token),
      (error) => (error instanceof errors.JWKSNoMatchingKey ? token.replace(/[^.]*$/, '') : token),
    );

  return {
    key: { kty: 'oct', k: secret.toString('base64url'), alg: 'HS256', kid, use: 'sig' },
    clear: () => {
      keySet = createLocalJWKSet(jwks());
      known.clear();
    },
    exchange: (token) => {
      let entry = known.get(token);
      if (entry) return entry;
      entry = verified(token);
      known.set(token, entry);
      if (known.size > mostTokens) known.delete(known.keys().next().value!);
      return entry;
    },
  };
}
