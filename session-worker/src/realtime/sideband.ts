import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { WebSocket } from 'ws';
import { type Json, type ProviderEvent, parseProviderEvent } from './events.ts';

/**
 * The sideband: our own ear on a realtime call.
 *
 * B1  There is no `session.created` here. Ready means: open, and our own `session.update` was answered.
 * B2  Nothing is replayed, so it is attached before the browser gets its answer, and again at once when it is lost.
 * B3  Lost or silent: attached again with backoff for as long as the call lasts. Meanwhile the interview goes on with the
 *     candidate's copies only.
 * B4  Refused with 404 three times in a row: the call is gone.
 * B5  Closing the sideband does not end the call: that takes a hang-up.
 * B6  Only a sideband that has stayed for `steadyMs` clears the count of losses: a provider that accepts and cuts again and
 *     again (a frame too large, broken text) is met with backoff too.
 */
export interface Sideband {
  /** `ready` (B1), or `degraded` when that took longer than `limitMs`; it is still being tried for then. */
  ready(limitMs: number): Promise<'ready' | 'degraded'>;
  /** False when it is not attached just now. */
  send(event: Json & { type: string }): boolean;
  readonly attached: boolean;
  /** The call was hung up: what still comes is heard, but a loss is not repaired. */
  expectEnd(): void;
  close(): void;
}

export interface SidebandDeps {
  url: string;
  credential: string;
  /** What our `session.update` says; see `updateOf`. */
  session: Json;
  clock: Clock;
  log: Logger;
  /** Limit of the handshake and of the answer to our `session.update`, ms. */
  attachMs: number;
  onEvent(event: ProviderEvent): void;
  /** Every time it becomes ready; `first` once. */
  onReady(first: boolean): void;
  /** Not attached, or not any more; being tried for (B3). */
  onMissing(): void;
  /** B4. */
  onGone(): void;
  random?: () => number;
}

const maxFrame = 4_194_304;
const pingMs = 15_000;
const goneAfter = 3;
const steadyMs = 5_000;

/** What may be said in a `session.update`: the model is fixed, and the voice once it has been heard. */
export function updateOf(session: Json, again: boolean): Json {
  const {
    model: _model,
    id: _id,
    object: _object,
    expires_at: _expiresAt,
    ...rest
  } = again ? withoutVoice(session) : session;
  return { type: 'realtime', ...rest };
}

export function withoutVoice(session: Json): Json {
  const audio = session.audio as { output?: Json } | undefined;
  if (!audio?.output) return session;
  const { voice: _voice, ...output } = audio.output;
  return { ...session, audio: { ...audio, output } };
}

export function createSideband(deps: SidebandDeps): Sideband {
  const { clock, log, random = Math.random } = deps;
  let socket: WebSocket | undefined;
  let attached = false;
  let everReady = false;
  let closed = false;
  let ending = false;
  let failures = 0;
  let notFound = 0;
  let readyMs = 0;
  let retry: Timer | undefined;
  const waiting = new Set<() => void>();

  const becomeReady = () => {
    attached = true;
    readyMs = clock.monotonicMs();
    notFound = 0;
    const first = !everReady;
    everReady = true;
    log.info({}, first ? 'sideband attached' : 'sideband attached again');
    for (const resolve of waiting) resolve();
    waiting.clear();
    deps.onReady(first);
  };

  const lost = (why: string) => {
    if (attached && clock.monotonicMs() - readyMs >= steadyMs) failures = 0; // B6
    attached = false;
    if (closed || ending) return;
    if (notFound >= goneAfter) {
      close();
      return deps.onGone();
    }
    deps.onMissing();
    failures += 1;
    const delayMs = failures === 1 ? 0 : 100 + backoffMs(failures - 2, { baseMs: 300, maxMs: 10_000, random });
    log.warn({ attempt: failures, delay_ms: delayMs, reason: why }, 'sideband lost');
    retry = clock.setTimer(attach, delayMs);
  };

  const attach = () => {
    if (closed) return;
    const ws = new WebSocket(deps.url, {
      headers: { authorization: `Bearer ${deps.credential}` },
      maxPayload: maxFrame,
      perMessageDeflate: false,
      followRedirects: false,
    });
    socket = ws;
    let why = 'closed';
    let missed = 0;
    const limit = clock.setTimer(() => {
      why = 'silent';
      ws.terminate();
    }, deps.attachMs);
    let ping: Timer | undefined;
    const keepAlive = () => {
      if (missed >= 2) return void ws.terminate();
      missed += 1;
      ws.ping();
      ping = clock.setTimer(keepAlive, pingMs);
    };
    ws.on('open', () => {
      ws.send(JSON.stringify({ type: 'session.update', session: updateOf(deps.session, everReady) }));
      ping = clock.setTimer(keepAlive, pingMs);
    });
    ws.on('pong', () => {
      missed = 0;
    });
    ws.on('message', (data) => {
      missed = 0;
      const event = parseProviderEvent(String(data));
      if (!event || closed) return;
      if (event.type === 'session.updated' && ws === socket && !attached) {
        limit.cancel();
        becomeReady();
      }
      deps.onEvent(event);
    });
    ws.on('unexpected-response', (_request, response) => {
      why = `status ${response.statusCode}`;
      notFound = response.statusCode === 404 ? notFound + 1 : 0;
      ws.terminate();
    });
    ws.on('error', () => undefined);
    ws.on('close', () => {
      limit.cancel();
      ping?.cancel();
      if (ws === socket) lost(why);
    });
  };

  const close = () => {
    closed = true;
    retry?.cancel();
    for (const resolve of waiting) resolve();
    waiting.clear();
    socket?.close(1000);
    const last = socket;
    if (last) clock.setTimer(() => last.terminate(), 500);
    attached = false;
  };

  attach();
  return {
    ready: async (limitMs) => {
      if (!attached && !closed) {
        let timer: Timer | undefined;
        await new Promise<void>((resolve) => {
          waiting.add(resolve);
          timer = clock.setTimer(resolve, limitMs);
        });
        timer?.cancel();
      }
      return attached ? 'ready' : 'degraded';
    },
    send: (event) => {
      if (!attached || socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(event));
      return true;
    },
    get attached() {
      return attached;
    },
    expectEnd: () => {
      ending = true;
    },
    close,
  };
}
