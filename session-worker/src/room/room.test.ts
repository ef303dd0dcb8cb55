import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { tokenOf } from './admission.ts';
import { createConnection } from './connection.ts';
import { createRateLimit } from './rate-limit.ts';
import { readMessage } from './read-message.ts';
import { replayState } from './replay-source.ts';
import { createRoom } from './room.ts';

describe('fly-replay-src', () => {
  test.each([
    ['instance=o1;region=fra;t=1;state=a.b.c', 'a.b.c'],
    ['app=x,state=a.b.c', 'a.b.c'],
    ['state = a.b.c ; t=1', 'a.b.c'],
    ['state=a=b', 'a=b'],
    ['instance=o1;state=', undefined],
    ['mystate=x', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s', (header, state) => expect(replayState(header)).toBe(state));

  test('uses the last of several headers, which is the proxy’s', () => {
    expect(replayState(['state=mine', 'state=theirs'])).toBe('theirs');
  });
});

describe('the token of an upgrade', () => {
  const request = (url: string, protocols?: string) =>
    ({ url, headers: protocols === undefined ? {} : { 'sec-websocket-protocol': protocols } }) as IncomingMessage;
  test.each([
    [request('/ws/sessions/1', 'greenroom.v1, greenroom.token.abc'), 'abc'],
    [request('/ws/sessions/1?token=q'), 'q'],
    [request('/ws/sessions/1?token=q', 'greenroom.token.abc'), 'abc'],
    [request('/ws/sessions/1', 'greenroom.token.'), undefined],
    [request('/ws/sessions/1'), undefined],
  ])('is found', (one, token) => expect(tokenOf(one)).toBe(token));
});

describe('the rate limit', () => {
  test('allows a burst, then a fixed number per second, and after a pause no more than the burst', () => {
    let nowMs = 0;
    const limit = createRateLimit({ perSecond: 10, burst: 20, nowMs: () => nowMs });
    const takenOf = (tries: number) => Array.from({ length: tries }, () => limit.take()).filter(Boolean).length;
    expect(takenOf(30)).toBe(20);
    nowMs = 500;
    expect(takenOf(30)).toBe(5);
    nowMs = 1_000_000;
    expect(takenOf(30)).toBe(20);
  });
});

describe('reading a frame', () => {
  test('names the invalid field and never repeats the message', () => {
    const secret = 'v=0 secret';
    const read = readMessage(JSON.stringify({ type: 'sdp_offer', sdp: secret.repeat(10_000), extra: secret }));
    expect(read).toMatchObject({ kind: 'wrong', code: 'invalid_message' });
    expect(JSON.stringify(read)).not.toContain('v=0');
  });
  test.each([
    ['null', 'invalid_message'],
    ['"ping"', 'invalid_message'],
    ['{"type":"__proto__"}', 'unknown_message'],
    ['{"type":["ping"]}', 'unknown_message'],
    ['', 'invalid_json'],
  ])('%s is %s', (frame, code) => expect(readMessage(frame)).toMatchObject({ kind: 'wrong', code }));
});

/** The part of a ws socket that a connection uses. */
function fakeSocket() {
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    bufferedAmount: 0,
    sent: [] as string[],
    pings: 0,
    send: (text: string) => void socket.sent.push(text),
    ping: () => {
      socket.pings += 1;
    },
    close: vi.fn((code: number) => void code),
    terminate: vi.fn(() => void socket.emit('close', 1006)),
  });
  return socket;
}

describe('a connection', () => {
  const setUp = () => {
    const clock = createFakeClock();
    const socket = fakeSocket();
    const heard: ClientMessage[] = [];
    const onClose = vi.fn();
    const connection = createConnection({
      socket: socket as unknown as WebSocket,
      clock,
      pingMs: 10_000,
      onMessage: (message) => heard.push(message),
      onClose,
    });
    return { clock, socket, heard, onClose, connection };
  };
  const partial = { type: 'transcript_entry', entry: { text: 'x' }, final: false } as ServerMessage;
  const whole = { type: 'transcript_entry', entry: { text: 'x' }, final: true } as ServerMessage;

  test('two unanswered pings end it; any frame keeps it open', async () => {
    const { clock, socket, onClose } = setUp();
    for (let n = 0; n < 5; n += 1) {
      await clock.advance(10_000);
      socket.emit('pong');
    }
    expect(onClose).not.toHaveBeenCalled();
    await clock.advance(30_000);
    expect(socket.terminate).toHaveBeenCalledTimes(1);
    expect(onClose).toHaveBeenCalledWith(1006);
    expect(clock.pending).toBe(0);
  });

  test('for a client that does not read, partial entries are skipped first, then the socket is cut', () => {
    const { socket, connection } = setUp();
    socket.bufferedAmount = 300_000;
    connection.send(partial);
    connection.send(whole);
    expect(socket.sent).toHaveLength(1);
    socket.bufferedAmount = 5_000_000;
    connection.send(whole);
    expect(socket.terminate).toHaveBeenCalledTimes(1);
  });

  test('once closed, sends and accepts nothing more, and cuts a peer that does not answer the close', async () => {
    const { clock, socket, heard, connection } = setUp();
    connection.close(1000, 'over');
    connection.send(whole);
    socket.emit('message', '{"type":"init_session"}', false);
    expect([socket.sent, heard]).toEqual([[], []]);
    await clock.advance(2_000);
    expect(socket.terminate).toHaveBeenCalledTimes(1);
  });

  test('closes a flood with 4429, and accepts the same number of messages at a lower rate', async () => {
    const slow = setUp();
    for (let n = 0; n < 150; n += 1) {
      slow.socket.emit('message', '{"type":"init_session"}', false);
      await slow.clock.advance(20);
      slow.socket.emit('pong');
    }
    expect(slow.heard).toHaveLength(150);
    const { socket, heard } = setUp();
    for (let n = 0; n < 150; n += 1) socket.emit('message', '{"type":"init_session"}', false);
    expect(heard).toHaveLength(100);
    expect(socket.close).toHaveBeenCalledWith(4429, expect.any(String));
  });
});

describe('the room', () => {
  const setUp = () => {
    const presences: string[] = [];
    const heard: string[] = [];
    const room = createRoom({
      clock: createFakeClock(),
      log: silentLogger(),
      pingMs: 10_000,
      sessionId: 'session-1',
      onPresent: () => presences.push('present'),
      onLost: () => presences.push('lost'),
      onInit: async (connection) => connection.error('call_not_allowed'),
      onMessage: ({ type }) => heard.push(type),
    });
    const enter = () => {
      const socket = fakeSocket();
      room.enter(socket as unknown as WebSocket);
      const say = async (message: object) => {
        socket.emit('message', JSON.stringify(message), false);
        await Promise.resolve();
      };
      return { ...socket, socket, say };
    };
    return { room, presences, heard, enter };
  };
  const init = { type: 'init_session' };
  const end = { type: 'end_session' };

  test('a newer socket replaces the older one when it sends init_session', async () => {
    const { enter, heard, presences } = setUp();
    const [older, newer] = [enter(), enter()];
    await older.say(init);
    await newer.say(init);
    expect(older.socket.close).toHaveBeenCalledWith(4412, expect.any(String));
    older.socket.emit('close', 4412);
    await newer.say(end);
    expect(heard).toEqual(['end_session']);
    expect(presences).toEqual(['present']);
  });

  test('regression, interview ended as opened elsewhere: a late socket whose browser is gone replaces nothing', async () => {
    const { enter, heard, presences } = setUp();
    const live = enter();
    await live.say(init);
    const late = enter();
    late.socket.emit('close', 1006);
    await live.say(end);
    expect(live.socket.close).not.toHaveBeenCalled();
    expect(heard).toEqual(['end_session']);
    expect(presences).toEqual(['present']);
  });

  test('a socket that opened beside another one takes its place when that one closes', async () => {
    const { enter, heard, presences } = setUp();
    const first = enter();
    const second = enter();
    first.socket.emit('close', 1006);
    await second.say(init);
    await second.say(end);
    expect(heard).toEqual(['end_session']);
    expect(presences).toEqual(['present']);
    second.socket.emit('close', 1006);
    expect(presences).toEqual(['present', 'lost']);
  });

  test('of several sockets that have not begun only the newest stays, and none is read before init_session', async () => {
    const { enter, heard } = setUp();
    await enter().say(init);
    const [second, third] = [enter(), enter()];
    expect(second.socket.close).toHaveBeenCalledWith(4412, expect.any(String));
    await third.say(end);
    expect(third.socket.sent.join()).toContain('not_initialized');
    expect(heard).toEqual([]);
  });
});
