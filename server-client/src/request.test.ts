import { describe, expect, test } from 'vitest';
import { createGreenroom, type Greenroom, metaOf } from './client.ts';
import { ApiError, ConnectionError } from './errors.ts';
import type { GreenroomOptions } from './request.ts';
import { type Answering, hangUp, hangUpInTheMiddle, json, never, problem, type Served, serve } from './testing.ts';

const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' } };
const created = json(201, { session_id: 's1', status: 'pending' }, { etag: '"e1"', 'x-request-id': 'r1' });
const clientOf = ({ url }: Served, more: Partial<GreenroomOptions> = {}): Greenroom =>
  createGreenroom({ url, apiKey: 'gr_test_x', retries: 1, ...more });
const html: Answering = (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
const cut: Answering = (response) =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end('{"session_id":');

describe('a request', () => {
  test.each([
    ['has no answer', hangUp],
    ['has a part of an answer', hangUpInTheMiddle],
    ['has an answer that is not from the API', html],
    ['has an answer that is no JSON', cut],
    ['is answered 500', problem(500, 'internal_error')],
    ['is answered 503', problem(503, 'database_unavailable')],
    ['is answered 502 by something in between', (response) => void response.writeHead(502).end('<html>')],
    ['still runs', problem(409, 'idempotency_in_progress')],
  ] as Array<[string, Answering]>)('a request that %s is sent again with the same key', async (_what, first) => {
    await using served = await serve(first, created);
    const session = await clientOf(served).createSession(body);
    expect(session).toEqual({ session_id: 's1', status: 'pending' });
    const [one, two] = served.requests;
    expect(one?.headers['idempotency-key']).toMatch(/^[\w-]{36}$/);
    expect(two).toMatchObject({ body: JSON.stringify(body), headers: { authorization: 'Bearer gr_test_x' } });
    expect(two?.headers['idempotency-key']).toBe(one?.headers['idempotency-key']);
    expect(metaOf(session)).toEqual({ status: 201, etag: '"e1"', requestId: 'r1', replayed: false });
  });

  test('two requests have different keys, and a given key is sent as it is', async () => {
    await using served = await serve(created);
    const client = clientOf(served);
    await client.createSession(body);
    await client.createSession(body);
    await client.createSession(body, { idempotencyKey: 'order-4711' });
    const keys = served.requests.map(({ headers }) => headers['idempotency-key']);
    expect(new Set(keys).size).toBe(3);
    expect(keys[2]).toBe('order-4711');
  });

  test.each([400, 401, 403, 404, 409, 412, 422])('a request that is answered %i is not sent again', async (status) => {
    await using served = await serve(problem(status, 'validation_failed'));
    const error = await clientOf(served)
      .createSession(body)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status,
      code: 'validation_failed',
      requestId: 'r1',
      problem: { detail: 'Because.' },
    });
    expect(served.requests).toHaveLength(1);
  });

  test('a request is sent again only after the time in retry-after', async () => {
    await using served = await serve(problem(429, 'rate_limited', { 'retry-after': '1' }), created);
    const before = performance.now();
    await clientOf(served).createSession(body);
    expect(performance.now() - before).toBeGreaterThan(950);
  });

  test('a request is given up at once when retry-after is longer than 30 s', async () => {
    await using served = await serve(problem(429, 'rate_limited', { 'retry-after': '3600' }));
    const error = clientOf(served).createSession(body);
    await expect(error).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 3_600_000 });
    expect(served.requests).toHaveLength(1);
  });

  test('a request is given up after its last attempt, and the error says what happened', async () => {
    await using served = await serve(html);
    const error = await clientOf(served, { retries: 2 })
      .getMe()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toContain('GET /api/me has no whole answer: the answer is of the type text/html');
    expect(served.requests).toHaveLength(3);
  });

  test('a request without an answer in time is sent again', async () => {
    await using served = await serve(never, created);
    await clientOf(served).createSession(body, { timeoutMs: 200 });
    expect(served.requests).toHaveLength(2);
  });

  test('a request is given up when its signal aborts, with the reason of the signal', async () => {
    const stopping = new AbortController();
    await using served = await serve(() => stopping.abort(new Error('enough')));
    await expect(clientOf(served).createSession(body, { signal: stopping.signal })).rejects.toThrow('enough');
    await expect(clientOf(served).createSession(body, { signal: stopping.signal })).rejects.toThrow('enough');
    expect(served.requests).toHaveLength(1);
  });

  // If the change was made and only its answer was lost, the etag no longer matches.
  test('a change with an etag is not sent again when its answer was lost', async () => {
    await using served = await serve(hangUpInTheMiddle);
    const change = clientOf(served).updateCandidate('c1', { name: 'Ada' }, { ifMatch: '"e1"' });
    await expect(change).rejects.toBeInstanceOf(ConnectionError);
    expect(served.requests).toMatchObject([{ method: 'PATCH', headers: { 'if-match': '"e1"' } }]);
  });

  test('a redirection is not followed, so the key is not sent to another server', async () => {
    await using elsewhere = await serve(created);
    await using served = await serve(
      (response) => void response.writeHead(302, { location: `${elsewhere.url}/api/me` }).end(),
    );
    await expect(clientOf(served).getMe()).rejects.toMatchObject({ status: 302, code: 'http_302' });
    expect(elsewhere.requests).toEqual([]);
  });

  test('parameters and options are sent in path, query and headers', async () => {
    await using served = await serve(json(200, { data: [], has_more: false, next_cursor: null }));
    const client = clientOf(served, { url: `${served.url}/`, version: '2026-11-01', apiKey: async () => 'fresh' });
    await client.listSessions({ status: ['ready', 'failed'], metadata: { 'a b': 'c&d' } }).firstPage();
    await client.getSession('a/b', { expand: ['result'] }, { waitS: 5, requestId: 'mine' });
    expect(served.requests.map(({ url }) => url)).toEqual([
      '/api/sessions?status=ready&status=failed&metadata%5Ba+b%5D=c%26d',
      '/api/sessions/a%2Fb?expand=result',
    ]);
    expect(served.requests[1]?.headers).toMatchObject({
      ...{ prefer: 'wait=5', 'x-request-id': 'mine', 'greenroom-version': '2026-11-01', authorization: 'Bearer fresh' },
    });
  });

  test.each(['', '.', '..', undefined])('an id that would change the path is refused: %j', async (id) => {
    await using served = await serve(created);
    expect(() => clientOf(served).getSession(id as string)).toThrow('id of /api/sessions/{id} is no id');
    expect(served.requests).toEqual([]);
  });
});

describe('a list', () => {
  test('a list is read page by page while it is iterated, with the same filters', async () => {
    await using served = await serve(
      json(200, { data: [{ session_id: 'a' }], has_more: true, next_cursor: 'c1' }),
      json(200, { data: [], has_more: true, next_cursor: 'c2' }),
      json(200, { data: [{ session_id: 'b' }], has_more: false, next_cursor: null }),
    );
    const sessions = clientOf(served).listSessions({ limit: 1 });
    expect(served.requests).toEqual([]);
    const found = [];
    for await (const { session_id } of sessions) found.push([session_id, served.requests.length]);
    expect(found).toEqual([
      ['a', 1],
      ['b', 3],
    ]);
    expect(served.requests.map(({ url }) => url.split('?')[1])).toEqual([
      'limit=1',
      'limit=1&cursor=c1',
      'limit=1&cursor=c2',
    ]);
  });

  test('a transcript that grows between two pages is read again from the beginning', async () => {
    const page = (revision: number, text: string, next_cursor: string | null): Answering =>
      json(200, { revision, entries: [{ text }], has_more: next_cursor !== null, next_cursor });
    await using served = await serve(page(1, 'a', 'c'), page(2, 'b', null), page(2, 'A', 'c'), page(2, 'B', null));
    const { entries, has_more } = await clientOf(served).getTranscript('s1');
    expect([entries.map(({ text }) => text), has_more]).toEqual([['A', 'B'], false]);
  });
});

describe('waiting', () => {
  test('waitForReady throws an error with the session when it ends before it is ready', async () => {
    await using served = await serve(
      json(200, { status: 'provisioning' }),
      json(200, { status: 'failed', reason: 'no_capacity' }),
    );
    await expect(clientOf(served).waitForReady('s1')).rejects.toMatchObject({
      name: 'SessionOverError',
      session: { status: 'failed', reason: 'no_capacity' },
    });
  });

  test('waitForReady throws WaitTimeoutError after timeoutMs', async () => {
    await using served = await serve(json(200, { status: 'provisioning' }));
    await expect(clientOf(served).waitForReady('s1', { timeoutMs: 300 })).rejects.toMatchObject({
      ...{ name: 'WaitTimeoutError', message: 'session s1 is ready: not after 300 ms' },
    });
  });

  test('waitForResult throws for a session that ended without an interview', async () => {
    await using served = await serve(json(200, { status: 'expired', reason: 'candidate_never_joined', result: null }));
    await expect(clientOf(served).waitForResult('s1')).rejects.toThrow('there will be no result');
  });
});
