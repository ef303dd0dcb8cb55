import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';

/**
 * Users of Supabase Auth, known by their access token.
 *
 * S1  Signature, algorithm, issuer, audience, expiry and role are all checked here; auth-js's own check leaves out issuer
 *     and audience, and our own tokens are signed by a key that the project knows too.
 * S2  What a user may do is read from the database on every request: a role in a token would outlive its withdrawal.
 */
export type VerifyUser = (token: string) => Promise<{ kind: 'good'; userId: string } | { kind: 'bad'; why: string }>;

export const userTokenForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const claims = z.object({ sub: uuid, role: z.literal('authenticated') });

export interface UserVerifierOptions {
  supabaseUrl: string;
  clock: Clock;
  /** Default: the project's key set, kept for ten minutes and asked again for an unknown `kid` at most every 30 s. */
  keys?: JWTVerifyGetKey;
}

const keySetOf = (supabaseUrl: string): JWTVerifyGetKey =>
  createRemoteJWKSet(new URL(`${supabaseUrl}/auth/v1/.well-known/jwks.json`), { timeoutDuration: 5_000 });

/** Throws AppError database_unavailable when the project's keys cannot be had. */
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
      // A key set that cannot be had is a TypeError of fetch, a timeout, or an answer that is none.
      const unavailable = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout;
      if (unavailable || error.code === 'ERR_JOSE_GENERIC')
        throw new AppError('database_unavailable', { retryAfterS: 2, cause: error });
      return { kind: 'bad', why: error.code };
    }
  };
}
