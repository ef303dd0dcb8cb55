import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { closeCodes, maxFrameBytes } from '@greenroom/shared/protocol/socket.ts';
import { decodeJwt, generateKeyPair, importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { endOf, platformOf, sessionBody, until } from '../support/session.ts';
import { openSocket } from '../support/socket.ts';

describe("the candidate's socket", () => {
  let stack: Stack;
  let session: SessionView;
  let other: SessionView;

  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 2, paceMs: 100 }, environment: { EDGE_WAIT_MS: '8000' } });
    const platform = platformOf(stack);
    [session, other] = await Promise.all([
      platform.createSession(sessionBody()),
      platform.createSession(sessionBody()),
    ]);
    await Promise.all(
      [session, other].map((s) => platform.waitFor(s.session_id, ({ status }) => status === 'ready', 15_000)),
    );
  });
  afterAll(() => stack.stop());

  /** Signs the claims of a valid token again, with changes. */
  async function resign(
    changes: Record<string, unknown>,
    header: Record<string, unknown> = {},
    key?: CryptoKey,
  ): Promise<string> {
    const jwk = stack.keys.join.keys[0];
    const claims = { ...decodeJwt(session.join_token ?? ''), ...changes };
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: String(jwk?.kid), ...header })
      .sign(key ?? ((await importJWK({ ...jwk, alg: 'ES256' })) as CryptoKey));
  }
  const unsigned = (claims: object) =>
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;

  test.each<[string, () => string | undefined | Promise<string | undefined>]>([
    ['missing', () => undefined],
    ['empty', () => ''],
    ['not a token', () => 'abc'],
    ['expired', () => resign({ exp: Math.floor(Date.now() / 1000) - 60 })],
    ['not yet valid', () => resign({ nbf: Math.floor(Date.now() / 1000) + 600 })],
    ["another session's", () => other.join_token ?? ''],
    ['tampered with', () => `${session.join_token?.slice(0, -6)}AAAAAA`],
    ['of the wrong audience', () => resign({ aud: 'greenroom:transcript' })],
    ['of the wrong issuer', () => resign({ iss: 'https://evil.example' })],
    ['signed by another key', async () => resign({}, {}, (await generateKeyPair('ES256')).privateKey)],
    ['of an unknown key id', () => resign({}, { kid: 'nobody' })],
    ['unsigned (alg none)', () => unsigned(decodeJwt(session.join_token ?? ''))],
  ])('a socket whose token is %s closes with 4401 before any machine is used', async (_what, makeToken) => {
    const machineLog = stack.cloud.fly.machines().map((m) => m.state);
    const socket = openSocket(session.websocket_url, { token: await makeToken() });
    expect((await socket.closed).code).toBe(closeCodes.token);
    expect(stack.cloud.fly.machines().map((m) => m.state)).toEqual(machineLog);
    expect((await platformOf(stack).getSession(session.session_id)).status).toBe('ready');
  });

  test('an unknown or malformed session id closes the socket with 4404', async () => {
    const unknown = crypto.randomUUID();
    const url = (id: string) => session.websocket_url.replace(session.session_id, id);
    const socket = openSocket(url(unknown), { token: await resign({ session_id: unknown }) });
    expect((await socket.closed).code).toBe(closeCodes.unknown);
    expect((await openSocket(url('not-a-uuid'), { token: session.join_token ?? '' }).closed).code).toBe(
      closeCodes.unknown,
    );
  });

  test('an invalid message is answered with a code and the field, and the socket stays open', async () => {
    const socket = openSocket(session.websocket_url, { token: session.join_token ?? '', inQuery: true });
    socket.sendRaw('{"type":');
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_json' });
    socket.sendRaw(Buffer.from([0, 1, 2]));
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_json' });
    socket.send({ type: 'make_coffee' });
    expect(await socket.next('error')).toMatchObject({ code: 'unknown_message' });
    socket.send({ type: 'sdp_offer', sdp: 'v=0' });
    expect(await socket.next('error')).toMatchObject({ code: 'not_initialized' });
    socket.send({ type: 'init_session' });
    expect(await socket.next('session_ready')).toMatchObject({
      session_id: session.session_id,
      epoch: 1,
      call_active: false,
    });
    socket.send({ type: 'sdp_offer', sdp: 42 });
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_message', fields: [{ field: 'sdp' }] });
    socket.send({ type: 'sdp_offer', sdp: 'not SDP at all' });
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_sdp' });
    socket.send({ type: 'sdp_offer', sdp: '' });
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_sdp' });
    socket.send({ type: 'transcript_update', entries: [{ ordinal: 1, item_id: 'x', speaker: 'dog', text: 'woof' }] });
    expect(await socket.next('error')).toMatchObject({
      code: 'invalid_message',
      fields: [{ field: 'entries.0.speaker' }],
    });
    socket.send({
      type: 'transcript_update',
      entries: [{ ordinal: 1, item_id: 'x', speaker: 'ai', text: 'woof', start_ms: -1 }],
    });
    expect(await socket.next('error')).toMatchObject({
      code: 'invalid_message',
      fields: [{ field: 'entries.0.start_ms' }],
    });
    socket.send({ type: 'transcript_update', entries: [{ ordinal: 1, item_id: 'x', speaker: 'ai', text: 'a\ud800' }] });
    expect(await socket.next('error')).toMatchObject({
      code: 'invalid_message',
      fields: [{ field: 'entries.0.text' }],
    });
    socket.send({ type: 'ping', id: 'still here' });
    expect(await socket.next('pong')).toMatchObject({ id: 'still here' });
    socket.close();
  });

  test('a frame that is too large closes the socket with 1009', async () => {
    const socket = openSocket(session.websocket_url, { token: session.join_token ?? '' });
    socket.sendRaw('x'.repeat(maxFrameBytes + 1));
    expect((await socket.closed).code).toBe(closeCodes.tooLarge);
  });

  test('a flood of messages closes the socket with 4429', async () => {
    const socket = openSocket(session.websocket_url, { token: session.join_token ?? '' });
    for (let n = 0; n < 1_000; n += 1) socket.send({ type: 'ping' });
    expect((await socket.closed).code).toBe(closeCodes.tooMany);
  });

  test('a second socket for a session is served, and the older socket closes with 4412', async () => {
    const older = openSocket(session.websocket_url, { token: session.join_token ?? '' });
    older.send({ type: 'init_session' });
    await older.next('session_ready');
    const newer = openSocket(session.websocket_url, { token: session.join_token ?? '' });
    newer.send({ type: 'init_session' });
    await newer.next('session_ready');
    expect((await older.closed).code).toBe(closeCodes.replaced);
    newer.close();
  });

  test('the worker refuses a forged replay header', async () => {
    const machine = stack.cloud.fly.machines().find((m) => m.metadata.session_id === session.session_id);
    const direct = `ws://${machine?.address}:8080/ws/sessions/${session.session_id}`;
    const socket = openSocket(direct, {
      token: session.join_token ?? '',
      headers: { 'fly-replay-src': 'instance=x;region=fra;t=1;state=forged' },
    });
    expect((await socket.closed).code).toBeGreaterThanOrEqual(4400);
    expect((await openSocket(direct, { token: session.join_token ?? '' }).closed).code).toBeGreaterThanOrEqual(4400);
  });

  test('a socket opened after the end closes with 4410', async () => {
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
    const socket = openSocket(session.websocket_url, { token: session.join_token ?? '' });
    expect((await socket.closed).code).toBe(closeCodes.ended);
    await until(
      'the other is untouched',
      async () => (await platformOf(stack).getSession(other.session_id)).status === 'ready',
    );
  });
});
