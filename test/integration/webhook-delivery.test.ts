import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createWebhookStore } from '@greenroom/orchestrator/database/webhook-store.ts';
import { createGuard } from '@greenroom/orchestrator/net/guard.ts';
import { noTracing } from '@greenroom/orchestrator/testing.ts';
import { createVault, webhookContext } from '@greenroom/orchestrator/tokens/vault.ts';
import { createSender, type Sender } from '@greenroom/orchestrator/webhooks/sender.ts';
import { newWebhookSecret } from '@greenroom/orchestrator/webhooks/signing.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { tenantEventTypes } from '@greenroom/shared/session/events.ts';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type SeededSession, seedSession, startDatabase, type TestDatabase } from '../support/database.ts';

/** Order and concurrency of deliveries with two orchestrators, real Postgres and real endpoints. */
let database: TestDatabase;
const vault = createVault(randomBytes(32));
const secret = newWebhookSecret();
const open: Array<() => Promise<unknown> | unknown> = [];

beforeAll(async () => {
  database = await startDatabase();
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  await database.sql('delete from public.webhook_endpoints');
});
afterAll(() => database?.stop());

interface Endpoint {
  url: string;
  received: Array<{ type: string; sessionId: string; verified: boolean; atMs: number }>;
  /** Highest number of requests open at the same time. */
  most(): number;
}

async function startEndpoint(answer: (response: ServerResponse, type: string) => void): Promise<Endpoint> {
  const received: Endpoint['received'] = [];
  let [now, most] = [0, 0];
  const read = async (request: IncomingMessage, response: ServerResponse) => {
    now += 1;
    most = Math.max(most, now);
    response.once('close', () => {
      now -= 1;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { type, data } = JSON.parse(body) as { type: string; data: { session_id: string } };
    const verified = Boolean(new Webhook(secret).verify(body, request.headers as Record<string, string>));
    received.push({ type, sessionId: data.session_id, verified, atMs: performance.now() });
    answer(response, type);
  };
  const server: Server = createServer((request, response) => void read(request, response).catch(() => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received, most: () => most };
}

/** The webhook senders of two orchestrators, with ticks as in production. */
function startSenders(tickMs = 1_000): Sender[] {
  const webhooks = createWebhookStore(database.connection.database);
  const guard = createGuard({ allow: ['127.0.0.0/8'] });
  const senders = [0, 1].map(() =>
    createSender({ webhooks, guard, vault, clock: systemClock, logger: silentLogger(), tracing: noTracing }),
  );
  for (const sender of senders) {
    const tick = () => void sender.run().catch(() => undefined);
    const timer = setInterval(tick, tickMs);
    open.push(() => clearInterval(timer));
    tick();
  }
  return senders;
}

async function addWebhook(session: SeededSession, { url }: Endpoint): Promise<string> {
  const id = randomUUID();
  await database.sql(
    'insert into public.webhook_endpoints (id, tenant_id, url, secret_ciphertext, key_id) values ($1, $2, $3, $4, $5)',
    [id, session.tenantId, url, vault.seal(secret, webhookContext(id)), vault.keyId],
  );
  return id;
}

const emit = ({ id, tenantId }: SeededSession, type: string) =>
  database.sql('select app.emit($1, $2, $3)', [id, tenantId, type]);

async function siblingOf({ tenantId, id }: SeededSession): Promise<SeededSession> {
  const sibling = { id: randomUUID(), tenantId };
  await database.sql(
    `insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, expires_at)
     select $1, tenant_id, candidate_id, candidate, position_id, expires_at from public.interview_sessions where id = $2`,
    [sibling.id, id],
  );
  return sibling;
}

const rowsOf = (endpointId: string) =>
  database.sql<{ status: string; n: number }>(
    'select status, count(*)::int as n from public.webhook_deliveries where endpoint_id = $1 group by status',
    [endpointId],
  );

describe('webhook endpoints that never answer', () => {
  test("200 messages for one tenant's hanging endpoints delay no other tenant and stay within the tenant's limit", async () => {
    const [attacker, other] = await Promise.all([seedSession(database), seedSession(database)]);
    const deaf = await startEndpoint(() => undefined);
    const good = await startEndpoint((response) => response.end());
    for (let n = 0; n < 10; n += 1) await addWebhook(attacker, deaf);
    await addWebhook(other, good);
    const sessions = await Promise.all(Array.from({ length: 20 }, () => siblingOf(attacker)));
    for (const session of sessions) await emit(session, 'session.completed');
    startSenders();
    await expect.poll(() => deaf.received.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(16);
    const startedMs = performance.now();
    await emit(other, 'session.completed');
    await expect.poll(() => good.received.length, { timeout: 60_000 }).toBe(1);
    // A delivery to a deaf endpoint lasts 15 s, and 200 of them would pass first. The bound is for a busy machine;
    // `npm run bench -- neighbours` holds 3 s.
    expect((good.received[0]?.atMs ?? 0) - startedMs).toBeLessThan(10_000);
    expect(good.received[0]?.verified).toBe(true);
    expect(deaf.most()).toBeLessThanOrEqual(16);
  });

  test('a failing endpoint gets one delivery at a time, and full concurrency again after a success', async () => {
    const session = await seedSession(database);
    let works = false;
    const endpoint = await startEndpoint((response) => {
      setTimeout(() => response.writeHead(works ? 200 : 500).end(), 60);
    });
    const id = await addWebhook(session, endpoint);
    const sessions = await Promise.all(Array.from({ length: 24 }, () => siblingOf(session)));
    await database.sql('update public.webhook_endpoints set failures = 3 where id = $1', [id]);
    for (const one of sessions) await emit(one, 'session.completed');
    startSenders(50);
    await expect.poll(() => endpoint.received.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
    expect(endpoint.most()).toBe(1);
    works = true;
    await database.sql("update public.webhook_deliveries set next_attempt_at = now() where status = 'pending'");
    await expect.poll(() => rowsOf(id), { timeout: 60_000 }).toEqual([{ status: 'delivered', n: 24 }]);
    expect(endpoint.most()).toBeGreaterThan(1);
    expect(endpoint.most()).toBeLessThanOrEqual(8);
  });
});

describe('order of the deliveries of one session', () => {
  const types = tenantEventTypes.slice(0, 12);

  test('two orchestrators keep the order of each session, and sessions do not wait for each other', async () => {
    const first = await seedSession(database);
    const sessions = [first, ...(await Promise.all(Array.from({ length: 5 }, () => siblingOf(first))))];
    const endpoint = await startEndpoint((response) => setTimeout(() => response.end(), Math.random() * 40));
    const id = await addWebhook(first, endpoint);
    startSenders(100);
    for (const type of types) await Promise.all(sessions.map((session) => emit(session, type)));
    await expect.poll(() => rowsOf(id), { timeout: 60_000 }).toEqual([{ status: 'delivered', n: 72 }]);
    for (const session of sessions) {
      const seen = endpoint.received.filter(({ sessionId }) => sessionId === session.id).map(({ type }) => type);
      expect(seen).toEqual(types);
    }
    expect(endpoint.most()).toBeGreaterThan(1);
  });

  test('a session keeps its order through one failed attempt, and a second failure lets the next message pass', async () => {
    const session = await seedSession(database);
    const endpoint = await startEndpoint((response, type) =>
      response.writeHead(type === 'session.scheduled' ? 400 : 200).end(),
    );
    await addWebhook(session, endpoint);
    for (const type of types.slice(0, 2)) await emit(session, type);
    startSenders(100);
    await expect.poll(() => endpoint.received.length, { timeout: 60_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(endpoint.received.map(({ type }) => type)).toEqual(['session.scheduled']);
    await database.sql('update public.webhook_deliveries set next_attempt_at = now() where attempts = 1');
    await expect
      .poll(() => endpoint.received.map(({ type }) => type), { timeout: 60_000 })
      .toEqual(['session.scheduled', 'session.scheduled', 'session.pending']);
  });
});

test('the deliveries of a crashed sender are retried after their lease, and count as under way until then', async () => {
  const session = await seedSession(database);
  const endpoint = await startEndpoint((response) => response.end());
  const id = await addWebhook(session, endpoint);
  await emit(session, 'session.completed');
  const webhooks = createWebhookStore(database.connection.database);
  const wanted = { limit: 10, takenMs: 60_000, perEndpoint: 1, perTenant: 16 };
  expect(await webhooks.take(wanted)).toHaveLength(1);
  await emit(await siblingOf(session), 'session.completed');
  expect(await webhooks.take(wanted)).toEqual([]);
  await database.sql('update public.webhook_deliveries set taken_until = now(), next_attempt_at = now()');
  startSenders(100);
  await expect.poll(() => rowsOf(id), { timeout: 60_000 }).toEqual([{ status: 'delivered', n: 2 }]);
});
