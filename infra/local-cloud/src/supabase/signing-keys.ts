import type { JWK } from 'jose';
import { publicPart } from './tokens.ts';

/**
 * A project's signing keys and their places in the rotation, as Supabase's guide describes them.
 *
 * - `standby`: published, but no token signed with it is accepted. An imported key begins here.
 * - `in_use`: published and accepted. There is one.
 * - `previously_used`: published and accepted until it is revoked.
 * - `revoked`: neither.
 *
 * A difference to hosted projects: the auth service always signs with the key that it made, because it has no other private key.
 */
export type KeyStatus = 'standby' | 'in_use' | 'previously_used' | 'revoked';

export interface SigningKeys {
  /** What `/auth/v1/.well-known/jwks.json` shows. */
  published(): { keys: JWK[] };
  /** The keys whose tokens are accepted. */
  accepted(): { keys: JWK[] };
  /** As the Management API lists them. */
  list(): Array<{ id: string; algorithm: string; status: KeyStatus; public_jwk: JWK }>;
  /** @throws when there is no such key */
  move(kid: string, status: KeyStatus): void;
}

/** @param own the auth service's key; the current one if nothing was imported. @param imported the first becomes the current key */
export function createSigningKeys(own: JWK, imported: JWK[]): SigningKeys {
  const keys = [own, ...imported].map((jwk, n) => ({
    jwk: publicPart(jwk),
    status: (n === Math.min(1, imported.length) ? 'in_use' : 'previously_used') as KeyStatus,
  }));
  const withStatus = (...statuses: KeyStatus[]) => ({
    keys: keys.filter(({ status }) => statuses.includes(status)).map(({ jwk }) => jwk),
  });
  return {
    published: () => withStatus('standby', 'in_use', 'previously_used'),
    accepted: () => withStatus('in_use', 'previously_used'),
    list: () => keys.map(({ jwk, status }) => ({ id: jwk.kid ?? '', algorithm: 'ES256', status, public_jwk: jwk })),
    move: (kid, status) => {
      const key = keys.find(({ jwk }) => jwk.kid === kid);
      if (!key) throw new Error(`there is no signing key ${kid}`);
      key.status = status;
    },
  };
}
