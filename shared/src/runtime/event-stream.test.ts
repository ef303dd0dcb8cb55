import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from './clock.ts';
import { followStream, type StreamMessage } from './event-stream.ts';

/** A stream is followed across lost connections. */
interface Connection {
  after: string | undefined;
  response: ServerResponse;
}
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function make(options: { silentMs?: number } = {}) {
  const connections: Connection[] = [];
  const got: StreamMessage[] = [];
  const pauses: number[] = [];
  const states: boolean[] = [];
  let status = 200;
  let isGone = false;
  const newServer = async (port: number) => {
    server = createServer((request, response) => {
      response.writeHead(status, { 'content-type': 'text/event-stream' });
      if (status !== 200) return response.end();
      response.write(': here\n\n');
      return connections.push({ after: request.headers['last-event-id'] as string | undefined, response });
    }).listen(port, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    return (server.address() as AddressInfo).port;
  };
  const port = await newServer(0);
  const leaving = new AbortController();
  const ended = followStream({
    ...options,
    signal: leaving.signal,
    random: () => 0,
    // Records the pauses and waits only a moment.
    clock: {
      setTimer: systemClock.setTimer,
      sleep: (ms, signal) => {
        pauses.push(ms);
        return systemClock.sleep(2, signal);
      },
    },
    open: async (after, signal) => {
      const headers = after === undefined ? {} : { 'last-event-id': after };
      const answer = await fetch(`http://127.0.0.1:${port}`, { headers, signal }).catch(() => undefined);
      if (answer?.status === 403) throw new Error('forbidden');
      return answer?.ok ? answer : undefined;
    },
    onConnected: (connected) => void states.push(connected),
    onMessage: (message) => {
      got.push(message);
      return message.name === 'last' ? 'enough' : undefined;
    },
  });
  return {
    ...{ connections, got, pauses, states, leaving, ended },
    ids: () => got.map(({ id }) => id),
    nth: async (n: number) => {
      await expect.poll(() => connections.length).toBe(n);
      return connections[n - 1] as Connection;
    },
    answerWith: (next: number) => {
      status = next;
    },
    goAway: async () => {
      isGone = true;
      server?.closeAllConnections();
      await new Promise((resolve) => server?.close(resolve));
    },
    comeBack: async () => {
      if (isGone) await newServer(port);
      isGone = false;
    },
  };
}

const message = (id: number, name = 'event') => `id: ${id}\nevent: ${name}\ndata: {"id":${id}}\n\n`;

test('a stream whose server is stopped and started again continues after its last id', async () => {
  const { nth, ids, goAway, comeBack, pauses, ended, states } = await make();
  (await nth(1)).response.write(`retry: 2000\n${message(1)}${message(2).slice(0, 9)}`);
  await expect.poll(ids).toEqual(['1']);
  await goAway();
  await expect.poll(() => pauses.length).toBeGreaterThan(3);
  await comeBack();
  const second = await nth(2);
  expect(second.after).toBe('1');
  second.response.write(message(2) + message(3, 'last'));
  await ended;
  expect(ids()).toEqual(['1', '2', '3']);
  expect(states.filter(Boolean).length).toBe(2);
});

test('the first pause is short, and the limit of further ones doubles up to 15 s', async () => {
  const limits: number[] = [];
  const leaving = new AbortController();
  await followStream({
    ...{ signal: leaving.signal, open: async () => undefined, onMessage: () => undefined, random: () => 1 },
    clock: {
      setTimer: systemClock.setTimer,
      sleep: async (ms) => {
        limits.push(ms);
        if (limits.length === 7) leaving.abort();
      },
    },
  });
  expect(limits).toEqual([1_250, 2_250, 4_250, 8_250, 15_250, 15_250, 15_250]);
});

test('a server that is busy is asked again after growing pauses; a message makes the next pause short again', async () => {
  const { nth, answerWith, pauses, connections, leaving, ended, got } = await make();
  const first = await nth(1);
  answerWith(503);
  first.response.end();
  await expect.poll(() => pauses.length).toBeGreaterThan(3);
  answerWith(200);
  const { response } = await nth(2);
  response.write(message(1));
  await expect.poll(() => got.length).toBe(1);
  const before = pauses.length;
  response.end();
  await nth(3);
  expect(pauses[before]).toBe(250);
  leaving.abort();
  await ended;
  expect(connections.length).toBe(3);
});

test('a connection without any byte counts as lost', async () => {
  const { nth, leaving, ended } = await make({ silentMs: 50 });
  await nth(1);
  await nth(2);
  leaving.abort();
  await ended;
});

test('it ends at once when it is left, also while nothing arrives', async () => {
  const { nth, leaving, ended, got } = await make();
  const { response } = await nth(1);
  leaving.abort();
  await ended;
  response.write(message(1));
  expect(got).toEqual([]);
});

test('it rejects with what the request throws', async () => {
  const { nth, answerWith, ended } = await make();
  const { response } = await nth(1);
  const refused = expect(ended).rejects.toThrow('forbidden');
  answerWith(403);
  response.end();
  await refused;
});
