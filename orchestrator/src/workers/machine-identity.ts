import { type MachineIdentity, machineIdentity } from '@greenroom/shared/protocol/tokens.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';

/**
 * Verifies the OIDC token with which a worker proves which machine it runs in. Fly issues it to that machine
 * only.
 *
 * - jose checks issuer, audience (this worker API), algorithm and expiry. This file checks the organisation.
 * - The signing keys come from the issuer's discovery document only, never from a URL in the token.
 */
export interface MachineIdentities {
  /** Throws only if the issuer's keys cannot be loaded. */
  verify(token: string): Promise<{ kind: 'good'; identity: MachineIdentity } | { kind: 'bad'; why: string }>;
}

export interface MachineIdentitiesOptions {
  issuer: string;
  audience: string;
  org: string;
  clock: Clock;
  requestMs: number;
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

async function discover(issuer: string, requestMs: number): Promise<JWTVerifyGetKey> {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(requestMs),
    redirect: 'error',
  });
  if (!answer.ok) throw new Error(`the OIDC issuer answered HTTP ${answer.status}`);
  const document = discovery.parse(await answer.json());
  if (document.issuer !== issuer) throw new Error('the OIDC discovery document names another issuer');
  return createRemoteJWKSet(new URL(document.jwks_uri), { timeoutDuration: requestMs, cooldownDuration: 5_000 });
}

/** Whether the token is at fault, and not the connection to its issuer. */
const isTokenFault = (error: unknown): error is errors.JOSEError =>
  error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && error.code !== 'ERR_JOSE_GENERIC';

export function createMachineIdentities(options: MachineIdentitiesOptions): MachineIdentities {
  const { issuer, audience, org, clock, requestMs } = options;
  let keys: Promise<JWTVerifyGetKey> | undefined;
  const keySet = (): Promise<JWTVerifyGetKey> => {
    keys ??= discover(issuer, requestMs).catch((error: unknown) => {
      keys = undefined;
      throw error;
    });
    return keys;
  };
  const verified = async (token: string) => {
    const { payload } = await jwtVerify(token, await keySet(), {
      algorithms: ['RS256'],
      issuer,
      audience,
      requiredClaims: ['exp'],
      currentDate: new Date(clock.now()),
      clockTolerance: 5,
    });
    return machineIdentity.safeParse(payload);
  };
  return {
    verify: async (token) => {
      try {
        const claims = await verified(token);
        if (!claims.success) return { kind: 'bad', why: 'claims' };
        return claims.data.org_name === org
          ? { kind: 'good', identity: claims.data }
          : { kind: 'bad', why: 'organisation' };
      } catch (error) {
        if (isTokenFault(error)) return { kind: 'bad', why: error.code };
        throw error;
      }
    },
  };
}
