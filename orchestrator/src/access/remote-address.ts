import { hkdfSync } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * The caller's address: from the header that Fly's proxy sets, otherwise from the socket. Fly's proxy
 * overwrites the header. If traffic can reach an orchestrator in another way, callers can forge this address
 * (docs/security.md).
 */
export function remoteAddressOf({ headers, ip }: { headers: IncomingHttpHeaders; ip: string }): string {
  const named = [headers['fly-client-ip'] ?? []].flat()[0];
  return named !== undefined && isIP(named) !== 0 ? named : ip;
}

const groupsOf = (half: string): string[] => (half === '' ? [] : half.split(':'));

/** The first 64 bits of an IPv6 address in a canonical spelling. */
function blockOfV6(address: string): string {
  const [head = '', tail] = (address.split('%')[0] as string).toLowerCase().split('::');
  const [first, last] = [groupsOf(head), groupsOf(tail ?? '')];
  const missing = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array<string>(missing).fill('0'), ...last].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/**
 * What rate limits count as one caller: an IPv4 address, or the /64 network of an IPv6 address, because a
 * single connection is usually assigned a whole /64.
 */
export function addressBlockOf(request: { headers: IncomingHttpHeaders; ip: string }): string {
  const address = remoteAddressOf(request);
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return isIP(address) === 6 ? blockOfV6(address) : address;
}

/**
 * The key for hashing addresses. It is derived from the credentials key, so that no key serves two purposes,
 * and changes when that key is rotated.
 */
export const addressKeyOf = (credentialsKey: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', credentialsKey, '', 'greenroom:addresses', 32));
