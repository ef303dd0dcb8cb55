import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { afterEach, describe, expect, test } from 'vitest';
import { createVideoBudgets } from './budgets.ts';
import { createVideoClient } from './client.ts';

const closing: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A client of a server that gives this answer to every request. */
async function behind(status: number, body: unknown) {
  const server = createServer((request, response) => {
    request.resume();
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? undefined : text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createVideoClient({ url, apiKey: 'k', requestMs: 2_000, draw: async () => 0, logger: silentLogger() });
  closing.push(client.close, () => server.close());
  return client;
}

const encoding = { playable: false, qualities: [] };

describe('whether anything was uploaded', () => {
  test.each([
    [{ status: 'missing', filesize: null, receivedBytes: [] }, false],
    [{ status: null, filesize: null }, false],
    [null, false],
    [{ status: 'uploading', filesize: 100 }, true],
    [{ status: 'missing', filesize: 100 }, true],
    [{ status: 'ingested_with_error', filesize: null }, true],
    [{ status: 'an unknown status', filesize: null }, true],
  ])('the ingest state %j means uploaded: %s', async (ingest, uploaded) => {
    const client = await behind(200, { ingest, encoding });
    expect(await client.status('v')).toMatchObject({ kind: 'done', value: { uploaded, playable: false } });
  });
});

describe('an answer that api.video did not write counts as unavailable', () => {
  // Each of these answers once caused a recording to be deleted or given up.
  test.each([
    [200, ''],
    [200, {}],
    [200, '<html>ok</html>'],
    [200, { status: 'ok' }],
    [404, '<html>not found</html>'],
    [404, ''],
    [403, '<html>blocked</html>'],
    [400, { message: 'bad gateway' }],
  ])('status %i with body %j, which api.video does not send, counts as unavailable', async (status, body) => {
    const client = await behind(status, body);
    const asked = [client.status('v'), client.createVideo('s', 1), client.createToken(1_000), client.deleteVideo('v')];
    for (const answer of [...asked, client.findVideo('s', 1), client.deleteToken('t'), client.watchUrl('v')])
      expect(await answer).toEqual({ kind: 'unavailable' });
  });

  test('answers of api.video itself are believed: 204 for a deletion, a problem document for a refusal', async () => {
    expect(await (await behind(204, '')).deleteVideo('v')).toMatchObject({ kind: 'done' });
    const problem = (status: number) => ({ type: 'https://docs.api.video/reference/x', title: 'No.', status });
    expect(await (await behind(404, problem(404))).status('v')).toEqual({ kind: 'gone' });
    expect(await (await behind(401, problem(401))).status('v')).toEqual({ kind: 'authFailed' });
    expect(await (await behind(400, problem(400))).createVideo('s', 1)).toEqual({ kind: 'rejected' });
  });
});

describe('rate limits', () => {
  const { of } = createVideoBudgets('https://ws.api.video');
  const perMinute = (purpose: 'writes' | 'reads' | 'watching', tenantId?: string) =>
    Object.fromEntries(of(purpose, tenantId).map((limit) => [limit.scope, limit.perMinute]));

  test('one tenant gets a part of the limit, and all tenants together less than api.video allows', () => {
    expect(perMinute('writes', 't')).toEqual({ 'api.video:writes:t': 90, 'api.video:writes': 180 });
    expect(perMinute('watching', 't')).toEqual({
      'api.video:watching:t': 90,
      'api.video:watching': 180,
      'api.video:reads': 450,
    });
    expect(perMinute('reads')).toEqual({ 'api.video:reads': 450 });
  });

  test('the sandbox has a lower limit', () => {
    const sandbox = createVideoBudgets('https://sandbox.api.video');
    expect(sandbox.of('writes').map((limit) => limit.perMinute)).toEqual([36]);
  });
});
