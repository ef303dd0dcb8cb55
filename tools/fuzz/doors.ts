import { clientMessage } from '@greenroom/shared/protocol/socket.ts';
import {
  claimRequest,
  finishRequest,
  heartbeatRequest,
  openCallRequest,
  updateCallRequest,
} from '@greenroom/shared/protocol/worker-api.ts';
import { importJWK, SignJWT } from 'jose';
import WebSocket from 'ws';
import { z } from 'zod';
import { createRandom, type Random } from '../chaos/random.ts';
import type { Stack } from '../stack/stack.ts';
import { anything, madeOf, type Schema } from './values.ts';

/** The three doors that strangers' bytes come through. Each `knock` is one request or message. */
export interface Door {
  name: string;
  /** @returns the HTTP status; 0 where there is none. */
  knock(random: Random): Promise<number>;
}

interface Route {
  method: string;
  path: string;
  body: Schema | undefined;
  query?: Parameter[];
}

interface Parameter {
  name: string;
  in: string;
  schema: Schema;
}

const schemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as unknown as Schema;

/** JSON, or something that is nearly JSON. */
const textOf = (value: unknown, random: Random): string => {
  const text = JSON.stringify(value) ?? '';
  return random.next() < 0.03 ? text.slice(0, random.between(0, text.length)) : text;
};

async function send(url: string, { method, body }: Route, token: string | undefined, random: Random): Promise<number> {
  const sent = body === undefined || method === 'GET' ? undefined : textOf(madeOf(body, random), random);
  const answer = await fetch(url, {
    method,
    signal: AbortSignal.timeout(30_000),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(random.next() < 0.95 ? { 'content-type': 'application/json' } : {}),
      ...(random.next() < 0.1 ? { 'idempotency-key': String(random.between(1, 5)) } : {}),
      ...(random.next() < 0.1 ? { 'if-match': '"tag"', 'if-none-match': '*' } : {}),
      ...(random.next() < 0.03 ? { accept: 'text/vtt', 'greenroom-version': '2026-11-27' } : {}),
      'fly-client-ip': `198.51.100.${random.between(1, 250)}`,
    },
    ...(sent === undefined ? {} : { body: sent }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

/** Some of the parameters of a query, right and wrong, in the forms of the document: lists repeated, objects in brackets. */
function queryOf(parameters: Parameter[], random: Random): string {
  const query = new URLSearchParams();
  for (const { name, schema } of parameters) {
    if (random.next() < 0.8) continue;
    const value = madeOf(schema, random);
    const values = Array.isArray(value) ? value.slice(0, 30) : [value];
    for (const one of values)
      if (typeof one === 'object' && one !== null)
        for (const [key, inner] of Object.entries(one)) query.append(`${name}[${key}]`, String(inner).slice(0, 300));
      else query.append(name, String(one).slice(0, 300).toWellFormed());
  }
  return query.size > 0 ? `?${query}` : '';
}

/** A process that has only just started, on a busy machine, refuses what can wait. */
async function documentOf(url: string): Promise<unknown> {
  for (;;) {
    const answer = await fetch(url);
    if (answer.status !== 503) return answer.json();
    await answer.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Every published route; a new one is tried without being named here. */
export async function platformApi(url: string, keys: Array<string | undefined>, ids: () => string[]): Promise<Door> {
  const document = (await documentOf(`${url}/docs/json`)) as {
    paths: Record<
      string,
      Record<string, { parameters?: Parameter[]; requestBody?: { content?: Record<string, { schema?: Schema }> } }>
    >;
  };
  const routes: Route[] = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody, parameters = [] }]) => ({
      method: method.toUpperCase(),
      path,
      body: requestBody?.content?.['application/json']?.schema,
      query: parameters.filter((one) => one.in === 'query'),
    })),
  );
  const tried = routes.filter(
    ({ path, method }) => !path.endsWith('/events') && !(method === 'DELETE' && path === '/api/tenants/{id}'),
  );
  return {
    name: 'platform API',
    knock: (random) => {
      const route = random.pick(tried) as Route;
      const path = route.path.replaceAll(/\{[^}]*\}/g, () =>
        encodeURIComponent(
          random.next() < 0.9 ? (random.pick(ids()) as string) : String(anything(random)).slice(0, 300).toWellFormed(),
        ),
      );
      const query = queryOf(route.query ?? [], random);
      return send(`${url}${path}${query}`, route, random.pick(keys), random);
    },
  };
}

/** With the token of a worker whose session goes on, as a stolen one would be. */
export function workerApi(stack: Stack, url: string, claims: () => Promise<Record<string, unknown>>): Door {
  const key = stack.keys.db as unknown as { kid: string };
  const mint = async () =>
    new SignJWT({ ...(await claims()), role: 'session_worker' })
      .setProtectedHeader({ alg: 'ES256', kid: key.kid })
      .setIssuer(stack.publicUrl)
      .setAudience(['authenticated', 'greenroom:worker-api'])
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(await importJWK({ ...key, alg: 'ES256' } as never));
  const routes: Route[] = [
    { method: 'POST', path: '/claim', body: schemaOf(claimRequest) },
    { method: 'POST', path: '/heartbeat', body: schemaOf(heartbeatRequest) },
    { method: 'POST', path: '/calls', body: schemaOf(openCallRequest) },
    { method: 'PATCH', path: '/calls/1', body: schemaOf(updateCallRequest) },
    { method: 'POST', path: '/finish', body: schemaOf(finishRequest) },
  ];
  return {
    name: 'worker API',
    knock: async (random) => {
      const route = random.pick(routes) as Route;
      return send(`${url}/worker/v1${route.path}`, route, random.next() < 0.9 ? await mint() : undefined, random);
    },
  };
}

/** The candidate's socket; it is opened again when it was closed for what was sent. */
export function candidateSocket(tokenOf: () => Promise<{ url: string; token: string } | undefined>): Door {
  const schema = schemaOf(clientMessage);
  let socket: WebSocket | undefined;
  const open = async (): Promise<WebSocket | undefined> => {
    if (socket?.readyState === WebSocket.OPEN) return socket;
    const way = await tokenOf();
    if (!way) return undefined;
    const opened = new WebSocket(way.url, ['greenroom.v1', `greenroom.token.${way.token}`]);
    opened.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      opened.once('open', resolve);
      opened.once('close', resolve);
    });
    socket = opened;
    return opened;
  };
  return {
    name: "candidate's socket",
    knock: async (random) => {
      const way = await open();
      const message = random.next() < 0.95 ? madeOf(schema, random) : anything(random);
      // Ending the session would end the fuzz of its socket.
      const ends = (message as { type?: unknown } | null)?.type === 'end_session';
      if (way?.readyState === WebSocket.OPEN && !ends) way.send(textOf(message, random));
      await new Promise((resolve) => setTimeout(resolve, 25));
      return 0;
    },
  };
}

export { createRandom };
