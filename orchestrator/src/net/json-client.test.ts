import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createJsonClient } from './json-client.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function clientOf(body: string, maxAnswerBytes?: number) {
  const server = createServer((_request, response) => response.end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createJsonClient({
    ...{ connections: 1, requestMs: 5_000 },
    ...(maxAnswerBytes === undefined ? {} : { maxAnswerBytes }),
  });
  cleanups.push(async () => {
    server.closeAllConnections();
    await client.close();
    server.close();
  });
  return () => client.ask({ method: 'GET', url });
}

test('an answer that is larger than any of this service is no answer', async () => {
  const ask = await clientOf(JSON.stringify('a'.repeat(1_000)), 1_001);
  await expect(ask()).rejects.toThrow();
  const larger = await clientOf(JSON.stringify('a'.repeat(1_000)), 1_002);
  expect((await larger()).body).toBe('a'.repeat(1_000));
});

test('without another limit an answer has at most 4 MiB', async () => {
  const ask = await clientOf(JSON.stringify('a'.repeat(4_194_304)));
  await expect(ask()).rejects.toThrow();
});
