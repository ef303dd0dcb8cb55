import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import { afterEach, describe, expect, test } from 'vitest';
import { createHttp, type Http } from './http.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

describe('the client for outgoing HTTP', () => {
  const open: Array<{ server: Server; http: Http }> = [];
  afterEach(async () => {
    for (const { server, http } of open.splice(0)) {
      await http.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  const serve = async (handler: Handler, socketPath?: string) => {
    const clock = createFakeClock();
    const server = createServer(handler);
    await new Promise<void>((resolve) => server.listen(socketPath ?? { port: 0, host: '127.0.0.1' }, resolve));
    const http = createHttp({ clock, ...(socketPath ? { socketPath } : {}) });
    open.push({ server, http });
    const url = socketPath ? 'http://localhost' : `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { http, clock, server, url };
  };

  test('returns an answer of any status, with the first value of a repeated header', async () => {
    const { http, url } = await serve((_request, response) => {
      response.writeHead(503, { Location: ['/a', '/b'] });
      response.end('away');
    });
    const answer = await http({ method: 'GET', url: `${url}/x?y=1`, timeoutMs: 1_000 });
    expect([answer.status, answer.headers.location, answer.body]).toEqual([503, '/a', 'away']);
  });

  test('a second request reuses the connection of the first', async () => {
    const ports: unknown[] = [];
    const { http, url } = await serve((request, response) => {
      ports.push(request.socket.remotePort);
      request.resume().on('end', () => response.end());
    });
    await http({ method: 'POST', url, body: '{}', timeoutMs: 1_000 });
    await http({ method: 'POST', url, body: '{}', timeoutMs: 1_000 });
    expect(ports[0]).toBe(ports[1]);
  });

  test('without an answer in time it throws an error that contains nothing of the request', async () => {
    let asked: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { http, url, clock } = await serve(() => asked());
    const headers = { authorization: 'Bearer secret' };
    const answer = http({ method: 'POST', url, headers, body: 'sdp', timeoutMs: 1_000 }).catch((e: unknown) => e);
    await arrived;
    await clock.advance(1_000);
    const error = (await answer) as Error;
    expect(error.message).toBe(`${new URL(url).host}: no answer within 1000 ms`);
    expect(`${error.stack}${JSON.stringify(error)}`).not.toMatch(/secret|sdp/);
  });

  test('an incomplete answer counts as no answer', async () => {
    const { http, url } = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.socket?.destroy());
    });
    await expect(http({ method: 'GET', url, timeoutMs: 1_000 })).rejects.toMatchObject({ name: 'HttpError' });
  });

  test('a 101 answer counts as no answer', async () => {
    const { http, url, server } = await serve(() => undefined);
    server.on('request', (request) =>
      request.socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    );
    await expect(http({ method: 'GET', url, timeoutMs: 1_000 })).rejects.toThrow('CLOSED_WITHOUT_ANSWER');
  });

  test('the caller can abort a request', async () => {
    const giveUp = new AbortController();
    const { http, url } = await serve(() => giveUp.abort());
    await expect(http({ method: 'GET', url, timeoutMs: 1_000, signal: giveUp.signal })).rejects.toThrow('ABORT_ERR');
  });

  test('an answer above its size limit is not read to the end', async () => {
    const { http, url } = await serve((_request, response) => response.end('x'.repeat(100)));
    await expect(http({ method: 'GET', url, timeoutMs: 1_000, maxBytes: 99 })).rejects.toThrow('ANSWER_TOO_LARGE');
    expect((await http({ method: 'GET', url, timeoutMs: 1_000, maxBytes: 100 })).body).toHaveLength(100);
  });

  test('an unreachable host and an invalid header give errors with a code', async () => {
    const { http, url, server } = await serve((_request, response) => response.end());
    const wrong = { method: 'GET' as const, url, headers: { 'x-y': 'a\nb' }, timeoutMs: 1_000 };
    await expect(http(wrong)).rejects.toThrow('ERR_INVALID_CHAR');
    await new Promise((resolve) => server.close(resolve));
    await expect(http({ method: 'GET', url, timeoutMs: 1_000 })).rejects.toThrow('ECONNREFUSED');
  });

  test('uses TLS for an https URL', async () => {
    const { http, url } = await serve((_request, response) => response.end());
    await expect(http({ method: 'GET', url: url.replace('http:', 'https:'), timeoutMs: 1_000 })).rejects.toThrow(
      /WRONG_VERSION_NUMBER|EPROTO/,
    );
  });

  test('connects to a unix socket instead of the host', async () => {
    const { http, url } = await serve(
      (request, response) => response.end(request.url),
      path.join(tmpdir(), `gr-${newId().slice(0, 8)}.sock`),
    );
    expect((await http({ method: 'GET', url: `${url}/v1/tokens`, timeoutMs: 1_000 })).body).toBe('/v1/tokens');
  });
});
