import { createServer, type RequestListener, type Server } from 'node:http';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Metrics } from './metrics.ts';

/**
 * Serves `GET /metrics` without a credential, on an address of its own that the operators' API shares. The address must not
 * be reachable from the Internet: the default is loopback.
 */
export interface MetricsListener {
  /**
   * Resolves with the port.
   * @param others answers every other path. Default: 404
   */
  listen(host: string, port: number, others?: RequestListener): Promise<number>;
  close(): Promise<void>;
}

export interface MetricsListenerDeps {
  metrics: Pick<Metrics, 'registry'>;
  logger: Logger;
  /** Called before each answer, for gauges that are read at that moment. */
  onScrape: () => void;
}

const text = { 'content-type': 'text/plain; charset=utf-8' };
const listenMs = 10_000;

export function createMetricsListener({ metrics, logger, onScrape }: MetricsListenerDeps): MetricsListener {
  const { registry } = metrics;
  let others: RequestListener | undefined;
  const answer: RequestListener = async (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path !== '/metrics' && others) return others(request, response);
    if (path !== '/metrics')
      return response.writeHead(404, text).end('Not found: this address serves /metrics only.\n');
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return response.writeHead(405, { ...text, allow: 'GET, HEAD' }).end('Use GET.\n');
    try {
      onScrape();
      const body = await registry.metrics();
      return response.writeHead(200, { 'content-type': registry.contentType }).end(body);
    } catch (error) {
      logger.error({ error }, 'could not collect the metrics');
      return response.writeHead(500, text).end('The metrics could not be collected.\n');
    }
  };
  const server: Server = createServer({ requestTimeout: listenMs, headersTimeout: listenMs }, answer);
  return {
    listen: (host, port, rest) =>
      new Promise((resolve, reject) => {
        others = rest;
        server.once('error', reject);
        server.listen(port, host, () => {
          server.off('error', reject);
          const address = server.address();
          resolve(typeof address === 'object' && address !== null ? address.port : port);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
