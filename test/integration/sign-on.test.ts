import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildOpsApp } from '../../orchestrator/src/ops-app.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { type SignOnProvider, startSignOnProvider } from '../support/sign-on-provider.ts';

/** Operators sign in to the dashboard with a provider of OpenID Connect: `oidc-provider` from npm. */
let provider: SignOnProvider;
let world: ApiWorld;
let url: string;
let close: () => void;

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  provider = await startSignOnProvider(() => `${url}/ops/api/sign-in/oidc/callback`);
  world = await startApiWorld({
    OPERATOR_OIDC_ISSUER: provider.issuer,
    OPERATOR_OIDC_CLIENT_ID: provider.clientId,
    OPERATOR_OIDC_CLIENT_SECRET: provider.clientSecret,
    OPERATOR_OIDC_ROLES: 'on-call:operator,team:leads:admin,everybody:viewer',
    OPS_URL: url,
  });
  const server = createServer((await buildOpsApp(world.deps)).routing);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  expect((server.address() as AddressInfo).port).toBe(port);
  close = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterAll(async () => {
  close?.();
  provider?.stop();
  await world?.stop();
});
beforeEach(() => {
  Object.assign(provider, { groups: ['on-call'], accessTokenS: 3_600, forged: {}, wrongKey: false });
});

/** A browser's cookies, for both hosts: they differ by their names. */
function newBrowser() {
  const cookies = new Map<string, string>();
  const open = async (at: string): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  /** Follows redirects. @returns where they end, below the dashboard */
  const follow = async (at: string): Promise<string> => {
    for (let next = at, hops = 0; hops < 12; hops += 1) {
      const answer = await open(next);
      const to = answer.headers.get('location');
      if (to === null) return `HTTP ${answer.status} ${await answer.text()}`;
      next = new URL(to, next).href;
      if (next.startsWith(`${url}/?`) || next === `${url}/`) return next.slice(url.length);
    }
    throw new Error('too many redirects');
  };
  const signIn = () => follow(`${url}/ops/api/sign-in/oidc`);
  const me = async () => {
    const answer = await open(`${url}/ops/api/me`);
    return {
      status: answer.status,
      json: (await answer.json()) as Record<'name' | 'role' | 'code' | 'detail', string>,
    };
  };
  return { cookies, open, follow, signIn, me };
}

test('an operator signs in; the group gives the role, and the act is audited under the name', async () => {
  const browser = newBrowser();
  expect(await (await browser.open(`${url}/ops/api/sign-in/ways`)).json()).toEqual({ token: true, oidc: true });
  expect(await browser.signIn()).toBe('/');
  expect((await browser.me()).json).toMatchObject({ name: 'kim', role: 'operator' });
  const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
  const drain = await fetch(`${url}/ops/api/regions/nrt`, {
    ...{ method: 'PUT', body: JSON.stringify({ state: 'drained', why: 'a test of sign-in' }) },
    headers: { cookie, 'content-type': 'application/json', 'greenroom-dashboard': '1' },
  });
  expect(drain.status).toBe(200);
  const { rows } = await world.db.query(`select actor from public.audit_log where action = 'region.drain'`);
  expect(rows).toEqual([{ actor: 'operator:kim' }]);
});

test('of several groups the highest role counts, and a group may contain a colon', async () => {
  provider.groups = ['everybody', 'team:leads', 'on-call'];
  const browser = newBrowser();
  await browser.signIn();
  expect((await browser.me()).json.role).toBe('admin');
});

test('a person without a group that has a role is not signed in', async () => {
  provider.groups = ['marketing'];
  const browser = newBrowser();
  expect(await browser.signIn()).toBe('/?sign_in=forbidden');
  expect((await browser.me()).status).toBe(401);
});

test.each<[string, Record<string, unknown>]>([
  ['another audience', { aud: 'another client' }],
  ['two audiences, issued to the other', { aud: ['greenroom', 'other'], azp: 'other' }],
  ['another issuer', { iss: 'http://127.0.0.1:1' }],
  ['an expiry in the past', { exp: Math.floor(Date.now() / 1_000) - 60 }],
  ['another nonce', { nonce: 'of another sign-in' }],
  ['another person', { sub: 'lee' }],
])('an ID token with %s is refused', async (_what, forged) => {
  provider.forged = forged;
  const browser = newBrowser();
  expect(await browser.signIn()).toBe('/?sign_in=unauthenticated');
  expect((await browser.me()).status).toBe(401);
});

test('an ID token that another key signed is refused', async () => {
  provider.wrongKey = true;
  expect(await newBrowser().signIn()).toBe('/?sign_in=unauthenticated');
});

test('an answer of the provider is accepted only in the browser whose sign-in it belongs to', async () => {
  const [own, other] = [newBrowser(), newBrowser()];
  const begun = await own.open(`${url}/ops/api/sign-in/oidc`);
  await other.open(`${url}/ops/api/sign-in/oidc`);
  let callback = begun.headers.get('location') as string;
  while (!callback.startsWith(`${url}/`))
    callback = new URL((await own.open(callback)).headers.get('location') as string, provider.issuer).href;
  expect(await other.follow(callback)).toBe('/?sign_in=unauthenticated');
  expect(await newBrowser().follow(callback)).toBe('/?sign_in=unauthenticated');
  expect(await own.follow(callback)).toBe('/');
  expect(await own.follow(callback)).toBe('/?sign_in=unauthenticated');
});

test('a sign-in ends with its access token', async () => {
  provider.accessTokenS = 3;
  const browser = newBrowser();
  expect(await browser.signIn()).toBe('/');
  expect((await browser.me()).status).toBe(200);
  await expect.poll(async () => (await browser.me()).status).toBe(401);
  expect((await browser.me()).json.detail).toBe('Your sign-in has expired. Sign in again.');
});

test('an operator whose group is removed is signed out, and an open stream ends', async () => {
  const browser = newBrowser();
  await browser.signIn();
  const stream = await browser.open(`${url}/ops/api/stream?topics=overview`);
  const read = stream.text();
  provider.groups = [];
  await expect.poll(async () => (await browser.me()).status).toBe(401);
  expect(await read).toContain('"why":"signed_out"');
  expect((await browser.me()).json.detail).toContain('Your organisation no longer gives you a role here.');
});

test('an operator who is moved to another group gets its role without a new sign-in', async () => {
  const browser = newBrowser();
  await browser.signIn();
  provider.groups = ['everybody'];
  await expect.poll(async () => (await browser.me()).json.role).toBe('viewer');
});

test('a sign-in after the provider has rotated its key succeeds', async () => {
  expect(await newBrowser().signIn()).toBe('/');
  await provider.rotate();
  const browser = newBrowser();
  expect(await browser.signIn()).toBe('/');
  expect((await browser.me()).status).toBe(200);
});

test('a provider that is away leads back to the dashboard, and who is signed in stays so for now', async () => {
  const browser = newBrowser();
  await browser.signIn();
  expect((await browser.me()).status).toBe(200);
  provider.stop();
  expect((await browser.me()).status).toBe(200);
  // The provider's addresses are known, so the browser is sent there; coming back without an answer is refused.
  expect(await newBrowser().follow(`${url}/ops/api/sign-in/oidc/callback?error=server_error`)).toBe(
    '/?sign_in=unauthenticated',
  );
});
