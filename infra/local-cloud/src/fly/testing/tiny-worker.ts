/**
 * A tiny session server that runs inside a machine: reports its identity over HTTP and echoes over WebSocket.
 *
 * `GET /ready` answers 503 until `/become-ready` was requested.
 * `GET /identity?aud=…` gets the machine's token from its API socket; `GET /exit?code=N` ends the process.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { WebSocketServer } from 'ws';

const { HOST = '127.0.0.1', FLY_MACHINE_ID = '', FLY_API_SOCKET = '' } = process.env;

function identity(audience: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request(
      { socketPath: FLY_API_SOCKET, path: '/v1/tokens/oidc', method: 'POST' },
      async (response) => {
        resolve((await response.setEncoding('utf8').toArray()).join(''));
      },
    );
    asking.on('error', reject).end(JSON.stringify({ aud: audience }));
  });
}

let isReady = false;

async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? '/', 'http://worker');
  if (url.pathname === '/exit') process.exit(Number(url.searchParams.get('code')));
  if (url.pathname === '/become-ready') isReady = true;
  if (url.pathname === '/ready') return void response.writeHead(isReady ? 200 : 503).end();
  if (url.pathname === '/identity') return void response.end(await identity(url.searchParams.get('aud') ?? ''));
  const body = (await incoming.setEncoding('utf8').toArray()).join('');
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ machine: FLY_MACHINE_ID, env: process.env, headers: incoming.headers, body }));
}

const server = createServer((incoming, response) => void answer(incoming, response));
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket, incoming) => {
  socket.send(JSON.stringify({ machine: FLY_MACHINE_ID, headers: incoming.headers, url: incoming.url }));
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
process.on('SIGTERM', () => process.exit(0));
process.on('SIGUSR1', () => console.log('asked by SIGUSR1'));
server.listen(8080, HOST, () => console.log('listening'));
