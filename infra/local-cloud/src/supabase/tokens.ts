import { createLocalJWKSet, importJWK, type JSONWebKeySet, type JWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';

/** Signs and verifies the tokens of the local auth service, as a hosted project does: ES256, `kid`, `iss`, `aud`, `exp`. */
export interface Tokens {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  /** Lifetime in seconds, default 3,600; negative makes a token that has expired. */
  mint(claims: JWTPayload, options?: { expiresInS?: number }): Promise<string>;
  /** Throws jose's error when signature, issuer, audience or expiry is wrong. */
  verify(token: string): Promise<JWTPayload>;
}

const audience = 'authenticated';

export function publicPart({ kty, crv, x, y, n, e, kid, alg }: JWK): JWK {
  const parts = Object.entries({ kty, crv, x, y, n, e, kid, alg }).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(parts), use: 'sig', key_ops: ['verify'] };
}

export async function createTokens(authKey: JWK, issuer: string): Promise<Tokens> {
  const privateKey = await importJWK(authKey, 'ES256');
  const jwks: JSONWebKeySet = { keys: [publicPart(authKey)] };
  const keySet = createLocalJWKSet(jwks);
  return {
    issuer,
    jwks,
    mint: (claims, { expiresInS = 3_600 } = {}) =>
      new SignJWT({ role: 'authenticated', ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: authKey.kid!, typ: 'JWT' })
        .setIssuedAt()
        .setIssuer(issuer)
        .setAudience(audience)
        .setExpirationTime(`${expiresInS}s`)
        .sign(privateKey),
    verify: async (token) => (await jwtVerify(token, keySet, { issuer, audience, algorithms: ['ES256'] })).payload,
  };
}
