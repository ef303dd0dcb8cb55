import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * A TCP relay that makes its target as far away as asked: every chunk arrives `oneWayMs` later, in order, and the first
 * chunk of a new connection another round trip later, as after a handshake. Delays of different connections do not add up.
 */
export interface DistantRelay {
  url: string;
  /** Holds for chunks that arrive from now on, ms each way. */
  setOneWayMs(oneWayMs: number): void;
  stop(): Promise<void>;
}

export async function startDistantRelay(target: URL): Promise<DistantRelay> {
  let oneWayMs = 0;
  const open = new Set<Socket>();
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
  };
  /** Order is kept: a chunk never arrives before an earlier one, also when the distance shrinks. */
  const carry = (from: Socket, to: Socket, handshakeMs: () => number) => {
    let lastDueMs = 0;
    const later = (work: () => void) => {
      const dueMs = Math.max(lastDueMs, performance.now() + oneWayMs + handshakeMs());
      lastDueMs = dueMs;
      const waitMs = dueMs - performance.now();
      if (waitMs <= 0) work();
      else setTimeout(work, waitMs);
    };
    from.on('data', (chunk) => later(() => to.write(chunk)));
    from.on('end', () => later(() => to.end()));
    from.on('close', () => later(() => to.destroy()));
  };
  const server = createServer((near) => {
    keep(near);
    const far = connect(Number(target.port), target.hostname);
    keep(far);
    let isFirst = true;
    carry(near, far, () => {
      const handshakeMs = isFirst ? 2 * oneWayMs : 0;
      isFirst = false;
      return handshakeMs;
    });
    carry(far, near, () => 0);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setOneWayMs: (ms) => {
      oneWayMs = ms;
    },
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
