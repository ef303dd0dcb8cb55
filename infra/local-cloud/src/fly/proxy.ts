/**
 * Fly's proxy in front of one public app: HTTP and WebSocket upgrades, obeying `fly-replay`.
 *
 * - A replay sends the client's request again (with up to 1 MB of body) to the target's service with the
 *   public port that the client used. This proxy's port counts as 443.
 * - Connecting is retried until the replay's timeout. After a target has accepted the connection there is no
 *   retry.
 * - With `fallback` the origin gets the request again with `fly-replay-failed`; its answer must not replay
 *   again.
 * - At most 10 replays per request. Replays across networks only when enabled.
 * - The target's answer to an upgrade is piped byte for byte, as is an upgrade that the app accepts itself.
 *
 * Faults: `proxy.request` (status, delay, drop_before, hang) and `proxy.replay` (delay, drop_before, and the
 * special `fail` with a reason of `fly-replay-failed` as its value, default `timeout`).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Faults } from '../faults.ts';
import { readBody } from './body.ts';
import { type HopRequest, type HopResult, hop, passableHeaders } from './hop.ts';
import { newRequestId } from './ids.ts';
import { clientOf, type ProxyClient } from './proxy-client.ts';
import { isRegion } from './regions.ts';
import { parseReplay, type Replay, type ReplayFailure, replayFailed, replaySource } from './replay-header.ts';
import { createTargets, type Target } from './replay-targets.ts';
import type { Machine, State } from './state.ts';

export interface ProxyDeps {
  state: State;
  clock: Clock;
  faults: Faults;
  /** Name of the public app. Its instances are base URLs, not machines here. */
  publicApp: string;
  orchestrators: () => string[];
  /** The edge region that accepts connections, unless the client sends `fly-prefer-region`. */
  edgeRegion: string;
  /**
   * Remove `fly-replay-src` and `fly-replay-failed` from outside requests. Fly's behaviour is unknown;
   * default false.
   */
  stripReplayHeaders: boolean;
  port: number;
  /** With it the proxy ends TLS, as at Fly: clients speak https and wss, and targets are told so in headers. */
  tls?: ProxyTls | undefined;
  startMachine: (machine: Machine) => void;
}

export interface ProxyTls {
  key: Buffer;
  cert: Buffer;
}

export interface ProxyStats {
  requests: number;
  replays: number;
  fallbacks: number;
  refusedCrossNetwork: number;
  /** Open WebSocket tunnels. */
  tunnels: number;
}

export interface Proxy {
  readonly url: string;
  readonly stats: Readonly<ProxyStats>;
  readonly crossNetworkReplay: boolean;
  allowCrossNetworkReplay(allowed: boolean): void;
  /** Cuts open tunnels: all, or those to one machine. @returns the number of cut ones. */
  cut(machineId?: string): number;
  stop(): Promise<void>;
}

const MAX_REPLAYS = 10;
/** For a replay without a timeout: this many tries, `DEFAULT_RETRY_MS` apart. */
const DEFAULT_TRIES = 20;
const RETRY_MS = 50;
const DEFAULT_RETRY_MS = 250;
const CONNECT_TIMEOUT_MS = 1_000;

type Sent = { result: Extract<HopResult, { kind: 'response' | 'tunnel' | 'broken' }>; target: Target };
type ReplayEnd = Sent | { failed: ReplayFailure; elapsedMs: number; code: string };

export async function startProxy(deps: ProxyDeps): Promise<Proxy> {
  const { clock, faults } = deps;
  const targets = createTargets({
    ...deps,
    crossNetwork: () => crossNetwork,
    connections: (machineId) => [...tunnels.values()].filter((id) => id === machineId).length,
  });
  const stats: ProxyStats = { requests: 0, replays: 0, fallbacks: 0, refusedCrossNetwork: 0, tunnels: 0 };
  const tunnels = new Map<ProxyClient, string | undefined>();
  let crossNetwork = false;
  const scheme = deps.tls ? 'https' : 'http';
  const ssl = deps.tls ? 'on' : 'off';

  function requestTo(client: ProxyClient, target: Target, extra: Record<string, string>): HopRequest {
    const headers = { ...passableHeaders(client.request.headers, client.upgrade), ...edgeHeaders(client), ...extra };
    return {
      host: target.host,
      port: target.port,
      method: client.request.method ?? 'GET',
      path: client.request.url ?? '/',
      headers,
      upgrade: client.upgrade,
      body: client.body,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    };
  }

  function edgeHeaders({ request, region }: ProxyClient): Record<string, string> {
    const address = (request.socket.remoteAddress ?? '127.0.0.1').replace(/^::ffff:/, '');
    const earlier = request.headers['x-forwarded-for'];
    const port = String((server.address() as AddressInfo).port);
    return {
      'fly-client-ip': address,
      'fly-region': region,
      'fly-forwarded-port': port,
      'fly-forwarded-proto': scheme,
      'fly-forwarded-ssl': ssl,
      'x-forwarded-for': earlier === undefined ? address : `${String(earlier)}, ${address}`,
      'x-forwarded-proto': scheme,
      'x-forwarded-port': port,
      'x-forwarded-ssl': ssl,
      via: '1.1 fly.io',
    };
  }

  function regionOf(request: IncomingMessage): string {
    const wanted = String(request.headers['fly-prefer-region'] ?? '')
      .split(',')[0]!
      .trim();
    return isRegion(wanted) ? wanted : deps.edgeRegion;
  }

  /** Sends to the first instance that accepts the connection. */
  async function sendToOrigin(client: ProxyClient, origins: Target[], extra = {}): Promise<Sent | undefined> {
    for (const target of origins) {
      const result = await hop(requestTo(client, target, extra), client.gone);
      if (result.kind !== 'refused') return { result, target };
    }
    return undefined;
  }

  /** Tries each target once. */
  async function tryTargets(client: ProxyClient, candidates: Target[], extra: Record<string, string>, replay: Replay) {
    for (const target of candidates) {
      if (target.machine && !targets.connectable(target.machine)) continue;
      const missed = replay.preferInstance !== undefined && target.instance !== replay.preferInstance;
      const headers = missed ? { ...extra, 'fly-preferred-instance-unavailable': replay.preferInstance! } : extra;
      const result = await hop(requestTo(client, target, headers), client.gone);
      if (result.kind !== 'refused') return { result, target };
    }
    return undefined;
  }

  /** Sends a replay: retries connecting until its timeout. */
  async function sendReplay(client: ProxyClient, replay: Replay, source: Target): Promise<ReplayEnd> {
    const startedMs = clock.monotonicMs();
    const failed = (reason: ReplayFailure, code: string) => ({
      failed: reason,
      code,
      elapsedMs: clock.monotonicMs() - startedMs,
    });
    const fault = faults.take('proxy.replay', { app: replay.app ?? source.app, instance: replay.instance ?? '' });
    if (fault?.kind === 'delay') await clock.sleep(fault.delayMs);
    if (fault?.kind === 'special') return failed((fault.value as ReplayFailure | undefined) ?? 'timeout', 'PR03');
    if (fault?.kind === 'drop_before') client.drop();
    const extra = { 'fly-replay-src': replaySource(source, clock.now(), replay.state) };
    for (let tries = 1; !client.gone.aborted; tries += 1) {
      const found = targets.ofReplay(replay, source);
      if (found === 'unknown_app') return failed('no_candidate', 'PA04');
      if (found === 'unauthorized') {
        stats.refusedCrossNetwork += 1;
        return failed('no_candidate', 'PA05');
      }
      if (found.length === 0) return failed('no_candidate', 'PR02');
      const sent = await tryTargets(client, found, extra, replay);
      if (sent) return sent;
      const elapsedMs = clock.monotonicMs() - startedMs;
      if (replay.timeoutMs !== undefined && elapsedMs >= replay.timeoutMs) return failed('timeout', 'PC01');
      if (replay.timeoutMs === undefined && tries >= DEFAULT_TRIES) return failed('retries_exhausted', 'PR01');
      const pauseMs =
        replay.timeoutMs === undefined ? DEFAULT_RETRY_MS : Math.min(RETRY_MS, replay.timeoutMs - elapsedMs);
      await clock.sleep(pauseMs);
    }
    return failed('timeout', 'PC01');
  }

  function replayOf(sent: Sent): Replay | undefined {
    if (sent.result.kind !== 'response') return undefined;
    const header = sent.result.response.headers['fly-replay'];
    return header === undefined ? undefined : parseReplay(String(header));
  }

  /** Sends the request to the origin again, after a failed replay with `fallback`. */
  async function fallBack(client: ProxyClient, replay: Replay, origin: Target, failure: Exclude<ReplayEnd, Sent>) {
    stats.fallbacks += 1;
    const header = replayFailed({
      replay,
      app: replay.app ?? origin.app,
      region: replay.regions[0] ?? '',
      source: origin.instance,
      reason: failure.failed,
      elapsedMs: failure.elapsedMs,
    });
    const others = replay.fallback === 'prefer_self' ? targets.originsInTurn() : [];
    return sendToOrigin(client, [origin, ...others], { 'fly-replay-failed': header });
  }

  async function route(client: ProxyClient): Promise<void> {
    let sent = await sendToOrigin(client, targets.originsInTurn());
    if (!sent) return client.fail(503, 'PR03', 'no instance of the app takes connections');
    for (let replays = 0; ; replays += 1) {
      const replay = replayOf(sent);
      if (!replay) return finish(client, sent);
      discard(sent);
      if (replays >= MAX_REPLAYS) return client.fail(502, 'PA02', 'too many replays');
      if (client.body.rest) return client.fail(502, 'PA01', 'the request is too large to replay');
      stats.replays += 1;
      const end: ReplayEnd = await sendReplay(client, replay, sent.target);
      if ('result' in end) {
        sent = end;
        continue;
      }
      if (replay.fallback === undefined) return client.fail(502, end.code, `replay failed: ${end.failed}`);
      return afterFallback(client, await fallBack(client, replay, sent.target, end));
    }
  }

  function afterFallback(client: ProxyClient, sent: Sent | undefined): void {
    if (!sent) {
      client.fail(502, 'PR03', 'the origin is gone');
      return;
    }
    if (!replayOf(sent)) {
      finish(client, sent);
      return;
    }
    discard(sent);
    client.fail(502, 'PA03', 'a fallback cannot replay again');
  }

  function discard(sent: Sent): void {
    if (sent.result.kind === 'response') sent.result.response.destroy();
  }

  function finish(client: ProxyClient, { result, target }: Sent): void {
    if (result.kind === 'broken') {
      client.fail(502, 'PU02', 'the instance closed the connection');
      return;
    }
    if (result.kind === 'response') {
      client.respond(result.response);
      return;
    }
    tunnels.set(client, target.machine?.id);
    stats.tunnels += 1;
    client.tunnel(result.response, result.socket, result.head, () => {
      tunnels.delete(client);
      stats.tunnels -= 1;
    });
  }

  async function accept(request: IncomingMessage, io: { response: ServerResponse } | { socket: Duplex; head: Buffer }) {
    stats.requests += 1;
    if (deps.stripReplayHeaders) {
      delete request.headers['fly-replay-src'];
      delete request.headers['fly-replay-failed'];
    }
    const region = regionOf(request);
    const client = clientOf(request, io, region, newRequestId(clock.now(), region));
    const fault = faults.take('proxy.request', { path: request.url ?? '' });
    if (fault?.kind === 'delay') await clock.sleep(fault.delayMs);
    if (fault?.kind === 'drop_before') return client.drop();
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'status') return client.fail(fault.status, 'fault', 'fault on cue');
    client.body = await readBody(request, client.upgrade);
    await route(client);
  }

  const server: Server = deps.tls ? createTlsServer(deps.tls) : createServer();
  const run = (...args: Parameters<typeof accept>) => {
    accept(...args).catch((error: unknown) => {
      args[0].socket.destroy();
      // An error after the client has disconnected is expected.
      if (!args[0].destroyed) throw error;
    });
  };
  server.on('request', (request, response) => run(request, { response }));
  server.on('upgrade', (request, socket, head) => run(request, { socket, head }));
  server.requestTimeout = 0;
  // The HTTP server does not track upgraded connections, but `stop` must cut them.
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(deps.port, '127.0.0.1', resolve);
  });

  function cut(machineId?: string): number {
    const chosen = [...tunnels].filter(([, id]) => machineId === undefined || id === machineId);
    for (const [client] of chosen) client.drop();
    return chosen.length;
  }

  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stats,
    get crossNetworkReplay() {
      return crossNetwork;
    },
    cut,
    allowCrossNetworkReplay: (allowed) => {
      crossNetwork = allowed;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}
