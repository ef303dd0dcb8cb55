import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * A TCP relay that can fail as networks do. Its target stays reachable directly.
 *
 * - `cut`: connections are closed, and new ones are refused.
 * - `halfOpen`: connections stay open, and no byte passes in either direction. Neither end learns that the other one has
 *   closed. New connections are accepted and get no answer.
 * - `slow`: each byte arrives `delayMs` later, in each direction.
 * - `restore`: everything passes again, including what a half-open connection has held back.
 */
export interface Relay {
  url: string;
  cut(): void;
  halfOpen(): void;
  slow(delayMs: number): void;
  restore(): void;
  stop(): Promise<void>;
}

type State = { name: 'whole' } | { name: 'cut' } | { name: 'half_open' } | { name: 'slow'; delayMs: number };

/** @param target returns the address to connect to; called for every connection. */
export async function startRelay(target: () => URL): Promise<Relay> {
  const open = new Set<Socket>();
  /** Connections that were opened while half-open; their targets are asked later. */
  let waiting: Socket[] = [];
  let state: State = { name: 'whole' };
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
  };
  /** Does what one direction brings now, or later on a slow network. The order stays, also when the network gets better. */
  const inOrder = () => {
    const due: Array<{ atMs: number; work: () => void }> = [];
    const next = () => {
      const [first] = due;
      if (first)
        setTimeout(
          () => {
            due.shift();
            first.work();
            next();
          },
          Math.max(0, first.atMs - performance.now()),
        );
    };
    return (work: () => void) => {
      const delayMs = state.name === 'slow' ? state.delayMs : 0;
      if (delayMs === 0 && due.length === 0) return work();
      due.push({ atMs: performance.now() + delayMs, work });
      if (due.length === 1) next();
    };
  };
  const pump = (from: Socket, to: Socket) => {
    const pass = inOrder();
    from.on('data', (bytes) => pass(() => to.writable && to.write(bytes)));
    from.on('close', () => pass(() => to.destroySoon()));
    if (state.name === 'half_open') from.pause();
  };
  const join = (near: Socket) => {
    const { hostname, port } = target();
    const far = connect(Number(port), hostname);
    keep(far);
    pump(near, far);
    pump(far, near);
    near.resume();
  };
  const server = createServer((near) => {
    keep(near);
    if (state.name === 'cut') return void near.destroy();
    if (state.name !== 'half_open') return join(near);
    near.pause();
    waiting.push(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const destroyAll = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => {
      state = { name: 'cut' };
      destroyAll();
    },
    halfOpen: () => {
      state = { name: 'half_open' };
      for (const socket of open) socket.pause();
    },
    slow: (delayMs) => {
      state = { name: 'slow', delayMs };
    },
    restore: () => {
      state = { name: 'whole' };
      for (const socket of open) socket.resume();
      for (const near of waiting.filter((socket) => !socket.destroyed)) join(near);
      waiting = [];
    },
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      destroyAll();
      await closed;
    },
  };
}
