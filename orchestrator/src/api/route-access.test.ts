import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import type { Access } from '../access/authenticate.ts';
import {
  actorOf,
  callerOf,
  callersWith,
  everybody,
  operatorsOnly,
  registerRouteAccess,
  streamersWith,
  tenantsOwnWith,
} from '../access/route-access.ts';
import { createShares, tenantShare } from '../access/shares.ts';
import { registerErrors } from './problems.ts';

const refused = new AppError('unauthenticated');
const open: Access = {
  authenticate: async (_request, scope) => ({ actor: 'key:1', scopes: [scope] }) as never,
  forTenant: async (_request, _scope, tenantId) => ({ kind: 'tenant', actor: tenantId, caller: { tenantId } }) as never,
  operator: async () => ({ actor: 'operator:ops', role: 'admin' }),
  stands: async () => true,
  forgetKey: () => undefined,
  forgetUser: () => undefined,
  askerOf: () => undefined,
  drawnBy: () => undefined,
};
const shut: Access = {
  ...open,
  authenticate: () => Promise.reject(refused),
  forTenant: () => Promise.reject(refused),
  operator: () => Promise.reject(refused),
};

function appWith(access: Access) {
  const app = Fastify();
  const parsed: string[] = [];
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    parsed.push(body as string);
    done(null, JSON.parse(body as string));
  });
  registerErrors(app, createLogger({ level: 'silent', component: 'test' }));
  registerRouteAccess(app, access, createShares(systemClock));
  return { app, parsed };
}

describe('who may call a route', () => {
  test('is checked before its body is parsed (regression: one such body blocked a process for hours)', async () => {
    const { app, parsed } = appWith(shut);
    for (const [path, config] of Object.entries({ caller: callersWith('sessions:write'), operator: operatorsOnly }))
      app.post(`/api/${path}`, { config }, async () => 'done');
    app.post('/api/tenants/:id', { config: tenantsOwnWith('tenant:admin') }, async () => 'done');
    for (const url of ['/api/caller', '/api/operator', '/api/tenants/a']) {
      const answer = await app.inject({ method: 'POST', url, payload: { any: 'thing' } });
      expect([url, answer.statusCode]).toEqual([url, 401]);
    }
    expect(parsed).toEqual([]);
  });

  test('must be declared: a route under /api without a declaration cannot be registered', () => {
    const { app } = appWith(open);
    expect(() => app.get('/api/forgotten', async () => 'done')).toThrow(
      'GET /api/forgotten must declare who may call it',
    );
    expect(() => app.get('/elsewhere', async () => 'done')).not.toThrow();
  });

  test('is available to the handler as caller or actor', async () => {
    const { app } = appWith(open);
    app.get('/api/a', { config: callersWith('people:read') }, async (request) => callerOf(request).scopes);
    app.get('/api/tenants/:id', { config: tenantsOwnWith('tenant:read') }, async (request) => actorOf(request));
    app.get('/api/c', { config: operatorsOnly }, async (request) => actorOf(request));
    app.get('/api/d', { config: everybody }, async (request) => callerOf(request));
    const got = async (url: string) => (await app.inject(url)).json();
    expect(await got('/api/a')).toEqual(['people:read']);
    expect(await got('/api/tenants/ACME')).toMatchObject({ kind: 'tenant', actor: 'acme' });
    expect(await got('/api/c')).toEqual({ kind: 'operator', actor: 'operator:ops' });
    expect(await got('/api/d')).toMatchObject({ status: 500 });
  });

  test('limits a tenant to two concurrent reads and two concurrent writes; streaming routes are not counted', async () => {
    const caller = { ...open, authenticate: async () => ({ actor: 'key:1', tenantId: 'acme', scopes: [] }) as never };
    const { app } = appWith(caller);
    const now: Record<string, number> = {};
    const most: Record<string, number> = {};
    const work = (name: string) => async () => {
      now[name] = (now[name] ?? 0) + 1;
      most[name] = Math.max(most[name] ?? 0, now[name]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now[name] -= 1;
      return 'done';
    };
    app.get('/api/reads', { config: callersWith('people:read') }, work('reads'));
    app.patch('/api/writes', { config: callersWith('people:write') }, work('writes'));
    app.post('/api/held', { config: streamersWith('sessions:write') }, work('held'));
    const statuses = await Promise.all(
      Array.from({ length: 12 }, () => [
        app.inject({ method: 'GET', url: '/api/reads' }),
        app.inject({ method: 'PATCH', url: '/api/writes' }),
        app.inject({ method: 'POST', url: '/api/held' }),
      ]).flat(),
    );
    expect(new Set(statuses.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
    expect(most).toEqual({ reads: tenantShare.atOnce, writes: tenantShare.atOnce, held: 12 });
  });
});
