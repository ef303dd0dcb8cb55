import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { makeEnvironment } from '../../src/testing.ts';
import type { Context } from './check.ts';
import { joinKeys, judgeCredentialsKey, judgeJoinKeys } from './key-rotation.ts';
import { headerProblems, securityHeaders } from './security-headers.ts';
import { accepts, plainHttp, tlsVersions } from './tls.ts';

const cleanups: Array<() => void> = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const good = {
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/** A context whose public address is a server of this test. */
async function contextOf(answer: (path: string, response: ServerResponse) => void): Promise<Context> {
  const server = createServer((request, response) => answer(request.url ?? '', response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const PUBLIC_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = readConfig({ ...(await makeEnvironment()), PUBLIC_URL });
  return { config, environment: {}, home: '', now: () => 0 };
}

describe('security headers', () => {
  test('each missing or wrong header is named', () => {
    expect(headerProblems(new Headers(good), true)).toEqual([]);
    const { 'strict-transport-security': _, ...withoutHsts } = good;
    expect(headerProblems(new Headers(withoutHsts), false)).toEqual([]);
    const wrong = { 'strict-transport-security': 'max-age=60', 'x-powered-by': 'x' };
    expect(headerProblems(new Headers(wrong), true)).toHaveLength(5);
  });

  test('are read from the public address itself', async () => {
    const fine = await contextOf((_path, response) => response.writeHead(200, good).end('{}'));
    expect((await securityHeaders.run(fine)).status).toBe('ok');
    const stripped = await contextOf((_path, response) => response.writeHead(200).end('{}'));
    expect(await securityHeaders.run(stripped)).toMatchObject({ status: 'fail', detail: /nosniff/ });
  });
});

describe('TLS', () => {
  test('an old version is offered as an old client does: a server that speaks it understands the offer', async () => {
    // This server has no certificate. So it ends the handshake for want of a cipher in common, but only after it has agreed to the version.
    const server = createTlsServer({
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ADH-AES128-SHA:@SECLEVEL=0',
    });
    const codes: unknown[] = [];
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => codes.push(error.code));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    expect(await accepts('127.0.0.1', (server.address() as AddressInfo).port, 'TLSv1.1')).toBe(false);
    await expect.poll(() => codes).toEqual(['ERR_SSL_NO_SHARED_CIPHER']);
  });

  test('an address on this machine without TLS is not judged', async () => {
    const local = await contextOf((_path, response) => response.end());
    expect((await tlsVersions.run(local)).status).toBe('unknown');
    expect((await plainHttp.run(local)).status).toBe('unknown');
  });
});

describe('rotation of keys', () => {
  test.each<[what: string, configured: string[], served: Array<{ kid: string; d?: unknown }>, status: string]>([
    ['one key, known', ['a'], [{ kid: 'a' }], 'ok'],
    ['two keys, both known', ['a', 'b'], [{ kid: 'a' }, { kid: 'b' }], 'warn'],
    ['a key that is not deployed yet', ['a', 'b'], [{ kid: 'a' }], 'fail'],
    ['a key that was removed and is still known', ['a'], [{ kid: 'a' }, { kid: 'b' }], 'warn'],
    ['a published private key', ['a'], [{ kid: 'a', d: 'secret' }], 'fail'],
  ])('join keys: %s', (_what, configured, served, status) => {
    const result = judgeJoinKeys(
      configured,
      served.map(({ kid, d }) => ({ kid, d })),
    );
    expect(result.status).toBe(status);
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('join keys are read from the public address itself', async () => {
    const shown = { keys: [] as Array<{ kid: string }> };
    const context = await contextOf((_path, response) => response.end(JSON.stringify(shown)));
    expect((await joinKeys.run(context)).status).toBe('fail');
    shown.keys = context.config.keys.join.map(({ kid }) => ({ kid: kid as string }));
    expect((await joinKeys.run(context)).status).toBe('ok');
  });

  test.each<[what: string, left: number, hasPrevious: boolean, status: string]>([
    ['nothing left', 0, false, 'ok'],
    ['nothing left, the key before still set', 0, true, 'warn'],
    ['under way', 3, true, 'warn'],
    ['under a key that is gone', 3, false, 'fail'],
  ])('credentials key: %s', (_what, left, hasPrevious, status) => {
    expect(judgeCredentialsKey(left, hasPrevious).status).toBe(status);
  });
});
