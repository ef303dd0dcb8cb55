import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGreenroom, type Greenroom, verifyWebhook } from '@greenroom/server';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import type { Stack } from '../../stack/stack.ts';

/**
 * The steady mix of `bench soak`, by the typed client: interviews in test mode from their creation to their result, each followed
 * by server-sent events, with reads of what it left; beside them lists, reads, a stream of all sessions, and webhooks to two
 * endpoints, one of which refuses every third message.
 */
export interface Timed {
  what: string;
  /** When it ended, ms of `performance.now()`. */
  atMs: number;
  tookMs: number;
}

export interface Load {
  took: Timed[];
  /** What went wrong, with the time. */
  faults: string[];
  /** Interviews that have their result. */
  results: Set<string>;
  /** Sessions whose `result.done` arrived as a verified webhook. */
  delivered: Set<string>;
  /** Ends the mix; resolves when the interviews that run have ended. */
  stop(): Promise<void>;
}

/** Interviews at once. Each runs a worker of its own, on the machine that measures. */
const lanes = 3;
const pauseMs = 500;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const questions = ['What did you build last?', 'What was hard about it?'];

async function startReceiver(secrets: string[], delivered: Set<string>) {
  let count = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    count += 1;
    if (request.url === '/refuses' && count % 3 === 0) return response.writeHead(500).end();
    const body = Buffer.concat(parts);
    const { type, data } = await verifyWebhook({ body, headers: request.headers, secret: secrets });
    if (request.url === '/takes' && type === 'result.done') delivered.add(String(data.session_id));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

export async function startLoad(stack: Stack): Promise<Load> {
  const url = stack.publicUrl;
  const live = createGreenroom({ url, apiKey: stack.tenant.apiKey });
  const { key } = await live.createTestKey(stack.tenant.id, { name: 'soak', scopes: [...scopes] });
  const greenroom: Greenroom = createGreenroom({ url, apiKey: key });
  const took: Timed[] = [];
  const faults: string[] = [];
  const [results, delivered] = [new Set<string>(), new Set<string>()];
  const secrets: string[] = [];
  const receiver = await startReceiver(secrets, delivered);
  for (const at of ['takes', 'refuses'])
    secrets.push((await greenroom.createWebhook({ url: `${receiver.url}/${at}` })).secret);
  const leaving = new AbortController();
  let going = true;

  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const value = await work();
    took.push({ what, atMs: performance.now(), tookMs: performance.now() - startedMs });
    return value;
  };

  const interview = async (): Promise<void> => {
    const startedMs = performance.now();
    const { session_id: id } = await timed('create', () =>
      greenroom.createSession({
        ...{ candidate: { name: 'Ada Lovelace' }, position: { title: 'Engineer' }, region: 'fra' },
        settings: { questions },
      }),
    );
    await greenroom.waitForReady(id);
    took.push({ what: 'ready', atMs: performance.now(), tookMs: performance.now() - startedMs });
    await greenroom.simulateCandidate(id, { script: 'completes' });
    for await (const { type } of greenroom.streamSessionEvents(id, { signal: leaving.signal }))
      if (type.startsWith('result.')) break;
    const { status, reason } = await greenroom.getSession(id);
    if (status !== 'completed') throw new Error(`session ${id} ended as ${status}, ${reason}`);
    const { status: evaluated } = await greenroom.getResult(id);
    if (evaluated !== 'done') throw new Error(`the result of ${id} is ${evaluated}`);
    const { entries } = await timed('transcript', () => greenroom.getTranscript(id));
    if (entries.length < 2 * questions.length) throw new Error(`the transcript of ${id} has ${entries.length} entries`);
    results.add(id);
  };
  const reads = async (): Promise<void> => {
    const { data } = await timed('list', () => greenroom.listSessions({ limit: 20 }).firstPage());
    const [first] = data;
    if (first) await timed('read', () => greenroom.getSession(first.session_id));
    await timed('read', () => greenroom.getMe());
    await timed('control', () => fetch(`${url}/.well-known/jwks.json`).then((answer) => answer.arrayBuffer()));
  };
  const again = async (work: () => Promise<void>, everyMs: number): Promise<void> => {
    while (going) {
      await work().catch((error: Error) => faults.push(`${new Date().toISOString()} ${error.message}`));
      await pause(everyMs);
    }
  };
  const follow = async (): Promise<void> => {
    for await (const _event of greenroom.streamEvents({ signal: leaving.signal }));
  };

  const lanesDone = Promise.all([
    ...Array.from({ length: lanes }, async (_, n) => {
      await pause(n * 2_000);
      await again(interview, pauseMs);
    }),
    again(reads, pauseMs),
  ]);
  const followed = follow().catch((error: Error) => faults.push(`the stream of all sessions: ${error.message}`));
  return {
    ...{ took, faults, results, delivered },
    stop: async () => {
      going = false;
      await lanesDone;
      // The last webhooks follow their results.
      for (let n = 0; n < 100 && [...results].some((id) => !delivered.has(id)); n += 1) await pause(200);
      leaving.abort();
      await followed;
      receiver.server.closeAllConnections();
      receiver.server.close();
    },
  };
}
