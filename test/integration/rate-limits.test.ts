import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRateLimits } from '../../orchestrator/src/access/rate-limits.ts';
import { createAccessStore } from '../../orchestrator/src/database/access-store.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/** Rate limits as callers see them, shared by several orchestrators. */
let world: ApiWorld;
let acme: SeededTenant;
let globex: SeededTenant;

beforeAll(async () => {
  world = await startApiWorld({
    API_CALLER_PER_MINUTE: '20',
    API_TENANT_PER_MINUTE: '30',
    JOIN_ADDRESS_PER_MINUTE: '5',
  });
  [acme, globex] = [await world.tenant('acme'), await world.tenant('globex')];
});
afterAll(() => world.stop());

const ask = (as: string) => world.send('/api/sessions', { as });

test('each key has its own rate limit, all keys of a tenant share another, and other tenants are not affected', async () => {
  const first = await ask(acme.apiKey);
  expect([first.headers.get('ratelimit-limit'), first.headers.get('ratelimit-remaining')]).toEqual(['20', '19']);
  expect(Number(first.headers.get('ratelimit-reset'))).toBeGreaterThan(0);
  let answer = first;
  for (let n = 0; n < 20; n += 1) answer = await ask(acme.apiKey);
  expect(answer.json).toMatchObject({ status: 429, code: 'rate_limited' });
  expect(answer.headers.get('ratelimit-remaining')).toBe('0');
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);

  const second = await world.key(acme.id, ['sessions:read']);
  const statuses: number[] = [];
  for (let n = 0; n < 12; n += 1) statuses.push((await ask(second)).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(10);
  expect((await ask(globex.apiKey)).status).toBe(200);
});

test('an address can try only a few invitation codes a minute', async () => {
  const body = { session_id: '11111111-1111-4111-8111-111111111111', code: 'a-code-that-is-none' };
  const statuses: number[] = [];
  for (let n = 0; n < 7; n += 1) statuses.push((await world.send('/api/join', { method: 'POST', body })).status);
  expect(statuses).toEqual([410, 410, 410, 410, 410, 429, 429]);
  const limited = await world.send('/api/join', { method: 'POST', body });
  expect(limited.json).toMatchObject({ code: 'rate_limited' });
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  // Each browser address has its own limit; Fly's proxy gives the address.
  const other = await world.send('/api/join', { method: 'POST', body, headers: { 'fly-client-ip': '203.0.113.9' } });
  expect(other.status).toBe(410);
});

test('all orchestrators count against the same rate limit', async () => {
  const store = createAccessStore(world.deps.connection.database);
  const [one, two] = [1, 2].map(() => createRateLimits({ clock: systemClock, spend: store.spend }));
  const limit = { scope: 'key:shared', perMinute: 60, burst: 10 };
  for (let n = 0; n < 10; n += 1) expect(one?.draw([limit]).allowed).toBe(true);
  await one?.book();
  expect(two?.draw([limit]).allowed).toBe(true);
  await two?.book();
  const drawn = two?.draw([limit]);
  expect(drawn?.allowed).toBe(false);
  expect(drawn?.retryAfterMs).toBeGreaterThan(500);
  // Control: an unused scope is not limited.
  const other = { ...limit, scope: 'key:other' };
  two?.draw([other]);
  await two?.book();
  expect(two?.draw([other]).allowed).toBe(true);
});
