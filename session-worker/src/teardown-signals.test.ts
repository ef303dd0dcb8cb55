import { afterEach, describe, expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { candidateSpeech, reply } from '../test/conversation.ts';
import { offerSdp, type Reply } from '../test/peers.ts';
import { type Served, serveWorker } from '../test/serve.ts';

/** SIGTERM, once and twice, in each phase of a teardown: one ending, reported once, and every entry stored if possible. */
let served: Served;
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 30_000, interval: 5 });

async function inCall() {
  served = await serveWorker({ deadlines: { teardownMs: 4_000, lateTranscriptMs: 400 } });
  await until(() => served.worker.ready);
  const candidate = await connectCandidate(served.port, served.peers);
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: offerSdp });
  await candidate.receives('sdp_answer');
  candidate.say({ type: 'call_connected', ordinal: 1 });
  for (const event of reply('item_1', null, 'Welcome.')) served.peers.emit(event);
  await candidate.receives('transcript_ack');
  return candidate;
}

/** Holds a request until released; `held` once it has come. */
function hold(route: string) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let held = false;
  served.peers.bend(route, async (): Promise<Reply | undefined> => {
    held = true;
    await released;
    return undefined;
  });
  return {
    get held() {
      return held;
    },
    release: () => {
      served.peers.unbend(route);
      release();
    },
  };
}
const finishes = () => served.peers.askedFor('POST /worker/v1/finish').map((one) => one.body);
const ended = {
  ...{ kind: 'ended', outcome: 'completed', reason: 'ended_by_candidate', transcript_complete: true },
  counts: expect.any(Object),
  phases: expect.any(Object),
};

const phases: Array<[string, string]> = [
  ['the ending is reported to the database', 'POST /rest/v1/rpc/worker_report'],
  ['the call is hung up', 'POST /v1/realtime/hangup'],
  ['the hang-up is recorded', 'PATCH /worker/v1/calls'],
  ['the last entries are written', 'POST /rest/v1/rpc/append_transcript'],
  ['the machine is reported as finished', 'POST /worker/v1/finish'],
];

describe('SIGTERM in a teardown', () => {
  test.each(phases)('once, while %s: the teardown continues unchanged', async (_phase, route) => {
    const candidate = await inCall();
    const phase = hold(route);
    for (const event of reply('item_2', 'item_1', 'Goodbye.')) served.peers.emit(event);
    candidate.say({ type: 'end_session' });
    await until(() => phase.held);
    served.worker.terminate();
    phase.release();
    expect(await candidate.receives('session_ended')).toMatchObject({ reason: 'ended_by_candidate' });
    expect(await served.exited).toBe(0);
    expect(finishes().at(-1)).toEqual(ended);
    expect(served.peers.stored.get('1/item_2')).toMatchObject({ text: 'Goodbye.' });
    expect(served.peers.askedFor('POST /v1/realtime/hangup').length).toBe(1);
  });

  test('once, during the wait for late transcripts: the wait continues', async () => {
    const candidate = await inCall();
    for (const event of candidateSpeech('item_2', 'item_1', 0, 100)) served.peers.emit(event);
    candidate.say({ type: 'end_session' });
    await until(() => served.peers.askedFor('POST /v1/realtime/hangup').length > 0);
    served.worker.terminate();
    served.peers.emit({
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: 'item_2',
      content_index: 0,
      transcript: 'One more thing.',
    });
    expect(await served.exited).toBe(0);
    expect(served.peers.stored.get('1/item_2')).toMatchObject({ text: 'One more thing.' });
    expect(finishes()).toEqual([ended]);
  });

  test.each(phases)(
    'three times, while %s, and that never answers: over within seconds all the same',
    async (_phase, route) => {
      const candidate = await inCall();
      const phase = hold(route);
      for (const event of reply('item_2', 'item_1', 'Goodbye.')) served.peers.emit(event);
      candidate.say({ type: 'end_session' });
      await until(() => phase.held);
      const sinceMs = performance.now();
      for (let n = 0; n < 3; n += 1) served.worker.terminate();
      expect(await served.exited).toBe(0);
      expect(performance.now() - sinceMs).toBeLessThan(30_000);
      expect(finishes()).toHaveLength(1);
      phase.release();
    },
  );

  test('once, while the browser does not close its socket: the ending is still reported', async () => {
    const candidate = await inCall();
    candidate.say({ type: 'end_session' });
    candidate.socket.pause();
    await until(() => served.peers.askedFor('POST /v1/realtime/hangup').length > 0);
    served.worker.terminate();
    expect(await served.exited).toBe(0);
    expect(finishes()).toEqual([ended]);
  });
});

describe('SIGTERM in a hand-over', () => {
  test.each([
    ['the last entries are written', 'POST /rest/v1/rpc/append_transcript'],
    ['the hand-over is reported', 'POST /worker/v1/finish'],
  ])('three times, while %s, and that never answers: gone within seconds, nothing hung up', async (_phase, route) => {
    const candidate = await inCall();
    const phase = hold(route);
    for (const event of reply('item_2', 'item_1', 'Go on.')) served.peers.emit(event);
    served.worker.terminate();
    await until(() => phase.held && served.logged().includes('session concluded'));
    const sinceMs = performance.now();
    for (let n = 0; n < 2; n += 1) served.worker.terminate();
    expect(await served.exited).toBe(0);
    expect(performance.now() - sinceMs).toBeLessThan(30_000);
    expect((await candidate.closed).code).toBe(4409);
    expect(served.peers.askedFor('POST /v1/realtime/hangup')).toEqual([]);
    phase.release();
  });
});
