import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

/**
 * A door before the voice stand-in, for HTTP and the sideband: it adds delays and notes when each request arrived and was
 * answered. Media does not pass through it.
 */
export interface ProviderDoor {
  /** Base address of the provider for orchestrators and workers. */
  url: string;
  /** Sets how long each kind of request is held from now on, ms. */
  setDelays(delays: Delays): void;
  /** What was asked since the last call of `take`. */
  take(): Asked[];
  stop(): Promise<void>;
}

export interface Delays {
  mintMs: number;
  callMs: number;
  sidebandMs: number;
}

export interface Asked {
  what: 'mint' | 'call' | 'sideband' | 'sideband frame' | 'other';
  /** Unix ms with fractions, as in the page. */
  fromMs: number;
  untilMs: number;
}

export const nowMs = (): number => performance.timeOrigin + performance.now();

const kindOf = (path = ''): Asked['what'] =>
  path.endsWith('/client_secrets') ? 'mint' : /\/realtime\/calls(\?|$)/.test(path) ? 'call' : 'other';

export async function startProviderDoor(target: URL): Promise<ProviderDoor> {
  let delays: Delays = { mintMs: 0, callMs: 0, sidebandMs: 0 };
  let asked: Asked[] = [];
  const sockets = new Set<net.Socket>();
  const agent = new http.Agent({ keepAlive: true });
  const pause = (ms: number) => (ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined);
  const heldMs = (what: Asked['what']): number =>
    what === 'mint' ? delays.mintMs : what === 'call' ? delays.callMs : 0;

  const pass = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const what = kindOf(request.url);
    const fromMs = nowMs();
    await pause(heldMs(what));
    const { hostname, port } = target;
    const onward = http.request({
      ...{ agent, hostname, port, method: request.method, path: request.url },
      headers: { ...request.headers, host: target.host },
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('end', () => asked.push({ what, fromMs, untilMs: nowMs() }));
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  };

  const attach = async (request: http.IncomingMessage, socket: net.Socket, head: Buffer): Promise<void> => {
    const fromMs = nowMs();
    await pause(delays.sidebandMs);
    const onward = net.connect(Number(target.port), target.hostname);
    const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
    onward.write(`GET ${request.url} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => one.destroy());
    }
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
    onward.once('data', () => asked.push({ what: 'sideband', fromMs, untilMs: nowMs() }));
    socket.on('data', () => asked.push({ what: 'sideband frame', fromMs: nowMs(), untilMs: nowMs() }));
    onward.pipe(socket);
    socket.pipe(onward);
  };

  const server = http.createServer((request, response) => void pass(request, response));
  server.on('upgrade', (request, socket, head) => void attach(request, socket as net.Socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    setDelays: (next) => {
      delays = next;
    },
    take: () => {
      const taken = asked;
      asked = [];
      return taken;
    },
    stop: async () => {
      agent.destroy();
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
