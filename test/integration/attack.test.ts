import net from 'node:net';
import { DatabaseError } from '@greenroom/shared/database/client.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wasRolledBack } from '../../orchestrator/src/database/connection.ts';
import { createHttp } from '../../session-worker/src/outside/http.ts';
import { createStore } from '../../session-worker/src/outside/store.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import {
  asWorker,
  type SeededSession,
  seedSession,
  serveSession,
  startDatabase,
  type TestDatabase,
} from '../support/database.ts';
import { until } from '../support/session.ts';

/** Requests of an attacker or a broken client: none causes a 500 or an endless wait. */
describe('malformed data that reaches the database', () => {
  let db: TestDatabase;
  let session: SeededSession;

  beforeAll(async () => {
    db = await startDatabase();
    session = await seedSession(db);
  });
  afterAll(() => db.stop());

  const broken = { ordinal: 1, item_id: 'i', previous_item_id: null, speaker: 'ai' as const, text: '\ud800' };

  test('a body that PostgREST cannot read does not fail other requests of its batch', async () => {
    const claims = await serveSession(db, session);
    const error = await asWorker(db, claims, 'append_transcript', { p_entries: [broken] }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DatabaseError);
    expect(wasRolledBack(error)).toBe(true);
  });

  test('an entry that can never be stored is refused to the worker instead of retried forever', async () => {
    const { token } = await db.tokens.mintWorker(await serveSession(db, session));
    const { url, publishableKey } = db.supabase;
    const http = createHttp({ clock: systemClock });
    const store = createStore({ url, publishableKey, accessToken: () => token, requestMs: 10_000, http });
    const rest = { confidence: null, start_ms: null, end_ms: null, interrupted: false, verified: true };
    expect(await store.append([{ ...broken, ...rest }])).toMatchObject({ kind: 'refused' });
    expect(await store.append([{ ...broken, ...rest, text: 'fine' }])).toEqual({ kind: 'ok', value: ['i'] });
    await http.close();
  });
});

describe('connections that misbehave', () => {
  let world: ApiWorld;
  let as: string;
  let port: number;
  const session = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };

  beforeAll(async () => {
    world = await startApiWorld();
    as = (await world.tenant('acme')).apiKey;
    port = Number(new URL(world.url).port);
  });
  afterAll(() => world.stop());

  /** Sends the bytes unchanged. */
  async function connect(...lines: string[]): Promise<net.Socket> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.write(`${lines.join('\r\n')}\r\n\r\n`, () => resolve()));
    return socket;
  }
  const connections = () => new Promise<number>((resolve) => world.app.server.getConnections((_, n) => resolve(n)));

  test('event readers that disconnect at any moment leave no resources behind', async () => {
    const { session_id } = (await world.send('/api/sessions', { method: 'POST', as, body: session })).json;
    for (let n = 0; n < 60; n += 1) {
      const socket = await connect(
        `GET /api/sessions/${session_id}/events HTTP/1.1`,
        'host: x',
        `authorization: Bearer ${as}`,
      );
      setTimeout(() => socket.destroy(), n % 12);
    }
    await until('all have left', () => connections().then((n) => n <= 2));
    await until('nobody is watched for', () => world.deps.feed.watchers === 0);
  });

  test('a truncated request body is a client error, not a server error', async () => {
    const before = world.lines.filter((line) => line.includes('"level":"error"')).length;
    const socket = await connect(
      'POST /api/sessions HTTP/1.1',
      'host: x',
      'content-type: application/json',
      'content-length: 50',
    );
    const held = await until('it is received', connections);
    socket.destroy();
    await until('it is over', () => connections().then((n) => n < held));
    await world.send('/healthz');
    expect(world.lines.filter((line) => line.includes('"level":"error"'))).toHaveLength(before);
  });

  test('a request must arrive completely within 30 seconds', () => {
    expect(world.app.server.requestTimeout).toBe(30_000);
    expect(world.app.server.headersTimeout).toBe(30_000);
  });

  test('a request that waits for a session is answered when the orchestrator stops', { timeout: 20_000 }, async () => {
    const headers = { prefer: 'wait=60' };
    const waiting = world.send('/api/sessions', { method: 'POST', as, body: session, headers });
    await until('it waits', () => world.deps.readiness.waiting > 0);
    world.deps.beginStopping();
    const answer = await waiting;
    expect(answer.status).toBe(201);
    expect(answer.json.status).toBe('provisioning');
  });
});
