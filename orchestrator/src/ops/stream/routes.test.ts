import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OpsEvent } from '../../database/operator-store.ts';
import type { FleetWatcher } from './fleet-feed.ts';
import { streamRoutes } from './routes.ts';

/** Operators' streams whose client leaves, or reads nothing, while events are sent to it. */
let server: Server;
let watchers: Set<FleetWatcher>;
let uncaught: unknown[];
const note = (error: unknown) => void uncaught.push(error);

beforeEach(async () => {
  watchers = new Set();
  uncaught = [];
  process.on('uncaughtException', note);
  const app = Fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(
    streamRoutes({
      access: { of: () => ({ actor: 'operator:kim', role: 'viewer' }), stands: () => true } as never,
      feed: {
        watch: (_after, watcher) => {
          watchers.add(watcher);
          return () => watchers.delete(watcher);
        },
        get watchers() {
          return watchers.size;
        },
      },
      clock: createFakeClock(),
      deployment: { deployment_id: 'd', version: '0' } as never,
      stopping: new AbortController().signal,
    }),
  );
  await app.ready();
  server = createServer(app.routing).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  process.off('uncaughtException', note);
  server.closeAllConnections();
  server.close();
});

const eventOf = (id: number, bytes: number): OpsEvent => ({
  ...{ id, session_id: 's', tenant_id: 't', tenant: 'acme', type: 'session.ready' },
  ...{ data: { text: 'x'.repeat(bytes) }, created_at: '2026-11-27T09:00:00Z' },
});
const batch = (bytes: number) => Array.from({ length: 100 }, (_, id) => eventOf(id, bytes));

/** A client that reads nothing. */
async function connect() {
  const asked = httpRequest({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', path: '/stream' });
  asked.on('error', () => undefined).end();
  const [answer] = await once(asked, 'response');
  answer.on('error', () => undefined);
  const [watcher] = [...watchers].slice(-1) as [FleetWatcher];
  return { asked, answer, watcher };
}
/** Errors of a socket are reported in a later turn. */
const turns = () => new Promise((resolve) => setTimeout(resolve, 50));

test('a client that reads nothing is disconnected in the middle of a batch, and the rest of the batch is dropped', async () => {
  const { watcher } = await connect();
  // The network holds some megabytes for the client before the server has to keep anything.
  for (let sent = 0; sent < 40 && watchers.size > 0; sent += 1) watcher.onEvents([eventOf(sent, 1_000_000)], sent);
  expect(watchers.size).toBe(0);
  watcher.onEvents(batch(10_000), 1_000);
  watcher.onOverview({});
  watcher.onGap(1_001);
  await turns();
  expect(uncaught).toEqual([]);
});

test('a client that hangs up while events are sent to it causes no error, and its watch ends', async () => {
  const [leaving, staying] = [await connect(), await connect()];
  leaving.watcher.onEvents(batch(1_000), 1);
  leaving.asked.destroy();
  for (let more = 0; more < 20; more += 1) {
    leaving.watcher.onEvents(batch(1_000), 2 + more);
    await new Promise(setImmediate);
  }
  await expect.poll(() => watchers.size).toBe(1);
  leaving.watcher.onEvents(batch(1_000), 99);
  await turns();
  expect(uncaught).toEqual([]);
  expect(watchers.has(staying.watcher)).toBe(true);
});
