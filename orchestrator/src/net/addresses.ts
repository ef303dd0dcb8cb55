import { BlockList, isIP } from 'node:net';

/**
 * Decides which addresses are public. Anything doubtful counts as not public: all IPv6 outside global unicast, and every form of
 * an IPv4 address inside IPv6 (mapped, translated, 6to4, Teredo), whatever it points to.
 *
 * Sources: IANA special-purpose address registries for IPv4 and IPv6; fly.io/docs/networking/private-networking (6PN is
 * fdaa::/16, within fc00::/7); 169.254.169.254 and fd00:ec2::254 (cloud metadata) lie in link-local and fc00::/7.
 */
const privateV4: Array<[string, number]> = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local, metadata
  ['172.16.0.0', 12],
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
];
const specialV6: Array<[string, number]> = [
  ['2001::', 23], // protocol assignments, Teredo
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4
  ['2620:4f:8000::', 48],
  ['3fff::', 20], // documentation
];

const notPublicV4 = new BlockList();
for (const [net, prefix] of privateV4) notPublicV4.addSubnet(net, prefix, 'ipv4');
const globalV6 = new BlockList();
globalV6.addSubnet('2000::', 3, 'ipv6');
const notPublicV6 = new BlockList();
for (const [net, prefix] of specialV6) notPublicV6.addSubnet(net, prefix, 'ipv6');

/** Whether the address is public. False for text that is not an address. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !notPublicV4.check(address, 'ipv4');
  // An address with a zone belongs to an interface of this host.
  if (family === 6)
    return !address.includes('%') && globalV6.check(address, 'ipv6') && !notPublicV6.check(address, 'ipv6');
  return false;
}

const networkForm = /^([0-9a-f.:]+)\/(\d{1,3})$/i;

/** Whether this is a network in CIDR notation. */
export function isNetwork(text: string): boolean {
  const [, address = '', prefix = ''] = networkForm.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** @param networks in CIDR notation. @returns whether an address lies in one of them. */
export function createNetworks(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [, address = '', prefix = ''] = networkForm.exec(network) ?? [];
    list.addSubnet(address, Number(prefix), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return (address) => {
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}
