import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createResolve } from './resolve.ts';

let server: Socket;
afterEach(() => server.close());

/** The name in a query's question. */
function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; query[at]; at += (query[at] as number) + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] as number)));
  return labels.join('.');
}

/** An answer without records, or with 93.184.216.34 for a question about IPv4. */
function answerTo(query: Buffer): Buffer {
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  const isIpv4 = question.readUInt16BE(question.length - 4) === 1;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(isIpv4 ? 1 : 0, 6);
  header.fill(0, 8, 12);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 216, 34]);
  return Buffer.concat([header, question, ...(isIpv4 ? [record] : [])]);
}

async function startServer(): Promise<string> {
  server = createSocket('udp4');
  server.on('message', (query, { address, port }) => {
    if (!nameIn(query).startsWith('silent')) server.send(answerTo(query), port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('names whose servers never answer delay no other name, and end', async () => {
  const resolve = createResolve({ servers: [await startServer()], timeoutMs: 2_000 });
  let ended = 0;
  const silent = Array.from({ length: 50 }, (_, n) =>
    resolve(`silent${n}.example.com`).finally(() => {
      ended += 1;
    }),
  );
  expect(await resolve('hooks.example.com')).toEqual([{ address: '93.184.216.34', family: 4 }]);
  expect(ended).toBe(0);
  expect(await Promise.all(silent)).toEqual(silent.map(() => []));
});
