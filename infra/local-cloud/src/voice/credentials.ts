/**
 * Standing keys and the ephemeral secrets minted with them.
 *
 * - An ephemeral secret can start calls (also several) until it expires. The calls it started continue after
 *   that, and it still controls them.
 * - Only this module stores a whole secret; everything else gets its fingerprint.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { WireReply } from '../faulty-route.ts';
import { incorrectHostname, invalidKey } from './api-error.ts';
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
  /** The answer to an `Authorization` header whose credential may not do this. */
  refusal(authorization: string | undefined): WireReply;
  /** Removes this standing key and every secret minted with it. */
  revoke(key: string): void;
}

export const fingerprintOf = (secret: string): string => createHash('sha256').update(secret).digest('hex').slice(0, 16);

/** @param elsewhere keys of projects in other regions, and the host at which each is valid */
export function createCredentials(
  standingKeys: string[],
  clock: Clock,
  elsewhere: Record<string, string> = {},
): Credentials {
  const standing = new Set(standingKeys.map(fingerprintOf));
  const minted = new Map<string, { mintedBy: string; expiresAt: number; session: unknown }>();
  const secretIn = (authorization = ''): string | undefined => /^Bearer\s+(\S+)$/i.exec(authorization)?.[1];
  return {
    mint: (by, session, ttlSeconds) => {
      const value = newWireId('ek');
      const expiresAt = Math.floor(clock.now() / 1000) + ttlSeconds;
      minted.set(fingerprintOf(value), { mintedBy: by.fingerprint, expiresAt, session });
      return { value, expiresAt };
    },
    identify: (authorization) => {
      const secret = secretIn(authorization);
      if (!secret) return undefined;
      const fingerprint = fingerprintOf(secret);
      if (standing.has(fingerprint)) return { kind: 'standing', fingerprint };
      const found = minted.get(fingerprint);
      if (!found || !standing.has(found.mintedBy)) return undefined;
      return { kind: 'ephemeral', fingerprint, ...found, expired: found.expiresAt * 1000 <= clock.now() };
    },
    refusal: (authorization) => {
      const host = elsewhere[secretIn(authorization) ?? ''];
      return host === undefined ? invalidKey : incorrectHostname(host);
    },
    revoke: (key) => void standing.delete(fingerprintOf(key)),
  };
}
