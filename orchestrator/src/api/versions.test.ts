import { scopes } from '@greenroom/shared/protocol/access.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { callersWith, registerRouteAccess } from '../access/route-access.ts';
import { createShares } from '../access/shares.ts';
import { registerErrors } from './problems.ts';
import { newestVersion, type PastVersion, registerVersions, versionOf } from './versions.ts';

/** A past version in which lists named their items, and a position had a name instead of a title. */
const past: PastVersion = {
  version: '2026-01-15',
  deprecatedAt: new Date('2026-11-27T00:00:00Z'),
  sunsetAt: new Date('2027-11-27T00:00:00Z'),
  guide: 'https://greenroom.dev/changes/2026-11-27',
  request: (operation, body) => {
    if (operation !== 'createPosition') return body;
    const { name, ...rest } = body as { name: string };
    return { title: name, ...rest };
  },
  answer: (operation, body) => {
    if (operation !== 'listPositions') return body;
    const { data, next_cursor } = body as { data: object[]; next_cursor: string | null };
    return { positions: data, next_cursor };
  },
};
/** Older still: the list had no cursor. */
const oldest: PastVersion = {
  ...{
    version: '2025-06-01',
    deprecatedAt: new Date('2026-01-15'),
    sunsetAt: new Date('2027-01-15'),
    guide: 'https://x',
  },
  answer: (operation, body) =>
    operation === 'listPositions' ? { positions: (body as { positions: object[] }).positions } : body,
};

async function appOf(apiVersion: string | null, versions = [oldest, past]) {
  const app = Fastify();
  registerErrors(app, silentLogger());
  const caller = {
    tenantId: 'acme',
    keyId: 'k',
    userId: null,
    actor: 'key:k',
    scopes,
    allowedRegions: null,
    apiVersion,
  };
  registerRouteAccess(app, { authenticate: async () => caller } as never, createShares(systemClock));
  registerVersions(app, versions);
  app.get('/api/positions', { config: callersWith('people:read') }, async () => ({
    ...{ data: [{ title: 'Engineer' }], has_more: false, next_cursor: null },
  }));
  app.post('/api/positions', { config: callersWith('people:write') }, async (request) => ({
    ...{ got: request.body, version: versionOf(request) },
  }));
  await app.ready();
  return app;
}

test('a key that is pinned to a past version gets its form, and is told when that ends', async () => {
  const app = await appOf(past.version);
  const answer = await app.inject('/api/positions');
  expect(answer.json()).toEqual({ positions: [{ title: 'Engineer' }], next_cursor: null });
  expect(answer.headers).toMatchObject({
    'greenroom-version': '2026-01-15',
    deprecation: '@1795737600',
    sunset: 'Sat, 27 Nov 2027 00:00:00 GMT',
    link: '<https://greenroom.dev/changes/2026-11-27>; rel="deprecation"; type="text/html"',
  });
});

test('an older version passes the transforms of all versions since', async () => {
  const answer = await (await appOf(oldest.version)).inject('/api/positions');
  expect(answer.json()).toEqual({ positions: [{ title: 'Engineer' }] });
});

test('a request of a past version reaches the handler in the newest form', async () => {
  const app = await appOf(past.version);
  const answer = await app.inject({ method: 'POST', url: '/api/positions', payload: { name: 'Engineer' } });
  expect(answer.json()).toEqual({ got: { title: 'Engineer' }, version: '2026-01-15' });
});

test('the header names a version for one request; the newest has no deprecation', async () => {
  const app = await appOf(past.version);
  const answer = await app.inject({ url: '/api/positions', headers: { 'greenroom-version': newestVersion } });
  expect(answer.json()).toEqual({ data: [{ title: 'Engineer' }], has_more: false, next_cursor: null });
  expect([answer.headers['greenroom-version'], answer.headers.deprecation]).toEqual([newestVersion, undefined]);
});

test('a key without a version gets the newest', async () => {
  expect((await (await appOf(null)).inject('/api/positions')).json()).toHaveProperty('data');
});

test('a version that is not supported is refused, and the error names those that are', async () => {
  const app = await appOf(null);
  const answer = await app.inject({ url: '/api/positions', headers: { 'greenroom-version': '2024-01-01' } });
  expect([answer.statusCode, answer.json().code]).toEqual([400, 'unsupported_version']);
  expect(answer.json().errors[0].message).toBe(`must be 2025-06-01 or 2026-01-15 or ${newestVersion}`);
  expect((await (await appOf('2024-01-01')).inject('/api/positions')).statusCode).toBe(400);
});
