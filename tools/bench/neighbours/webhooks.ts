import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGreenroom, type Greenroom, verifyWebhook } from '@greenroom/server';
import type { Neighbours } from './world.ts';

/**
 * How long a tenant waits for its webhook while 200 messages of another tenant go to endpoints that never answer: from the
 * request for a test message until that arrived and was verified.
 */
const endpoints = 10;
const messages = 20;
const calmTries = 5;
const tries = 10;

interface Waited {
  /** Without the attack, ms. */
  calmMs: number[];
  /** During it, ms. */
  tookMs: number[];
  /** Requests that the endpoints were holding after the last try. */
  hanging: number;
}

export async function neighboursWebhookMs({ url: api, keys }: Pick<Neighbours, 'url' | 'keys'>): Promise<Waited> {
  const clientOf = (apiKey: string): Greenroom => createGreenroom({ url: api, apiKey });
  const [attacker, other] = [clientOf(keys.attacker), clientOf(keys.other)];
  let arrived: () => void = () => undefined;
  let secret = '';
  let hanging = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (request.url !== '/answers') {
      hanging += 1;
      response.once('close', () => {
        hanging -= 1;
      });
      return;
    }
    await verifyWebhook({ body: Buffer.concat(parts), headers: request.headers, secret });
    response.end();
    arrived();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const webhook = await other.createWebhook({ url: `${url}/answers` });
  secret = webhook.secret;
  const wait = async (): Promise<number> => {
    const startedMs = performance.now();
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await other.testWebhook(webhook.id);
    await arrival;
    return performance.now() - startedMs;
  };
  const repeat = async (times: number): Promise<number[]> => {
    const took: number[] = [];
    while (took.length < times) took.push(await wait());
    return took;
  };
  try {
    const calmMs = await repeat(calmTries);
    for (let n = 0; n < endpoints; n += 1) {
      const { id } = await attacker.createWebhook({ url: `${url}/hangs` });
      for (let m = 0; m < messages; m += 1) await attacker.testWebhook(id);
    }
    const tookMs = await repeat(tries);
    return { calmMs, tookMs, hanging };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
