import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import { type Deadlines, defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * Scripted peers of a worker, on loopback: Fly's token socket, the orchestrator's worker API, Supabase's rpc routes and the
 * voice provider. Each records its requests and answers as `script` says, so that a test can change one answer.
 */
export interface Asked {
  method: string;
  path: string;
  authorization: string;
  /** The trace context that the request carries. */
  traceparent: string | undefined;
  body: unknown;
  atMs: number;
}

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export type Route = (asked: Asked) => Reply | undefined | Promise<Reply | undefined>;

export const offerSdp = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n';
export const answerSdp = 'v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n';

export interface Peers {
  readonly url: string;
  readonly flySocket: string;
  readonly session: { id: string; tenantId: string; machineId: string };
  readonly asked: Asked[];
  /** Everything the worker sent to its peers, in order: routes of requests, `sideband`, `say <type>` on it. */
  readonly journal: string[];
  /** Requests to a route, e.g. `POST /worker/v1/finish`. */
  askedFor(route: string): Asked[];
  /** Entries stored in the database, by `ordinal/item_id`. */
  readonly stored: Map<string, Record<string, unknown>>;
  /** Answers a request instead of the usual answer, unless it returns undefined. */
  bend(route: string, answer: Route): void;
  unbend(route: string): void;
  claim: Record<string, unknown>;
  directive: Record<string, unknown>;
  readonly sidebands: WebSocket[];
  /** What the worker sent on its sidebands. */
  readonly saidOnSideband: Array<Record<string, unknown>>;
  /** Whether `session.update` is answered. Default true. */
  echoUpdates: boolean;
  emit(event: Record<string, unknown>): void;
  token(audience: string, more?: Record<string, unknown>, expiresIn?: string): Promise<string>;
  /** Headers of an admitted connection. */
  admission(epoch?: number): Promise<Record<string, string>>;
  close(): Promise<void>;
}

export interface PeersOptions {
  deadlines?: Partial<Deadlines>;
  session?: Record<string, unknown>;
}

const listen = (server: Server, at: number | string) =>
  new Promise<void>((resolve) =>
    typeof at === 'number' ? server.listen(at, '127.0.0.1', resolve) : server.listen(at, resolve),
  );

async function read(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function write(response: ServerResponse, { status, body, headers = {} }: Reply): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? {});
  response.writeHead(status, {
    'content-type': typeof body === 'string' ? 'text/plain' : 'application/json',
    ...headers,
  });
  response.end(text);
}

export async function startPeers({ deadlines = {}, session: more = {} }: PeersOptions = {}): Promise<Peers> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const key = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  const session = { id: randomUUID(), tenantId: randomUUID(), machineId: randomUUID() };
  const flySocket = path.join(tmpdir(), `gr-${randomUUID().slice(0, 8)}.sock`);
  const asked: Asked[] = [];
  const journal: string[] = [];
  const stored = new Map<string, Record<string, unknown>>();
  const bent = new Map<string, Route>();
  const sidebands: WebSocket[] = [];
  const saidOnSideband: Array<Record<string, unknown>> = [];
  let calls = 0;

  const usual: Record<string, Route> = {
    'POST /worker/v1/claim': () => ({ status: 200, body: peers.claim }),
    'POST /worker/v1/heartbeat': () => ({ status: 200, body: { lease_ms: 20_000, directive: peers.directive } }),
    'POST /worker/v1/calls': ({ body }) => ({
      status: 200,
      body: {
        ordinal: (body as { ordinal: number }).ordinal,
        credential: {
          value: `ek_${(body as { ordinal: number }).ordinal}`,
          base_url: `${url}/v1`,
          expires_at: Date.now() + 60_000,
        },
        session: { type: 'realtime', model: 'm', instructions: 'Interview.', audio: { output: { voice: 'marin' } } },
      },
    }),
    'PATCH /worker/v1/calls': () => ({ status: 204 }),
    'POST /worker/v1/finish': () => ({ status: 204 }),
    'POST /worker/v1/traces': () => ({ status: 204 }),
    'POST /v1/realtime/calls': () => {
      calls += 1;
      return { status: 201, body: answerSdp, headers: { location: `/v1/realtime/calls/rtc_${calls}` } };
    },
    'POST /v1/realtime/hangup': () => ({ status: 200 }),
    'POST /rest/v1/rpc/worker_report': () => ({ status: 200, body: { status: 'in_progress' } }),
    'POST /rest/v1/rpc/flag_integrity': () => ({ status: 204 }),
    'POST /rest/v1/rpc/note_recording_started': () => ({ status: 204 }),
    'POST /rest/v1/rpc/append_transcript': ({ body }) => ({ status: 200, body: append(body) }),
    'POST /rest/v1/rpc/own_transcript': () => ({ status: 200, body: [...stored.values()] }),
  };
  const append = (body: unknown): string[] => {
    const entries = (body as { p_entries: Array<Record<string, unknown>> }).p_entries;
    for (const entry of entries) {
      const at = `${entry.ordinal}/${entry.item_id}`;
      const before = stored.get(at);
      if (entry.verified || !before?.verified)
        stored.set(at, { ...entry, previous_item_id: entry.previous_item_id ?? before?.previous_item_id ?? null });
    }
    return entries.map((entry) => String(entry.item_id));
  };
  const routeOf = (method: string, pathname: string) => {
    if (pathname.endsWith('/hangup')) return `${method} /v1/realtime/hangup`;
    return `${method} ${pathname.replace(/^(\/worker\/v1\/calls)\/.*/, '$1')}`;
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    const { method = 'GET' } = request;
    const one: Asked = {
      method,
      path: pathname,
      authorization: request.headers.authorization ?? '',
      traceparent: [request.headers.traceparent].flat()[0],
      body: await read(request),
      atMs: performance.now(),
    };
    asked.push(one);
    const route = routeOf(method, pathname);
    journal.push(route);
    const reply = (await bent.get(route)?.(one)) ?? (await usual[route]?.(one)) ?? { status: 404 };
    if (reply.status === 0) return void request.socket.destroy();
    write(response, reply);
  });
  const sideband = new WebSocketServer({ noServer: true });
  server.on('upgrade', async (request, socket, head) => {
    // A worker that has given up may reset the connection while it is being refused.
    socket.on('error', () => socket.destroy());
    const one = {
      method: 'GET',
      path: request.url ?? '',
      authorization: request.headers.authorization ?? '',
      traceparent: [request.headers.traceparent].flat()[0],
      body: undefined,
      atMs: performance.now(),
    };
    asked.push(one);
    const reply = await bent.get('GET /v1/realtime')?.(one);
    if (reply) return void socket.end(`HTTP/1.1 ${reply.status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    sideband.handleUpgrade(request, socket, head, (ws) => {
      sidebands.push(ws);
      journal.push('sideband');
      // A worker that is killed resets the connection.
      ws.on('error', () => ws.terminate());
      ws.on('message', (data) => {
        const said = JSON.parse(String(data)) as Record<string, unknown>;
        saidOnSideband.push(said);
        journal.push(`say ${said.type}`);
        if (said.type === 'session.update' && peers.echoUpdates)
          ws.send(JSON.stringify({ type: 'session.updated', session: {} }));
      });
    });
  });
  const fly = createServer((_request, response) => write(response, { status: 200, body: 'aaa.bbb.ccc' }));
  await listen(server, 0);
  await listen(fly, flySocket);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const token = (audience: string, claims: Record<string, unknown> = {}, expiresIn = '5m') =>
    new SignJWT({ session_id: session.id, tenant_id: session.tenantId, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer('https://greenroom.test')
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expiresIn)
      .sign(privateKey);

  const peers: Peers = {
    url,
    flySocket,
    session,
    asked,
    journal,
    stored,
    sidebands,
    saidOnSideband,
    echoUpdates: true,
    directive: { kind: 'continue' },
    askedFor: (route) => asked.filter((one) => routeOf(one.method, one.path) === route),
    bend: (route, answer) => void bent.set(route, answer),
    unbend: (route) => void bent.delete(route),
    emit: (event) => {
      for (const ws of sidebands) if (ws.readyState === ws.OPEN) ws.send(JSON.stringify(event));
    },
    token,
    admission: async (epoch = 1) => ({
      'fly-replay-src': `instance=o1;region=fra;t=1;state=${await token(audiences.replay, { epoch })}`,
    }),
    claim: {
      machine_id: session.machineId,
      session: {
        id: session.id,
        tenant_id: session.tenantId,
        epoch: 1,
        status: 'ready',
        max_duration_ms: 3_000_000,
        started_at: null,
        simulated: true,
        allowed_origins: [],
        ...more,
      },
      worker_token: { token: 'worker-token-1', expires_at: Date.now() + 600_000 },
      supabase: { url, publishable_key: 'sb_publishable_x' },
      join_keys: { keys: [key] },
      join_issuer: 'https://greenroom.test',
      reconnect_token: 'reconnect',
      realtime: { webrtc_filter: false },
      open_call: null,
      next_ordinal: 1,
      deadlines: { ...defaultDeadlines, ...deadlines },
      directive: { kind: 'continue' },
    },
    close: async () => {
      for (const ws of sidebands) ws.terminate();
      sideband.close();
      server.closeAllConnections();
      fly.closeAllConnections();
      await Promise.all([server, fly].map((s) => new Promise((resolve) => s.close(resolve))));
    },
  };
  return peers;
}
