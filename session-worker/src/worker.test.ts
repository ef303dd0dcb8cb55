import { afterEach, describe, expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { candidateSpeech, functionCall, reply, transcribed } from '../test/conversation.ts';
import { answerSdp, offerSdp } from '../test/peers.ts';
import { type Served, type ServeOptions, serveWorker } from '../test/serve.ts';

let served: Served;
const serve = async (options?: ServeOptions) => {
  served = await serveWorker(options);
  return served;
};
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 4_000, interval: 5 });

/** Joins and has an SDP answer. */
async function joined({ port, peers, worker }: Served) {
  await until(() => worker.ready);
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  await candidate.hears('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: offerSdp });
  await candidate.hears('sdp_answer');
  return candidate;
}
const emitAll = (events: Array<Record<string, unknown>>) => {
  for (const event of events) served.peers.emit(event);
};

describe('an interview, end to end between scripted peers', () => {
  test('claim, join, SDP, transcript, the candidate’s end: everything is stored and told, in order', async () => {
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
    });
    await until(() => peers.saidOnSideband.some((said) => said.type === 'response.create'));

    emitAll(reply('item_1', null, 'Welcome. Tell me about yourself.'));
    emitAll(candidateSpeech('item_2', 'item_1', 1_000, 2_000));
    emitAll(reply('item_3', 'item_2', 'Thank you.'));
    peers.emit(transcribed('item_2', 'I build things.', [-0.1, -0.1]));
    await candidate.hears('transcript_ack', (m) => (m.item_ids as string[]).includes('item_2'));
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
    expect(await candidate.hears('session_ended')).toMatchObject({
      outcome: 'completed',
      reason: 'ended_by_candidate',
    });
    expect(await candidate.closed).toMatchObject({ code: 1000 });
    expect(await exited).toBe(0);
    const order = peers.asked.map((one) => `${one.method} ${one.path}`);
    const at = (what: string) => order.indexOf(what);
    // The id is stored before the answer goes out, and the call hung up with the credential that created it.
    expect(at('PATCH /worker/v1/calls/1')).toBeGreaterThan(at('POST /v1/realtime/calls'));
    expect(peers.askedFor('POST /v1/realtime/hangup')[0]).toMatchObject({
      path: '/v1/realtime/calls/rtc_1/hangup',
      authorization: 'Bearer ek_1',
    });
    expect(peers.askedFor('POST /worker/v1/finish').map((one) => one.body)).toEqual([
      { kind: 'ended', outcome: 'completed', reason: 'ended_by_candidate', transcript_complete: true },
    ]);
    expect(peers.askedFor('POST /rest/v1/rpc/worker_report').map((one) => one.body)).toEqual([
      { p_status: 'connecting', p_presence: 'present' },
      { p_status: 'in_progress' },
      { p_status: 'finalizing', p_outcome: 'completed', p_reason: 'ended_by_candidate' },
    ]);
  });

  test('the interviewer’s own end: its goodbye is heard to the end first', async () => {
    const { peers, exited } = await serve();
    const candidate = await joined(served);
    emitAll(functionCall('item_9', null));
    await until(() => peers.saidOnSideband.filter((said) => said.type === 'response.create').length === 2);
    const goodbye = reply('item_11', 'item_9', 'Goodbye.');
    emitAll(goodbye.slice(0, -1));
    await candidate.hears('transcript_ack', (m) => (m.item_ids as string[]).includes('item_11'));
    expect(candidate.heard.some((m) => m.type === 'session_ended')).toBe(false);
    emitAll(goodbye.slice(-1));
    expect(await candidate.hears('session_ended')).toMatchObject({ reason: 'interviewer_finished' });
    expect(await exited).toBe(0);
    expect(peers.stored.get('1/item_11')).toMatchObject({ previous_item_id: null });
  });
});
