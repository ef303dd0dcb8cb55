/**
 * The platform's identity provider: signs tokens that state which machine the holder is. Only this module has
 * the keys.
 *
 * Faults at `oidc`: `status`, `delay`, and the special faults `expired` (a token that expired an hour ago)
 * and `foreign_key` (signed with a key that is not in the JWKS).
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Machine } from './state.ts';

const TOKEN_LIFE_S = 600;
const ALG = 'RS256';

export interface Oidc {
  discovery(): Record<string, unknown>;
  jwks(): { keys: JWK[] };
  /** @param audience default `https://fly.io/<org>`. @param special a special fault, see above. */
  mint(machine: Machine, audience?: string, special?: string): Promise<string>;
}

export interface OidcDeps {
  /** Without a slash at the end. Called for each token. */
  issuer: () => string;
  /** The organisation's name in tokens. */
  orgName: () => string;
  clock: Clock;
}

function machineClaims(machine: Machine, orgSlug: string) {
  const { registry, repository, tag, digest } = machine.image.ref;
  return {
    app_id: machine.app.id,
    app_name: machine.app.name,
    org_id: `org-${orgSlug}`,
    org_name: orgSlug,
    machine_id: machine.id,
    machine_name: machine.name,
    machine_version: machine.instanceId,
    region: machine.region,
    image: `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}`,
    image_digest: digest,
  };
}

export async function createOidc({ issuer, orgName, clock }: OidcDeps): Promise<Oidc> {
  const kid = randomUUID();
  const [key, foreign] = await Promise.all([generateKeyPair(ALG), generateKeyPair(ALG)]);
  const publicJwk: JWK = { ...(await exportJWK(key.publicKey)), kid, alg: ALG, use: 'sig' };

  return {
    jwks: () => ({ keys: [publicJwk] }),
    discovery: () => ({
      issuer: issuer(),
      jwks_uri: `${issuer()}/.well-known/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [ALG],
      scopes_supported: ['openid'],
      claims_supported: ['sub', 'aud', 'exp', 'iat', 'iss', 'jti', 'nbf', ...Object.keys(EXAMPLE_CLAIMS)],
    }),
    mint: (machine, audience = `https://fly.io/${orgName()}`, special) => {
      const nowS = Math.floor(clock.now() / 1_000) - (special === 'expired' ? 3_600 + TOKEN_LIFE_S : 0);
      return new SignJWT(machineClaims(machine, orgName()))
        .setProtectedHeader({ alg: ALG, kid, typ: 'JWT' })
        .setIssuer(issuer())
        .setSubject(`${orgName()}:${machine.app.name}:${machine.name}`)
        .setAudience(audience)
        .setJti(randomUUID())
        .setIssuedAt(nowS)
        .setNotBefore(nowS)
        .setExpirationTime(nowS + TOKEN_LIFE_S)
        .sign(special === 'foreign_key' ? foreign.privateKey : key.privateKey);
    },
  };
}

/** Names of the claims about a machine, for the discovery document. */
const EXAMPLE_CLAIMS: Record<keyof ReturnType<typeof machineClaims>, true> = {
  app_id: true,
  app_name: true,
  org_id: true,
  org_name: true,
  machine_id: true,
  machine_name: true,
  machine_version: true,
  region: true,
  image: true,
  image_digest: true,
};
