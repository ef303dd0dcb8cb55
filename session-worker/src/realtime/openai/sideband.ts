import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { WebSocket } from 'ws';
import { asId, asObject, type Json, type ProviderEvent, parseProviderEvent } from './events.ts';

/**
 * The sideband: our own WebSocket on a realtime call, which brings its events and takes our requests.
 *
 * - Ready means: open, and our own `session.update` was answered. There is no `session.created` here. A
 *   refusal is an answer too: the call keeps its first configuration, and repeating the update would not
 *   help.
 * - The update contains neither the model nor the voice: the provider refuses both once the interviewer has
 *   spoken.
 * - Events are not replayed, so the sideband is attached before the browser gets its answer, and again at
 *   once after a loss.
 * - A lost or silent sideband is attached again with backoff for as long as the call lasts. Until then only
 *   the browser's copies of the transcript are available.
 * - A 404 within `newCallMs` of a call's creation means "not yet": the provider may not know its own new call
 *   at once. Three 404 in a row after that mean that the call is gone.
 * - Closing the sideband does not end the call: that takes a hang-up.
 * - Only a sideband that stayed attached for `steadyMs` resets the count of losses, so that a provider that
 *   accepts and closes repeatedly (a frame too large, broken text) is retried with backoff too.
 */
export interface Sideband {
  /** `ready`, or `degraded` after `limitMs`; attaching continues then. */
  ready(limitMs: number): Promise<'ready' | 'degraded'>;
  /** False when the sideband is not attached. */
  send(event: Json & { type: string }): boolean;
  readonly attached: boolean;
  /** The call is being hung up: events are still received, but a lost sideband is not attached again. */
  expectEnd(): void;
  close(): void;
}

export interface SidebandDeps {
  url: string;
  credential: string;
  /** The session configuration for our `session.update`; see `updateOf`. */
  session: Json;
  clock: Clock;
  log: Logger;
  /** Limit of the handshake and of the answer to our `session.update`, ms. */
  attachMs: number;
  onEvent(event: ProviderEvent): void;
  /** How long a 404 means "not yet", ms. Default 0: the call existed before. */
  newCallMs?: number;
  /**
   * Called each time it becomes ready. `first`: for the first time. `updated`: the provider accepted our
   * `session.update`.
   */
  onReady(first: boolean, updated: boolean): void;
  /** Not attached, or no longer; attaching continues. */
  onMissing(): void;
  /** The provider says that the call does not exist. */
  onGone(): void;
  random?: () => number;
}

const maxFrame = 4_194_304;
const pingMs = 15_000;
const goneAfter = 3;
const steadyMs = 5_000;
/** `event_id` of our `session.update`; the provider repeats it in an error. */
const updateId = 'greenroom_session';

/**
 * What a `session.update` may contain: the model cannot change, nor the voice once the interviewer has
 * spoken.
 */
export function updateOf(session: Json): Json {
  const { model: _model, id: _id, object: _object, expires_at: _expiresAt, ...rest } = withoutVoice(session);
  return { type: 'realtime', ...rest };
}

function withoutVoice(session: Json): Json {
  const audio = session.audio as { output?: Json } | undefined;
  if (!audio?.output) return session;
  const { voice: _voice, ...output } = audio.output;
  return { ...session, audio: { ...audio, output } };
}

const errorCodeOf = (event: ProviderEvent): string => asId(asObject(event.error).code) ?? '';

/** Whether an event accepts or refuses our `session.update`; undefined for any other event. */
function answerToUpdate(event: ProviderEvent): 'taken' | 'refused' | undefined {
  if (event.type === 'session.updated') return 'taken';
  const { type, event_id } = asObject(event.error);
  const isOurs = event_id === updateId || event_id === null || event_id === undefined;
  return event.type === 'error' && type === 'invalid_request_error' && isOurs ? 'refused' : undefined;
}

export function createSideband(deps: SidebandDeps): Sideband {
  const { clock, log, newCallMs = 0, random = Math.random } = deps;
  const createdMs = clock.monotonicMs();
  const isNew = () => !everReady && clock.monotonicMs() - createdMs < newCallMs;
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

  const becomeReady = (updated: boolean) => {
    attached = true;
    readyMs = clock.monotonicMs();
    notFound = 0;
    const first = !everReady;
    everReady = true;
    log.info({}, first ? 'sideband attached' : 'sideband attached again');
    for (const resolve of waiting) resolve();
    waiting.clear();
    deps.onReady(first, updated);
  };

  const lost = (why: string) => {
    if (attached && clock.monotonicMs() - readyMs >= steadyMs) failures = 0;
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
      ws.send(JSON.stringify({ type: 'session.update', event_id: updateId, session: updateOf(deps.session) }));
      ping = clock.setTimer(keepAlive, pingMs);
    });
    ws.on('pong', () => {
      missed = 0;
    });
    ws.on('message', (data) => {
      missed = 0;
      const event = parseProviderEvent(String(data));
      if (!event || closed) return;
      const answer = ws === socket && !attached ? answerToUpdate(event) : undefined;
      if (answer) {
        limit.cancel();
        if (answer === 'refused') log.warn({ code: errorCodeOf(event) }, 'our session.update was refused');
        becomeReady(answer === 'taken');
      }
      deps.onEvent(event);
    });
    ws.on('unexpected-response', (_request, response) => {
      why = `status ${response.statusCode}`;
      notFound = response.statusCode === 404 && !isNew() ? notFound + 1 : 0;
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
