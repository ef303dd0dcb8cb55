/**
 * Loopback addresses that stand for the machines' own network: one per machine, unique on this computer.
 *
 * Each stand-in reserves one block 127.N.0.0/16 with a listener at 127.N.0.1. The kernel frees the block even
 * if the process is killed.
 */
import { createServer, type Server } from 'node:net';

const FIRST_BLOCK = 16;
const LAST_BLOCK = 250;
/** The port of the platform's internal API, here used only for the reservation. */
const HOLDING_PORT = 4280;
const PER_BLOCK = 65_000;

export interface Addresses {
  /** The next address, never `x.x.0.1`. Reused only after 65,000 machines. */
  next(): string;
  release(): Promise<void>;
}

function hold(block: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', () => resolve(undefined));
    server.listen(HOLDING_PORT, `127.${block}.0.1`, () => resolve(server));
  });
}

async function holdAny(random: () => number): Promise<{ block: number; holder: Server }> {
  const blocks = LAST_BLOCK - FIRST_BLOCK + 1;
  const start = Math.floor(random() * blocks);
  for (let i = 0; i < blocks; i += 1) {
    const block = FIRST_BLOCK + ((start + i) % blocks);
    const holder = await hold(block);
    if (holder) return { block, holder };
  }
  throw new Error('every loopback block 127.16–250.0.0/16 is held by another local cloud');
}

export async function reserveAddresses(random: () => number = Math.random): Promise<Addresses> {
  const { block, holder } = await holdAny(random);
  let given = 0;
  return {
    next: () => {
      const index = 2 + (given % PER_BLOCK);
      given += 1;
      return `127.${block}.${Math.floor(index / 254)}.${(index % 254) + 1}`;
    },
    release: () => new Promise((resolve) => holder.close(() => resolve())),
  };
}
