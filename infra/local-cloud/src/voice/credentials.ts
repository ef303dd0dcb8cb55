/**
 * Standing keys and the ephemeral secrets minted with them.
 *
 * - An ephemeral secret can start calls (also several) until it expires. The calls it started continue after
 *   that, and it still controls them.
 * - Only this module stores a whole secret; everything else gets its fingerprint.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newWireId } from './wire.ts';

export type Credential =
  | { kind: 'standing'; fingerprint: string }
  | {
      kind: 'ephemeral';
      fingerprint: string;
      /** Fingerprint of the standing key it was minted with. */
      mintedBy: string;
      /** Unix seconds. */
      expiresAt: number;
      expired: boolean;
      /** The session configuration it carries. */
      session: unknown;
    };

export interface Credentials {
  mint(by: Credential, session: unknown, ttlSeconds: number): { value: string; expiresAt: number };
  /** Identifies the credential of an `Authorization` header; undefined if it is unknown. */
  identify(authorization: string | undefined): Credential | undefined;
  /** Removes this standing key and every secret minted with it. */
  revoke(key: string): void;
}

export const fingerprintOf = (secret: string): string => createHash('sha256').update(secret).digest('hex').slice(0, 16);

export function createCredentials(standingKeys: string[], clock: Clock): Credentials {
  const standing = new Set(standingKeys.map(fingerprintOf));
  const minted = new Map<string, { mintedBy: string; expiresAt: number; session: unknown }>();
  return {
    mint: (by, session, ttlSeconds) => {
      const value = newWireId('ek');
      const expiresAt = Math.floor(clock.now() / 1000) + ttlSeconds;
      minted.set(fingerprintOf(value), { mintedBy: by.fingerprint, expiresAt, session });
      return { value, expiresAt };
    },
    identify: (authorization) => {
      const secret = /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1];
      if (!secret) return undefined;
      const fingerprint = fingerprintOf(secret);
      if (standing.has(fingerprint)) return { kind: 'standing', fingerprint };
      const found = minted.get(fingerprint);
      if (!found || !standing.has(found.mintedBy)) return undefined;
      return { kind: 'ephemeral', fingerprint, ...found, expired: found.expiresAt * 1000 <= clock.now() };
    },
    revoke: (key) => void standing.delete(fingerprintOf(key)),
  };
}
