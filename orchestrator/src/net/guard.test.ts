import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createGuard } from './guard.ts';
import type { Resolve } from './resolve.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(handler: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(handler);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const names = (table: Record<string, string[]>): Resolve => {
  return async (host) => {
    const found = table[host];
    if (!found) throw new Error('ENOTFOUND');
    return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
};
const message = { headers: { 'content-type': 'application/json' }, body: '{}', limitMs: 5_000 };

describe('the guard without an allowance', () => {
  const guard = createGuard({
    resolve: names({
      'hooks.example.com': ['93.184.216.34'],
      'rebind.example.com': ['93.184.216.34', '127.0.0.1'],
      'sixpn.example.com': ['fdaa:0:1::3'],
      'metadata.example.com': ['169.254.169.254'],
      'mapped.example.com': ['::ffff:10.0.0.1'],
    }),
  });

  test('lets a public name over https through, with the address it will use', async () => {
    expect(await guard.check('https://hooks.example.com/in?x=1')).toMatchObject({
      kind: 'allowed',
      address: '93.184.216.34',
    });
  });

  test.each([
    ['http://hooks.example.com/', 'https is required'],
    ['https://rebind.example.com/', 'not a public address'],
    ['https://sixpn.example.com/', 'not a public address'],
    ['https://metadata.example.com/', 'not a public address'],
    ['https://mapped.example.com/', 'not a public address'],
    ['https://unknown.example.com/', 'cannot be resolved'],
    ['https://127.0.0.1/', 'not a public address'],
    ['https://2130706433/', 'not a public address'],
    ['https://0x7f.1/', 'not a public address'],
    ['https://0177.0.0.1/', 'not a public address'],
    ['https://127.1/', 'not a public address'],
    ['https://[::1]/', 'not a public address'],
    ['https://[::ffff:127.0.0.1]/', 'not a public address'],
    ['https://[fdaa::3]/', 'not a public address'],
    ['https://[fe80::1%25eth0]/', 'not a URL'],
    ['https://localhost/', 'not a public name'],
    ['https://localhost./', 'not a public name'],
    ['https://app.internal/', 'not a public name'],
    ['https://APP.FLYCAST/', 'not a public name'],
    ['https://intranet/', 'not a public name'],
    ['https://①②⑦.0.0.1/', 'not a public address'],
    ['https://user:secret@hooks.example.com/', 'credentials'],
    ['ftp://hooks.example.com/', 'only http'],
    ['file:///etc/passwd', 'only http'],
    ['javascript:alert(1)', 'only http'],
    ['hooks.example.com', 'not a URL'],
    ['', 'not a URL'],
  ])('%s is refused: %s', async (url, why) => {
    const judged = await guard.check(url);
    expect(judged).toMatchObject({ kind: 'refused', why: expect.stringContaining(why) });
  });

  test('property: whatever a name resolves to, one address that is not public spoils it', async () => {
    const bad = fc.constantFrom(
      '10.0.0.1',
      '127.0.0.1',
      '::1',
      'fdaa::3',
      '169.254.169.254',
      '100.64.0.1',
      '::ffff:1.1.1.1',
    );
    const good = fc.array(fc.constantFrom('93.184.216.34', '2606:4700::1111'), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(good, bad, good, async (before, one, after) => {
        const judged = await createGuard({ resolve: names({ 'x.example': [...before, one, ...after] }) }).check(
          'https://x.example/',
        );
        return judged.kind === 'refused';
      }),
    );
  });
});

describe('the guard with an allowance', () => {
  const allow = ['127.0.0.0/8'];

  test('resolves once, and connects to the address it has checked', async () => {
    const seen: string[] = [];
    const port = await serve((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`);
      response.end('thanks');
    });
    let asked = 0;
    const resolve: Resolve = async () => {
      asked += 1;
      // A rebinding name server: the first answer is harmless, the next would not be.
      return [{ address: asked === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }];
    };
    const guard = createGuard({ allow, resolve });
    const answer = await guard.post(`http://hooks.test:${port}/in?a=1`, message);
    expect(answer).toMatchObject({ kind: 'answered', status: 200, head: 'thanks' });
    expect(seen).toEqual([`POST /in?a=1 hooks.test:${port}`]);
    expect(asked).toBe(1);
  });

  test('still refuses what is neither public nor allowed', async () => {
    const guard = createGuard({ allow, resolve: names({ 'a.test': ['127.0.0.1', '10.0.0.1'] }) });
    expect(await guard.post('http://a.test/', message)).toMatchObject({ kind: 'refused' });
    expect(await guard.post('http://10.0.0.1/', message)).toMatchObject({ kind: 'refused' });
  });

  test('returns the first 500 characters of an answer as text that every database and terminal takes', async () => {
    const port = await serve((_request, response) => {
      response.end(
        Buffer.concat([Buffer.from('a\u0000b\u001b[2J '), Buffer.from([0xff]), Buffer.from('🙂'.repeat(900))]),
      );
    });
    const answer = await createGuard({ allow }).post(`http://127.0.0.1:${port}/`, message);
    const head = answer.kind === 'answered' ? answer.head : '';
    expect(head).toMatch(/^a b \[2J \ufffd🙂/u);
    expect(head.length).toBeLessThanOrEqual(500);
    expect(head.isWellFormed()).toBe(true);
  });

  test('does not follow a redirect', async () => {
    let followed = 0;
    const port = await serve((request, response) => {
      if (request.url === '/next') followed += 1;
      response.writeHead(302, { location: '/next' }).end();
    });
    expect(await createGuard({ allow }).post(`http://127.0.0.1:${port}/`, message)).toMatchObject({ status: 302 });
    expect(followed).toBe(0);
  });

  test('a name server that never answers ends with the limit: it held up the deliveries of every tenant', async () => {
    const guard = createGuard({ allow: ['127.0.0.0/8'], resolve: () => new Promise(() => undefined) });
    const answer = guard.post('https://hooks.example.com/', { headers: {}, body: '{}', limitMs: 50 });
    expect(await answer).toEqual({ kind: 'failed', why: 'no answer in time' });
  });

  test('an endless answer is cut, a silent one ends in time, a closed port says so', async () => {
    const endless = await serve((_request, response) => {
      const write = () => {
        while (response.write('x'.repeat(16_384)));
      };
      response.on('drain', write);
      response.on('error', () => undefined);
      write();
    });
    const silent = await serve(() => undefined);
    const guard = createGuard({ allow });
    expect(await guard.post(`http://127.0.0.1:${endless}/`, message)).toMatchObject({ kind: 'answered' });
    expect(await guard.post(`http://127.0.0.1:${silent}/`, { ...message, limitMs: 50 })).toEqual({
      kind: 'failed',
      why: 'no answer in time',
    });
    expect(await guard.post('http://127.0.0.1:1/', message)).toEqual({ kind: 'failed', why: 'ECONNREFUSED' });
  });
});
