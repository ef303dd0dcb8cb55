import { expect, test } from 'vitest';
import { createGreenroom } from './client.ts';
import { type Answering, problem, type Served, serve } from './testing.ts';

const head = { 'content-type': 'text/event-stream; charset=utf-8' };
const event = (id: number, type = 'session.ready') =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ name: `n${id}`, at: '2026-11-26T12:00:00Z' })}\n\n`;
/** Sends these texts one after the other, then closes the connection. */
const broken =
  (...parts: string[]): Answering =>
  (response) => {
    response.writeHead(200, head);
    for (const part of parts) response.write(part);
    setTimeout(() => response.destroy(), 50);
  };
const open =
  (...parts: string[]): Answering =>
  (response) => {
    response.writeHead(200, head);
    for (const part of parts) response.write(part);
  };
const clientOf = ({ url }: Served) => createGreenroom({ url, apiKey: 'gr_test_x' });

test('a stream continues after the last event when the connection breaks, and yields each event once', async () => {
  const [start, end] = [event(2).slice(0, 20), event(2).slice(20)];
  await using served = await serve(
    broken('retry: 1000\n\n', event(1), ': here\n\n', start, end, event(3).slice(0, 30)),
    problem(503, 'database_unavailable'),
    open(event(2), event(3)),
  );
  const got = [];
  for await (const one of clientOf(served).streamEvents({ after: 0 })) {
    got.push(one);
    if (one.id === '3') break;
  }
  expect(got).toEqual(
    [1, 2, 3].map((id) => ({
      ...{ id: String(id), type: 'session.ready', timestamp: '2026-11-26T12:00:00Z', data: { name: `n${id}` } },
    })),
  );
  expect(served.requests.map(({ url }) => url)).toEqual([
    ...['/api/events?after=0', '/api/events?after=2', '/api/events?after=2'],
  ]);
});

test('leaving the loop closes the connection', async () => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  await using served = await serve((response, request) => {
    response.on('close', () => resolve());
    open(event(1))(response, request);
  });
  for await (const { data } of clientOf(served).streamSessionEvents('s1')) {
    expect(data).toEqual({ name: 'n1', session_id: 's1' });
    break;
  }
  await closed;
});

test('a signal ends the loop without an error', async () => {
  const stopping = new AbortController();
  await using served = await serve(open(event(1)));
  const got = [];
  for await (const { id } of clientOf(served).streamEvents({ signal: stopping.signal })) {
    got.push(id);
    setTimeout(() => stopping.abort(), 20);
  }
  expect(got).toEqual(['1']);
});

test.each([401, 403, 404])('a stream that is refused with %i throws', async (status) => {
  await using served = await serve(broken(event(1)), problem(status, 'unauthorized'));
  const got: string[] = [];
  const read = async () => {
    for await (const { id } of clientOf(served).streamEvents()) got.push(id);
  };
  await expect(read()).rejects.toMatchObject({ status, code: 'unauthorized' });
  expect(got).toEqual(['1']);
});

test('an event without an end does not fill the memory', async () => {
  let sent = 0;
  const endless: Answering = (response) => {
    response.writeHead(200, head);
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536;
      if (!response.destroyed) response.once('drain', more);
    };
    response.write('data: ');
    more();
  };
  await using served = await serve(endless, open(event(1)));
  for await (const { id } of clientOf(served).streamEvents()) {
    expect(id).toBe('1');
    break;
  }
  expect(sent).toBeLessThan(20_000_000);
});
