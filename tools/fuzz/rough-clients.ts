import net from 'node:net';
import type { Random } from '../chaos/random.ts';
import { faultOf } from './document.ts';

/**
 * Clients that do not behave: they send what is no HTTP, hang up in the middle, or do not read.
 *
 * Each returns what is wrong with the answer; undefined if nothing is. A closed connection without an answer is right where
 * the client left first, or sent what is no request at all.
 */
export interface RoughTarget {
  port: number;
  key: string;
  /** Path of a stream of events. */
  stream: string;
}

interface Raw {
  status: number;
  contentType: string;
  text: string;
}

/** The first answer of a connection, and whether the server closed it. */
function answerIn(bytes: string): Raw | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(bytes)?.[1]);
  if (end < 0 || !status) return undefined;
  const head = bytes.slice(0, end).toLowerCase();
  const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
  const text = bytes.slice(end + 4, end + 4 + length);
  return { status, contentType: /\r\ncontent-type: (.*)/.exec(head)?.[1] ?? '', text };
}

/** Sends bytes on a connection of its own; resolves with what came back when it is closed, or after `limitMs`. */
function sendRaw(port: number, bytes: string | Buffer, limitMs = 2_000): Promise<string> {
  return new Promise((resolve) => {
    let got = '';
    const socket = net.connect({ port, host: '127.0.0.1' });
    const limit = setTimeout(() => socket.destroy(), limitMs);
    socket.on('error', () => undefined);
    socket.on('data', (part) => {
      got += part.toString('latin1');
      // Unless an answer says `connection: close`, the server keeps the connection open.
      if (answerIn(got)) setTimeout(() => socket.destroy(), 20);
    });
    socket.once('close', () => {
      clearTimeout(limit);
      resolve(got);
    });
    socket.write(bytes);
  });
}

const get = (at: string, key: string, ...more: string[]): string =>
  [`GET ${at} HTTP/1.1`, 'host: x', `authorization: Bearer ${key}`, ...more, '', ''].join('\r\n');
const post = (at: string, key: string, body: string, ...more: string[]): string =>
  [
    `POST ${at} HTTP/1.1`,
    'host: x',
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    ...more,
    '',
    body,
  ].join('\r\n');
const person = '{"name":"Ada"}';

/** Requests that HTTP does not allow, or that few clients send. */
export const oddRequests: Readonly<Record<string, (key: string) => string | Buffer>> = {
  'no HTTP': () => 'hello\r\n\r\n',
  'a TLS handshake': () => Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...Array.from({ length: 64 }, () => 7)]),
  'the preface of HTTP/2': () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/0.9': () => 'GET /api/me\r\n\r\n',
  'another version': (key) => get('/api/me', key).replace('HTTP/1.1', 'HTTP/9.9'),
  'no host': (key) => get('/api/me', key).replace('host: x\r\n', ''),
  'a NUL in a header': (key) => get('/api/me', key, 'x-a: \0'),
  'a header without a name': (key) => get('/api/me', key, ': x'),
  'a folded header': (key) => get('/api/me', key, 'x-a: b\r\n c'),
  'headers of 40 kB': (key) => get('/api/me', key, `x-a: ${'y'.repeat(40_000)}`),
  'a path of 40 kB': (key) => get(`/api/me?${'y'.repeat(40_000)}`, key),
  '3,000 headers': (key) => get('/api/me', key, ...Array.from({ length: 3_000 }, (_, n) => `x${n}: y`)),
  'an absolute address': (key) => get('http://elsewhere.example/api/me', key),
  'OPTIONS of everything': (key) => get('*', key).replace('GET', 'OPTIONS'),
  TRACE: (key) => get('/api/me', key).replace('GET', 'TRACE'),
  'a method that does not exist': (key) => get('/api/me', key).replace('GET', 'BREW'),
  'a method that few know': (key) => get('/api/me', key).replace('GET', 'PROPFIND'),
  'an expectation that does not exist': (key) => get('/api/me', key, 'expect: a-miracle'),
  'an upgrade to HTTP/2': (key) => get('/api/me', key, 'connection: upgrade, http2-settings', 'upgrade: h2c'),
  'a broken escape': (key) => get('/api/sessions/%zz', key),
  'two different lengths': (key) => post('/api/candidates', key, person, 'content-length: 14', 'content-length: 3'),
  'length and chunks': (key) =>
    post('/api/candidates', key, person, 'content-length: 14', 'transfer-encoding: chunked'),
  'a negative length': (key) => post('/api/candidates', key, person, 'content-length: -1'),
  'a broken chunk': (key) => post('/api/candidates', key, 'zz\r\n', 'transfer-encoding: chunked'),
  'an unknown transfer encoding': (key) => post('/api/candidates', key, person, 'transfer-encoding: gzip'),
  'a body that is announced too large': (key) => post('/api/candidates', key, person, 'content-length: 999999999999'),
  'two credentials': (key) => get('/api/me', key, 'authorization: Bearer x'),
};

/** Sends a request that is odd. Its answer, if there is one, is no 5xx, and a problem document if it is an error. */
export async function sendOdd(
  target: RoughTarget,
  bytes: string | Buffer,
): Promise<{ status: number; fault?: string }> {
  const answer = answerIn(await sendRaw(target.port, bytes));
  if (!answer) return { status: 0 };
  // A method that Node knows and we do not has no body where HTTP forbids one.
  const fault = faultOf(answer);
  return { status: answer.status, ...(fault === undefined ? {} : { fault }) };
}

/** Sends part of a request, or a whole one, and leaves at any moment. */
export function hangUp({ port, key, stream }: RoughTarget, random: Random): Promise<void> {
  const whole = random.pick([
    get(stream, key),
    get('/api/sessions?limit=100', key),
    post(
      '/api/candidates',
      key,
      person,
      `content-length: ${person.length}`,
      `idempotency-key: left-${random.between(1, 3)}`,
    ),
    post('/api/positions', key, '{"title":"Cook"}', 'content-length: 16'),
  ]) as string;
  const sent = random.next() < 0.5 ? whole : whole.slice(0, random.between(1, whole.length));
  const leaveMs = random.between(0, 40);
  const atFirstByte = random.next() < 0.5;
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.write(sent);
    const leave = () => (random.next() < 0.5 ? socket.resetAndDestroy() : socket.destroy());
    if (atFirstByte) socket.once('data', leave);
    setTimeout(leave, atFirstByte ? 500 : leaveMs);
  });
}

/** Opens a stream of events and does not read it. */
export function readNothing({ port, key, stream }: RoughTarget, leaving: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.pause();
    socket.write(get(stream, key));
    leaving.addEventListener('abort', () => socket.destroy());
  });
}

/**
 * Sends one request several times at once with one key, and then another body with the same key.
 * @returns what is wrong: two different answers, or a status that these requests cannot have
 */
export async function repeatAtOnce(
  base: string,
  { key, path, body, other, idempotencyKey }: Record<'key' | 'path' | 'body' | 'other' | 'idempotencyKey', string>,
): Promise<string | undefined> {
  const headers = {
    ...{ authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
  };
  const send = async (text: string) => {
    const answer = await fetch(`${base}${path}`, { method: 'POST', headers, body: text });
    return { status: answer.status, text: await answer.text() };
  };
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => send(body)));
  // Whoever waited for too long is told to come back.
  const final = answers.filter(({ text }) => !text.includes('idempotency_in_progress'));
  const different = new Set(final.map(({ status, text }) => `${status} ${text}`));
  if (different.size !== 1) return `one key, ${different.size} answers: ${[...different].join('\n').slice(0, 600)}`;
  const mismatch = await send(other);
  if (final[0] !== undefined && final[0].status < 300 && mismatch.status !== 422)
    return `another body with the same key: ${mismatch.status} ${mismatch.text.slice(0, 300)}`;
  return undefined;
}
