import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { follow } from './follow.ts';

/** `greenroom events --follow` and `sessions tail` while the orchestrator is replaced. */
let server: Server | undefined;
afterEach(() => stop());
async function stop() {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
}

const event = (id: number): string => `id: ${id}\nevent: event\ndata: ${JSON.stringify({ id })}\n\n`;
const hello = 'event: hello\ndata: {}\n\n';

/** Answers request n with the text or status `answers[n]`; a text ends the connection. */
async function serve(answers: Array<string | number>, port = 0, urls: string[] = []) {
  server = createServer((request, response) => {
    urls.push(String(request.url));
    const answer = answers.shift() ?? 503;
    response.writeHead(typeof answer === 'number' ? answer : 200, { 'content-type': 'text/event-stream' });
    response.end(typeof answer === 'number' ? '' : hello + answer);
  }).listen(port, '127.0.0.1');
  await new Promise((resolve) => server?.once('listening', resolve));
  return { port: (server.address() as AddressInfo).port, urls };
}

function consoleOf(port: number) {
  const progress: string[] = [];
  const environment = { GREENROOM_URL: `http://127.0.0.1:${port}`, GREENROOM_TOKEN: 'token' };
  const got: number[] = [];
  return {
    ...{ progress, got },
    console: { environment, cwd: '/', print: () => undefined, progress: (line: string) => void progress.push(line) },
    until: (last: number) => (name: string, data: { id?: number }) => {
      if (name === 'event') got.push(Number(data.id));
      return data.id === last ? ('enough' as const) : undefined;
    },
  };
}

test('it continues after its last event when the orchestrator was away, and shows no event twice', async () => {
  const { port, urls } = await serve([event(1) + event(2), 502, event(2) + event(3)]);
  const { console, got, until, progress } = consoleOf(port);
  await follow(console, { topics: 'events' }, 0, until(3));
  expect(got).toEqual([1, 2, 3]);
  expect(urls).toEqual(['0', '2', '2'].map((after) => `/ops/api/stream?topics=events&after=${after}`));
  expect(progress.at(-1)).toBe('Connected again; continuing.');
});

test('it waits for an orchestrator that refuses connections', async () => {
  const { port } = await serve([event(1)]);
  const { console, got, until, progress } = consoleOf(port);
  const following = follow(console, {}, undefined, until(2));
  await expect.poll(() => got).toEqual([1]);
  await stop();
  await expect.poll(() => progress.length).toBeGreaterThan(0);
  await serve([event(2)], port);
  await following;
  expect(got).toEqual([1, 2]);
});

test('an orchestrator that never answered ends it: the address may be wrong', async () => {
  const { port } = await serve([]);
  await stop();
  const { console, until } = consoleOf(port);
  await expect(follow(console, {}, undefined, until(1))).rejects.toMatchObject({
    ...{ exit: 'away', code: 'orchestrator_away' },
  });
});

test.each([
  [[401], 'token_refused'],
  [[event(1), 401], 'token_refused'],
  [['event: bye\ndata: {"why":"signed_out"}\n\n'], 'signed_out'],
])('a token that is not accepted ends it (%j)', async (answers, code) => {
  const { port } = await serve(answers);
  const { console, until } = consoleOf(port);
  await expect(follow(console, {}, undefined, until(9))).rejects.toMatchObject({ exit: 'notAllowed', code });
});
