import { createServer } from 'node:net';

/**
 * Ports are taken from 20000–29999, below the range that Linux uses for outgoing connections. A port that is released for a
 * moment (during an injected database outage) is then not taken by an outgoing connection.
 */
const lowest = 20_000;
const count = 10_000;

export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Each process begins elsewhere and counts on: a port that it has given away, but that is not taken yet, is not given again. */
let next = Math.floor(Math.random() * count);

/** A free port on 127.0.0.1. Throws when 200 tries find none. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const port = lowest + next;
    next = (next + 1) % count;
    if (await isPortFree(port)) return port;
  }
  throw new Error('no free port between 20000 and 29999 on 127.0.0.1');
}

/** The wanted port, or any free port if none is wanted. Throws if the wanted port is in use; the error names its purpose. */
export async function takePort(wanted: number | undefined, purpose: string): Promise<number> {
  if (wanted === undefined) return freePort();
  if (await isPortFree(wanted)) return wanted;
  throw new Error(`port ${wanted} on 127.0.0.1 is in use: free it, or choose another port for ${purpose}`);
}
