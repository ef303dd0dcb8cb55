import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Supabase } from './supabase.ts';
import { keyClient, startTestProject, tokenClient } from './test-project.ts';
import { createTokens } from './tokens.ts';

let supabase: Supabase;
let productKey: CryptoKey;
let productJwk: JWK;

beforeAll(async () => {
  const pair = await generateKeyPair('ES256', { extractable: true });
  productKey = pair.privateKey;
  productJwk = { ...(await exportJWK(pair.publicKey)), kid: 'product', alg: 'ES256' };
  supabase = await startTestProject({ signingKeys: [productJwk] });
}, 60_000);

afterEach(() => supabase.faults.clear());
afterAll(() => supabase?.stop());

const call = (path: string, headers: Record<string, string>, init: RequestInit = {}) =>
  fetch(`${supabase.url}${path}`, { ...init, headers });
const whoami = (headers: Record<string, string>) => call('/rest/v1/rpc/whoami', headers, { method: 'POST' });

const signed = (claims: Record<string, unknown>, key = productKey, kid = 'product') =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid })
    .setAudience((claims.aud as string) ?? 'authenticated')
    .setExpirationTime('5m')
    .sign(key);

describe('API keys', () => {
  test('a request without one is refused, and so is a wrong one', async () => {
    const none = await whoami({});
    expect([none.status, await none.json()]).toMatchObject([401, { message: 'No API key found in request' }]);
    const wrong = await whoami({ apikey: 'sb_publishable_wrong' });
    expect([wrong.status, await wrong.json()]).toMatchObject([401, { message: 'Invalid API key' }]);
  });

  test('each key alone gives a role, as a header or in the query', async () => {
    expect(await (await whoami({ apikey: supabase.publishableKey })).json()).toMatchObject({ role: 'anon' });
    expect(await (await whoami({ apikey: supabase.secretKey })).json()).toMatchObject({ role: 'service_role' });
    const inQuery = await call(`/rest/v1/rpc/add?a=1&apikey=${supabase.publishableKey}&b=2`, {});
    expect(await inQuery.json()).toBe(3);
  });

  test('refuses the secret key when a browser sends it', async () => {
    const answer = await whoami({ apikey: supabase.secretKey, 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' });
    expect(answer.status).toBe(401);
  });

  test('another API key is not accepted as a token', async () => {
    const answer = await whoami({ apikey: supabase.publishableKey, authorization: `Bearer ${supabase.secretKey}` });
    expect(answer.status).toBe(401);
  });

  test('the key set is public, has no private part, and contains the imported key', async () => {
    const answer = await call('/auth/v1/.well-known/jwks.json', {});
    const { keys } = (await answer.json()) as { keys: JWK[] };
    expect(keys.map(({ kid }) => kid)).toEqual([expect.any(String), 'product']);
    for (const key of keys) expect(key).not.toHaveProperty('d');
    expect(supabase.jwks.keys).toEqual(keys);
  });
});

describe('tokens', () => {
  const status = async (token: string) => (await tokenClient(supabase, token).rpc('whoami')).status;

  test('the product’s own key mints any role that authenticator may take', async () => {
    const clerk = await tokenClient(supabase, await signed({ role: 'clerk', act_for: 'x' })).rpc('whoami');
    expect(clerk.data).toMatchObject({ role: 'clerk', claims: { act_for: 'x' } });
  });

  test('an expired one is refused, before and after it was good', async () => {
    expect(await status(await supabase.mint({}, { expiresInS: -300 }))).toBe(401);
    expect(await status(await supabase.mint({}, { expiresInS: 300 }))).toBe(200);
  });

  test('forged ones are refused: wrong key, changed claims, no signature, a published key as HMAC secret', async () => {
    const good = await supabase.mint({ role: 'clerk' });
    const [header, , signature] = good.split('.');
    const claims = Buffer.from(JSON.stringify({ role: 'service_role', aud: 'authenticated' })).toString('base64url');
    const stranger = (await generateKeyPair('ES256')).privateKey;
    const hmac = new SignJWT({ role: 'service_role' }).setProtectedHeader({ alg: 'HS256', kid: 'product' });
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const forged of [
      await signed({ role: 'service_role' }, stranger),
      `${header}.${claims}.${signature}`,
      `${none}.${claims}.`,
      await hmac.sign(new TextEncoder().encode(JSON.stringify(productJwk))),
    ]) {
      expect(await status(forged)).toBe(401);
    }
  });

  test('one for another audience is refused', async () => {
    expect(await status(await signed({ role: 'clerk', aud: 'somebody-else' }))).toBe(401);
  });

  test('a role that authenticator was not granted is refused', async () => {
    expect(await status(await supabase.mint({ role: 'postgres' }))).toBeGreaterThanOrEqual(400);
    expect(await status(await supabase.mint({ role: 'supabase_admin' }))).toBeGreaterThanOrEqual(400);
  });

  test('a key of the auth service of another project is refused', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const other = await createTokens({ ...(await exportJWK(privateKey)), kid: 'other' }, supabase.issuer);
    expect(await status(await other.mint({}))).toBe(401);
  });
});

describe('refusals carry the codes of the PostgREST that hosted projects run', () => {
  test.each<[what: string, token: () => Promise<string>, code: string]>([
    ['an expired token', () => supabase.mint({}, { expiresInS: -300 }), 'PGRST303'],
    ['a wrong audience', () => signed({ role: 'clerk', aud: 'somebody-else' }), 'PGRST303'],
    ['a wrong signature', async () => `${await signed({ role: 'clerk' })}A`, 'PGRST301'],
    ['a good signature under a kid that names no key', () => signed({ role: 'clerk' }, productKey, 'x'), 'PGRST301'],
  ])('%s', async (_what, token, code) => {
    const { status, error } = await tokenClient(supabase, await token()).rpc('whoami');
    expect([status, error?.code]).toEqual([401, code]);
  });
});

describe('faults and outages', () => {
  const add = () => keyClient(supabase, supabase.secretKey).rpc('add', { a: 1, b: 2 });
  const jobs = async () => {
    const { count } = await keyClient(supabase, supabase.secretKey)
      .from('jobs')
      .select('*', { count: 'exact', head: true });
    return count ?? 0;
  };
  const insertJob = () =>
    fetch(`${supabase.url}/rest/v1/jobs`, {
      method: 'POST',
      headers: { apikey: supabase.secretKey, 'content-type': 'application/json' },
      body: '{"holder":"x"}',
    });

  test('an injected status is answered once, for its path', async () => {
    supabase.faults.add({ on: 'supabase.rest', match: { path: '/rpc/add' }, action: { kind: 'status', status: 429 } });
    expect((await keyClient(supabase, supabase.secretKey).rpc('whoami')).status).toBe(200);
    expect((await add()).status).toBe(429);
    expect((await add()).data).toBe(3);
  });

  test('a lost reply leaves its side effect, a dropped request does not', async () => {
    const before = await jobs();
    supabase.faults.add({ on: 'supabase.rest', action: { kind: 'drop_after' } });
    await expect(insertJob()).rejects.toThrow();
    expect(await jobs()).toBe(before + 1);
    supabase.faults.add({ on: 'supabase.rest', action: { kind: 'drop_before' } });
    await expect(insertJob()).rejects.toThrow();
    expect(await jobs()).toBe(before + 1);
  });

  test('without PostgREST the answer is 502, and it works again afterwards', async () => {
    await supabase.postgrest.stop();
    expect((await add()).status).toBe(502);
    expect(await supabase.health()).toEqual({ ok: false, postgres: 'up', postgrest: 'down' });
    await supabase.postgrest.start();
    expect((await add()).data).toBe(3);
  });
});

describe('the rest', () => {
  test('a browser’s preflight is allowed, and answers may be read from any origin', async () => {
    const asked = 'authorization,apikey,content-profile';
    const preflight = await call(
      '/rest/v1/lists',
      { origin: 'http://x', 'access-control-request-headers': asked },
      { method: 'OPTIONS' },
    );
    expect(preflight.status).toBe(200);
    expect(preflight.headers.get('access-control-allow-headers')).toBe(asked);
    const read = await whoami({ apikey: supabase.publishableKey, origin: 'http://x' });
    expect(read.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('an edge function is reached by its own name only, and checks keys itself', async () => {
    expect((await call('/functions/v1/hello', {})).status).toBe(404);
    const server = createServer((request, response) => response.end(`${request.url} ${request.headers.authorization}`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    supabase.routeFunction('hello', { port, verifyJwt: false });
    const answer = await call('/functions/v1/hello?x=1', { authorization: 'Bearer mine' });
    expect(await answer.text()).toBe('/hello?x=1 Bearer mine');
    for (const other of ['/functions/v1/other', '/functions/v1/hello2', '/functions/v1/']) {
      const missing = await call(other, {});
      expect([missing.status, await missing.json()]).toMatchObject([404, { code: 'NOT_FOUND' }]);
    }
    // The default: a valid token of the project, or the function is not called.
    supabase.routeFunction('guarded', { port });
    const guarded = async (headers: Record<string, string>) => (await call('/functions/v1/guarded', headers)).status;
    expect(await guarded({})).toBe(401);
    expect(await guarded({ authorization: 'Bearer mine' })).toBe(401);
    expect(await guarded({ authorization: `Bearer ${await supabase.mint({}, { expiresInS: -5 })}` })).toBe(401);
    expect(await guarded({ authorization: `Bearer ${await supabase.mint({ sub: crypto.randomUUID() })}` })).toBe(200);
    server.close();
    server.closeAllConnections();
  });

  test('a body of several megabytes passes both ways', async () => {
    const label = 'x'.repeat(3_000_000);
    const service = keyClient(supabase, supabase.secretKey);
    const list = await service.from('lists').insert({ name: 'big', owner: crypto.randomUUID() }).select('id').single();
    const item = await service
      .from('items')
      .insert({ list_id: list.data?.id, label: 'big', meta: { label } })
      .select('meta')
      .single();
    expect(item.data?.meta.label).toBe(label);
  });
});
