import { createServer, type Server } from 'node:http';
import type { Worker } from './worker.ts';

/**
 * The worker's listener: two health routes and the candidate's WebSocket upgrade.
 *
 * It uses plain node:http and ws. Fastify would add boot time for every candidate and memory to every VM:
 * docs/adr/0008-the-worker-is-plain-http-and-ws.md has the figures.
 */
export function buildApp(worker: Pick<Worker, 'ready' | 'upgrade'>): Server {
  const server = createServer((request, response) => {
    const [status, body] = answer(request.method, request.url?.split('?')[0], worker.ready);
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(body));
  });
  server.on('upgrade', (request, socket, head) => worker.upgrade(request, socket, head));
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  return server;
}

function answer(method: string | undefined, path: string | undefined, ready: boolean): [number, unknown] {
  if (path !== '/livez' && path !== '/readyz') return [404, { code: 'not_found' }];
  if (method !== 'GET' && method !== 'HEAD') return [405, { code: 'method_not_allowed' }];
  // Ready means that the session is claimed: until then Fly's proxy must not send a candidate here.
  return path === '/livez' || ready ? [200, { status: 'ok' }] : [503, { status: 'not_ready' }];
}
