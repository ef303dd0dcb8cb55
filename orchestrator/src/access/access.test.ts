import { readFileSync } from 'node:fs';
import path from 'node:path';
import { scopes, scopesOfRole } from '@greenroom/shared/protocol/access.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import type { Booking } from '../database/access-store.ts';
import type { AuditEntry } from '../database/audit-store.ts';
import { createCache } from '../runtime/cache.ts';
import { readOperatorTokens } from '../tokens/operator-tokens.ts';
import { createOrigins } from './origins.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRefusalLog } from './refusals.ts';
import { addressBlockOf, remoteAddressOf } from './remote-address.ts';

describe('rate limits', () => {
  const limit = { scope: 'key:a', perMinute: 60, burst: 3 };
  const make = (waits: Record<string, number> = {}) => {
    const clock = createFakeClock();
    const booked: Booking[][] = [];
    const limits = createRateLimits({
      clock,
      spend: async (bookings) => {
        booked.push(bookings);
        return bookings.map(({ scope }) => ({ scope, wait_ms: waits[scope] ?? 0 }));
      },
    });
    return { clock, booked, limits };
  };

  test('allow a burst, then one request per interval, and report what remains', async () => {
    const { clock, limits } = make();
    expect([1, 2, 3].map(() => limits.draw([limit]).remaining)).toEqual([2, 1, 0]);
    expect(limits.draw([limit])).toMatchObject({ allowed: false, limit: 3, remaining: 0, retryAfterMs: 1_000 });
    await clock.advance(1_000);
    expect(limits.draw([limit]).allowed).toBe(true);
    expect(limits.draw([limit]).allowed).toBe(false);
  });

  test('drawn together: if one of them is used up, the others are not charged', () => {
    const { limits } = make();
    const tight = { scope: 'tenant:t', perMinute: 60, burst: 1 };
    expect(limits.draw([limit, tight]).allowed).toBe(true);
    expect(limits.draw([limit, tight]).allowed).toBe(false);
    expect(limits.draw([limit]).remaining).toBe(1);
  });

  test('are added up for all processes in one call, and a scope over its shared limit is refused here', async () => {
    const { clock, booked, limits } = make({ 'key:a': 5_000 });
    limits.draw([limit]);
    limits.draw([limit]);
    limits.draw([{ ...limit, scope: 'refused:1', shared: false }]);
    await limits.book();
    expect(booked).toEqual([[{ scope: 'key:a', cost: 2, per_minute: 60, burst: 3 }]]);
    expect(limits.draw([limit])).toMatchObject({ allowed: false, retryAfterMs: 5_000 });
    await limits.book();
    expect(booked).toHaveLength(1);
    await clock.advance(5_000);
    expect(limits.draw([limit]).allowed).toBe(true);
  });
});

describe('refusals', () => {
  const refusal = (why: string, address = '192.0.2.1'): Omit<AuditEntry, 'outcome'> => ({
    actor: 'unknown',
    action: 'api.access',
    remote_address: address,
    details: { why },
  });
  const make = () => {
    const clock = createFakeClock();
    const entries: AuditEntry[] = [];
    const record = async (entry: AuditEntry) => void entries.push(entry);
    return { clock, entries, note: createRefusalLog({ record, clock, logger: silentLogger() }) };
  };

  test('of one kind are written five times a minute; the next entry says how many were left out', async () => {
    const { clock, entries, note } = make();
    for (let n = 0; n < 100; n += 1) note(refusal('forged'));
    expect(entries).toHaveLength(5);
    note(refusal('expired'));
    expect(entries.at(-1)?.details).toEqual({ why: 'expired', left_out_before: 95 });
    await clock.advance(60_000);
    note(refusal('forged'));
    expect(entries).toHaveLength(7);
    expect(entries.every((entry) => entry.outcome === 'refused')).toBe(true);
  });

  test('from always new addresses are limited to 300 a minute', () => {
    const { entries, note } = make();
    for (let n = 0; n < 5_000; n += 1) note(refusal('forged', `198.51.100.${n}`));
    expect(entries).toHaveLength(300);
  });
});

test('a cache does not keep a value that was being read when its key was dropped', async () => {
  const clock = createFakeClock();
  let answer: (value: string) => void = () => undefined;
  let reads = 0;
  const cache = createCache(
    () => {
      reads += 1;
      return new Promise<string>((resolve) => {
        answer = resolve;
      });
    },
    1_000,
    clock,
  );
  const first = cache.get('k');
  cache.forget(() => true);
  answer('before the revocation');
  await first;
  void cache.get('k');
  expect(reads).toBe(2);
});

test('our own origin is allowed everywhere, a listed one for its tenant, any on the socket if there is no list', async () => {
  const origins = createOrigins({
    load: async () => [{ tenant_id: 'a', origins: ['https://a.example'] }],
    publicUrl: 'https://rooms.example/base',
  });
  await origins.refresh();
  expect(['https://a.example', 'https://rooms.example', undefined].map((o) => origins.admitsSocket('a', o))).toEqual([
    true,
    true,
    true,
  ]);
  expect(origins.admitsSocket('a', 'https://b.example')).toBe(false);
  expect(origins.admitsSocket('b', 'https://b.example')).toBe(true);
  expect(origins.admitsApi('b', 'https://b.example')).toBe(false);
  expect(origins.admitsApi('b', 'https://a.example')).toBe(false);
  expect([origins.knows('https://a.example'), origins.knows('https://b.example')]).toEqual([true, false]);
});

test.each([
  ['', []],
  [`ops:${'a'.repeat(64)}`, ['ops admin']],
  [
    `ops:viewer:${'a'.repeat(64)}, ann@example.com:operator:${'b'.repeat(64)},`,
    ['ops viewer', 'ann@example.com operator'],
  ],
  ['ops:short', 'entry 1: the hash must be 64 lowercase hexadecimal digits (the SHA-256 of the token)'],
  [`ops:${'a'.repeat(64)},kim:boss:${'b'.repeat(64)}`, 'entry 2: the role must be viewer, operator, admin'],
  [`:${'a'.repeat(64)}`, 'entry 1: the name must be 1 to 60 letters, digits and . @ _ -'],
  ['kim', 'entry 1: must be name:role:sha256hex'],
  [`a:${'a'.repeat(64)},b:viewer:${'a'.repeat(64)}`, 'entry 2: its hash is that of an earlier entry, a'],
])('OPERATOR_TOKENS=%j names the operators %j', (text, expected) => {
  const read = readOperatorTokens(text);
  expect('tokens' in read ? read.tokens.map(({ name, role }) => `${name} ${role}`) : read.problem).toEqual(expected);
});

test("the caller's address is the one from Fly's proxy if it is valid, otherwise the socket's", () => {
  const ip = '192.0.2.9';
  expect(remoteAddressOf({ headers: { 'fly-client-ip': '2001:db8::1' }, ip })).toBe('2001:db8::1');
  expect(remoteAddressOf({ headers: { 'fly-client-ip': "'; drop table" }, ip })).toBe(ip);
  expect(remoteAddressOf({ headers: {}, ip })).toBe(ip);
});

test.each([
  ['203.0.113.9', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:DB8:0001:0002:ffff::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('rate limits count %s as %s', (ip, block) => {
  expect(addressBlockOf({ headers: {}, ip })).toBe(block);
});

test('docs/security.md shows the scopes of each role', () => {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../../docs/security.md'), 'utf8');
  for (const scope of scopes) {
    const mark = (role: keyof typeof scopesOfRole) => (scopesOfRole[role].includes(scope) ? 'yes' : 'no');
    expect(text.replaceAll(/ +\|/g, ' |')).toContain(
      `| \`${scope}\` | ${mark('viewer')} | ${mark('member')} | ${mark('admin')} |`,
    );
  }
});
