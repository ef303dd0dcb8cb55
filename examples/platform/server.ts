import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ApiError, type Greenroom, verifyWebhook, WebhookError } from '@greenroom/server';
import type { Store } from './store.ts';

export interface ServerDeps {
  greenroom: Greenroom;
  store: Store;
  webhookSecret: string;
  /** The page's script. */
  script: string;
}

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Hire well</title><body><main id="app"></main><script type="module" src="/page.js"></script>`;
const mostBytes = 100_000;

class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const part of request.setEncoding('utf8')) {
    body += part;
    if (body.length > mostBytes) throw new Refused(413, 'too large');
  }
  return body;
}

function fieldsOf(text: string): { candidate: string; position: string } {
  try {
    const { candidate, position } = JSON.parse(text);
    if ([candidate, position].every((field) => typeof field === 'string' && field.trim() !== ''))
      return { candidate, position };
  } catch {
    // Refused below.
  }
  throw new Refused(422, 'candidate and position are needed');
}

export function createPlatform({ greenroom, store, webhookSecret, script }: ServerDeps): Server {
  const send = (response: ServerResponse, status: number, type: string, body: string) =>
    void response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
  const json = (response: ServerResponse, status: number, body: object) =>
    send(response, status, 'application/json', JSON.stringify(body));

  const createInterview = async (request: IncomingMessage, response: ServerResponse) => {
    const { candidate, position } = fieldsOf(await bodyOf(request));
    const id = randomUUID();
    store.add({ id, candidate, position });
    const session = await greenroom.createSession(
      { candidate: { name: candidate }, position: { title: position }, metadata: { interview: id } },
      { idempotencyKey: id },
    );
    store.setSession(id, session.session_id, session.join_url ?? '');
    json(response, 201, { id, join_url: session.join_url });
  };

  const showInterview = (id: string, response: ServerResponse) => {
    const interview = store.get(id);
    if (!interview) throw new Refused(404, 'there is no such interview');
    const { candidate, position, join_url, result } = interview;
    json(response, 200, { candidate, position, join_url, result: result === null ? null : JSON.parse(result) });
  };

  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const { headers } = request;
    const { type, data } = await verifyWebhook({ body: await bodyOf(request), headers, secret: webhookSecret });
    if (type.startsWith('result.') && data.session_id !== undefined)
      store.setResult(data.session_id, await greenroom.getResult(data.session_id));
    response.writeHead(204).end();
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, url = '/' } = request;
    const id = /^\/interviews\/([\w-]+)$/.exec(url)?.[1];
    if (method === 'GET' && id !== undefined) return showInterview(id, response);
    switch (`${method} ${url}`) {
      case 'GET /':
        return send(response, 200, 'text/html; charset=utf-8', page);
      case 'GET /page.js':
        return send(response, 200, 'text/javascript; charset=utf-8', script);
      case 'POST /interviews':
        return createInterview(request, response);
      case 'POST /webhooks':
        return receive(request, response);
      default:
        throw new Refused(404, 'there is nothing here');
    }
  };

  return createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const status = error instanceof Refused ? error.status : error instanceof WebhookError ? 400 : 502;
      if (status === 502) console.error(error);
      const message = status === 502 && !(error instanceof ApiError) ? 'Please try again.' : (error as Error).message;
      if (response.headersSent) response.destroy();
      else json(response, status, { message });
    });
  });
}
