import { createServer } from 'node:net';

/**
 * Ports come from 20000–29999, below the range that Linux lends to outgoing connections: a port given up for a moment
 * (a database outage on cue) is then not taken by somebody's client connection.
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

/** A port on 127.0.0.1 that nobody listens on now. Throws when 200 tries find none. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const port = lowest + Math.floor(Math.random() * count);
    if (await isPortFree(port)) return port;
  }
  throw new Error('no free port between 20000 and 29999 on 127.0.0.1');
}

/** The wanted port if it is free, or any free one when none is wanted. Throws an error that names the port's user. */
export async function takePort(wanted: number | undefined, purpose: string): Promise<number> {
  if (wanted === undefined) return freePort();
  if (await isPortFree(wanted)) return wanted;
  throw new Error(`port ${wanted} on 127.0.0.1 is in use: free it, or choose another port for ${purpose}`);
}
