import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { z } from 'zod';
import type { KeyRing } from './keys.ts';

/**
 * Our own tokens: ES256 with `kid`, `iss`, `aud`, `iat` and `exp`. Verification requires this algorithm, the issuer, the audience
 * and an expiry. What was wrong is logged, but never told to the bearer.
 */
export interface TokenTerms {
  issuer: string;
  audience: string | string[];
  lifeMs: number;
}

export interface Jwt {
  mint(claims: JWTPayload, terms: TokenTerms): Promise<{ token: string; expiresAtMs: number }>;
  /** The claims, or why the token is not valid. */
  verify<T extends z.ZodType>(token: string, expected: Expected<T>): Promise<Verified<z.output<T>>>;
}

export interface Expected<T extends z.ZodType> {
  issuer: string;
  audience: string | string[];
  claims: T;
}

export type Verified<T> = { kind: 'good'; claims: T; expiresAtMs: number } | { kind: 'bad'; why: string };

export function createJwt(keys: KeyRing, clock: Clock): Jwt {
  return {
    mint: async (claims, { issuer, audience, lifeMs }) => {
      const nowS = Math.floor(clock.now() / 1_000);
      const expiresS = nowS + Math.max(1, Math.floor(lifeMs / 1_000));
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: keys.signing.kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt(nowS)
        .setExpirationTime(expiresS)
        .sign(keys.signing.privateKey);
      return { token, expiresAtMs: expiresS * 1_000 };
    },
    verify: (token, expected) => verifyToken(keys, clock, token, expected),
  };
}

async function verifyToken<T extends z.ZodType>(
  keys: KeyRing,
  clock: Clock,
  token: string,
  { issuer, audience, claims }: Expected<T>,
): Promise<Verified<z.output<T>>> {
  try {
    const { payload } = await jwtVerify(token, ({ kid }) => keyOf(keys, kid), {
      algorithms: ['ES256'],
      issuer,
      audience,
      requiredClaims: ['exp', 'iat'],
      currentDate: new Date(clock.now()),
    });
    const parsed = claims.safeParse(payload);
    if (!parsed.success) return { kind: 'bad', why: 'claims' };
    return { kind: 'good', claims: parsed.data, expiresAtMs: (payload.exp as number) * 1_000 };
  } catch (error) {
    if (error instanceof errors.JOSEError) return { kind: 'bad', why: error.code };
    throw error;
  }
}

function keyOf(keys: KeyRing, kid: string | undefined) {
  const key = keys.find(kid);
  if (!key) throw new errors.JWKSNoMatchingKey();
  return key.publicKey;
}
