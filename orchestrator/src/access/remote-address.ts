import { hkdfSync } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * The address a request comes from: what Fly's proxy says, else the socket's. Fly's proxy overwrites the header; whoever
 * lets traffic reach an orchestrator another way lets callers choose this address (docs/security.md).
 */
export function remoteAddressOf({ headers, ip }: { headers: IncomingHttpHeaders; ip: string }): string {
  const named = [headers['fly-client-ip'] ?? []].flat()[0];
  return named !== undefined && isIP(named) !== 0 ? named : ip;
}

/** The key that addresses are hashed with, derived: no key is used for two purposes. Rotating the credentials key changes it. */
export const addressKeyOf = (credentialsKey: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', credentialsKey, '', 'greenroom:addresses', 32));
