import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { afterEach, expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { reply } from '../test/conversation.ts';
import { offerSdp } from '../test/peers.ts';
import { type Served, serveWorker } from '../test/serve.ts';

/** An interview that is longer than the provider's limit for a call, in a whole worker with a simulated clock. */
const minuteMs = 60_000;
const callCapMs = 60 * minuteMs;
let served: Served;
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 30_000, interval: 1 });

test('in an interview of two and a half hours each call is replaced before its limit, between two turns, and no entry is lost', async () => {
  const clock = createFakeClock();
  served = await serveWorker({
    clock,
    session: { max_duration_ms: 180 * minuteMs },
    // The peers cannot answer pings or heartbeats as fast as the simulated minutes pass.
    deadlines: { socketPingMs: 600 * minuteMs, heartbeatMs: 10 * minuteMs, leaseMs: 60 * minuteMs },
  });
  const { peers, port, worker } = served;
  await until(() => worker.ready);
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');

  const began: number[] = [];
  const call = async (ordinal: number) => {
    candidate.say({ type: 'sdp_offer', sdp: offerSdp, ordinal });
    await candidate.receives('sdp_answer', (m) => m.ordinal === ordinal);
    candidate.say({ type: 'call_connected', ordinal });
    began[ordinal] = clock.monotonicMs();
  };
  const said: Array<{ ordinal: number; item_id: string; previous_item_id: string | null; text: string }> = [];
  const ages: number[] = [];
  let ordinal = 1;
  let previous: string | null = null;
  await call(ordinal);
  for (let minute = 1; minute <= 150; minute += 1) {
    const [item_id, text] = [`item_${minute}`, `Question ${minute}.`];
    for (const event of reply(item_id, previous, text)) peers.sidebands.at(-1)?.send(JSON.stringify(event));
    said.push({ ordinal, item_id, previous_item_id: previous, text });
    await until(() => peers.stored.get(`${ordinal}/${item_id}`)?.text === text);
    await candidate.receives('transcript_ack', (m) => (m.item_ids as string[]).includes(item_id));
    previous = item_id;
    const next = candidate.heard.find((m) => m.type === 'call_required' && m.ordinal === ordinal + 1);
    if (next) {
      expect(next.reason).toBe('rollover');
      ages.push(clock.monotonicMs() - (began[ordinal] ?? 0));
      ordinal += 1;
      previous = null;
      await call(ordinal);
    }
    await clock.advance(minuteMs);
  }
  expect(ages).toEqual([55 * minuteMs, 55 * minuteMs]);
  expect(Math.max(...ages)).toBeLessThan(callCapMs);
  expect(peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(2);
  candidate.say({ type: 'end_session' });
  await candidate.closed;
  expect(await served.exited).toBe(0);
  expect(peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(3);
  const stored = [...peers.stored.values()].map(({ ordinal: of, item_id, previous_item_id, text }) => ({
    ordinal: of,
    item_id,
    previous_item_id,
    text,
  }));
  expect(stored).toEqual(said);
}, 30_000);
