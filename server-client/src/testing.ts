import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A real HTTP server for tests. The n-th function answers the n-th request; the last function answers all later ones. */
export interface Served extends AsyncDisposable {
  url: string;
  requests: Array<{ method: string; url: string; headers: IncomingMessage['headers']; body: string }>;
}

export type Answering = (response: ServerResponse, request: IncomingMessage) => void;

export async function serve(...answers: Answering[]): Promise<Served> {
  const requests: Served['requests'] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers, body });
    answers[Math.min(requests.length, answers.length) - 1]?.(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export const json =
  (status: number, body: object, headers: Record<string, string> = {}): Answering =>
  (response) => {
    const type = status < 300 ? 'application/json' : 'application/problem+json';
    response.writeHead(status, { 'content-type': type, ...headers }).end(JSON.stringify(body));
  };
export const problem = (status: number, code: string, headers: Record<string, string> = {}): Answering =>
  json(status, { status, code, detail: 'Because.', request_id: 'r1' }, headers);
export const hangUp: Answering = (response) => void response.destroy();
/** Sends the head and a part of the body, then closes the connection. */
export const hangUpInTheMiddle: Answering = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
  response.write('{"session_id":', () => response.destroy());
};
export const never: Answering = () => undefined;
