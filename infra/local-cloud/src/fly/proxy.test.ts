import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type Harness, SERVICES, startHarness, until, WORKER } from './testing/harness.ts';

/** The public app: answers every upgrade and every GET /page with a given replay, and records its requests. */
interface Orchestrator {
  url: string;
  seen: IncomingMessage[];
  stop(): Promise<void>;
}

let replayHeader = '';
let acceptUpgrades = false;
/** The answer to a request whose replay failed. */
let onFailure: 'accept' | 'replay_again' = 'accept';

async function startOrchestrator(): Promise<Orchestrator> {
  const seen: IncomingMessage[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const server: Server = createServer((request, response) => {
    seen.push(request);
    const failed = request.headers['fly-replay-failed'];
    if (request.url?.startsWith('/page') && (failed === undefined || onFailure === 'replay_again')) {
      return response.writeHead(200, { 'fly-replay': replayHeader }).end();
    }
    response.setHeader('x-failed', failed ?? '').setHeader('content-type', 'text/plain');
    request.pipe(response);
  });
  server.on('upgrade', (request, socket, head) => {
    seen.push(request);
    if (acceptUpgrades || request.headers['fly-replay-failed'] !== undefined) {
      sockets.handleUpgrade(request, socket, head, (ws) => {
        ws.on('message', (data) => ws.send(data.toString()));
        ws.send('from the orchestrator');
        if (!acceptUpgrades) ws.close(4503, 'not ready');
      });
      return;
    }
    socket.end(`HTTP/1.1 307 Temporary Redirect\r\nfly-replay: ${replayHeader}\r\ncontent-length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Talk {
  socket: WebSocket;
  messages: string[];
  closed: Promise<{ code: number; reason: string }>;
}

function talk(url: string, headers: Record<string, string> = {}): Talk {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers });
  const messages: string[] = [];
  socket.on('message', (data) => messages.push(data.toString()));
  socket.on('error', () => undefined);
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  return { socket, messages, closed };
}

let harness: Harness;
let origins: Orchestrator[];
let deadOrigin: string;
let worker: string;

beforeAll(async () => {
  origins = [await startOrchestrator(), await startOrchestrator()];
  const gone = await startOrchestrator();
  deadOrigin = gone.url;
  await gone.stop();
  harness = await startHarness({ orchestrators: () => [deadOrigin, ...origins.map(({ url }) => url)] });
  worker = await harness.create({}, { image: WORKER, services: SERVICES });
  await harness.reach(worker, 'started');
  await until(() => harness.fly.machineLogs(worker).includes('listening'));
}, 30_000);

afterAll(async () => {
  await harness.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});

afterEach(() => {
  harness.fly.faults.clear();
  acceptUpgrades = false;
  onFailure = 'accept';
  for (const { seen } of origins) seen.length = 0;
});

const to = (fields = '') => `app=rooms;instance=${worker}${fields}`;
const lastSeen = () => origins.flatMap(({ seen }) => seen).at(-1)!;

describe('plain requests', () => {
  it('reach the app with the headers of the edge, skipping an instance that refuses connections', async () => {
    for (let i = 0; i < 3; i += 1) {
      const response = await fetch(`${harness.fly.proxyUrl}/hello`, {
        method: 'POST',
        body: 'a body',
        headers: { 'fly-prefer-region': 'syd' },
      });
      expect([response.status, await response.text()]).toEqual([200, 'a body']);
      expect(response.headers.get('fly-request-id')).toMatch(/^[0-9A-Z]{26}-syd$/);
    }
    const { headers } = lastSeen();
    expect(headers).toMatchObject({
      'fly-client-ip': '127.0.0.1',
      'fly-region': 'syd',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'fly-forwarded-proto': 'http',
    });
    expect(headers['fly-forwarded-port']).toBe(new URL(harness.fly.proxyUrl).port);
  });

  it('stream a body of unknown length that is too large to replay', async () => {
    const big = 'x'.repeat(3 * 1024 * 1024);
    const body = new Blob([big]).stream();
    const response = await fetch(`${harness.fly.proxyUrl}/big`, {
      method: 'POST',
      body,
      duplex: 'half',
    } as RequestInit);
    expect((await response.text()).length).toBe(big.length);
    replayHeader = to();
    const refused = await fetch(`${harness.fly.proxyUrl}/page`, { method: 'POST', body: big });
    expect([refused.status, refused.headers.get('fly-error')]).toEqual([502, 'PA01']);
  });

  it('are replayed to the machine with their body, the source and the state', async () => {
    replayHeader = to(';state="a;b"');
    const response = await fetch(`${harness.fly.proxyUrl}/page?x=1`, { method: 'POST', body: 'said once' });
    const answer = (await response.json()) as { machine: string; body: string; headers: Record<string, string> };
    expect(answer).toMatchObject({ machine: worker, body: 'said once' });
    expect(answer.headers['fly-replay-src']).toMatch(/^instance=[0-9a-f]{14};region=fra;t=\d{16};state=a;b$/);
  });

  it('are answered with 503 when no instance accepts connections', async () => {
    const lonely = await startHarness({ orchestrators: () => [deadOrigin] });
    expect((await fetch(lonely.fly.proxyUrl)).status).toBe(503);
    await lonely.stop();
  });
});

describe('upgrades', () => {
  it('are replayed to the machine, which the browser then talks to byte for byte', async () => {
    replayHeader = to(';state=tok;timeout=5s');
    const { socket, messages } = talk(`${harness.fly.proxyUrl}/ws/sessions/1`);
    const first = JSON.parse(await until(() => messages[0]));
    expect(first).toMatchObject({ machine: worker, url: '/ws/sessions/1' });
    expect(first.headers['fly-replay-src']).toContain('state=tok');
    const large = 'y'.repeat(2 * 1024 * 1024);
    socket.send(large);
    expect(await until(() => messages[1])).toBe(large);
    expect(harness.fly.proxyStats.tunnels).toBe(1);
    socket.close();
    await until(() => harness.fly.proxyStats.tunnels === 0 || undefined);
  });

  it('that the app accepts itself are piped as they are, close code included', async () => {
    acceptUpgrades = true;
    const { socket, messages, closed } = talk(harness.fly.proxyUrl);
    await until(() => messages[0]);
    socket.send('echo me');
    expect(await until(() => messages[1])).toBe('echo me');
    socket.close(1000, 'bye');
    expect(await closed).toEqual({ code: 1000, reason: 'bye' });
  });

  it('break when the machine ends, and when the proxy cuts them', async () => {
    replayHeader = to();
    const { messages, closed } = talk(harness.fly.proxyUrl);
    await until(() => messages[0]);
    expect(harness.fly.cutConnections(worker)).toBe(1);
    expect((await closed).code).toBe(1006);
  });

  it('pass half-closed connections on: data sent before the end still arrive', async () => {
    replayHeader = to();
    const { port } = new URL(harness.fly.proxyUrl);
    const raw = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
    const key = 'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    raw.write(`GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n`);
    const chunks: Buffer[] = [];
    raw.on('data', (chunk) => chunks.push(chunk));
    await until(() => (Buffer.concat(chunks).includes('fly-replay-src') ? true : undefined));
    raw.end();
    await new Promise((resolve) => raw.once('close', resolve));
    expect(Buffer.concat(chunks).toString()).toContain('101 Switching Protocols');
  });
});

describe('a replay that cannot be delivered', () => {
  const absent = 'app=rooms;instance=0123456789abcd';

  it('falls back to the origin, which gets the reason and can close with a code', async () => {
    replayHeader = `${absent};timeout=2s;fallback=force_self`;
    const { closed } = talk(harness.fly.proxyUrl);
    expect(await closed).toEqual({ code: 4503, reason: 'not ready' });
    expect(lastSeen().headers['fly-replay-failed']).toMatch(
      /^instance=0123456789abcd;app=rooms;region=;replay_source=[0-9a-f]{14};reason=no_candidate;elapsed_ms=\d+$/,
    );
    expect(origins.filter(({ seen }) => seen.length === 2)).toHaveLength(1);
  });

  it('is retried until the timeout while the machine is not listening', async () => {
    const sleeping = await harness.create({ skip_launch: true }, { image: WORKER, services: SERVICES });
    replayHeader = `app=rooms;instance=${sleeping};timeout=300ms;fallback=prefer_self`;
    const startedMs = performance.now();
    const response = await fetch(`${harness.fly.proxyUrl}/page`);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(299);
    expect(response.headers.get('x-failed')).toContain('reason=timeout');
  });

  it('is delivered when the machine comes up in time', async () => {
    const late = await harness.create({ skip_launch: true }, { image: WORKER, services: SERVICES });
    replayHeader = `app=rooms;instance=${late};timeout=10s`;
    const answering = fetch(`${harness.fly.proxyUrl}/page`);
    await until(() => lastSeen());
    await harness.call('POST', `/v1/apps/rooms/machines/${late}/start`);
    expect(await (await answering).json()).toMatchObject({ machine: late });
  });

  it('wakes a stopped machine whose service has autostart', async () => {
    const services = SERVICES.map((service) => ({ ...service, autostart: true }));
    const dozing = await harness.create({}, { image: WORKER, services, stop_config: { signal: 'SIGTERM' } });
    await harness.reach(dozing, 'started');
    await harness.call('POST', `/v1/apps/rooms/machines/${dozing}/stop`, {});
    await harness.reach(dozing, 'stopped');
    replayHeader = `app=rooms;instance=${dozing};timeout=10s`;
    expect(await (await fetch(`${harness.fly.proxyUrl}/page`)).json()).toMatchObject({ machine: dozing });
  });

  it('is answered 502 without a fallback, and when a fallback replays again', async () => {
    replayHeader = absent;
    expect((await fetch(`${harness.fly.proxyUrl}/page`)).status).toBe(502);
    onFailure = 'replay_again';
    replayHeader = `${absent};fallback=force_self`;
    const again = await fetch(`${harness.fly.proxyUrl}/page`);
    expect([again.status, again.headers.get('fly-error')]).toEqual([502, 'PA03']);
  });

  it('does not go to a cordoned machine', async () => {
    await harness.call('POST', `/v1/apps/rooms/machines/${worker}/cordon`);
    replayHeader = to(';timeout=1s');
    expect((await fetch(`${harness.fly.proxyUrl}/page`)).status).toBe(502);
    await harness.call('POST', `/v1/apps/rooms/machines/${worker}/uncordon`);
    expect((await fetch(`${harness.fly.proxyUrl}/page`)).status).toBe(200);
  });

  it('fails on cue', async () => {
    harness.fly.faults.add({
      on: 'proxy.replay',
      action: { kind: 'special', name: 'fail', value: 'retries_exhausted' },
    });
    replayHeader = to(';fallback=force_self');
    const response = await fetch(`${harness.fly.proxyUrl}/page`);
    expect(response.headers.get('x-failed')).toContain('reason=retries_exhausted');
  });

  it('ends after ten replays that lead back to the app', async () => {
    replayHeader = 'app=greenroom-orchestrator';
    const response = await fetch(`${harness.fly.proxyUrl}/page`);
    expect([response.status, response.headers.get('fly-error')]).toEqual([502, 'PA02']);
  });
});

describe('another network', () => {
  it('cannot be reached until cross-network replay is enabled', async () => {
    await harness.call('POST', '/v1/apps', { app_name: 'tenant', org_slug: 'local', network: 'tenant-net' });
    const created = await harness.call('POST', '/v1/apps/tenant/machines', {
      region: 'fra',
      config: { image: WORKER, services: SERVICES },
    });
    replayHeader = `app=tenant;instance=${created.body.id};timeout=10s`;
    const refused = await fetch(`${harness.fly.proxyUrl}/page`);
    expect([refused.status, refused.headers.get('fly-error')]).toEqual([502, 'PA05']);
    harness.fly.crossNetworkReplay.enable();
    const { messages, socket } = talk(harness.fly.proxyUrl);
    expect(JSON.parse(await until(() => messages[0])).machine).toBe(created.body.id);
    socket.close();
    harness.fly.crossNetworkReplay.disable();
    expect((await fetch(`${harness.fly.proxyUrl}/page`)).status).toBe(502);
  });
});

describe('a machine to which the proxy must not route', () => {
  const checks = [{ type: 'http', path: '/ready', interval: '100ms', timeout: '1s', grace_period: '50ms' }];
  const machineWith = async (changes: object): Promise<{ id: string; address: string }> => {
    const id = await harness.create({}, { image: WORKER, services: [{ ...SERVICES[0], ...changes }] });
    await harness.reach(id, 'started');
    await until(() => harness.fly.machineLogs(id).includes('listening'));
    const address = harness.fly.machines().find((machine) => machine.id === id)?.address ?? '';
    return { id, address };
  };
  const statusesOf = async (id: string): Promise<string[]> =>
    (await harness.get(id)).body.checks.map((check: { status: string }) => check.status);
  const send = () => fetch(`${harness.fly.proxyUrl}/page`, { method: 'POST', body: 'x' });

  it('because its check fails: gets no request until it passes', async () => {
    const { id, address } = await machineWith({ checks });
    expect(await statusesOf(id)).toEqual(['critical']);
    replayHeader = `app=rooms;instance=${id};timeout=1s;fallback=force_self`;
    expect((await send()).headers.get('x-failed')).toContain('timeout');
    const waiting = send();
    await fetch(`http://${address}:8080/become-ready`);
    expect(((await (await waiting).json()) as { machine: string }).machine).toBe(id);
    expect(await statusesOf(id)).toEqual(['passing']);
  });

  it('because it is at its hard limit: gets no further socket', async () => {
    const { id } = await machineWith({ concurrency: { type: 'connections', hard_limit: 2 } });
    replayHeader = `app=rooms;instance=${id};timeout=1s;fallback=force_self`;
    const inside = [talk(harness.fly.proxyUrl), talk(harness.fly.proxyUrl)];
    await until(() => inside.every(({ messages }) => messages.length > 0) || undefined);
    expect((await talk(harness.fly.proxyUrl).closed).code).toBe(4503);
    inside[0]?.socket.close();
    await until(() => harness.fly.proxyStats.tunnels === 1 || undefined);
    const next = talk(harness.fly.proxyUrl);
    await until(() => next.messages.length > 0 || undefined);
    for (const { socket } of [...inside, next]) socket.terminate();
  });
});
