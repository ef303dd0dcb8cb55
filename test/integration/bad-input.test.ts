import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRandom } from '../../tools/chaos/random.ts';
import {
  faultOf,
  type OpenApiDocument,
  type Route,
  requestOf,
  routesOf,
  sendAndJudge,
} from '../../tools/fuzz/document.ts';
import { oddBodies } from '../../tools/fuzz/odd-bodies.ts';
import { promptReceivers, startReceivers } from '../../tools/fuzz/receivers.ts';
import { hangUp, oddRequests, readNothing, repeatAtOnce, sendOdd } from '../../tools/fuzz/rough-clients.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { until } from '../support/session.ts';

/**
 * Bad input of every kind: no 5xx, no error that is not a problem document of bounded size, nothing left behind.
 * `npm run fuzz` sends the same kinds at random, for as long as one likes.
 */
const everything = [
  ...['sessions:read', 'sessions:write', 'people:read', 'people:write'],
  ...['webhooks:read', 'webhooks:write', 'tenant:read', 'tenant:admin'],
];
const interview = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };

let world: ApiWorld;
let acme: SeededTenant;
let key: string;
let sessionId: string;
let routes: Route[];

const post = (at: string, body: object, as = key) => world.send(at, { method: 'POST', as, body });
const errors = (): string[] => world.lines.filter((line) => line.includes('"level":"error"'));

beforeAll(async () => {
  world = await startApiWorld();
  acme = await world.tenant('acme');
  key = await world.key(acme.id, everything);
  sessionId = (await post('/api/sessions', interview)).json.session_id;
  routes = routesOf((await world.send('/docs/json')).json as OpenApiDocument);
});
afterAll(async () => {
  world?.app.server.closeAllConnections();
  await world?.stop();
});

describe('requests made from the document', () => {
  test('every operation answers valid and invalid requests with a documented status', async () => {
    const { json: session } = await post('/api/sessions', { ...interview, candidate: { name: 'Grace' } });
    const made = [
      await post('/api/webhooks', { url: 'https://hooks.example.com/' }),
      await post(`/api/tenants/${acme.id}/api-keys`, { name: 'spare' }),
      await post(`/api/sessions/${session.session_id}/invitations`, {}),
    ];
    const foreign = (await world.tenant('globex')).id;
    const { candidate, position } = session.interview_context;
    const all = [acme.id, foreign, session.session_id, candidate.id, position.id, ...made.map(({ json }) => json.id)];
    const keys = [key, key, key, world.operatorToken, undefined];
    const random = createRandom(16);
    const faults: string[] = [];
    const seen = new Map<number, Set<string>>();
    for (const route of routes) {
      // It would end the test for all others.
      if (route.method === 'DELETE' && route.path === '/api/tenants/{id}') continue;
      for (let n = 0; n < 25; n += 1) {
        const request = requestOf(route, random, { ids: () => all, key: random.pick(keys) });
        const { status, fault } = await sendAndJudge(world.url, route, request);
        if (fault !== undefined) faults.push(fault);
        seen.set(status, (seen.get(status) ?? new Set()).add(`${route.method} ${route.path}`));
      }
    }
    expect([...new Set(faults)]).toEqual([]);
    expect(errors()).toEqual([]);
    // Control: requests of all kinds were made. The numbers are those of this seed, less a third.
    expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 201, 204, 400, 401, 403, 404, 406, 413, 415, 422]));
    expect(seen.get(200)?.size ?? 0).toBeGreaterThan(15);
  });

  test.each<[string, number, string | undefined]>([
    ['cut', 400, 'invalid_json'],
    ['keys twice', 400, 'invalid_json'],
    ['two documents', 400, 'invalid_json'],
    ['with a byte order mark', 201, undefined],
    ['UTF-16', 400, 'invalid_json'],
    ['Latin 1', 400, 'invalid_json'],
    ['broken UTF-8', 400, 'invalid_json'],
    ['compressed', 400, 'invalid_json'],
    ['deep lists', 422, 'validation_failed'],
    ['deep objects', 422, 'validation_failed'],
    ['many keys', 422, 'validation_failed'],
    ['too large', 413, 'body_too_large'],
    ['a prototype', 400, 'invalid_json'],
    ['no JSON', 400, 'invalid_json'],
    ['a huge number', 422, 'validation_failed'],
    ['nothing', 400, 'invalid_json'],
  ])('a body that is odd (%s) is answered %i', async (name, status, code) => {
    const text = JSON.stringify({ name: 'Ada' });
    const body = oddBodies[name]?.(text, createRandom(1)) as BodyInit;
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const answer = await fetch(`${world.url}/api/candidates`, { method: 'POST', headers, body });
    const got = { status: answer.status, text: await answer.text() };
    expect([got.status, JSON.parse(got.text).code], got.text).toEqual([status, code]);
    expect(faultOf({ ...got, contentType: answer.headers.get('content-type') ?? '' })).toBeUndefined();
    expect(Object.keys(oddBodies)).toContain(name);
  });
});

describe('rough clients', () => {
  const target = () => ({ port: Number(new URL(world.url).port), key, stream: `/api/sessions/${sessionId}/events` });
  const connections = () => new Promise<number>((resolve) => world.app.server.getConnections((_, n) => resolve(n)));

  test.each(Object.keys(oddRequests))(
    'a request that is odd (%s) gets a problem document or no answer',
    async (name) => {
      const { status, fault } = await sendOdd(target(), (oddRequests[name] as (k: string) => string)(key));
      expect([status, fault]).toEqual([expect.any(Number), undefined]);
      expect(status).toBeLessThan(500);
      expect((await world.send('/api/me', { as: key })).status).toBe(200);
    },
  );

  test('what is no HTTP at all is answered with 400, and headers that are too large with 431', async () => {
    const code = async (name: string) =>
      (await sendOdd(target(), (oddRequests[name] as (k: string) => string)(key))).status;
    expect([await code('no HTTP'), await code('headers of 40 kB')]).toEqual([400, 431]);
  });

  test('clients that hang up at any moment, and readers that read nothing, leave no stream and no connection', async () => {
    const random = createRandom(16);
    for (let n = 0; n < 10; n += 1)
      await Promise.all([
        ...Array.from({ length: 10 }, () => hangUp(target(), random)),
        ...Array.from({ length: 3 }, () => readNothing(target(), AbortSignal.timeout(100))),
      ]);
    await until('all connections are closed', async () => (await connections()) <= 2);
    await until('no session is watched', () => world.deps.feed.watchers === 0);
    expect(errors()).toEqual([]);
  });

  test('a reader of events that reads nothing is disconnected when a megabyte waits for it', async () => {
    // It reads nothing, so it does not see that it was disconnected.
    const leaving = new AbortController();
    const left = readNothing(target(), leaving.signal);
    await until('it is watched', () => world.deps.feed.watchers > 0);
    await world.db.query(
      `select app.emit($1, $2, 'integrity.flagged', jsonb_build_object('kind', repeat('x', 20000))) from generate_series(1, 1000)`,
      [sessionId, acme.id],
    );
    await until('it is watched no more', () => world.deps.feed.watchers === 0);
    leaving.abort();
    await left;
  });

  test.each([
    ['/api/candidates', { name: 'At once' }, { name: 'Another' }],
    ['/api/sessions', interview, { ...interview, region: 'iad' }],
    ['/api/webhooks', { url: 'https://hooks.example.com/once' }, { url: 'https://hooks.example.com/other' }],
    ['/api/tenants/OWN/api-keys', { name: 'once' }, { name: 'another' }],
    ['/api/candidates', { name: 'Refused', external_id: 'taken' }, { name: 'Another' }],
  ])('five equal POST %s at once get one answer, byte for byte; another body is refused', async (at, body, other) => {
    await post('/api/candidates', { name: 'Taken', external_id: 'taken' });
    const wrong = await repeatAtOnce(world.url, {
      ...{ key, path: at.replace('OWN', acme.id), idempotencyKey: `at-once ${at} ${JSON.stringify(body).length}` },
      ...{ body: JSON.stringify(body), other: JSON.stringify(other) },
    });
    expect(wrong).toBeUndefined();
  });
});

test('a receiver that redirects, resets or answers garbage gets another try later, and what is stored of it is bounded', async () => {
  const outside = await startReceivers();
  world.deps.ticker.start();
  try {
    for (const [n, name] of promptReceivers.entries()) {
      const tenant = await world.tenant(`receiver-${n}`);
      const as = await world.key(tenant.id, everything);
      const webhook = (await post('/api/webhooks', { url: `${outside.url}/${name}` }, as)).json;
      const sent = (await post(`/api/webhooks/${webhook.id}/test`, {}, as)).json;
      const shown = await until(`an attempt at ${name}`, async () => {
        const { json } = await world.send(`/api/webhooks/${webhook.id}/deliveries/${sent.id}`, { as });
        return json.log.length > 0 ? json : undefined;
      });
      // Of a long body only the beginning is read.
      const status = name === 'body-without-end' ? 'delivered' : 'pending';
      expect([name, shown.status, shown.attempts]).toEqual([name, status, 1]);
      expect((shown.log[0].answer ?? '').length).toBeLessThanOrEqual(500);
      expect((shown.log[0].error ?? '').length).toBeLessThanOrEqual(500);
    }
    expect(errors()).toEqual([]);
  } finally {
    outside.stop();
  }
});
