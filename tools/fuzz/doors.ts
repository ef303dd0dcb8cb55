import { clientMessage } from '@greenroom/shared/protocol/socket.ts';
import {
  claimRequest,
  finishRequest,
  heartbeatRequest,
  openCallRequest,
  updateCallRequest,
} from '@greenroom/shared/protocol/worker-api.ts';
import { workerTraces } from '@greenroom/shared/protocol/worker-traces.ts';
import { importJWK, SignJWT } from 'jose';
import WebSocket from 'ws';
import { z } from 'zod';
import { createRandom, type Random } from '../chaos/random.ts';
import type { Stack } from '../stack/stack.ts';
import { faultOf, type OpenApiDocument, requestOf, routesOf, sendAndJudge } from './document.ts';
import { oddText } from './odd-bodies.ts';
import { receivers } from './receivers.ts';
import { hangUp, oddRequests, readNothing, repeatAtOnce, sendOdd } from './rough-clients.ts';
import { anything, madeOf, type Schema } from './values.ts';

/** The doors that strangers' bytes come through. Each `knock` is one request or message, or a few that belong together. */
export interface Door {
  name: string;
  /** How many knock at once. */
  lanes: number;
  knock(random: Random): Promise<Knocked>;
}

interface Knocked {
  /** The HTTP status; 0 where there is none. */
  status: number;
  /** What is wrong with the answer. */
  fault?: string | undefined;
}

interface Route {
  method: string;
  path: string;
  body: Schema;
}

const schemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as unknown as Schema;

/** JSON, or something that is nearly JSON. */
const textOf = (value: unknown, random: Random): string => {
  const text = JSON.stringify(value) ?? '';
  return random.next() < 0.03 ? text.slice(0, random.between(0, text.length)) : text;
};

async function send(url: string, { method, body }: Route, token: string | undefined, random: Random): Promise<Knocked> {
  const answer = await fetch(url, {
    method,
    signal: AbortSignal.timeout(30_000),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(random.next() < 0.95 ? { 'content-type': 'application/json' } : {}),
    },
    body: oddText(madeOf(body, random), random) as BodyInit,
  });
  const [{ status }, text] = [answer, await answer.text()];
  return { status, fault: faultOf({ status, text, contentType: answer.headers.get('content-type') ?? '' }) };
}

/** A process that has only just started, on a busy machine, refuses what can wait. */
async function documentOf(url: string): Promise<OpenApiDocument> {
  for (;;) {
    const answer = await fetch(url);
    if (answer.status !== 503) return answer.json() as Promise<OpenApiDocument>;
    await answer.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Every published route; a new one is tried without being named here. */
export async function platformApi(url: string, keys: Array<string | undefined>, ids: () => string[]): Promise<Door> {
  const routes = routesOf(await documentOf(`${url}/docs/json`)).filter(
    ({ path, method }) => !(method === 'DELETE' && path === '/api/tenants/{id}'),
  );
  return {
    name: 'platform API',
    lanes: 2,
    knock: (random) => {
      const route = random.pick(routes) as (typeof routes)[number];
      return sendAndJudge(url, route, requestOf(route, random, { ids, key: random.pick(keys) }));
    },
  };
}

/** Clients that send what is no HTTP, hang up in the middle, do not read, or send one request several times at once. */
export function roughClients(url: string, key: string, sessionId: () => string): Door {
  const target = () => ({ port: Number(new URL(url).port), key, stream: `/api/sessions/${sessionId()}/events` });
  return {
    name: 'rough clients',
    lanes: 3,
    knock: async (random) => {
      const kind = random.next();
      if (kind < 0.3) return sendOdd(target(), (random.pick(Object.values(oddRequests)) as (k: string) => string)(key));
      if (kind < 0.7) return hangUp(target(), random).then(() => ({ status: 0 }));
      if (kind < 0.8)
        return readNothing(target(), AbortSignal.timeout(random.between(10, 2_000))).then(() => ({ status: 0 }));
      const idempotencyKey = `at-once-${random.between(1, 1_000_000)}`;
      const body = JSON.stringify({ name: 'Ada', external_id: idempotencyKey });
      const fault = await repeatAtOnce(url, {
        ...{ key, idempotencyKey, path: '/api/candidates', body, other: '{"name":"Grace"}' },
      });
      return { status: 0, fault };
    },
  };
}

/** Receivers of webhooks that hang, redirect or answer garbage. What is stored of their answers is bounded. */
export function webhookReceivers(url: string, key: string, receiversUrl: string): Door {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const call = async (method: string, at: string, body?: object) => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${url}${at}`, { method, headers, ...sent });
    const [{ status }, text] = [answer, await answer.text()];
    const fault = faultOf({ status, text, contentType: answer.headers.get('content-type') ?? '' });
    return { status, fault, json: text === '' ? {} : JSON.parse(text) };
  };
  return {
    name: 'webhook receivers',
    lanes: 1,
    knock: async (random) => {
      const made = await call('POST', '/api/webhooks', {
        url: `${receiversUrl}/${random.pick(Object.keys(receivers))}`,
      });
      if (made.status !== 201) return made;
      const at = `/api/webhooks/${made.json.id}`;
      const sent = await call('POST', `${at}/test`);
      await new Promise((resolve) => setTimeout(resolve, random.between(0, 3_000)));
      const shown = await call('GET', `${at}/deliveries/${sent.json.id}`);
      const removed = await call('DELETE', at);
      const tooLong =
        JSON.stringify(shown.json).length > 20_000 ? `a delivery of ${made.json.url} is too long` : undefined;
      return { status: removed.status, fault: sent.fault ?? shown.fault ?? removed.fault ?? tooLong };
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
    { method: 'POST', path: '/traces', body: schemaOf(workerTraces) },
    { method: 'POST', path: '/finish', body: schemaOf(finishRequest) },
  ];
  return {
    name: 'worker API',
    lanes: 2,
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
    lanes: 1,
    knock: async (random) => {
      const way = await open();
      const message = random.next() < 0.95 ? madeOf(schema, random) : anything(random);
      // Ending the session would end the fuzz of its socket.
      const ends = (message as { type?: unknown } | null)?.type === 'end_session';
      if (way?.readyState === WebSocket.OPEN && !ends) way.send(textOf(message, random));
      await new Promise((resolve) => setTimeout(resolve, 25));
      return { status: 0 };
    },
  };
}

export { createRandom };
