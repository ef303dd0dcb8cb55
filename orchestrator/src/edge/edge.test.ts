import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { createFakeClock, type FakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import Fastify from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { RouteRow } from '../database/rows.ts';
import { createCreations } from '../sessions/creations.ts';
import { flyId, makeRoute, makeSigningKey, noTracing, sessionId, tenantId, until } from '../testing.ts';
import { createBrowserTokens } from '../tokens/browser-tokens.ts';
import { createKeyRing } from '../tokens/keys.ts';
import { createEdge } from './edge.ts';
import { createReadiness } from './readiness.ts';
import { createSocketRoute } from './socket-route.ts';

const ids = { session_id: sessionId, tenant_id: tenantId };
const otherId = '99999999-9999-4999-8999-999999999999';
const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** An edge on a real HTTP server. `rows` stands for the database. */
async function startEdge(rows: RouteRow[] | Error, clock: FakeClock = createFakeClock()) {
  const keys = await createKeyRing([await makeSigningKey('k')]);
  const tokens = createBrowserTokens({ keys, issuer: 'https://x.example', clock, deadlines: defaultDeadlines });
  const world = { rows, reads: 0 };
  const routes = async (wanted: string[]) => {
    world.reads += 1;
    if (world.rows instanceof Error) throw world.rows;
    return world.rows.filter((row) => wanted.includes(row.session_id));
  };
  const logger = silentLogger();
  const readiness = createReadiness({ routes, clock, pollMs: 100, logger });
  const reported: string[] = [];
  const unreachable = async ({ fly_machine_id }: RouteRow) => reported.push(String(fly_machine_id)) > 1;
  const arrived: string[] = [];
  const arrivals = { arrive: async (id: string, edgeRegion?: string) => void arrived.push(`${id} ${edgeRegion}`) };
  const creations = createCreations(clock);
  const edge = createEdge({
    ...{ tokens, readiness, arrivals, unreachable, creations, clock, logger, tracing: noTracing },
    deadlines: defaultDeadlines,
  });
  const sockets = createSocketRoute({ edge, clock, logger, tracing: noTracing });
  const app = Fastify({ http: { shouldUpgradeCallback: sockets.shouldUpgrade }, forceCloseConnections: true });
  app.setErrorHandler((error, _request, reply) => reply.code(error instanceof AppError ? error.status : 500).send());
  app.get('/api/x', async () => 'plain');
  await app.register(sockets.register);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  cleanups.push(
    () => app.close(),
    () => sockets.close(),
  );
  return {
    sockets,
    readiness,
    creations,
    tokens,
    reported,
    arrived,
    world,
    clock,
    port,
    url: `ws://127.0.0.1:${port}/ws/sessions`,
  };
}

/** Tries to connect. Resolves with the HTTP response or the close code. */
function connect(url: string, protocols: string[] = [], headers: Record<string, string> = {}) {
  return new Promise<{ status?: number; replay?: string; code?: number; protocol?: string }>((resolve, reject) => {
    const socket = new WebSocket(url, protocols, { headers });
    socket.on('unexpected-response', (_request, response) => {
      resolve({ status: response.statusCode as number, replay: String(response.headers['fly-replay']) });
      response.destroy();
    });
    socket.on('close', (code) => resolve({ code, protocol: socket.protocol }));
    socket.on('error', (error) => {
      if (!/Unexpected server response/.test(error.message)) reject(error);
    });
  });
}

describe('the edge', () => {
  test('a valid token for a served session is answered with fly-replay to its machine', async () => {
    const { tokens, url } = await startEdge([makeRoute({ epoch: 3 })]);
    const answer = await connect(`${url}/${sessionId}`, [
      'greenroom.v1',
      `greenroom.token.${await tokens.mintJoin(ids)}`,
    ]);
    expect(answer.status).toBe(307);
    const pattern = new RegExp(`^app=gr-acme-1;instance=${flyId};state=([\\w.-]+);timeout=10s;fallback=force_self$`);
    const state = pattern.exec(answer.replay ?? '')?.[1] as string;
    expect(JSON.parse(Buffer.from(state.split('.')[1] as string, 'base64url').toString())).toMatchObject({
      ...ids,
      epoch: 3,
      aud: 'greenroom:replay',
    });
  });

  test('the proxy tries for a second only to connect to a hot machine that has not claimed yet', async () => {
    const { tokens, url } = await startEdge([makeRoute({ unconfirmed: true })]);
    const { replay } = await connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    expect(replay).toContain(';timeout=1s;');
  });

  test('a candidate of a hot machine that has not claimed yet waits for the sessions that are being created', async () => {
    const { tokens, url, creations, world } = await startEdge([makeRoute({ unconfirmed: true })]);
    const answered = creations.begin();
    const connecting = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    const outcome = Promise.race([connecting, new Promise((resolve) => setTimeout(resolve, 50, 'waits'))]);
    await until(() => world.reads > 0);
    expect(await outcome).toBe('waits');
    answered();
    expect(await connecting).toMatchObject({ status: 307 });
  });

  test('any other candidate does not wait for sessions that are being created', async () => {
    const { tokens, url, creations } = await startEdge([makeRoute()]);
    creations.begin();
    expect(await connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`)).toMatchObject({ status: 307 });
  });

  test('a reconnect token in the query string is accepted', async () => {
    const { tokens, url } = await startEdge([makeRoute()]);
    expect(await connect(`${url}/${sessionId}?token=${await tokens.mintReconnect(ids, 60_000)}`)).toMatchObject({
      status: 307,
    });
  });

  const route = { app: 'gr-acme-1', instance: 'd0served', epoch: 4 };

  test('while the database is unreachable, a browser reaches its machine by the route in its reconnect token', async () => {
    const { tokens, url } = await startEdge(new Error('away'));
    const token = await tokens.mintReconnect({ ...ids, route }, 60_000);
    const answer = await connect(`${url}/${sessionId}?token=${token}`);
    expect(answer).toMatchObject({ status: 307, replay: expect.stringContaining('instance=d0served;') });
    const state = /state=([\w.-]+)/.exec(answer.replay ?? '')?.[1] as string;
    expect(JSON.parse(Buffer.from(state.split('.')[1] as string, 'base64url').toString())).toMatchObject({ epoch: 4 });
  });

  test('when the database answers, its route is used and not the one in the token', async () => {
    const { tokens, url } = await startEdge([makeRoute()]);
    const token = await tokens.mintReconnect({ ...ids, route }, 60_000);
    expect((await connect(`${url}/${sessionId}?token=${token}`)).replay).toContain(`instance=${flyId};`);
  });

  const tokenless: Array<[string, string, (good: string, foreign: string) => string, number]> = [
    ['no token', sessionId, () => '', 4401],
    ['a malformed token', sessionId, () => '?token=nonsense', 4401],
    ['a tampered token', sessionId, (good) => `?token=${good.slice(0, -6)}AAAAAA`, 4401],
    ["another session's token", sessionId, (_good, foreign) => `?token=${foreign}`, 4401],
    ['a malformed id', 'not-an-id', (good) => `?token=${good}`, 4404],
  ];
  test.each(tokenless)(
    '%s is refused with a close code and without a database read',
    async (_what, id, query, code) => {
      const { tokens, url, world } = await startEdge([makeRoute()]);
      const [good, foreign] = [await tokens.mintJoin(ids), await tokens.mintJoin({ ...ids, session_id: otherId })];
      expect(await connect(`${url}/${id}${query(good, foreign)}`, ['greenroom.v1'])).toEqual({
        code,
        protocol: 'greenroom.v1',
      });
      expect(world.reads).toBe(0);
    },
  );

  const routes: Array<[string, RouteRow[], number]> = [
    ['an unknown session', [], 4404],
    ['an ended session', [makeRoute({ status: 'completed', state_rank: 90 })], 4410],
    ['a finalizing session', [makeRoute({ status: 'finalizing', state_rank: 70 })], 4410],
    ['a session of another tenant than in the token', [makeRoute({ tenant_id: otherId })], 4401],
  ];
  test.each(routes)('%s is refused with a close code', async (_what, rows, code) => {
    const { tokens, url } = await startEdge(rows);
    expect(await connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`)).toMatchObject({ code });
  });

  test('a waiting request is replayed at once when this process receives the claim', async () => {
    const { tokens, url, world, readiness } = await startEdge([
      makeRoute({ machine_state: null, fly_machine_id: null }),
    ]);
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    await until(() => readiness.waiting === 1);
    world.rows = [makeRoute()];
    readiness.notify(sessionId);
    expect(await answer).toMatchObject({ status: 307 });
  });

  test('the poll finds a claim that another orchestrator received', async () => {
    const { tokens, url, world, clock } = await startEdge([makeRoute({ machine_state: null })]);
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    await until(() => clock.pending === 2);
    world.rows = [makeRoute()];
    await clock.advance(100);
    expect(await answer).toMatchObject({ status: 307 });
  });

  test('if the session is not ready in time, the socket is closed with 4503', async () => {
    const { tokens, url, clock } = await startEdge([makeRoute({ machine_state: null })]);
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    await until(() => clock.pending > 0);
    await clock.advance(defaultDeadlines.edgeWaitMs + 200);
    expect(await answer).toMatchObject({ code: 4503 });
  });

  test('a pending session is started once, near the edge region of the request, which then waits for it', async () => {
    const { tokens, world, arrived, readiness, url } = await startEdge([
      makeRoute({ status: 'pending', state_rank: 20, machine_id: null, machine_state: null }),
    ]);
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`, [], { 'fly-region': 'syd' });
    await until(() => arrived.length === 1 && readiness.waiting === 1);
    world.rows = [makeRoute()];
    readiness.notify(sessionId);
    expect(await answer).toMatchObject({ status: 307 });
    expect(arrived).toEqual([`${sessionId} syd`]);
  });

  test('without a route in the token, the request waits until the database is reachable', async () => {
    const { tokens, url, world, clock } = await startEdge(new Error('away'));
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    await until(() => clock.pending === 2);
    world.rows = [makeRoute()];
    await clock.advance(100);
    expect(await answer).toMatchObject({ status: 307 });
  });

  test('when eight connections of a session are waiting, the ninth is closed with 4429', async () => {
    const { tokens, url, readiness } = await startEdge([makeRoute({ machine_state: null })]);
    const token = await tokens.mintJoin(ids);
    for (let n = 0; n < 8; n += 1) void connect(`${url}/${sessionId}?token=${token}`).catch(() => undefined);
    await until(() => readiness.waiting === 8);
    expect(await connect(`${url}/${sessionId}?token=${token}`)).toMatchObject({ code: 4429 });
  });

  test('the wait ends when the browser leaves', async () => {
    const { tokens, url, readiness } = await startEdge([makeRoute({ machine_state: null })]);
    const socket = new WebSocket(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    socket.on('error', () => undefined);
    await until(() => readiness.waiting === 1);
    socket.terminate();
    await until(() => readiness.waiting === 0);
  });

  const failed = (instance: string) => ({ 'fly-replay-failed': `instance=${instance};app=gr-acme-1;reason=timeout` });
  const failures: Array<[string, string, RouteRow[], number]> = [
    ['the same machine still serves the session', flyId, [makeRoute()], 4503],
    ['another machine serves the session now', 'e2865013d76e89', [makeRoute()], 4409],
    ['the session has ended', flyId, [makeRoute({ status: 'failed', state_rank: 90 })], 4410],
    ['no machine serves the session now', flyId, [makeRoute({ machine_state: 'draining' })], 4503],
  ];
  test.each(failures)(
    'a failed replay is closed and not replayed again when %s',
    async (_what, instance, rows, code) => {
      const { tokens, url } = await startEdge(rows);
      const answer = await connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`, [], failed(instance));
      expect(answer).toMatchObject({ code });
    },
  );

  test('an unreachable machine is reported; the close code is 4503, and 4409 once the machine is being replaced', async () => {
    const { tokens, url, reported } = await startEdge([makeRoute()]);
    const token = await tokens.mintJoin(ids);
    const again = () => connect(`${url}/${sessionId}?token=${token}`, [], failed(flyId));
    expect(await again()).toMatchObject({ code: 4503 });
    expect(await again()).toMatchObject({ code: 4409 });
    expect(reported).toEqual([flyId, flyId]);
  });

  test('a route is kept for five seconds, so a second request does not read; a change of the session ends that', async () => {
    const { tokens, url, world, readiness, clock } = await startEdge([makeRoute()]);
    const token = await tokens.mintJoin(ids);
    const ask = async () => (await connect(`${url}/${sessionId}?token=${token}`)).replay ?? '';
    expect(await ask()).toContain(`instance=${flyId}`);
    world.rows = [makeRoute({ fly_machine_id: 'd0moved', epoch: 2 })];
    expect(await ask()).toContain(`instance=${flyId}`);
    expect(world.reads).toBe(1);
    clock.advance(5_001);
    expect(await ask()).toContain('instance=d0moved');
    world.rows = [makeRoute()];
    readiness.notify(sessionId);
    expect(await ask()).toContain(`instance=${flyId}`);
    expect(world.reads).toBe(3);
  });

  test('a route learnt from a claim needs no read, and a failed replay reads again', async () => {
    const { tokens, url, world, readiness } = await startEdge([makeRoute({ state_rank: 90, status: 'completed' })]);
    readiness.learn(makeRoute());
    const token = await tokens.mintJoin(ids);
    expect((await connect(`${url}/${sessionId}?token=${token}`)).replay).toContain(`instance=${flyId}`);
    expect(world.reads).toBe(0);
    expect(await connect(`${url}/${sessionId}?token=${token}`, [], failed(flyId))).toMatchObject({ code: 4410 });
  });

  test('a browser that asks for a silent worker is sent there once, and is told to wait when the worker is replaced', async () => {
    const { tokens, url, reported } = await startEdge([makeRoute({ silent: true })]);
    const token = await tokens.mintJoin(ids);
    expect((await connect(`${url}/${sessionId}?token=${token}`)).replay).toContain(`instance=${flyId}`);
    expect(await connect(`${url}/${sessionId}?token=${token}`)).toMatchObject({ code: 4409 });
    expect(reported).toEqual([flyId, flyId]);
  });

  test('a failed replay to a machine that no longer serves the session is not reported', async () => {
    const { tokens, url, reported } = await startEdge([makeRoute()]);
    await connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`, [], failed('e2865013d76e89'));
    expect(reported).toEqual([]);
  });

  test('closing the route closes all waiting sockets with 4503', async () => {
    const { tokens, url, readiness, sockets } = await startEdge([makeRoute({ machine_state: null })]);
    const answer = connect(`${url}/${sessionId}?token=${await tokens.mintJoin(ids)}`);
    await until(() => readiness.waiting === 1);
    await sockets.close();
    expect(await answer).toMatchObject({ code: 4503 });
  });

  test('an upgrade that is not for the edge is served as a plain request', async () => {
    const { port } = await startEdge([]);
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      path: '/api/x',
      headers: { connection: 'upgrade', upgrade: 'h2c' },
    });
    request.end();
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(200);
  });

  const asks = { connection: 'upgrade', upgrade: 'websocket' };
  const unserved: Array<[string, string, Record<string, string>, number]> = [
    ['a plain request to the socket path', `/ws/sessions/${sessionId}`, {}, 404],
    ['an upgrade whose path cannot name a session', '/ws/sessions/%zz', asks, 400],
    ['an upgrade whose session id is too long', `/ws/sessions/${'a'.repeat(101)}`, asks, 414],
  ];
  test.each(unserved)('%s is answered with an HTTP status', async (_what, path, headers, status) => {
    const { port, world } = await startEdge([makeRoute()]);
    const request = httpRequest({ port, host: '127.0.0.1', path, headers });
    request.end();
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(status);
    expect(world.reads).toBe(0);
  });
});
