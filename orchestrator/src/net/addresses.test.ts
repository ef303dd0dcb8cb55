import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createNetworks, isNetwork, isPublicAddress } from './addresses.ts';

describe('an address', () => {
  test.each([
    ['127.0.0.1', false],
    ['127.255.255.254', false],
    ['0.0.0.0', false],
    ['10.1.2.3', false],
    ['100.64.0.1', false],
    ['100.127.255.255', false],
    ['100.128.0.1', true],
    ['169.254.169.254', false],
    ['172.15.0.1', true],
    ['172.16.0.1', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['192.168.1.1', false],
    ['198.18.0.1', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['1.1.1.1', true],
    ['66.241.125.10', true],
    ['::', false],
    ['::1', false],
    ['::ffff:1.1.1.1', false],
    ['::ffff:127.0.0.1', false],
    ['::ffff:7f00:1', false],
    ['::127.0.0.1', false],
    ['64:ff9b::7f00:1', false],
    ['64:ff9b::1.1.1.1', false],
    ['100::1', false],
    ['fdaa:0:1:a7b:1::2', false],
    ['fdaa::3', false],
    ['fd00:ec2::254', false],
    ['fc00::1', false],
    ['fe80::1', false],
    ['fe80::1%eth0', false],
    ['fec0::1', false],
    ['ff02::1', false],
    ['2001::1', false],
    ['2001:db8::1', false],
    ['2002:7f00:1::', false],
    ['3fff::1', false],
    ['2606:4700:4700::1111', true],
    ['2a09:8280:1::a:1', true],
    ['2606:4700::1%lo', false],
    ['localhost', false],
    ['', false],
    ['0x7f.1', false],
    ['2130706433', false],
  ])('%s is public: %s', (address, expected) => {
    expect(isPublicAddress(address)).toBe(expected);
  });

  test('property: no private IPv4 address is public, however it is written in IPv6', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const privates = fc.oneof(
      fc.tuple(fc.constant(10), octet, octet, octet),
      fc.tuple(fc.constant(127), octet, octet, octet),
      fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), octet, octet),
      fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
      fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
      fc.tuple(fc.constant(100), fc.integer({ min: 64, max: 127 }), octet, octet),
    );
    fc.assert(
      fc.property(privates, ([a, b, c, d]) => {
        const v4 = `${a}.${b}.${c}.${d}`;
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        const spellings = [v4, `::ffff:${v4}`, `::ffff:${hex}`, `::${v4}`, `64:ff9b::${hex}`, `2002:${hex}::`];
        return spellings.every((spelling) => !isPublicAddress(spelling));
      }),
    );
  });

  test('property: nothing outside of global unicast is public', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const address = groups.map((g) => g.toString(16)).join(':');
        return groups[0] !== undefined && groups[0] >> 13 === 1 ? true : !isPublicAddress(address);
      }),
    );
  });
});

test('networks are checked when they are read, and contain what they say', () => {
  expect(['127.0.0.0/8', '::1/128', 'fdaa::/16'].map(isNetwork)).toEqual([true, true, true]);
  expect(['127.0.0.1', '127.0.0.0/33', 'x/8', '::/129', ''].map(isNetwork)).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
  const inside = createNetworks(['127.0.0.0/8', 'fdaa::/16']);
  expect(['127.9.9.9', 'fdaa:1::2', '128.0.0.1', 'fdab::1', 'host'].map(inside)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});
