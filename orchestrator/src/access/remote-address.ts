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

const groupsOf = (half: string): string[] => (half === '' ? [] : half.split(':'));

/** The first 64 bits of an IPv6 address, spelled in one way. */
function blockOfV6(address: string): string {
  const [head = '', tail] = (address.split('%')[0] as string).toLowerCase().split('::');
  const [first, last] = [groupsOf(head), groupsOf(tail ?? '')];
  const missing = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array<string>(missing).fill('0'), ...last].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/** What is counted as one caller by limits: an IPv4 address, or the /64 of an IPv6 address, which one household owns whole. */
export function addressBlockOf(request: { headers: IncomingHttpHeaders; ip: string }): string {
  const address = remoteAddressOf(request);
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return isIP(address) === 6 ? blockOfV6(address) : address;
}

/** The key that addresses are hashed with, derived: no key is used for two purposes. Rotating the credentials key changes it. */
export const addressKeyOf = (credentialsKey: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', credentialsKey, '', 'greenroom:addresses', 32));
