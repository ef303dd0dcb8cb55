import {
  ApiError,
  ConnectionError,
  createGreenroom,
  metaOf,
  SessionOverError,
  verifyWebhook,
  WebhookError,
} from '@greenroom/server';

/**
 * What a backend does with the client, written with the web's own interfaces alone, so that every runtime can run it. It throws at
 * the first thing that differs; @returns the names of the steps that passed.
 */
export interface Basics {
  /** The API, and a test key with all scopes. */
  url: string;
  apiKey: string;
  /** Servers that misbehave: one drops the first request, one never answers, one redirects, one breaks its stream off. */
  drops: string;
  silent: string;
  redirects: string;
  breaks: string;
  webhook: { body: string; headers: Record<string, string>; secret: string };
}

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`got ${a} instead of ${b}`);
}

async function errorOf<E extends Error>(kind: new (...given: never[]) => E, work: () => Promise<unknown>): Promise<E> {
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof kind) return error;
  throw new Error(`got ${String(error)} instead of ${kind.name}`);
}

export async function basics({ url, apiKey, webhook, ...servers }: Basics): Promise<string[]> {
  const greenroom = createGreenroom({ url, apiKey });
  const passed: string[] = [];
  const step = async (name: string, work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => {
      throw new Error(`${name}: ${String(error)}`, { cause: error });
    });
    passed.push(name);
  };
  const order = crypto.randomUUID();
  const body = { candidate: { name: 'Ada' }, position: { title: 'Cook' }, metadata: { order } };
  let id = '';

  await step('two requests with one idempotency key make one session', async () => {
    const [first, second] = await Promise.all(
      [1, 2].map(() => greenroom.createSession(body, { idempotencyKey: order })),
    );
    same(second, first);
    const replayed = await greenroom.createSession(body, { idempotencyKey: order });
    same(replayed, first);
    same(metaOf(replayed)?.replayed, true);
    id = replayed.session_id;
  });
  await step('the session becomes ready, and its events are streamed to the end', async () => {
    await greenroom.waitForReady(id);
    await greenroom.simulateCandidate(id, { script: 'completes' });
    const types: string[] = [];
    for await (const { type } of greenroom.streamSessionEvents(id)) {
      types.push(type);
      if (type === 'session.completed') break;
    }
    for (const type of ['session.ready', 'session.in_progress']) same([type, types.includes(type)], [type, true]);
  });
  await step('the result and the transcript follow', async () => {
    same((await greenroom.waitForResult(id)).status, 'done');
    same((await greenroom.getTranscript(id)).entries.length > 0, true);
    same((await greenroom.getTranscriptText(id, 'vtt')).slice(0, 6), 'WEBVTT');
  });
  await step('a session that has ended becomes ready no more', async () => {
    await errorOf(SessionOverError, () => greenroom.waitForReady(id));
  });
  await step('a list is read page after page', async () => {
    const { session_id: other } = await greenroom.createSession({ ...body, placement: 'on_join' });
    const found: string[] = [];
    for await (const one of greenroom.listSessions({ metadata: { order }, limit: 1 })) found.push(one.session_id);
    same(found.toSorted(), [id, other].toSorted());
    await greenroom.endSession(other);
  });
  await step('a change with an outdated etag is refused', async () => {
    const candidate = await greenroom.createCandidate({ name: 'Grace' });
    const etag = metaOf(await greenroom.getCandidate(candidate.id))?.etag as string;
    await greenroom.updateCandidate(candidate.id, { name: 'Grace Hopper' }, { ifMatch: etag });
    const { status, code } = await errorOf(ApiError, () =>
      greenroom.updateCandidate(candidate.id, { name: 'G' }, { ifMatch: etag }),
    );
    same([status, code], [412, 'precondition_failed']);
  });
  await step('a wrong field is named', async () => {
    const { status, problem } = await errorOf(ApiError, () =>
      greenroom.createSession({ candidate: { name: '' }, position: { title: 'x' } }),
    );
    same([status, problem?.errors?.[0]?.field], [422, 'candidate.name']);
  });
  await step('a request whose connection was cut is sent again', async () => {
    const candidate = await createGreenroom({ url: servers.drops, apiKey }).createCandidate({ name: 'Ada' });
    same(candidate.id, 'c1');
  });
  await step('a request without an answer ends after its time', async () => {
    const impatient = createGreenroom({ url: servers.silent, apiKey, retries: 0, timeoutMs: 200 });
    await errorOf(ConnectionError, () => impatient.getMe());
  });
  await step('a redirection is not followed', async () => {
    const { status } = await errorOf(ApiError, () => createGreenroom({ url: servers.redirects, apiKey }).getMe());
    same(status, 302);
  });
  await step('a stream that breaks off continues after its last event', async () => {
    const ids: string[] = [];
    for await (const event of createGreenroom({ url: servers.breaks, apiKey }).streamEvents({ after: 0 })) {
      ids.push(event.id);
      if (ids.length === 3) break;
    }
    same(ids, ['1', '2', '3']);
  });
  await step('a signal ends a stream', async () => {
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(), 100);
    for await (const _ of greenroom.streamEvents({ signal: leaving.signal })) {
      // No session changes.
    }
  });
  await step('a webhook is verified, and a changed one is not', async () => {
    same((await verifyWebhook({ ...webhook, headers: new Headers(webhook.headers) })).type, 'result.done');
    await errorOf(WebhookError, () => verifyWebhook({ ...webhook, body: webhook.body.replace('done', 'dead') }));
  });
  return passed;
}
