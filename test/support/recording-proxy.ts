import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A proxy in front of a stand-in that records every request body byte for byte and forwards it. */
export interface RecordingProxy {
  url: string;
  /** Request bodies as sent, oldest first. */
  bodies: string[];
  /** Method and URL of each request, oldest first. */
  requests: string[];
  stop(): Promise<void>;
}

const bodyOf = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

export async function startRecordingProxy(target: string): Promise<RecordingProxy> {
  const bodies: string[] = [];
  const requests: string[] = [];
  const server = createServer(async (incoming, answer) => {
    const body = await bodyOf(incoming);
    bodies.push(body.toString('utf8'));
    const { method = 'GET', headers, url = '/' } = incoming;
    requests.push(`${method} ${url}`);
    const onward = request(new URL(url, target), { method, headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    onward.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
