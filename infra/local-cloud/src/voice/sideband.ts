/**
 * The sideband: `GET /v1/realtime?call_id=…`, upgraded to a WebSocket with the credential that created the
 * call.
 *
 * - Any other credential, an unknown call or an ended one gets 404 `call_id_not_found`, as measured live.
 * - There is no `session.created` here: the first event is the reply to the listener's own `session.update`.
 *
 * Fault point `realtime.sideband`, at the upgrade: status, delay, hang, `drop_before` (cut before the
 * upgrade), `drop_after` (accepted, then cut), and the special cues of delivery.ts.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { type WebSocket, WebSocketServer } from 'ws';
import type { FaultAction, Faults } from '../faults.ts';
import type { WireReply } from '../faulty-route.ts';
import { apiError, callNotFound, usualBody } from './api-error.ts';
import type { Call } from './call.ts';
import type { CallControl } from './call-control.ts';
import type { Credentials } from './credentials.ts';
import { createDelivery } from './delivery.ts';
import { newWireId } from './wire.ts';

export interface SidebandDeps {
  credentials: Credentials;
  findCall(id: string): Call | undefined;
  mayControl: CallControl['may'];
  faults: Faults;
  clock: Clock;
}

export interface SidebandServer {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
  /** Cuts every sideband of a call without a closing handshake. Returns their number. */
  cut(callId: string): number;
  stop(): void;
}

export function createSidebandServer(deps: SidebandDeps): SidebandServer {
  const server = new WebSocketServer({ noServer: true });
  const waiting = new Set<Duplex>();
  const open = new Map<WebSocket, string>();

  function accept(call: Call, cue: FaultAction | undefined, request: IncomingMessage, socket: Duplex, head: Buffer) {
    server.handleUpgrade(request, socket, head, (ws) => {
      if (cue?.kind === 'drop_after') return ws.terminate();
      open.set(ws, call.id);
      ws.on('close', () => open.delete(ws));
      serve(call, ws, cue, deps.clock);
    });
  }
  return {
    upgrade: async (request, socket, head) => {
      waiting.add(socket);
      socket.on('close', () => waiting.delete(socket));
      socket.on('error', () => socket.destroy());
      const wanted = findWanted(deps, request);
      const callId = 'id' in wanted ? wanted.id : '';
      const cue = deps.faults.take('realtime.sideband', { callId });
      if (cue?.kind === 'hang') return;
      if (cue?.kind === 'drop_before') return void socket.destroy();
      if (cue?.kind === 'delay') await deps.clock.sleep(cue.delayMs);
      if (cue?.kind === 'status') return refuse(socket, { ...cue, body: cue.body ?? usualBody(cue.status) });
      if ('status' in wanted) return refuse(socket, wanted);
      accept(wanted, cue, request, socket, head);
    },
    cut: (callId) => {
      const cutNow = [...open].filter(([, id]) => id === callId);
      for (const [ws] of cutNow) ws.terminate();
      return cutNow.length;
    },
    stop: () => {
      for (const ws of open.keys()) ws.terminate();
      for (const socket of waiting) socket.destroy();
      server.close();
    },
  };
}

function findWanted({ credentials, findCall, mayControl }: SidebandDeps, request: IncomingMessage): Call | WireReply {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const credential = credentials.identify(request.headers.authorization);
  if (!credential) return credentials.refusal(request.headers.authorization);
  const callId = url.searchParams.get('call_id');
  if (url.pathname !== '/v1/realtime' || !callId) {
    return apiError(400, {
      message: 'Only sidebands of a call are served here: call_id is required.',
      param: 'call_id',
    });
  }
  const call = findCall(callId);
  return call?.live && mayControl(call, credential) ? call : callNotFound;
}

function refuse(socket: Duplex, { status, headers = {}, body }: WireReply): void {
  const text = JSON.stringify(body);
  const lines = Object.entries({
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
    'x-request-id': newWireId('req'),
    connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', text].join('\r\n'));
}

function serve(call: Call, ws: WebSocket, cue: FaultAction | undefined, clock: Clock): void {
  const deliver = createDelivery({ write: (text) => ws.send(text), cut: () => ws.terminate() }, cue, clock);
  const { receive, detach } = call.attach({ send: deliver, close: (code, reason) => ws.close(code, reason) });
  ws.on('message', (data) => receive(String(data)));
  ws.on('error', () => ws.terminate());
  ws.on('close', detach);
}
