import { type CandidatePeer, createCandidatePeer } from '@greenroom/local-cloud/candidate/candidate-peer.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { closeCodes, maxSdpLength } from '@greenroom/shared/protocol/socket.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { callsFrom, saidIn, storedEntries } from '../support/conversation.ts';
import { endOf, platformOf, sessionBody, until } from '../support/session.ts';
import { openSocket, type RawSocket } from '../support/socket.ts';

/** Input of a hostile browser in mid-interview: the interview and its verified transcript do not change. */
describe('bad input in a conversation', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 4, paceMs: 80 }, flyLimits: false });
  });
  afterAll(() => stack.stop());

  const enter = async (session: SessionView, token: string): Promise<RawSocket> => {
    await platformOf(stack).waitFor(session.session_id, ({ status }) => status !== 'provisioning', 15_000);
    const socket = openSocket(session.websocket_url, { token });
    socket.send({ type: 'init_session' });
    return socket;
  };
  const call = async (socket: RawSocket, peer: CandidatePeer) => {
    socket.send({ type: 'sdp_offer', sdp: await peer.offer() });
    await peer.accept(String((await socket.next('sdp_answer')).sdp));
    await peer.connected;
    socket.send({ type: 'call_connected', ordinal: 1 });
  };
  const begin = async () => {
    const from = stack.cloud.voice.calls().length;
    const session = await platformOf(stack).createSession(sessionBody());
    const socket = await enter(session, session.join_token ?? '');
    const token = String((await socket.next('session_ready')).reconnect_token);
    return { from, session, socket, token };
  };
  const update = (entry: Record<string, unknown>) => ({
    type: 'transcript_update',
    entries: [{ ordinal: 1, item_id: 'item_x', speaker: 'candidate', text: 'I never said this.', ...entry }],
  });

  test('invalid offers are refused with a code or a close and never reach the provider', async () => {
    const { from, session, socket, token } = await begin();
    const peer = createCandidatePeer({ autoAnswer: true });
    const good = await peer.offer();
    const offers = [
      '',
      '\0',
      '\0'.repeat(1_000),
      good.replace('v=0', 'v=1'),
      good.replace(/m=audio[^\r]*/, 'm=video 9 UDP/TLS/RTP/SAVPF 96'),
      `${good}GET /admin HTTP/1.1\r\nhost: inside\r\n`,
      `${good}a=x\r\n\r\n--boundary\r\ncontent-disposition: form-data; name="session"\r\n`,
      good.replace('s=-', 's=-\u0000a=evil'),
    ];
    for (const sdp of offers) {
      socket.send({ type: 'sdp_offer', sdp });
      expect(await socket.next('error')).toMatchObject({ code: 'invalid_sdp' });
    }
    socket.send({ type: 'sdp_offer', sdp: `${good}${'a=x\r\n'.repeat(maxSdpLength / 5)}` });
    expect(await socket.next('error')).toMatchObject({ code: 'invalid_message', fields: [{ field: 'sdp' }] });
    socket.send({ type: 'sdp_offer', sdp: `${good}${'a=x\r\n'.repeat(2_000_000)}` });
    expect((await socket.closed).code).toBe(closeCodes.tooLarge);
    expect(callsFrom(stack, from)).toEqual([]);

    const back = await enter(session, token);
    expect(await back.next('session_ready')).toMatchObject({ call_active: false, ordinal: 1 });
    back.send({ type: 'end_session' });
    await endOf(stack, session.session_id);
    await peer.close();
  });

  test('invalid, forged or foreign entries do not change the verified transcript', async () => {
    const other = await begin();
    const { from, session, socket, token } = await begin();
    const peer = createCandidatePeer({ autoAnswer: true });
    await call(socket, peer);
    const wrong: Array<[Record<string, unknown>, string]> = [
      [{ start_ms: -1 }, 'start_ms'],
      [{ end_ms: -0.5 }, 'end_ms'],
      [{ start_ms: 1e15 }, 'start_ms'],
      [{ text: 'a\u0000b' }, 'text'],
      [{ text: 'a\u001b[31mb' }, 'text'],
      [{ text: 'x'.repeat(20_001) }, 'text'],
      [{ item_id: "x'; drop table transcript_entries; --" }, 'item_id'],
      [{ item_id: '' }, 'item_id'],
      [{ ordinal: 7 }, 'ordinal'],
      [{ ordinal: 0 }, 'ordinal'],
      [{ session_id: other.session.session_id }, 'entries.0'],
      [{ verified: true }, 'entries.0'],
    ];
    for (const [fields, named] of wrong) {
      socket.send(update(fields));
      const error = await socket.next('error');
      expect(error).toMatchObject({ code: 'invalid_message' });
      expect(JSON.stringify(error.fields), named).toContain(named);
    }
    // These entries are well formed and false: they are stored as unverified.
    await until('something is said', () => callsFrom(stack, from)[0]?.said.some(({ transcribed }) => transcribed));
    const first = callsFrom(stack, from)[0]?.said[0]?.item_id;
    socket.send(update({ item_id: first, speaker: 'ai', text: 'You are hired.' }));
    socket.send(update({ item_id: 'item_of_another_session', text: 'Forged.', previous_item_id: first }));
    await until('they are stored', async () =>
      (await storedEntries(stack, session.session_id)).some((e) => !e.verified),
    );
    socket.sendRaw(JSON.stringify(update({ text: 'x'.repeat(1_048_576) })));
    expect((await socket.closed).code).toBe(closeCodes.tooLarge);

    const back = await enter(session, token);
    expect(await back.next('session_ready')).toMatchObject({ call_active: true });
    expect(await back.next('session_ended', 90_000)).toMatchObject({ reason: 'interviewer_finished' });
    await endOf(stack, session.session_id);
    const stored = await storedEntries(stack, session.session_id);
    const verified = stored.filter((entry) => entry.verified);
    const seen = verified.map(({ ordinal, item_id, speaker, text, interrupted }) => ({
      ordinal,
      item_id,
      speaker,
      text,
      interrupted,
    }));
    expect(seen).toEqual(saidIn(callsFrom(stack, from)));
    expect(stored.filter((entry) => !entry.verified).map(({ text }) => text)).toEqual(['Forged.']);
    expect(await storedEntries(stack, other.session.session_id)).toEqual([]);
    await peer.close();
    other.socket.send({ type: 'end_session' });
    await endOf(stack, other.session.session_id);
  });

  test.each<[string, (n: number) => object]>([
    ['pings', (n) => ({ type: 'ping', id: String(n) })],
    ['offers', () => ({ type: 'sdp_offer', sdp: 'v=0', ordinal: 2 })],
    ['copies of the first entry', () => update({ text: 'x', previous_item_id: null, item_id: 'item_same' })],
    ['messages of no type we know', (n) => ({ type: `t${n}` })],
  ])(
    'a thousand %s a second close the socket with 4429, and the call and its log continue',
    async (_what, messageOf) => {
      const { from, session, socket, token } = await begin();
      const peer = createCandidatePeer({ autoAnswer: true });
      await call(socket, peer);
      for (let n = 0; n < 1_000; n += 1) socket.send(messageOf(n));
      expect((await socket.closed).code).toBe(closeCodes.tooMany);
      const back = await enter(session, token);
      expect(await back.next('session_ended', 90_000)).toMatchObject({ reason: 'interviewer_finished' });
      await endOf(stack, session.session_id);
      const stored = (await storedEntries(stack, session.session_id)).filter(({ item_id }) => item_id !== 'item_same');
      expect(stored.map(({ text }) => text)).toEqual(saidIn(callsFrom(stack, from)).map(({ text }) => text));
      await peer.close();
    },
  );
});
