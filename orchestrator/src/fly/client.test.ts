import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { afterEach, expect, test } from 'vitest';
import { createFlyClient, type FlyClient } from './client.ts';
import { authorizationOf, flyRequests } from './send.ts';

/** A server in place of Fly that answers each request with this handler. */
type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;
const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function startScript(handler: Handler, requestMs = 300) {
  const seen: Array<{
    method?: string | undefined;
    url?: string | undefined;
    headers: IncomingMessage['headers'];
    body: string;
  }> = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    handler(request, response, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    component: 'test',
    destination: { write: (line) => void lines.push(line) },
  });
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client: FlyClient = createFlyClient({ apiUrl, token: 'fo1_secret', requestMs, logger });
  cleanups.push(async () => {
    server.closeAllConnections();
    await client.close();
    server.close();
  });
  return { client, seen, lines };
}

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
  response
    .writeHead(status, { 'content-type': 'application/json', 'fly-request-id': '01FLY', ...headers })
    .end(JSON.stringify(body));

test('a create is sent once, with the token, to the app', async () => {
  const { client, seen } = await startScript((_q, response) =>
    json(response, 200, { id: 'd1', state: 'created', region: 'fra' }),
  );
  expect(await client.create('app-1', { name: 'gr-1' })).toMatchObject({ kind: 'created', machine: { id: 'd1' } });
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ method: 'POST', url: '/v1/apps/app-1/machines', body: '{"name":"gr-1"}' });
  expect(seen[0]?.headers.authorization).toBe('Bearer fo1_secret');
});

test('a create without an answer in time is ambiguous and not repeated', async () => {
  const { client, seen } = await startScript(() => undefined);
  expect(await client.create('app-1', {})).toEqual({ kind: 'ambiguous' });
  expect(seen).toHaveLength(1);
});

test('a create whose connection breaks is ambiguous', async () => {
  const { client } = await startScript((request) => request.socket.destroy());
  expect(await client.create('app-1', {})).toEqual({ kind: 'ambiguous' });
});

test("the affinity cookie that Fly sets for an app is sent with that app's later calls only", async () => {
  const { client, seen } = await startScript((_q, response) =>
    json(response, 200, [], { 'set-cookie': 'fly_flaps_affinity=node-7; Path=/v1/apps/app-1' }),
  );
  await client.list('app-1');
  await client.list('app-1');
  await client.list('app-2');
  expect(seen.map((s) => s.headers.cookie)).toEqual([undefined, 'fly_flaps_affinity=node-7', undefined]);
});

test("an error is logged with Fly's request id, and without the token", async () => {
  const { client, lines } = await startScript((_q, response) => json(response, 500, { error: 'oops' }));
  await client.get('app-1', 'd1');
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    fly_request_id: '01FLY',
    status_code: 500,
    kind: 'ambiguous',
  });
  expect(lines.join()).not.toContain('fo1_secret');
});

test.each([400, 401, 404, 408, 409, 412, 422, 429, 503])(
  "an HTTP %i is logged at level info or above, with Fly's request id and the name of the machine to create",
  async (status) => {
    const { client, lines } = await startScript((_q, response) => json(response, status, { error: 'no' }));
    await client.create('app-1', { name: 'gr-1', config: {} });
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { fly_request_id: '01FLY', status_code: status, machine_name: 'gr-1', path: '/apps/app-1/machines' },
    ]);
  },
);

test('a response that is not a list counts as a failure, not as an empty list', async () => {
  const { client } = await startScript((_q, response) => json(response, 200, { error: 'odd' }));
  expect((await client.list('app-1')).kind).toBe('ambiguous');
});

test('a stop sends its signal and timeout, and a destroy is forced', async () => {
  const { client, seen } = await startScript((_q, response) => json(response, 200, { ok: true }));
  await client.stop('app-1', 'd1', 'SIGTERM', '90s');
  await client.destroy('app-1', 'd1');
  expect(seen[0]).toMatchObject({
    url: '/v1/apps/app-1/machines/d1/stop',
    body: '{"signal":"SIGTERM","timeout":"90s"}',
  });
  expect(seen[1]).toMatchObject({ method: 'DELETE', url: '/v1/apps/app-1/machines/d1?force=true' });
});

test('macaroons are sent with the scheme FlyV1, other tokens with Bearer', () => {
  expect(authorizationOf('fm2_lJPE')).toBe('FlyV1 fm2_lJPE');
  expect(authorizationOf('FlyV1 fm2_lJPE')).toBe('FlyV1 fm2_lJPE');
  expect(authorizationOf('fo1_abc')).toBe('Bearer fo1_abc');
});

test('an app whose requests hang uses its share of the connections, and the requests of another are answered', async () => {
  const open = new Set<ServerResponse>();
  let mostOpen = 0;
  let hangs = true;
  const { client } = await startScript((request, response) => {
    if (!hangs || !request.url?.includes('/app-hung/')) return json(response, 200, []);
    open.add(response);
    response.once('close', () => open.delete(response));
    mostOpen = Math.max(mostOpen, open.size);
  }, 30_000);
  const hanging = Array.from({ length: 300 }, (_, n) => client.get('app-hung', `m${n}`));
  const listed = await Promise.all(Array.from({ length: 20 }, () => client.list('app-quiet')));
  expect(listed.map(({ kind }) => kind)).toEqual(Array(20).fill('listed'));
  expect(mostOpen).toBe(flyRequests.perLane);
  hangs = false;
  for (const response of open) json(response, 200, []);
  await Promise.all(hanging);
});
