import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGreenroom, verifyWebhook } from '@greenroom/server';
import type { Stack } from '../../stack/stack.ts';

/**
 * How long a tenant waits for its webhook while 200 messages of another tenant go to endpoints that never answer, ms: from the
 * request for a test message until that arrived and was verified.
 */
const endpoints = 10;
const messages = 20;
const tries = 5;

export async function neighboursWebhookMs(stack: Stack): Promise<number[]> {
  const other = await stack.addTenant('neighbour', 'Neighbour');
  const clients = [stack.tenant, other].map(({ apiKey }) => createGreenroom({ url: stack.publicUrl, apiKey }));
  const [hanging, waiting] = clients as [(typeof clients)[0], (typeof clients)[0]];
  let arrived: () => void = () => undefined;
  let secret = '';
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    // The others are held until the server closes.
    if (request.url !== '/answers') return;
    await verifyWebhook({ body: Buffer.concat(parts), headers: request.headers, secret });
    response.end();
    arrived();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (let n = 0; n < endpoints; n += 1) {
    const { id } = await hanging.createWebhook({ url: `${url}/hangs` });
    for (let m = 0; m < messages; m += 1) await hanging.testWebhook(id);
  }
  const webhook = await waiting.createWebhook({ url: `${url}/answers` });
  secret = webhook.secret;
  const took: number[] = [];
  for (let n = 0; n < tries; n += 1) {
    const startedMs = performance.now();
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await waiting.testWebhook(webhook.id);
    await arrival;
    took.push(performance.now() - startedMs);
  }
  server.closeAllConnections();
  server.close();
  return took;
}
