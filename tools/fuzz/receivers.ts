import { once } from 'node:events';
import net from 'node:net';

/**
 * Receivers of webhooks that do not behave, on loopback. The path says how: `/hangs`, `/redirects` and so on.
 * Raw sockets, because most of what they say is no HTTP.
 */
type Receiver = (socket: net.Socket) => void;

const say =
  (...parts: string[]): Receiver =>
  (socket) =>
    void socket.end(parts.join('\r\n'));
const endless = (head: string, part: string, everyMs: number): Receiver => {
  return (socket) => {
    socket.write(head);
    const timer = setInterval(() => socket.write(part), everyMs);
    socket.once('close', () => clearInterval(timer));
  };
};

export const receivers: Readonly<Record<string, Receiver>> = {
  hangs: () => undefined,
  'hangs-after-headers': (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n'),
  'says-nothing': (socket) => void socket.end(),
  resets: (socket) => void socket.resetAndDestroy(),
  redirects: say('HTTP/1.1 302 Found', 'location: http://127.0.0.1:1/elsewhere', 'content-length: 0', '', ''),
  garbage: (socket) => void socket.end(Buffer.from(Array.from({ length: 5_000 }, (_, n) => (n * 7) % 256))),
  'two-lengths': say('HTTP/1.1 200 OK', 'content-length: 1', 'content-length: 9', '', 'x'),
  'headers-without-end': endless('HTTP/1.1 200 OK\r\n', `x-a: ${'y'.repeat(1_000)}\r\n`, 1),
  'body-without-end': endless(
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
    `1000\r\n${'x'.repeat(4_096)}\r\n`,
    1,
  ),
  drips: endless('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n', 'x', 100),
  'a-wrong-length': say('HTTP/1.1 200 OK', 'content-length: 50', '', 'short'),
  'broken-text': say('HTTP/1.1 500 Oops', 'content-length: 6', '', '\0\ud800\u001b[2J'),
  'retries-in-a-century': say('HTTP/1.1 503 Busy', 'retry-after: 3153600000', 'content-length: 0', '', ''),
  continues: endless('', 'HTTP/1.1 100 Continue\r\n\r\n', 20),
  'switches-protocols': say('HTTP/1.1 101 Switching Protocols', 'upgrade: x', 'connection: upgrade', '', ''),
};

/** Receivers that answer at once. The others are given up after a time limit. */
export const promptReceivers: readonly string[] = [
  ...['says-nothing', 'resets', 'redirects', 'garbage', 'two-lengths', 'headers-without-end', 'body-without-end'],
  ...['a-wrong-length', 'broken-text', 'retries-in-a-century', 'switches-protocols'],
];

export async function startReceivers(): Promise<{ url: string; stop(): void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.once('data', (part) => {
      const [, name = ''] = /^POST \/([\w-]+)/.exec(part.toString('latin1')) ?? [];
      receivers[name]?.(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
