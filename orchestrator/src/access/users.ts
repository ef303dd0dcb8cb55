import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';

/**
 * Verifies access tokens of Supabase Auth users.
 *
 * - Signature, algorithm, issuer, audience, expiry and role are all checked here. The check in auth-js omits
 *   issuer and audience, and the Supabase project also trusts the key that signs our own tokens.
 * - A user's permissions come from the database and not from the token: a token would still carry a role after
 *   the role was withdrawn.
 */
export type VerifyUser = (token: string) => Promise<{ kind: 'good'; userId: string } | { kind: 'bad'; why: string }>;

export const userTokenForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const claims = z.object({ sub: uuid, role: z.literal('authenticated') });

export interface UserVerifierOptions {
  supabaseUrl: string;
  clock: Clock;
  /** Default: the project's key set, cached for ten minutes; an unknown `kid` reloads it at most every 30 s. */
  keys?: JWTVerifyGetKey;
}

const keySetOf = (supabaseUrl: string): JWTVerifyGetKey =>
  createRemoteJWKSet(new URL(`${supabaseUrl}/auth/v1/.well-known/jwks.json`), { timeoutDuration: 5_000 });

/** The returned function throws AppError database_unavailable when the project's key set cannot be loaded. */
export function createUserVerifier({
  supabaseUrl,
  clock,
  keys = keySetOf(supabaseUrl),
}: UserVerifierOptions): VerifyUser {
  const options = {
    issuer: `${supabaseUrl}/auth/v1`,
    audience: 'authenticated',
    algorithms: ['ES256', 'RS256'],
    requiredClaims: ['exp', 'sub'],
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys, { ...options, currentDate: new Date(clock.now()) });
      const parsed = claims.safeParse(payload);
      return parsed.success ? { kind: 'good', userId: parsed.data.sub } : { kind: 'bad', why: 'claims' };
    } catch (error) {
      // A key set that cannot be loaded shows as a TypeError of fetch, a timeout, or an invalid response.
      const unavailable = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout;
      if (unavailable || error.code === 'ERR_JOSE_GENERIC')
        throw new AppError('database_unavailable', { retryAfterS: 2, cause: error });
      return { kind: 'bad', why: error.code };
    }
  };
}
