import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { decodeJwt, decodeProtectedHeader, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { machineId, makeSigningKey, sessionId, tenantId } from '../testing.ts';
import { createBrowserTokens } from './browser-tokens.ts';
import { createDatabaseTokens } from './database-tokens.ts';
import { createKeyRing, type KeyRing } from './keys.ts';
import { createVault } from './vault.ts';

const issuer = 'https://interviews.example.com';
const ids = { session_id: sessionId, tenant_id: tenantId };
let keys: KeyRing;
let foreign: KeyRing;

beforeAll(async () => {
  keys = await createKeyRing([await makeSigningKey('new'), await makeSigningKey('old')]);
  foreign = await createKeyRing([await makeSigningKey('new')]);
});

function makeTokens(ring = keys, from = issuer) {
  const clock = createFakeClock();
  return { clock, tokens: createBrowserTokens({ keys: ring, issuer: from, clock, deadlines: defaultDeadlines }) };
}

describe('browser tokens', () => {
  test('join and reconnect tokens are accepted and name their session', async () => {
    const { tokens } = makeTokens();
    for (const token of [await tokens.mintJoin(ids), await tokens.mintReconnect(ids, 60_000)])
      expect(await tokens.verify(token)).toMatchObject({ kind: 'good', claims: ids });
  });

  test('a token names key, issuer, audience and expiry', async () => {
    const { tokens, clock } = makeTokens();
    const token = await tokens.mintJoin(ids);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES256', kid: 'new' });
    const exp = Math.floor(clock.now() / 1_000) + defaultDeadlines.joinTokenMs / 1_000;
    expect(decodeJwt(token)).toMatchObject({ iss: issuer, aud: audiences.join, exp });
  });

  test('an expired token is refused', async () => {
    const { tokens, clock } = makeTokens();
    const token = await tokens.mintJoin(ids);
    await clock.advance(defaultDeadlines.joinTokenMs + 1_000);
    expect(await tokens.verify(token)).toEqual({ kind: 'bad', why: 'ERR_JWT_EXPIRED' });
  });

  test('a key that was rotated out of signing still verifies', async () => {
    const old = await createKeyRing([await makeSigningKey('other')]);
    const { tokens } = makeTokens(old);
    const ring: KeyRing = { ...keys, find: (kid) => keys.find(kid) ?? old.find(kid) };
    expect(await makeTokens(ring).tokens.verify(await tokens.mintJoin(ids))).toMatchObject({ kind: 'good' });
  });

  const forgeries: Array<[string, () => Promise<string> | string]> = [
    ['signed with another key under our kid', () => makeTokens(foreign).tokens.mintJoin(ids)],
    ['of another issuer', () => makeTokens(keys, 'https://elsewhere.example.com').tokens.mintJoin(ids)],
    ['for another audience', () => makeTokens().tokens.mintReplay(ids, 1)],
    [
      'with algorithm none',
      () =>
        new UnsecuredJWT({ ...ids, iat: 1, exp: 9_999_999_999 }).setIssuer(issuer).setAudience(audiences.join).encode(),
    ],
    [
      'signed symmetrically with our public key',
      () =>
        new SignJWT({ ...ids, exp: 9_999_999_999, iat: 1 })
          .setProtectedHeader({ alg: 'HS256', kid: 'new' })
          .setIssuer(issuer)
          .setAudience(audiences.join)
          .sign(new TextEncoder().encode(JSON.stringify(keys.signing.publicJwk))),
    ],
    [
      'without an expiry',
      () =>
        new SignJWT({ ...ids, iat: 1 })
          .setProtectedHeader({ alg: 'ES256', kid: 'new' })
          .setIssuer(issuer)
          .setAudience(audiences.join)
          .sign(keys.signing.privateKey),
    ],
    [
      'without a session',
      () =>
        new SignJWT({ iat: 1, exp: 9_999_999_999 })
          .setProtectedHeader({ alg: 'ES256', kid: 'new' })
          .setIssuer(issuer)
          .setAudience(audiences.join)
          .sign(keys.signing.privateKey),
    ],
    ['that is none', () => 'not.a.token'],
    [
      'that was tampered with',
      async () => (await makeTokens().tokens.mintJoin(ids)).replace(/\.(.)/, (_, c) => `.${c === 'A' ? 'B' : 'A'}`),
    ],
  ];
  test.each(forgeries)('a token %s is refused', async (_what, forge) => {
    expect(await makeTokens().tokens.verify(await forge())).toMatchObject({ kind: 'bad' });
  });

  test('the published keys hold nothing private', () => {
    expect(keys.jwks.keys.map((key) => key.kid)).toEqual(['new', 'old']);
    for (const key of keys.jwks.keys) expect(Object.keys(key)).not.toContain('d');
  });
});

describe('database tokens', () => {
  const make = () => {
    const clock = createFakeClock();
    return { clock, tokens: createDatabaseTokens({ keys, issuer, clock, workerTokenMs: 60_000 }) };
  };

  test("the orchestrator's own token is kept, and renewed before it expires", async () => {
    const { clock, tokens } = make();
    const first = await tokens.own();
    expect(await tokens.own()).toBe(first);
    expect(decodeJwt(first)).toMatchObject({ role: 'orchestrator', aud: 'authenticated' });
    await clock.advance(51 * 60_000);
    const second = await tokens.own();
    expect((decodeJwt(second).exp as number) * 1_000).toBeGreaterThan(clock.now() + 3_000_000);
  });

  test('a worker token is for Supabase and for the worker API, one session, one machine, one epoch', async () => {
    const { tokens } = make();
    const claims = { role: 'session_worker' as const, ...ids, machine_id: machineId, epoch: 3 };
    const { token } = await tokens.mintWorker(claims);
    expect(decodeJwt(token).aud).toEqual(['authenticated', 'greenroom:worker-api']);
    expect(await tokens.verifyWorker(token)).toMatchObject({ kind: 'good', claims });
  });

  test("the orchestrator's own token does not open the worker API", async () => {
    const { tokens } = make();
    expect(await tokens.verifyWorker(await tokens.own())).toMatchObject({ kind: 'bad' });
  });
});

describe('the vault', () => {
  const vault = createVault(Buffer.alloc(32, 1));

  test('opens what it sealed, and seals differently each time', () => {
    const [one, two] = [vault.seal('ek_secret', 'call:a:1'), vault.seal('ek_secret', 'call:a:1')];
    expect(one).not.toBe(two);
    expect(one).not.toContain('ek_secret');
    expect(vault.open(one, 'call:a:1')).toBe('ek_secret');
  });

  test('refuses another context, another key and a changed text', () => {
    const sealed = vault.seal('ek_secret', 'call:a:1');
    expect(() => vault.open(sealed, 'call:a:2')).toThrow();
    expect(() => createVault(Buffer.alloc(32, 2)).open(sealed, 'call:a:1')).toThrow();
    expect(() => vault.open(`${sealed.slice(0, -2)}AA`, 'call:a:1')).toThrow();
    expect(() => vault.open('plain', 'call:a:1')).toThrow('unknown version');
  });
});
