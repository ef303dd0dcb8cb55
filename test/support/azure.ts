import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/**
 * Azure OpenAI in front of the voice provider's stand-in: its paths, its `api-key` header for minting, its refusals:
 * calls need ephemeral credentials and `webrtcfilter=on`.
 */
export interface AzureFront {
  /** With `/openai/v1`. */
  url: string;
  /** Refused requests by path. */
  refused: string[];
  stop(): Promise<void>;
}

export async function startAzure(target: () => string, resourceKey: string): Promise<AzureFront> {
  const refused: string[] = [];
  const sockets = new Set<Socket>();
  /** The headers to forward; undefined means 401. */
  const admit = ({ headers, url = '' }: IncomingMessage) => {
    const path = new URL(url, 'http://azure').pathname;
    const ofResource = headers['api-key'] === resourceKey;
    const ephemeral = /^Bearer ek_/.test(headers.authorization ?? '');
    const minting = path.endsWith('/client_secrets');
    const filtered = !path.endsWith('/realtime/calls') || url.includes('webrtcfilter=on');
    const fits = path.startsWith('/openai/v1/realtime') ? (minting ? ofResource : ephemeral && filtered) : true;
    if (!fits) refused.push(path);
    return fits ? { ...headers, ...(minting ? { authorization: `Bearer ${resourceKey}` } : {}) } : undefined;
  };
  const onward = (incoming: IncomingMessage, headers: IncomingMessage['headers']) =>
    request(new URL((incoming.url ?? '').replace('/openai', ''), target()), {
      method: incoming.method ?? 'GET',
      headers,
    });
  const server = createServer((incoming, answer) => {
    const headers = admit(incoming);
    if (!headers)
      return void answer.writeHead(401).end('{"error":{"message":"This operation requires ephemeral tokens."}}');
    const going = onward(incoming, headers);
    going.on('response', (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    going.on('error', () => answer.destroy());
    incoming.pipe(going);
  });
  server.on('upgrade', (incoming, socket, head) => {
    const headers = admit(incoming);
    if (!headers) return void socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n');
    const going = onward(incoming, headers);
    going.on('upgrade', (reply, far, farHead) => {
      const lines = Object.entries(reply.headers).map(([name, value]) => `${name}: ${value}`);
      socket.write(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'));
      for (const [one, other] of [
        [socket, far],
        [far, socket],
      ] as const) {
        one.on('error', () => one.destroy());
        one.on('close', () => other.destroy());
      }
      far.write(head);
      socket.write(farHead);
      socket.pipe(far).pipe(socket);
    });
    going.on('error', () => socket.destroy());
    going.end();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/openai/v1`,
    refused,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
