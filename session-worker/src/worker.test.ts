import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CandidateOptions, connectCandidate } from '../test/candidate.ts';
import { candidateSpeech, functionCall, reply, transcribed } from '../test/conversation.ts';
import { answerSdp, offerSdp, type Reply } from '../test/peers.ts';
import { type Served, type ServeOptions, serveWorker } from '../test/serve.ts';

const otherId = '00000000-0000-4000-8000-000000000000';
let served: Served;
const serve = async (options?: ServeOptions) => {
  served = await serveWorker(options);
  return served;
};
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 30_000, interval: 5 });

/** Joins and gets an SDP answer. */
async function joined({ port, peers, worker }: Served) {
  await until(() => worker.ready);
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: offerSdp });
  await candidate.receives('sdp_answer');
  candidate.say({ type: 'call_connected', ordinal: 1 });
  return candidate;
}
const emitAll = (events: Array<Record<string, unknown>>) => {
  for (const event of events) served.peers.emit(event);
};

describe('an interview, end to end between scripted peers', () => {
  test('claim, join, SDP, transcript and the candidate’s end are stored and reported in order', async () => {
    const { peers, exited } = await serve();
    const candidate = await joined(served);
    expect(candidate.heard.find((m) => m.type === 'session_ready')).toMatchObject({
      epoch: 1,
      reconnect_token: 'reconnect',
      acked: [],
      ordinal: 1,
      call_active: false,
      simulated: true,
      ends_at: null,
    });
    expect(candidate.heard.find((m) => m.type === 'sdp_answer')).toEqual({
      type: 'sdp_answer',
      sdp: answerSdp,
      ordinal: 1,
      ends_at: expect.any(Number),
    });
    await until(() => peers.saidOnSideband.some((said) => said.type === 'response.create'));

    emitAll(reply('item_1', null, 'Welcome. Tell me about yourself.'));
    emitAll(candidateSpeech('item_2', 'item_1', 1_000, 2_000));
    emitAll(reply('item_3', 'item_2', 'Thank you.'));
    peers.emit(transcribed('item_2', 'I build things.', [-0.1, -0.1]));
    await candidate.receives('transcript_ack', (m) => (m.item_ids as string[]).includes('item_2'));
    expect([...peers.stored.values()]).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          item_id: 'item_1',
          previous_item_id: null,
          speaker: 'ai',
          text: 'Welcome. Tell me about yourself.',
        }),
        expect.objectContaining({
          item_id: 'item_2',
          previous_item_id: 'item_1',
          text: 'I build things.',
          confidence: 0.9048,
          start_ms: 1_000,
          end_ms: 2_000,
        }),
        expect.objectContaining({ item_id: 'item_3', previous_item_id: 'item_2', verified: true, interrupted: false }),
      ]),
    );

    candidate.say({ type: 'end_session' });
    expect(await candidate.receives('session_ended')).toMatchObject({
      outcome: 'completed',
      reason: 'ended_by_candidate',
    });
    expect(await candidate.closed).toMatchObject({ code: 1000 });
    expect(await exited).toBe(0);
    const order = peers.asked.map((one) => `${one.method} ${one.path}`);
    const at = (what: string) => order.indexOf(what);
    // The id is stored before the answer is sent, and the call is hung up with the credential that created it.
    expect(at('PATCH /worker/v1/calls/1')).toBeGreaterThan(at('POST /v1/realtime/calls'));
    expect(peers.askedFor('POST /v1/realtime/hangup')[0]).toMatchObject({
      path: '/v1/realtime/calls/rtc_1/hangup',
      authorization: 'Bearer ek_1',
    });
    expect(peers.askedFor('POST /worker/v1/finish').map((one) => one.body)).toEqual([
      {
        ...{ kind: 'ended', outcome: 'completed', reason: 'ended_by_candidate', transcript_complete: true },
        counts: {
          sockets: 1,
          messages: expect.any(Number),
          entries_acknowledged: expect.any(Number),
          entries_refused: 0,
          transcriptions_failed: 0,
          candidate_socket_ms: expect.any(Number),
          candidate_socket_closes: { 1000: 1 },
          ...{ candidate_network_reports: {}, candidate_problems: {}, call_replacements: {}, call_failures: {} },
          transcript_entries: { ai: expect.any(Number), candidate: expect.any(Number) },
          transcript_storing_ms: expect.any(Number),
        },
        phases: Object.fromEntries(
          ['edge_wait', 'socket', 'offered', 'credential', 'answered', 'connected', 'spoke'].map((step) => [
            step,
            expect.any(Number),
          ]),
        ),
      },
    ]);
    expect(peers.askedFor('POST /rest/v1/rpc/worker_report').map((one) => one.body)).toEqual([
      { p_status: 'connecting', p_presence: 'present' },
      { p_status: 'in_progress' },
      { p_status: 'finalizing', p_outcome: 'completed', p_reason: 'ended_by_candidate' },
    ]);
  });

  test('when the interviewer ends the interview, its goodbye is played to its end first', async () => {
    const { peers, exited } = await serve();
    const candidate = await joined(served);
    emitAll(functionCall('item_9', null));
    await until(() => peers.saidOnSideband.filter((said) => said.type === 'response.create').length === 2);
    const goodbye = reply('item_11', 'item_9', 'Goodbye.');
    emitAll(goodbye.slice(0, -1));
    await candidate.receives('transcript_ack', (m) => (m.item_ids as string[]).includes('item_11'));
    expect(candidate.heard.some((m) => m.type === 'session_ended')).toBe(false);
    emitAll(goodbye.slice(-1));
    expect(await candidate.receives('session_ended')).toMatchObject({ reason: 'interviewer_finished' });
    expect(await exited).toBe(0);
    expect(peers.stored.get('1/item_11')).toMatchObject({ previous_item_id: null });
  });

  const presence = (peers: Served['peers']) =>
    JSON.stringify(peers.askedFor('POST /rest/v1/rpc/worker_report').at(-1)?.body);

  test('an interviewer that gives up while the candidate is away does not end the interview; the candidate returns to it', async () => {
    const { peers, port } = await serve();
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'Welcome.'));
    emitAll(candidateSpeech('item_2', 'item_1', 1_000, 2_000));
    peers.emit(transcribed('item_2', 'Hello.', [-0.1]));
    candidate.socket.terminate();
    await until(() => presence(peers).includes('lost'));
    emitAll(functionCall('item_9', 'item_2'));
    await until(() => JSON.stringify(peers.saidOnSideband).includes('The candidate is disconnected'));
    const back = await connectCandidate(port, peers, { token: await peers.token(audiences.reconnect) });
    back.say({ type: 'init_session' });
    expect(await back.receives('session_ready')).toMatchObject({ call_active: true });
    emitAll(functionCall('item_12', 'item_9'));
    await until(() => JSON.stringify(peers.saidOnSideband).includes('{\\"ok\\":true}'));
    emitAll(reply('item_13', 'item_12', 'Goodbye.'));
    expect(await back.receives('session_ended')).toMatchObject({ reason: 'interviewer_finished' });
  });

  test('control: the interviewer may end the interview of a candidate who speaks while the socket is away', async () => {
    const { peers, exited } = await serve();
    const candidate = await joined(served);
    candidate.socket.terminate();
    await until(() => presence(peers).includes('lost'));
    emitAll(candidateSpeech('item_2', null, 1_000, 2_000));
    emitAll(functionCall('item_9', 'item_2'));
    emitAll(reply('item_11', 'item_9', 'Goodbye.'));
    expect(await exited).toBe(0);
    expect(peers.askedFor('POST /worker/v1/finish').at(-1)?.body).toMatchObject({ reason: 'interviewer_finished' });
  });
});

describe('admission to the room', () => {
  const refusals: Array<[string, number, (served: Served) => Promise<CandidateOptions>]> = [
    ['no replay state', 4401, async () => ({ headers: {} })],
    ['a forged replay state', 4401, async () => ({ headers: { 'fly-replay-src': 'instance=x;state=a.b.c' } })],
    ['another epoch', 4409, async ({ peers }) => ({ headers: await peers.admission(2) })],
    [
      'an expired replay state',
      4503,
      async ({ peers }) => ({
        headers: { 'fly-replay-src': `state=${await peers.token(audiences.replay, { epoch: 1 }, '-1m')}` },
      }),
    ],
    [
      'a replay state of another session',
      4404,
      async ({ peers }) => ({
        headers: {
          'fly-replay-src': `state=${await peers.token(audiences.replay, { epoch: 1, session_id: otherId })}`,
        },
      }),
    ],
    [
      'a join token used as replay state',
      4401,
      async ({ peers }) => ({
        headers: { 'fly-replay-src': `state=${await peers.token(audiences.join, { epoch: 1 })}` },
      }),
    ],
    ['another session’s path', 4404, async () => ({ path: `/ws/sessions/${otherId}` })],
    [
      'another session’s token',
      4401,
      async ({ peers }) => ({ token: await peers.token(audiences.join, { session_id: otherId }) }),
    ],
    [
      'another tenant’s token',
      4401,
      async ({ peers }) => ({ token: await peers.token(audiences.join, { tenant_id: otherId }) }),
    ],
    ['an expired token', 4401, async ({ peers }) => ({ token: await peers.token(audiences.join, {}, '-1m') })],
    ['a token for something else', 4401, async ({ peers }) => ({ token: await peers.token(audiences.transcript) })],
    ['no token', 4401, async () => ({ token: '' })],
    [
      'a foreign origin',
      4401,
      async ({ peers }) => ({ headers: { ...(await peers.admission()), origin: 'https://evil.test' } }),
    ],
  ];
  test.each(refusals)('refuses %s: the socket opens and closes with %i', async (_what, code, options) => {
    await serve({ session: { allowed_origins: ['https://good.test'] } });
    await until(() => served.worker.ready);
    const candidate = await connectCandidate(served.port, served.peers, await options(served));
    expect((await candidate.closed).code).toBe(code);
  });

  test('control: admits a reconnect token with an allowed origin and a comma-separated header', async () => {
    const { peers, port, worker } = await serve({ session: { allowed_origins: ['https://good.test'] } });
    await until(() => worker.ready);
    const state = await peers.token(audiences.replay, { epoch: 1 });
    const headers = { 'fly-replay-src': `app=x,state=${state}`, origin: 'https://good.test' };
    const candidate = await connectCandidate(port, peers, { headers, token: await peers.token(audiences.reconnect) });
    expect(candidate.socket.protocol).toBe('greenroom.v1');
    candidate.say({ type: 'init_session' });
    await candidate.receives('session_ready');
  });

  test('before the claim, sockets close with 4503, /readyz answers 503 and /livez 200', async () => {
    const { port, peers, worker } = await serve({
      prepare: (p) => p.bend('POST /worker/v1/claim', () => ({ status: 503 })),
    });
    const candidate = await connectCandidate(port, peers);
    expect((await candidate.closed).code).toBe(4503);
    const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    expect([await status('/readyz'), await status('/livez'), await status('/x')]).toEqual([503, 200, 404]);
    peers.unbend('POST /worker/v1/claim');
    await until(() => worker.ready);
    expect(await status('/readyz')).toBe(200);
  });
});

describe('messages of the candidate', () => {
  test('invalid messages are answered with an error code and the socket stays open', async () => {
    const { peers, port, worker } = await serve();
    await until(() => worker.ready);
    const candidate = await connectCandidate(port, peers);
    const told = async (message: unknown, code: string) => {
      const before = candidate.heard.length;
      candidate.say(message);
      await until(() => candidate.heard.length > before);
      expect(candidate.heard.at(-1)).toMatchObject({ type: 'error', code });
      return candidate.heard.at(-1) as { fields?: Array<{ field: string }> };
    };
    await told('{', 'invalid_json');
    await told('[]', 'invalid_message');
    await told({ type: 'drop_tables' }, 'unknown_message');
    await told({ type: 'sdp_offer', sdp: offerSdp }, 'not_initialized');
    await told({ type: 'init_session', session_id: otherId }, 'invalid_message');
    candidate.say({ type: 'init_session' });
    await candidate.receives('session_ready');
    expect((await told({ type: 'sdp_offer', sdp: 7 }, 'invalid_message')).fields?.[0]?.field).toBe('sdp');
    await told({ type: 'sdp_offer', sdp: '' }, 'invalid_sdp');
    await told({ type: 'sdp_offer', sdp: offerSdp.replace('m=audio', 'm=video') }, 'invalid_sdp');
    await told({ type: 'sdp_offer', sdp: offerSdp, ordinal: 4 }, 'call_not_allowed');
    const entry = { ordinal: 3, item_id: 'x', speaker: 'ai', text: 'x' };
    expect((await told({ type: 'transcript_update', entries: [entry] }, 'invalid_message')).fields?.[0]?.field).toBe(
      'entries.0.ordinal',
    );
    await told({ type: 'transcript_update', entries: [{ ...entry, ordinal: 1, text: 'a\u0000' }] }, 'invalid_message');
    candidate.say({ type: 'ping', id: '1' });
    expect(await candidate.receives('pong')).toEqual({ type: 'pong', id: '1' });
    expect(peers.askedFor('POST /v1/realtime/calls')).toEqual([]);
  });

  test('a frame above the limit closes with 1009, a flood with 4429, and a second tab replaces the first', async () => {
    const { peers, port, worker } = await serve();
    await until(() => worker.ready);
    const big = await connectCandidate(port, peers);
    big.say(JSON.stringify({ type: 'ping', id: 'x'.repeat(300_000) }));
    expect((await big.closed).code).toBe(1009);
    const flood = await connectCandidate(port, peers);
    for (let n = 0; n < 200; n += 1) flood.say({ type: 'ping' });
    expect((await flood.closed).code).toBe(4429);
    const first = await connectCandidate(port, peers);
    const second = await connectCandidate(port, peers);
    second.say({ type: 'init_session' });
    await second.receives('session_ready');
    expect((await first.closed).code).toBe(4412);
  });
});

describe('no media', () => {
  const withoutMedia = async (options: ServeOptions) => {
    const { port, peers, worker } = await serve(options);
    await until(() => worker.ready);
    const candidate = await connectCandidate(port, peers);
    candidate.say({ type: 'init_session' });
    await candidate.receives('session_ready');
    candidate.say({ type: 'sdp_offer', sdp: offerSdp });
    await candidate.receives('sdp_answer');
    return candidate;
  };

  // Failure pinned: with UDP blocked, greetings were stored as said, and the session counted as completed when its time was up.
  test('a session in which neither side was heard fails with a reason, and no greeting is stored', async () => {
    const candidate = await withoutMedia({ deadlines: { noMediaMs: 600, callConnectMs: 50 } });
    await until(() => served.peers.saidOnSideband.some((said) => said.type === 'response.create'));
    emitAll(reply('item_1', null, 'Welcome.'));
    expect(await candidate.receives('session_ended')).toMatchObject({
      outcome: 'failed',
      reason: 'call_not_established',
    });
    expect(await served.exited).toBe(0);
    expect([...served.peers.stored.keys()]).toEqual([]);
    expect(served.peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(1);
  });

  test.each<[string, boolean, string]>([
    ['the call was connected and the candidate said nothing', true, 'candidate_silent'],
    ['no media ever flowed', false, 'call_not_established'],
  ])('the time is up and %s: not completed', async (_what, connected, reason) => {
    const candidate = await withoutMedia({ session: { max_duration_ms: 700 } });
    if (connected) candidate.say({ type: 'call_connected', ordinal: 1 });
    expect(await candidate.receives('session_ended')).toMatchObject({ reason });
  });

  test('control: a session whose time is up after the candidate spoke is completed', async () => {
    const candidate = await withoutMedia({ session: { max_duration_ms: 900 } });
    candidate.say({ type: 'call_connected', ordinal: 1 });
    emitAll([...candidateSpeech('item_2', null, 1_000, 2_000), transcribed('item_2', 'Hello.')]);
    expect(await candidate.receives('session_ended')).toMatchObject({ outcome: 'completed', reason: 'max_duration' });
  });
});

describe('when the outside fails', () => {
  const failures: Array<[string, string, Reply, string]> = [
    ['401', 'POST /v1/realtime/calls', { status: 401 }, 'provider_auth_failed'],
    [
      '429 for want of credit',
      'POST /v1/realtime/calls',
      { status: 429, body: { error: { code: 'insufficient_quota' } } },
      'quota_exceeded',
    ],
    [
      '201 without SDP',
      'POST /v1/realtime/calls',
      { status: 201, body: 'no', headers: { location: '/v1/realtime/calls/rtc_9' } },
      'provider_unavailable',
    ],
    ['201 without a call id', 'POST /v1/realtime/calls', { status: 201, body: answerSdp }, 'provider_unavailable'],
    [
      'a credential that could not be minted',
      'POST /worker/v1/calls',
      { status: 502, body: { code: 'provider_auth_failed' } },
      'provider_auth_failed',
    ],
  ];
  test.each(failures)(
    'the provider answers %s: an error with a code, and the session ends with that reason',
    async (_what, route, reply, reason) => {
      const { peers, port, exited, worker } = await serve();
      peers.bend(route, () => reply);
      await until(() => worker.ready);
      const candidate = await connectCandidate(port, peers);
      candidate.say({ type: 'init_session' });
      candidate.say({ type: 'sdp_offer', sdp: offerSdp });
      await candidate.receives('error', (m) => String(m.code).startsWith('provider_'));
      expect(await candidate.receives('session_ended')).toMatchObject({ outcome: 'failed', reason });
      expect(await exited).toBe(0);
      // The credential is requested when the socket arrives, and once more for the offer.
      expect(peers.askedFor(route)).toHaveLength(route === 'POST /worker/v1/calls' ? 2 : 1);
    },
  );

  test('the interview takes place when the provider answers 500 twice and then works', async () => {
    let left = 2;
    await serve();
    served.peers.bend('POST /v1/realtime/calls', () => (left-- > 0 ? { status: 500 } : undefined));
    await joined(served);
    expect(served.peers.askedFor('POST /v1/realtime/calls')).toHaveLength(3);
  });

  test('without a sideband the SDP answer is still sent and copies are stored; the sideband is attached when possible', async () => {
    const { peers } = await serve({ deadlines: { sidebandReadyMs: 50 } });
    peers.bend('GET /v1/realtime', () => ({ status: 500 }));
    const candidate = await joined(served);
    candidate.say({
      type: 'transcript_update',
      entries: [{ ordinal: 1, item_id: 'item_1', speaker: 'ai', text: 'Hi.' }],
    });
    await candidate.receives('transcript_ack');
    expect(peers.stored.get('1/item_1')).toMatchObject({ verified: false });
    peers.unbend('GET /v1/realtime');
    await until(() => peers.saidOnSideband.some((said) => said.type === 'response.create'));
  });

  test('if no sideband can ever be attached, other calls are requested, and an interview that cannot begin ends', async () => {
    const { peers, exited } = await serve({ deadlines: { sidebandReadyMs: 20, sidebandLostMs: 60 } });
    peers.bend('GET /v1/realtime', () => ({ status: 500 }));
    const candidate = await joined(served);
    for (const ordinal of [2, 3]) {
      expect(await candidate.receives('call_required', (m) => m.ordinal === ordinal)).toMatchObject({
        reason: 'sideband_lost',
      });
      candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal });
    }
    expect(await candidate.receives('session_ended')).toMatchObject({
      outcome: 'failed',
      reason: 'provider_unavailable',
    });
    expect(await exited).toBe(0);
    expect(peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(3);
  });

  test('a sideband that was cut is attached again without a new call', async () => {
    const { peers } = await serve();
    await joined(served);
    await until(() => peers.saidOnSideband.some((said) => said.type === 'session.update'));
    peers.sidebands[0]?.terminate();
    await until(
      () =>
        peers.sidebands.length === 2 && peers.saidOnSideband.filter((s) => s.type === 'session.update').length === 2,
    );
    const updates = peers.saidOnSideband.filter((said) => said.type === 'session.update');
    for (const update of updates)
      expect(update).toMatchObject({ session: { type: 'realtime', audio: { output: {} } } });
    expect(JSON.stringify(updates)).not.toContain('"model"');
    expect(JSON.stringify(updates)).not.toContain('marin');
  });

  test('when the call is gone at the provider, the browser is asked for another and the interviewer gets a recap', async () => {
    const { peers } = await serve();
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'Tell me about queues.'));
    await candidate.receives('transcript_ack');
    peers.bend('GET /v1/realtime', () => ({ status: 404 }));
    peers.sidebands[0]?.terminate();
    expect(await candidate.receives('call_required')).toMatchObject({ ordinal: 2, reason: 'call_lost' });
    peers.unbend('GET /v1/realtime');
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 2 });
    await candidate.receives('sdp_answer', (m) => m.ordinal === 2);
    candidate.say({ type: 'call_connected', ordinal: 2 });
    await until(() => JSON.stringify(peers.saidOnSideband).includes('Interviewer: Tell me about queues.'));
  });

  test('a new offer during a call first hangs up the old call, with its own credential', async () => {
    const { peers } = await serve();
    const candidate = await joined(served);
    candidate.say({ type: 'sdp_offer', sdp: offerSdp });
    await candidate.receives('sdp_answer', (m) => m.ordinal === 2);
    const order = peers.asked.map((one) => `${one.method} ${one.path}`);
    expect(order.indexOf('POST /v1/realtime/calls/rtc_1/hangup')).toBeLessThan(
      order.lastIndexOf('POST /v1/realtime/calls'),
    );
    expect(peers.askedFor('POST /v1/realtime/hangup')[0]?.authorization).toBe('Bearer ek_1');
  });

  test('while the database is away the conversation continues, and everything is stored when it is back', async () => {
    const { peers, exited } = await serve();
    const away = () => ({ status: 503, body: { message: 'no connection', code: 'PGRST001' } });
    peers.bend('POST /rest/v1/rpc/append_transcript', away);
    peers.bend('POST /rest/v1/rpc/worker_report', away);
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'Welcome.'));
    await until(() => peers.askedFor('POST /rest/v1/rpc/append_transcript').length > 0);
    candidate.say({ type: 'end_session' });
    await until(() => peers.askedFor('POST /v1/realtime/hangup').length > 0);
    expect(peers.stored.size).toBe(0);
    peers.unbend('POST /rest/v1/rpc/append_transcript');
    peers.unbend('POST /rest/v1/rpc/worker_report');
    expect(await exited).toBe(0);
    expect(peers.stored.get('1/item_1')).toMatchObject({ text: 'Welcome.' });
    expect(peers.askedFor('POST /worker/v1/finish')[0]?.body).toMatchObject({ transcript_complete: true });
  });

  test('a report is repeated until the answer contains the session’s status', async () => {
    const { peers } = await serve();
    const path = 'POST /rest/v1/rpc/worker_report';
    peers.bend(path, () => ({ status: 200, body: '' }));
    await joined(served);
    await until(() => peers.askedFor(path).length > 1);
    const [first, second] = peers.askedFor(path).map((one) => one.body);
    expect(second).toEqual(first);
    peers.unbend(path);
    await until(() => peers.askedFor(path).some(({ body }) => JSON.stringify(body).includes('in_progress')));
  });

  test.each([
    ['404 without a word', 404, ''],
    ['404 and no rows', 404, []],
    ['200 without a word', 200, ''],
    ['200 and null', 200, 'null'],
    ['200 for something else', 200, ['item_2']],
  ])('an answer that names no entry acknowledges none: %s', async (_what, status, body) => {
    const { peers } = await serve();
    peers.bend('POST /rest/v1/rpc/append_transcript', () => ({ status, body }));
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'Welcome.'));
    await until(() => peers.askedFor('POST /rest/v1/rpc/append_transcript').length > 1);
    expect(candidate.heard.some((m) => m.type === 'transcript_ack')).toBe(false);
    peers.unbend('POST /rest/v1/rpc/append_transcript');
    expect(await candidate.receives('transcript_ack')).toMatchObject({ item_ids: ['item_1'] });
    expect(peers.stored.get('1/item_1')).toMatchObject({ text: 'Welcome.' });
  });

  test('when the database fences the worker, it closes with 4409, and neither hangs up nor reports', async () => {
    const { peers, exited } = await serve();
    const candidate = await joined(served);
    peers.bend('POST /rest/v1/rpc/append_transcript', () => ({
      status: 409,
      body: { code: 'PT409', message: 'fenced' },
    }));
    emitAll(reply('item_1', null, 'Welcome.'));
    expect((await candidate.closed).code).toBe(4409);
    expect(candidate.heard.some((m) => m.type === 'moved')).toBe(true);
    expect(await exited).toBe(0);
    expect(peers.askedFor('POST /v1/realtime/hangup')).toEqual([]);
    expect(peers.askedFor('POST /worker/v1/finish')).toEqual([]);
  });

  test('after a network loss the candidate returns with the reconnect token, is told what is stored, and the call continues', async () => {
    const { peers, port } = await serve();
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'Welcome.'));
    await candidate.receives('transcript_ack');
    candidate.socket.terminate();
    await until(() => JSON.stringify(peers.askedFor('POST /rest/v1/rpc/worker_report').at(-1)?.body).includes('lost'));
    const back = await connectCandidate(port, peers, { token: await peers.token(audiences.reconnect) });
    back.say({ type: 'init_session' });
    expect(await back.receives('session_ready')).toMatchObject({ call_active: true, ordinal: 1, acked: ['item_1'] });
    expect(peers.askedFor('POST /v1/realtime/calls')).toHaveLength(1);
  });

  test('the log of a whole interview contains no secret, no SDP and no spoken text', async () => {
    const { peers, exited, logged } = await serve();
    const candidate = await joined(served);
    emitAll(reply('item_1', null, 'A sentence nobody else says.'));
    candidate.say({ type: 'end_session' });
    await exited;
    expect(logged()).toContain('session concluded');
    for (const secret of [
      'worker-token-1',
      'ek_1',
      'aaa.bbb.ccc',
      'sb_publishable',
      'reconnect"',
      'm=audio',
      'A sentence nobody',
      'eyJ',
    ]) {
      expect(logged(), secret).not.toContain(secret);
    }
    expect(peers.stored.size).toBe(1);
  });
});

describe('taking over and handing over', () => {
  const openCallAt = (url: string) => ({
    ordinal: 2,
    call_id: 'rtc_7',
    credential: { value: 'ek_old', base_url: `${url}/v1` },
  });

  test('a replacement attaches to the current call and reports what is stored', async () => {
    const { peers, port, worker } = await serve({
      session: { epoch: 2, started_at: Date.now() - 60_000 },
      prepare: (p) => {
        p.claim.open_call = openCallAt(p.url);
        p.stored.set('1/old', { ordinal: 1, item_id: 'old', speaker: 'ai', text: 'Before.', verified: true });
      },
    });
    await until(() => worker.ready && peers.sidebands.length === 1);
    expect(peers.asked.find((one) => one.path.includes('call_id=rtc_7'))?.authorization).toBe('Bearer ek_old');
    const candidate = await connectCandidate(port, peers, { headers: await peers.admission(2) });
    candidate.say({ type: 'init_session' });
    const ready = await candidate.receives('session_ready');
    expect(ready).toMatchObject({ epoch: 2, call_active: true, ordinal: 2, acked: ['old'] });
    expect(Number(ready.ends_at) - Date.now()).toBeGreaterThan(2_900_000);
    emitAll(reply('item_9', null, 'As I was saying.'));
    await candidate.receives('transcript_ack');
    expect(peers.stored.get('2/item_9')).toMatchObject({ verified: true });
    // The interviewer must not begin again in the middle of a conversation.
    expect(peers.saidOnSideband.map((said) => said.type)).toEqual(['session.update']);
  });

  test('a replacement knows the earlier calls: the next call has the next ordinal, and copies of earlier ones are stored', async () => {
    const { peers, port, worker } = await serve({
      session: { epoch: 2, started_at: Date.now() },
      prepare: (p) => {
        p.claim = { ...p.claim, next_ordinal: 3 };
      },
    });
    await until(() => worker.ready);
    const candidate = await connectCandidate(port, peers, { headers: await peers.admission(2) });
    candidate.say({ type: 'init_session' });
    expect(await candidate.receives('session_ready')).toMatchObject({ call_active: false, ordinal: 3 });
    candidate.say({
      type: 'transcript_update',
      entries: [1, 2].map((ordinal) => ({ ordinal, item_id: `kept_${ordinal}`, speaker: 'ai', text: 'Kept.' })),
    });
    await candidate.receives('transcript_ack');
    await until(() => peers.stored.has('2/kept_2'));
    expect(peers.stored.get('1/kept_1')).toMatchObject({ verified: false });
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 3 });
    expect(await candidate.receives('sdp_answer')).toMatchObject({ ordinal: 3 });
    expect(peers.askedFor('POST /worker/v1/calls')).toHaveLength(1);
  });

  test('after an offer with a used ordinal, an offer with the right one is requested', async () => {
    const { peers, port, worker } = await serve({
      prepare: (p) =>
        p.bend('POST /worker/v1/calls', ({ body }) =>
          (body as { ordinal: number }).ordinal < 3
            ? { status: 409, body: { code: 'conflict', next_ordinal: 3 } }
            : undefined,
        ),
    });
    await until(() => worker.ready);
    const candidate = await connectCandidate(port, peers);
    candidate.say({ type: 'init_session' });
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 1 });
    expect(await candidate.receives('call_required')).toMatchObject({ ordinal: 3 });
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 3 });
    expect(await candidate.receives('sdp_answer')).toMatchObject({ ordinal: 3 });
    // Ahead, for the first offer and for the second one.
    expect(peers.askedFor('POST /worker/v1/calls')).toHaveLength(3);
  });

  test('an offer without the candidate’s consent is refused, and the browser may offer again', async () => {
    const { peers, port, worker } = await serve({
      prepare: (p) => p.bend('POST /worker/v1/calls', () => ({ status: 409, body: { code: 'consent_required' } })),
    });
    await until(() => worker.ready);
    const candidate = await connectCandidate(port, peers);
    candidate.say({ type: 'init_session' });
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 1 });
    expect(await candidate.receives('error')).toMatchObject({ code: 'consent_required', retryable: false });
    peers.unbend('POST /worker/v1/calls');
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal: 1 });
    expect(await candidate.receives('sdp_answer')).toMatchObject({ ordinal: 1 });
  });

  test('end_session with a recording URL is refused the URL, but ends the session', async () => {
    const { exited } = await serve();
    const candidate = await joined(served);
    candidate.say({ type: 'end_session', recording_url: 'https://evil.example/watch' });
    expect(await candidate.receives('error')).toMatchObject({ code: 'recording_url_refused', retryable: false });
    expect(await candidate.receives('session_ended')).toMatchObject({ reason: 'ended_by_candidate' });
    await exited;
  });

  test.each([
    ['continue', { kind: 'continue' }],
    ['nothing (the control plane is away)', undefined],
  ])('SIGTERM and the directive is %s: a hand-over, without a hang-up', async (_what, directive) => {
    const { peers, worker, exited } = await serve();
    const candidate = await joined(served);
    if (!directive) peers.bend('POST /worker/v1/heartbeat', () => ({ status: 503 }));
    emitAll(reply('item_1', null, 'Welcome.'));
    worker.terminate();
    expect((await candidate.closed).code).toBe(4409);
    expect(await exited).toBe(0);
    expect(peers.stored.has('1/item_1')).toBe(true);
    expect(peers.askedFor('POST /worker/v1/finish').map((one) => one.body)).toMatchObject([
      { kind: 'draining', counts: expect.any(Object) },
    ]);
    expect(peers.askedFor('POST /v1/realtime/hangup')).toEqual([]);
  });

  test('SIGTERM with an `end` directive: tears down with that ending', async () => {
    const { peers, worker, exited } = await serve();
    const candidate = await joined(served);
    peers.directive = { kind: 'end', outcome: 'cancelled', reason: 'operator_stopped' };
    worker.terminate();
    expect(await candidate.receives('session_ended')).toMatchObject({
      outcome: 'cancelled',
      reason: 'operator_stopped',
    });
    await exited;
    expect(peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(1);
    expect(peers.askedFor('POST /worker/v1/finish')[0]?.body).toMatchObject({
      kind: 'ended',
      reason: 'operator_stopped',
    });
  });

  test('a second SIGTERM shortens a hand-over that waits for the database', async () => {
    const { peers, worker, exited } = await serve();
    await joined(served);
    peers.bend('POST /rest/v1/rpc/append_transcript', () => ({ status: 503 }));
    emitAll(reply('item_1', null, 'Welcome.'));
    await until(() => peers.askedFor('POST /rest/v1/rpc/append_transcript').length > 0);
    worker.terminate();
    await until(() => served.logged().includes('session concluded'));
    worker.terminate();
    expect(await exited).toBe(0);
    expect(peers.askedFor('POST /worker/v1/finish').map((one) => one.body)).toMatchObject([
      { kind: 'draining', counts: expect.any(Object) },
    ]);
  });
});
