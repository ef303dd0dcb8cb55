import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createStandingWatch } from './standing-watch.ts';

/**
 * Server-sent events: what every stream of the process has in common, whatever it sends.
 *
 * - The socket, and not the response, tells that a client has left: the socket may close before the stream begins, and the
 *   response to a pipelined request gets no event when it does.
 * - Nothing is written to a stream that has ended: that would be an uncaught error.
 * - A stream ends within a second after its credential was revoked or has lost its right.
 * - A client that does not read is disconnected; it never fills the memory.
 */
export interface EventStreamsOptions {
  clock: Clock;
  /** After this time a client may connect again, ms. */
  retryMs: number;
  /** A comment is sent this often, so that both sides notice a dead connection, ms. */
  keepAliveMs: number;
  /** A client with more unread bytes is disconnected. */
  maxUnreadBytes: number;
  /** The last message of a stream. @default none */
  goodbye?: (why: EndOfStream) => string;
}

export type EndOfStream = 'signed_out' | 'shutting_down' | 'too_slow';

export interface NewStream {
  /** Streams with the same credential share one check. */
  credential: string;
  /** Whether the credential still allows the stream; throws if that is unknown. */
  stands: () => Promise<boolean>;
  /** The first message. @default none */
  hello?: string;
  /** Starts sending; returns a function that stops it. */
  begin: (send: (text: string) => void) => () => void;
  /** Called once when the stream has ended, whoever ended it. */
  onEnd?: () => void;
}

export interface EventStreams {
  /** Takes the reply over and opens a stream. */
  open(reply: FastifyReply, stream: NewStream): void;
  count(): number;
  endAll(why: EndOfStream): void;
}

/** How often the credential of an open stream is checked again. */
const standingMs = 500;
/** Time for a client to receive the last message before its connection is cut. */
const lastMs = 2_000;

/** Streams share the objects that they send, so each is serialised once. */
const texts = new WeakMap<object, string>();
function textOf(data: object): string {
  const known = texts.get(data);
  if (known !== undefined) return known;
  const text = JSON.stringify(data);
  texts.set(data, text);
  return text;
}

/** One message. @param data must not be changed afterwards */
export const eventText = (name: string, data: object, id?: number): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${textOf(data)}\n\n`;

/**
 * The event after which a stream begins: `Last-Event-ID`, which browsers send on reconnecting, else the parameter. A header that
 * is not a number is ignored.
 */
export function startOf(request: FastifyRequest, after: number | undefined): number | undefined {
  const header = [request.headers['last-event-id'] ?? []].flat()[0];
  const value = Number(header);
  return header !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : after;
}

export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { clock, retryMs, keepAliveMs, maxUnreadBytes, goodbye = () => '' } = options;
  const standing = createStandingWatch(clock, standingMs);
  const streams = new Set<(why: EndOfStream) => void>();

  const open: EventStreams['open'] = (reply, { credential, stands, hello = '', begin, onEnd = () => undefined }) => {
    const { request, raw: response } = reply;
    const { socket } = request.raw;
    reply.hijack();
    if (socket.destroyed) {
      onEnd();
      return;
    }
    response.writeHead(200, {
      ...{ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
      ...{ 'x-accel-buffering': 'no', 'x-request-id': request.id },
    });
    const stops: Array<() => void> = [];
    const send = (text: string): void => {
      if (!streams.has(end)) return;
      response.write(text);
      if (response.writableLength > maxUnreadBytes) end('too_slow');
    };
    const leave = (): boolean => {
      if (!streams.delete(end)) return false;
      socket.off('close', leave);
      for (const stop of stops.splice(0)) stop();
      onEnd();
      return true;
    };
    const end = (why: EndOfStream): void => {
      if (!leave()) return;
      const cut = clock.setTimer(() => socket.destroy(), lastMs);
      // Once the client has the last message, the connection belongs to its next request.
      const received = (): void => {
        cut.cancel();
        socket.off('close', received);
      };
      response.once('close', received);
      socket.once('close', received);
      response.end(goodbye(why));
    };
    streams.add(end);
    send(`retry: ${retryMs}\n${hello === '' ? '\n' : hello}`);
    const beat = (): void => {
      timer = clock.setTimer(beat, keepAliveMs);
      send(': here\n\n');
    };
    let timer = clock.setTimer(beat, keepAliveMs);
    stops.push(
      () => timer.cancel(),
      standing.watch(credential, stands, () => end('signed_out')),
    );
    const unwatch = begin(send);
    if (streams.has(end)) stops.push(unwatch);
    else unwatch();
    socket.once('close', leave);
  };

  return {
    open,
    count: () => streams.size,
    endAll: (why) => {
      for (const end of [...streams]) end(why);
    },
  };
}
